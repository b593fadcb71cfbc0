// The wait set: the cells that a task waits for at a time. All waits in cells (for a
// future, a join, a descriptor, a relay, the descriptors and futures of a select) use
// these verbs:
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
// No wake is lost. If a setter comes before the push, the push returns false. A setter
// that comes after the push takes the node, marks it CHOSEN, and then wakes the task.
// If the task has not parked yet, the wake is noted in its task word, and ends the next
// park at once (sched/task.h). The task checks all nodes between two parks, so it finds
// the CHOSEN one. A timer, too, is marked as fired, and a cancel marks the task, before
// the wake; the same loop checks both.
//
// Nothing is left behind, even by a cancel. For each node that was pushed, one of two
// things happens. The pull takes it out of its cell, and no setter sees it. Or a setter
// has taken it: then the pull waits for CHOSEN and for SIGNALLED, the setter's last
// access to the node [C4], even in a cancelled task. After the pull the nodes and cells
// may be freed.
//
// Completion wins: a pull returns true if a cell was set while its node was in it,
// whatever ended the park. When a push returns false, or _chosen or a pull returns
// true, the task sees what the setter wrote before, by [C1].
//
// A wait for one cell without a deadline is wf_wait_pushed, the same four steps inline,
// because every message of a server makes such a wait. A select's cases do not form one
// set: each case has its own node, and a choice decides between them and channels. So
// each case pushes and pulls by these verbs, and the select parks by its own loop.
#ifndef WF_RUNTIME_SET_H
#define WF_RUNTIME_SET_H

#include <stdbool.h>
#include <stdint.h>
#include <weft/base.h>

#include "base/cell.h"
#include "reactor/reactor.h"
#include "runtime/wait/wait.h"

// T: the waiting task
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
// setter has taken the node, it waits until the setter is done with it.
// Returns: true if the cell was set.
bool wf_wait_pull(struct wf_task *self, struct wf_cell *c, struct wf_cell_node *node, const char *what, intptr_t on);

// wf_wait_released waits until the setter that has chosen `node` is done with it: a few
// instructions, unless this worker's thread has preempted the setter on the same CPU.
// Then the setter needs the CPU, so this thread yields it first.
void wf_wait_insist(const struct wf_cell_node *node);
static inline void wf_wait_released(const struct wf_cell_node *node)
{
    if (wf_unlikely(!wf_cell_signalled(node)))
        wf_wait_insist(node);
}

// wf_wait_taken parks, even in a cancelled task, until the setter that takes `node` is
// done with it.
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
// Returns: 0; WF_WAIT_DUE: the timer has fired; errors as wf_check_cancel.
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
// it takes the node out again if the wait is cancelled. Returns: as wf_wait_cell,
// without a deadline. It is inline, because every message of a server passes through
// it, and a return after a switch is mispredicted (base/sys.h).
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
// task already. With wf_wait_cells instead, a spawn with a join takes 815 instructions,
// not 683, and an awaited future 935, not 655.
static inline int wf_wait_as(struct wf_task *task, struct wf_cell *c, const char *what, intptr_t on)
{
    struct wf_cell_node node;

    return wf_wait_push(task, c, &node) ? wf_wait_pushed(task, c, &node, what, on) : 0;
}

#endif
