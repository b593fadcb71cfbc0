// The blocking pool: threads for calls that block a thread, made on demand, gone when
// idle. It has lanes, each with a queue, threads and a limit of its own: a lane that is
// full of jobs that take long delays no other.
#ifndef WF_RUNTIME_BLOCKING_H
#define WF_RUNTIME_BLOCKING_H

#include <weft/base.h>

#include "base/compiler.h"

struct wf_cell;
struct wf_pool;
struct wf_service;

enum wf_lane {
    WF_LANE_USER, // jobs of weft_blocking, and what may block without end: weft_config.blocking_max threads
    WF_LANE_FILE, // calls on files: 64 threads, or blocking_max if that is fewer
    WF_LANE_NAME, // look-ups of names: the same
    WF_LANES
};

// wf_blocking_in is weft_blocking, in a lane. A job of a lane that is weft's own must
// not wait for tasks.
// Returns, Context, Cancel: as weft_blocking. -EAGAIN means that the lane has no thread,
// and the system refuses one.
int wf_blocking_in(enum wf_lane lane, weft_fn *fn, void *arg);

// The pool of a runtime (weft_rt.blocking), as a service. Its end waits for its threads
// alone: no task is in wf_pool_run by then.
extern const struct wf_service wf_pool_service;

// wf_pool_run runs fn(arg) on a thread of the lane and parks the calling task until it
// returns. `call` names the wait in dumps.
// Returns: what fn returned; -ECANCELED if the task was cancelled before fn had begun,
//          which then never runs; -EAGAIN if the lane has no thread and the system
//          refuses one.
// Context: task, after wf_wait_begin; it may continue on another thread.
int wf_pool_run(struct wf_pool *p, enum wf_lane lane, weft_fn *fn, void *arg, const char *call);

// wf_pool_run_while is the same for a task that may lose interest: await(done, arg)
// waits until the cell is set, and returns 0, or something less to withdraw the job as
// a cancel does.
// Returns: what fn returned; what `await` returned, if fn had not begun; -EAGAIN as
// above.
int wf_pool_run_while(struct wf_pool *p, enum wf_lane lane, weft_fn *fn, void *arg, const char *call,
                      int (*await)(struct wf_cell *done, void *arg));

// wf_pool_wait_begin: the calling thread is about to wait for tasks, on which more jobs
// may depend. If it is a pool's, it does not count as one of its threads until
// wf_pool_wait_end. Context: any thread that is not a worker.
void wf_pool_wait_begin(void);
void wf_pool_wait_end(void);

// For a test run, whose tasks are all of one thread, the one that calls these.
// wf_pool_hold, first of all, lets no job begin by itself; wf_pool_held is how many
// wait for that; wf_pool_release lets one begin, from 0, the oldest.
void wf_pool_hold(struct wf_pool *p);
unsigned wf_pool_held(const struct wf_pool *p);
void wf_pool_release(struct wf_pool *p, unsigned number);

// wf_pool_asking is how many tasks are in wf_pool_run.
unsigned wf_pool_asking(const struct wf_pool *p);

#endif
