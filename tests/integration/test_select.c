// Select: which case happens, that the others have no effect, and which one is picked
// if several are ready.
#include <limits.h>

#include "base/compiler.h"
#include "tests/support/chans.h"
#include "tests/support/left.h"

// --- one case ------------------------------------------------------------------------

static int each_kind(void *arg)
{
    weft_chan *c = new_numbers(1);
    weft_future f = WEFT_FUTURE_INIT;
    int n = 7;
    (void)arg;

    weft_case on_send[] = { weft_on_send(c, &n) };
    assert_int_equal(weft_select(on_send, 1), 0);
    assert_int_equal(on_send[0].result, 0);
    assert_int_equal(weft_chan_len(c), 1);

    weft_case on_recv[] = { weft_on_recv(c, &n) };
    n = 0;
    assert_int_equal(weft_select(on_recv, 1), 0);
    assert_int_equal(on_recv[0].result, 0);
    assert_int_equal(n, 7);

    weft_case on_time[] = { weft_on_time(0) };
    assert_int_equal(weft_select(on_time, 1), 0);
    assert_int_equal(on_time[0].result, 0);

    assert_true(weft_future_complete(&f, 77));
    weft_case on_future[] = { weft_on_future(&f) };
    assert_int_equal(weft_select(on_future, 1), 0);
    assert_int_equal(on_future[0].result, 0);
    assert_int_equal(on_future[0].value, 77);
    weft_chan_unref(c);
    return 0;
}

static int errors_of_each_kind(void *arg)
{
    weft_chan *c = new_numbers(1);
    weft_future f = WEFT_FUTURE_INIT;
    int n = 7;
    (void)arg;

    assert_int_equal(try_send(c, 5), 0);
    weft_chan_close(c);
    weft_case on_recv[] = { weft_on_recv(c, &n) };
    assert_int_equal(weft_select(on_recv, 1), 0);
    assert_int_equal(on_recv[0].result, 0); // drained first
    assert_int_equal(n, 5);
    assert_int_equal(weft_select(on_recv, 1), 0);
    assert_int_equal(on_recv[0].result, -EPIPE);
    weft_case on_send[] = { weft_on_send(c, &n) };
    assert_int_equal(weft_select(on_send, 1), 0);
    assert_int_equal(on_send[0].result, -EPIPE);
    weft_chan_unref(c);

    assert_true(weft_future_fail(&f, -EIO));
    weft_case on_future[] = { weft_on_future(&f) };
    assert_int_equal(weft_select(on_future, 1), 0);
    assert_int_equal(on_future[0].result, -EIO);

    weft_case cases[2] = { weft_on_time(0), weft_on_time(0) };
    assert_int_equal(weft_select(cases, 0), -EINVAL);
    assert_int_equal(weft_select(cases, (size_t)INT_MAX + 1), -EINVAL);
    return 0;
}

static void a_case_ends_as_the_call_would(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(each_kind, NULL), 0);
    assert_int_equal(run_tasks(errors_of_each_kind, NULL), 0);
}

static int minus_nine(void *arg)
{
    return arg ? recv_number(arg) : -9;
}

static int tasks_end(void *arg)
{
    weft_chan *c = new_numbers(0);
    weft_task *t = spawn(minus_nine, NULL), *waits = spawn(minus_nine, c);
    weft_case cases[] = { weft_on_future(weft_task_future(waits)), weft_on_future(weft_task_future(t)) };
    (void)arg;

    assert_int_equal(weft_select(cases, 2), 1);
    assert_int_equal(cases[1].result, 0);
    assert_int_equal(cases[1].value, -9); // a task's result is a value, whatever it is
    assert_int_equal(join(t), -9);
    weft_chan_close(c);
    assert_int_equal(weft_select(cases, 1), 0);
    assert_int_equal(cases[0].value, -EPIPE);
    assert_int_equal(join(waits), -EPIPE);
    weft_chan_unref(c);
    return 0;
}

static void a_tasks_end_is_a_case(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(tasks_end, NULL), 0);
}

// --- many cases ----------------------------------------------------------------------

enum { RECV, SEND, FUTURE, TIME, KINDS };

// A task that selects over one case of each kind.
struct mix {
    weft_chan *in, *out;
    weft_future future;
    weft_time when;
    int got, give;
    weft_case cases[KINDS];
};

static int select_mix(void *arg)
{
    struct mix *m = arg;

    m->cases[RECV] = weft_on_recv(m->in, &m->got);
    m->cases[SEND] = weft_on_send(m->out, &m->give);
    m->cases[FUTURE] = weft_on_future(&m->future);
    m->cases[TIME] = weft_on_time(m->when);
    return weft_select(m->cases, KINDS);
}

