// The scheduler as a whole: made, started, watched, drained, stopped.
//
// The end, in steps, and why nothing is left:
//   1. wf_sched_drain sets `draining`. From then on wf_sched_task_new fails: a task
//      that was being made is either counted before, and waited for, or its maker sees
//      the flag ([S1]).
//   2. It cancels every living task, again and again until all have ended: one that was
//      born meanwhile, or whose header was being used again just then, is met by the
//      next round.
//   3. All have ended when the number of ends, read first, equals the number of tasks
//      made, read after: each task that has ended was counted as made before, and a
//      living one was made by another living one, or was counted in 1.
//   4. wf_sched_stop sets `quitting` and wakes every worker: each finds its queues dry,
//      as there are no tasks, and leaves. A wake that is still on its way finds an
//      ended task. Only then may others (the reactor) stop that could fire wakers, and
//      only after that
//   5. wf_sched_free releases headers and stacks: no thread can reach them.
//
// Edges.
//   S1  wf_sched_task_new counts (seq_cst), then loads `draining`; wf_sched_drain
//       stores `draining`, then loads the counts (seq_cst): one of them sees the other
//   S2  end_task's store of `ended` (release) -> wf_sched_living's load (acquire): what
//       the task did is visible, the tasks it made among it
//   S3  wf_worker_main's count of `arrived` (release) -> await_arrivals (acquire): the
//       thread's `stat` is visible, and by the creation of the watch's thread to that
#include "sched/sched.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/origin.h"
#include "base/sigpipe.h"
#include "sched/worker.h"

enum {
    ID_BLOCK = 1024,
    DRAIN_ROUND_NS = 5000000,                 // the first; each is twice as long,
    DRAIN_ROUND_MAX_NS = 64 * DRAIN_ROUND_NS, // up to this
    BRISK_EACH_NS = 62500,                    // a worker is brisk that runs a task at least so often,
    BRISK_CPU_NS = 50000,                     // each of at most so much CPU time
};

_Static_assert(WF_WORKERS_MAX == WF_IDLE_WORDS * 64, "a bit for each worker");

static _Atomic uint64_t ids; // task numbers given out in this process

// --- Making --------------------------------------------------------------------------

static void init_worker(struct wf_sched *s, unsigned index)
{
    struct wf_worker *w = &s->workers[index];
    w->sched = s;
    w->index = index;
    w->rng = wf_rand_seed(s->cfg.seed, index);
    w->stat = -1;
}

// name_task tells wf_misuse which task did it.
static void name_task(char *buf, size_t n)
{
    struct wf_task *task = wf_self();
    if (!task)
        snprintf(buf, n, "outside a task: ");
    else if (task->name)
        snprintf(buf, n, "task %llu '%s': ", (unsigned long long)task->id, task->name);
    else
        snprintf(buf, n, "task %llu: ", (unsigned long long)task->id);
}

// in_child: the child of a fork has the calling thread only. That thread is not a
// worker any longer: what would park there stops, as it would outside a task. Nor
// should it have the slices, the CPU and the timers of one.
static void in_child(void)
{
    const struct wf_worker *w = wf_thread_self()->worker;

    if (w)
        wf_origin_take(w->sched->cfg.origin);
    wf_sigpipe_spare(false);
    wf_keeper_set(NULL);
    *wf_thread_self() = (struct wf_thread){ 0 };
}

static void once_for_all(void)
{
    wf_arch_init();
    wf_misuse_namer = name_task;
    pthread_atfork(NULL, NULL, in_child);
}

