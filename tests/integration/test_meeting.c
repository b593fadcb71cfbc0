// Barrier, once, event and latch: which waiters continue when, and what a cancel leaves
// behind. Each body runs on workers, and in many orders by virtual time.
#include <pthread.h>
#include <sched.h>

#include "base/atomic.h"
#include "tests/support/left.h"
#include "tests/support/locks.h"
#include "tests/support/seeds.h"

enum { SEEDS = 100, TASKS = 5 };

static void run_both(weft_fn *fn)
{
    assert_int_equal(run_tasks(fn, NULL), 0);
    run_seeds(SEEDS, fn, NULL);
}

static void cancel(weft_task *t)
{
    weft_task_cancel(t);
    assert_int_equal(join(t), -ECANCELED);
}

// --- barrier -------------------------------------------------------------------------

enum { ROUNDS = 30 };

struct rounds {
    weft_barrier barrier;
    _Atomic unsigned arrived[ROUNDS]; // A: how many have come to each round
    _Atomic unsigned last[ROUNDS];    // A: how many were told that they are the one
};

static int go_round(void *arg)
{
    struct rounds *r = arg;

    for (int i = 0; i < ROUNDS; i++) {
        wf_fetch_add_relaxed(&r->arrived[i], 1); // relaxed: the barrier publishes it
        int one = weft_barrier_wait(&r->barrier);
        assert_true(one == 0 || one == 1);
        assert_int_equal(wf_load_relaxed(&r->arrived[i]), TASKS); // relaxed: as above
        wf_fetch_add_relaxed(&r->last[i], (unsigned)one);         // relaxed: read after the join
    }
    return 0;
}

static int meet(void *arg)
{
    struct rounds r = { .barrier = WEFT_BARRIER_INIT(TASKS) };
    weft_task *t[TASKS];
    (void)arg;

    for (int i = 0; i < TASKS; i++)
        t[i] = spawn(go_round, &r);
    for (int i = 0; i < TASKS; i++)
        assert_int_equal(join(t[i]), 0);
    for (int i = 0; i < ROUNDS; i++)
        assert_int_equal(r.last[i], 1);
    weft_barrier_destroy(&r.barrier);
    return 0;
}

static void all_meet_at_the_barrier_and_one_is_told(void **state)
{
    (void)state;
    run_both(meet);
}

static int arrive(void *arg)
{
    return weft_barrier_wait(arg);
}

static int leave_the_barrier(void *arg)
{
    weft_barrier b, alone;
    (void)arg;

    weft_barrier_init(&b, 3);
    weft_task *a = spawn_parked(arrive, &b, "barrier");
    weft_task *gone = spawn_parked(arrive, &b, "barrier");
    cancel(gone);
    weft_task *c = spawn_parked(arrive, &b, "barrier"); // as if it had not come: one more is needed
    assert_int_equal(weft_barrier_wait(&b), 1);
    weft_task_cancel(a); // too late: it has met the others
    assert_int_equal(join(a), 0);
    assert_int_equal(join(c), 0);
    weft_barrier_destroy(&b);
    weft_barrier_init(&alone, 1);
    assert_int_equal(weft_barrier_wait(&alone), 1);
    weft_barrier_destroy(&alone);
    return 0;
}

static void who_is_cancelled_leaves_the_barrier(void **state)
{
    (void)state;
    run_both(leave_the_barrier);
}

// --- once ----------------------------------------------------------------------------

struct doing {
    weft_once once;
    int runs;       // written by the task that runs fn
    int fail;       // the number of runs that fail
    weft_future go; // a run waits for that
    int value;      // what a run has made
};

static int make_value(void *arg)
{
    struct doing *d = arg;

    d->runs++;
    int err = weft_await(&d->go, NULL);
    if (err || d->fail-- > 0)
        return err ? err : -EIO;
    d->value = 7;
    return 3;
}

static int have_value(void *arg)
{
    struct doing *d = arg;
    int err = weft_once_do(&d->once, make_value, d);

    if (err == 0)
        assert_int_equal(d->value, 7);
    return err;
}

static void doing_init(struct doing *d, int fail)
{
    *d = (struct doing){ .fail = fail };
    weft_once_init(&d->once);
    weft_future_init(&d->go);
}

static int do_once(void *arg)
{
    struct doing d;
    weft_task *t[TASKS];
    (void)arg;

    doing_init(&d, 0);
    for (int i = 0; i < TASKS; i++)
        t[i] = spawn(have_value, &d);
    yield();
    weft_future_complete(&d.go, 0);
    for (int i = 0; i < TASKS; i++)
        assert_int_equal(join(t[i]), 0);
    assert_int_equal(have_value(&d), 0);
    assert_int_equal(d.runs, 1);
    weft_once_destroy(&d.once);
    return 0;
}

