// For tests of what the workers do by themselves: a runtime whose reactor thread has
// ended.
#ifndef TESTS_SUPPORT_MONITOR_PAUSED_H
#define TESTS_SUPPORT_MONITOR_PAUSED_H

#include "reactor/reactor.h"
#include "runtime/state.h"

// stop_reactor_thread ends it. From now on only workers poll, and none is watched.
// Context: task.
static inline void stop_reactor_thread(void)
{
    wf_reactor_stop(wf_rt_current()->reactor);
}

// this_worker is the number of the worker that the calling task runs on.  Context:
// task.
static inline unsigned this_worker(void)
{
    return wf_sched_worker_index(wf_rt_current()->sched);
}

#endif
