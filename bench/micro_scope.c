// Scopes: an empty one, and a large one.
#include <stdlib.h>

#include "bench/micro.h"

// scope_open_close: 1M times: open a scope, arm a deadline an hour away, close it. Reading the clock is not part of it.
static double scope_open_close_once(struct micro *m)
{
    weft_scope s;
    (void)m;

    const weft_time start = weft_now(), deadline = start + WEFT_S(3600);
    for (int i = 0; i < MICRO_MILLION; i++) {
        weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
        weft_scope_deadline(&s, deadline + WEFT_US(i));
        micro_expect(weft_scope_close(&s), 0, "how an empty scope ends");
    }
    return (double)(weft_now() - start) / MICRO_MILLION;
}

void micro_scope_open_close(struct micro *m)
{
    m->value[0] = micro_task_median(m, scope_open_close_once);
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
