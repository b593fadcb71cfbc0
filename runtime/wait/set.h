// The wait set: the cells that a task waits for at a time. Whoever waits in cells (a
// future, a join, a descriptor, a relay, the descriptors and futures of a select) waits
// by these verbs:
//
//        _push --> (confirm that the cells are the right ones) --> _park --> _pull
//          |                                                                  ^
//          +------- false: one of the cells is set ---------------------------+
//
// Ownership. The user owns the nodes, the cells and the set. The nodes and the cells
// stay where they are from the push to the end of the pull, on the task's stack or in a
// case of its select. The set itself is only a view of them: it may be made anew in
// between (runtime/select/fd.c).
//
// No wake is lost. A setter that comes before the push makes it return false. One that
// comes after it takes the node, marks it CHOSEN, and then wakes the task; the wake of
// a task that has not parked yet is noted in its word, and ends the next park at once
// (sched/task.h). As the task looks at all nodes between two parks, it finds the one
// that is CHOSEN. The timer fires, and a cancel marks the task, before they wake it,
// too, and the same loop looks at both.
//
// Nothing is left behind, also by a cancel. For each node that was pushed the pull
// either takes it out of its cell, and no setter has seen it or will; or a setter has
// taken it: then the pull waits for CHOSEN and for SIGNALLED, the setter's last access
// to the node [C4], even in a cancelled task. After the pull nodes and cells may go.
//
// Completion wins: a pull that returns true says that a cell was set while its node was
// in, whatever ended the park. A false of the push, a true of _chosen and a true of the
// pull make visible what the setter wrote before, by [C1].
//
// A wait for one cell without a deadline is wf_wait_pushed (wait.h), the same four steps
// inline: every message of a server is one. A select's cases do not form one set: their
// nodes lie in their own rooms, and a choice decides between them and channels. So each
// case pushes and pulls by these verbs, and the select parks by its own loop.
#ifndef WF_RUNTIME_SET_H
#define WF_RUNTIME_SET_H

#include <stdbool.h>
#include <stdint.h>
#include <weft/base.h>

#include "base/cell.h"
#include "reactor/reactor.h"
#include "runtime/wait/wait.h"

// T: the task that waits
struct wf_wait_set {
    struct wf_task *task;         // the calling task
    struct wf_cell *const *cells; // `n` of them,
    struct wf_cell_node *nodes;   // and a node for each
    int n, pushed;                // how many are in their cells: the first ones
    const char *what;             // what a dump says of the task
    intptr_t on;
};

// The timer of a wait: it wakes the task.
struct wf_wait_timer {
    struct wf_timer timer;
    bool armed; // T
};

static inline void wf_wait_timer_arm(struct wf_wait_timer *t, struct wf_task *task, weft_time deadline)
{
    wf_wait_arm(task, &t->timer, deadline, wf_wait_waker(task));
    t->armed = true;
}

// wf_wait_timer_due tells whether it has fired.
static inline bool wf_wait_timer_due(const struct wf_wait_timer *t)
{
    return t->armed && wf_timer_fired(&t->timer);
}

static inline void wf_wait_timer_disarm(struct wf_wait_timer *t)
{
    if (t->armed)
        wf_timer_disarm(&t->timer);
    t->armed = false;
}

// wf_wait_push enters one cell.  Returns: false if it is set: the node was not used.
static inline bool wf_wait_push(struct wf_task *task, struct wf_cell *c, struct wf_cell_node *node)
{
    node->waker = wf_wait_waker(task);
    return wf_cell_push(c, node);
}

// wf_wait_pull takes `node`, which the calling task has pushed, out of its cell; if a
// setter has taken it, it waits until that one is done with it.
// Returns: true if the cell was set.
bool wf_wait_pull(struct wf_task *self, struct wf_cell *c, struct wf_cell_node *node, const char *what, intptr_t on);

