// Timers, without the reactor thread: the test is the worker that has borrowed the
// poll. By the manual clock, except in the tests in which another thread sleeps in the
// poll.
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "reactor/state.h"
#include "reactor/interrupt.h"
#include "reactor/turn.h"
#include "tests/support/bell.h"
#include "tests/support/harness.h"

#define START INT64_C(1000000000)
#define MS INT64_C(1000000)
#define WHEEL_TICK (INT64_C(1) << WF_WHEEL_TICK_BITS)

enum { WHEELS = 3 };

static struct wf_reactor *reactor;
static struct wf_idle_source idle;
static struct bell bell;

static int setup_real(void **state)
{
    (void)state;
    bell = (struct bell){ 0 };
    assert_int_equal(wf_reactor_new(&reactor, WHEELS), 0);
    idle = wf_reactor_idle_source(reactor);
    assert_true(idle.borrow(reactor));
    return 0;
}

static int setup(void **state)
{
    wf_clock_set_manual(START);
    return setup_real(state);
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < WHEELS; i++)
        wf_wheel_check(&reactor->timers[i].wheel);
    idle.give_back(reactor);
    wf_reactor_free(reactor);
    wf_clock_set_real();
    return 0;
}

static unsigned turn(void)
{
    return idle.poll(reactor, 0);
}

static void arm(struct wf_timer *t, int64_t deadline)
{
    wf_timer_arm(reactor, 0, t, deadline, bell_waker(&bell));
}

static uint64_t interrupts(void)
{
    struct wf_reactor_stats stats;

    wf_reactor_stats(reactor, &stats);
    return stats.interrupts;
}

static void a_timer_fires_when_it_is_due_and_not_before(void **state)
{
    struct wf_timer t;

    (void)state;
    arm(&t, START + MS);
    assert_int_equal(turn(), 0);
    wf_clock_advance(MS - 1);
    assert_int_equal(turn(), 0);
    assert_false(wf_timer_fired(&t));
    wf_clock_advance(WHEEL_TICK + 1);
    assert_int_equal(turn(), 1);
    assert_true(wf_timer_fired(&t));
    assert_int_equal(bell_count(&bell), 1);
    assert_int_equal(turn(), 0);
    wf_timer_disarm(&t);
}

static void the_poll_wants_the_clock_at_the_very_tick(void **state)
{
    struct wf_timer t;

    (void)state;
    arm(&t, START + 30000 * MS);
    int64_t next = wf_timers_next(reactor);
    assert_true(next >= START + 30000 * MS && next < START + 30000 * MS + WHEEL_TICK);
    wf_clock_advance(next - START);
    assert_int_equal(turn(), 1); // no turn on the way
    assert_true(wf_timers_next(reactor) == WF_NEVER);
    wf_timer_disarm(&t);
}

static void a_disarmed_timer_never_fires(void **state)
{
    struct wf_timer t;

    (void)state;
    arm(&t, START + MS);
    wf_timer_disarm(&t);
    assert_true(wf_timers_next(reactor) < START + MS + WHEEL_TICK); // not set right yet
    wf_clock_advance(2 * MS);
    assert_int_equal(turn(), 0);
    assert_true(wf_timers_next(reactor) == WF_NEVER); // but now
    assert_int_equal(bell_count(&bell), 0);
    assert_false(wf_timer_fired(&t));
}

static void a_timer_can_be_armed_again(void **state)
{
    struct wf_timer t;

    (void)state;
    arm(&t, START + MS);
    wf_timer_disarm(&t);
    arm(&t, START + 2 * MS);
    wf_clock_advance(3 * MS);
    assert_int_equal(turn(), 1);
    wf_timer_disarm(&t);
    arm(&t, START + 4 * MS);
    assert_false(wf_timer_fired(&t));
    wf_clock_advance(3 * MS);
    assert_int_equal(turn(), 1);
    wf_timer_disarm(&t);
    assert_int_equal(bell_count(&bell), 2);
}

static void a_deadline_in_the_past_fires_on_the_next_turn(void **state)
{
    struct wf_timer t[3];

    (void)state;
    arm(&t[0], START - MS);
    arm(&t[1], 0);
    arm(&t[2], INT64_MIN);
    assert_int_equal(turn(), 3);
    for (int i = 0; i < 3; i++)
        wf_timer_disarm(&t[i]);
}

static void never_is_a_deadline_too(void **state)
{
    struct wf_timer never, soon;

    (void)state;
    arm(&never, WF_NEVER);
    assert_true(wf_timers_next(reactor) == WF_NEVER);
    arm(&soon, START + MS);
    wf_clock_advance(2 * MS);
    assert_int_equal(turn(), 1);
    assert_false(wf_timer_fired(&never));
    wf_timer_disarm(&never);
    wf_timer_disarm(&soon);
}

