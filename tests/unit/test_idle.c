// The idle set: single facts, then threads that act as pushers and workers, with real
// parkers.
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "base/parker.h"
#include "sched/idle.h"
#include "sched/queues/injector.h"
#include "tests/support/harness.h"
#include "tests/support/threads.h"

static struct wf_idle idle;

static void begin(unsigned workers)
{
    idle = (struct wf_idle){ 0 };
    wf_idle_init(&idle, workers);
}

static unsigned searching(void)
{
    return wf_load_relaxed(&idle.searching);
}

static void sleep_all(unsigned workers)
{
    begin(workers);
    for (unsigned w = 0; w < workers; w++)
        wf_idle_sleep(&idle, w, false);
}

static void at_most_half_search_but_always_one_may(void **state)
{
    (void)state;
    for (unsigned workers = 1; workers <= 8; workers++) {
        unsigned n = 0;
        begin(workers);
        while (wf_idle_search_begin(&idle))
            n++;
        assert_int_equal(n, workers < 2 ? 1 : (workers + 1) / 2);
        assert_int_equal(searching(), n);
    }
}

static void only_the_last_to_end_a_search_must_look_again(void **state)
{
    (void)state;
    begin(8);
    assert_true(wf_idle_search_begin(&idle));
    assert_true(wf_idle_search_begin(&idle));
    assert_false(wf_idle_search_end(&idle));
    assert_true(wf_idle_search_end(&idle));
}

static void who_falls_asleep_searches_no_more(void **state)
{
    (void)state;
    begin(2);
    assert_true(wf_idle_search_begin(&idle));
    wf_idle_sleep(&idle, 1, true);
    assert_int_equal(searching(), 0);
    assert_true(wf_idle_any_asleep(&idle));
    assert_false(wf_idle_all_asleep(&idle));
    wf_idle_sleep(&idle, 0, false);
    assert_true(wf_idle_all_asleep(&idle));
}

static void who_rises_by_himself_is_no_searcher(void **state)
{
    (void)state;
    sleep_all(2);
    assert_true(wf_idle_unsleep(&idle, 0));
    assert_int_equal(searching(), 0);
    assert_false(wf_idle_all_asleep(&idle));
}

static void one_is_woken_the_lowest_and_counted_as_a_searcher(void **state)
{
    (void)state;
    sleep_all(3);
    assert_true(wf_idle_unsleep(&idle, 0));
    assert_int_equal(wf_idle_wake_one(&idle, false), 1);
    assert_int_equal(searching(), 1);
    assert_false(wf_idle_unsleep(&idle, 1)); // the waker has done that
}

static void while_one_searches_nobody_is_woken(void **state)
{
    (void)state;
    sleep_all(3);
    assert_true(wf_idle_may_wake(&idle));
    assert_int_equal(wf_idle_wake_one(&idle, false), 0);
    assert_false(wf_idle_may_wake(&idle));
    assert_int_equal(wf_idle_wake_one(&idle, false), -1);
    assert_true(wf_idle_search_end(&idle));
    assert_int_equal(wf_idle_wake_one(&idle, false), 1);
}

static void with_nobody_asleep_nobody_is_woken_and_nobody_counted(void **state)
{
    (void)state;
    begin(3);
    assert_false(wf_idle_may_wake(&idle));
    assert_int_equal(wf_idle_wake_one(&idle, false), -1);
    assert_int_equal(searching(), 0);
}

static void the_one_in_the_poll_is_woken_last(void **state)
{
    (void)state;
    sleep_all(3);
    wf_store_relaxed(&idle.poller, 0);
    for (int expected = 1; expected <= 3; expected++) {
        assert_int_equal(wf_idle_wake_one(&idle, false), expected % 3);
        assert_true(wf_idle_search_end(&idle));
    }
}

static void the_one_in_the_poll_is_woken_first_if_asked_for(void **state)
{
    (void)state;
    sleep_all(3);
    wf_store_relaxed(&idle.poller, 2);
    for (int expected = 2; expected <= 4; expected++) {
        assert_int_equal(wf_idle_wake_one(&idle, true), expected % 3);
        assert_true(wf_idle_search_end(&idle));
    }
    assert_int_equal(wf_idle_wake_one(&idle, true), -1);
}

static void one_may_be_woken_by_name(void **state)
{
    (void)state;
    sleep_all(3);
    assert_true(wf_idle_wake(&idle, 1));
    assert_int_equal(searching(), 1);
    assert_false(wf_idle_wake(&idle, 1));
    assert_int_equal(searching(), 1);
    assert_false(wf_idle_unsleep(&idle, 1));
}

static void others_are_awake_if_anyone_else_is(void **state)
{
    (void)state;
    sleep_all(3);
    assert_false(wf_idle_others_awake(&idle, 0));
    assert_true(wf_idle_unsleep(&idle, 1));
    assert_true(wf_idle_others_awake(&idle, 0));
    assert_false(wf_idle_others_awake(&idle, 1));
    assert_true(wf_idle_unsleep(&idle, 0));
    assert_true(wf_idle_others_awake(&idle, 1));
}

static void there_may_be_256(void **state)
{
    (void)state;
    sleep_all(256);
    assert_true(wf_idle_all_asleep(&idle));
    for (int w = 0; w < 256; w++) {
        assert_int_equal(wf_idle_wake_one(&idle, false), w);
        assert_true(wf_idle_search_end(&idle));
    }
    assert_false(wf_idle_any_asleep(&idle));
    wf_idle_sleep(&idle, 255, false);
    assert_true(wf_idle_any_asleep(&idle));
    assert_int_equal(wf_idle_wake_one(&idle, false), 255);
}

