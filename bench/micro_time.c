// Sleeping: a million at once, and how late one is.
#include <stdlib.h>

#include "bench/micro.h"

static int sleep_1s(void *arg)
{
    (void)arg;
    micro_ok(weft_sleep(WEFT_S(1)), "sleep");
    return 0;
}

// Wall and CPU time of each repetition; the first one warms up.
struct sleep_1m {
    struct micro *m;
    weft_task **tasks;
    double *wall_ms, *cpu_ms;
};

static void sleep_1m_once(struct sleep_1m *s, int rep)
{
    const weft_time wall = weft_now(), cpu = micro_cpu();
    for (int i = 0; i < MICRO_MILLION; i++)
        s->tasks[i] = micro_spawn(sleep_1s, NULL);
    for (int i = 0; i < MICRO_MILLION; i++)
        micro_expect(micro_join(s->tasks[i]), 0, "a sleeper's result");
    const weft_time slept = weft_now() - wall;

    if (slept < WEFT_S(1))
        micro_expect(slept, WEFT_S(1), "a sleep of 1 s, in ns");
    s->wall_ms[rep] = (double)slept / 1e6;
    s->cpu_ms[rep] = (double)(micro_cpu() - cpu) / 1e6;
}

static double sorted_median(double *values, int n)
{
    micro_sort(values, (size_t)n);
    return (values[(n - 1) / 2] + values[n / 2]) / 2;
}

static int sleep_1m_task(void *arg)
{
    struct sleep_1m s = { .m = arg };
    const size_t reps = (size_t)s.m->reps;

    s.tasks = micro_alloc(MICRO_MILLION, sizeof *s.tasks);
    s.wall_ms = micro_alloc(reps, sizeof *s.wall_ms);
    s.cpu_ms = micro_alloc(reps, sizeof *s.cpu_ms);
    sleep_1m_once(&s, 0);
    for (int i = 0; i < s.m->reps; i++)
        sleep_1m_once(&s, i);

    s.m->value[0] = sorted_median(s.wall_ms, s.m->reps);
    s.m->value[1] = sorted_median(s.cpu_ms, s.m->reps);
    s.m->value[2] = micro_rss_peak() / (1 << 20);
    free(s.cpu_ms);
    free(s.wall_ms);
    free(s.tasks);
    return 0;
}

void micro_sleep_1m(struct micro *m)
{
    micro_task(m, sleep_1m_task);
}

enum { SLEEPS = 1000 };

// A moment between 0.1 and 10 ms away; the same row of them every time.
static weft_time some_duration(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u; // Knuth's MMIX generator
    return WEFT_US(100) + (weft_time)((*state >> 33) % (uint64_t)WEFT_US(9900));
}

// How late, in microseconds, a task runs again after sleeping until a given moment.
static int timer_late_task(void *arg)
{
    struct micro *m = arg;
    const size_t n = (size_t)m->reps * SLEEPS;
    double *late_us = micro_alloc(n, sizeof *late_us);
    uint64_t random = 1;

    micro_ok(weft_sleep(WEFT_MS(20)), "sleep"); // the runtime has come to rest
    for (size_t i = 0; i < n; i++) {
        const weft_time when = weft_after(some_duration(&random));
        micro_ok(weft_sleep_until(when), "sleep");
        late_us[i] = (double)(weft_now() - when) / 1e3;
        if (late_us[i] < 0)
            micro_expect((long long)late_us[i], 0, "a sleep's end, in us after its deadline");
    }
    micro_sort(late_us, n);
    m->value[0] = micro_rank(late_us, n, 0.50);
    m->value[1] = micro_rank(late_us, n, 0.99);
    free(late_us);
    return 0;
}

void micro_timer_late(struct micro *m)
{
    micro_task(m, timer_late_task);
}
