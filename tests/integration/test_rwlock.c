// The readers-writer lock: which holders exclude each other, the order of waiters, and
// what a cancel leaves behind. Each body runs on workers, and in many orders by virtual
// time.
#include "tests/support/left.h"
#include "tests/support/locks.h"
#include "tests/support/seeds.h"

enum { SEEDS = 100 };

static void run_both(weft_fn *fn)
{
    assert_int_equal(run_tasks(fn, NULL), 0);
    run_seeds(SEEDS, fn, NULL);
}

static void read_lock(weft_rwlock *l)
{
    assert_int_equal(weft_rwlock_read_lock(l), 0);
}

static void write_lock(weft_rwlock *l)
{
    assert_int_equal(weft_rwlock_write_lock(l), 0);
}

static int try_read(void *l)
{
    int err = weft_rwlock_try_read_lock(l);
    if (err == 0)
        weft_rwlock_read_unlock(l);
    return err;
}

static int try_write(void *l)
{
    int err = weft_rwlock_try_write_lock(l);
    if (err == 0)
        weft_rwlock_write_unlock(l);
    return err;
}

// --- exclusion -----------------------------------------------------------------------

static int many_read_or_one_writes(void *arg)
{
    static weft_rwlock of_all_tasks = WEFT_RWLOCK_INIT;
    weft_rwlock l;
    (void)arg;

    weft_rwlock_init(&l);
    read_lock(&of_all_tasks);
    read_lock(&l);
    assert_int_equal(weft_rwlock_try_read_lock(&l), 0);
    assert_int_equal(join(spawn(try_read, &l)), 0);
    assert_int_equal(join(spawn(try_write, &l)), -EBUSY);
    weft_rwlock_read_unlock(&l);
    assert_int_equal(try_write(&l), -EBUSY);
    weft_rwlock_read_unlock(&l);
    assert_int_equal(try_write(&l), 0);
    write_lock(&l);
    assert_int_equal(join(spawn(try_read, &l)), -EBUSY);
    assert_int_equal(join(spawn(try_write, &l)), -EBUSY);
    weft_rwlock_write_unlock(&l);
    assert_int_equal(join(spawn(try_read, &l)), 0);
    weft_rwlock_read_unlock(&of_all_tasks);
    weft_rwlock_destroy(&l);
    return 0;
}

static void many_read_or_one_writes_at_a_time(void **state)
{
    (void)state;
    run_both(many_read_or_one_writes);
}

// --- exclusion -----------------------------------------------------------------------

enum { TASKS = 8, TURNS = 60 };

struct guarded {
    weft_rwlock lock;
    long a, b;    // under the lock: equal while no task writes
    bool writing; // under the lock
};

struct user {
    struct guarded *g;
    unsigned number;
    long written;
};

static void write_both(struct user *u)
{
    struct guarded *g = u->g;

    write_lock(&g->lock);
    assert_false(g->writing);
    g->writing = true;
    g->a++;
    yield();
    g->b++;
    g->writing = false;
    u->written++;
    weft_rwlock_write_unlock(&g->lock);
}

static void read_both(struct guarded *g)
{
    read_lock(&g->lock);
    assert_false(g->writing);
    long seen = g->a;
    assert_int_equal(seen, g->b);
    yield();
    assert_int_equal(seen, g->a);
    weft_rwlock_read_unlock(&g->lock);
}

static int read_and_write(void *arg)
{
    struct user *u = arg;
    struct wf_test_rand r = wf_test_rand(u->number);

    for (int i = 0; i < TURNS; i++) {
        if (wf_test_below(&r, 4) == 0)
            write_both(u);
        else
            read_both(u->g);
        if (wf_test_below(&r, 3) == 0)
            yield();
    }
    return 0;
}

static int use_together(void *arg)
{
    struct guarded g = { .lock = WEFT_RWLOCK_INIT };
    struct user users[TASKS];
    weft_task *t[TASKS];
    long written = 0;
    (void)arg;

    for (unsigned i = 0; i < TASKS; i++) {
        users[i] = (struct user){ .g = &g, .number = i };
        t[i] = spawn(read_and_write, &users[i]);
    }
    for (unsigned i = 0; i < TASKS; i++) {
        assert_int_equal(join(t[i]), 0);
        written += users[i].written;
    }
    assert_int_equal(g.a, written);
    assert_int_equal(g.b, written);
    weft_rwlock_destroy(&g.lock);
    return 0;
}

static void who_writes_is_alone(void **state)
{
    (void)state;
    run_both(use_together);
}

// --- order ---------------------------------------------------------------------------

enum { QUEUERS = 9 };

// Those in the queue; each is in until it is let out.
struct queuer {
    struct queue *queue;
    bool writes;
    weft_future out; // it may go
    weft_task *task;
};

