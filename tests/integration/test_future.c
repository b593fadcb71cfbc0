// Futures: completed once, by any thread; awaited by any number of tasks and threads.
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/compiler.h"
#include "tests/support/left.h"
#include "tests/support/tasks.h"

enum { WAITERS = 200, THREADS = 4 };

static weft_future static_future = WEFT_FUTURE_INIT;

// --- one waiter ----------------------------------------------------------------------

static int complete_static(void *arg)
{
    assert_true(weft_future_complete(&static_future, (intptr_t)arg));
    return 0;
}

static int values_and_errors(void *arg)
{
    weft_future f;
    intptr_t value = 5;

    assert_false(weft_future_done(&static_future));
    weft_task *t = spawn(complete_static, arg);
    assert_int_equal(weft_await(&static_future, &value), 0);
    assert_ptr_equal(value, arg);
    assert_int_equal(join(t), 0);

    weft_future_init(&f);
    assert_true(weft_future_complete(&f, INTPTR_MIN)); // before any task awaits it
    assert_true(weft_future_done(&f));
    assert_int_equal(weft_await(&f, &value), 0);
    assert_true(value == INTPTR_MIN);
    assert_int_equal(weft_await(&f, NULL), 0);            // as often as you like
    assert_int_equal(weft_await_until(&f, &value, 0), 0); // a deadline in the past polls
    assert_int_equal(weft_await_until(&f, &value, INT64_MIN), 0);

    weft_future_init(&f); // storage may be used again
    value = 5;
    assert_int_equal(weft_await_until(&f, &value, 0), -ETIMEDOUT);
    assert_int_equal(weft_await_until(&f, &value, weft_after(WEFT_MS(1))), -ETIMEDOUT);
    assert_true(weft_future_fail(&f, -EPIPE));
    assert_true(weft_future_done(&f));
    assert_int_equal(weft_await(&f, &value), -EPIPE);
    assert_int_equal(weft_await_until(&f, &value, 0), -EPIPE);
    assert_int_equal(value, 5); // an error leaves it alone
    assert_false(weft_future_complete(&f, 1));
    assert_false(weft_future_fail(&f, -EIO));
    assert_int_equal(weft_await(&f, &value), -EPIPE);
    return 0;
}

static void a_future_gives_its_value_or_its_error(void **state)
{
    weft_future_init(&static_future);
    assert_int_equal(run_tasks(values_and_errors, state), 0);
}

static int return_minus_7(void *arg)
{
    (void)arg;
    return -7;
}

static int await_task_future(void *arg)
{
    intptr_t value = 0;
    weft_task *t = spawn(return_minus_7, NULL);
    (void)arg;

    assert_int_equal(weft_await(weft_task_future(t), &value), 0);
    assert_int_equal(value, -7);
    assert_true(weft_task_done(t));
    assert_int_equal(weft_await(weft_task_future(t), NULL), 0);
    return join(t);
}

static void a_tasks_future_has_its_result_as_a_value(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(await_task_future, NULL), -7);
}

static void a_thread_waits_until_its_deadline(void **state)
{
    weft_future f = WEFT_FUTURE_INIT;
    intptr_t value = 5;
    (void)state;

    for (int i = 0; i < 20; i++) {
        weft_time until = weft_after(WEFT_US(200 * i));
        assert_int_equal(weft_future_wait_thread(&f, &value, until), -ETIMEDOUT);
        assert_true(weft_now() >= until);
    }
    assert_int_equal(weft_future_wait_thread(&f, &value, INT64_MIN), -ETIMEDOUT);
    assert_int_equal(value, 5);
    assert_true(weft_future_complete(&f, 8)); // needs no runtime
    assert_int_equal(weft_future_wait_thread(&f, &value, 0), 0);
    assert_int_equal(value, 8);
    assert_int_equal(weft_future_wait_thread(&f, NULL, WEFT_NEVER), 0);
}

// --- many waiters --------------------------------------------------------------------

struct audience {
    weft_future f;
    _Atomic unsigned there; // about to wait
    int written;            // before the future is completed
};

static int hear(void *arg)
{
    struct audience *a = arg;
    intptr_t value = 0;

    wf_fetch_add_relaxed(&a->there, 1); // relaxed: a counter
    int err = weft_await(&a->f, &value);
    assert_int_equal(a->written, 77);
    return err ? err : (int)value;
}

