// sched/: runs tasks on worker threads. It knows nothing of files, sockets or time.
//
// This is the facade, the only header of sched/ that other folders include. What runs
// on a task's stack and may park is built from two verbs: wf_park and wf_task_wake.
#ifndef WF_SCHED_SCHED_H
#define WF_SCHED_SCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/histogram.h"
#include "base/idle_source.h"
#include "base/layout.h"
#include "base/monitor.h"
#include "base/stamp.h"
#include "sched/task.h"

struct wf_origin;
struct wf_sched;

struct wf_stall;

// The report of a task that holds its worker for `after` ns; 0: no reports. The thread
// that calls wf_sched_monitor calls `fn` once for such a turn, while the turn lasts.
struct wf_stall_hook {
    int64_t after;
    void (*fn)(void *self, const struct wf_stall *stall);
    void *self;
};

// The search for deadlocks. The thread that calls wf_sched_monitor calls `fn` when no
// worker has run a task for WF_SEARCH_NS; while there are few tasks, it calls `fn`
// every WF_SEARCH_NS.
struct wf_search_hook {
    void (*fn)(void *self);
    void *self;
};

struct wf_sched_config {
    unsigned workers;               // 1 to WF_WORKERS_MAX
    size_t stack_size;              // of a task, address space; rounded up to a power of two
    bool pin;                       // one CPU per worker
    const struct wf_origin *origin; // what children of fork take again, or NULL
    uint64_t seed;                  // of the choices the scheduler makes
    const char *name;               // thread-name prefix; copied
    size_t task_size;               // of the caller's task struct, which begins with a struct wf_task

    int (*run)(struct wf_task *);    // a task's body, on its own stack
    void (*ended)(struct wf_task *); // the body has returned, the stack is off the task: the header is the caller's

    struct wf_search_hook search; // all zero: none
    struct wf_stall_hook stall;   // all zero: off
    struct wf_idle_source idle; // what a dry worker may do; all zero: nothing, it sleeps
};

#define WF_WORKERS_MAX 256
#define WF_SEARCH_NS INT64_C(2000000000)

// wf_sched_new makes a scheduler that does not run yet; wf_sched_start starts its
// threads.
// Returns: 0; -ENOMEM; -EAGAIN if a thread is refused (then none is left running).
WF_MUST_CHECK int wf_sched_new(struct wf_sched **out, const struct wf_sched_config *cfg);
WF_MUST_CHECK int wf_sched_start(struct wf_sched *s);

// wf_sched_drain refuses new tasks, cancels every task, and waits until all have ended:
// 0, or -ETIMEDOUT at `deadline`. wf_sched_stop, after it, ends and joins the threads;
// wf_sched_free, once the watching thread has ended, releases what is left, headers
// included.
int wf_sched_drain(struct wf_sched *s, int64_t deadline);
void wf_sched_stop(struct wf_sched *s);
void wf_sched_free(struct wf_sched *s);

// wf_sched_abandon is wf_sched_free in a child of fork, where the threads do not exist.
void wf_sched_abandon(struct wf_sched *s);

unsigned wf_sched_workers(const struct wf_sched *s);

// wf_sched_task_new takes a header from the pool; all its bytes past the struct wf_task
// are as its last user left them (zero at first). The caller may change stack_class,
// pinned and name before wf_sched_submit.
// Returns: NULL if there is no memory, or if wf_sched_drain has begun (*err tells
// which).
// Context: any thread.
WF_MUST_CHECK struct wf_task *wf_sched_task_new(struct wf_sched *s, int *err);

// wf_sched_equip gives a new task its stack at once if it is to be larger than the
// usual one: where there is none for it, the worker's reserve would not do.  Returns:
// 0; -ENOMEM: wf_sched_task_drop takes the task back.
// Context: any thread; before wf_sched_submit.
WF_MUST_CHECK int wf_sched_equip(struct wf_task *task);
void wf_sched_task_drop(struct wf_task *task);

