// The waiter, and a scope's deadline: the tests stop between two steps that follow each
// other at once in programs.
#include <errno.h>

#include "tests/support/left.h"
#include "tests/support/tasks.h"

#include "runtime/state.h"
#include "runtime/wait/scope.h"
#include "runtime/wait/waiter.h"

static weft_rt *rt;

static int setup(void **state)
{
    (void)state;
    return weft_rt_new(&rt, NULL);
}

static int teardown(void **state)
{
    (void)state;
    weft_rt_free(rt);
    return 0;
}

static int end(weft_task *t)
{
    intptr_t result;

    assert_int_equal(weft_future_wait_thread(weft_task_future(t), &result, WEFT_NEVER), 0);
    weft_detach(t);
    return (int)result;
}

// --- waiters -------------------------------------------------------------------------

static struct wf_lock lock;
static struct wf_list queue;

static int wait_in_queue(void *arg)
{
    struct wf_waiter w;

    wf_waiter_init(&w, wf_self());
    w.choice = arg;
    w.number = 4;
    wf_lock_acquire(&lock);
    wf_waiter_join(&queue, &w);
    wf_lock_release(&lock);
    return wf_waiter_wait(&w, &lock, "queue", 0);
}

static weft_task *start_waiter(struct wf_choice *choice)
{
    weft_task *t;

    assert_int_equal(weft_rt_spawn(rt, &t, wait_in_queue, choice), 0);
    watch_parked(rt, t, "queue");
    return t;
}

static struct wf_waiter *take(void)
{
    wf_lock_acquire(&lock);
    struct wf_waiter *w = wf_waiter_take(&queue);
    wf_lock_release(&lock);
    return w;
}

static void waiters_are_taken_in_the_order_in_which_they_came(void **state)
{
    weft_task *tasks[3];
    (void)state;

    wf_list_init(&queue);
    for (int i = 0; i < 3; i++)
        tasks[i] = start_waiter(NULL);
    for (int i = 0; i < 3; i++) {
        wf_waiter_grant(take(), 10 + i);
        assert_int_equal(end(tasks[i]), 10 + i);
    }
    assert_null(take());
}

static void a_cancelled_waiter_leaves_the_queue(void **state)
{
    (void)state;
    wf_list_init(&queue);
    weft_task *first = start_waiter(NULL), *second = start_waiter(NULL);
    weft_task_cancel(first);
    assert_int_equal(end(first), -ECANCELED);
    wf_waiter_grant(take(), 1);
    assert_int_equal(end(second), 1);
    assert_null(take());
}

static void one_that_was_taken_gets_it_in_spite_of_a_cancel(void **state)
{
    (void)state;
    wf_list_init(&queue);
    weft_task *t = start_waiter(NULL);
    struct wf_waiter *w = take();
    assert_non_null(w);
    weft_task_cancel(t);
    usleep(20000); // time to leave, if it would
    assert_false(weft_task_done(t));
    wf_waiter_grant(w, 7);
    assert_int_equal(end(t), 7);
}

static void a_waiter_whose_choice_is_made_is_passed_over(void **state)
{
    struct wf_choice choice;
    (void)state;

    wf_list_init(&queue);
    wf_choice_init(&choice);
    weft_task *t = start_waiter(&choice);
    struct wf_waiter *w = wf_waiter_of(queue.next);
    weft_task *next = start_waiter(NULL);
    assert_true(wf_choice_win(&choice, 2)); // another of its cases has happened
    wf_waiter_grant(take(), 1);
    assert_int_equal(end(next), 1);
    assert_null(take());
    assert_false(weft_task_done(t));
    wf_waiter_grant(w, 5); // by the winner of the choice
    assert_int_equal(end(t), 5);
}

// --- a scope's deadline --------------------------------------------------------------

static struct wf_scope *opened;
static weft_future go_on = WEFT_FUTURE_INIT;

static int open_and_close(void *arg)
{
    weft_scope s;
    (void)arg;

    weft_scope_open(&s, WEFT_SCOPE_COLLECT);
    weft_scope_deadline(&s, weft_after(WEFT_S(3600)));
    opened = (struct wf_scope *)(void *)&s;
    assert_int_equal(weft_await(&go_on, NULL), 0);
    return weft_scope_close(&s);
}

static void close_waits_for_a_deadline_that_is_about_to_fire(void **state)
{
    weft_task *t;
    (void)state;

    assert_int_equal(weft_rt_spawn(rt, &t, open_and_close, NULL), 0);
    watch_parked(rt, t, "future");
    // As the reactor does it: out of the wheel, fired, and the waker a little later.
    wf_timer_disarm(&opened->timer);
    struct wf_waker waker = opened->timer.waker;
    wf_store_release(&opened->timer.fired, true); // release: as [W1]
    weft_future_complete(&go_on, 0);
    watch_parked(rt, t, "scope deadline");
    assert_false(weft_task_done(t));
    wf_waker_fire(waker);
    assert_int_equal(end(t), -ETIMEDOUT);
}

// clang-format off
#define FACT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
// clang-format on

int main(void)
{
    const struct CMUnitTest tests[] = {
        FACT(waiters_are_taken_in_the_order_in_which_they_came), FACT(a_cancelled_waiter_leaves_the_queue),
        FACT(one_that_was_taken_gets_it_in_spite_of_a_cancel),   FACT(a_waiter_whose_choice_is_made_is_passed_over),
        FACT(close_waits_for_a_deadline_that_is_about_to_fire),
    };
    return wf_test_run(tests);
}