static void *hear_outside(void *arg)
{
    struct audience *a = arg;
    intptr_t value = 0;

    wf_fetch_add_relaxed(&a->there, 1); // relaxed: a counter
    assert_int_equal(weft_future_wait_thread(&a->f, &value, WEFT_NEVER), 0);
    assert_int_equal(a->written, 77);
    assert_int_equal(value, 42);
    return NULL;
}

static int gather(void *arg)
{
    struct audience *a = arg;
    weft_task *tasks[WAITERS];

    for (int i = 0; i < WAITERS; i++)
        tasks[i] = spawn(hear, a);
    while (wf_load_relaxed(&a->there) < WAITERS + THREADS) // relaxed: a counter
        assert_int_equal(weft_sleep(WEFT_US(100)), 0);
    wait_parked(tasks[0], "future");
    a->written = 77;
    assert_true(weft_future_complete(&a->f, 42));
    for (int i = 0; i < WAITERS; i++)
        assert_int_equal(join(tasks[i]), 42);
    return 0;
}

static void all_who_wait_are_woken_and_see_what_was_written(void **state)
{
    (void)state;
    for (unsigned round = wf_test_rounds(10); round > 0; round--) {
        struct audience a = { .f = WEFT_FUTURE_INIT };
        pthread_t threads[THREADS];

        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, hear_outside, &a), 0);
        assert_int_equal(run_tasks(gather, &a), 0);
        for (int i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
    }
}

// --- many completers -----------------------------------------------------------------

struct contest {
    weft_future f;
    _Atomic unsigned ready;
    _Atomic unsigned winners;
    _Atomic intptr_t winner;
};

struct contestant {
    struct contest *contest;
    intptr_t number;
};

static void *complete_outside(void *arg)
{
    struct contestant *me = arg;
    struct contest *c = me->contest;

    wf_fetch_add_relaxed(&c->ready, 1);          // relaxed: a counter
    while (wf_load_relaxed(&c->ready) < THREADS) // relaxed: only to begin together
        ;
    bool won = me->number % 2 ? weft_future_fail(&c->f, (int)-me->number) : weft_future_complete(&c->f, me->number);
    if (won) {
        wf_fetch_add_relaxed(&c->winners, 1); // relaxed: read after the threads' end
        wf_store_relaxed(&c->winner, me->number);
    }
    return NULL;
}

static int await_winner(void *arg)
{
    intptr_t value = 0;
    int err = weft_await(arg, &value);
    return err ? -err : (int)value;
}

