#include "bench/echo/samples.h"

#include <errno.h>
#include <gsl/gsl_sort_float.h>
#include <gsl/gsl_statistics_float.h>
#include <sys/mman.h>

int samples_init(struct samples *s)
{
    void *p = mmap(NULL, SAMPLES_MAX * sizeof(*s->ns), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return -ENOMEM;
    s->ns = p;
    s->count = 0;
    return 0;
}

void samples_fini(struct samples *s)
{
    if (s->ns)
        munmap(s->ns, SAMPLES_MAX * sizeof(*s->ns));
}

void samples_sort(struct samples *s)
{
    gsl_sort_float(s->ns, 1, s->count);
}

double samples_at(const struct samples *s, double part)
{
    return gsl_stats_float_quantile_from_sorted_data(s->ns, 1, s->count, part);
}

double samples_mean(const struct samples *s)
{
    return gsl_stats_float_mean(s->ns, 1, s->count);
}
