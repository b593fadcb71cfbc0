// The blocking pool is a plain one: a mutex, a condition variable, a queue. A task that
// comes here is about to spend a thread and perhaps a disk access, so a lock costs
// nothing that shows.
//
//   A job and its place in the queue live on the stack of the task that waits for it:
//   only a thread needs memory.
//
//        wf_pool_run             a thread takes it           fn returns
//     ----------------> QUEUED --------------------> BEGUN --------------> (done is set: the task's again)
//                         |
//                         +---- the task is cancelled ----> (taken out: the task's again, fn never runs)
//
//   In a test run (weft/test.h) there is a state before: HELD, until wf_pool_release
//   makes it QUEUED.
//
//   QUEUED turns BEGUN under the lock, so a cancelled task knows which of the two it
//   was. A job that has begun may not be left alone: it works on the task's memory. So
//   the task waits for it, whatever happens.
//
//   What fn wrote, and its result, are visible to the task by the edge of the cell
//   `done`. After setting it the thread does not touch the job again.
//
//   A job that does not return, because it ends its thread, would leave its task
//   waiting: the thread's keeper stops the program. So would one that waits for the
//   runtime's end, or that returns in a child of fork.
//
//   Threads. A submitter makes one if more jobs are queued than threads are idle. A job
//   may wait for tasks, which may need the pool: while it does (`waiting`), its thread
//   does not count against `max`, and another one takes its place. When it goes on
//   there may be one too many: the next one to end a job leaves. Should the system
//   refuse a thread in place of the last one that does not wait, what is queued fails:
//   no thread would come for it.
//
//   A thread that has been idle for ten seconds leaves: it puts its handle in `leaver`,
//   having taken out the one that is there, and joins that. So at any time at most one
//   thread is ended and not yet joined, and stop_pool joins it.
#include "runtime/task/blocking.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <weft/blocking.h>
#include <weft/time.h>

#include "base/assert.h"
#include "base/cell.h"
#include "base/clock.h"
#include "base/keeper.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/origin.h"
#include "base/sigpipe.h"
#include "runtime/service.h"
#include "runtime/state.h"
#include "runtime/wait/wait.h"

static const weft_time idle_max = WEFT_S(10);

struct job {
    struct wf_list link;        // L, while queued
    const struct wf_task *task; // I: that waits for it
    weft_fn *fn;                // I
    void *arg;                  // I
    int result;                 // of the thread until `done` is set
    bool begun;                 // L
    bool held;                  // L: in `held`
    struct wf_clock *clock;     // I: of the thread that asked
    struct wf_cell done;        // A
};

// I: fixed after make_pool; L: under `lock`
struct wf_pool {
    pthread_mutex_t lock;
    pthread_cond_t work;            // L: a job was queued, or `stopping`
    pthread_cond_t gone;            // L: no thread is left
    struct wf_list queue;           // L: of struct job, oldest first
    struct wf_list held;            // L: the same: those that may not begin yet
    unsigned holds;                 // L: how many those are
    bool hold;                      // L: new ones are among them
    unsigned queued;                // L: length of the queue
    unsigned idle;                  // L: threads that wait for work
    unsigned threads;               // L: that take jobs
    unsigned waiting;               // L: of those, in a job that waits for tasks
    unsigned leaving;               // L: that do not any more
    unsigned max;                   // I
    const struct wf_origin *origin; // I
    bool stopping;                  // L
    bool has_leaver;                // L
    pthread_t leaver;               // L: has ended, or is about to
    _Atomic unsigned asking;        // A: tasks in wf_pool_run: a count
};

// --- the threads ---------------------------------------------------------------------

// What a thread of a pool has of its own; all zero on others.
struct pool_thread {
    struct wf_pool *pool;
    const struct job *job; // that it runs, if any
};

static _Thread_local struct pool_thread of_this_thread;

// not inlined: a task that asks may be on another thread the next time
WF_NOINLINE static struct pool_thread *this_thread(void)
{
    struct pool_thread *p = &of_this_thread;
    __asm__ volatile("" : "+r"(p) : : "memory");
    return p;
}

// job_misuse names the task whose job broke the rule.
static _Noreturn void job_misuse(const struct job *job, const char *call, const char *rule)
{
    const char *name = job->task->name ? job->task->name : "";
    wf_misuse("%s: a job of weft_blocking, of task %llu%s%s%s, must not %s", call, (unsigned long long)job->task->id,
              *name ? " '" : "", name, *name ? "'" : "", rule);
}

static void lost(struct wf_keeper *k)
{
    (void)k;
    job_misuse(this_thread()->job, "pthread_exit", "end its thread: it returns instead");
}

static struct wf_keeper keeper = { lost };

static void check_caller(const struct weft_rt *rt, const char *call)
{
    const struct pool_thread *self = this_thread();
    if (self->pool == rt->blocking)
        job_misuse(self->job, call, "wait for the end of the runtime, which waits for the job");
}

