// The one way in which a task waits: for a cell, with a deadline, unless it is
// cancelled.
//
// Everything that parks (futures, sleep, joins, descriptors) is a few lines on top of
// this, so cancellation reaches it all, and completion wins in one place.
#ifndef WF_RUNTIME_WAIT_H
#define WF_RUNTIME_WAIT_H

#include <errno.h>
#include <weft/base.h>

#include "base/cell.h"
#include "reactor/reactor.h"
#include "runtime/wait/cancel.h"
#include "runtime/wait/self.h"
#include "sched/sched.h"

// wf_check_cancel_slow is the slow part of wf_check_cancel, for a task that bears the
// mark. In a test run it may let others run first: so each call that may park is a
// place to do that, and elsewhere it costs nothing.
__attribute__((cold)) int wf_check_cancel_slow(struct wf_task *self);

// wf_check_cancel tells whether the calling task's waits are to end. A task that was
// never cancelled pays for one look at a word that is in its cache.
// Returns: 0; -ECANCELED; -ETIMEDOUT if a scope's deadline did it; -ENOMEM if it runs
// on a reserve stack.
static inline int wf_check_cancel(struct wf_task *self)
{
    return wf_unlikely(wf_task_cancel_pending(self)) ? wf_check_cancel_slow(self) : 0;
}

// wf_check_cancel_no_preempt tells the same, for a call that does not wait, or is to
// yield in any case.
static inline int wf_check_cancel_no_preempt(struct wf_task *self)
{
    return wf_unlikely(wf_task_cancel_pending(self)) ? wf_cancel_resolve(self) : 0;
}

// wf_wait_begin must open every call that may park.
// Returns: as wf_check_cancel, for the calling task.
static inline int wf_wait_begin(const char *call)
{
    return wf_check_cancel(wf_require_task(call));
}

// wf_wait_park is wf_park for a wait that ends when wf_check_cancel says so: it returns
// when there may be a reason to look.
static inline void wf_wait_park(struct wf_task *self, const char *what, intptr_t on)
{
    if (wf_unlikely(wf_task_cancel_pending(self)))
        wf_cancel_park(self, false, what, on);
    else
        wf_park(self, what, on);
}

// wf_wait_park_shielded is wf_park for a wait that must not be cut short. It passes on
// a cancel that it meets to the scopes that the task has open.
static inline void wf_wait_park_shielded(struct wf_task *self, const char *what, intptr_t on)
{
    wf_check_cancel(self);
    if (wf_unlikely(wf_task_cancel_pending(self)))
        wf_cancel_park(self, true, what, on);
    else
        wf_park(self, what, on);
}

// wf_wait_cell parks the calling task until `c` is set.
//
// Returns: 0; -ECANCELED; -ETIMEDOUT at `deadline` (one in the past only looks), or by
//          a scope's. If the cell was set at all: 0.
// Cancel:  the cell is as if the task had not waited.
int wf_wait_cell(struct wf_cell *c, weft_time deadline, const char *what, intptr_t on);

// wf_wait_cells waits until any of `n` cells (at most 2) is set.
int wf_wait_cells(struct wf_cell *const *c, int n, weft_time deadline, const char *what, intptr_t on);

// wf_wait_leave takes `node`, which the calling task has pushed, out of its cell; if a
// setter has got hold of it, it waits until that one is done with it.
// Returns: true if the cell was set.
bool wf_wait_leave(struct wf_task *self, struct wf_cell *c, struct wf_cell_node *node, const char *what, intptr_t on);

// wf_wait_released waits until the setter that has chosen `node` is done with it: a few
// instructions, unless its wake has made this worker's thread preempt it on the same
// CPU. Then it needs the CPU, so this thread offers it before anything else.
void wf_wait_insist(const struct wf_cell_node *node);
static inline void wf_wait_released(const struct wf_cell_node *node)
{
    if (wf_unlikely(!wf_cell_signalled(node)))
        wf_wait_insist(node);
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
    return wf_wait_leave(task, c, node, what, on) ? 0 : wf_check_cancel(task);
}

// wf_wait_as is wf_wait_cell without a deadline, for a caller that knows the calling
// task already.
static inline int wf_wait_as(struct wf_task *task, struct wf_cell *c, const char *what, intptr_t on)
{
    struct wf_cell_node node;

    node.waker = wf_wait_waker(task);
    return wf_cell_push(c, &node) ? wf_wait_pushed(task, c, &node, what, on) : 0;
}

// wf_wait_sleep parks the calling task until `deadline`. Returns: 0 when it has come;
// -ECANCELED.
int wf_wait_sleep(weft_time deadline);

// wf_wait_shielded parks until `c` is set, come what may: for waits that must not be
// cut short.
void wf_wait_shielded(struct wf_cell *c, const char *what);

// wf_budget_consume takes one unit of the budget of the calling task, `self`, and
// yields if it is used up: for a call that does not park, after it, or before it if it
// takes what others wait for. A task that never has to wait must not keep others
// waiting. wf_budget_consume_self is the same for a caller that does not know the task.
static inline void wf_budget_consume(struct wf_task *self)
{
    if (wf_unlikely(!wf_budget(self)))
        wf_yield(self);
}
void wf_budget_consume_self(void);

#endif
