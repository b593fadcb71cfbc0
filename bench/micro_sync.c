// Locks.
#include "bench/micro.h"

enum { LOCKS = 100000, LOCKERS_MAX = 8 };

// A counter that only its lock keeps right.
struct counter {
    weft_mutex mutex;
    long count;
};

static int counts(void *arg)
{
    struct counter *c = arg;
    for (int i = 0; i < LOCKS; i++) {
        micro_ok(weft_mutex_lock(&c->mutex), "lock");
        c->count++;
        weft_mutex_unlock(&c->mutex);
    }
    return 0;
}

// contend lets `n` tasks count. Returns: ns a lock.
static double contend(int n)
{
    struct counter c = { .mutex = WEFT_MUTEX_INIT };
    weft_task *tasks[LOCKERS_MAX];

    const weft_time start = weft_now();
    for (int i = 0; i < n; i++)
        tasks[i] = micro_spawn(counts, &c);
    for (int i = 0; i < n; i++)
        micro_expect(micro_join(tasks[i]), 0, "a counting task's result");
    const weft_time took = weft_now() - start;
    micro_expect(c.count, (long long)n * LOCKS, "the count");
    weft_mutex_destroy(&c.mutex);
    return (double)took / ((double)n * LOCKS);
}

static double mutex_1_once(struct micro *m)
{
    (void)m;
    return contend(1);
}

void micro_mutex_1(struct micro *m)
{
    m->value[0] = micro_task_median(m, mutex_1_once);
}

static double mutex_8_once(struct micro *m)
{
    (void)m;
    return contend(8);
}

void micro_mutex_8(struct micro *m)
{
    m->value[0] = micro_task_median(m, mutex_8_once);
}
