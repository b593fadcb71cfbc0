// The caller of a public function: which task it is, and what wakes it.
#ifndef WF_RUNTIME_SELF_H
#define WF_RUNTIME_SELF_H

#include <weft/base.h>

#include "reactor/reactor.h"
#include "runtime/state.h"
#include "sched/sched.h"

_Noreturn void wf_refuse_no_task(const char *call);

// wf_rt_not_inherited stops a child of fork that uses `rt`, whose threads it does not
// have (misuse: `call` names the function). Each child calls wf_rt_note_fork;
// wf_rt_forks is the number of forks between the first process and this one.
void wf_rt_not_inherited(const struct weft_rt *rt, const char *call);
void wf_rt_note_fork(void);
unsigned wf_rt_forks(void);

// wf_require_task is the calling task. It stops a caller outside a task (misuse: `call`
// names the function).
static inline struct wf_task *wf_require_task(const char *call)
{
    struct wf_task *self = wf_self();
    if (wf_unlikely(!self))
        wf_refuse_no_task(call);
    return self;
}

// wf_wait_waker wakes the task.
static inline struct wf_waker wf_wait_waker(struct wf_task *task)
{
    return (struct wf_waker){ wf_task_wake, task };
}

// wf_wait_arm arms a timer on the wheel of the worker that the calling task `self` runs
// on.
static inline void wf_wait_arm(struct wf_task *task, struct wf_timer *timer, weft_time deadline, struct wf_waker waker)
{
    struct weft_rt *rt = wf_weft_task(task)->rt;
    wf_debug_assert(task == wf_self() && !wf_task_starved(task));
    wf_timer_arm(rt->reactor, wf_sched_worker_index(rt->sched), timer, deadline, waker);
}

#endif
