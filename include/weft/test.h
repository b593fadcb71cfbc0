// Tests of programs that use weft: a whole runtime on the calling thread, with a clock that jumps and an order that a
// seed fixes.
//
//     static int ask_in_time(void *arg)                // a task; what it returns below 0 is a failure
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
// Order. Whenever a task parks, yields or ends, any of the tasks that are ready may be the next; the seed says which.
// And a call that may park, but need not, lets others run first now and then. So what weft promises elsewhere about
// turns does not hold here (after weft_yield the caller may be the next once more); all else does. The same seed gives
// the same order, run after run, process after process.
//
// Time. weft_now() begins at WEFT_TEST_START and stands still while a task is ready. When all are parked it jumps to
// the next deadline: exactly there, and all whose deadline that is are ready together, in any order. Sleeping costs
// nothing. Should it come to that tasks do nothing but weft_yield for some hundred turns each, or somebody is ready for
// 100 000 turns on end, time passes even so.
//
// Blocking calls (weft_blocking, and what uses it) begin when all tasks are parked, one at a time, in an order that the
// seed fixes, and time waits for them: however long they take, the run is the same. But if for a second nothing
// happens, the next one begins, or time moves on.
//
// Deadlock. If all tasks are parked and nothing is left that could wake one (no deadline, no descriptor that somebody
// waits on, no blocking call), one line for each task is written to stderr: id, name, and what it waits for. Then every
// task is cancelled, so that nothing is left behind, and the run fails with -EDEADLK.
//
// What the seed does not fix is what it does not know of: other threads, other processes, what the kernel says of
// descriptors that those serve; and a program that goes by addresses, or by a clock that is not weft's. Sockets and
// pipes between tasks of the run are as good as repeatable. What tasks do is on one thread, and each runs until it
// makes a call that may park: two that write to a variable without such a call between do not race here.
// ThreadSanitizer and an ordinary runtime find that.
//
// Each thread may run tests of its own at the same time; ordinary runtimes in the process are not disturbed. Threads
// other than the run's own, and its blocking calls', have the real clock.
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
    weft_time outside; // how long (in real time) to wait for threads and processes that the runtime knows nothing of,
                       // each time that all tasks are parked, before a deadlock is reported, or time jumps (but then no
                       // longer than until the next deadline); 0: not at all; WEFT_NEVER: as long as it takes
    bool abort_on_deadlock;                         // once it is reported: for a debugger
    void (*turn)(void *arg, const weft_task *next); // NULL, or called before each turn of a task, to record the order;
                                                    // it may look at the task's number and name and at weft_now()
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

// weft_test_run is weft_run as described above: it runs `fn(arg)` as a task, cancels what that left running, and waits
// for it. Tasks are numbered from 1 in each run; `fn` is task 1. `cfg` may be NULL.
//
// If it fails under a seed that the caller did not choose, a line on stderr names it, and so it does if the program
// aborts (assert) in the run. Set it in weft_test_config.seed, or as WEFT_SEED in the environment, to see it again.
//
// Returns: what fn returned; -EDEADLK; if the runtime could not be built: WEFT_BAD_CONFIG, -ENOMEM, -EMFILE.
// Context: a thread that is not a worker. It runs the tasks itself; SIGPIPE does nothing to it meanwhile, as it does
//          nothing to weft's threads (weft/runtime.h). Task handles that were not given back are void when it returns.
WEFT_API int weft_test_run(const weft_test_config *cfg, weft_fn *fn, void *arg);

// weft_test_seeds runs `fn(arg)` again and again, under the seeds `first`, `first` + 1, ..., `n` of them, and ends with
// the first run that fails, whose seed it names. `first` 0: a number from the system, so that each call tries others.
// WEFT_SEED in the environment: only that one. All runs have one runtime, so that thousands of them are cheap.
//
// Returns: 0; the result below 0 of the run that failed; errors as weft_test_run.
// Context: as weft_test_run.
WEFT_API int weft_test_seeds(const weft_test_config *cfg, uint64_t first, unsigned n, weft_fn *fn, void *arg);

// weft_test_seed is the seed of the run that the calling task is part of; after a run, of the thread's last one.
// Context: task of the run, or the thread that ran it. Never parks; weft_test_trace the same.
WEFT_API uint64_t weft_test_seed(void);

// weft_test_trace sums up, in one number, the run so far: who was chosen each time, among how many, and when. Two runs
// with the same trace took the same course.
WEFT_API uint64_t weft_test_trace(void);

// weft_test_below draws a number from [0, n), n > 0, for the test's own choices. The seed fixes these, too.
// Context: task of a test run. Never parks.
WEFT_API uint32_t weft_test_below(uint32_t n);

WEFT_END_DECLS

#endif
