// The threads of the library: each one is made here (a lint holds that), so what all of
// them have in common is said here, once.
//
//   - A name, for ps and gdb: 15 bytes of it.
//   - The signal mask of the thread that starts the runtime, as weft/runtime.h promises:
//     that of `origin`, or inherited from the caller, which is that thread then. A `deaf`
//     thread has all signals blocked but those for faults and for system calls that a
//     sandbox traps: the kernel ends a process that has these blocked. A thread begins
//     as a deaf one, and takes its mask when the rest below is done: a handler of the
//     program's never runs on a thread that is half made.
//   - pthread_cancel has no effect: it would end whatever the thread does just then.
//   - SIGPIPE by a write of its own does nothing (base/sigpipe.h).
//   - The usual time slice, not the one that a worker has asked for whose task makes the
//     thread. With `origin` also the origin's CPUs and timer slack; else these are
//     inherited.
//   - A stack of the size that the C library gives to any thread. Tasks do not run on
//     it, so it is not for weft to choose. Nor does the thread have an alternate signal
//     stack: workers install one themselves (sched/overflow.c), for tasks.
//
// What a thread has besides it does at the beginning of fn: a worker is pinned, and asks
// for timers without slack, as the reactor thread does, which asks for short slices.
#ifndef WF_BASE_THREAD_H
#define WF_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>

#include "base/compiler.h"
#include "base/origin.h"

struct wf_thread_spec {
    const char *name;
    void *(*fn)(void *arg);
    void *arg;
    const struct wf_origin *origin; // read before fn begins; NULL: the caller's mask, CPUs and slack
    bool deaf;                      // takes no signal
};

// wf_thread_start makes a thread that runs spec->fn(spec->arg). `spec` is copied; what
// its `arg` and `origin` point to is not.
// Returns: 0, and the thread in *out, which the caller joins or detaches; -ENOMEM;
//          -EAGAIN, or what else the system says when it refuses a thread.
WF_MUST_CHECK int wf_thread_start(pthread_t *out, const struct wf_thread_spec *spec);

#endif
