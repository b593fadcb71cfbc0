// Tasks one by one: yielding, spawning, joining.
#include <stdlib.h>

#include "bench/micro.h"

static int empty(void *arg)
{
    (void)arg;
    return 0;
}

static int yields(void *arg)
{
    const long n = *(const long *)arg;
    for (long i = 0; i < n; i++)
        micro_ok(weft_yield(), "yield");
    return 0;
}

// switch: two tasks on one worker that yield to each other: the way of a task to the next one through the scheduler.
static double switch_once(struct micro *m)
{
    long n = MICRO_MILLION;
    (void)m;

    const weft_time start = weft_now();
    weft_task *a = micro_spawn(yields, &n), *b = micro_spawn(yields, &n);
    micro_join(a);
    micro_join(b);
    return (double)(weft_now() - start) / (2 * MICRO_MILLION);
}

void micro_switch(struct micro *m)
{
    m->workers = 1;
    m->value[0] = micro_task_median(m, switch_once);
}

static double yield_1_once(struct micro *m)
{
    long n = MICRO_MILLION;
    (void)m;

    const weft_time start = weft_now();
    yields(&n);
    return (double)(weft_now() - start) / MICRO_MILLION;
}

void micro_yield_1(struct micro *m)
{
    m->value[0] = micro_task_median(m, yield_1_once);
}

enum { CROWD = 1000 };

static double yield_1000_once(struct micro *m)
{
    static weft_task *crowd[CROWD];
    long n = MICRO_MILLION / CROWD;
    (void)m;

    const weft_time start = weft_now();
    for (int i = 0; i < CROWD; i++)
        crowd[i] = micro_spawn(yields, &n);
    for (int i = 0; i < CROWD; i++)
        micro_expect(micro_join(crowd[i]), 0, "a yielding task's result");
    return (double)(weft_now() - start) / MICRO_MILLION;
}

void micro_yield_1000(struct micro *m)
{
    m->value[0] = micro_task_median(m, yield_1000_once);
}

static double spawn_join_seq_once(struct micro *m)
{
    (void)m;

    const weft_time start = weft_now();
    for (int i = 0; i < MICRO_MILLION; i++)
        micro_expect(micro_join(micro_spawn(empty, NULL)), 0, "an empty task's result");
    return (double)(weft_now() - start) / MICRO_MILLION;
}

void micro_spawn_join_seq(struct micro *m)
{
    m->value[0] = micro_task_median(m, spawn_join_seq_once);
}

static weft_task **handles; // MICRO_MILLION of them

static double spawn_join_batch_once(struct micro *m)
{
    (void)m;

    const weft_time start = weft_now();
    for (int i = 0; i < MICRO_MILLION; i++)
        handles[i] = micro_spawn(empty, NULL);
    for (int i = 0; i < MICRO_MILLION; i++)
        micro_expect(micro_join(handles[i]), 0, "an empty task's result");
    return (double)(weft_now() - start) / MICRO_MILLION;
}

void micro_spawn_join_batch(struct micro *m)
{
    handles = micro_alloc(MICRO_MILLION, sizeof(weft_task *));
    m->value[0] = micro_task_median(m, spawn_join_batch_once);
    free(handles);
}

// The batch again, from a thread that is not a worker.
static weft_rt *outside_rt;

static double spawn_outside_once(struct micro *m)
{
    intptr_t result;
    (void)m;

    const weft_time start = weft_now();
    for (int i = 0; i < MICRO_MILLION; i++)
        micro_ok(weft_rt_spawn(outside_rt, &handles[i], empty, NULL), "spawn from outside");
    for (int i = 0; i < MICRO_MILLION; i++) {
        micro_ok(weft_future_wait_thread(weft_task_future(handles[i]), &result, WEFT_NEVER), "wait from outside");
        micro_expect(result, 0, "an empty task's result");
        weft_detach(handles[i]);
    }
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

struct chain {
    long left;
    weft_future end;
};

// One for each repetition: the task that completes `end` may still be at it when the next repetition begins.
static struct chain *chains;

// Each task spawns the next and is gone; the last one says so.
static int link_of_chain(void *arg)
{
    struct chain *c = arg;
    if (--c->left > 0)
        micro_ok(weft_spawn(NULL, link_of_chain, c), "spawn the next");
    else
        weft_future_complete(&c->end, c->left);
    return 0;
}

static double chained_spawn_once(struct micro *m)
{
    struct chain *c = chains++;
    intptr_t left;
    (void)m;

    c->left = MICRO_MILLION;
    weft_future_init(&c->end);
    const weft_time start = weft_now();
    micro_ok(weft_spawn(NULL, link_of_chain, c), "spawn the first");
    micro_ok(weft_await(&c->end, &left), "await the last");
    const weft_time took = weft_now() - start;
    micro_expect(left, 0, "links left");
    return (double)took / MICRO_MILLION;
}

void micro_chained_spawn(struct micro *m)
{
    struct chain *all = chains = micro_alloc((size_t)m->reps + 1, sizeof *chains);
    m->value[0] = micro_task_median(m, chained_spawn_once);
    free(all);
}
