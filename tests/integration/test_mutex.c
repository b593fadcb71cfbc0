// The mutex: exclusion, the order of waiters, no starvation, and no trace of a
// cancelled waiter. Each body runs on workers, and in many orders by virtual time.
#include "base/atomic.h"
#include "tests/support/left.h"
#include "tests/support/locks.h"
#include "tests/support/seeds.h"

enum { SEEDS = 100 };

static void run_both(weft_fn *fn)
{
    assert_int_equal(run_tasks(fn, NULL), 0);
    run_seeds(SEEDS, fn, NULL);
}

// --- holding -------------------------------------------------------------------------

static int try_it(void *m)
{
    int err = weft_mutex_try_lock(m);
    if (err == 0)
        weft_mutex_unlock(m);
    return err;
}

static int one_at_a_time(void *arg)
{
    static weft_mutex of_all_tasks = WEFT_MUTEX_INIT;
    weft_mutex m;
    (void)arg;

    weft_mutex_init(&m);
    for (int i = 0; i < 3; i++) {
        lock(&m);
        assert_int_equal(join(spawn(try_it, &m)), -EBUSY);
        assert_int_equal(try_it(&m), -EBUSY);
        lock(&of_all_tasks);
        weft_mutex_unlock(&m);
        assert_int_equal(join(spawn(try_it, &m)), 0);
        weft_mutex_unlock(&of_all_tasks);
    }
    assert_int_equal(weft_mutex_try_lock(&m), 0);
    assert_int_equal(try_it(&m), -EBUSY);
    weft_mutex_unlock(&m);
    weft_mutex_destroy(&m);
    return 0;
}

static void it_is_held_by_one_at_a_time(void **state)
{
    (void)state;
    run_both(one_at_a_time);
}

// --- exclusion -----------------------------------------------------------------------

struct guarded {
    weft_mutex mutex;
    long count; // under the mutex: plain
    int inside; // under the mutex: how many are
};

enum { TASKS = 8, TURNS = 60 };

static int count_up(void *arg)
{
    struct guarded *g = arg;

    for (int i = 0; i < TURNS; i++) {
        lock(&g->mutex);
        assert_int_equal(g->inside++, 0);
        long seen = g->count;
        if (i % 3 == 0)
            yield();
        g->count = seen + 1;
        g->inside--;
        weft_mutex_unlock(&g->mutex);
        if (i % 7 == 0)
            yield();
    }
    return 0;
}

static int count_together(void *arg)
{
    struct guarded g = { .mutex = WEFT_MUTEX_INIT };
    weft_task *t[TASKS];
    (void)arg;

    for (int i = 0; i < TASKS; i++)
        t[i] = spawn(count_up, &g);
    for (int i = 0; i < TASKS; i++)
        assert_int_equal(join(t[i]), 0);
    assert_int_equal(g.count, TASKS * TURNS);
    weft_mutex_destroy(&g.mutex);
    return 0;
}

static void what_is_done_under_it_is_done_alone(void **state)
{
    (void)state;
    run_both(count_together);
}

// --- order ---------------------------------------------------------------------------

struct queuer {
    weft_mutex *mutex;
    struct order *order;
    int who;
};

static int lock_and_note(void *arg)
{
    struct queuer *q = arg;
    int err = weft_mutex_lock(q->mutex);

    if (err)
        return err;
    order_note(q->order, q->who);
    weft_mutex_unlock(q->mutex);
    return 0;
}

enum { QUEUERS = 6 };

struct queue {
    weft_mutex mutex;
    struct order order;
    struct queuer queuers[QUEUERS];
    weft_task *tasks[QUEUERS];
};

// line_up holds the mutex and lets QUEUERS tasks queue.
static void line_up(struct queue *q)
{
    memset(q, 0, sizeof(*q));
    lock(&q->mutex);
    for (int i = 0; i < QUEUERS; i++) {
        q->queuers[i] = (struct queuer){ &q->mutex, &q->order, i };
        q->tasks[i] = spawn_parked(lock_and_note, &q->queuers[i], "mutex");
    }
}