// --- the protocol --------------------------------------------------------------------

// [I1] with everything but tasks: in each round the pushers put one item each into the
//      injector, as wf_sched_notify's
// callers do, and wait until the workers have taken them all. The workers do what
// worker.c's do: look, search for a moment, announce their sleep, look again, sleep.
// One lost wake, and the round does not end.
enum { PUSHERS = 2, WORKERS = 3 };

static struct wf_injector injector;
static struct wf_parker parkers[WORKERS];
static struct wf_task items[PUSHERS];
static _Atomic unsigned taken; // A: items, in all rounds
static _Atomic bool over;      // A: the workers leave
static unsigned rounds;
static struct threads threads;

static void notify(void)
{
    if (wf_load_seq_cst(&idle.searching) != 0 || !wf_idle_any_asleep(&idle)) // [I1]
        return;
    int worker = wf_idle_wake_one(&idle, false);
    if (worker >= 0)
        assert_false(wf_parker_wake(&parkers[worker]));
}

static void dawdle(struct wf_test_rand *r)
{
    for (unsigned n = wf_test_below(r, 8) ? wf_test_below(r, 60) : wf_test_below(r, 3000); n > 0; n--)
        __asm__ volatile("");
}

static void *be_pusher(void *arg)
{
    unsigned self = (unsigned)(uintptr_t)arg;
    struct wf_test_rand r = wf_test_rand(self);

    threads_ready(&threads);
    for (unsigned round = 1; round <= rounds; round++) {
        struct wf_chain chain = { 0 };
        wf_chain_append(&chain, &items[self]);
        dawdle(&r);
        wf_injector_push(&injector, &chain);
        notify();
        for (unsigned turns = 0; wf_load_acquire(&taken) < round * PUSHERS; turns++)
            if (turns > 200)
                sched_yield();
    }
    return NULL;
}

static bool take(bool *searcher)
{
    struct wf_task *task;

    if (wf_injector_take(&injector, &task, 1) == 0)
        return false;
    if (*searcher && wf_idle_search_end(&idle) && !wf_injector_empty(&injector)) // [I1]
        notify();
    *searcher = false;
    wf_fetch_add_acq_rel(&taken, 1);
    return true;
}

static void rest(unsigned self, bool *searcher)
{
    if (!wf_parker_prepare(&parkers[self], WF_PARKER_IN_FUTEX))
        return;
    wf_idle_sleep(&idle, self, *searcher);
    *searcher = false;
    if (wf_injector_empty(&injector) && !wf_load_seq_cst(&over))
        wf_parker_sleep(&parkers[self], INT64_MAX);
    if (!wf_idle_unsleep(&idle, self))
        *searcher = true; // [I2]
    wf_parker_finish(&parkers[self]);
}

static void *be_worker(void *arg)
{
    unsigned self = (unsigned)(uintptr_t)arg;
    struct wf_test_rand r = wf_test_rand(PUSHERS + self);
    bool searcher = false;

    threads_ready(&threads);
    while (!wf_load_seq_cst(&over)) {
        if (take(&searcher))
            continue;
        searcher = searcher || wf_idle_search_begin(&idle);
        dawdle(&r);
        if (!take(&searcher))
            rest(self, &searcher);
    }
    if (searcher)
        wf_idle_search_end(&idle);
    return NULL;
}

static void end_workers(void)
{
    wf_store_seq_cst(&over, true);
    for (unsigned i = 0; i < WORKERS; i++)
        assert_false(wf_parker_wake(&parkers[i]));
}

static void no_wake_is_lost(void **state)
{
    (void)state;
    begin(WORKERS);
    rounds = wf_test_rounds(40000);
    threads_init(&threads, PUSHERS + WORKERS + 1);
    for (uintptr_t i = 0; i < WORKERS; i++)
        threads_add(&threads, be_worker, (void *)i);
    for (uintptr_t i = 0; i < PUSHERS; i++)
        threads_add(&threads, be_pusher, (void *)i);
    threads_ready(&threads);
    while (wf_load_acquire(&taken) < rounds * PUSHERS)
        usleep(1000);
    end_workers();
    threads_join(&threads);
    assert_int_equal(wf_load_relaxed(&taken), rounds * PUSHERS);
    assert_int_equal(searching(), 0); // only searchers are counted
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_most_half_search_but_always_one_may),
        cmocka_unit_test(only_the_last_to_end_a_search_must_look_again),
        cmocka_unit_test(who_falls_asleep_searches_no_more),
        cmocka_unit_test(who_rises_by_himself_is_no_searcher),
        cmocka_unit_test(one_is_woken_the_lowest_and_counted_as_a_searcher),
        cmocka_unit_test(while_one_searches_nobody_is_woken),
        cmocka_unit_test(with_nobody_asleep_nobody_is_woken_and_nobody_counted),
        cmocka_unit_test(the_one_in_the_poll_is_woken_last),
        cmocka_unit_test(the_one_in_the_poll_is_woken_first_if_asked_for),
        cmocka_unit_test(one_may_be_woken_by_name),
        cmocka_unit_test(others_are_awake_if_anyone_else_is),
        cmocka_unit_test(there_may_be_256),
        cmocka_unit_test(no_wake_is_lost),
    };
    return wf_test_run(tests);
}