static void it_is_done_once_and_all_see_it(void **state)
{
    (void)state;
    run_both(do_once);
}

static int do_until_it_works(void *arg)
{
    struct doing d;
    weft_task *t[TASKS];
    (void)arg;

    doing_init(&d, 2);
    t[0] = spawn_parked(have_value, &d, "future");
    for (int i = 1; i < TASKS; i++)
        t[i] = spawn_parked(have_value, &d, "once");
    weft_future_complete(&d.go, 0);
    for (int i = 0; i < TASKS; i++) // two fail, in the order of the queue; the third makes it for all
        assert_int_equal(join(t[i]), i < 2 ? -EIO : 0);
    assert_int_equal(d.runs, 3);
    weft_once_destroy(&d.once);

    doing_init(&d, 1);
    weft_future_complete(&d.go, 0);
    assert_int_equal(have_value(&d), -EIO); // no task waits
    assert_int_equal(have_value(&d), 0);
    assert_int_equal(d.runs, 2);
    weft_once_destroy(&d.once);
    return 0;
}

static void who_comes_next_does_it_if_it_fails(void **state)
{
    (void)state;
    run_both(do_until_it_works);
}

static int leave_once(void *arg)
{
    struct doing d;
    (void)arg;

    doing_init(&d, 0);
    weft_task *a = spawn_parked(have_value, &d, "future");
    weft_task *b = spawn_parked(have_value, &d, "once");
    weft_task *c = spawn_parked(have_value, &d, "once");
    cancel(b);
    cancel(a); // fn fails by it: the next one does it
    wait_parked(c, "future");
    weft_future_complete(&d.go, 0);
    assert_int_equal(join(c), 0);
    assert_int_equal(d.runs, 2);
    weft_once_destroy(&d.once);
    return 0;
}

static void who_is_cancelled_leaves_it_to_the_next(void **state)
{
    (void)state;
    run_both(leave_once);
}

// --- event ---------------------------------------------------------------------------

static int wait_event(void *e)
{
    return weft_event_wait(e);
}

static int set_and_reset(void *arg)
{
    static weft_event of_all_tasks = WEFT_EVENT_INIT;
    weft_event e;
    weft_task *t[TASKS];
    (void)arg;

    weft_event_init(&e);
    for (int round = 0; round < 3; round++) {
        assert_false(weft_event_is_set(&e));
        for (int i = 0; i < TASKS; i++)
            t[i] = spawn_parked(wait_event, &e, "event");
        cancel(t[2]);
        weft_event_set(&e);
        if (round == 1)
            weft_event_set(&e);
        if (round == 2)
            weft_event_reset(&e); // the waiters continue all the same
        for (int i = 0; i < TASKS; i++)
            assert_true(i == 2 || join(t[i]) == 0);
        assert_int_equal(weft_event_is_set(&e), round < 2);
        if (round < 2)
            assert_int_equal(weft_event_wait(&e), 0);
        weft_event_reset(&e);
        weft_event_reset(&e);
    }
    weft_event_destroy(&e);
    weft_event_set(&of_all_tasks);
    assert_int_equal(weft_event_wait(&of_all_tasks), 0);
    weft_event_reset(&of_all_tasks);
    return 0;
}

static void an_event_stays_set_until_it_is_reset(void **state)
{
    (void)state;
    run_both(set_and_reset);
}

struct news {
    weft_event event, read;
    unsigned number; // written before the event is set
};

enum { NEWS = 300 };

static void *tell_in_a_thread(void *arg)
{
    struct news *n = arg;

    for (unsigned i = 1; i <= NEWS; i++) {
        n->number = i;
        weft_event_set(&n->event);
        while (!weft_event_is_set(&n->read))
            sched_yield();
        weft_event_reset(&n->read);
    }
    return NULL;
}

static int hear_from_a_thread(void *arg)
{
    struct news n = { .event = WEFT_EVENT_INIT, .read = WEFT_EVENT_INIT };
    pthread_t thread;
    (void)arg;

    assert_int_equal(pthread_create(&thread, NULL, tell_in_a_thread, &n), 0);
    for (unsigned i = 1; i <= NEWS; i++) {
        assert_int_equal(weft_event_wait(&n.event), 0);
        weft_event_reset(&n.event);
        assert_int_equal(n.number, i);
        weft_event_set(&n.read);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    weft_event_destroy(&n.event);
    return 0;
}

static void foreign_threads_may_set_and_reset(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(hear_from_a_thread, NULL), 0);
}

// --- latch ---------------------------------------------------------------------------

static int wait_latch(void *l)
{
    return weft_latch_wait(l);
}

