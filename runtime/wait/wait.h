// The one way in which a task waits: for a cell, with a deadline, unless it is
// cancelled.
//
// All waits (for futures, sleeps, joins, descriptors) are a few lines on top of this.
// So a cancel ends each of them, and completion wins in one place.
#ifndef WF_RUNTIME_WAIT_H
#define WF_RUNTIME_WAIT_H

#include <errno.h>
#include <weft/base.h>

#include "base/cell.h"
#include "reactor/reactor.h"
#include "runtime/wait/cancel.h"
#include "runtime/wait/self.h"
#include "sched/sched.h"

// wf_check_cancel tells whether the calling task is cancelled, so that its waits must
// end. A task that was never cancelled pays for one load of a cached word.
// Returns: 0; -ECANCELED; -ETIMEDOUT if a scope's deadline did it; -ENOMEM if it runs
// on a reserve stack.
static inline int wf_check_cancel(struct wf_task *self)
{
    return wf_unlikely(wf_task_cancel_pending(self)) ? wf_check_cancel_slow(self) : 0;
}

// wf_check_cancel_no_preempt tells the same, for a call that does not wait, or that
// yields in any case.
static inline int wf_check_cancel_no_preempt(struct wf_task *self)
{
    return wf_unlikely(wf_task_cancel_pending(self)) ? wf_cancel_resolve(self) : 0;
}

// Every call that may park begins with wf_wait_begin.
// Returns: as wf_check_cancel, for the calling task.
static inline int wf_wait_begin(const char *call)
{
    return wf_check_cancel(wf_require_task(call));
}

// wf_wait_park is wf_park for a wait that ends when wf_check_cancel says so: it returns
// when there may be a reason to check.
static inline void wf_wait_park(struct wf_task *self, const char *what, intptr_t on)
{
    if (wf_unlikely(wf_task_cancel_pending(self)))
        wf_cancel_park(self, false, what, on);
    else
        wf_park(self, what, on);
}

// wf_wait_park_shielded is wf_park for a wait that a cancel must not end. It propagates
// a cancel to the children of the task's open scopes.
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
// Returns: 0; -ECANCELED; -ETIMEDOUT at `deadline` (one in the past only checks), or by
//          a scope's. If the cell was set, always 0.
// Cancel:  the cell is as if the task had not waited.
int wf_wait_cell(struct wf_cell *c, weft_time deadline, const char *what, intptr_t on);

// wf_wait_cells waits until any of `n` cells (at most 2) is set.
int wf_wait_cells(struct wf_cell *const *c, int n, weft_time deadline, const char *what, intptr_t on);

// wf_wait_sleep parks the calling task until `deadline`. Returns: 0 at the deadline;
// -ECANCELED.
int wf_wait_sleep(weft_time deadline);

// wf_wait_shielded parks until `c` is set, even in a cancelled task.
void wf_wait_shielded(struct wf_cell *c, const char *what);

// wf_budget_consume takes one unit of the budget of the calling task, `self`, and
// yields if it is used up: a call that did not park calls it at its end, or at its
// beginning if it takes a thing that other tasks wait for. So a task that never has to
// wait does not starve others. wf_budget_consume_self is the same for a caller that
// does not know the task.
static inline void wf_budget_consume(struct wf_task *self)
{
    if (wf_unlikely(!wf_budget(self)))
        wf_yield(self);
}
void wf_budget_consume_self(void);

#endif
