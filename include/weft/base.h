// What every public header needs: linkage, visibility, and the types that several
// headers share.
#ifndef WEFT_BASE_H
#define WEFT_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define WEFT_BEGIN_DECLS extern "C" {
#define WEFT_END_DECLS }
#else
#define WEFT_BEGIN_DECLS
#define WEFT_END_DECLS
#endif

#if defined(__GNUC__)
#define WEFT_API __attribute__((visibility("default")))
#define WEFT_MUST_CHECK __attribute__((warn_unused_result))
#else
#define WEFT_API
#define WEFT_MUST_CHECK
#endif

WEFT_BEGIN_DECLS

// WEFT_VERSION is the version of the header that the program was compiled with, as
// 0xMMmmpp: major, minor, patch. weft_version returns the version of the library that
// the program runs with.
// Context: any thread. Never parks.
#define WEFT_VERSION 0x000100
WEFT_API unsigned weft_version(void);

// weft_time is a point on the monotonic clock, or a duration, in nanoseconds.
typedef int64_t weft_time;

// WEFT_NEVER is a deadline that never passes. With a deadline in the past a call checks
// once, and does not wait.
#define WEFT_NEVER INT64_MAX

// weft_fn is a task's body. A result of 0 or more is a success, a negative one an
// error.
typedef int weft_fn(void *arg);

typedef struct weft_rt weft_rt;
typedef struct weft_task weft_task;

WEFT_END_DECLS

#endif