// wf_sched_submit lets a new task run: by the calling worker (newest first), or by
// whichever takes it.
// Context: any thread.
void wf_sched_submit(struct wf_task *task);

// wf_sched_task_free gives the header of a task that has ended back to the pool.
// Context: any thread.
void wf_sched_task_free(struct wf_task *task);

// A task for which there is no stack runs all the same, on its worker's reserve
// (wf_task_starved): it must not park or yield, nor spawn what it would have to wait
// for. It bears the mark of the cancelled.

// wf_self is the task that runs on this thread, NULL outside of one. Its result stays
// right across a park; a worker's would not, so none is handed out.
struct wf_task *wf_self(void);

// wf_forked_task is NULL but in a child of fork that a task has made: there it is that
// task.
extern struct wf_task *wf_forked_task;

// wf_park parks the calling task, `self`, until wf_task_wake; it may also return
// without one. `what` and `on` say what for, in dumps ("read fd 7": "read fd", 7).
// Context: task; the caller may continue on another thread.
void wf_park(struct wf_task *self, const char *what, intptr_t on);

// wf_yield lets all that is ready on this worker run first. Returns: 0, so that it can
// end its caller: after a switch each return is predicted wrong.
int wf_yield(struct wf_task *self);

// The turn of the running task: what a worker begins with, and this much of it is for
// the task to touch.
struct wf_turn {
    unsigned budget; // what is left of it
    bool spent;      // of sim.c: a task has used its budget up, since it looked last
};

// wf_budget takes one unit of the running task's budget, for a call that did not have
// to wait.
// Returns: false when it is used up: the caller should wf_yield, which renews it.
static inline bool wf_budget(struct wf_task *self)
{
    struct wf_turn *turn = (struct wf_turn *)(void *)self->worker;

    wf_debug_assert(self == wf_self() && turn->budget > 0);
    if (wf_likely(turn->budget > 1)) {
        turn->budget--;
        return true;
    }
    turn->spent = true;
    return false;
}

// wf_on_stack tells whether these bytes are on the stack of the running task, `self`,
// in frames of its callers. Then they stay readable, whatever other code maps or
// unmaps.
bool wf_on_stack(const struct wf_task *self, const void *base, size_t n);

// wf_random returns the next random number of the worker that runs the calling task,
// `self`.
uint64_t wf_random(struct wf_task *self);

// wf_task_wake makes a parked task runnable; a task that runs, or is queued, notes it
// and parks once less.
// Context: any thread. The `wake` of a task's waker.
void wf_task_wake(void *task);

// wf_sched_release lets go of a task that wf_task_hold has taken.
// Context: any thread; also a signal handler.
void wf_sched_release(struct wf_task *task);

// wf_task_cancel sets the task's cancel bit, for good, and wakes it.  Context: any
// thread.
void wf_task_cancel(struct wf_task *task);

// A thread that is not a worker and fires many wakers collects them between begin and
// flush: they enter the injector as one chain, with one wake for all.
void wf_sched_batch_begin(struct wf_sched *s);
void wf_sched_batch_flush(struct wf_sched *s);

// --- at random, for tests (sim.c) ---------------------------------------------------

// A scheduler of one worker that is not started. The calling thread runs its tasks. A
// random sequence, which the seed determines, decides which ready task is next, and
// when a task yields although it need not park.
struct wf_sim;

// The functions that are called on the worker's own stack, between the turns of tasks.
struct wf_sim_hooks {
    void *self;
    bool (*go_on)(void *self);                                                     // before each choice; false: stop
    void (*drawn)(void *self, struct wf_task *task, unsigned number, unsigned of); // `task` is next: it is number/of
    void (*pass_time)(void *self); // all ready tasks have only yielded for long: let time pass
};

// wf_sim_new makes the calling thread the worker of `s`, until wf_sim_free.  Returns:
// 0; -ENOMEM.
WF_MUST_CHECK int wf_sim_new(struct wf_sim **out, struct wf_sched *s, const struct wf_sim_hooks *hooks);
void wf_sim_free(struct wf_sim *d);

