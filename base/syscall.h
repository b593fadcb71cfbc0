// System calls without the C library: the result is -errno, and no thread-local word is
// touched.
//
// For the few calls that every message needs. The C library's wrappers are
// pthread_cancel points, which costs two locked instructions a call in a program of
// several threads, and one more return: after a long path through the kernel, the
// processor's return predictor is overwritten, and each return on the way back is
// mispredicted. (Measured, an echo with 128 connections: 0.1 us a message for the
// wrappers; 0.06 for the returns of send alone.)
#ifndef WF_BASE_SYSCALL_H
#define WF_BASE_SYSCALL_H

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/compiler.h"

#if defined(__x86_64__) && !defined(__ILP32__)
static inline long wf_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result = number;

    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory", "cc");
    return result;
}
#elif defined(__aarch64__)
static inline long wf_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;

    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory", "cc");
    return x0;
}
#else
WF_NOINLINE static long wf_syscall(long number, long a, long b, long c, long d, long e, long f) // errno: a leaf
{
    long result = syscall(number, a, b, c, d, e, f);
    return result < 0 ? -errno : result;
}
#endif

// wf_syscall_retry makes the call again when a signal has interrupted it.
static inline long wf_syscall_retry(long number, long a, long b, long c, long d, long e, long f)
{
    long result;

    do {
        result = wf_syscall(number, a, b, c, d, e, f);
    } while (wf_unlikely(result == -EINTR));
    return result;
}

#endif
