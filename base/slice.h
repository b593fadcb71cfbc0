// The slice: how long the kernel lets a thread compute before it is another one's turn.
//
// Who wakes up and has asked for shorter slices than the thread that computes gets the CPU at once; else he may wait
// for the end of that one's slice, or of a tick (EEVDF's PREEMPT_SHORT, Linux 6.12; earlier kernels take no notice).
//
// Threads and processes that are created meanwhile inherit it. weft's own, and children of fork, ask for the usual
// again. A thread that a task makes by itself then, or a program that it starts by posix_spawn, keeps it, unless it
// asks: that changes how soon it gets a CPU, not its share. A slice that a program has asked for by itself, for one of
// weft's threads, is not kept. Filters of system calls should let sched_getattr and sched_setattr pass, or fail.
#ifndef WF_BASE_SLICE_H
#define WF_BASE_SLICE_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WF_SLICE_USUAL UINT64_C(0)        // what the kernel gives everybody, about 3 ms
#define WF_SLICE_SHORT UINT64_C(100000)   // the shortest there is, for who runs seldom, and never for long
#define WF_SLICE_LONG UINT64_C(100000000) // the longest: whoever else wakes up goes first

// The first version of the kernel's struct sched_attr, which glibc 2.36 does not declare.
struct wf_sched_attr {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime; // the slice
    uint64_t deadline, period;
};
_Static_assert(sizeof(struct wf_sched_attr) == 48, "as the kernel has it");

// wf_slice_read tells how the calling thread is scheduled. Returns: false if slices do not matter to it, being of real
// time, or idle, or if the kernel does not tell.
static inline bool wf_slice_read(struct wf_sched_attr *attr)
{
    return syscall(SYS_sched_getattr, 0, attr, sizeof(*attr), 0) == 0 &&
           (attr->policy == SCHED_OTHER || attr->policy == SCHED_BATCH);
}

// wf_slice_ask asks for slices of `ns` for the calling thread, best effort. Policy and niceness stay what they are.
static inline void wf_slice_ask(uint64_t ns)
{
    struct wf_sched_attr attr = { 0 };

    if (!wf_slice_read(&attr))
        return;
    attr.runtime = ns;
    (void)syscall(SYS_sched_setattr, 0, &attr, 0);
}

#endif