static void timers_of_all_wheels_fire(void **state)
{
    struct wf_timer t[WHEELS];

    (void)state;
    for (unsigned i = 0; i < WHEELS; i++)
        wf_timer_arm(reactor, i, &t[i], START + (WHEELS - i) * MS, bell_waker(&bell));
    for (unsigned i = 0; i < WHEELS; i++) {
        wf_clock_advance(MS + WHEEL_TICK);
        assert_int_equal(turn(), 1);
        assert_true(wf_timer_fired(&t[WHEELS - 1 - i]));
    }
    for (unsigned i = 0; i < WHEELS; i++)
        wf_timer_disarm(&t[i]);
}

static void more_timers_than_a_turn_takes_all_fire(void **state)
{
    enum { MANY = 64 * 16 + 10 };
    static struct wf_timer t[MANY];

    (void)state;
    for (int i = 0; i < MANY; i++)
        arm(&t[i], START - MS);
    assert_int_equal(turn(), MANY - 10);
    assert_true(wf_timers_next(reactor) <= START); // no thread goes to sleep before the rest
    assert_int_equal(turn(), 10);
    assert_true(wf_timers_next(reactor) == WF_NEVER);
    assert_int_equal(bell_count(&bell), MANY);
    for (int i = 0; i < MANY; i++) {
        assert_true(wf_timer_fired(&t[i]));
        wf_timer_disarm(&t[i]);
    }
}

static struct wf_timer *rearmed;

static void arm_again(void *b)
{
    bell_ring(b);
    wf_timer_disarm(rearmed);
    wf_timer_arm(reactor, 0, rearmed, START + 5 * MS, bell_waker(b));
}

// No lock is held when a waker fires, and the timer is not the reactor's any more.
static void a_waker_may_use_the_timer_and_its_wheel(void **state)
{
    struct wf_timer t;

    (void)state;
    rearmed = &t;
    wf_timer_arm(reactor, 0, &t, START - MS, (struct wf_waker){ arm_again, &bell });
    assert_int_equal(turn(), 1);
    wf_clock_advance(6 * MS);
    assert_int_equal(turn(), 1);
    assert_int_equal(bell_count(&bell), 2);
    wf_timer_disarm(&t);
}

static void who_sleeps_until_then_is_not_interrupted(void **state)
{
    struct wf_timer later, sooner, same;

    (void)state;
    wf_store_seq_cst(&reactor->until, START + 5 * MS); // as if a worker slept
    arm(&later, START + 6 * MS);
    assert_int_equal(interrupts(), 0);
    arm(&sooner, START + 4 * MS);
    assert_int_equal(interrupts(), 1);
    wf_store_seq_cst(&reactor->interrupted, false);
    arm(&same, START + 4 * MS); // not the next of its wheel: that one has said it
    assert_int_equal(interrupts(), 1);
    wf_store_seq_cst(&reactor->until, (int64_t)0);
    wf_timer_disarm(&later);
    wf_timer_disarm(&sooner);
    wf_timer_disarm(&same);
}

static void the_thread_is_called_for_a_timer_that_it_would_be_late_for(void **state)
{
    struct wf_timer later, sooner;

    (void)state;
    wf_store_seq_cst(&reactor->resting, START + 5 * MS); // as if the thread slept on its futex
    assert_true(wf_parker_prepare(&reactor->parker, WF_PARKER_IN_FUTEX));
    arm(&later, START + 6 * MS);
    assert_int_equal(wf_load_acquire(&reactor->parker.state), WF_PARKER_IN_FUTEX);
    arm(&sooner, START + 4 * MS);
    assert_true(wf_parker_finish(&reactor->parker));
    wf_store_seq_cst(&reactor->resting, (int64_t)0);
    wf_timer_disarm(&later);
    wf_timer_disarm(&sooner);
}

static void a_time_out_that_never_comes_interrupts_once(void **state)
{
    struct wf_timer t;

    (void)state;
    wf_store_seq_cst(&reactor->until, WF_NEVER);
    for (int i = 0; i < 100; i++) {
        arm(&t, START + 1000 * MS + i);
        wf_timer_disarm(&t);
        wf_store_seq_cst(&reactor->interrupted, false);
    }
    wf_store_seq_cst(&reactor->until, (int64_t)0);
    assert_int_equal(interrupts(), 1);
}

// --- by hand -------------------------------------------------------------------------

