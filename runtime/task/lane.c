// A lane is simple: a mutex, a queue, and threads that sleep on their parkers. A task
// that comes here is about to use a thread and perhaps a disk, so the cost of a lock
// does not matter.
//
//   Lanes. Each lane is a separate pool with a queue, threads and a limit. So jobs of
//   one lane can neither use up another lane's threads nor wait behind its jobs. The
//   rules for jobs that wait hold for each lane by itself: a job may wait for a task
//   that needs the job's own lane, because the job's thread then does not count; or
//   another lane, which the job does not slow down. Threads shared by lanes would save
//   their stacks (about 8 KiB of each are touched), but would need an argument about
//   which lane may use which thread.
//
//   Threads. A thread that is awake without a job is searching; one such thread is
//   enough. It takes the first job. If there are more jobs, and no other thread
//   searches, it wakes the next thread, or makes one, before it begins its job. So this
//   holds under the lock: if a job is queued, a thread searches; or no thread sleeps,
//   and no more can be made. So a long job delays no other, and the few threads that
//   are awake do a burst of short ones; to wake a thread for each of 64 tasks' jobs
//   made four context switches a job. Before a searching thread sleeps, it waits a
//   moment for a job, so jobs in quick succession wake no thread at all. The thread
//   that fell asleep last is woken first.
//
//   A job may wait for tasks, which may need the pool. While it waits (`waiting`), its
//   thread does not count against `max`, and another thread may take its place. When it
//   continues, there may be one thread too many: then the next thread that ends a job
//   leaves. If all threads wait and the system refuses another one, the queued jobs
//   fail, because no thread would take them.
//
//   Loose jobs. The memory of a loose job is not a task's, so no party has to wait for
//   one that has begun, not even the pool's end. wf_lane_stop does not wait for the
//   threads that run such jobs (`loose`), but makes each of them a user of the pool, as
//   the owner is one. When its job has returned, such a thread finds `stopped`. Then it
//   detaches itself and gives up its use; after that it accesses neither the pool nor
//   its own record. The last user frees the pool, and sees by edge Z1 what the others
//   did to it. wf_lane_stop counts the thread as a user under the lock, and the thread
//   checks `stopped` under the lock, so it gives up only a use that it has. If it has
//   to wake another thread, it does so before its job, while that thread's record still
//   exists.
//
//   A thread that has been idle for ten seconds leaves: it replaces the handle in
//   `leaver` by its own, and joins the thread of the old handle. So at most one thread
//   at a time has ended without being joined, and wf_lane_stop joins that one. Threads
//   that the pool has left behind are not among these.
//
//   Z1  wf_pool_drop (release) -> the last wf_pool_drop (acquire): all that the others did to
//       the lanes, before it frees them
#include "runtime/task/lane.h"

#include <errno.h>
#include <weft/time.h>

#include "base/assert.h"
#include "base/cell.h"
#include "base/clock.h"
#include "base/keeper.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/parker.h"
#include "base/sigpipe.h"
#include "base/sys.h"
#include "base/thread.h"
#include "sched/sched.h"

static const weft_time idle_max = WEFT_S(10);

enum {
    LOOK_OUT_NS = 20000, // how long a thread waits for work before it sleeps
    VAIN_MAX = 8,
};

// A thread of a lane. The pool keeps its memory until the end, because a wake may come
// after the thread has left. O: of the thread itself
struct pool_thread {
    struct wf_list link;       // L, in the lane's `idle` while it sleeps, in its `spare` when it has left
    struct pool_thread *all;   // L: the next of all of the lane's
    struct wf_pool_lane *lane; // I
    struct wf_parker parker;   // A
    bool called;               // L: taken out of `idle`, or just made: it is counted in `searching`
    const struct wf_job *job;  // O: the job that it runs, or NULL
};

// --- checking ------------------------------------------------------------------------

// count_links counts the links of a list, up to `max`, and asserts that each is linked
// both ways.
static unsigned count_links(const struct wf_list *head, unsigned max)
{
    unsigned n = 0;

    wf_assert(wf_list_linked(head));
    for (const struct wf_list *at = head->next; at != head && n < max; at = at->next, n++)
        wf_assert(wf_list_linked(at));
    return n;
}

