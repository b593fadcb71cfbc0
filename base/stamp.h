// Time stamps. Where the processors have counters that all count at the same constant
// rate, a stamp is the counter, which is cheaper than the clock; elsewhere a stamp is
// the clock. A stamp is converted to nanoseconds later, by two moments at which both
// the counter and the clock were read.
#ifndef WF_BASE_STAMP_H
#define WF_BASE_STAMP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

// wf_stamp_counts tells whether the processor's counter is sound: on x86-64 if the
// processor says that its rate never changes, and the kernel has not taken it off its
// list of clocks, as it does when the processors' counters differ; on aarch64 always.
bool wf_stamp_counts(void);

// wf_stamp reads the counter, or the clock. `counts` is what wf_stamp_counts told.
static inline uint64_t wf_stamp(bool counts)
{
#if defined(__x86_64__)
    if (counts)
        return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    if (counts) {
        uint64_t stamp;
        __asm__ volatile("mrs %0, cntvct_el0" : "=r"(stamp));
        return stamp;
    }
#endif
    (void)counts;
    return (uint64_t)wf_now_real();
}

// A moment: the stamp and the clock, read together.
struct wf_moment {
    uint64_t stamp;
    int64_t ns;
};

static inline struct wf_moment wf_moment(bool counts)
{
    return (struct wf_moment){ wf_stamp(counts), wf_now_real() };
}

// wf_stamp_ns converts a stamp to nanoseconds of the clock, by two moments, `from`
// before `to`. They should lie milliseconds apart: reading both takes some 50 ns.
static inline int64_t wf_stamp_ns(uint64_t stamp, const struct wf_moment *from, const struct wf_moment *to)
{
    int64_t span = (int64_t)(to->stamp - from->stamp), since = (int64_t)(stamp - from->stamp);
    double rate = span > 0 ? (double)(to->ns - from->ns) / (double)span : 0; // 53 bits: nanoseconds of months
    double ns = (double)since * rate;

    return from->ns + (int64_t)(ns < 0 ? ns - 0.5 : ns + 0.5);
}

#endif