struct queue {
    weft_rwlock lock;
    struct queuer q[QUEUERS];
};

static int enter_and_wait(void *arg)
{
    struct queuer *q = arg;
    weft_rwlock *l = &q->queue->lock;
    int err = q->writes ? weft_rwlock_write_lock(l) : weft_rwlock_read_lock(l);

    if (err)
        return err;
    weft_shield_begin(WEFT_NEVER);
    assert_int_equal(weft_await(&q->out, NULL), 0);
    weft_shield_end();
    if (q->writes)
        weft_rwlock_write_unlock(l);
    else
        weft_rwlock_read_unlock(l);
    return 0;
}

// line_up lets tasks queue behind a lock that is held, R for a reader, W for a writer.
static void line_up(struct queue *queue, const char *kinds)
{
    for (int i = 0; kinds[i]; i++) {
        struct queuer *q = &queue->q[i];
        *q = (struct queuer){ .queue = queue, .writes = kinds[i] == 'W', .out = WEFT_FUTURE_INIT };
        q->task = spawn_parked(enter_and_wait, q, q->writes ? "write lock" : "read lock");
    }
}

// are_in waits until those from `from` to `to` are in, and checks that the one behind
// them is not.
static void are_in(struct queue *queue, int from, int to)
{
    for (int i = from; i <= to; i++)
        wait_parked(queue->q[i].task, "future");
    if (to + 1 < QUEUERS && queue->q[to + 1].task)
        wait_parked(queue->q[to + 1].task, queue->q[to + 1].writes ? "write lock" : "read lock");
}

static void let_out(struct queue *queue, int from, int to)
{
    for (int i = from; i <= to; i++) {
        weft_future_complete(&queue->q[i].out, 0);
        assert_int_equal(join(queue->q[i].task), 0);
    }
}

static int go_in_batches(void *arg)
{
    struct queue queue = { .lock = WEFT_RWLOCK_INIT };
    (void)arg;

    read_lock(&queue.lock);
    line_up(&queue, "WRRWWRRRW");
    assert_int_equal(try_read(&queue.lock), -EBUSY); // a writer waits
    weft_rwlock_read_unlock(&queue.lock);
    are_in(&queue, 0, 0);
    let_out(&queue, 0, 0);
    are_in(&queue, 1, 2);
    let_out(&queue, 2, 2);
    wait_parked(queue.q[1].task, "future");
    wait_parked(queue.q[3].task, "write lock"); // not in, while one reads
    let_out(&queue, 1, 1);
    are_in(&queue, 3, 3);
    let_out(&queue, 3, 3);
    are_in(&queue, 4, 4);
    let_out(&queue, 4, 4);
    are_in(&queue, 5, 7);
    let_out(&queue, 5, 7);
    are_in(&queue, 8, 8);
    let_out(&queue, 8, 8);
    assert_int_equal(try_write(&queue.lock), 0);
    weft_rwlock_destroy(&queue.lock);
    return 0;
}

static void readers_go_together_and_never_past_a_writer(void **state)
{
    (void)state;
    run_both(go_in_batches);
}

// --- cancelled -----------------------------------------------------------------------

static void cancel(struct queue *queue, int who)
{
    weft_task_cancel(queue->q[who].task);
    assert_int_equal(join(queue->q[who].task), -ECANCELED);
}

static int writers_leave(void *arg)
{
    struct queue queue = { .lock = WEFT_RWLOCK_INIT };
    (void)arg;

    read_lock(&queue.lock);
    line_up(&queue, "WRRWRW");
    cancel(&queue, 0); // the two behind it may join the current reader
    are_in(&queue, 1, 2);
    cancel(&queue, 5);
    cancel(&queue, 3);
    wait_parked(queue.q[4].task, "future");
    assert_int_equal(try_read(&queue.lock), 0); // no task waits
    assert_int_equal(try_write(&queue.lock), -EBUSY);
    weft_rwlock_read_unlock(&queue.lock);
    let_out(&queue, 1, 2);
    let_out(&queue, 4, 4);
    assert_int_equal(try_write(&queue.lock), 0);
    weft_rwlock_destroy(&queue.lock);
    return 0;
}

static void readers_behind_a_writer_that_leaves_go_on(void **state)
{
    (void)state;
    run_both(writers_leave);
}

static int all_leave_a_writer(void *arg)
{
    struct queue queue = { .lock = WEFT_RWLOCK_INIT };
    (void)arg;

    write_lock(&queue.lock);
    line_up(&queue, "RWRW");
    cancel(&queue, 1); // the readers around it still wait for the writer
    wait_parked(queue.q[0].task, "read lock");
    cancel(&queue, 0);
    cancel(&queue, 3);
    wait_parked(queue.q[2].task, "read lock");
    cancel(&queue, 2);
    weft_rwlock_write_unlock(&queue.lock);
    assert_int_equal(try_write(&queue.lock), 0);
    weft_rwlock_destroy(&queue.lock);
    return 0;
}

