// Assertions in tiers.
//
//   wf_assert         cheap, always on: impossible states, broken invariants
//   wf_debug_assert   in debug builds (WF_DEBUG): on hot paths, or O(n)
//   wf_misuse         the program broke a rule of the public interface: one sentence
//                     that names the task and the rule
//   wf_X_check(x)     a whole structure's invariants; tests call it, and debug builds
//                     do by wf_debug_check, at the start of the structure's functions
//
// A check of a shared structure asserts only what other threads cannot change during
// the check: its contract says which lock it takes, or which thread may call it.
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

// wf_debug_check runs `check` in debug builds, at one of WF_CHECK_EACH calls: a check
// walks its structure, and the million calls of a test must not do so a million times.
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

// wf_panic prints one line to stderr and aborts. A debugger needs only this one
// breakpoint. Safe in a signal handler.
_Noreturn void wf_panic(const char *fmt, ...) WF_PRINTF(1, 2);

// wf_misuse is wf_panic for a broken rule of the public interface; it names the task,
// if a namer is set.
_Noreturn void wf_misuse(const char *fmt, ...) WF_PRINTF(1, 2);

// wf_complain prints the same line and returns, for an error that ends the program in
// another way.
void wf_complain(const char *fmt, ...) WF_PRINTF(1, 2);

// wf_misuse_namer: a function that writes "task 7 'name'" into buf, set by the layer
// that knows the current task.
extern void (*wf_misuse_namer)(char *buf, size_t n);

#endif
