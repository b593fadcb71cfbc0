// A histogram of durations, each bucket twice as wide as the previous one. One thread
// adds; others read and sum.
#ifndef WF_BASE_HISTOGRAM_H
#define WF_BASE_HISTOGRAM_H

#include <stdint.h>

#include "base/atomic.h"

enum { WF_HISTOGRAM_BUCKETS = 24, WF_HISTOGRAM_FIRST_BITS = 10 };

// bucket[i] counts the durations that are shorter than 1024 << i ns and in no earlier
// bucket; the last bucket counts all longer ones. A: written by the owner
struct wf_histogram {
    _Atomic uint64_t sum; // A: ns
    _Atomic uint64_t bucket[WF_HISTOGRAM_BUCKETS];
};

// wf_histogram_bucket is the bucket of a duration.
static inline unsigned wf_histogram_bucket(int64_t ns)
{
    uint64_t units = ns < 0 ? 0 : (uint64_t)ns >> WF_HISTOGRAM_FIRST_BITS;
    unsigned i = units == 0 ? 0 : 64 - (unsigned)__builtin_clzll(units);
    return i < WF_HISTOGRAM_BUCKETS ? i : WF_HISTOGRAM_BUCKETS - 1;
}

// wf_histogram_add counts `n` durations of `ns` each.  Context: its only writer.
static inline void wf_histogram_add(struct wf_histogram *h, int64_t ns, uint64_t n)
{
    wf_bump(&h->sum, (uint64_t)(ns < 0 ? 0 : ns) * n);
    wf_bump(&h->bucket[wf_histogram_bucket(ns)], n);
}

#endif