// wf_sim_begin begins a new run, with another seed, while no task is alive. Task
// numbers begin at 1 again, and handles of earlier runs become invalid. wf_sim_run runs
// tasks until go_on returns false. A first task must have been submitted before.
void wf_sim_begin(struct wf_sim *d, uint64_t seed);
void wf_sim_run(struct wf_sim *d);

// The running task `self`, which has the mark, calls wf_sim_interrupt where it might
// park: it may yield here. In half of the runs all tasks have the mark for this
// purpose. So there the mark only means that the task must check whether it is
// cancelled.
void wf_sim_interrupt(struct wf_task *self);

// wf_sim_dismiss refuses new tasks and cancels every task, in the order in which they
// were spawned.
void wf_sim_dismiss(struct wf_sim *d);

// wf_sched_living is how many tasks were made and have not ended.
uint64_t wf_sched_living(struct wf_sched *s);

// --- the monitor ------------------------------------------------------------------------

// One thread that is not a worker (the reactor thread) calls wf_sched_monitor
// periodically, while the threads run. It wakes a sleeping worker for tasks that are
// queued behind a task that holds its worker for long.
// Returns: a set of WF_MONITOR_* (base/monitor.h).
unsigned wf_sched_monitor(struct wf_sched *s);

// wf_sched_worker_index is the calling worker's number, or `workers` on any other
// thread. It is an index for data that each worker has.
unsigned wf_sched_worker_index(const struct wf_sched *s);

// wf_sched_each calls fn for every header in use; tasks may begin and end meanwhile.
void wf_sched_each(struct wf_sched *s, void (*fn)(struct wf_task *, void *), void *arg);

// Counters, summed over the workers: for benchmarks, tests and dumps. Each sum is
// right, but the sums are not from the same moment.
struct wf_sched_stats {
    uint64_t spawned, ended;                                              // tasks; without those that got no header
    uint64_t runs, turns, steals, stolen, parks, wakes, polls, overflows; // turns: tasks chosen to run
    uint64_t stalls;                                                      // turns that were reported to wf_stall_hook
    uint64_t queued;                                                      // in the workers' own queues
    struct wf_histogram turn_length, queue_wait;                          // sampled: look.c
};
void wf_sched_stats(struct wf_sched *s, struct wf_sched_stats *out);

// The tasks by state. `running` counts the tasks that workers run (an estimate: one for
// each worker that is awake), `ready` those that are in a queue. The count is O(tasks),
// and stops no task.
struct wf_sched_census {
    uint64_t running, ready, parked;
    uint64_t unbegun; // of those that are ready: they have not run yet
};
void wf_sched_census(struct wf_sched *s, struct wf_sched_census *out);

// What is seen of a stack: program counters, innermost first, each within the call that
// has not returned.
enum { WF_FRAMES_MAX = 32 };
struct wf_trace {
    unsigned depth;
    uintptr_t pc[WF_FRAMES_MAX];
};

// wf_trace_held reads the stack of a task that the caller holds (wf_task_hold), or that
// is the calling one.  Context: any thread; also a signal handler.
void wf_trace_held(const struct wf_task *task, struct wf_trace *out);

// What a worker runs.
struct wf_sighting {
    bool answered; // else the worker did not say: its thread blocks the signal, or does not get a processor
    uint64_t id;   // 0: it runs no task
    const char *name;
    struct wf_trace trace;
};

// wf_sight_begin prepares for calls of wf_sight_worker, and wf_sight_end ends that.
// wf_sight_worker asks a worker's thread, by a signal, which task it runs, and waits up
// to WF_SIGHT_NS for the answer. (The signal is SIGWINCH, which does nothing by
// default.) It does not ask a worker that runs no task.
// Returns: wf_sight_begin: false if another thread is asking; wf_sight_worker: whether
// the worker runs a task.
// Context: any thread; also a signal handler.
#define WF_SIGHT_NS INT64_C(100000000)
bool wf_sight_begin(void);
void wf_sight_end(void);
bool wf_sight_worker(struct wf_sched *s, unsigned worker, struct wf_sighting *out);

