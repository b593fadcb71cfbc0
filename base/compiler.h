// Small macros that C lacks. None of them hides control flow.
#ifndef WF_BASE_COMPILER_H
#define WF_BASE_COMPILER_H

#include <stddef.h>
#include <stdint.h>

// x86-64 prefetches pairs of lines, so data 64 bytes apart still interfere.
#define WF_CACHE_LINE 64
#define WF_NO_SHARING 128

#define wf_likely(x) __builtin_expect(!!(x), 1)
#define wf_unlikely(x) __builtin_expect(!!(x), 0)
#define WF_NOINLINE __attribute__((noinline))
#define WF_LINE_ALIGNED __attribute__((aligned(WF_CACHE_LINE))) // a function that begins a cache line
#define WF_MUST_CHECK __attribute__((warn_unused_result))
#define WF_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

#define wf_container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define wf_countof(array) (sizeof(array) / sizeof((array)[0]))

// The sanitizer for which this file is compiled (gcc and clang have different macros).
#if defined(__SANITIZE_ADDRESS__)
#define WF_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WF_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define WF_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WF_TSAN 1
#endif
#endif

#endif
