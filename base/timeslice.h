// The time slice: how long the kernel lets a thread run before another thread gets the
// CPU.
//
// A waking thread with a shorter slice preempts the running thread at once; otherwise
// it may wait for the end of that thread's slice, or of a tick (EEVDF's PREEMPT_SHORT,
// Linux 6.12; earlier kernels ignore slices).
//
// New threads and processes inherit the slice of their creator. weft's own threads, and
// children of fork, reset it to the usual one. A thread that a task creates, or a
// program that it starts by posix_spawn, keeps the inherited slice unless it resets it:
// that changes how soon it gets a CPU, but not how much CPU time it gets. weft does not
// preserve a slice that a program has set for one of weft's threads. A filter of system
// calls should allow sched_getattr and sched_setattr, or make them fail.
#ifndef WF_BASE_TIMESLICE_H
#define WF_BASE_TIMESLICE_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/sys.h"

#define WF_SLICE_USUAL UINT64_C(0)        // the kernel's default, about 3 ms
#define WF_SLICE_SHORT UINT64_C(100000)   // the shortest possible, for threads that run rarely and briefly
#define WF_SLICE_LONG UINT64_C(100000000) // the longest possible: any other thread that wakes up preempts

// The first version of the kernel's struct sched_attr, which glibc 2.36 does not
// declare.
struct wf_sched_attr {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime; // the slice
    uint64_t deadline, period;
};
_Static_assert(sizeof(struct wf_sched_attr) == 48, "as the kernel has it");

// wf_slice_read reads the scheduling attributes of the calling thread. Returns: false
// if slices do not apply to its policy (real-time or idle), or if the kernel does not
// tell.
static inline bool wf_slice_read(struct wf_sched_attr *attr)
{
    return wf_sys_sched_getattr(attr, sizeof(*attr)) == 0 &&
           (attr->policy == SCHED_OTHER || attr->policy == SCHED_BATCH);
}

// wf_slice_ask sets the calling thread's slice to `ns`, best effort. Policy and
// niceness stay the same.
static inline void wf_slice_ask(uint64_t ns)
{
    struct wf_sched_attr attr = { 0 };

    if (!wf_slice_read(&attr))
        return;
    attr.runtime = ns;
    (void)wf_sys_sched_setattr(&attr);
}

#endif
