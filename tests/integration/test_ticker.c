// Tickers in real time: never early, and a cancel loses no tick. The tests do not limit
// how late a tick is.
#include <errno.h>
#include <string.h>

#include "base/atomic.h"
#include "tests/support/child.h"
#include "tests/support/left.h"
#include "tests/support/tasks.h"

static weft_ticker start(weft_time period, int missed)
{
    weft_ticker t;
    assert_int_equal(weft_ticker_init(&t, period, missed), 0);
    return t;
}

static void tick(weft_ticker *t)
{
    assert_int_equal(weft_ticker_wait(t), 0);
}

// compute_until keeps the worker busy: only a caller that comes late misses a tick.
static void compute_until(weft_time when)
{
    while (weft_now() < when)
        ;
}

// --- the three policies --------------------------------------------------------------

static int wait_for_each(void *arg)
{
    enum { TICKS = 200 };
    weft_time begun = weft_now(), period = WEFT_US(100);
    weft_ticker t = start(period, WEFT_TICK_BURST);
    struct wf_test_rand rand = wf_test_rand(1);
    (void)arg;

    for (int i = 1; i <= TICKS; i++) {
        compute_until(weft_now() + wf_test_below(&rand, 250000)); // now in time, now late
        weft_time due = t.weft_due;
        tick(&t);
        assert_true(weft_now() >= begun + i * period);
        assert_true(t.weft_due == due + period);
    }
    return 0;
}

static void a_burst_has_every_tick_and_none_early(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(wait_for_each, NULL), 0);
}

static int come_late(void *arg)
{
    weft_time period = WEFT_US(200);
    weft_ticker t = start(period, WEFT_TICK_DELAY);
    (void)arg;

    for (int i = 0; i < 50; i++) {
        compute_until(t.weft_due + 3 * period);
        weft_time before = weft_now();
        tick(&t);
        weft_time after = weft_now();
        assert_true(t.weft_due >= before + period && t.weft_due <= after + period);
        tick(&t);
        assert_true(weft_now() >= before + period); // never two of them within a period
    }
    return 0;
}

static void a_delay_leaves_a_period_after_a_late_tick(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(come_late, NULL), 0);
}

static int come_any_time(void *arg)
{
    weft_time period = WEFT_US(150);
    weft_ticker t = start(period, WEFT_TICK_SKIP);
    struct wf_test_rand rand = wf_test_rand(2);
    weft_time first = t.weft_due;
    (void)arg;

    for (int i = 0; i < 100; i++) {
        compute_until(weft_now() + wf_test_below(&rand, 600000));
        weft_time before = weft_now(), due = t.weft_due;
        tick(&t);
        assert_true(weft_now() >= due);
        assert_true(t.weft_due > before && t.weft_due > due);
        assert_true((t.weft_due - first) % period == 0);
    }
    return 0;
}

static void a_skip_stays_on_the_beat(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(come_any_time, NULL), 0);
}

static int count_up(void *arg)
{
    for (int i = 0; i < 100; i++) {
        wf_fetch_add_relaxed((_Atomic int *)arg, 1); // relaxed: a counter
        assert_int_equal(weft_yield(), 0);
    }
    return 0;
}

// With one worker, this ends only if the task that is always behind lets the other one
// run.
static int catch_up_for_ever(void *arg)
{
    _Atomic int peer = 0;
    weft_ticker t = start(1, WEFT_TICK_BURST);
    weft_task *task = spawn(count_up, &peer);
    (void)arg;

    while (wf_load_relaxed(&peer) < 100) // relaxed: a counter
        tick(&t);
    return join(task);
}

static void a_burst_that_never_ends_lets_others_run(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(catch_up_for_ever, NULL), 0);
}

// --- cancelling ----------------------------------------------------------------------

static int wait_on(void *arg)
{
    return weft_ticker_wait(arg);
}

static void expect_untouched(const weft_ticker *t, const weft_ticker *was)
{
    assert_true(t->weft_due == was->weft_due && t->weft_period == was->weft_period &&
                t->weft_missed == was->weft_missed);
}

