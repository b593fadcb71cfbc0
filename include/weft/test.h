// Tests of programs that use weft: a whole runtime on the calling thread, with a
// virtual clock, and scheduled deterministically from a seed.
//
//     static int ask_in_time(void *arg)                // a task; a result below 0 is a failure
//     {
//         weft_future answer = WEFT_FUTURE_INIT;
//         if (weft_spawn(NULL, ask_for_it, &answer))
//             return -ENOMEM;
//         int err = weft_await_until(&answer, NULL, weft_after(WEFT_S(3600)));   // costs no time
//         ...
//     }
//
//     int main(void)
//     {
//         return weft_test_seeds(NULL, 1, 1000, ask_in_time, NULL) < 0;   // 1000 runs, each in another order
//     }
//
// Order. Whenever a task parks, yields or ends, any ready task may run next; the seed
// determines which. A call that may park, but need not wait, sometimes lets other tasks
// run first. So weft's guarantees about turns do not hold here (after weft_yield the
// caller may run next again); all others do. The same seed gives the same order in
// every run and every process.
//
// Time. weft_now() begins at WEFT_TEST_START and stands still while a task is ready.
// When all tasks are parked it advances exactly to the next deadline; all tasks with
// that deadline become ready together, in any order. Sleeping takes no real time. The
// clock also advances if all ready tasks only yield for a few hundred turns each, or if
// at no point in 100 000 turns all tasks are parked.
//
// Blocking calls (weft_blocking, and what uses it) begin when all tasks are parked, one
// at a time, in an order from the seed. Time stands still until they end, so the run is
// the same however long they take. If nothing happens for a second, the next one
// begins, or time advances.
//
// Deadlock. If all tasks are parked and nothing can wake one (no deadline, no
// descriptor that a task waits on, no blocking call), the run prints one line for each
// task to stderr: id, name, and what it waits for. It then cancels every task, so that
// nothing is left behind, and fails with -EDEADLK.
//
// The seed does not control what is outside the runtime: other threads and processes,
// the readiness of descriptors whose other end is outside, addresses, and clocks other
// than weft's. Sockets and pipes between tasks of the run are reproducible in practice.
// All tasks share one thread, and each runs until it makes a call that may park. So two
// tasks that write a variable without such a call in between do not race here; use
// ThreadSanitizer with an ordinary runtime to find that.
//
// Several threads may each run tests at the same time; ordinary runtimes in the process
// are not affected. Only the run's own thread, and the threads of its blocking calls,
// use the virtual clock.
#ifndef WEFT_TEST_H
#define WEFT_TEST_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

// WEFT_TEST_START is where weft_now() begins in each run.
#define WEFT_TEST_START ((weft_time)1000 * 1000000000)

// weft_test_config: start from WEFT_TEST_CONFIG_INIT and set what you need.
typedef struct weft_test_config {
    size_t size;       // sizeof(weft_test_config): lets the struct grow
    uint64_t seed;     // of weft_test_run. 0: WEFT_SEED of the environment, else from the system
    size_t stack_size; // as in weft_config
    weft_time outside; // how long (in real time) to wait for threads and processes outside the runtime, each time
                       // that all tasks are parked, before a deadlock is reported, or time advances (then no
                       // longer than until the next deadline); 0: not at all; WEFT_NEVER: without limit
    bool abort_on_deadlock;                         // once it is reported: for a debugger
    void (*turn)(void *arg, const weft_task *next); // NULL, or called before each turn of a task, to record the order;
                                                    // it may read the task's number and name, and weft_now()
    void *turn_arg;
} weft_test_config;

#ifdef __cplusplus
#define WEFT_TEST_CONFIG_INIT \
    { \
        sizeof(weft_test_config), 0, 0, 0, false, nullptr, nullptr \
    }
#else
#define WEFT_TEST_CONFIG_INIT \
    { \
        .size = sizeof(weft_test_config) \
    }
#endif

// weft_test_run is weft_run as described above: it runs `fn(arg)` as a task, cancels
// the tasks that are left when it ends, and waits for them. Tasks are numbered from 1
// in each run; `fn` is task 1. `cfg` may be NULL.
//
// If a run fails under a seed that the caller did not choose, or if the program aborts
// (assert) in the run, weft prints the seed to stderr. Set weft_test_config.seed, or
// WEFT_SEED in the environment, to repeat the run.
//
// Returns: what fn returned; -EDEADLK; if the runtime could not be built:
//          WEFT_BAD_CONFIG, -ENOMEM, -EMFILE.
// Context: a thread that is not a worker. It runs the tasks itself; during the call
//          SIGPIPE has no effect on it, as on weft's threads (weft/runtime.h). Task
//          handles that were neither joined nor detached are invalid when it returns.
WEFT_API int weft_test_run(const weft_test_config *cfg, weft_fn *fn, void *arg);

// weft_test_seeds runs `fn(arg)` repeatedly, under the `n` seeds `first`, `first` + 1,
// and so on. It stops at the first run that fails, and prints its seed. `first` 0: a
// random number from the system, so that each call tries other seeds.
// WEFT_SEED in the environment: only that seed. All runs share one runtime, so that
// thousands of them are cheap.
//
// Returns: 0; the result below 0 of the run that failed; errors as weft_test_run.
// Context: as weft_test_run.
WEFT_API int weft_test_seeds(const weft_test_config *cfg, uint64_t first, unsigned n, weft_fn *fn, void *arg);

// weft_test_seed is the seed of the calling task's run; after a run, of the calling
// thread's last run.
// Context: task of the run, or the thread that ran it. Never parks; weft_test_trace the
//          same.
WEFT_API uint64_t weft_test_seed(void);

// weft_test_trace is a hash of the run so far: which task was chosen each time, among
// how many, and when. Two runs with the same trace had the same schedule.
WEFT_API uint64_t weft_test_trace(void);

// weft_test_below draws a random number from [0, n), n > 0, from the seed, for the
// test's own choices.
// Context: task of a test run. Never parks.
WEFT_API uint32_t weft_test_below(uint32_t n);

WEFT_END_DECLS

#endif