// start_mix starts one of which nothing is ready; it returns when the task waits.
static weft_task *start_mix(struct mix *m, size_t capacity, weft_time when)
{
    *m = (struct mix){ .in = new_numbers(capacity), .out = new_numbers(capacity), .when = when, .got = -1, .give = 55 };
    for (size_t i = 0; i < capacity; i++)
        assert_int_equal(try_send(m->out, (int)i), 0);
    weft_future_init(&m->future);
    weft_task *t = spawn(select_mix, m);
    if (when == WEFT_NEVER)
        wait_parked(t, "weft_select");
    return t;
}

// end_mix asserts that only `happened` has had an effect, and that no task waits any
// more.
static void end_mix(struct mix *m, int happened, size_t capacity)
{
    assert_int_equal(m->got, happened == RECV ? 9 : -1);
    assert_int_equal(try_recv(m->in), -EAGAIN);
    assert_int_equal(try_send(m->in, 66), capacity ? 0 : -EAGAIN);
    assert_int_equal(weft_chan_len(m->in), capacity ? 1 : 0);
    for (size_t i = happened == SEND; i < capacity; i++)
        assert_int_equal(try_recv(m->out), i);
    if (happened == SEND && capacity > 0)
        assert_int_equal(try_recv(m->out), 55);
    assert_int_equal(try_recv(m->out), -EAGAIN);
    weft_chan_unref(m->in);
    weft_chan_unref(m->out);
}

static int wait_for_each(void *arg)
{
    struct mix m;
    (void)arg;

    for (size_t capacity = 0; capacity < 3; capacity++) {
        weft_task *t = start_mix(&m, capacity, WEFT_NEVER);
        assert_int_equal(try_send(m.in, 9), 0);
        assert_int_equal(join(t), RECV);
        assert_int_equal(m.cases[RECV].result, 0);
        end_mix(&m, RECV, capacity);

        t = start_mix(&m, capacity, WEFT_NEVER);
        assert_int_equal(try_recv(m.out), capacity ? 0 : 55);
        assert_int_equal(join(t), SEND);
        assert_int_equal(m.cases[SEND].result, 0);
        end_mix(&m, SEND, capacity);

        t = start_mix(&m, capacity, WEFT_NEVER);
        assert_true(weft_future_complete(&m.future, 88));
        assert_int_equal(join(t), FUTURE);
        assert_int_equal(m.cases[FUTURE].result, 0);
        assert_int_equal(m.cases[FUTURE].value, 88);
        end_mix(&m, FUTURE, capacity);

        t = start_mix(&m, capacity, weft_after(WEFT_MS(2)));
        assert_int_equal(join(t), TIME);
        assert_true(weft_now() >= m.when);
        assert_int_equal(m.cases[TIME].result, 0);
        end_mix(&m, TIME, capacity);
    }
    return 0;
}

static void one_case_happens_and_the_others_leave_no_trace(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(wait_for_each, NULL), 0);
}

static void drop_mix(struct mix *m)
{
    weft_chan_unref(m->in);
    weft_chan_unref(m->out);
}

static int close_each(void *arg)
{
    struct mix m;
    (void)arg;

    for (size_t capacity = 0; capacity < 3; capacity++) {
        weft_task *t = start_mix(&m, capacity, WEFT_NEVER);
        weft_chan_close(m.in);
        assert_int_equal(join(t), RECV);
        assert_int_equal(m.cases[RECV].result, -EPIPE);
        assert_int_equal(m.got, -1);
        assert_int_equal(weft_chan_len(m.out), capacity);
        drop_mix(&m);

        t = start_mix(&m, capacity, WEFT_NEVER);
        weft_chan_close(m.out);
        assert_int_equal(join(t), SEND);
        assert_int_equal(m.cases[SEND].result, -EPIPE);
        assert_int_equal(weft_chan_len(m.out), capacity); // not sent
        drop_mix(&m);

        t = start_mix(&m, capacity, WEFT_NEVER);
        assert_true(weft_future_fail(&m.future, -EIO));
        assert_int_equal(join(t), FUTURE);
        assert_int_equal(m.cases[FUTURE].result, -EIO);
        drop_mix(&m);
    }
    return 0;
}

static void an_end_is_something_that_happens(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(close_each, NULL), 0);
}

