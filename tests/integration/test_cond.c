// The condition variable: which waiter is signalled, and when; a leaving waiter loses
// no signal; the mutex is held again in any case. Each body runs on workers, and in
// many orders by virtual time.
#include <pthread.h>
#include <sched.h>

#include "base/atomic.h"
#include "tests/support/left.h"
#include "tests/support/locks.h"
#include "tests/support/seeds.h"

enum { SEEDS = 100, WAITERS = 4 };

static void run_both(weft_fn *fn)
{
    assert_int_equal(run_tasks(fn, NULL), 0);
    run_seeds(SEEDS, fn, NULL);
}

struct meeting {
    weft_mutex mutex;
    weft_cond cond;
    unsigned signalled; // under the mutex: waits that ended with 0
    unsigned cut;       // under the mutex: and with an error
    weft_task *tasks[WAITERS];
};

// wait_once waits for one signal, and shows that it holds the mutex after it.
static int wait_once(void *arg)
{
    struct meeting *m = arg;

    lock(&m->mutex);
    int err = weft_cond_wait(&m->cond, &m->mutex);
    assert_int_equal(weft_mutex_try_lock(&m->mutex), -EBUSY);
    m->signalled += err == 0;
    m->cut += err != 0;
    weft_mutex_unlock(&m->mutex);
    return err;
}

// gather returns when WAITERS tasks wait, in order.
static void gather(struct meeting *m)
{
    memset(m, 0, sizeof(*m));
    for (int i = 0; i < WAITERS; i++)
        m->tasks[i] = spawn_parked(wait_once, m, "condition");
    assert_int_equal(weft_mutex_try_lock(&m->mutex), 0); // they have given it back
    weft_mutex_unlock(&m->mutex);
}

static void part(struct meeting *m)
{
    weft_cond_destroy(&m->cond);
    weft_mutex_destroy(&m->mutex);
}

// --- signals -------------------------------------------------------------------------

static int signal_each(void *arg)
{
    struct meeting m;
    (void)arg;

    gather(&m);
    for (int i = 0; i < WAITERS; i++) {
        weft_cond_signal(&m.cond);
        assert_int_equal(join(m.tasks[i]), 0);
        for (int j = i + 1; j < WAITERS; j++)
            wait_parked(m.tasks[j], "condition");
    }
    assert_int_equal(m.signalled, WAITERS);
    part(&m);
    return 0;
}

static void a_signal_is_for_the_one_who_has_waited_longest(void **state)
{
    (void)state;
    run_both(signal_each);
}

static int signal_all(void *arg)
{
    struct meeting m;
    (void)arg;

    for (int with = 0; with <= 1; with++) {
        gather(&m);
        if (with)
            lock(&m.mutex);
        weft_cond_broadcast(&m.cond);
        if (with) {
            wait_parked(m.tasks[WAITERS - 1], "mutex");
            weft_mutex_unlock(&m.mutex);
        }
        for (int i = 0; i < WAITERS; i++)
            assert_int_equal(join(m.tasks[i]), 0);
        assert_int_equal(m.signalled, WAITERS);
        part(&m);
    }
    return 0;
}

static void a_broadcast_is_for_all_who_wait(void **state)
{
    (void)state;
    run_both(signal_all);
}

static int signal_nobody(void *arg)
{
    weft_mutex mutex;
    weft_cond cond;
    struct meeting m;
    (void)arg;

    weft_mutex_init(&mutex);
    weft_cond_init(&cond);
    weft_cond_signal(&cond);
    weft_cond_broadcast(&cond);
    weft_cond_destroy(&cond);
    weft_mutex_destroy(&mutex);
    gather(&m);
    weft_cond_broadcast(&m.cond);
    for (int i = 0; i < WAITERS; i++)
        assert_int_equal(join(m.tasks[i]), 0);
    weft_cond_signal(&m.cond); // is not kept
    weft_task *t = spawn_parked(wait_once, &m, "condition");
    weft_cond_signal(&m.cond);
    assert_int_equal(join(t), 0);
    part(&m);
    return 0;
}

static void a_signal_that_nobody_waits_for_is_not_kept(void **state)
{
    (void)state;
    run_both(signal_nobody);
}

// --- a queue under a condition -------------------------------------------------------

enum { ITEMS = 200, ROOM = 3, ENDS = 3 };

struct buffer {
    weft_mutex mutex;
    weft_cond not_full, not_empty;
    unsigned count, put, got; // under the mutex
};

static int produce(void *arg)
{
    struct buffer *b = arg;

    for (unsigned i = 0; i < ITEMS; i++) {
        lock(&b->mutex);
        while (b->count == ROOM)
            assert_int_equal(weft_cond_wait(&b->not_full, &b->mutex), 0);
        b->count++;
        b->put++;
        weft_mutex_unlock(&b->mutex);
        weft_cond_signal(&b->not_empty); // after the unlock, by a task that has changed it under the mutex
    }
    return 0;
}

static int consume(void *arg)
{
    struct buffer *b = arg;

    for (unsigned i = 0; i < ITEMS; i++) {
        lock(&b->mutex);
        while (b->count == 0)
            assert_int_equal(weft_cond_wait(&b->not_empty, &b->mutex), 0);
        b->count--;
        b->got++;
        weft_cond_signal(&b->not_full);
        weft_mutex_unlock(&b->mutex);
    }
    return 0;
}