// check_lane asserts that the counts agree with the lists, and what the head of this
// file says of queued jobs. Context: under the lock, right after it was taken.
static void check_lane(const struct wf_pool_lane *l)
{
    enum { WALK_MAX = 64 };
    unsigned queued = wf_load_relaxed(&l->queued); // relaxed: under the lock

    wf_assert(count_links(&l->queue, WALK_MAX) == (queued < WALK_MAX ? queued : WALK_MAX));
    wf_assert(count_links(&l->idle, WALK_MAX) + l->searching + l->waiting + l->loose <= l->threads);
    wf_assert(queued == 0 || l->searching > 0 || wf_list_empty(&l->idle));
    wf_assert(!l->stopped || (l->threads == l->loose && l->leaving == 0));
}

// --- the end -------------------------------------------------------------------------

void wf_lane_abandon(struct wf_pool_lane *l)
{
    for (struct pool_thread *t = l->all, *next; t; t = next) {
        next = t->all;
        wf_free(t);
    }
}

static void end_lane(struct wf_pool_lane *l)
{
    wf_assert(l->threads + l->leaving == 0 && !l->has_leaver);
    pthread_cond_destroy(&l->gone);
    pthread_mutex_destroy(&l->lock);
    wf_lane_abandon(l);
}

void wf_pool_drop(struct wf_pool *p)
{
    if (wf_fetch_sub_acq_rel(&p->users, 1u) > 1) // [Z1]
        return;
    for (int i = 0; i < WF_LANES; i++)
        end_lane(&p->lanes[i]);
    wf_free(p);
}

// --- the threads ---------------------------------------------------------------------

static _Thread_local struct pool_thread *of_this_thread; // NULL on all threads but a pool's

// not inlined: a task that asks may be on another thread the next time
WF_NOINLINE static struct pool_thread *this_thread(void)
{
    struct pool_thread **p = &of_this_thread;
    __asm__ volatile("" : "+r"(p) : : "memory");
    return *p;
}

