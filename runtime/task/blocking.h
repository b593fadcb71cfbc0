// The blocking pool: threads for calls that block, made on demand, and ended when idle.
// It has lanes, each with its own queue, threads and limit: a lane full of long jobs
// does not delay another lane.
#ifndef WF_RUNTIME_BLOCKING_H
#define WF_RUNTIME_BLOCKING_H

#include <weft/base.h>

#include "base/cell.h"
#include "base/compiler.h"
#include "base/list.h"

struct wf_clock;
struct wf_pool;
struct wf_pool_lane;
struct wf_service;
struct wf_task;

enum wf_lane {
    WF_LANE_USER, // jobs of weft_blocking, and calls that may block without end: weft_config.blocking_max threads
    WF_LANE_FILE, // calls on files: 64 threads, or blocking_max if that is fewer
    WF_LANE_NAME, // look-ups of names: the same
    WF_LANES
};

// I: fixed when it is submitted; L: under the lane's lock; T: of a test run's thread
struct wf_job {
    struct wf_list link;            // L, while queued; T, while held
    struct wf_pool_lane *lane;      // I
    const struct wf_task *task;     // I: the waiting task; NULL: the job is loose
    weft_fn *fn;                    // I
    void *arg;                      // I
    void (*ended)(struct wf_job *); // I: of a loose job: called at its end, the pool's last access
    int result;                     // the thread's until `done` is set
    bool begun;                     // L
    bool held;                      // T: in `held`
    struct wf_clock *clock;         // I: the clock of the task's thread
    struct wf_cell done;            // A
};

// The pool of a runtime (weft_rt.blocking), as a service: threads made on demand. The
// end of the service waits for its threads, except those in a loose job: such a thread
// leaves when its job ends, and the last of them frees the pool. At the end no task is
// in wf_pool_run, and no job is queued.
extern const struct wf_service wf_pool_service;

// wf_blocking_in is weft_blocking, in a lane. A job of the file or name lane must not
// wait for tasks. Returns, Context, Cancel: as weft_blocking. -EAGAIN means that the
// lane has no thread, and the system refuses one.
int wf_blocking_in(enum wf_lane lane, weft_fn *fn, void *arg);

// wf_pool_run runs fn(arg) on a thread of the lane and parks the calling task until it
// returns. `call` names the wait in dumps.
// Returns: what fn returned; -ECANCELED if the task was cancelled before fn had begun,
//          which then never runs; -EAGAIN if the lane has no thread and the system
//          refuses one.
// Context: task, after wf_wait_begin; it may continue on another thread.
int wf_pool_run(struct wf_pool *p, enum wf_lane lane, weft_fn *fn, void *arg, const char *call);

// wf_pool_run_while is the same for a task that may withdraw the job. await(done, arg)
// waits until the cell is set, and returns 0, or a negative error to withdraw the job
// as a cancel does.
// Returns: what fn returned; what `await` returned, if fn had not begun; -EAGAIN as
// above.
int wf_pool_run_while(struct wf_pool *p, enum wf_lane lane, weft_fn *fn, void *arg, const char *call,
                      int (*await)(struct wf_cell *done, void *arg));

// wf_pool_submit_loose queues a job that no task has to wait for, and the end of the
// pool does not: its memory is separate, and the job, or `ended`, frees it. The caller
// sets `fn`, `arg` and `ended`. Any task or thread may wait for `done`.
// Returns: 0; -EAGAIN: the lane has no thread, and the system refuses one.
// Context: a task of the pool's runtime, which does not run a test.
int wf_pool_submit_loose(struct wf_pool *p, enum wf_lane lane, struct wf_job *job);

// wf_pool_withdraw takes a job out of the queue.
// Returns: false if it has begun.
// Context: as long as the runtime has tasks.
bool wf_pool_withdraw(struct wf_pool *p, struct wf_job *job);

// wf_pool_wait_begin says that the calling thread is about to wait for tasks, which may
// need more jobs. If it is a pool's thread, it does not count against its lane's limit
// until wf_pool_wait_end. Context: any thread that is not a worker.
void wf_pool_wait_begin(void);
void wf_pool_wait_end(void);

// For the thread of a test run, which runs all its tasks. After wf_pool_hold no job
// begins by itself (wf_pool_holds tells whether it was called). wf_pool_held is the
// number of jobs that wait; wf_pool_release lets one of them begin, 0 being the oldest.
void wf_pool_hold(struct wf_pool *p);
bool wf_pool_holds(const struct wf_pool *p);
unsigned wf_pool_held(const struct wf_pool *p);
void wf_pool_release(struct wf_pool *p, unsigned number);

// wf_pool_stats reports the state of one lane. Context: any thread; takes the lane's
// lock.
struct wf_lane_stats {
    uint64_t jobs;                      // that have begun
    unsigned queued, threads, sleeping; // jobs that wait for a thread; threads, and those of them without a job
    unsigned max;                       // the limit of threads, not counting those whose job waits for tasks
};
void wf_pool_stats(struct wf_pool *p, enum wf_lane lane, struct wf_lane_stats *out);

// wf_pool_asking is how many tasks are in wf_pool_run.
unsigned wf_pool_asking(const struct wf_pool *p);

#endif