static int cancel_all(void *arg)
{
    struct mix m;
    weft_scope scope;
    (void)arg;

    for (size_t capacity = 0; capacity < 3; capacity++) {
        weft_task *t = start_mix(&m, capacity, WEFT_NEVER);
        weft_task_cancel(t);
        assert_int_equal(join(t), -ECANCELED);
        end_mix(&m, -1, capacity);

        t = start_mix(&m, capacity, WEFT_NEVER);
        assert_true(weft_future_complete(&m.future, 88));
        weft_task_cancel(t); // too late
        assert_int_equal(join(t), FUTURE);
        end_mix(&m, FUTURE, capacity);
    }
    weft_chan *c = new_numbers(1);
    int n = 3;
    weft_case ready[] = { weft_on_send(c, &n), weft_on_time(0) };
    weft_scope_open(&scope, WEFT_SCOPE_FAIL_FAST);
    weft_scope_deadline(&scope, weft_after(WEFT_MS(1)));
    weft_case never[] = { weft_on_recv(c, &n), weft_on_time(WEFT_NEVER) };
    assert_int_equal(weft_select(never, 2), -ETIMEDOUT);
    assert_int_equal(weft_select(ready, 2), -ETIMEDOUT); // though it could
    assert_int_equal(weft_scope_close(&scope), -ETIMEDOUT);
    assert_int_equal(weft_chan_len(c), 0);
    assert_int_equal(weft_select(ready, 2), 0);
    assert_int_equal(weft_chan_len(c), 1);
    weft_chan_unref(c);
    return 0;
}

static void a_cancelled_select_does_nothing(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(cancel_all, NULL), 0);
}

static int with_cases_off(void *arg)
{
    struct mix m = { .when = weft_after(WEFT_MS(1)) };
    int n = 0;
    weft_case off[] = {
        weft_on_recv(NULL, &n), weft_on_send(NULL, &n),   weft_on_future(NULL),
        weft_on_fd(-1, 1),      weft_on_time(WEFT_NEVER), weft_on_time(m.when),
    };
    (void)arg;

    assert_int_equal(weft_select(off, 6), 5);
    off[5] = weft_on_time(0);
    assert_int_equal(weft_select(off, 6), 5);
    weft_scope scope;
    weft_scope_open(&scope, WEFT_SCOPE_FAIL_FAST);
    weft_scope_deadline(&scope, weft_after(WEFT_MS(1)));
    assert_int_equal(weft_select(off, 5), -ETIMEDOUT); // nothing can happen
    return weft_scope_close(&scope) == -ETIMEDOUT ? 0 : 1;
}

static void a_case_without_an_object_never_happens(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(with_cases_off, NULL), 0);
}

static int by_time(void *arg)
{
    weft_chan *c = new_numbers(1);
    int n = 0;
    weft_time start = weft_now();
    weft_case cases[] = { weft_on_time(start + WEFT_S(1000)), weft_on_time(start + WEFT_MS(3)),
                          weft_on_time(start + WEFT_MS(4)), weft_on_recv(c, &n) };
    (void)arg;

    assert_int_equal(weft_select(cases, 4), 1); // the nearest
    assert_true(weft_now() >= start + WEFT_MS(3));
    for (int i = 0; i < 100; i++) {
        assert_int_equal(weft_select(cases, 4), 1); // now it is past
        assert_int_equal(try_send(c, i), 0);
        assert_int_equal(weft_select(cases, 4), 3); // and yields to all others
        assert_int_equal(n, i);
    }
    weft_chan_unref(c);
    return 0;
}

static void time_gives_way_to_all_others(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(by_time, NULL), 0);
}

// --- the same channel ----------------------------------------------------------------

struct pair {
    weft_chan *a, *b;
    int sent, got;
};

// swap_both sends to one channel or receives from the other, whichever goes.
static int swap_both(void *arg)
{
    struct pair *p = arg;
    weft_case cases[] = { weft_on_send(p->a, &p->sent), weft_on_recv(p->b, &p->got) };
    return weft_select(cases, 2);
}

static int alone_with_a_channel(void *arg)
{
    weft_chan *c = new_numbers(0);
    int from = 4, to = -1;
    weft_case cases[] = { weft_on_send(c, &from), weft_on_recv(c, &to), weft_on_send(c, &from), weft_on_recv(c, &to),
                          weft_on_time(0) };
    struct pair p = { c, c, 11, -1 }, q = { c, c, 22, -1 };
    (void)arg;

    assert_int_equal(weft_select(cases, 5), 4);
    cases[4] = weft_on_time(weft_after(WEFT_MS(1)));
    assert_int_equal(weft_select(cases, 5), 4); // no peer but itself
    assert_int_equal(to, -1);
    for (int round = 0; round < 300; round++) {
        p.got = q.got = -1;
        weft_task *t = spawn(swap_both, &p);
        if (round % 3 == 0)
            wait_parked(t, "weft_select");
        int mine = swap_both(&q), other = join(t);
        assert_int_equal(mine + other, 1); // one sends, one receives
        assert_int_equal(p.got, other == 1 ? 22 : -1);
        assert_int_equal(q.got, mine == 1 ? 11 : -1);
    }
    weft_chan_unref(c);
    return 0;
}

