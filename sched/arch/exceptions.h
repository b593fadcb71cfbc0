// C++ exceptions in tasks. weft needs no C++ library; where the program has one, each
// task has its own exception state.
//
// The C++ runtime keeps two words for each thread: the stack of exceptions that are
// being handled, and the number of those that are being thrown (Itanium C++ ABI,
// exception handling, 2.2.2). A task may park in a handler, or in a destructor that
// runs while the stack is unwound: then both words belong to the task. The task takes
// them off its thread when it leaves, keeps them on its own stack, and stores them in
// the thread on which it continues (run.c). So on a thread that a task has left both
// words are empty, and the next task starts without exceptions. A task without
// exceptions pays for a check of two words, even in a program without C++. To ask first
// whether there is C++ would cost a jump more.
#ifndef WF_SCHED_EXCEPTIONS_H
#define WF_SCHED_EXCEPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

// The ABI's __cxa_eh_globals: the same in libstdc++ and libc++abi.
struct wf_exceptions {
    void *caught;
    unsigned uncaught;
#ifdef __ARM_EABI__
    void *propagating; // 0 if `uncaught` is 0
#endif
};

// wf_exceptions_of_thread is the function that finds the calling thread's state. It
// looks for a C++ runtime that is in the process now: linked with weft or with the
// program, or loaded by dlopen with RTLD_GLOBAL. It does not look for a runtime that
// was loaded for a single plug-in: that is only possible by name (dlopen with
// RTLD_NOLOAD), and if another thread forks during such a call, the child crashes in
// its own first dlopen. Without a C++ runtime the function finds an empty state, which
// stays empty.
// Context: any thread.
struct wf_exceptions *(*wf_exceptions_of_thread(void))(void);

// wf_exceptions_any tells whether the thread has exceptions to keep.
static inline bool wf_exceptions_any(const struct wf_exceptions *e)
{
    return wf_unlikely(((uintptr_t)e->caught | e->uncaught) != 0);
}

// wf_exceptions_take takes the state off the calling thread.
static inline struct wf_exceptions wf_exceptions_take(struct wf_exceptions *e)
{
    struct wf_exceptions taken = *e;
    *e = (struct wf_exceptions){ 0 };
    return taken;
}

// wf_exceptions_escape is the personality of the first frame of each task's stack
// (sched/arch). The unwinder calls it when no frame above has a handler: it names the
// task. That ends the search, and the C++ runtime calls std::terminate on the task's
// stack, which is still as it was at the throw.
int wf_exceptions_escape(int version, int actions, unsigned long long kind, void *exception, void *context);

#endif
