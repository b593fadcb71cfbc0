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
//       thread's `stat` is visible, and by the creation of the monitor's thread to that
#include "sched/sched.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/origin.h"
#include "base/sigpipe.h"
#include "base/sys.h"
#include "base/thread.h"
#include "sched/state.h"

enum {
    DRAIN_ROUND_NS = 5000000,                 // the first; each is twice as long,
    DRAIN_ROUND_MAX_NS = 64 * DRAIN_ROUND_NS, // up to this
};

_Static_assert(WF_WORKERS_MAX == WF_IDLE_WORDS * 64, "a bit for each worker");

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

struct wf_task *wf_forked_task;

// forget_worker: the child of a fork has the calling thread only. That thread is not a
// worker any longer: what would park there stops, as it would outside a task. Nor
// should it have the slices, the CPU and the timers of one.
static void forget_worker(void)
{
    const struct wf_worker *w = wf_thread_self()->worker;

    wf_forked_task = wf_self();
    if (w)
        wf_origin_take(w->sched->cfg.origin);
    wf_sigpipe_spare(false);
    wf_keeper_set(NULL);
    *wf_thread_self() = (struct wf_thread){ 0 };
    wf_sight_reset();
}

static void once_for_all(void)
{
    wf_arch_init();
    wf_misuse_namer = name_task;
    pthread_atfork(NULL, NULL, forget_worker);
}

int wf_sched_new(struct wf_sched **out, const struct wf_sched_config *cfg)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    wf_assert(cfg->workers > 0 && cfg->workers <= WF_WORKERS_MAX && cfg->run && cfg->ended && cfg->name);
    wf_assert(cfg->task_size >= sizeof(struct wf_task) && wf_stack_class(cfg->stack_size) > 0);
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
    wf_debug_assert(!wf_thread_self()->worker || wf_thread_self()->worker->sched != s);
    for (unsigned i = 0; i < s->cfg.workers; i++)
        if (s->workers[i].stat >= 0)
            (void)wf_sys_close(s->workers[i].stat);
    wf_recorder_free(wf_load_relaxed(&s->rings)); // relaxed: the last user
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
    char name[16];

    snprintf(name, sizeof(name), "%.10s-w%u", w->sched->name, w->index);
    int err = wf_worker_make_reserve(w);
    if (!err)
        err = wf_overflow_install(w);
    if (err)
        return err;
    err = wf_thread_start(&w->handle, &(struct wf_thread_spec){ .name = name, .fn = wf_worker_main, .arg = w });
    if (err)
        wf_overflow_remove(w);
    else
        pthread_getcpuclockid(w->handle, &w->clock); // cannot fail: the thread has not been joined
    return err;
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

    wf_assert(s->started == 0);
    for (; s->started < s->cfg.workers && !err; s->started += !err)
        err = start_worker(&s->workers[s->started]);
    await_arrivals(s);
    if (err)
        wf_sched_stop(s);
    return err;
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

static void cancel_living(struct wf_task *task, void *arg)
{
    (void)arg;
    if (!wf_task_is_cancelled(task))
        wf_task_cancel(task);
}

int wf_sched_drain(struct wf_sched *s, int64_t deadline)
{
    wf_debug_assert(!wf_thread_self()->worker || wf_thread_self()->worker->sched != s); // it would wait for itself
    wf_store_seq_cst(&s->draining, true);                                               // [S1]
    for (int64_t ns = DRAIN_ROUND_NS;; ns = ns < DRAIN_ROUND_MAX_NS ? 2 * ns : ns) {
        uint32_t seen = wf_load_seq_cst(&s->drained); // seq_cst: read before the count, so no end is slept over
        int64_t round = wf_after(wf_now(), ns);
        if (wf_sched_living(s) == 0)
            return 0;
        if (wf_now() >= deadline)
            return -ETIMEDOUT;
        wf_sched_each(s, cancel_living, NULL);
        wf_futex_wait(&s->drained, seen, round < deadline ? round : deadline);
    }
}

void wf_sched_stop(struct wf_sched *s)
{
    wf_debug_assert(s->started <= s->cfg.workers);
    wf_store_seq_cst(&s->quitting, true); // seq_cst: before the wakes, against the workers' last look
    for (unsigned i = 0; i < s->started; i++)
        wf_sched_wake_worker(s, (int)i);
    for (unsigned i = 0; i < s->started; i++) {
        pthread_join(s->workers[i].handle, NULL);
        wf_overflow_remove(&s->workers[i]);
    }
    s->started = 0;
    wf_debug_check(wf_depot_check(&s->depot));
    wf_debug_check(wf_headers_check(&s->headers, NULL));
}

unsigned wf_sched_workers(const struct wf_sched *s)
{
    return s->cfg.workers;
}