// --- the flight recorder (recorder.c) -------------------------------------------------

enum wf_record_kind {
    WF_RECORD_SWITCH = 1, // the task that ran has left in the way `how`; id: the next one, 0: none; text: what the
                          // former waits for; n: tasks in the worker's queues
    WF_RECORD_WAKE,       // id: the task that is about to be queued; more: the calling one, 0: none; how: wf_record_by
    WF_RECORD_SPAWN,      // likewise
    WF_RECORD_STEAL,      // id: of the tasks taken from worker n, the one that runs next
    WF_RECORD_POLL,       // more: the stamp when it began; n: wakers called
    WF_RECORD_SLEEP,      // more: the stamp when it began
    WF_RECORD_NAME,       // id: a task's, name: its name, as far as there is room
};
enum wf_record_left { WF_LEFT_NOTHING, WF_LEFT_PARKED, WF_LEFT_YIELDED, WF_LEFT_ENDED, WF_LEFT_ENDED_STARVED };
enum wf_record_by { WF_BY_TASK, WF_BY_POLL, WF_BY_OTHER, WF_BY_EARLY }; // EARLY: woken before its park was complete

// An event as it is in a ring, and decoded.
struct wf_record_raw {
    uint64_t word[4];
};
struct wf_record {
    enum wf_record_kind kind;
    unsigned how;
    uint32_t n;
    uint64_t stamp, id, more;
    const char *text;
    char name[24]; // WF_RECORD_NAME
};
void wf_record_decode(const struct wf_record_raw *raw, struct wf_record *out);

// wf_sched_record_begin switches the recorder on, in a scheduler that runs or is about
// to: workers notice it when they look around next. The first call makes the rings, for
// at least `events` each. The rings stay, with the events of earlier recordings.
// wf_sched_record_end undoes one of these calls; after the last one the recorder is
// off.
// Returns: 0; -ENOMEM.
// Context: any thread, one at a time.
WF_MUST_CHECK int wf_sched_record_begin(struct wf_sched *s, size_t events);
void wf_sched_record_end(struct wf_sched *s);

// wf_sched_record_capacity is the number of events for which a ring has room; 0 if the
// recorder was never on. wf_sched_record_copy copies the events of one ring, oldest
// first. `ring` is the number of a worker, or `workers` for the ring of all other
// threads. Returns: how many. wf_sched_record_scale returns the two moments by which
// wf_stamp_ns converts stamps: when the recorder was made, and now.
// Context: any thread.
size_t wf_sched_record_capacity(const struct wf_sched *s);
size_t wf_sched_record_copy(const struct wf_sched *s, unsigned ring, struct wf_record_raw *out);
void wf_sched_record_scale(const struct wf_sched *s, struct wf_moment *made, struct wf_moment *now);

// A task that holds its worker: one turn, which has not ended.
struct wf_stall {
    unsigned worker;
    int64_t held;            // ns that its thread has computed or been blocked, at least; without waits for a processor
    int64_t cpu;             // of these, CPU time
    bool blocked;            // it waits in the kernel; else it computes
    long call;               // if blocked: the system call; -1: unknown
    uint64_t arg;            // and the call's first argument
    uint64_t behind;         // tasks that the worker's own queues hold
    struct wf_sighting seen; // the task, and its stack if the thread has answered
};

// wf_sched_has tells whether `task` is a header of this scheduler, and so may be read.
bool wf_sched_has(struct wf_sched *s, const struct wf_task *task);

// wf_sched_stacks tells how many stacks there are, how many of them are in the depot,
// and how much address space they use, guards excluded. Takes the depot's lock.
struct wf_sched_stacks {
    uint64_t made, stored, bytes;
};
void wf_sched_stacks(struct wf_sched *s, struct wf_sched_stacks *out);

// The tables for a debugger (base/layout.h).
extern const struct wf_layout wf_sched_layout[];

#endif
