// What the micro benchmarks share: how a benchmark is described, how it repeats, and how it reports.
//
// Each benchmark runs in a process of its own, forked before any runtime exists, so that its peak memory is its own and
// a crash of one does not end the others.
#ifndef WEFT_BENCH_MICRO_H
#define WEFT_BENCH_MICRO_H

#include <stddef.h>
#include <weft.h>

enum { MICRO_MILLION = 1000000, MICRO_LINES_MAX = 4 };

// One line of output: a benchmark has one, named as itself (suffix ""), or several ("skynet" and "skynet.rss").
struct micro_line {
    const char *suffix; // NULL ends the list
    const char *unit;
};

struct micro;

struct micro_bench {
    const char *name;
    int reps; // how many repetitions the median is taken of, unless --reps says otherwise
    void (*run)(struct micro *m);
    struct micro_line lines[MICRO_LINES_MAX + 1];
};

// A run of one benchmark, in its own process.
struct micro {
    unsigned workers;              // above 0
    int reps;                      // above 0
    double value[MICRO_LINES_MAX]; // of each line: what the run is for
};

// The benchmarks; the comment at each says what one run does.
void micro_switch(struct micro *m);
void micro_switch_bare(struct micro *m);
void micro_timer_bare(struct micro *m);
void micro_timer_cancel(struct micro *m);
void micro_timer_cancel_all(struct micro *m);
void micro_yield_1(struct micro *m);
void micro_yield_1000(struct micro *m);
void micro_spawn_join_seq(struct micro *m);
void micro_spawn_join_batch(struct micro *m);
void micro_spawn_outside(struct micro *m);
void micro_chained_spawn(struct micro *m);
void micro_pingpong_1(struct micro *m);
void micro_pingpong_1000(struct micro *m);
void micro_skynet(struct micro *m);
void micro_fib32(struct micro *m);
void micro_mpsc_1p(struct micro *m);
void micro_mpsc_8p(struct micro *m);
void micro_mpmc_8x8(struct micro *m);
void micro_mutex_1(struct micro *m);
void micro_mutex_8(struct micro *m);
void micro_scope_100k(struct micro *m);
void micro_select_2(struct micro *m);
void micro_select_64(struct micro *m);
void micro_sleep_1m(struct micro *m);
void micro_timer_late(struct micro *m);
void micro_idle_task(struct micro *m);
void micro_wake_idle(struct micro *m);
void micro_wake_busy(struct micro *m);

// A repetition: measures once, and returns what it measured in the benchmark's unit.
typedef double micro_once(struct micro *m);

// micro_median runs `once` as a warm-up, then m->reps times, and returns the median.
double micro_median(struct micro *m, micro_once *once);

// micro_task_median is micro_median inside a task: it starts a runtime, and stops it.
double micro_task_median(struct micro *m, micro_once *once);

// micro_task runs `body(m)` as the main task of a runtime.
void micro_task(struct micro *m, weft_fn *body);

// micro_rt is a runtime for a benchmark whose main thread is not of weft; free it with weft_rt_free.
weft_rt *micro_rt(struct micro *m);

// micro_sort sorts; micro_rank is the value that a share `p` (0 to 1) of n sorted values do not exceed.
void micro_sort(double *values, size_t n);
double micro_rank(const double *sorted, size_t n, double p);

// micro_alloc returns zeroed memory that is resident: its page faults are over. Ends the program if there is none.
void *micro_alloc(size_t n, size_t size);

// micro_rss is the resident memory of this process now, micro_rss_peak the most it has been; in bytes.
double micro_rss(void);
double micro_rss_peak(void);

// micro_cpu is the CPU time of all threads of this process so far, in ns.
weft_time micro_cpu(void);

// A figure of something that went wrong says nothing: these end the program, loudly. Inline, because they surround
// calls of a few nanoseconds.
_Noreturn void micro_die_error(int err, const char *what);
_Noreturn void micro_die_value(long long got, long long expected, const char *what);

static inline void micro_ok(int err, const char *what)
{
    if (err < 0)
        micro_die_error(err, what);
}

static inline void micro_expect(long long got, long long expected, const char *what)
{
    if (got != expected)
        micro_die_value(got, expected, what);
}

static inline weft_task *micro_spawn(weft_fn *fn, void *arg)
{
    weft_task *t;
    micro_ok(weft_spawn(&t, fn, arg), "spawn");
    return t;
}

static inline int micro_join(weft_task *t)
{
    int result;
    micro_ok(weft_join(t, &result), "join");
    return result;
}

#endif
