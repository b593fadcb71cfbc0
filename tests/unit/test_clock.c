#include <pthread.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "tests/support/harness.h"

static void the_real_clock_does_not_go_back(void **state)
{
    int64_t last = wf_now();
    (void)state;

    assert_true(last > 0);
    for (int i = 0; i < 100000; i++) {
        int64_t now = wf_now();
        assert_true(now >= last);
        last = now;
    }
}

static void the_real_clock_is_the_monotonic_one(void **state)
{
    struct timespec before, after;
    (void)state;

    clock_gettime(CLOCK_MONOTONIC, &before);
    int64_t now = wf_now();
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_true(before.tv_sec * INT64_C(1000000000) + before.tv_nsec <= now);
    assert_true(now <= after.tv_sec * INT64_C(1000000000) + after.tv_nsec);
}

static void a_manual_clock_stands_still_until_it_is_moved(void **state)
{
    (void)state;
    wf_clock_set_manual(1000);
    assert_int_equal(wf_now(), 1000);
    assert_int_equal(wf_now(), 1000);
    wf_clock_advance(234);
    assert_int_equal(wf_now(), 1234);
    wf_clock_set_manual(5);
    assert_int_equal(wf_now(), 5);
    wf_clock_set_real();
}

static void the_real_clock_comes_back(void **state)
{
    int64_t before = wf_now();
    (void)state;

    wf_clock_set_manual(0);
    assert_int_equal(wf_now(), 0);
    wf_clock_set_real();
    assert_true(wf_now() >= before);
}

static void *look_at_both_clocks(void *arg)
{
    (void)arg;
    assert_null(wf_clock_used());
    int64_t before = wf_now_real(), now = wf_now();
    assert_true(before <= now && now <= wf_now_real());
    return NULL;
}

static void a_clock_is_the_threads_own(void **state)
{
    struct wf_clock clock = { 77 }, other = { 88 };
    pthread_t thread;
    (void)state;

    assert_null(wf_clock_use(&clock));
    assert_ptr_equal(wf_clock_used(), &clock);
    assert_int_equal(wf_now(), 77);
    assert_true(wf_now_real() > 77);
    assert_int_equal(pthread_create(&thread, NULL, look_at_both_clocks, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_ptr_equal(wf_clock_use(&other), &clock);
    assert_int_equal(wf_now(), 88);
    assert_ptr_equal(wf_clock_use(NULL), &other);
    look_at_both_clocks(NULL);
}

static void after_adds(void **state)
{
    (void)state;
    assert_int_equal(wf_after(100, 20), 120);
    assert_int_equal(wf_after(100, -120), -20);
    assert_int_equal(wf_after(0, 0), 0);
}

static void after_saturates_in_both_directions(void **state)
{
    (void)state;
    assert_int_equal(wf_after(1, WF_NEVER), WF_NEVER);
    assert_int_equal(wf_after(WF_NEVER, 1), WF_NEVER);
    assert_int_equal(wf_after(WF_NEVER - 1, 1), WF_NEVER);
    assert_int_equal(wf_after(WF_NEVER - 5, 4), WF_NEVER - 1);
    assert_int_equal(wf_after(-1, INT64_MIN), INT64_MIN);
    assert_int_equal(wf_after(INT64_MIN, -1), INT64_MIN);
    assert_int_equal(wf_after(INT64_MIN, WF_NEVER), -1);
}

static void timespec_splits_seconds_from_the_rest(void **state)
{
    static const struct {
        int64_t ns, sec, nsec;
    } cases[] = {
        { 0, 0, 0 },
        { 1, 0, 1 },
        { 999999999, 0, 999999999 },
        { 1000000000, 1, 0 },
        { 12345678901, 12, 345678901 },
        { INT64_MAX, INT64_C(9223372036), 854775807 },
    };
    (void)state;

    for (size_t i = 0; i < wf_countof(cases); i++) {
        struct timespec ts = wf_timespec(cases[i].ns);
        assert_int_equal(ts.tv_sec, cases[i].sec);
        assert_int_equal(ts.tv_nsec, cases[i].nsec);
    }
}

static void a_time_in_the_past_becomes_a_zero_timespec(void **state)
{
    static const int64_t past[] = { -1, -1000000001, INT64_MIN };
    (void)state;

    for (size_t i = 0; i < wf_countof(past); i++) {
        struct timespec ts = wf_timespec(past[i]);
        assert_int_equal(ts.tv_sec, 0);
        assert_int_equal(ts.tv_nsec, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_real_clock_does_not_go_back),
        cmocka_unit_test(the_real_clock_is_the_monotonic_one),
        cmocka_unit_test(a_manual_clock_stands_still_until_it_is_moved),
        cmocka_unit_test(the_real_clock_comes_back),
        cmocka_unit_test(a_clock_is_the_threads_own),
        cmocka_unit_test(after_adds),
        cmocka_unit_test(after_saturates_in_both_directions),
        cmocka_unit_test(timespec_splits_seconds_from_the_rest),
        cmocka_unit_test(a_time_in_the_past_becomes_a_zero_timespec),
    };
    return wf_test_run(tests);
}
