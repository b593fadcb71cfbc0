// A test run: a runtime without threads. The calling thread is its worker, which draws
// tasks at random (sched/sim.c); the run moves its clock by hand. This header is what
// the files of runtime/sim/ share.
#ifndef WF_RUNTIME_SIM_SIM_H
#define WF_RUNTIME_SIM_SIM_H

#include <weft/test.h>

#include "base/clock.h"
#include "runtime/state.h"

// Only the thread that runs the test uses this, except the clock.
struct wf_test {
    weft_test_config cfg;          // fixed
    weft_rt *rt;                   // fixed
    struct wf_sim *draw;           // fixed
    struct wf_idle_source reactor; // fixed: the reactor's poll
    struct wf_clock clock;         // A: written by this thread; blocking calls read it, too

    weft_task *first;   // fn's
    uint64_t seed;      // of this run; so is all that follows
    uint64_t trace;     // so far
    uint64_t rng;       // for weft_test_below
    uint64_t calls;     // for the order of blocking calls
    uint64_t turns;     // so far
    uint64_t dismissed; // `turns` at the last cancel of all tasks, plus 1; 0: none
    uint64_t stuck;     // `turns` when no event was left that could wake a task, plus 1
    bool deadlock;
};

// The present or last test run of a thread.
struct wf_test_thread {
    struct wf_test *now;  // NULL between runs
    uint64_t seed, trace; // of the last run
};

// wf_test_thread is the calling thread's. Never keep it across a park (sched/thread.h).
struct wf_test_thread *wf_test_thread(void);

// wf_test_idle_source is what the idle worker calls.
struct wf_idle_source wf_test_idle_source(struct wf_test *t);

// wf_test_pass_time is called when the ready tasks have only yielded for many turns.
// `self`: a struct wf_test.
void wf_test_pass_time(void *self);

// wf_test_dismiss refuses new tasks, and cancels all.
void wf_test_dismiss(struct wf_test *t);

// wf_test_name_seed prints on stderr what happened, and how to run the seed again. It
// may be called in a signal handler.
void wf_test_name_seed(const char *what, uint64_t seed);

// wf_test_signals_begin installs a handler that prints the seed if the program aborts,
// and makes SIGPIPE do nothing on this thread, as on weft's own threads.
// wf_test_signals_end ends both. Returns: the argument of wf_test_signals_end.
bool wf_test_signals_begin(void);
void wf_test_signals_end(bool spared);

#endif