static int cancel_parked(void *arg)
{
    weft_time periods[] = { WEFT_S(3600), WEFT_NEVER };
    (void)arg;

    for (size_t i = 0; i < wf_countof(periods); i++) {
        weft_ticker t = start(periods[i], WEFT_TICK_SKIP), was = t;
        weft_task *task = spawn(wait_on, &t);
        wait_parked(task, "sleep");
        weft_task_cancel(task);
        assert_int_equal(join(task), -ECANCELED);
        expect_untouched(&t, &was);
    }
    return 0;
}

static void a_cancelled_wait_has_taken_no_tick(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(cancel_parked, NULL), 0);
}

static int wait_cancelled(void *arg)
{
    weft_ticker t = start(1, WEFT_TICK_BURST), was = t;
    (void)arg;

    compute_until(t.weft_due + 1);
    weft_task_cancel(weft_self());
    for (int i = 0; i < 3; i++)
        assert_int_equal(weft_ticker_wait(&t), -ECANCELED);
    expect_untouched(&t, &was);
    return 0;
}

static void a_cancelled_task_does_not_even_get_a_tick_that_is_due(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(wait_cancelled, NULL), 0);
}

static int cancel_at_the_tick(void *arg)
{
    struct wf_test_rand *rand = arg;
    unsigned taken = 0;

    for (unsigned i = wf_test_rounds(2000); i > 0; i--) {
        weft_ticker t = start(WEFT_US(1 + wf_test_below(rand, 60)), WEFT_TICK_BURST), was = t;
        weft_task *task = spawn(wait_on, &t);
        while (weft_now() < was.weft_due - WEFT_US(20))
            assert_int_equal(weft_yield(), 0);
        weft_task_cancel(task);
        int result = join(task);
        if (result == -ECANCELED) {
            expect_untouched(&t, &was);
            continue;
        }
        assert_int_equal(result, 0);
        assert_true(weft_now() >= was.weft_due && t.weft_due == was.weft_due + was.weft_period);
        taken++;
    }
    return (int)taken;
}

static void a_cancel_at_the_tick_takes_it_or_leaves_it(void **state)
{
    struct wf_test_rand rand = wf_test_rand(3);
    (void)state;
    assert_true(run_tasks(cancel_at_the_tick, &rand) >= 0);
}

static int wait_in_a_scope(void *arg)
{
    weft_ticker t = start(WEFT_S(3600), WEFT_TICK_DELAY), was = t;
    weft_scope s;
    (void)arg;

    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    weft_scope_deadline(&s, weft_after(WEFT_MS(2)));
    assert_int_equal(weft_ticker_wait(&t), -ETIMEDOUT);
    expect_untouched(&t, &was);
    assert_int_equal(weft_scope_close(&s), -ETIMEDOUT);
    return 0;
}

static void a_scope_ends_the_wait_at_its_deadline(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(wait_in_a_scope, NULL), 0);
}

// --- misuse --------------------------------------------------------------------------

static int wait_on_nothing(void *arg)
{
    weft_ticker t = { 0 };
    (void)arg;
    return weft_ticker_wait(&t);
}

static void run_wait_on_nothing(void *arg)
{
    (void)arg;
    _exit(weft_run(NULL, wait_on_nothing, NULL) ? 3 : 2);
}

static void a_ticker_that_was_not_set_up_stops_the_program(void **state)
{
    struct child c;
    (void)state;

    if (!child_may_run())
        return;
    child_run(&c, run_wait_on_nothing, NULL);
    child_expect_signal(&c, SIGABRT);
    child_expect_said(&c, "weft_ticker_wait");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(a_burst_has_every_tick_and_none_early),
        left_test(a_delay_leaves_a_period_after_a_late_tick),
        left_test(a_skip_stays_on_the_beat),
        left_test(a_burst_that_never_ends_lets_others_run),
        left_test(a_cancelled_wait_has_taken_no_tick),
        left_test(a_cancelled_task_does_not_even_get_a_tick_that_is_due),
        left_test(a_cancel_at_the_tick_takes_it_or_leaves_it),
        left_test(a_scope_ends_the_wait_at_its_deadline),
        left_test(a_ticker_that_was_not_set_up_stops_the_program),
    };
    return wf_test_run(tests);
}
