// The parker: its transitions by one thread, then two that wake each other.
#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "base/clock.h"
#include "base/parker.h"
#include "tests/support/harness.h"

static struct wf_parker parker;

static void begin(void)
{
    wf_store_relaxed(&parker.state, (uint32_t)WF_PARKER_RUNNING); // relaxed: not shared yet
}

static void all_zero_is_a_running_thread(void **state)
{
    static struct wf_parker zero;
    (void)state;
    assert_true(wf_parker_prepare(&zero, WF_PARKER_IN_FUTEX));
}

static void without_a_wake_finish_says_so(void **state)
{
    (void)state;
    begin();
    assert_true(wf_parker_prepare(&parker, WF_PARKER_IN_FUTEX));
    assert_false(wf_parker_finish(&parker));
    assert_true(wf_parker_prepare(&parker, WF_PARKER_ELSEWHERE));
    assert_false(wf_parker_finish(&parker));
}

static void a_wake_that_comes_first_is_kept_and_consumed_once(void **state)
{
    (void)state;
    begin();
    assert_false(wf_parker_wake(&parker));
    assert_false(wf_parker_prepare(&parker, WF_PARKER_IN_FUTEX));
    assert_true(wf_parker_prepare(&parker, WF_PARKER_IN_FUTEX));
    assert_false(wf_parker_finish(&parker));
}

static void many_wakes_count_as_one(void **state)
{
    (void)state;
    begin();
    for (int i = 0; i < 3; i++)
        assert_false(wf_parker_wake(&parker));
    assert_false(wf_parker_prepare(&parker, WF_PARKER_IN_FUTEX));
    assert_true(wf_parker_prepare(&parker, WF_PARKER_IN_FUTEX));
    assert_false(wf_parker_finish(&parker));
}

static void a_wake_between_prepare_and_sleep_ends_the_sleep_before_it_begins(void **state)
{
    (void)state;
    begin();
    assert_true(wf_parker_prepare(&parker, WF_PARKER_IN_FUTEX));
    assert_false(wf_parker_wake(&parker));
    wf_parker_sleep(&parker, WF_NEVER);
    assert_true(wf_parker_finish(&parker));
    assert_true(wf_parker_prepare(&parker, WF_PARKER_IN_FUTEX));
    assert_false(wf_parker_finish(&parker));
}

static void only_the_first_who_wakes_a_sleeper_elsewhere_must_fetch_it(void **state)
{
    (void)state;
    begin();
    assert_true(wf_parker_prepare(&parker, WF_PARKER_ELSEWHERE));
    assert_true(wf_parker_wake(&parker));
    assert_false(wf_parker_wake(&parker));
    assert_true(wf_parker_finish(&parker));
}

static void a_sleep_ends_at_its_deadline_and_without_a_wake(void **state)
{
    (void)state;
    begin();
    assert_true(wf_parker_prepare(&parker, WF_PARKER_IN_FUTEX));
    int64_t deadline = wf_after(wf_now(), 1000000);
    wf_parker_sleep(&parker, deadline);
    assert_true(wf_now() >= deadline);
    assert_false(wf_parker_finish(&parker));
}

static void a_deadline_in_the_past_does_not_sleep(void **state)
{
    (void)state;
    begin();
    assert_true(wf_parker_prepare(&parker, WF_PARKER_IN_FUTEX));
    wf_parker_sleep(&parker, 0);
    wf_parker_sleep(&parker, -5);
    assert_false(wf_parker_finish(&parker));
}

static void a_futex_whose_word_has_changed_does_not_sleep(void **state)
{
    _Atomic uint32_t word = 1;
    (void)state;
    assert_int_equal(wf_futex_wait(&word, 0, WF_NEVER), 0);
    assert_int_equal(wf_futex_wait(&word, 1, 0), -ETIMEDOUT);
}

// --- two threads ---

static unsigned written; // by the waker, before it wakes: [P1]

static void await_state(uint32_t state)
{
    while (wf_load_relaxed(&parker.state) != state) // relaxed: what is tested must not hang on it
        sched_yield();
}

static void *wake_at_once(void *arg)
{
    (void)arg;
    written = 42;
    wf_parker_wake(&parker);
    return NULL;
}

static void *wake_the_sleeper(void *arg)
{
    await_state(WF_PARKER_IN_FUTEX);
    return wake_at_once(arg);
}

static void a_sleeper_sees_what_its_waker_wrote(void **state)
{
    pthread_t waker;
    (void)state;
    begin();
    written = 0;
    assert_int_equal(pthread_create(&waker, NULL, wake_the_sleeper, NULL), 0);
    assert_true(wf_parker_prepare(&parker, WF_PARKER_IN_FUTEX));
    wf_parker_sleep(&parker, WF_NEVER);
    assert_true(wf_parker_finish(&parker));
    assert_int_equal(written, 42);
    assert_int_equal(pthread_join(waker, NULL), 0);
}