static void a_select_does_not_meet_itself_but_any_other(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(alone_with_a_channel, NULL), 0);
}

static int across_two_channels(void *arg)
{
    weft_chan *a = new_numbers(0), *b = new_numbers(0);
    struct pair p = { a, b, 11, -1 }, q = { b, a, 22, -1 };
    (void)arg;

    for (int round = 0; round < 300; round++) {
        p.got = q.got = -1;
        weft_task *t = spawn(swap_both, &p);
        if (round % 3 == 0)
            wait_parked(t, "weft_select");
        int mine = swap_both(&q), other = join(t);
        assert_int_equal(mine + other, 1);
        assert_int_equal(p.got, other == 1 ? 22 : -1);
        assert_int_equal(q.got, mine == 1 ? 11 : -1);
    }
    weft_chan_unref(a);
    weft_chan_unref(b);
    return 0;
}

static void two_selects_meet_in_one_of_two_places(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(across_two_channels, NULL), 0);
}

static int often_in_a_queue(void *arg)
{
    enum { N = 5 };
    weft_chan *c = new_numbers(1);
    int n[N] = { 0 };
    weft_case cases[N];
    (void)arg;

    for (int i = 0; i < N; i++)
        cases[i] = weft_on_recv(c, &n[i]);
    struct end e = { c, 7 };
    weft_task *t = spawn(send_end, &e);
    int i = weft_select(cases, N);
    assert_in_range(i, 0, N - 1);
    for (int k = 0; k < N; k++)
        assert_int_equal(n[k], k == i ? 7 : 0);
    assert_int_equal(join(t), 0);
    assert_int_equal(weft_chan_len(c), 0);
    weft_chan_unref(c);
    return 0;
}

static void one_channel_may_be_in_many_cases(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(often_in_a_queue, NULL), 0);
}

// --- lots ----------------------------------------------------------------------------

// Of ten cases three are ready, side by side, so that the first two are not drawn for
// the seven.
static int count_draws(void *arg)
{
    enum { N = 10, READY = 3, ROUNDS = 6000 };
    weft_chan *c[N];
    weft_case cases[N];
    int n, drawn[N] = { 0 };
    (void)arg;

    for (int i = 0; i < N; i++) {
        c[i] = new_numbers(1);
        cases[i] = weft_on_recv(c[i], &n);
    }
    for (int i = 4; i < 4 + READY; i++)
        assert_int_equal(try_send(c[i], i), 0);
    for (int round = 0; round < ROUNDS; round++) {
        int i = weft_select(cases, N);
        assert_int_equal(n, i);
        drawn[i]++;
        assert_int_equal(try_send(c[i], i), 0);
    }
    for (int i = 0; i < N; i++) {
        bool ready = i >= 4 && i < 4 + READY;
        assert_in_range(drawn[i], ready ? ROUNDS / READY * 3 / 4 : 0, ready ? ROUNDS / READY * 5 / 4 : 0);
        weft_chan_unref(c[i]);
    }
    return 0;
}

static int always_send(void *arg)
{
    struct end *e = arg;
    int err;

    while ((err = send_number(e->c, e->n)) == 0)
        ;
    return err;
}

// The senders wait at rendezvous; the choice of the peer is as random as that of a
// message in a buffer.
static int count_meetings(void *arg)
{
    enum { N = 4, ROUNDS = 4000 };
    struct end e[N];
    weft_task *t[N];
    weft_case cases[N];
    int n, drawn[N] = { 0 };
    (void)arg;

    for (int i = 0; i < N; i++) {
        e[i] = (struct end){ new_numbers(0), i };
        t[i] = spawn(always_send, &e[i]);
        wait_parked(t[i], "weft_chan_send");
        cases[i] = weft_on_recv(e[i].c, &n);
    }
    for (int round = 0; round < ROUNDS; round++) {
        int i = weft_select(cases, N);
        assert_int_equal(n, i);
        drawn[i]++;
        assert_int_equal(weft_yield(), 0); // so that most of them wait again
    }
    for (int i = 0; i < N; i++)
        weft_chan_close(e[i].c);
    for (int i = 0; i < N; i++) {
        assert_true(drawn[i] > ROUNDS / N / 10);
        assert_int_equal(join(t[i]), -EPIPE);
        weft_chan_unref(e[i].c);
    }
    return 0;
}