static void the_first_of_many_completers_wins(void **state)
{
    weft_rt *rt;
    (void)state;

    assert_int_equal(weft_rt_new(&rt, NULL), 0);
    wf_test_watch(rt);
    for (unsigned round = wf_test_rounds(150); round > 0; round--) {
        struct contest c = { .f = WEFT_FUTURE_INIT };
        struct contestant all[THREADS];
        pthread_t threads[THREADS];

        for (int i = 0; i < THREADS; i++) {
            all[i] = (struct contestant){ &c, i + 1 };
            assert_int_equal(pthread_create(&threads[i], NULL, complete_outside, &all[i]), 0);
        }
        int seen = weft_rt_block_on(rt, await_winner, &c.f);
        for (int i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
        assert_int_equal(wf_load_relaxed(&c.winners), 1); // relaxed: the threads have been joined
        assert_int_equal(wf_load_relaxed(&c.winner), seen);
    }
    wf_test_unwatch(rt);
    weft_rt_free(rt);
}

// --- waiters that leave --------------------------------------------------------------

struct leaver {
    weft_future *f;
    unsigned patience; // us
    _Atomic unsigned *gone;
};

static int wait_a_while(void *arg)
{
    struct leaver *l = arg;
    intptr_t value = 0;
    int err = weft_await_until(l->f, &value, weft_after(WEFT_US(l->patience)));

    if (err == -ETIMEDOUT || err == -ECANCELED)
        assert_int_equal(value, 0);
    else
        assert_int_equal(value, 13);
    wf_fetch_add_relaxed(l->gone, 1); // relaxed: a counter
    return err;
}

static void *wait_a_while_outside(void *arg)
{
    struct leaver *l = arg;
    intptr_t value = 0;
    int err = weft_future_wait_thread(l->f, &value, weft_after(WEFT_US(l->patience)));

    assert_int_equal(err == 0 ? 13 : 0, value);
    assert_true(err == 0 || err == -ETIMEDOUT);
    return NULL;
}

// leave_and_complete: deadlines, cancels and the completion all come at about the same
// moment.
static int leave_and_complete(void *arg)
{
    enum { N = 24 };
    struct wf_test_rand *rand = arg;
    weft_future f = WEFT_FUTURE_INIT;
    _Atomic unsigned gone = 0;
    struct leaver leavers[N], outside = { &f, wf_test_below(rand, 300), &gone };
    weft_task *tasks[N];
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, wait_a_while_outside, &outside), 0);
    for (int i = 0; i < N; i++) {
        leavers[i] = (struct leaver){ &f, wf_test_below(rand, 300), &gone };
        tasks[i] = spawn(wait_a_while, &leavers[i]);
    }
    assert_int_equal(weft_sleep(WEFT_US(wf_test_below(rand, 200))), 0);
    for (int i = 0; i < N; i += 3)
        weft_task_cancel(tasks[i]);
    assert_int_equal(weft_sleep(WEFT_US(wf_test_below(rand, 100))), 0);
    assert_true(weft_future_complete(&f, 13));
    for (int i = 0; i < N; i++) {
        int result = join(tasks[i]);
        assert_true(result == 0 || result == -ETIMEDOUT || (result == -ECANCELED && i % 3 == 0));
    }
    assert_int_equal(wf_load_relaxed(&gone), N); // relaxed: they have been joined
    while (pthread_tryjoin_np(thread, NULL) == EBUSY)
        assert_int_equal(weft_sleep(WEFT_US(100)), 0);
    return 0;
}

static void who_leaves_disturbs_nobody(void **state)
{
    struct wf_test_rand rand = wf_test_rand(1);
    weft_rt *rt;
    (void)state;

    assert_int_equal(weft_rt_new(&rt, NULL), 0);
    wf_test_watch(rt);
    for (unsigned round = wf_test_rounds(200); round > 0; round--)
        assert_int_equal(weft_rt_block_on(rt, leave_and_complete, &rand), 0);
    wf_test_unwatch(rt);
    weft_rt_free(rt);
}

struct patient {
    weft_future *f;
    _Atomic bool tired; // of deadlines: the next await has none
};

static int await_again(void *arg)
{
    struct patient *p = arg;
    intptr_t value = 0;

    for (int i = 0; i < 50; i++)
        assert_int_equal(weft_await_until(p->f, &value, weft_after(WEFT_US(i))), -ETIMEDOUT);
    wf_store_release(&p->tired, true); // release: to leave_often
    assert_int_equal(weft_await(p->f, &value), 0);
    return (int)value;
}

static int leave_often(void *arg)
{
    enum { N = 10 };
    weft_future f = WEFT_FUTURE_INIT;
    struct patient patients[N];
    weft_task *tasks[N];
    (void)arg;

    for (int i = 0; i < N; i++) {
        patients[i] = (struct patient){ &f, false };
        tasks[i] = spawn(await_again, &patients[i]);
    }
    for (int i = 0; i < N; i++)
        while (!wf_load_acquire(&patients[i].tired)) // acquire: from await_again
            assert_int_equal(weft_sleep(WEFT_US(50)), 0);
    assert_true(weft_future_complete(&f, 13));
    for (int i = 0; i < N; i++)
        assert_int_equal(join(tasks[i]), 13);
    return 0;
}

static void a_future_that_was_left_may_be_awaited_again(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(leave_often, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(a_future_gives_its_value_or_its_error),
        left_test(a_tasks_future_has_its_result_as_a_value),
        left_test(a_thread_waits_until_its_deadline),
        left_test(all_who_wait_are_woken_and_see_what_was_written),
        left_test(the_first_of_many_completers_wins),
        left_test(who_leaves_disturbs_nobody),
        left_test(a_future_that_was_left_may_be_awaited_again),
    };
    return wf_test_run(tests);
}
