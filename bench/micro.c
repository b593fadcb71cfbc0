// Measuring: repetitions, medians, memory, and failing loudly.
#include "bench/micro.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

void micro_die_error(int err, const char *what)
{
    fprintf(stderr, "weft-bench: %s: %s\n", what, weft_strerror(err));
    abort();
}

void micro_die_value(long long got, long long expected, const char *what)
{
    fprintf(stderr, "weft-bench: %s: got %lld, expected %lld\n", what, got, expected);
    abort();
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void micro_sort(double *values, size_t n)
{
    qsort(values, n, sizeof *values, compare);
}

double micro_rank(const double *sorted, size_t n, double p)
{
    size_t at = (size_t)(p * (double)n);
    return sorted[at < n ? at : n - 1];
}

double micro_median(struct micro *m, micro_once *once)
{
    const size_t n = (size_t)m->reps;
    double *values = micro_alloc(n, sizeof *values);

    (void)once(m);
    for (size_t i = 0; i < n; i++)
        values[i] = once(m);
    micro_sort(values, n);
    const double median = (values[(n - 1) / 2] + values[n / 2]) / 2;
    free(values);
    return median;
}

struct median {
    struct micro *m;
    micro_once *once;
    double value;
};

static int median_task(void *arg)
{
    struct median *d = arg;
    d->value = micro_median(d->m, d->once);
    return 0;
}

static weft_config config(const struct micro *m)
{
    weft_config cfg = WEFT_CONFIG_INIT;
    cfg.workers = m->workers;
    return cfg;
}

double micro_task_median(struct micro *m, micro_once *once)
{
    struct median d = { .m = m, .once = once };
    const weft_config cfg = config(m);
    micro_ok(weft_run(&cfg, median_task, &d), "run");
    return d.value;
}

void micro_task(struct micro *m, weft_fn *body)
{
    const weft_config cfg = config(m);
    micro_ok(weft_run(&cfg, body, m), "run");
}

weft_rt *micro_rt(struct micro *m)
{
    weft_rt *rt;
    const weft_config cfg = config(m);
    micro_ok(weft_rt_new(&rt, &cfg), "start a runtime");
    return rt;
}

void *micro_alloc(size_t n, size_t size)
{
    void *p = calloc(n, size);
    if (!p) {
        fprintf(stderr, "weft-bench: no memory for %zu times %zu bytes\n", n, size);
        abort();
    }
    // calloc hands out untouched pages; a write to each makes it resident.
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t at = 0; at < n * size; at += page)
        ((volatile char *)p)[at] = 0;
    return p;
}

// status_kib reads a line such as "VmHWM:     1234 kB" of /proc/self/status.
static double status_kib(const char *field)
{
    char line[256];
    double kib = -1;
    FILE *f = fopen("/proc/self/status", "re");

    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, field, strlen(field)) == 0)
            kib = strtod(line + strlen(field), NULL);
    }
    if (f)
        fclose(f);
    if (kib < 0) {
        fprintf(stderr, "weft-bench: no %s in /proc/self/status\n", field);
        abort();
    }
    return kib;
}

double micro_rss(void)
{
    return status_kib("VmRSS:") * 1024;
}

double micro_rss_peak(void)
{
    return status_kib("VmHWM:") * 1024;
}

static weft_time from_timeval(struct timeval t)
{
    return WEFT_S(t.tv_sec) + WEFT_US(t.tv_usec);
}

weft_time micro_cpu(void)
{
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) != 0) {
        perror("weft-bench: getrusage");
        abort();
    }
    return from_timeval(u.ru_utime) + from_timeval(u.ru_stime);
}
