// C++ exceptions in tasks. weft needs no C++ library; where the program has one, each
// task has its own exception state.
//
// The C++ runtime keeps, for each thread, the stack of exceptions that are being
// handled and the number of those that are being thrown (Itanium C++ ABI, exception
// handling, 2.2.2). A task may park in a handler, or in a destructor that runs while
// the stack is unwound: then both words are the task's. It takes them off its thread
// when it leaves, keeps them on its own stack, and puts them into the thread that it
// continues on (run.c). A thread whose task has left has none, so a task that has none
// itself, and a fresh one, find nothing. Such a task pays for a look at two words, also
// in a program without C++: that is less than to ask first whether there is C++, which
// costs a jump in one case or the other.
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
    void *propagating; // not 0 only while `uncaught` is not
#endif
};

// wf_exceptions_of_thread is the function that finds the calling thread's state. It
// looks for the C++ runtime that is in the process now: one that weft was linked with,
// one that the program was, or one that dlopen has loaded for all (RTLD_GLOBAL). One
// that was loaded for a single plug-in is known by its name only, and to ask by name
// (dlopen with RTLD_NOLOAD) is not safe: a child of a fork that comes in the midst of
// it crashes in its own first dlopen. If there is none, the function finds an empty
// state, which stays so.
// Context: any thread.
struct wf_exceptions *(*wf_exceptions_of_thread(void))(void);

// wf_exceptions_any tells whether there is something to keep.
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