static void those_that_are_ready_are_picked_alike(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(count_draws, NULL), 0);
    assert_int_equal(run_tasks(count_meetings, NULL), 0);
}

// --- programs ------------------------------------------------------------------------

enum { PRODUCERS = 6, EACH = 500 };

static int produce(void *arg)
{
    weft_chan *c = arg;

    for (int i = 0; i < EACH; i++)
        assert_int_equal(send_number(c, i), 0);
    weft_chan_close(c);
    return 0;
}

// Until each is closed; a case that has ended is switched off. The array serves all the
// time.
static int merge(void *arg)
{
    weft_chan *c[PRODUCERS];
    weft_case cases[PRODUCERS];
    int n, next[PRODUCERS] = { 0 };
    (void)arg;

    for (int i = 0; i < PRODUCERS; i++) {
        c[i] = new_numbers((size_t)i % 3);
        assert_int_equal(weft_spawn(NULL, produce, c[i]), 0);
        cases[i] = weft_on_recv(c[i], &n);
    }
    for (int open = PRODUCERS; open > 0;) {
        int i = weft_select(cases, PRODUCERS);
        assert_in_range(i, 0, PRODUCERS - 1);
        if (cases[i].result == 0) {
            assert_int_equal(n, next[i]++);
            continue;
        }
        assert_int_equal(cases[i].result, -EPIPE);
        assert_int_equal(next[i], EACH);
        cases[i] = weft_on_recv(NULL, NULL);
        open--;
    }
    for (int i = 0; i < PRODUCERS; i++)
        weft_chan_unref(c[i]);
    return 0;
}

static void a_loop_over_selects_loses_nothing(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(merge, NULL), 0);
}

enum { CROWD = 500 };

static int wait_for_the_last(void *arg)
{
    struct crowd {
        weft_chan *c[CROWD];
        weft_future f[CROWD];
        weft_case cases[2 * CROWD];
    } *all = calloc(1, sizeof(*all));
    int n = 1, *chosen = arg;

    for (int i = 0; i < CROWD; i++) {
        all->c[i] = new_numbers(i % 2);
        all->cases[i] = i % 3 ? weft_on_recv(all->c[i], &n) : weft_on_send(all->c[i], &n);
        if (i % 2 && i % 3 == 0)
            assert_int_equal(try_send(all->c[i], 0), 0);
        weft_future_init(&all->f[i]);
        all->cases[CROWD + i] = weft_on_future(&all->f[i]);
    }
    struct end e = { all->c[CROWD - 1], 8 };
    for (int round = 0; round < 5; round++) {
        weft_task *t = spawn(send_end, &e);
        *chosen = weft_select(all->cases, 2 * CROWD);
        assert_int_equal(*chosen, CROWD - 1);
        assert_int_equal(n, 8);
        assert_int_equal(join(t), 0);
    }
    assert_true(weft_future_complete(&all->f[CROWD / 2], 6));
    assert_int_equal(weft_select(all->cases, 2 * CROWD), CROWD + CROWD / 2);
    for (int i = 0; i < CROWD; i++)
        weft_chan_unref(all->c[i]);
    free(all);
    return 0;
}

static void a_thousand_cases_are_no_trouble(void **state)
{
    int chosen = -1;
    (void)state;
    _Static_assert((CROWD - 1) % 3 && (CROWD - 1) % 2, "the last channel receives");
    assert_int_equal(run_tasks(wait_for_the_last, &chosen), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(a_case_ends_as_the_call_would),
        left_test(a_tasks_end_is_a_case),
        left_test(one_case_happens_and_the_others_leave_no_trace),
        left_test(an_end_is_something_that_happens),
        left_test(a_cancelled_select_does_nothing),
        left_test(a_case_without_an_object_never_happens),
        left_test(time_gives_way_to_all_others),
        left_test(a_select_does_not_meet_itself_but_any_other),
        left_test(two_selects_meet_in_one_of_two_places),
        left_test(one_channel_may_be_in_many_cases),
        left_test(those_that_are_ready_are_picked_alike),
        left_test(a_loop_over_selects_loses_nothing),
        left_test(a_thousand_cases_are_no_trouble),
    };
    return wf_test_run(tests);
}
