// What the micro benchmarks share: how one is described, how it repeats, and how it
// reports.
//
// Each runs in a process of its own, forked before any runtime exists, so that its peak
// memory is its own and a crash of one does not end the others.
#ifndef WEFT_BENCH_MICRO_H
#define WEFT_BENCH_MICRO_H

#include "bench/micro/bodies.h"

#include <stddef.h>

enum { MICRO_LINES_MAX = 4 };

// One line of output: a benchmark has one, named as itself (suffix ""), or several
// ("skynet" and "skynet.rss").
struct micro_line {
    const char *suffix; // NULL ends the list
    const char *unit;
};

// A run of one benchmark, in its own process.
struct micro {
    const struct micro_bench *bench;
    unsigned workers;              // above 0
    unsigned reps;                 // above 0
    double value[MICRO_LINES_MAX]; // of each line: what the run is for
};

// A repetition: measures once, and returns what it measured in the benchmark's unit.
typedef double micro_once(struct micro *m);

// What a benchmark does is one of these: `run` outside of any runtime, or `task` in
// one; they get a struct micro, and set its values. Or `once` or a body, which is
// repeated in a task; its median is the first line, and a line .rss the peak memory. Of
// a body that is its time (unit ms), the time of each of its operations (ns/...), or
// how many of them are done in a time (Mmsg/s).
struct micro_bench {
    const char *name;
    unsigned reps; // how many repetitions the median is taken of, unless --reps says otherwise
    struct micro_line lines[MICRO_LINES_MAX + 1];
    void (*run)(struct micro *m);
    weft_fn *task;
    micro_once *once;
    micro_body *body;
    long n, parties, each; // arguments of the body, and how many operations it does
    unsigned workers;      // so many, whatever was asked for; 0: as asked for
};

// The comment at each says what it does; further bodies are in bodies.h.
void micro_switch_bare(struct micro *m);
void micro_spawn_outside(struct micro *m);
void micro_wake_idle(struct micro *m);
void micro_wake_busy(struct micro *m);
weft_fn micro_sleep_1m, micro_timer_late, micro_idle_task;
micro_once micro_timer_cancel_all;
micro_body micro_skynet, micro_transfer_1, micro_transfer_8, micro_lock, micro_timer_bare, micro_blocking, micro_pread,
    micro_pread_pool;

// micro_run carries out the benchmark of `m`.
void micro_run(struct micro *m);

// micro_median runs `once` as a warm-up, then m->reps times, and returns the median;
// micro_median_of sorts n values.
double micro_median(struct micro *m, micro_once *once);
double micro_median_of(double *values, size_t n);

// micro_tails sorts n values, and sets the first two lines to the median and the 99th
// percentile.
void micro_tails(struct micro *m, double *values, size_t n);

// micro_rt is a runtime for a benchmark whose main thread is not of weft; free it with
// weft_rt_free.
weft_rt *micro_rt(struct micro *m);

// micro_alloc returns zeroed memory that is resident: its page faults are over. Ends
// the program if there is none.
void *micro_alloc(size_t n, size_t size);

// micro_rss is the resident memory of this process now, micro_rss_peak the most it has
// been; in bytes.
double micro_rss(void);
double micro_rss_peak(void);

#endif
