// The clock: monotonic nanoseconds; a thread may use a manual clock instead.
#ifndef WF_BASE_CLOCK_H
#define WF_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define WF_NEVER INT64_MAX

// wf_now reads the calling thread's clock: the real one, unless wf_clock_use has set
// another.
// Context: any thread.
int64_t wf_now(void);

// wf_now_real reads the real clock, even if the calling thread uses another.
int64_t wf_now_real(void);

// A manual clock, which its user moves.
struct wf_clock {
    _Atomic int64_t now; // A: relaxed: the thread that moves it wakes the sleepers by other means
};

// wf_clock_use makes `c` the calling thread's clock; NULL: the real one. Returns: its
// clock before.
struct wf_clock *wf_clock_use(struct wf_clock *c);

// wf_clock_used is the calling thread's clock, NULL if that is the real one.
struct wf_clock *wf_clock_used(void);

// For unit tests of one thread: wf_clock_set_manual gives the calling thread a clock
// that shows `now`, wf_clock_advance moves it, and wf_clock_set_real returns to real
// time. All callers share one clock.
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

// wf_timespec converts nanoseconds; a negative time becomes zero.
static inline struct timespec wf_timespec(int64_t ns)
{
    if (ns < 0)
        ns = 0;
    return (struct timespec){ .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
}

#endif
