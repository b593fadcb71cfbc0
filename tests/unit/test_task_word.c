// The task's word: one transition after the other, then a task and its waker on two
// threads.
#include <pthread.h>
#include <sched.h>

#include "sched/sched.h"
#include "sched/task.h"
#include "tests/support/bell.h"
#include "tests/support/harness.h"

static struct wf_task task;

static void begin(void)
{
    wf_task_begin(&task);
}

static void a_new_task_is_alive_and_its_submitter_has_it(void **state)
{
    (void)state;
    begin();
    assert_int_equal(wf_load_relaxed(&task.word), WF_TASK_ACTIVE | WF_TASK_LIVE);
    assert_false(wf_task_note_wake(&task)); // so no other thread may queue it
}

static void without_a_wake_it_parks(void **state)
{
    (void)state;
    begin();
    assert_false(wf_task_consume_wake(&task));
    assert_true(wf_task_retire(&task));
}

// A wake that arrives before the task has finished parking must not be lost.
static void a_wake_while_running_is_noted_and_the_next_park_honours_it(void **state)
{
    (void)state;
    begin();
    assert_false(wf_task_note_wake(&task)); // nothing to queue
    assert_false(wf_task_retire(&task));    // still active: the caller queues it
    assert_true(wf_task_retire(&task));     // nothing pending now
}

static void a_noted_wake_is_consumed_before_parking(void **state)
{
    (void)state;
    begin();
    wf_task_note_wake(&task);
    assert_true(wf_task_consume_wake(&task));
    assert_false(wf_task_consume_wake(&task));
    assert_true(wf_task_retire(&task));
}

static void many_wakes_count_as_one(void **state)
{
    (void)state;
    begin();
    for (int i = 0; i < 3; i++)
        assert_false(wf_task_note_wake(&task));
    assert_true(wf_task_consume_wake(&task));
    assert_true(wf_task_retire(&task));
}

static void only_the_first_who_wakes_a_parked_task_queues_it(void **state)
{
    (void)state;
    begin();
    wf_task_retire(&task);
    assert_true(wf_task_note_wake(&task));
    assert_false(wf_task_note_wake(&task)); // in a queue: noted
    assert_false(wf_task_retire(&task));
    assert_true(wf_task_retire(&task));
}

static void only_a_parked_task_is_held_and_a_wake_meanwhile_is_noted(void **state)
{
    (void)state;
    begin();
    assert_false(wf_task_hold(&task)); // it runs
    wf_task_retire(&task);
    assert_true(wf_task_hold(&task));
    assert_false(wf_task_hold(&task));                          // by another one
    assert_int_equal(wf_task_retire(&task), WF_RETIRED_PARKED); // let go
    assert_true(wf_task_hold(&task));
    assert_int_equal(wf_task_note_wake(&task), WF_NOTED_FOR_LATER); // not to be queued: it is being read
    assert_int_equal(wf_task_retire(&task), WF_RETIRED_WOKEN);      // but then
    wf_task_end(&task);
    assert_false(wf_task_hold(&task));
}

static void a_cancel_wakes_and_stays(void **state)
{
    (void)state;
    begin();
    assert_false(wf_task_cancel_pending(&task));
    wf_task_cancel(&task);
    assert_true(wf_task_cancel_pending(&task));
    assert_true(wf_task_consume_wake(&task));
    assert_true(wf_task_retire(&task));
    assert_true(wf_task_note_wake(&task));
    assert_true(wf_task_cancel_pending(&task));
}

static void a_wake_after_the_end_queues_nothing_and_the_next_user_of_the_header_begins_clean(void **state)
{
    (void)state;
    begin();
    wf_task_cancel(&task);
    wf_task_end(&task);
    assert_false(wf_load_relaxed(&task.word) & WF_TASK_LIVE);
    assert_false(wf_task_note_wake(&task));
    wf_task_cancel(&task);
    begin();
    assert_false(wf_task_cancel_pending(&task));
    assert_false(wf_task_consume_wake(&task));
    assert_true(wf_task_retire(&task));
}

// --- two threads ---------------------------------------------------------------------

// The task's part is played by a thread that sleeps on `queue` while it is parked. The
// waker hands it one number after the other, each in the same plain word, with a wake,
// and waits for the answer. Only the task's word orders the two.
static struct bell queue;
static _Atomic unsigned answered; // A: how many numbers the task has read
static unsigned number, saved;    // written by the waker; by the task, before it parks
static unsigned rounds;

#ifdef WF_TSAN
enum { MEETINGS = 10000 }; // which sees a missing edge at once; a busy machine takes a millisecond for each
#else
enum { MEETINGS = 200000 };
#endif

static void *wake_for_each_number(void *arg)
{
    struct wf_test_rand r = wf_test_rand(1);

    (void)arg;
    for (unsigned i = 1; i <= rounds; i++) {
        number = i;
        if (wf_task_note_wake(&task)) { // [T2]
            assert_true(saved == i - 1);
            bell_ring(&queue);
        }
        for (unsigned turns = wf_test_below(&r, 30); turns > 0; turns--)
            __asm__ volatile("");
        for (unsigned turns = 0; wf_load_acquire(&answered) != i; turns++)
            if (turns > 100)
                sched_yield();
    }
    return NULL;
}

// park returns after a wake: one that was noted, or one that found the task parked.
static void park(struct wf_test_rand *r, uint32_t *rung)
{
    for (unsigned turns = wf_test_below(r, 30); turns > 0; turns--)
        if (wf_task_consume_wake(&task)) // [T1]
            return;
    if (wf_task_retire(&task)) // [T1] [T2]
        bell_wait(&queue, ++*rung);
}

static void no_wake_is_lost_and_both_see_what_the_other_wrote(void **state)
{
    struct wf_test_rand r = wf_test_rand(0);
    uint32_t rung = 0;
    pthread_t waker;
    (void)state;

    begin();
    number = saved = 0;
    rounds = wf_test_rounds(MEETINGS);
    assert_int_equal(pthread_create(&waker, NULL, wake_for_each_number, NULL), 0);
    for (unsigned i = 1; i <= rounds; i++) {
        park(&r, &rung);
        assert_true(number == i);
        saved = i;
        wf_store_release(&answered, i);
    }
    assert_int_equal(pthread_join(waker, NULL), 0);
    assert_true(wf_task_retire(&task));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_task_is_alive_and_its_submitter_has_it),
        cmocka_unit_test(without_a_wake_it_parks),
        cmocka_unit_test(a_wake_while_running_is_noted_and_the_next_park_honours_it),
        cmocka_unit_test(a_noted_wake_is_consumed_before_parking),
        cmocka_unit_test(many_wakes_count_as_one),
        cmocka_unit_test(only_the_first_who_wakes_a_parked_task_queues_it),
        cmocka_unit_test(only_a_parked_task_is_held_and_a_wake_meanwhile_is_noted),
        cmocka_unit_test(a_cancel_wakes_and_stays),
        cmocka_unit_test(a_wake_after_the_end_queues_nothing_and_the_next_user_of_the_header_begins_clean),
        cmocka_unit_test(no_wake_is_lost_and_both_see_what_the_other_wrote),
    };
    return wf_test_run(tests);
}