static int queue_up(void *arg)
{
    struct queue q;
    (void)arg;

    line_up(&q);
    weft_mutex_unlock(&q.mutex);
    for (int i = 0; i < QUEUERS; i++)
        assert_int_equal(join(q.tasks[i]), 0);
    order_expect(&q.order, "012345");
    weft_mutex_destroy(&q.mutex);
    return 0;
}

static void those_who_wait_are_served_in_order(void **state)
{
    (void)state;
    run_both(queue_up);
}

static int some_leave_the_queue(void *arg)
{
    struct queue q;
    (void)arg;

    line_up(&q);
    for (int i = 0; i < QUEUERS; i += 2)
        weft_task_cancel(q.tasks[i]);
    for (int i = 0; i < QUEUERS; i += 2)
        assert_int_equal(join(q.tasks[i]), -ECANCELED);
    assert_int_equal(weft_mutex_try_lock(&q.mutex), -EBUSY);
    weft_mutex_unlock(&q.mutex);
    for (int i = 1; i < QUEUERS; i += 2)
        assert_int_equal(join(q.tasks[i]), 0);
    order_expect(&q.order, "135");
    weft_mutex_destroy(&q.mutex);
    return 0;
}

static void who_is_cancelled_leaves_the_queue(void **state)
{
    (void)state;
    run_both(some_leave_the_queue);
}

static int all_leave_the_queue(void *arg)
{
    struct queue q;
    (void)arg;

    line_up(&q);
    for (int i = QUEUERS - 1; i >= 0; i--)
        weft_task_cancel(q.tasks[i]);
    for (int i = 0; i < QUEUERS; i++)
        assert_int_equal(join(q.tasks[i]), -ECANCELED);
    weft_mutex_unlock(&q.mutex);
    assert_int_equal(try_it(&q.mutex), 0);
    weft_mutex_destroy(&q.mutex);
    return 0;
}

static void a_queue_that_all_have_left_is_none(void **state)
{
    (void)state;
    run_both(all_leave_the_queue);
}

// --- no starvation -------------------------------------------------------------------

enum { LOSSES_BOUND = 8 }; // "a few times"

// overtake unlocks and locks faster than the waiter, until the waiter is handed the
// mutex.
// Returns: how often it could.
static unsigned overtake(weft_mutex *m, weft_task *waiter)
{
    unsigned times = 0;

    for (;;) {
        weft_mutex_unlock(m);
        if (weft_mutex_try_lock(m) != 0)
            return times; // it has it
        times++;
        if (!is_still_parked(waiter, "mutex"))
            return times; // it was faster
        assert_true(times <= LOSSES_BOUND);
    }
}

static int starve(void *arg)
{
    struct order order = { .count = 0 };
    weft_mutex m = WEFT_MUTEX_INIT;
    struct queuer first = { &m, &order, 1 }, second = { &m, &order, 2 };
    (void)arg;

    lock(&m);
    weft_task *a = spawn_parked(lock_and_note, &first, "mutex");
    weft_task *b = spawn_parked(lock_and_note, &second, "mutex");
    overtake(&m, a);
    assert_int_equal(join(a), 0);
    assert_int_equal(join(b), 0);
    order_expect(&order, "12");
    weft_mutex_destroy(&m);
    return 0;
}

static void one_that_is_overtaken_is_handed_the_mutex_in_the_end(void **state)
{
    (void)state;
    run_both(starve);
}

// One that was overtaken is still before the others.
static int keep_its_place(void *arg)
{
    struct order order = { .count = 0 };
    weft_mutex m = WEFT_MUTEX_INIT;
    struct queuer first = { &m, &order, 1 }, second = { &m, &order, 2 };
    (void)arg;

    lock(&m);
    weft_task *a = spawn_parked(lock_and_note, &first, "mutex");
    weft_task *b = spawn_parked(lock_and_note, &second, "mutex");
    weft_mutex_unlock(&m);
    if (weft_mutex_try_lock(&m) == 0) {
        is_still_parked(a, "mutex");
        weft_mutex_unlock(&m);
    }
    assert_int_equal(join(a), 0);
    assert_int_equal(join(b), 0);
    order_expect(&order, "12");
    weft_mutex_destroy(&m);
    return 0;
}

static void one_that_is_overtaken_keeps_its_place(void **state)
{
    (void)state;
    run_both(keep_its_place);
}

