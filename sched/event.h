// What happens to tasks, one function for each event, called where it happens: the
// places of probes, which cost a nop each. The flight recorder (recorder.h) has the same
// events from places beside these that a switch comes by only while it is on.
#ifndef WF_SCHED_EVENT_H
#define WF_SCHED_EVENT_H

#include "sched/task.h"

// wf_event_spawn: `task` is about to be queued for the first time. `parent` is the calling
// task, NULL: another thread.
static inline void wf_event_spawn(const struct wf_task *task, const struct wf_task *parent)
{
    (void)task;
    (void)parent;
}

// wf_event_run: a turn of `task` begins, on the calling worker. The stack is still that of
// what ran before.
static inline void wf_event_run(const struct wf_task *task)
{
    (void)task;
}

// wf_event_park: `task`, the calling one, is about to park, and waits for `what`.
static inline void wf_event_park(const struct wf_task *task, const char *what)
{
    (void)task;
    (void)what;
}

// wf_event_wake: `task` was parked, and is about to be queued. `waker` is the calling
// task, NULL: a poll, or another thread. A wake that came before the park was complete
// is told by the context after it: then it is the task that runs next there.
static inline void wf_event_wake(const struct wf_task *task, const struct wf_task *waker)
{
    (void)task;
    (void)waker;
}

// wf_event_queue is the one or the other, where both come by.
static inline void wf_event_queue(const struct wf_task *task, const struct wf_task *by)
{
    if (wf_task_begun(task))
        wf_event_wake(task, by);
    else
        wf_event_spawn(task, by);
}

// wf_event_steal: the worker `thief` has taken tasks of the worker `victim`; `task` is
// the one that it runs next.
static inline void wf_event_steal(unsigned thief, unsigned victim, const struct wf_task *task)
{
    (void)thief;
    (void)victim;
    (void)task;
}

// wf_event_poll: `worker` has polled, and `fired` wakers were called.
static inline void wf_event_poll(unsigned worker, unsigned fired)
{
    (void)worker;
    (void)fired;
}

// wf_event_end: the body of `task` has returned; the header is still its own.
static inline void wf_event_end(const struct wf_task *task)
{
    (void)task;
}

#endif
