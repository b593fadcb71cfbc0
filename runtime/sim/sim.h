// A test run: a runtime without threads. The calling thread is its worker, by lot
// (sched/sim.c), and its clock is moved by hand. What the files of runtime/sim/
// share.
#ifndef WF_RUNTIME_TEST_TEST_H
#define WF_RUNTIME_TEST_TEST_H

#include <weft/test.h>

#include "base/clock.h"
#include "runtime/state.h"

// All of the thread that runs it, but for the clock.
struct wf_test {
    weft_test_config cfg;          // fixed
    weft_rt *rt;                   // fixed
    struct wf_sim *draw;           // fixed
    struct wf_idle_source reactor; // fixed: its poll
    struct wf_clock clock;         // A: written by this thread, read by blocking calls, too

    weft_task *first;   // fn's
    uint64_t seed;      // of this run, as all that follows
    uint64_t trace;     // so far
    uint64_t rng;       // for weft_test_below
    uint64_t calls;     // for the order of blocking calls
    uint64_t turns;     // so far
    uint64_t dismissed; // `turns` when all were cancelled last, plus 1; 0: they were not
    uint64_t stuck;     // `turns` when nothing was found that could wake a task, plus 1
    bool deadlock;
};

// What a thread knows of its test.
struct wf_test_thread {
    struct wf_test *now;  // NULL between runs
    uint64_t seed, trace; // of the last run
};

// wf_test_thread is the calling thread's. Never keep it across a park (sched/thread.h).
struct wf_test_thread *wf_test_thread(void);

// wf_test_idle_source is what the worker turns to when it is dry.
struct wf_idle_source wf_test_idle_source(struct wf_test *t);

// wf_test_pass_time is called when what is ready has done nothing but yield for long.
// `self`: a struct wf_test.
void wf_test_pass_time(void *self);

// wf_test_dismiss lets no new task begin, and cancels all.
void wf_test_dismiss(struct wf_test *t);

// wf_test_name_seed says on stderr what happened, and how to run it again. Also in a
// signal handler.
void wf_test_name_seed(const char *what, uint64_t seed);

// wf_test_signals_begin names the seed should the program abort, and spares the thread
// SIGPIPE, as weft's own threads; wf_test_signals_end ends both. Returns: what
// wf_test_signals_end wants to be told.
bool wf_test_signals_begin(void);
void wf_test_signals_end(bool spared);

#endif