int wf_sched_new(struct wf_sched **out, const struct wf_sched_config *cfg)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct wf_sched *s = wf_alloc(sizeof(*s));
    if (!s)
        return -ENOMEM;
    pthread_once(&once, once_for_all);
    s->workers = wf_alloc(cfg->workers * sizeof(s->workers[0]));
    if (!s->workers) {
        wf_free(s);
        return -ENOMEM;
    }
    s->cfg = *cfg;
    s->stack_class = (uint8_t)wf_stack_class(cfg->stack_size);
    snprintf(s->name, sizeof(s->name), "%s", cfg->name);
    s->cxx = wf_exceptions_of_thread();
    s->scatter = getenv("WEFT_SCATTER") != NULL;
    wf_headers_init(&s->headers, cfg->task_size);
    wf_depot_init(&s->depot);
    wf_idle_init(&s->idle, cfg->workers);
    for (unsigned i = 0; i < cfg->workers; i++)
        init_worker(s, i);
    *out = s;
    return 0;
}

void wf_sched_free(struct wf_sched *s)
{
    for (unsigned i = 0; i < s->cfg.workers; i++)
        if (s->workers[i].stat >= 0)
            close(s->workers[i].stat);
    wf_depot_fini(&s->depot);
    wf_headers_fini(&s->headers);
    wf_free(s->workers);
    wf_free(s);
}

void wf_sched_abandon(struct wf_sched *s)
{
    for (unsigned i = 0; i < s->started; i++)
        wf_overflow_abandon(&s->workers[i]);
    wf_sched_free(s);
}

static int start_worker(struct wf_worker *w)
{
    int err = wf_worker_make_reserve(w);
    if (!err)
        err = wf_overflow_install(w);
    if (err)
        return err;
    err = wf_fault() ? EAGAIN : pthread_create(&w->handle, NULL, wf_worker_main, w);
    if (err)
        wf_overflow_remove(w);
    else
        pthread_getcpuclockid(w->handle, &w->clock); // cannot fail: the thread has not been joined
    return -err;
}

// await_arrivals waits until every thread that was started has what it needs: no
// descriptor appears after that.
static void await_arrivals(struct wf_sched *s)
{
    for (uint32_t seen; (seen = wf_load_acquire(&s->arrived)) < s->started;) // [S3]
        wf_futex_wait(&s->arrived, seen, WF_NEVER);
}

int wf_sched_start(struct wf_sched *s)
{
    int err = 0;

    for (; s->started < s->cfg.workers && !err; s->started += !err)
        err = start_worker(&s->workers[s->started]);
    await_arrivals(s);
    if (err)
        wf_sched_stop(s);
    return err;
}

// --- Tasks ---------------------------------------------------------------------------

static uint64_t new_id(struct wf_worker *w)
{
    if (!w)
        return wf_fetch_add_relaxed(&ids, 1) + 1; // relaxed: only has to differ
    if (w->ids == w->ids_end) {
        w->ids = wf_fetch_add_relaxed(&ids, ID_BLOCK) + 1; // relaxed: as above
        w->ids_end = w->ids + ID_BLOCK;
    }
    return w->ids++;
}

// worker_of is the calling thread if it is a worker of `s`.
static struct wf_worker *worker_of(struct wf_sched *s)
{
    struct wf_worker *w = wf_thread_self()->worker;
    return w && w->sched == s ? w : NULL;
}

static void count_made(struct wf_sched *s, struct wf_worker *w, int64_t n)
{
    if (w)
        wf_bump(&w->spawned, (uint64_t)n); // its maker, a living task, holds wf_sched_drain up
    else
        wf_fetch_add_seq_cst(&s->spawned_outside, (uint64_t)n); // [S1]
}

struct wf_task *wf_sched_task_new(struct wf_sched *s, int *err)
{
    struct wf_worker *w = worker_of(s);

    count_made(s, w, 1);
    if (wf_unlikely(wf_load_seq_cst(&s->draining))) { // [S1]
        count_made(s, w, -1);
        *err = -ECANCELED;
        return NULL;
    }
    struct wf_task *task = wf_headers_take(&s->headers, w ? &w->headers : NULL);
    if (wf_unlikely(!task)) {
        count_made(s, w, -1);
        *err = -ENOMEM;
        return NULL;
    }
    task->sched = s;
    task->id = new_id(w);
    task->stack_class = s->stack_class;
    task->pinned = false;
    task->worker = NULL;
    task->name = NULL;
    return task;
}