static void forget_thread(void)
{
    wf_sigpipe_spare(false);
    *this_thread() = (struct pool_thread){ 0 };
}

// is_full tells whether there are so many threads as there may be, not counting those
// that wait for tasks.
static bool is_full(const struct wf_pool *p)
{
    return p->threads - p->waiting >= p->max;
}

static struct job *take_first(struct wf_pool *p)
{
    struct job *job = wf_container_of(p->queue.next, struct job, link);

    wf_list_remove(&job->link);
    p->queued--;
    job->begun = true;
    return job;
}

// take waits for a job. Returns: NULL if the thread should leave.
static struct job *take(struct wf_pool *p)
{
    struct timespec until = wf_timespec(wf_after(wf_now(), idle_max));
    int err = 0;

    if (p->threads - p->waiting > p->max) // before it is idle: then a job might count on it
        return NULL;
    while (wf_list_empty(&p->queue)) {
        if (p->stopping || err == ETIMEDOUT)
            return NULL;
        p->idle++;
        err = pthread_cond_timedwait(&p->work, &p->lock, &until);
        p->idle--;
    }
    return take_first(p);
}

// leave ends the calling thread's part in the pool. Not counted among `threads` any
// more, it gets no job; but it needs the pool until it has joined its predecessor.
static void leave(struct wf_pool *p)
{
    bool join = p->has_leaver;
    pthread_t before = p->leaver;

    p->has_leaver = true;
    p->leaver = pthread_self();
    p->threads--;
    p->leaving++;
    if (join) {
        pthread_mutex_unlock(&p->lock);
        pthread_join(before, NULL);
        pthread_mutex_lock(&p->lock);
    }
    if (--p->leaving + p->threads == 0)
        pthread_cond_signal(&p->gone);
}

// do_job does not touch the job any more once its task knows that it is done.
static void do_job(struct pool_thread *self, struct job *job)
{
    self->job = job;
    wf_clock_use(job->clock);
    job->result = job->fn(job->arg);
    wf_clock_use(NULL);
    if (wf_unlikely(!self->pool))
        wf_misuse("a job of weft_blocking returned in a child of fork, which may only exec or _exit");
    self->job = NULL;
    wf_cell_set(&job->done, 0, false);
}

static void *work(void *arg)
{
    struct wf_pool *p = arg;
    struct pool_thread *self = this_thread();
    struct job *job;

    self->pool = p;
    wf_keeper_set(&keeper);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL); // it would end whichever job has the thread just then
    wf_sigpipe_spare(true);
    wf_origin_take(p->origin);                            // not what the worker has whose task made this thread,
    pthread_sigmask(SIG_SETMASK, &p->origin->mask, NULL); // nor what that task has blocked just then
    pthread_mutex_lock(&p->lock);
    while ((job = take(p))) {
        pthread_mutex_unlock(&p->lock);
        do_job(self, job);
        pthread_mutex_lock(&p->lock);
    }
    leave(p);
    pthread_mutex_unlock(&p->lock);
    wf_keeper_set(NULL);
    return NULL;
}

// start makes a thread.  Context: under the lock.  Returns: 0 or -EAGAIN.
static int start(struct wf_pool *p)
{
    pthread_t thread;

    if (wf_fault() || pthread_create(&thread, NULL, work, p) != 0)
        return -EAGAIN;
    pthread_setname_np(thread, "weft-blocking");
    p->threads++;
    return 0;
}

// fail ends a job that cannot begin, with `err`. No other thread has it, and its task
// cannot withdraw it.
static void fail(struct job *job, int err)
{
    job->begun = true;
    job->result = err;
    wf_cell_set(&job->done, 0, false);
}

// --- threads that wait for tasks -----------------------------------------------------

void wf_pool_wait_begin(void)
{
    struct wf_pool *p = this_thread()->pool;
    int err = 0;

    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->waiting++;
    if (p->queued > p->idle && !is_full(p))
        err = start(p);
    while (p->threads == p->waiting && p->queued > 0)
        fail(take_first(p), err);
    pthread_mutex_unlock(&p->lock);
}

void wf_pool_wait_end(void)
{
    struct wf_pool *p = this_thread()->pool;

    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->waiting--;
    pthread_mutex_unlock(&p->lock);
}

// --- the tasks -----------------------------------------------------------------------

// enqueue queues a job. Returns: 0; -EAGAIN if there is no thread, and none to be had.
// Context: under the lock, though to make a thread takes some microseconds: else a job
// could rely on a thread that is refused just then.
static int enqueue(struct wf_pool *p, struct job *job)
{
    int err = 0;

    if (p->queued >= p->idle && !is_full(p))
        err = start(p);
    if (p->threads == p->waiting)
        return err;
    wf_list_append(&p->queue, &job->link);
    p->queued++;
    pthread_cond_signal(&p->work);
    return 0;
}

static void hold(struct wf_pool *p, struct job *job)
{
    job->held = true;
    wf_list_append(&p->held, &job->link);
    p->holds++;
}