// --- cancelled while it is served ----------------------------------------------------

static int lock_and_hold(void *arg)
{
    int err = weft_mutex_lock(arg);
    if (err)
        return err;
    assert_int_equal(weft_mutex_try_lock(arg), -EBUSY);
    weft_mutex_unlock(arg);
    return 0;
}

// It is called, and cancelled at once; the mutex is free, or taken by another: it must
// not be lost on the way.
static int cancel_the_called(void *arg)
{
    weft_mutex m = WEFT_MUTEX_INIT;
    (void)arg;

    for (int i = 0; i < 4; i++) {
        lock(&m);
        weft_task *a = spawn_parked(lock_and_hold, &m, "mutex");
        weft_task *b = spawn_parked(lock_and_hold, &m, "mutex");
        weft_mutex_unlock(&m);
        bool overtaken = i % 2 == 0 && weft_mutex_try_lock(&m) == 0;
        weft_task_cancel(a);
        if (overtaken) {
            is_still_parked(a, "mutex");
            weft_mutex_unlock(&m);
        }
        int result = join(a);
        assert_true(result == 0 || (overtaken && result == -ECANCELED));
        assert_int_equal(join(b), 0);
        assert_int_equal(try_it(&m), 0);
    }
    weft_mutex_destroy(&m);
    return 0;
}

static void a_call_of_one_who_is_cancelled_is_not_lost(void **state)
{
    (void)state;
    run_both(cancel_the_called);
}

// It is handed the mutex, and cancelled before it runs: it has it.
static int cancel_the_heir(void *arg)
{
    weft_mutex m = WEFT_MUTEX_INIT;
    (void)arg;

    lock(&m);
    weft_task *a = spawn_parked(lock_and_hold, &m, "mutex");
    for (bool handed = false; !handed;) {
        weft_mutex_unlock(&m);
        handed = weft_mutex_try_lock(&m) != 0;
        if (handed) {
            weft_task_cancel(a);
        } else if (!is_still_parked(a, "mutex")) { // it was faster
            weft_mutex_unlock(&m);
            break;
        }
    }
    assert_int_equal(join(a), 0);
    assert_int_equal(try_it(&m), 0);
    weft_mutex_destroy(&m);
    return 0;
}

static void who_was_handed_it_before_the_cancel_has_it(void **state)
{
    (void)state;
    run_both(cancel_the_heir);
}

static int lock_while_cancelled(void *arg)
{
    weft_mutex *m = arg;

    weft_task_cancel(weft_self());
    assert_int_equal(weft_mutex_lock(m), -ECANCELED);
    assert_int_equal(weft_mutex_try_lock(m), 0);
    weft_mutex_unlock(m);
    weft_shield_begin(WEFT_NEVER);
    assert_int_equal(weft_mutex_lock(m), 0);
    weft_shield_end();
    weft_mutex_unlock(m);
    return 0;
}

static int level_triggered(void *arg)
{
    weft_mutex m = WEFT_MUTEX_INIT;
    (void)arg;
    assert_int_equal(join(spawn(lock_while_cancelled, &m)), 0);
    weft_mutex_destroy(&m);
    return 0;
}

static void a_cancelled_task_does_not_get_it_free_or_not(void **state)
{
    (void)state;
    run_both(level_triggered);
}

static int out_of_time(void *arg)
{
    weft_mutex m = WEFT_MUTEX_INIT;
    weft_scope s;
    (void)arg;

    lock(&m);
    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    assert_int_equal(weft_scope_spawn(&s, lock_and_hold, &m), 0);
    weft_scope_deadline(&s, weft_after(WEFT_MS(1)));
    assert_int_equal(weft_scope_close(&s), -ETIMEDOUT);
    weft_mutex_unlock(&m);
    weft_mutex_destroy(&m);
    return 0;
}

static void a_deadline_ends_the_wait(void **state)
{
    (void)state;
    run_both(out_of_time);
}

// --- turns ---------------------------------------------------------------------------

struct flag {
    weft_mutex mutex;
    weft_rwlock rwlock;
    weft_sem sem;
    weft_once once;
    weft_barrier alone;
    _Atomic bool set;
};