static void by_hand_timers_fire_to_the_nanosecond(void **state)
{
    struct wf_timer t[3];

    (void)state;
    assert_true(wf_reactor_next_timer(reactor) == WF_NEVER);
    assert_int_equal(wf_reactor_expire(reactor), 0);
    for (unsigned i = 0; i < 3; i++)
        wf_timer_arm(reactor, i, &t[i], START + MS + i, bell_waker(&bell));
    for (unsigned i = 0; i < 3; i++) {
        assert_true(wf_reactor_next_timer(reactor) == START + MS + i);
        wf_clock_advance(i == 0 ? MS - 1 : 0);
        assert_int_equal(wf_reactor_expire(reactor), 0);
        wf_clock_advance(1);
        assert_int_equal(turn(), 0); // whose tick has not come
        assert_int_equal(wf_reactor_expire(reactor), 1);
        assert_true(wf_timer_fired(&t[i]));
    }
    assert_true(wf_reactor_next_timer(reactor) == WF_NEVER);
    assert_int_equal(bell_count(&bell), 3);
}

static void by_hand_any_number_fires_at_once(void **state)
{
    enum { N = 3000 };
    static struct wf_timer t[N];

    (void)state;
    for (unsigned i = 0; i < N; i++)
        wf_timer_arm(reactor, i % WHEELS, &t[i], START + 70000 * MS + (i % 2 ? 0 : 10), bell_waker(&bell));
    wf_clock_advance(70000 * MS);
    assert_int_equal(wf_reactor_expire(reactor), N / 2);
    assert_true(wf_reactor_next_timer(reactor) == START + 70000 * MS + 10);
    wf_clock_advance(10);
    assert_int_equal(wf_reactor_expire(reactor), N / 2);
    assert_int_equal(bell_count(&bell), N);
}

static void a_clock_that_is_put_back_takes_the_wheels_with_it(void **state)
{
    struct wf_timer t;

    (void)state;
    for (int i = 0; i < 3; i++) {
        wf_clock_set_manual(START);
        wf_reactor_rewind(reactor);
        arm(&t, START + 5000 * MS);
        assert_int_equal(wf_reactor_expire(reactor), 0);
        wf_clock_advance(5000 * MS);
        assert_int_equal(wf_reactor_expire(reactor), 1);
        arm(&t, START + 90000 * MS); // and one that is taken back leaves no trace
        wf_timer_disarm(&t);
    }
}

static void by_hand_a_wait_ends_by_an_interrupt_whatever_timers_there_are(void **state)
{
    struct wf_timer t;

    (void)state;
    arm(&t, START - MS); // due, but the clock stands
    idle.interrupt(reactor);
    assert_int_equal(wf_reactor_wait(reactor, WF_NEVER), 0); // one that came before
    assert_int_equal(wf_reactor_wait(reactor, MS), 0);
    assert_false(wf_timer_fired(&t));
    wf_timer_disarm(&t);
}

static void it_tells_whether_anybody_waits_for_a_descriptor(void **state)
{
    struct wf_cell_node node = { .waker = bell_waker(&bell) };
    struct wf_source *s;
    int ends[2];

    (void)state;
    assert_false(wf_reactor_awaited(reactor));
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(wf_source_register(reactor, ends[0], &s, &(uint32_t){ 0 }), 0);
    assert_false(wf_reactor_awaited(reactor));
    assert_true(wf_cell_clear(&s->ready[WF_READ], wf_cell_value(&s->ready[WF_READ])));
    assert_false(wf_reactor_awaited(reactor));
    assert_true(wf_cell_push(&s->ready[WF_READ], &node));
    assert_true(wf_reactor_awaited(reactor));
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(wf_reactor_wait(reactor, WF_NEVER), 1);
    assert_int_equal(bell_count(&bell), 1);
    assert_false(wf_reactor_awaited(reactor));
    assert_true(wf_source_forget(reactor, ends[0]));
    assert_int_equal(close(ends[0]), 0);
    close(ends[1]);
}

// --- two threads ---------------------------------------------------------------------

// The thread sleeps in the poll until the bell has rung `rounds` times.
static void *sleeper(void *rounds)
{
    while (bell_count(&bell) < *(uint32_t *)rounds)
        idle.poll(reactor, WF_NEVER);
    return NULL;
}

// A few instructions more or less, so that one thread meets the other at different
// points.
static void tarry(struct wf_test_rand *rand)
{
    for (uint32_t turns = wf_test_below(rand, 30); turns > 0; turns--)
        ck_pr_stall();
}

