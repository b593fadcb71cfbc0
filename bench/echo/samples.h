// Latencies, each one kept: percentiles are exact then, and the sorting and interpolating is the GNU Scientific
// Library's.
#ifndef BENCH_ECHO_SAMPLES_H
#define BENCH_ECHO_SAMPLES_H

#include <stddef.h>

enum { SAMPLES_MAX = 1 << 27 }; // address space for a quarter of an hour at 150 000 a second; touched as it fills

struct samples {
    float *ns; // 24 bits of mantissa: exact up to 16 ms, to a millionth beyond
    size_t count;
};

// samples_init reserves the room. Returns: 0; -ENOMEM.
int samples_init(struct samples *s);
void samples_fini(struct samples *s);

// samples_add keeps one more; what comes when there is no room left is dropped.
static inline void samples_add(struct samples *s, double ns)
{
    if (s->count < SAMPLES_MAX)
        s->ns[s->count++] = (float)ns;
}

// samples_sort must come before samples_at.
void samples_sort(struct samples *s);

// samples_at is the quantile `part` (0 to 1) of samples that are sorted and not empty; samples_mean their mean.
double samples_at(const struct samples *s, double part);
double samples_mean(const struct samples *s);

#endif