void wf_sched_task_drop(struct wf_task *task)
{
    struct wf_sched *s = task->sched;

    wf_sched_task_free(task);
    count_made(s, worker_of(s), -1);
}

void wf_sched_task_free(struct wf_task *task)
{
    struct wf_worker *w = worker_of(task->sched);
    wf_headers_give(&task->sched->headers, w ? &w->headers : NULL, task);
}

struct each {
    void (*fn)(struct wf_task *, void *);
    void *arg;
};

static void if_live(struct wf_task *task, void *arg)
{
    struct each *each = arg;
    if (wf_load_acquire(&task->word) & WF_TASK_LIVE) // acquire: the header is filled
        each->fn(task, each->arg);
}

void wf_sched_each(struct wf_sched *s, void (*fn)(struct wf_task *, void *), void *arg)
{
    struct each each = { fn, arg };
    wf_headers_each(&s->headers, if_live, &each);
}

// --- The end -------------------------------------------------------------------------

// 0 is final while draining (step 3).
uint64_t wf_sched_living(struct wf_sched *s)
{
    uint64_t ended = 0, made = 0;

    for (unsigned i = 0; i < s->cfg.workers; i++)
        ended += wf_load_acquire(&s->workers[i].ended); // [S2]
    for (unsigned i = 0; i < s->cfg.workers; i++)
        made += wf_load_relaxed(&s->workers[i].spawned);        // relaxed: [S2] has it visible
    return made + wf_load_seq_cst(&s->spawned_outside) - ended; // [S1]
}

static void cancel(struct wf_task *task, void *arg)
{
    (void)arg;
    if (!wf_task_doomed(task))
        wf_task_cancel(task);
}

int wf_sched_drain(struct wf_sched *s, int64_t deadline)
{
    wf_store_seq_cst(&s->draining, true); // [S1]
    for (int64_t ns = DRAIN_ROUND_NS;; ns = ns < DRAIN_ROUND_MAX_NS ? 2 * ns : ns) {
        uint32_t seen = wf_load_seq_cst(&s->drained); // seq_cst: read before the count, so no end is slept over
        int64_t round = wf_after(wf_now(), ns);
        if (wf_sched_living(s) == 0)
            return 0;
        if (wf_now() >= deadline)
            return -ETIMEDOUT;
        wf_sched_each(s, cancel, NULL);
        wf_futex_wait(&s->drained, seen, round < deadline ? round : deadline);
    }
}

void wf_sched_stop(struct wf_sched *s)
{
    wf_store_seq_cst(&s->quitting, true); // seq_cst: before the wakes, against the workers' last look
    for (unsigned i = 0; i < s->started; i++)
        wf_sched_wake_worker(s, (int)i);
    for (unsigned i = 0; i < s->started; i++) {
        pthread_join(s->workers[i].handle, NULL);
        wf_overflow_remove(&s->workers[i]);
    }
    s->started = 0;
}

// --- Watching ------------------------------------------------------------------------

enum { STILL_LOOKS = 4 };

static bool has_backlog(struct wf_worker *w)
{
    return wf_load_relaxed(&w->next) || wf_ring_size(&w->ring) > 0 || wf_deque_size(&w->deque) > 0; // relaxed: a hint
}

static bool asleep(struct wf_sched *s, const struct wf_worker *w)
{
    return wf_load_relaxed(&s->idle.asleep[w->index / 64]) >> (w->index % 64) & 1; // relaxed: a hint
}