// Each round hangs if the sleeper is not told. There is always another timer, so that
// it reads the clock on its way to sleep: time enough for the armer to come between.
static void a_timer_armed_while_the_poller_goes_to_sleep_is_not_slept_over(void **state)
{
    uint32_t rounds = wf_test_rounds(60000);
    struct wf_test_rand rand = wf_test_rand(0);
    struct wf_timer t, far;
    pthread_t thread;

    (void)state;
    wf_timer_arm(reactor, WHEELS - 1, &far, wf_now() + 1000000 * MS, bell_waker(&bell));
    assert_int_equal(pthread_create(&thread, NULL, sleeper, &rounds), 0);
    for (uint32_t i = 1; i <= rounds; i++) {
        wf_timer_arm(reactor, wf_test_below(&rand, WHEELS - 1), &t, wf_now() - WHEEL_TICK, bell_waker(&bell));
        for (unsigned turns = 0; bell_count(&bell) < i;)
            wf_relax(&turns); // awake, to be there when the sleeper goes to sleep again
        wf_timer_disarm(&t);
        tarry(&rand);
    }
    pthread_join(thread, NULL);
    wf_timer_disarm(&far);
}

struct canceller {
    pthread_t thread;
    unsigned wheel;
    uint32_t rounds;
    struct wf_test_rand rand;
    struct bell bell;
    uint32_t fired;
};

// Arms and disarms timers that are due just then, on a stack that it scribbles over.
static void *cancel_at_the_last_moment(void *arg)
{
    struct canceller *c = arg;

    for (uint32_t i = 0; i < c->rounds; i++) {
        struct wf_timer t;
        wf_timer_arm(reactor, c->wheel, &t, wf_now() + wf_test_below(&c->rand, 40000), bell_waker(&c->bell));
        int64_t until = wf_now() + wf_test_below(&c->rand, 40000);
        while (wf_now() < until && !wf_timer_fired(&t))
            ;
        wf_timer_disarm(&t);
        c->fired += wf_timer_fired(&t);
        memset(&t, 0xa5, sizeof(t));
    }
    bell_ring(&bell);
    wf_interrupt_worker(reactor);
    return NULL;
}

static void every_waker_fires_at_most_once_whoever_wins(void **state)
{
    struct canceller c[2];
    uint32_t fired = 0, rung = 0;
    struct wf_reactor_stats stats;

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        c[i] = (struct canceller){ .wheel = 1, .rounds = wf_test_rounds(4000), .rand = wf_test_rand(i + 1) };
        assert_int_equal(pthread_create(&c[i].thread, NULL, cancel_at_the_last_moment, &c[i]), 0);
    }
    while (bell_count(&bell) < 2)
        idle.poll(reactor, WF_NEVER);
    for (unsigned i = 0; i < 2; i++) {
        pthread_join(c[i].thread, NULL);
        fired += c[i].fired;
        rung += bell_count(&c[i].bell);
    }
    wf_reactor_stats(reactor, &stats);
    assert_int_equal(rung, fired);
    assert_int_equal(stats.expired, fired);
}

int main(void)
{
#define FACT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define FACT_REAL(name) cmocka_unit_test_setup_teardown(name, setup_real, teardown)
    const struct CMUnitTest tests[] = {
        FACT(a_timer_fires_when_it_is_due_and_not_before),
        FACT(the_poll_wants_the_clock_at_the_very_tick),
        FACT(a_disarmed_timer_never_fires),
        FACT(a_timer_can_be_armed_again),
        FACT(a_deadline_in_the_past_fires_on_the_next_turn),
        FACT(never_is_a_deadline_too),
        FACT(timers_of_all_wheels_fire),
        FACT(more_timers_than_a_turn_takes_all_fire),
        FACT(a_waker_may_use_the_timer_and_its_wheel),
        FACT(who_sleeps_until_then_is_not_interrupted),
        FACT(the_thread_is_called_for_a_timer_that_it_would_be_late_for),
        FACT(a_time_out_that_never_comes_interrupts_once),
        FACT(by_hand_timers_fire_to_the_nanosecond),
        FACT(by_hand_any_number_fires_at_once),
        FACT(a_clock_that_is_put_back_takes_the_wheels_with_it),
        FACT(by_hand_a_wait_ends_by_an_interrupt_whatever_timers_there_are),
        FACT(it_tells_whether_anybody_waits_for_a_descriptor),
        FACT_REAL(a_timer_armed_while_the_poller_goes_to_sleep_is_not_slept_over),
        FACT_REAL(every_waker_fires_at_most_once_whoever_wins),
    };
    return wf_test_run(tests);
}
