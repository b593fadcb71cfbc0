// Assertions in tiers.
//
//   wf_assert         cheap, always on: impossible states, broken invariants
//   wf_debug_assert   in debug builds (WF_DEBUG): on hot paths, or O(n)
//   wf_misuse         the program broke a rule of the public interface: one sentence
//                     that names the task and the rule
//   wf_X_check(x)     a whole structure's invariants; tests and debug builds call it,
//                     these by wf_debug_check, where the structure is entered
//
// A check of a structure that several threads use asserts what holds for its caller
// whatever the others do: its contract says which lock it takes, or which thread calls.
#ifndef WF_BASE_ASSERT_H
#define WF_BASE_ASSERT_H

#include "base/atomic.h"
#include "base/compiler.h"

#define wf_assert(cond) (wf_likely(cond) ? (void)0 : wf_panic("%s:%d: assertion failed: %s", __FILE__, __LINE__, #cond))

#ifdef WF_DEBUG
#define wf_debug_assert(cond) wf_assert(cond)
#else
#define wf_debug_assert(cond) ((void)(0 && (cond)))
#endif

// wf_debug_check makes `check` in debug builds, at one of WF_CHECK_EACH calls that come
// by here: a check walks what it checks, and the million calls of a test must not walk
// it a million times.
enum { WF_CHECK_EACH = 64 };
static inline bool wf_check_is_due(_Atomic unsigned *passed)
{
    return wf_fetch_add_relaxed(passed, 1u) % WF_CHECK_EACH == 0; // relaxed: it only spreads the checks
}
#ifdef WF_DEBUG
#define wf_debug_check(check) \
    do { \
        static _Atomic unsigned passed; \
        if (wf_check_is_due(&passed)) \
            check; \
    } while (0)
#else
#define wf_debug_check(check) \
    do { \
        if (0) \
            check; \
    } while (0)
#endif

// wf_panic prints one line to stderr and aborts. A debugger needs only one breakpoint,
// here. Safe in a signal handler.
_Noreturn void wf_panic(const char *fmt, ...) WF_PRINTF(1, 2);

// wf_misuse is wf_panic for a broken rule of the public interface; it says which task
// broke it, if a namer is set.
_Noreturn void wf_misuse(const char *fmt, ...) WF_PRINTF(1, 2);

// wf_complain prints what wf_misuse would, and returns: for an error that ends the
// program in another way.
void wf_complain(const char *fmt, ...) WF_PRINTF(1, 2);

// wf_misuse_namer: a function that writes "task 7 'name'" into buf, set by the layer
// that knows the current task.
extern void (*wf_misuse_namer)(char *buf, size_t n);

#endif
