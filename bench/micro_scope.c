// Scopes: their deadlines, and a large one.
#include <sched.h>
#include <stdlib.h>

#include "bench/micro.h"

// timer_cancel: 1M times: open a scope, arm a deadline an hour away, close it.
static weft_time arm_and_cancel(void)
{
    weft_scope s;

    const weft_time start = weft_now(), deadline = start + WEFT_S(3600);
    for (int i = 0; i < MICRO_MILLION; i++) {
        weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
        weft_scope_deadline(&s, deadline + WEFT_US(i));
        micro_expect(weft_scope_close(&s), 0, "how an empty scope ends");
    }
    return weft_now() - start;
}

static double timer_cancel_once(struct micro *m)
{
    (void)m;
    return (double)arm_and_cancel() / MICRO_MILLION;
}

void micro_timer_cancel(struct micro *m)
{
    m->value[0] = micro_task_median(m, timer_cancel_once);
}

// timer_cancel_all: the same on every worker at once. As none of the tasks parks before all have begun, each has a
// worker for itself. The figure is the time that one timer takes on one worker: as alone, if they do not disturb
// each other.
struct member {
    struct member *all;
    unsigned size; // of the crowd
    weft_future here;
    weft_time took;
};

static int cancel_with_others(void *arg)
{
    struct member *me = arg;

    weft_future_complete(&me->here, 0);
    for (unsigned i = 0; i < me->size; i++)
        while (!weft_future_done(&me->all[i].here))
            sched_yield();
    me->took = arm_and_cancel();
    return 0;
}

static double timer_cancel_all_once(struct micro *m)
{
    const unsigned n = m->workers;
    struct member *members = micro_alloc(n, sizeof *members);
    weft_task **tasks = micro_alloc(n, sizeof *tasks);
    weft_time sum = 0;

    for (unsigned i = 0; i < n; i++)
        members[i] = (struct member){ .all = members, .size = n, .here = WEFT_FUTURE_INIT };
    for (unsigned i = 0; i < n; i++)
        tasks[i] = micro_spawn(cancel_with_others, &members[i]);
    for (unsigned i = 0; i < n; i++) {
        micro_join(tasks[i]);
        sum += members[i].took;
    }
    free(tasks);
    free(members);
    return (double)sum / n / MICRO_MILLION;
}

void micro_timer_cancel_all(struct micro *m)
{
    m->value[0] = micro_task_median(m, timer_cancel_all_once);
}

enum { CHILDREN = 100000 };

static int marks(void *arg)
{
    *(int *)arg = 1;
    return 0;
}

// scope_100k: a scope of 100 000 children: open, spawn them all, close.
static double scope_100k_once(struct micro *m)
{
    int *marked = micro_alloc(CHILDREN, sizeof *marked);
    long long sum = 0;
    weft_scope s;
    (void)m;

    const weft_time start = weft_now();
    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    for (int i = 0; i < CHILDREN; i++)
        micro_ok(weft_scope_spawn(&s, marks, &marked[i]), "spawn a child");
    micro_expect(weft_scope_close(&s), 0, "how a scope of children that succeed ends");
    const weft_time took = weft_now() - start;

    for (int i = 0; i < CHILDREN; i++)
        sum += marked[i];
    micro_expect(sum, CHILDREN, "children that ran");
    free(marked);
    return (double)took / CHILDREN;
}

void micro_scope_100k(struct micro *m)
{
    m->value[0] = micro_task_median(m, scope_100k_once);
}