static int pass_items(void *arg)
{
    struct buffer b = { .mutex = WEFT_MUTEX_INIT, .not_full = WEFT_COND_INIT, .not_empty = WEFT_COND_INIT };
    weft_task *t[2 * ENDS];
    (void)arg;

    for (int i = 0; i < 2 * ENDS; i++)
        t[i] = spawn(i % 2 ? produce : consume, &b);
    for (int i = 0; i < 2 * ENDS; i++)
        assert_int_equal(join(t[i]), 0);
    assert_int_equal(b.put, ENDS * ITEMS);
    assert_int_equal(b.got, ENDS * ITEMS);
    weft_cond_destroy(&b.not_full);
    weft_cond_destroy(&b.not_empty);
    weft_mutex_destroy(&b.mutex);
    return 0;
}

static void no_wake_is_lost(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(pass_items, NULL), 0);
    run_seeds(SEEDS / 5, pass_items, NULL);
}

// --- cancelled -----------------------------------------------------------------------

static int leave_all(void *arg)
{
    struct meeting m;
    (void)arg;

    gather(&m);
    lock(&m.mutex);
    for (int i = 0; i < WAITERS; i++)
        weft_task_cancel(m.tasks[i]);
    for (int i = 0; i < WAITERS; i++)
        wait_parked(m.tasks[i], "mutex"); // none returns without it
    weft_mutex_unlock(&m.mutex);
    for (int i = 0; i < WAITERS; i++)
        assert_int_equal(join(m.tasks[i]), -ECANCELED);
    assert_int_equal(m.cut, WAITERS);
    part(&m);
    return 0;
}

static void who_is_cancelled_returns_with_the_mutex(void **state)
{
    (void)state;
    run_both(leave_all);
}

// One signal, and the head is cancelled just before it or just after it: one waiter
// reports 0.
static int cancel_and_signal(void *arg)
{
    struct meeting m;
    (void)arg;

    for (int first = 0; first <= 1; first++) {
        gather(&m);
        if (first)
            weft_task_cancel(m.tasks[0]);
        weft_cond_signal(&m.cond);
        if (!first)
            weft_task_cancel(m.tasks[0]);
        int result = join(m.tasks[0]);
        assert_true(result == 0 || (first && result == -ECANCELED));
        if (result)
            assert_int_equal(join(m.tasks[1]), 0);
        else
            wait_parked(m.tasks[1], "condition");
        wait_parked(m.tasks[2], "condition");
        weft_cond_broadcast(&m.cond);
        for (int i = result ? 2 : 1; i < WAITERS; i++)
            assert_int_equal(join(m.tasks[i]), 0);
        assert_int_equal(m.signalled, result ? WAITERS - 1 : WAITERS);
        part(&m);
    }
    return 0;
}

static void a_signal_is_not_lost_to_one_who_leaves(void **state)
{
    (void)state;
    run_both(cancel_and_signal);
}

static int wait_while_cancelled(void *arg)
{
    struct meeting *m = arg;

    lock(&m->mutex);
    weft_task_cancel(weft_self());
    assert_int_equal(weft_cond_wait(&m->cond, &m->mutex), -ECANCELED);
    assert_int_equal(weft_mutex_try_lock(&m->mutex), -EBUSY); // it was not given back
    weft_mutex_unlock(&m->mutex);
    return 0;
}

static int level_triggered(void *arg)
{
    struct meeting m = { .mutex = WEFT_MUTEX_INIT, .cond = WEFT_COND_INIT };
    (void)arg;

    assert_int_equal(join(spawn(wait_while_cancelled, &m)), 0);
    part(&m);
    return 0;
}

static void a_cancelled_task_does_not_wait(void **state)
{
    (void)state;
    run_both(level_triggered);
}

static int out_of_time(void *arg)
{
    struct meeting m = { .mutex = WEFT_MUTEX_INIT, .cond = WEFT_COND_INIT };
    weft_scope s;
    (void)arg;

    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    lock(&m.mutex);
    weft_scope_deadline(&s, weft_after(WEFT_MS(1)));
    assert_int_equal(weft_cond_wait(&m.cond, &m.mutex), -ETIMEDOUT);
    weft_mutex_unlock(&m.mutex);
    assert_int_equal(weft_scope_close(&s), -ETIMEDOUT);
    part(&m);
    return 0;
}

static void a_deadline_ends_the_wait(void **state)
{
    (void)state;
    run_both(out_of_time);
}

// --- foreign threads -----------------------------------------------------------------

struct bell {
    struct meeting m;
    _Atomic bool over; // A
};

static void *signal_in_a_thread(void *arg)
{
    struct bell *b = arg;

    while (!wf_load_acquire(&b->over)) { // acquire: it has been signalled
        weft_cond_signal(&b->m.cond);
        sched_yield();
    }
    return NULL;
}

static int wait_for_a_thread(void *arg)
{
    struct bell b = { .m = { .mutex = WEFT_MUTEX_INIT, .cond = WEFT_COND_INIT } };
    pthread_t thread;
    (void)arg;

    assert_int_equal(pthread_create(&thread, NULL, signal_in_a_thread, &b), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(wait_once(&b.m), 0);
    wf_store_release(&b.over, true); // release: as above
    assert_int_equal(pthread_join(thread, NULL), 0);
    part(&b.m);
    return 0;
}

static void foreign_threads_may_signal(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(wait_for_a_thread, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(a_signal_is_for_the_one_who_has_waited_longest),
        left_test(a_broadcast_is_for_all_who_wait),
        left_test(a_signal_that_nobody_waits_for_is_not_kept),
        left_test(no_wake_is_lost),
        left_test(who_is_cancelled_returns_with_the_mutex),
        left_test(a_signal_is_not_lost_to_one_who_leaves),
        left_test(a_cancelled_task_does_not_wait),
        left_test(a_deadline_ends_the_wait),
        left_test(foreign_threads_may_signal),
    };
    return wf_test_run(tests);
}
