// The arithmetic of tickers, on a stopped clock: the tests choose the due times, and do
// not wait for them.
#include <errno.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "runtime/task/ticker.h"
#include "tests/support/harness.h"

enum { START = 1000, PERIOD = 100 };

static weft_ticker ticker(int missed)
{
    weft_ticker t;

    wf_clock_set_manual(START);
    assert_int_equal(weft_ticker_init(&t, PERIOD, missed), 0);
    wf_clock_set_real();
    return t;
}

// late is a caller that begins to wait at `now`, after the tick was due.
static weft_time late(const weft_ticker *t, weft_time now)
{
    return wf_ticker_next(t, now, now);
}

// in_time is one that waited since before the tick, and is woken at `now`.
static weft_time in_time(const weft_ticker *t, weft_time now)
{
    return wf_ticker_next(t, t->weft_due - 1, now);
}

static void the_first_tick_is_a_period_after_the_start(void **state)
{
    (void)state;
    for (int missed = WEFT_TICK_BURST; missed <= WEFT_TICK_SKIP; missed++)
        assert_int_equal(ticker(missed).weft_due, START + PERIOD);
}

static void who_is_in_time_gets_every_tick_on_the_beat(void **state)
{
    static const weft_time woken[] = { 0, 1, PERIOD / 2, PERIOD - 1 };
    (void)state;

    for (int missed = WEFT_TICK_BURST; missed <= WEFT_TICK_SKIP; missed++) {
        weft_ticker t = ticker(missed);
        for (weft_time beat = 2; beat < 100; beat++) {
            t.weft_due = in_time(&t, t.weft_due + woken[beat % (weft_time)wf_countof(woken)]);
            assert_int_equal(t.weft_due, START + beat * PERIOD);
        }
        assert_int_equal(wf_ticker_next(&t, t.weft_due, t.weft_due), t.weft_due + PERIOD);
    }
}

static void a_burst_makes_up_for_every_missed_tick(void **state)
{
    weft_ticker t = ticker(WEFT_TICK_BURST);
    weft_time now = START + 1000 * PERIOD + 1;
    unsigned taken = 0;
    (void)state;

    for (; t.weft_due <= now; taken++)
        t.weft_due = late(&t, now);
    assert_int_equal(taken, 1000);
    assert_int_equal(t.weft_due, START + 1001 * PERIOD);
}

static void a_delay_starts_anew_from_the_late_tick(void **state)
{
    weft_ticker t = ticker(WEFT_TICK_DELAY);
    (void)state;

    assert_int_equal(late(&t, t.weft_due + 1), t.weft_due + 1 + PERIOD);
    assert_int_equal(late(&t, t.weft_due + 10 * PERIOD + 7), t.weft_due + 11 * PERIOD + 7);
    assert_int_equal(in_time(&t, t.weft_due + PERIOD), t.weft_due + 2 * PERIOD);
    assert_int_equal(in_time(&t, t.weft_due + PERIOD + 3), t.weft_due + 2 * PERIOD + 3);
}

static void a_skip_keeps_the_phase_and_drops_what_was_missed(void **state)
{
    weft_ticker t = ticker(WEFT_TICK_SKIP);
    (void)state;

    assert_int_equal(late(&t, t.weft_due + 1), t.weft_due + PERIOD);
    assert_int_equal(late(&t, t.weft_due + PERIOD - 1), t.weft_due + PERIOD);
    assert_int_equal(late(&t, t.weft_due + PERIOD), t.weft_due + 2 * PERIOD); // that one is due now: dropped
    assert_int_equal(late(&t, t.weft_due + PERIOD + 1), t.weft_due + 2 * PERIOD);
    assert_int_equal(late(&t, t.weft_due + 1000 * PERIOD + 99), t.weft_due + 1001 * PERIOD);
    assert_int_equal(in_time(&t, t.weft_due + 5 * PERIOD + 99), t.weft_due + 6 * PERIOD);
}

// Whatever the policy, and however late: a tick never lies behind the one before it,
// and what a policy promises holds.
static void any_lateness_keeps_the_promise(void **state)
{
    struct wf_test_rand rand = wf_test_rand(1);
    (void)state;

    for (unsigned i = wf_test_rounds(100000); i > 0; i--) {
        weft_ticker t = { START + wf_test_below(&rand, 1000), 1 + wf_test_below(&rand, 1000),
                          (int)wf_test_below(&rand, 3) };
        weft_time now = t.weft_due + wf_test_below(&rand, 5000), next = late(&t, now);

        assert_true(next > t.weft_due);
        if (t.weft_missed == WEFT_TICK_BURST)
            assert_int_equal(next, t.weft_due + t.weft_period);
        if (t.weft_missed == WEFT_TICK_DELAY)
            assert_int_equal(next, now + t.weft_period);
        if (t.weft_missed == WEFT_TICK_SKIP)
            assert_true((next - t.weft_due) % t.weft_period == 0 && next > now && next <= now + t.weft_period);
    }
}

static void the_end_of_time_is_never_passed(void **state)
{
    static const weft_time periods[] = { 1, PERIOD, WEFT_NEVER / 2, WEFT_NEVER - 1, WEFT_NEVER };
    (void)state;

    for (size_t i = 0; i < wf_countof(periods); i++) {
        for (int missed = WEFT_TICK_BURST; missed <= WEFT_TICK_SKIP; missed++) {
            weft_ticker t = { WEFT_NEVER - 1, periods[i], missed };
            assert_true(late(&t, WEFT_NEVER - 1) == WEFT_NEVER);
            t.weft_due = INT64_MIN + 1; // the difference to now overflows
            assert_true(late(&t, WEFT_NEVER - 1) > t.weft_due);
        }
    }
    weft_ticker skip = { INT64_MIN, 3, WEFT_TICK_SKIP };
    assert_true(late(&skip, INT64_MAX - 5) == INT64_MAX - 3); // 2^64 - 4 = 3 * n: that many periods since due
    wf_clock_set_manual(START);
    assert_int_equal(weft_ticker_init(&skip, WEFT_NEVER, WEFT_TICK_BURST), 0);
    assert_true(skip.weft_due == WEFT_NEVER);
    wf_clock_set_real();
}

static void what_makes_no_ticker_is_refused(void **state)
{
    static const struct {
        weft_time period;
        int missed;
    } bad[] = { { 0, WEFT_TICK_BURST },         { -1, WEFT_TICK_DELAY }, { INT64_MIN, WEFT_TICK_SKIP },
                { PERIOD, WEFT_TICK_SKIP + 1 }, { PERIOD, -1 },          { PERIOD, INT32_MAX } };
    weft_ticker t = { 1, 2, 3 };
    (void)state;

    for (size_t i = 0; i < wf_countof(bad); i++)
        assert_int_equal(weft_ticker_init(&t, bad[i].period, bad[i].missed), -EINVAL);
    assert_true(t.weft_due == 1 && t.weft_period == 2 && t.weft_missed == 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_tick_is_a_period_after_the_start),
        cmocka_unit_test(who_is_in_time_gets_every_tick_on_the_beat),
        cmocka_unit_test(a_burst_makes_up_for_every_missed_tick),
        cmocka_unit_test(a_delay_starts_anew_from_the_late_tick),
        cmocka_unit_test(a_skip_keeps_the_phase_and_drops_what_was_missed),
        cmocka_unit_test(any_lateness_keeps_the_promise),
        cmocka_unit_test(the_end_of_time_is_never_passed),
        cmocka_unit_test(what_makes_no_ticker_is_refused),
    };
    return wf_test_run(tests);
}
