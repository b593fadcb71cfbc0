// A thread that is not of weft: spawning, and completing what tasks wait for. And what
// tasks weigh that wait.
#include "bench/micro/micro.h"

#include <stdlib.h>
#include <unistd.h>

// join_outside waits for a task that must return 0.
static void join_outside(weft_task *t)
{
    intptr_t result;
    micro_ok(weft_future_wait_thread(weft_task_future(t), &result, WEFT_NEVER), "wait from outside");
    micro_expect(result, 0, "a task's result");
    weft_detach(t);
}

static weft_task *spawn_outside(weft_rt *rt, weft_fn *fn, void *arg)
{
    weft_task *t;
    micro_ok(weft_rt_spawn(rt, &t, fn, arg), "spawn from outside");
    return t;
}

// spawn_outside: spawn a million empty tasks, keep the handles, join them all.
static weft_rt *outside_rt;
static weft_task **handles;

static double spawn_outside_once(struct micro *m)
{
    (void)m;
    const weft_time start = weft_now();
    for (int i = 0; i < MICRO_MILLION; i++)
        handles[i] = spawn_outside(outside_rt, micro_empty, NULL);
    for (int i = 0; i < MICRO_MILLION; i++)
        join_outside(handles[i]);
    return (double)(weft_now() - start) / MICRO_MILLION;
}

void micro_spawn_outside(struct micro *m)
{
    handles = micro_alloc(MICRO_MILLION, sizeof(weft_task *));
    outside_rt = micro_rt(m);
    m->value[0] = micro_median(m, spawn_outside_once);
    weft_rt_free(outside_rt);
    free(handles);
}

// --- one that waits ------------------------------------------------------------------

// A task that waits: it says that it is there, and waits for `go`.
struct waiter {
    weft_future here, go;
    weft_time told;  // just before `go` was completed
    weft_time woken; // when it ran again
};

static int wait_once(void *arg)
{
    struct waiter *w = arg;
    weft_future_complete(&w->here, 0);
    micro_ok(weft_await(&w->go, NULL), "await");
    w->woken = weft_now();
    return 0;
}

// idle_task: memory once used stays with the runtime, so only the first million tells;
// no repetitions.
int micro_idle_task(void *arg)
{
    struct micro *m = arg;
    struct waiter *waiters = micro_alloc(MICRO_MILLION, sizeof *waiters);
    weft_task **tasks = micro_alloc(MICRO_MILLION, sizeof *tasks);

    const double before = micro_rss();
    for (int i = 0; i < MICRO_MILLION; i++)
        tasks[i] = micro_spawn(wait_once, &waiters[i]);
    for (int i = 0; i < MICRO_MILLION; i++)
        micro_ok(weft_await(&waiters[i].here, NULL), "await a waiter");
    m->value[0] = (micro_rss() - before) / MICRO_MILLION;

    for (int i = 0; i < MICRO_MILLION; i++)
        weft_future_complete(&waiters[i].go, 0);
    for (int i = 0; i < MICRO_MILLION; i++)
        micro_join(tasks[i]);
    free(tasks);
    free(waiters);
    return 0;
}

enum { WAKES = 1000, PAUSE_IDLE_US = 3000, PAUSE_BUSY_US = 500 };

// One task that waits for all futures in turn.
struct wakes {
    size_t n;
    struct waiter waiters[];
};

static int wait_each(void *arg)
{
    struct wakes *w = arg;
    for (size_t i = 0; i < w->n; i++)
        wait_once(&w->waiters[i]);
    return 0;
}

// wake_each completes one future after the other, with a pause before each, from this
// thread, which is not weft's.
static void wake_each(struct micro *m, weft_rt *rt, useconds_t pause_us)
{
    const size_t n = (size_t)m->reps * WAKES;
    struct wakes *w = micro_alloc(1, sizeof *w + n * sizeof w->waiters[0]);
    double *took_us = micro_alloc(n, sizeof *took_us);

    w->n = n;
    weft_task *t = spawn_outside(rt, wait_each, w);
    for (size_t i = 0; i < n; i++) {
        micro_ok(weft_future_wait_thread(&w->waiters[i].here, NULL, WEFT_NEVER), "wait for the waiter");
        usleep(pause_us);
        w->waiters[i].told = weft_now();
        weft_future_complete(&w->waiters[i].go, 0);
    }
    join_outside(t);

    for (size_t i = 0; i < n; i++)
        took_us[i] = (double)(w->waiters[i].woken - w->waiters[i].told) / 1e3;
    micro_tails(m, took_us, n);
    free(took_us);
    free(w);
}

void micro_wake_idle(struct micro *m)
{
    weft_rt *rt = micro_rt(m);
    wake_each(m, rt, PAUSE_IDLE_US);
    weft_rt_free(rt);
}

enum { YIELDERS = 64 };

static int yield_until(void *arg)
{
    const weft_future *stop = arg;
    while (!weft_future_done(stop))
        micro_ok(weft_yield(), "yield");
    return 0;
}

// The workers are busy with tasks that only yield: enough of them for every worker to
// have some.
void micro_wake_busy(struct micro *m)
{
    weft_rt *rt = micro_rt(m);
    weft_future stop = WEFT_FUTURE_INIT;
    weft_task *tasks[YIELDERS];

    for (int i = 0; i < YIELDERS; i++)
        tasks[i] = spawn_outside(rt, yield_until, &stop);
    wake_each(m, rt, PAUSE_BUSY_US);
    weft_future_complete(&stop, 0);
    for (int i = 0; i < YIELDERS; i++)
        join_outside(tasks[i]);
    weft_rt_free(rt);
}
