// Sleeping and deadlines: a million sleeps at once, how late one is, and timers on
// every worker.
#include "bench/micro/micro.h"

#include <sched.h>
#include <stdlib.h>
#include <time.h>

static int sleep_1s(void *arg)
{
    (void)arg;
    micro_ok(weft_sleep(WEFT_S(1)), "sleep");
    return 0;
}

// The CPU time of all threads of this process so far, in ns.
static weft_time read_cpu(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return WEFT_S(ts.tv_sec) + ts.tv_nsec;
}

static double *cpu_ms; // of each repetition

static double sleep_1m_once(struct micro *m)
{
    const weft_time wall = weft_now(), cpu = read_cpu();
    (void)m;
    micro_together(MICRO_MILLION, sleep_1s, NULL);
    const weft_time slept = weft_now() - wall;

    if (slept < WEFT_S(1))
        micro_expect(slept, WEFT_S(1), "a sleep of 1 s, in ns");
    *cpu_ms++ = (double)(read_cpu() - cpu) / 1e6;
    return (double)slept / 1e6;
}

int micro_sleep_1m(void *arg)
{
    struct micro *m = arg;
    double *all = cpu_ms = micro_alloc((size_t)m->reps + 1, sizeof *all);

    m->value[0] = micro_median(m, sleep_1m_once);
    m->value[1] = micro_median_of(all + 1, (size_t)m->reps); // the first one warms up
    m->value[2] = micro_rss_peak() / (1 << 20);
    free(all);
    return 0;
}

// --- timer_cancel_all ----------------------------------------------------------------

// The same as timer_cancel on every worker at once. As none of the tasks parks before
// all have begun, each has a worker for itself. The figure is the time that one timer
// takes on one worker: as alone, if they do not disturb each other.
struct member {
    struct member *all;
    unsigned size; // of the crowd
    weft_future here;
    weft_task *task;
    weft_time took;
};

static int cancel_with_others(void *arg)
{
    struct member *me = arg;

    weft_future_complete(&me->here, 0);
    for (unsigned i = 0; i < me->size; i++)
        while (!weft_future_done(&me->all[i].here))
            sched_yield();
    me->took = micro_deadline(MICRO_MILLION, 1);
    return 0;
}

double micro_timer_cancel_all(struct micro *m)
{
    const unsigned n = m->workers;
    struct member *members = micro_alloc(n, sizeof *members);
    weft_time sum = 0;

    for (unsigned i = 0; i < n; i++)
        members[i] = (struct member){ .all = members, .size = n, .here = WEFT_FUTURE_INIT };
    for (unsigned i = 0; i < n; i++)
        members[i].task = micro_spawn(cancel_with_others, &members[i]);
    for (unsigned i = 0; i < n; i++) {
        micro_join(members[i].task);
        sum += members[i].took;
    }
    free(members);
    return (double)sum / n / MICRO_MILLION;
}

// --- timer_late ----------------------------------------------------------------------

enum { SLEEPS = 1000 };

// A moment between 0.1 and 10 ms away; the same row of them every time.
static weft_time draw_duration(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u; // Knuth's MMIX generator
    return WEFT_US(100) + (weft_time)((*state >> 33) % (uint64_t)WEFT_US(9900));
}

// How late, in microseconds, a task runs again after sleeping until a given moment.
int micro_timer_late(void *arg)
{
    struct micro *m = arg;
    const size_t n = (size_t)m->reps * SLEEPS;
    double *late_us = micro_alloc(n, sizeof *late_us);
    uint64_t random = 1;

    micro_ok(weft_sleep(WEFT_MS(20)), "sleep"); // the runtime has come to rest
    for (size_t i = 0; i < n; i++) {
        const weft_time when = weft_after(draw_duration(&random));
        micro_ok(weft_sleep_until(when), "sleep");
        late_us[i] = (double)(weft_now() - when) / 1e3;
        micro_ok(late_us[i] < 0 ? -1 : 0, "a sleep ended before its deadline");
    }
    micro_tails(m, late_us, n);
    free(late_us);
    return 0;
}