static int count_down(void *arg)
{
    static weft_latch none = WEFT_LATCH_INIT(0);
    weft_latch l, empty;
    weft_task *t[TASKS];
    (void)arg;

    assert_true(weft_latch_done(&none));
    assert_int_equal(weft_latch_wait(&none), 0);
    weft_latch_init(&empty, 0);
    assert_int_equal(weft_latch_wait(&empty), 0);
    weft_latch_destroy(&empty);
    weft_latch_init(&l, 6);
    for (int i = 0; i < TASKS; i++)
        t[i] = spawn_parked(wait_latch, &l, "latch");
    weft_latch_count_down(&l, 0);
    weft_latch_count_down(&l, 5);
    assert_false(weft_latch_done(&l));
    cancel(t[1]);
    wait_parked(t[0], "latch");
    weft_latch_count_down(&l, 1);
    assert_true(weft_latch_done(&l));
    for (int i = 0; i < TASKS; i++)
        assert_true(i == 1 || join(t[i]) == 0);
    assert_int_equal(weft_latch_wait(&l), 0);
    weft_latch_destroy(&l);
    return 0;
}

static void a_latch_opens_at_zero(void **state)
{
    (void)state;
    run_both(count_down);
}

// The latch lies on the waiter's stack, which is used for something else as soon as it
// may be.
struct work {
    weft_latch *latch;
    int done; // before it counts down
};

static int work_and_count(void *arg)
{
    struct work *w = arg;
    weft_latch *l = w->latch;

    w->done = 1;
    weft_latch_count_down(l, 1);
    return 0;
}

static void *work_in_a_thread(void *arg)
{
    work_and_count(arg);
    return NULL;
}

static int fan_out(void *arg)
{
    weft_latch l = WEFT_LATCH_INIT(TASKS);
    struct work work[TASKS];
    weft_task *t[TASKS];
    pthread_t thread;
    (void)arg;

    for (int i = 0; i < TASKS; i++)
        work[i] = (struct work){ .latch = &l };
    assert_int_equal(pthread_create(&thread, NULL, work_in_a_thread, &work[0]), 0);
    for (int i = 1; i < TASKS; i++)
        t[i] = spawn(work_and_count, &work[i]);
    assert_int_equal(weft_latch_wait(&l), 0);
    memset(&l, 0xee, sizeof(l));
    for (int i = 0; i < TASKS; i++)
        assert_int_equal(work[i].done, 1);
    for (int i = 1; i < TASKS; i++)
        assert_int_equal(join(t[i]), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    return 0;
}

static int fan_out_often(void *arg)
{
    for (unsigned i = wf_test_rounds(200); i > 0; i--)
        assert_int_equal(fan_out(arg), 0);
    return 0;
}

static void a_latch_may_lie_on_the_waiters_stack(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(fan_out_often, NULL), 0);
}

// --- level-triggered -----------------------------------------------------------------

static int all_while_cancelled(void *arg)
{
    struct doing d;
    weft_barrier b = WEFT_BARRIER_INIT(1);
    weft_event e = WEFT_EVENT_INIT;
    weft_latch l = WEFT_LATCH_INIT(0);
    (void)arg;

    doing_init(&d, 0);
    weft_future_complete(&d.go, 0);
    assert_int_equal(have_value(&d), 0);
    weft_event_set(&e);
    weft_task_cancel(weft_self());
    assert_int_equal(weft_barrier_wait(&b), -ECANCELED);
    assert_int_equal(have_value(&d), -ECANCELED);
    assert_int_equal(weft_event_wait(&e), -ECANCELED);
    assert_int_equal(weft_latch_wait(&l), -ECANCELED);
    weft_shield_begin(WEFT_NEVER);
    assert_int_equal(weft_barrier_wait(&b), 1);
    assert_int_equal(have_value(&d), 0);
    assert_int_equal(weft_event_wait(&e), 0);
    assert_int_equal(weft_latch_wait(&l), 0);
    weft_shield_end();
    return 0;
}

static int level_triggered(void *arg)
{
    return join(spawn(all_while_cancelled, arg));
}

static void a_cancelled_task_does_not_wait_nor_go_on(void **state)
{
    (void)state;
    run_both(level_triggered);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(all_meet_at_the_barrier_and_one_is_told), left_test(who_is_cancelled_leaves_the_barrier),
        left_test(it_is_done_once_and_all_see_it),          left_test(who_comes_next_does_it_if_it_fails),
        left_test(who_is_cancelled_leaves_it_to_the_next),  left_test(an_event_stays_set_until_it_is_reset),
        left_test(foreign_threads_may_set_and_reset),       left_test(a_latch_opens_at_zero),
        left_test(a_latch_may_lie_on_the_waiters_stack),    left_test(a_cancelled_task_does_not_wait_nor_go_on),
    };
    return wf_test_run(tests);
}