static int set_flag(void *arg)
{
    wf_store_release(&((struct flag *)arg)->set, true); // release: to the task that looks
    return 0;
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

// take_and_give_back is one call that need not wait, of each kind in turn.
static void take_and_give_back(struct flag *f, int kind)
{
    switch (kind) {
    case 0:
        lock(&f->mutex);
        weft_mutex_unlock(&f->mutex);
        return;
    case 1:
        assert_int_equal(weft_rwlock_read_lock(&f->rwlock), 0);
        weft_rwlock_read_unlock(&f->rwlock);
        return;
    case 2:
        assert_int_equal(weft_rwlock_write_lock(&f->rwlock), 0);
        weft_rwlock_write_unlock(&f->rwlock);
        return;
    case 3:
        assert_int_equal(weft_sem_acquire(&f->sem, 1), 0);
        weft_sem_release(&f->sem, 1);
        return;
    case 4:
        assert_int_equal(weft_once_do(&f->once, nothing, NULL), 0);
        return;
    default:
        assert_int_equal(weft_barrier_wait(&f->alone), 1);
    }
}

// With one worker the flag can only be set if these calls yield now and then.
static int look_again_and_again(void *arg)
{
    (void)arg;
    for (int kind = 0; kind < 6; kind++) {
        struct flag f = {
            WEFT_MUTEX_INIT, WEFT_RWLOCK_INIT, WEFT_SEM_INIT(1), WEFT_ONCE_INIT, WEFT_BARRIER_INIT(1), 0
        };
        weft_task *t = spawn(set_flag, &f);
        while (!wf_load_acquire(&f.set)) // acquire: from set_flag
            take_and_give_back(&f, kind);
        join(t);
    }
    return 0;
}

static void who_never_has_to_wait_lets_others_run(void **state)
{
    (void)state;
    run_both(look_again_and_again);
}

// --- shielded ------------------------------------------------------------------------

static int lock_whatever_happens(void *arg)
{
    struct guarded *g = arg;

    for (int i = 0; i < TURNS; i++) {
        weft_mutex_lock_shielded(&g->mutex);
        assert_int_equal(g->inside++, 0);
        g->count++;
        g->inside--;
        weft_mutex_unlock(&g->mutex);
        (void)weft_yield(); // which fails, if it is cancelled
    }
    return weft_yield();
}

static int lock_shielded_and_cancel(void *arg)
{
    struct guarded g = { .mutex = WEFT_MUTEX_INIT };
    weft_task *t[TASKS];
    (void)arg;

    lock(&g.mutex);
    for (int i = 0; i < TASKS; i++)
        t[i] = spawn(lock_whatever_happens, &g);
    wait_parked(t[0], "mutex");
    for (int i = 0; i < TASKS; i += 2) {
        weft_task_cancel(t[i]);
        yield();
    }
    assert_true(is_still_parked(t[0], "mutex"));
    weft_mutex_unlock(&g.mutex);
    for (int i = 0; i < TASKS; i++)
        assert_int_equal(join(t[i]), i % 2 ? 0 : -ECANCELED);
    assert_int_equal(g.count, TASKS * TURNS);
    weft_mutex_destroy(&g.mutex);
    return 0;
}

static void a_shielded_lock_cannot_fail(void **state)
{
    (void)state;
    run_both(lock_shielded_and_cancel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(it_is_held_by_one_at_a_time),
        left_test(what_is_done_under_it_is_done_alone),
        left_test(those_who_wait_are_served_in_order),
        left_test(who_is_cancelled_leaves_the_queue),
        left_test(a_queue_that_all_have_left_is_none),
        left_test(one_that_is_overtaken_is_handed_the_mutex_in_the_end),
        left_test(one_that_is_overtaken_keeps_its_place),
        left_test(a_call_of_one_who_is_cancelled_is_not_lost),
        left_test(who_was_handed_it_before_the_cancel_has_it),
        left_test(a_cancelled_task_does_not_get_it_free_or_not),
        left_test(a_deadline_ends_the_wait),
        left_test(who_never_has_to_wait_lets_others_run),
        left_test(a_shielded_lock_cannot_fail),
    };
    return wf_test_run(tests);
}