// cpu_time is what the worker's thread has used.
static int64_t cpu_time(const struct wf_worker *w)
{
    struct timespec ts;

    if (clock_gettime(w->clock, &ts))
        return 0;
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

// blocked tells whether the worker's thread waits in the kernel, as against for a
// processor. The kernel writes a whole line to say that letter, so it is asked only
// about a worker that has not moved. A descriptor of -1 asks in vain.
static bool blocked(const struct wf_worker *w)
{
    char text[512];
    ssize_t n = pread(w->stat, text, sizeof(text) - 1, 0);

    text[n > 0 ? n : 0] = 0;
    const char *name_end = strrchr(text, ')'); // "17 (name) S ..."
    return name_end && strlen(name_end) > 2 && name_end[2] != 'R';
}

// look tells how the worker has done since the last look, `elapsed` ns ago:
// WF_WATCH_STUCK, WF_WATCH_BRISK, or 0. Stuck is one that has computed, or was blocked,
// in one task all the while. A worker that did not get the processor is not, at first:
// its work is not more urgent for being moved, and what others would poll for it would
// overtake the rest. But after STILL_LOOKS looks it is: on a machine with ten times as
// many threads as processors, or at nice 19, it may never get a quarter of one, and
// what stands in its next slot waited as long as that lasted.
static unsigned look(struct wf_sched *s, struct wf_worker *w, int64_t elapsed)
{
    uint64_t ticks = wf_load_relaxed(&w->ticks); // relaxed: a hint
    int64_t ran = (int64_t)(ticks - w->ticks_seen);
    int64_t cpu = cpu_time(w), used = cpu - w->cpu_seen;
    bool still = ran == 0 && !asleep(s, w);

    w->still = still ? w->still + 1 : 0;
    bool stuck = still && (used >= elapsed / 4 || w->still >= STILL_LOOKS || blocked(w));
    w->ticks_seen = ticks;
    w->cpu_seen = cpu;
    wf_store_relaxed(&w->overdue, stuck); // relaxed: a hint for thieves
    if (stuck) {
        wf_store_relaxed(&w->look_at, (uint64_t)0); // relaxed: a hint, when that turn has ended
        return WF_WATCH_STUCK;
    }
    return ran * BRISK_EACH_NS >= elapsed && ran * BRISK_CPU_NS >= used ? WF_WATCH_BRISK : 0;
}

unsigned wf_sched_watch(struct wf_sched *s)
{
    bool waiting = !wf_injector_empty(&s->injector);
    int64_t now = wf_now();
    unsigned seen = 0;

    for (unsigned i = 0; i < s->cfg.workers; i++) {
        struct wf_worker *w = &s->workers[i];
        unsigned how = look(s, w, now - s->watched);
        seen |= how;
        waiting |= has_backlog(w) && (how == WF_WATCH_STUCK || wf_ring_size(&w->ring) >= WF_WAKE_BACKLOG);
    }
    s->watched = now;
    if (waiting)
        wf_sched_notify(s);
    if (wf_idle_all_asleep(&s->idle)) // first: what a worker that sleeps now has given back is seen by wf_depot_cool
        seen |= WF_WATCH_ASLEEP;
    return seen | (wf_depot_cool(&s->depot, now) ? WF_WATCH_AGAIN : 0);
}

unsigned wf_sched_workers(const struct wf_sched *s)
{
    return s->cfg.workers;
}

void wf_sched_stats(struct wf_sched *s, struct wf_sched_stats *out)
{
    memset(out, 0, sizeof(*out));
    for (unsigned i = 0; i < s->cfg.workers; i++) {
        struct wf_worker *w = &s->workers[i];
        out->runs += wf_load_relaxed(&w->runs);           // relaxed: counters
        out->steals += wf_load_relaxed(&w->steals);       // relaxed: as above
        out->stolen += wf_load_relaxed(&w->stolen);       // relaxed: as above
        out->parks += wf_load_relaxed(&w->parks);         // relaxed: as above
        out->wakes += wf_load_relaxed(&w->wakes);         // relaxed: as above
        out->polls += wf_load_relaxed(&w->polls);         // relaxed: as above
        out->overflows += wf_load_relaxed(&w->overflows); // relaxed: as above
    }
}
