// The common part of tests of locks and the like: calls that must succeed, and tasks in
// a known order.
#ifndef WF_TESTS_LOCKS_H
#define WF_TESTS_LOCKS_H

#include <errno.h>

#include "base/compiler.h"
#include "tests/support/tasks.h"

static inline void lock(weft_mutex *m)
{
    assert_int_equal(weft_mutex_lock(m), 0);
}

static inline void acquire(weft_sem *s, size_t n)
{
    assert_int_equal(weft_sem_acquire(s, n), 0);
}

static inline void yield(void)
{
    assert_int_equal(weft_yield(), 0);
}

// spawn_parked spawns a task and returns once it is parked in `call`: the order of a
// queue is that of these calls.
static inline weft_task *spawn_parked(weft_fn *fn, void *arg, const char *call)
{
    weft_task *t = spawn(fn, arg);
    wait_parked(t, call);
    return t;
}

// is_still_parked lets `t`, which may have been woken, run until it is parked in `call`
// again, or has ended.
// Returns: false if it has ended.
static inline bool is_still_parked(weft_task *t, const char *call)
{
    int dump = memfd_create("dump", MFD_CLOEXEC);
    bool parked = false;

    assert_true(dump >= 0);
    while (!parked && !weft_task_done(t)) {
        assert_int_equal(weft_sleep(WEFT_US(100)), 0);
        parked = is_parked(dump, weft_rt_current(), t, call);
    }
    close(dump);
    return parked;
}

// The order in which tasks were served. It is written under a mutex that is not the
// tested one.
struct order {
    weft_mutex mutex;
    unsigned count;
    int who[64];
};

static inline void order_note(struct order *o, int who)
{
    weft_shield_begin(WEFT_NEVER);
    lock(&o->mutex);
    assert_true(o->count < wf_countof(o->who));
    o->who[o->count++] = who;
    weft_mutex_unlock(&o->mutex);
    weft_shield_end();
}

// order_expect compares with the digits of `expected`.
static inline void order_expect(const struct order *o, const char *expected)
{
    assert_int_equal(o->count, strlen(expected));
    for (unsigned i = 0; i < o->count; i++)
        assert_int_equal(o->who[i], expected[i] - '0');
}

#endif
