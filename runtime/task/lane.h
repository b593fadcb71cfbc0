// A lane of the blocking pool: a queue of jobs, threads for them, and their limit. The
// head of lane.c explains it. For blocking.c only.
#ifndef WF_RUNTIME_LANE_H
#define WF_RUNTIME_LANE_H

#include <pthread.h>

#include "base/list.h"
#include "runtime/task/blocking.h"

struct pool_thread;
struct wf_origin;

// I: fixed by wf_lane_make; L: under `lock`
struct wf_pool_lane {
    pthread_mutex_t lock;
    pthread_cond_t gone;     // L: no thread is left
    struct wf_list queue;    // L: of struct wf_job, oldest first
    _Atomic unsigned queued; // written under L: length of the queue
    struct wf_list idle;     // L: of struct pool_thread: those that sleep, the last to fall asleep first
    struct wf_list spare;    // L: of struct pool_thread: no thread's
    struct pool_thread *all; // L
    unsigned searching;      // L: threads that are awake and without a job: woken, new, or about to sleep
    unsigned threads;        // L: threads that take jobs
    unsigned waiting;        // L: of those, in a job that waits for tasks
    unsigned loose;          // L: of those, in a loose job
    unsigned leaving;        // L: threads that take no more jobs, and have not ended
    unsigned in_vain;        // L: how many of the last waits for work found none
    unsigned skips;          // L: how many of the next waits to skip
    unsigned max;            // I
    uint64_t jobs;           // L: jobs that have begun
    struct wf_pool *pool;    // I
    _Atomic bool stopping;   // written under L
    bool stopped;            // L: the pool waits for the threads in loose jobs no more
    bool has_leaver;         // L
    pthread_t leaver;        // L: has ended, or is about to
};

// I: fixed after make_pool; T: of the thread that runs a test run's tasks
struct wf_pool {
    struct wf_pool_lane lanes[WF_LANES];
    const struct wf_origin *origin; // I
    _Atomic unsigned asking;        // A: tasks in wf_pool_run: a count
    _Atomic unsigned users;         // A: the owner, and the threads that the stopped pool has left behind; [Z1]
    struct wf_list held;            // T: of struct wf_job: those that may not begin yet
    unsigned holds;                 // T: how many those are
    bool hold;                      // T: new ones are among them
};

// wf_lane_make makes an empty lane of `p` for up to `max` threads. wf_lane_stop waits for
// its threads, and leaves those in loose jobs to wf_pool_drop. wf_lane_abandon frees the
// memory of its threads' records in a child of fork, where another thread may have held
// the lock.
void wf_lane_make(struct wf_pool *p, struct wf_pool_lane *l, unsigned max);
void wf_lane_stop(struct wf_pool_lane *l);
void wf_lane_abandon(struct wf_pool_lane *l);

// wf_pool_drop gives up a use of the pool; the last one frees it.
void wf_pool_drop(struct wf_pool *p);

// wf_lane_submit queues a job in its lane, and makes sure that a thread takes it.
// Returns: 0; -EAGAIN: there is no thread, and the system refuses one.
// Context: any thread.
WF_MUST_CHECK int wf_lane_submit(struct wf_job *job);

// wf_lane_withdraw takes a job out of its lane's queue.  Returns: false if it has begun.
bool wf_lane_withdraw(struct wf_job *job);

// wf_lane_fail ends a job that cannot begin, with `err`. No other thread has the job,
// and its task cannot withdraw it.
void wf_lane_fail(struct wf_job *job, int err);

// wf_lane_read fills in the lane's statistics.  Context: any thread; takes the lock.
void wf_lane_read(struct wf_pool_lane *l, struct wf_lane_stats *out);

// wf_lane_check_caller stops a thread of the pool whose job waits for the pool's end
// (misuse: `call` names the function).
void wf_lane_check_caller(const struct wf_pool *p, const char *call);

// wf_lane_forget_thread: in a child of fork the calling thread is not the pool's.
void wf_lane_forget_thread(void);

#endif