// wf_wait_released waits until the setter that has chosen `node` is done with it: a few
// instructions, unless its wake has made this worker's thread preempt it on the same
// CPU. Then it needs the CPU, so this thread offers it before anything else.
void wf_wait_insist(const struct wf_cell_node *node);
static inline void wf_wait_released(const struct wf_cell_node *node)
{
    if (wf_unlikely(!wf_cell_signalled(node)))
        wf_wait_insist(node);
}

// wf_wait_taken parks, come what may, until the setter that takes `node` is done with
// it.
void wf_wait_taken(struct wf_task *self, const struct wf_cell_node *node, const char *what, intptr_t on);

// wf_wait_set_push enters the cells. Returns: false if one of them is set. Pull in both
// cases.  These four are inline for the same reason as wf_wait_pushed: as calls they
// cost a weft_poll that waits 45 instructions of 1970 (echo-told), a sleep 32 of 1404.
static inline bool wf_wait_set_push(struct wf_wait_set *s)
{
    wf_debug_assert(s->task == wf_self() && s->pushed == 0);
    for (; s->pushed < s->n; s->pushed++)
        if (!wf_wait_push(s->task, s->cells[s->pushed], &s->nodes[s->pushed]))
            return false;
    return true;
}

// wf_wait_set_chosen tells whether a cell was set.
static inline bool wf_wait_set_chosen(const struct wf_wait_set *s)
{
    for (int i = 0; i < s->pushed; i++)
        if (wf_cell_chosen(&s->nodes[i]))
            return true;
    return false;
}

// wf_wait_set_park parks the task until a cell is set, the timer (NULL: none) fires, or
// the task is cancelled.
// Returns: 0; WF_WAIT_DUE: the timer; as wf_check_cancel.
enum { WF_WAIT_DUE = 1 };
static inline int wf_wait_set_park(const struct wf_wait_set *s, const struct wf_wait_timer *timer)
{
    int err = 0;

    wf_debug_assert(s->task == wf_self() && s->pushed == s->n && s->what);
    while (!wf_wait_set_chosen(s) && !(err = wf_check_cancel(s->task))) {
        if (timer && wf_wait_timer_due(timer))
            return WF_WAIT_DUE;
        wf_wait_park(s->task, s->what, s->on);
    }
    return err;
}

// wf_wait_set_pull takes the nodes out.  Returns: true if a cell was set.
static inline bool wf_wait_set_pull(struct wf_wait_set *s)
{
    bool set = false;

    for (; s->pushed > 0; s->pushed--)
        set |= wf_wait_pull(s->task, s->cells[s->pushed - 1], &s->nodes[s->pushed - 1], s->what, s->on);
    return set;
}

// wf_wait_pushed parks the calling task until `node`, which it has pushed, is chosen;
// it takes the node out again if the wait is cut short.
// Returns: as wf_wait_cell, without a deadline. Inline, because every message of a
// server comes through here, and what it returns to is predicted wrong
// (base/sys.h).
static inline int wf_wait_pushed(struct wf_task *task, struct wf_cell *c, struct wf_cell_node *node, const char *what,
                                 intptr_t on)
{
    wf_debug_assert(task == wf_self() && what);
    do {
        wf_wait_park(task, what, on);
        if (wf_likely(wf_cell_chosen(node))) {
            wf_wait_released(node);
            return 0;
        }
    } while (!wf_check_cancel(task));
    return wf_wait_pull(task, c, node, what, on) ? 0 : wf_check_cancel(task);
}

// wf_wait_as is wf_wait_cell without a deadline, for a caller that knows the calling
// task already. By wf_wait_cells a spawn with a join would take
// 815 instructions, not 683, a future that is awaited 935, not 655.
static inline int wf_wait_as(struct wf_task *task, struct wf_cell *c, const char *what, intptr_t on)
{
    struct wf_cell_node node;

    return wf_wait_push(task, c, &node) ? wf_wait_pushed(task, c, &node, what, on) : 0;
}

#endif
