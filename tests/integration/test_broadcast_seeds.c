// Tickers, broadcast and watch by virtual time: ticks come at the exact moment, and
// under thousands of orders each receiver accounts for every message.
#include <errno.h>

#include "tests/support/left.h"
#include "tests/support/seeds.h"

// --- tickers -------------------------------------------------------------------------

enum { PERIOD = 1000, TICKS = 200 };

// next_by_the_book is what weft/time.h says, for a tick that was due at `due`, and a
// caller that came at `asked`. In virtual time no wakeup is late.
static weft_time next_by_the_book(int missed, weft_time start, weft_time due, weft_time asked)
{
    if (missed == WEFT_TICK_BURST || asked <= due)
        return due + PERIOD;
    if (missed == WEFT_TICK_DELAY)
        return asked + PERIOD;
    while (due <= asked)
        due += PERIOD;
    assert_int_equal((due - start) % PERIOD, 0);
    return due;
}

static int keep_time(void *arg)
{
    (void)arg;
    for (int missed = WEFT_TICK_BURST; missed <= WEFT_TICK_SKIP; missed++) {
        weft_time start = weft_now(), due = start + PERIOD;
        weft_ticker t;

        assert_int_equal(weft_ticker_init(&t, PERIOD, missed), 0);
        for (int i = 0; i < TICKS; i++) {
            // Mostly in time, now and then several periods late, and also exactly when
            // a tick is due.
            weft_time pause = weft_test_below(4) ? weft_test_below(PERIOD) : weft_test_below(5) * PERIOD;
            assert_int_equal(weft_sleep(pause), 0);
            weft_time asked = weft_now();
            assert_int_equal(weft_ticker_wait(&t), 0);
            assert_true(weft_now() == (asked > due ? asked : due));
            due = next_by_the_book(missed, start, due, asked);
        }
    }
    return 0;
}

static void every_tick_comes_at_its_moment(void **state)
{
    (void)state;
    run_seeds(200, keep_time, NULL);
}

static int wait_on(void *arg)
{
    return weft_ticker_wait(arg);
}

static int cancel_then_go_on(void *arg)
{
    weft_time start = weft_now();
    weft_ticker t;
    (void)arg;

    assert_int_equal(weft_ticker_init(&t, WEFT_S(10), WEFT_TICK_BURST), 0);
    for (int i = 1; i <= 20; i++) {
        weft_task *task = spawn(wait_on, &t);
        assert_int_equal(weft_sleep(WEFT_S(weft_test_below(11))), 0); // at 10 s, tick and cancel come together
        weft_task_cancel(task);
        int result = join(task);
        assert_true(result == 0 || result == -ECANCELED);
        if (result == -ECANCELED) // the tick is still to come
            assert_int_equal(weft_ticker_wait(&t), 0);
        assert_true(weft_now() == start + WEFT_S(10) * i);
    }
    return 0;
}

static void a_cancelled_wait_leaves_the_tick_to_the_next(void **state)
{
    (void)state;
    run_seeds(500, cancel_then_go_on, NULL);
}

// --- broadcast -----------------------------------------------------------------------

enum { SENDERS = 2, RECEIVERS = 3, SENDS = 12 };

struct stage {
    weft_broadcast *b;
    weft_receiver *r[RECEIVERS];
    int receivers; // that have begun
    int sent;      // a message is its own number
};

static void rest(void)
{
    if (weft_test_below(3) == 0)
        assert_int_equal(weft_sleep(weft_test_below(4)), 0);
}

static int send_some(void *arg)
{
    struct stage *s = arg;

    for (int i = 0; i < SENDS; i++) {
        int message = s->sent++; // no other task runs until the message is sent
        assert_int_equal(weft_broadcast_send(s->b, &message), RECEIVERS);
        rest();
    }
    return 0;
}

// receive_until receives until it is cancelled, or the end. *due is the next message.
static int receive_until(weft_receiver *r, int *due)
{
    for (;;) {
        uint64_t lost = 0;
        int message = -1, err = weft_broadcast_recv(r, &message, &lost);
        if (err == -EOVERFLOW)
            *due += (int)lost;
        else if (err)
            return err;
        else
            assert_int_equal(message, (*due)++);
    }
}

// receive_some is interrupted by deadlines again and again, and yet misses no message.
static int receive_some(void *arg)
{
    struct stage *s = arg;
    weft_receiver *r = s->r[s->receivers++];
    int due = 0, err;

    do {
        weft_scope scope;
        weft_scope_open(&scope, WEFT_SCOPE_FAIL_FAST);
        weft_scope_deadline(&scope, weft_after(weft_test_below(5)));
        err = receive_until(r, &due);
        (void)weft_scope_close(&scope);
        rest();
    } while (err == -ETIMEDOUT);
    assert_int_equal(err, -EPIPE);
    assert_int_equal(due, SENDERS * SENDS);
    weft_broadcast_unsubscribe(r);
    return 0;
}

static int play_broadcast(void *arg)
{
    struct stage s = { .sent = 0 };
    weft_task *senders[SENDERS], *receivers[RECEIVERS];
    (void)arg;

    assert_int_equal(weft_broadcast_new(&s.b, sizeof(int), 1 + weft_test_below(6)), 0);
    for (int i = 0; i < RECEIVERS; i++) {
        assert_int_equal(weft_broadcast_subscribe(s.b, &s.r[i]), 0);
        receivers[i] = spawn(receive_some, &s);
    }
    for (int i = 0; i < SENDERS; i++)
        senders[i] = spawn(send_some, &s);
    for (int i = 0; i < SENDERS; i++)
        join(senders[i]);
    weft_broadcast_unref(s.b);
    for (int i = 0; i < RECEIVERS; i++)
        assert_int_equal(join(receivers[i]), 0);
    return 0;
}

static void each_receiver_accounts_for_every_message(void **state)
{
    (void)state;
    run_seeds(3000, play_broadcast, NULL);
}

// --- watch ---------------------------------------------------------------------------

static int follow(void *arg)
{
    uint64_t version = 0, before = 0;
    int value = -1, err;

    do {
        weft_scope scope;
        weft_scope_open(&scope, WEFT_SCOPE_FAIL_FAST);
        weft_scope_deadline(&scope, weft_after(weft_test_below(5)));
        while ((err = weft_watch_wait(arg, &value, &version)) == 0) {
            assert_true(version > before && version == (uint64_t)value + 1);
            before = version;
        }
        (void)weft_scope_close(&scope);
    } while (err == -ETIMEDOUT);
    assert_int_equal(err, -EPIPE);
    assert_int_equal(value, SENDS);
    return 0;
}

static int play_watch(void *arg)
{
    weft_task *followers[RECEIVERS];
    weft_watch *w;
    (void)arg;

    assert_int_equal(weft_watch_new(&w, sizeof(int), NULL), 0);
    for (int i = 0; i < RECEIVERS; i++)
        followers[i] = spawn(follow, w);
    for (int i = 1; i <= SENDS; i++) {
        rest();
        assert_int_equal(weft_watch_set(w, &i), 0);
    }
    weft_watch_close(w);
    for (int i = 0; i < RECEIVERS; i++)
        assert_int_equal(join(followers[i]), 0);
    weft_watch_unref(w);
    return 0;
}

static void each_follower_sees_the_last_value(void **state)
{
    (void)state;
    run_seeds(3000, play_watch, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(every_tick_comes_at_its_moment),
        left_test(a_cancelled_wait_leaves_the_tick_to_the_next),
        left_test(each_receiver_accounts_for_every_message),
        left_test(each_follower_sees_the_last_value),
    };
    return wf_test_run(tests);
}
