// Latencies, each one kept: percentiles are exact then, and the sorting and
// interpolating is the GNU Scientific Library's.
#ifndef BENCH_ECHO_SAMPLES_H
#define BENCH_ECHO_SAMPLES_H

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

enum { SAMPLES_MAX = 1 << 27 }; // address space for a quarter of an hour at 150 000 a second; touched as it fills

struct samples {
    float *ns; // 24 bits of mantissa: exact up to 16 ms, to a millionth beyond
    size_t count;
};

// samples_init reserves the room. Returns: 0; -ENOMEM.
static inline int samples_init(struct samples *s)
{
    void *p = mmap(NULL, SAMPLES_MAX * sizeof(*s->ns), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    *s = (struct samples){ .ns = p == MAP_FAILED ? NULL : p };
    return s->ns ? 0 : -ENOMEM;
}

static inline void samples_fini(struct samples *s)
{
    if (s->ns)
        munmap(s->ns, SAMPLES_MAX * sizeof(*s->ns));
}

// samples_add keeps one more; what comes when there is no room left is dropped.
static inline void samples_add(struct samples *s, double ns)
{
    if (s->count < SAMPLES_MAX)
        s->ns[s->count++] = (float)ns;
}

#endif
