// The clock: monotonic nanoseconds; tests may put a manual one in its place.
#ifndef WF_BASE_CLOCK_H
#define WF_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define WF_NEVER INT64_MAX

// wf_now reads the clock.  Context: any thread.
int64_t wf_now(void);

// wf_clock_set_manual stops the clock at `now`, wf_clock_advance moves it; wf_clock_set_real goes back to real time.
// For tests of one thread, before other threads start.
void wf_clock_set_manual(int64_t now);
void wf_clock_advance(int64_t by);
void wf_clock_set_real(void);

// wf_after is `from` + `duration`, saturating in both directions.
static inline int64_t wf_after(int64_t from, int64_t duration)
{
    int64_t sum;
    if (__builtin_add_overflow(from, duration, &sum))
        return duration > 0 ? WF_NEVER : INT64_MIN;
    return sum;
}

// wf_timespec converts; a negative time becomes zero.
static inline struct timespec wf_timespec(int64_t ns)
{
    if (ns < 0)
        ns = 0;
    return (struct timespec){ .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
}

#endif