static void let_go(struct wf_pool *p, struct job *job)
{
    job->held = false;
    wf_list_remove(&job->link);
    p->holds--;
}

static int submit(struct wf_pool *p, struct job *job)
{
    int err = 0;

    pthread_mutex_lock(&p->lock);
    if (p->hold)
        hold(p, job);
    else
        err = enqueue(p, job);
    pthread_mutex_unlock(&p->lock);
    return err;
}

// withdraw takes a job out again. Returns: false if it has begun.
static bool withdraw(struct wf_pool *p, struct job *job)
{
    pthread_mutex_lock(&p->lock);
    bool out = !job->begun;
    if (out && job->held) {
        let_go(p, job);
    } else if (out) {
        wf_list_remove(&job->link);
        p->queued--;
    }
    pthread_mutex_unlock(&p->lock);
    return out;
}

static int run(struct wf_pool *p, weft_fn *fn, void *arg, const char *call, int (*await)(struct wf_cell *, void *))
{
    struct job job = { .task = wf_self(), .fn = fn, .arg = arg, .clock = wf_clock_used() };

    wf_cell_init(&job.done);
    int err = submit(p, &job);
    if (err < 0)
        return err;
    err = await ? await(&job.done, arg) : wf_wait_cell(&job.done, WEFT_NEVER, call, 0);
    if (err < 0) {
        if (withdraw(p, &job))
            return err;
        wf_wait_shielded(&job.done, call);
    }
    return job.result;
}

int wf_pool_run_while(struct wf_pool *p, weft_fn *fn, void *arg, const char *call,
                      int (*await)(struct wf_cell *done, void *arg))
{
    wf_fetch_add_relaxed(&p->asking, 1u); // relaxed, both: a count
    int result = run(p, fn, arg, call, await);
    wf_fetch_sub_relaxed(&p->asking, 1u);
    return result;
}

int wf_pool_run(struct wf_pool *p, weft_fn *fn, void *arg, const char *call)
{
    return wf_pool_run_while(p, fn, arg, call, NULL);
}

// --- test runs -----------------------------------------------------------------------

void wf_pool_hold(struct wf_pool *p)
{
    p->hold = true;
}

unsigned wf_pool_held(struct wf_pool *p)
{
    pthread_mutex_lock(&p->lock);
    unsigned n = p->holds;
    pthread_mutex_unlock(&p->lock);
    return n;
}

void wf_pool_release(struct wf_pool *p, unsigned number)
{
    pthread_mutex_lock(&p->lock);
    struct wf_list *at = p->held.next;
    while (number-- > 0)
        at = at->next;
    struct job *job = wf_container_of(at, struct job, link);
    let_go(p, job);
    int err = enqueue(p, job);
    pthread_mutex_unlock(&p->lock);
    if (err)
        fail(job, err);
}

unsigned wf_pool_asking(const struct wf_pool *p)
{
    return wf_load_relaxed(&p->asking); // relaxed: for the thread that runs all the asking tasks
}

int weft_blocking(weft_fn *fn, void *arg)
{
    int err = wf_wait_begin("weft_blocking");
    return err < 0 ? err : wf_pool_run(wf_rt_current()->blocking, fn, arg, "weft_blocking");
}

// --- the pool ------------------------------------------------------------------------

static int make_pool(struct weft_rt *rt, const weft_config *cfg)
{
    pthread_condattr_t monotonic;
    struct wf_pool *p = wf_alloc(sizeof(*p));
    if (!p)
        return -ENOMEM;

    // None of these can fail with glibc: they only write to the caller's memory.
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, &monotonic);
    pthread_cond_init(&p->gone, NULL);
    pthread_condattr_destroy(&monotonic);
    wf_list_init(&p->queue);
    wf_list_init(&p->held);
    p->max = cfg->blocking_max;
    p->origin = rt->origin;
    rt->blocking = p;
    return 0;
}

static void stop_pool(struct weft_rt *rt)
{
    struct wf_pool *p = rt->blocking;

    pthread_mutex_lock(&p->lock);
    wf_assert(wf_list_empty(&p->queue));
    p->stopping = true;
    pthread_cond_broadcast(&p->work);
    while (p->threads + p->leaving > 0)
        pthread_cond_wait(&p->gone, &p->lock);
    pthread_mutex_unlock(&p->lock);
    if (p->has_leaver)
        pthread_join(p->leaver, NULL);
    p->has_leaver = false;
}

static void free_pool(struct weft_rt *rt)
{
    struct wf_pool *p = rt->blocking;

    wf_assert(p->threads + p->leaving == 0 && !p->has_leaver);
    pthread_cond_destroy(&p->gone);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    wf_free(p);
}

static void abandon_pool(struct weft_rt *rt)
{
    wf_free(rt->blocking); // its lock may be held by a thread that does not exist here
}

const struct wf_service wf_pool_service = {
    .make = make_pool,
    .check = check_caller,
    .stop = stop_pool,
    .free = free_pool,
    .abandon = abandon_pool,
    .in_child = forget_thread,
};
