// The threads of the library. Each is made here (a lint checks that), so their common
// properties are listed here:
//
//   - A name, for ps and gdb: 15 bytes of it.
//   - The signal mask of the thread that starts the runtime, as weft/runtime.h promises:
//     that of `origin`, or inherited from the caller, which then is that thread. A
//     `deaf` thread has all signals blocked except those for faults and for system
//     calls that a sandbox traps: the kernel ends a process that blocks these. A thread
//     begins as a deaf one, and sets its mask last, so that a handler of the program
//     never runs on a half-made thread.
//   - pthread_cancel has no effect: it could end the thread in the middle of anything.
//   - SIGPIPE from the thread's own writes does nothing (base/sigpipe.h).
//   - The usual time slice, not the one of a worker whose task makes the thread. With
//     `origin` also the origin's CPUs and timer slack; else these are inherited.
//   - A stack of the C library's default size, because tasks do not run on it. It has
//     no alternate signal stack: workers install one themselves (sched/overflow.c), for
//     tasks.
//
// A thread sets its other properties at the beginning of fn: a worker is pinned, and
// sets its timer slack to a minimum; so does the reactor thread, which also asks for
// short slices.
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
    bool deaf;                      // all signals are blocked
};

// wf_thread_start makes a thread that runs spec->fn(spec->arg). `spec` is copied; the
// objects of `arg` and `origin` are not.
// Returns: 0, and the thread in *out, which the caller joins or detaches; -ENOMEM;
//          -EAGAIN, or another error of the system.
WF_MUST_CHECK int wf_thread_start(pthread_t *out, const struct wf_thread_spec *spec);

#endif