static void who_was_woken_before_it_slept_sees_it_too(void **state)
{
    pthread_t waker;
    (void)state;
    begin();
    written = 0;
    assert_int_equal(pthread_create(&waker, NULL, wake_at_once, NULL), 0);
    await_state(WF_PARKER_NOTIFIED);
    assert_false(wf_parker_prepare(&parker, WF_PARKER_IN_FUTEX));
    assert_int_equal(written, 42);
    assert_int_equal(pthread_join(waker, NULL), 0);
}

// Two threads pass a number back and forth. The one without it sleeps; a lost wake
// would leave both asleep.
struct player {
    struct wf_parker parker;
    _Atomic unsigned turn; // A: counts what the other has handed over
    struct player *other;
    struct wf_test_rand rand;
    unsigned turns; // of the player
};

static void await_turn(struct player *p, unsigned turn)
{
    while (wf_load_seq_cst(&p->turn) != turn) {
        if (!wf_parker_prepare(&p->parker, WF_PARKER_IN_FUTEX))
            continue;
        // as every thread that parks: announce, look again, then sleep
        if (wf_load_seq_cst(&p->turn) != turn)
            wf_parker_sleep(&p->parker, WF_NEVER);
        wf_parker_finish(&p->parker);
    }
}

static void hand_over(struct player *p, unsigned turn)
{
    wf_store_seq_cst(&p->other->turn, turn);
    wf_parker_wake(&p->other->parker);
    if (wf_test_below(&p->rand, 8) == 0)
        wf_parker_wake(&p->other->parker); // one too many: it must do no harm
}

static void *play(void *arg)
{
    struct player *p = arg;

    for (unsigned turn = 1; turn <= p->turns; turn++) {
        await_turn(p, turn);
        hand_over(p, turn);
    }
    return NULL;
}

static void no_wake_is_lost_between_two_that_wake_each_other(void **state)
{
    static struct player a, b;
    pthread_t thread;
    (void)state;

    a = (struct player){ .other = &b, .rand = wf_test_rand(0), .turns = wf_test_rounds(20000) };
    b = (struct player){ .other = &a, .rand = wf_test_rand(1), .turns = a.turns };
    assert_int_equal(pthread_create(&thread, NULL, play, &b), 0);
    for (unsigned turn = 1; turn <= a.turns; turn++) {
        hand_over(&a, turn);
        await_turn(&a, turn);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(a.turn, a.turns);
    assert_int_equal(b.turn, b.turns);
}

// Many threads wake one, which sleeps whenever it has used up the count handed to it.
enum { WAKERS = 3 };

static _Atomic unsigned items; // A: handed over and not taken
static unsigned each;

static void *hand_items(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < each; i++) {
        wf_fetch_add_seq_cst(&items, 1);
        wf_parker_wake(&parker);
    }
    return NULL;
}

static void one_who_is_woken_by_many_misses_nothing(void **state)
{
    pthread_t threads[WAKERS];
    unsigned taken = 0;
    (void)state;

    begin();
    items = 0;
    each = wf_test_rounds(20000);
    for (int i = 0; i < WAKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hand_items, NULL), 0);
    while (taken < WAKERS * each) {
        taken += wf_exchange_seq_cst(&items, 0);
        if (taken == WAKERS * each || !wf_parker_prepare(&parker, WF_PARKER_IN_FUTEX))
            continue;
        if (wf_load_seq_cst(&items) == 0)
            wf_parker_sleep(&parker, WF_NEVER);
        wf_parker_finish(&parker);
    }
    for (int i = 0; i < WAKERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(items, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_zero_is_a_running_thread),
        cmocka_unit_test(without_a_wake_finish_says_so),
        cmocka_unit_test(a_wake_that_comes_first_is_kept_and_consumed_once),
        cmocka_unit_test(many_wakes_count_as_one),
        cmocka_unit_test(a_wake_between_prepare_and_sleep_ends_the_sleep_before_it_begins),
        cmocka_unit_test(only_the_first_who_wakes_a_sleeper_elsewhere_must_fetch_it),
        cmocka_unit_test(a_sleep_ends_at_its_deadline_and_without_a_wake),
        cmocka_unit_test(a_deadline_in_the_past_does_not_sleep),
        cmocka_unit_test(a_futex_whose_word_has_changed_does_not_sleep),
        cmocka_unit_test(a_sleeper_sees_what_its_waker_wrote),
        cmocka_unit_test(who_was_woken_before_it_slept_sees_it_too),
        cmocka_unit_test(no_wake_is_lost_between_two_that_wake_each_other),
        cmocka_unit_test(one_who_is_woken_by_many_misses_nothing),
    };
    return wf_test_run(tests);
}