static void who_leaves_lets_nobody_past_a_writer(void **state)
{
    (void)state;
    run_both(all_leave_a_writer);
}

// It is served, and cancelled before it runs: it has the lock.
static int cancel_the_served(void *arg)
{
    struct queue queue = { .lock = WEFT_RWLOCK_INIT };
    (void)arg;

    for (int writes = 0; writes <= 1; writes++) {
        write_lock(&queue.lock);
        line_up(&queue, writes ? "W" : "R");
        weft_future_complete(&queue.q[0].out, 0);
        weft_rwlock_write_unlock(&queue.lock);
        weft_task_cancel(queue.q[0].task);
        int result = join(queue.q[0].task);
        assert_int_equal(result, 0);
        assert_int_equal(try_write(&queue.lock), 0);
    }
    weft_rwlock_destroy(&queue.lock);
    return 0;
}

static int shielded_enter(void *arg)
{
    weft_shield_begin(WEFT_NEVER);
    int result = enter_and_wait(arg);
    weft_shield_end();
    return result;
}

static int level_triggered(void *arg)
{
    struct queue queue = { .lock = WEFT_RWLOCK_INIT };
    (void)arg;

    weft_task_cancel(weft_self());
    assert_int_equal(weft_rwlock_read_lock(&queue.lock), -ECANCELED);
    assert_int_equal(weft_rwlock_write_lock(&queue.lock), -ECANCELED);
    assert_int_equal(try_write(&queue.lock), 0);
    assert_int_equal(try_read(&queue.lock), 0);
    for (int writes = 0; writes <= 1; writes++) {
        queue.q[0] = (struct queuer){ .queue = &queue, .writes = writes, .out = WEFT_FUTURE_INIT };
        weft_future_complete(&queue.q[0].out, 0);
        assert_int_equal(shielded_enter(&queue.q[0]), 0);
    }
    weft_rwlock_destroy(&queue.lock);
    return 0;
}

static int level_triggered_in_a_task(void *arg)
{
    return join(spawn(level_triggered, arg));
}

static void who_was_served_before_the_cancel_has_it(void **state)
{
    (void)state;
    run_both(cancel_the_served);
}

static void a_cancelled_task_does_not_get_it_free_or_not(void **state)
{
    (void)state;
    run_both(level_triggered_in_a_task);
}

// --- shielded ------------------------------------------------------------------------

static int lock_whatever_happens(void *arg)
{
    struct user *u = arg;
    struct guarded *g = u->g;

    for (int i = 0; i < TURNS; i++) {
        if (u->number % 4 > 1) {
            weft_rwlock_read_lock_shielded(&g->lock);
            assert_int_equal(g->a, g->b);
            weft_rwlock_read_unlock(&g->lock);
        } else {
            weft_rwlock_write_lock_shielded(&g->lock);
            assert_int_equal(++g->a, ++g->b);
            weft_rwlock_write_unlock(&g->lock);
        }
        (void)weft_yield(); // which fails, if it is cancelled
    }
    return weft_yield();
}

static int lock_shielded_and_cancel(void *arg)
{
    struct guarded g = { .lock = WEFT_RWLOCK_INIT };
    struct user users[TASKS];
    weft_task *t[TASKS];
    (void)arg;

    write_lock(&g.lock);
    for (unsigned i = 0; i < TASKS; i++) {
        users[i] = (struct user){ .g = &g, .number = i };
        t[i] = spawn(lock_whatever_happens, &users[i]);
    }
    wait_parked(t[0], "write lock");
    wait_parked(t[2], "read lock");
    for (int i = 0; i < TASKS; i += 2)
        weft_task_cancel(t[i]);
    assert_true(is_still_parked(t[0], "write lock") && is_still_parked(t[2], "read lock"));
    weft_rwlock_write_unlock(&g.lock);
    for (int i = 0; i < TASKS; i++)
        assert_int_equal(join(t[i]), i % 2 ? 0 : -ECANCELED);
    assert_int_equal(g.a, TASKS / 2 * TURNS);
    weft_rwlock_destroy(&g.lock);
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
        left_test(many_read_or_one_writes_at_a_time),
        left_test(who_writes_is_alone),
        left_test(readers_go_together_and_never_past_a_writer),
        left_test(readers_behind_a_writer_that_leaves_go_on),
        left_test(who_leaves_lets_nobody_past_a_writer),
        left_test(who_was_served_before_the_cancel_has_it),
        left_test(a_cancelled_task_does_not_get_it_free_or_not),
        left_test(a_shielded_lock_cannot_fail),
    };
    return wf_test_run(tests);
}
