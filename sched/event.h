// The events of tasks: one function for each event, called where the event happens.
// Each function contains a probe, which costs a nop. The flight recorder (recorder.h)
// records the same events. Its calls are beside these, on a path that a switch takes
// only while the recorder is on.
//
// The probes are USDT probes of the provider `weft`: perf, bpftrace and gdb find them
// in the notes of the file (readelf -n), and put a breakpoint over the nop. The note
// says where the arguments of a probe are, mostly in a field of the task: to load an
// argument into a register would cost one more instruction for each event.
//
//     spawn(id, name)   run(id, name)   park(id, name, what)   wake(id, name)   end(id, name)
//     steal(thief, victim, id)   poll(worker, fired)
#ifndef WF_SCHED_EVENT_H
#define WF_SCHED_EVENT_H

#include "sched/task.h"

#ifdef WF_PROBES // sys/sdt.h is there (WEFT_PROBES)
#ifdef __x86_64__
#define STAP_SDT_ARG_CONSTRAINT o // in memory: gcc may load what can be in a register
#endif
#ifdef __clang__ // of the header's macros, where they are used
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wgnu-zero-variadic-macro-arguments"
#endif
#include <sys/sdt.h>
#define WF_PROBE2(name, a, b) STAP_PROBE2(weft, name, a, b)
#define WF_PROBE3(name, a, b, c) STAP_PROBE3(weft, name, a, b, c)
#else
#define WF_PROBE2(name, a, b) ((void)0)
#define WF_PROBE3(name, a, b, c) ((void)0)
#endif

// wf_event_spawn: `task` is about to be queued for the first time.
static inline void wf_event_spawn(const struct wf_task *task)
{
    (void)task;
    WF_PROBE2(spawn, task->id, task->name);
}

// wf_event_run: a turn of `task` begins, on the calling worker. The calling thread is
// still on the previous stack.
static inline void wf_event_run(const struct wf_task *task)
{
    (void)task;
    WF_PROBE2(run, task->id, task->name);
}

// wf_event_park: `task`, the calling one, is about to park, and has said what it waits for.
static inline void wf_event_park(const struct wf_task *task)
{
    (void)task;
    WF_PROBE3(park, task->id, task->name, task->what);
}

// wf_event_wake: `task` was parked, and is about to be queued. The task that runs on the
// calling thread, if there is one, is the waker; or, if the wake came before the park was
// complete, the task that runs next there.
static inline void wf_event_wake(const struct wf_task *task)
{
    (void)task;
    WF_PROBE2(wake, task->id, task->name);
}

// wf_event_steal: the worker `thief` has taken tasks of the worker `victim`; `task` is
// the one that it runs next.
static inline void wf_event_steal(unsigned thief, unsigned victim, const struct wf_task *task)
{
    (void)thief;
    (void)victim;
    (void)task;
    WF_PROBE3(steal, thief, victim, task->id);
}

// wf_event_poll: `worker` has polled, and `fired` wakers were called.
static inline void wf_event_poll(unsigned worker, unsigned fired)
{
    (void)worker;
    (void)fired;
    WF_PROBE2(poll, worker, fired);
}

// wf_event_end: the body of `task` has returned; the header is still its own.
static inline void wf_event_end(const struct wf_task *task)
{
    (void)task;
    WF_PROBE2(end, task->id, task->name);
}

#if defined(WF_PROBES) && defined(__clang__)
#pragma clang diagnostic pop
#endif

#endif