// job_misuse names the task whose job broke a rule.
static _Noreturn void job_misuse(const struct wf_job *job, const char *call, const char *rule)
{
    if (!job->task)
        wf_misuse("%s: a look-up of a name must not %s", call, rule);
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

// is_full tells whether the lane has its maximum of threads, not counting those that
// wait for tasks.
static bool is_full(const struct wf_pool_lane *l)
{
    return l->threads - l->waiting >= l->max;
}

static void unqueue(struct wf_pool_lane *l, struct wf_job *job)
{
    wf_debug_assert(wf_load_relaxed(&l->queued) > 0); // relaxed: under the lock
    wf_list_remove(&job->link);
    wf_store_relaxed(&l->queued, wf_load_relaxed(&l->queued) - 1); // relaxed: written under the lock
}

static bool is_loose(const struct wf_job *job)
{
    return job->ended;
}

static struct wf_job *take_first(struct wf_pool_lane *l)
{
    struct wf_job *job = wf_container_of(l->queue.next, struct wf_job, link);

    wf_debug_assert(!job->begun && job->lane == l);
    unqueue(l, job);
    job->begun = true;
    return job;
}

// --- threads: making, calling, waiting for work --------------------------------------

static void *work(void *arg);

// make_record makes the record of a new thread. Context: under the lock.
static struct pool_thread *make_record(struct wf_pool_lane *l)
{
    if (!wf_list_empty(&l->spare)) {
        struct pool_thread *old = wf_container_of(l->spare.next, struct pool_thread, link);
        wf_list_remove(&old->link);
        return old;
    }
    struct pool_thread *new = wf_alloc(sizeof(*new));
    if (new) {
        new->lane = l;
        new->all = l->all;
        l->all = new;
    }
    return new;
}

// start makes a thread.  Context: under the lock.  Returns: 0 or -EAGAIN.
static int start(struct wf_pool_lane *l)
{
    struct pool_thread *t = make_record(l);
    struct wf_thread_spec spec = { .name = "weft-blocking", .fn = work, .arg = t, .origin = l->pool->origin };
    pthread_t thread;

    if (!t)
        return -EAGAIN;
    t->called = true;
    if (wf_thread_start(&thread, &spec) < 0) {
        wf_list_append(&l->spare, &t->link);
        return -EAGAIN;
    }
    l->threads++;
    l->searching++;
    return 0;
}

// call_in makes sure that a thread takes the queued jobs. Context: under the lock. If
// it sets *next, the caller wakes that thread without the lock. Returns: 0; -EAGAIN: a
// thread is needed, and the system refuses one.
static int call_in(struct wf_pool_lane *l, struct pool_thread **next)
{
    if (wf_list_empty(&l->queue) || l->searching > 0)
        return 0;
    if (wf_list_empty(&l->idle))
        return is_full(l) ? 0 : start(l);
    *next = wf_container_of(l->idle.prev, struct pool_thread, link);
    wf_list_remove(&(*next)->link);
    (*next)->called = true;
    l->searching++;
    return 0;
}

static void wake(struct pool_thread *t)
{
    if (t)
        (void)wf_parker_wake(&t->parker); // a pool's thread sleeps in its futex only
}

// judge_look_out notes whether the wait has found a job. After each wait that found
// none, the lane skips twice as many, so jobs that come far apart do not pay for waits.
static void judge_look_out(struct wf_pool_lane *l)
{
    bool vain = !wf_load_relaxed(&l->queued); // relaxed: under the lock

    l->in_vain = !vain ? 0 : l->in_vain < VAIN_MAX ? l->in_vain + 1 : VAIN_MAX;
    l->skips = (1u << l->in_vain) - 1;
}

// look_out waits a moment for work, awake: to sleep and be woken costs several times as
// much as a short job, and a task that has its result often submits the next job soon.
// The loop yields the CPU to other threads, above all to the worker.
static void look_out(struct wf_pool_lane *l)
{
    weft_time until = wf_now() + LOOK_OUT_NS;

    if (l->skips > 0) {
        l->skips--;
        return;
    }
    pthread_mutex_unlock(&l->lock);
    do {
        for (int i = 0; i < 16; i++)
            ck_pr_stall();
        wf_sys_sched_yield();
        // relaxed, both: hints; the lock decides
    } while (!wf_load_relaxed(&l->queued) && !wf_load_relaxed(&l->stopping) && wf_now() < until);
    pthread_mutex_lock(&l->lock);
    judge_look_out(l);
}

// doze waits until the thread is called. Returns: false if it was not called for ten
// seconds.
static bool doze(struct wf_pool_lane *l, struct pool_thread *self)
{
    weft_time until = wf_after(wf_now(), idle_max);

    wf_list_append(&l->idle, &self->link);
    for (;;) {
        pthread_mutex_unlock(&l->lock);
        if (wf_parker_prepare(&self->parker, WF_PARKER_IN_FUTEX)) {
            wf_parker_sleep(&self->parker, until);
            wf_parker_finish(&self->parker);
        }
        pthread_mutex_lock(&l->lock);
        if (self->called)
            return true;
        if (wf_now() >= until)
            break;
    }
    wf_list_remove(&self->link);
    return false;
}

static void search_begin(struct wf_pool_lane *l, struct pool_thread *self)
{
    self->called = true;
    l->searching++;
}

static void search_end(struct wf_pool_lane *l, struct pool_thread *self)
{
    wf_debug_assert(l->searching >= self->called);
    l->searching -= self->called;
    self->called = false;
}

static bool is_idle(const struct wf_pool_lane *l)
{
    return wf_list_empty(&l->queue) && !wf_load_relaxed(&l->stopping); // relaxed: under the lock
}

// await_job waits for a job.  Returns: false if the thread should leave.
static bool await_job(struct wf_pool_lane *l, struct pool_thread *self)
{
    while (is_idle(l)) {
        if (l->searching == (unsigned)self->called) { // no other thread is awake
            if (!self->called)
                search_begin(l, self);
            look_out(l);
        }
        search_end(l, self);
        if (is_idle(l) && !doze(l, self))
            break;
    }
    return !wf_list_empty(&l->queue);
}

// take waits for a job, and calls a thread for the next ones, because this one may take
// long. Returns: NULL if the thread must leave: then it is counted in `leaving`.
static struct wf_job *take(struct wf_pool_lane *l, struct pool_thread *self, struct pool_thread **next)
{
    wf_debug_check(check_lane(l));
    bool stay = l->threads - l->waiting <= l->max; // decided before it searches, because then a job may rely on it
    struct wf_job *job = stay && await_job(l, self) ? take_first(l) : NULL;

    search_end(l, self);
    l->loose += job && is_loose(job);
    l->jobs += job != NULL;
    l->threads -= !job;
    l->leaving += !job;
    *next = NULL;
    call_in(l, next);
    return job;
}

// leave ends the calling thread's use of the pool. The thread is no longer counted in
// `threads` and gets no job, but needs the pool until it has joined its predecessor.
static void leave(struct wf_pool_lane *l, struct pool_thread *self)
{
    pthread_mutex_lock(&l->lock);
    wf_assert(l->leaving > 0 && !l->stopped); // the pool waits for this thread
    bool join = l->has_leaver;
    pthread_t before = l->leaver;

    l->has_leaver = true;
    l->leaver = pthread_self();
    wf_list_append(&l->spare, &self->link);
    of_this_thread = NULL;
    if (join) {
        pthread_mutex_unlock(&l->lock);
        pthread_join(before, NULL);
        pthread_mutex_lock(&l->lock);
    }
    if (--l->leaving + l->threads == l->loose)
        pthread_cond_signal(&l->gone);
    pthread_mutex_unlock(&l->lock);
}

// leave_behind ends a thread that the stopped pool has left behind: no thread waits for
// it. After the call the pool and the thread's record may be gone.
static void leave_behind(struct wf_pool_lane *l)
{
    of_this_thread = NULL;
    pthread_detach(pthread_self());
    wf_pool_drop(l->pool);
}

// end_loose notes that a loose job has ended.  Returns: false if the pool has left the
// thread behind.
static bool end_loose(struct wf_pool_lane *l)
{
    pthread_mutex_lock(&l->lock);
    bool stopped = l->stopped;
    wf_assert(l->loose > 0);
    l->loose--;
    l->threads -= stopped;
    pthread_mutex_unlock(&l->lock);
    return !stopped;
}

// end_job reports that a job has ended, and calls `ended` if it is loose. Returns: true
// if it is loose.
static bool end_job(struct wf_job *job)
{
    void (*ended)(struct wf_job *) = job->ended;

    wf_cell_set(&job->done, 0, false);
    if (ended)
        ended(job);
    return ended;
}

// do_job runs a job. It does not access the job any more once the task knows that it is
// done. Returns: false if the pool has left the thread behind.
static bool do_job(struct pool_thread *self, struct wf_job *job)
{
    wf_debug_assert(!self->job && job->begun && job->lane == self->lane);
    self->job = job;
    wf_clock_use(job->clock);
    job->result = job->fn(job->arg);
    wf_clock_use(NULL);
    if (wf_unlikely(!this_thread()))
        wf_misuse("a job of weft_blocking returned in a child of fork, which may only exec or _exit");
    self->job = NULL;
    return !end_job(job) || end_loose(self->lane);
}

static void *work(void *arg)
{
    struct pool_thread *self = arg, *next;
    struct wf_pool_lane *l = self->lane;
    struct wf_job *job;
    bool stays = true;

    of_this_thread = self;
    wf_keeper_set(&keeper);
    do {
        pthread_mutex_lock(&l->lock);
        job = take(l, self, &next);
        pthread_mutex_unlock(&l->lock);
        wake(next);
        if (job)
            stays = do_job(self, job);
    } while (job && stays);
    if (stays)
        leave(l, self);
    else
        leave_behind(l);
    wf_keeper_set(NULL);
    return NULL;
}

void wf_lane_fail(struct wf_job *job, int err)
{
    job->begun = true;
    job->result = err;
    end_job(job);
}

// --- threads that wait for tasks -----------------------------------------------------

void wf_pool_wait_begin(void)
{
    struct pool_thread *self = this_thread(), *next = NULL;

    if (!self)
        return;
    struct wf_pool_lane *l = self->lane;
    pthread_mutex_lock(&l->lock);
    wf_debug_check(check_lane(l));
    wf_assert(self->job && l->waiting < l->threads);
    l->waiting++;
    int err = call_in(l, &next);
    while (l->threads == l->waiting && !wf_list_empty(&l->queue))
        wf_lane_fail(take_first(l), err); // none is loose: a lane of loose jobs has no jobs that wait
    pthread_mutex_unlock(&l->lock);
    wake(next);
}

void wf_pool_wait_end(void)
{
    struct pool_thread *self = this_thread();

    if (!self)
        return;
    pthread_mutex_lock(&self->lane->lock);
    wf_assert(self->lane->waiting > 0);
    self->lane->waiting--;
    pthread_mutex_unlock(&self->lane->lock);
}

// --- jobs ---------------------------------------------------------------------------

// enqueue queues a job. Returns: 0; -EAGAIN: there is no thread, and the system refuses
// one. Context: under the lock, although to make a thread takes some microseconds:
// otherwise another job could rely on a thread that the system then refuses.
static int enqueue(struct wf_pool_lane *l, struct wf_job *job, struct pool_thread **next)
{
    wf_debug_check(check_lane(l));
    wf_debug_assert(!wf_load_relaxed(&l->stopping)); // relaxed: under the lock
    wf_list_append(&l->queue, &job->link);
    wf_store_relaxed(&l->queued, wf_load_relaxed(&l->queued) + 1); // relaxed: written under the lock
    int err = call_in(l, next);
    if (l->threads > l->waiting)
        return 0;
    unqueue(l, job);
    return err;
}

int wf_lane_submit(struct wf_job *job)
{
    struct pool_thread *next = NULL;

    pthread_mutex_lock(&job->lane->lock);
    int err = enqueue(job->lane, job, &next);
    pthread_mutex_unlock(&job->lane->lock);
    wake(next);
    return err;
}

bool wf_lane_withdraw(struct wf_job *job)
{
    struct wf_pool_lane *l = job->lane;

    pthread_mutex_lock(&l->lock);
    wf_debug_check(check_lane(l));
    bool out = !job->begun;
    if (out)
        unqueue(l, job);
    pthread_mutex_unlock(&l->lock);
    return out;
}

// --- for the pool --------------------------------------------------------------------

void wf_lane_read(struct wf_pool_lane *l, struct wf_lane_stats *out)
{
    pthread_mutex_lock(&l->lock);
    *out = (struct wf_lane_stats){
        .jobs = l->jobs,
        .queued = wf_load_relaxed(&l->queued), // relaxed: under the lock
        .threads = l->threads,
        .sleeping = count_links(&l->idle, l->threads) + l->searching,
        .max = l->max,
    };
    pthread_mutex_unlock(&l->lock);
}

void wf_lane_check_caller(const struct wf_pool *p, const char *call)
{
    const struct pool_thread *self = this_thread();
    if (self && self->lane->pool == p)
        job_misuse(self->job, call, "wait for the end of the runtime, which waits for the job");
}

void wf_lane_forget_thread(void)
{
    wf_sigpipe_spare(false);
    of_this_thread = NULL;
}

void wf_lane_make(struct wf_pool *p, struct wf_pool_lane *l, unsigned max)
{
    // Neither can fail in glibc: they only write to the caller's memory.
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->gone, NULL);
    wf_list_init(&l->queue);
    wf_list_init(&l->idle);
    wf_list_init(&l->spare);
    l->max = max;
    l->pool = p;
}

void wf_lane_stop(struct wf_pool_lane *l)
{
    pthread_mutex_lock(&l->lock);
    wf_assert(wf_list_empty(&l->queue));
    wf_store_relaxed(&l->stopping, true); // relaxed: written under the lock
    while (!wf_list_empty(&l->idle)) {
        struct pool_thread *t = wf_container_of(l->idle.next, struct pool_thread, link);
        wf_list_remove(&t->link);
        t->called = true;
        l->searching++;
        wake(t);
    }
    while (l->threads + l->leaving > l->loose)
        pthread_cond_wait(&l->gone, &l->lock);
    l->stopped = true;
    wf_fetch_add_relaxed(&l->pool->users, l->loose); // relaxed: they take the lock before they give up their use
    pthread_mutex_unlock(&l->lock);
    if (l->has_leaver)
        pthread_join(l->leaver, NULL);
    l->has_leaver = false;
}
