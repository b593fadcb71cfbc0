// Measuring: repetitions, medians, memory.
#include "bench/micro/micro.h"
#include "bench/echo/watch.h"

#include <errno.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

double micro_median_of(double *values, size_t n)
{
    gsl_sort(values, 1, n);
    return gsl_stats_median_from_sorted_data(values, 1, n);
}

void micro_tails(struct micro *m, double *values, size_t n)
{
    m->value[0] = micro_median_of(values, n);
    m->value[1] = gsl_stats_quantile_from_sorted_data(values, 1, n, 0.99);
}

double micro_median(struct micro *m, micro_once *once)
{
    const size_t n = (size_t)m->reps;
    double *values = micro_alloc(n, sizeof *values);

    (void)once(m);
    for (size_t i = 0; i < n; i++)
        values[i] = once(m);
    const double median = micro_median_of(values, n);
    free(values);
    return median;
}

static weft_config make_config(const struct micro *m)
{
    weft_config cfg = WEFT_CONFIG_INIT;
    cfg.workers = m->workers;
    return cfg;
}

weft_rt *micro_rt(struct micro *m)
{
    weft_rt *rt;
    const weft_config cfg = make_config(m);
    micro_ok(weft_rt_new(&rt, &cfg), "start a runtime");
    return rt;
}

// --- running -------------------------------------------------------------------------

static double run_body(struct micro *m)
{
    const struct micro_bench *b = m->bench;
    const double ns = (double)b->body(b->n, b->parties);

    if (strcmp(b->lines[0].unit, "ms") == 0)
        return ns / 1e6;
    return strncmp(b->lines[0].unit, "ns", 2) == 0 ? ns / (double)b->each : (double)b->each * 1e3 / ns;
}

static int repeat(void *arg)
{
    struct micro *m = arg;
    m->value[0] = micro_median(m, m->bench->once ? m->bench->once : run_body);
    if (m->bench->lines[1].suffix)
        m->value[1] = micro_rss_peak() / (1 << 20);
    return 0;
}

void micro_run(struct micro *m)
{
    const struct micro_bench *b = m->bench;
    if (b->workers)
        m->workers = b->workers;
    const weft_config cfg = make_config(m);
    if (b->run)
        b->run(m);
    else
        micro_ok(weft_run(&cfg, b->task ? b->task : repeat, m), "run");
}

// --- memory --------------------------------------------------------------------------

void *micro_alloc(size_t n, size_t size)
{
    void *p = calloc(n, size);
    micro_ok(p ? 0 : -ENOMEM, "allocate");
    // calloc hands out untouched pages; a write to each makes it resident.
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t at = 0; at < n * size; at += page)
        ((volatile char *)p)[at] = 0;
    return p;
}

static struct memory own_memory(void)
{
    struct memory used;
    micro_ok(watch_memory(getpid(), &used), "read /proc/self/status");
    return used;
}

double micro_rss(void)
{
    return (double)own_memory().rss_kib * 1024;
}

double micro_rss_peak(void)
{
    return (double)own_memory().peak_kib * 1024;
}
