// Channels, by the rules that Go publishes for its channels, and by weft's additions:
// unbounded channels, cancels, foreign threads.
#include <pthread.h>
#include <stdint.h>

#include "base/compiler.h"
#include "tests/support/chans.h"
#include "tests/support/child.h"
#include "tests/support/left.h"

static const size_t capacities[] = { 0, 1, 2, 7, 1000, WEFT_UNBOUNDED };

// --- how many a channel takes --------------------------------------------------------

static void a_channel_takes_as_many_messages_as_its_capacity(void **state)
{
    (void)state;
    for (size_t i = 0; i < wf_countof(capacities); i++) {
        size_t most = capacities[i] < 5000 ? capacities[i] : 5000;
        weft_chan *c = new_numbers(capacities[i]);
        assert_int_equal(try_recv(c), -EAGAIN);
        for (int round = 0; round < 3; round++) {
            for (size_t n = 0; n < most; n++) {
                assert_int_equal(weft_chan_len(c), n);
                assert_int_equal(try_send(c, (int)n), 0);
            }
            if (capacities[i] == most)
                assert_int_equal(try_send(c, 0), -EAGAIN);
            for (size_t n = 0; n < most; n++)
                assert_int_equal(try_recv(c), n);
            assert_int_equal(try_recv(c), -EAGAIN);
            assert_int_equal(weft_chan_len(c), 0);
        }
        weft_chan_unref(c);
    }
}

// Filled and drained by different amounts, so that every place comes to be the first
// and the last.
static void messages_keep_their_order_wherever_they_lie(void **state)
{
    (void)state;
    for (size_t i = 1; i < wf_countof(capacities); i++) {
        weft_chan *c = new_numbers(capacities[i]);
        struct wf_test_rand r = wf_test_rand(i);
        int sent = 0, got = 0;
        for (int round = 0; round < 400; round++) {
            for (uint32_t n = wf_test_below(&r, 3000); n > 0 && try_send(c, sent) == 0; n--)
                sent++;
            assert_int_equal(weft_chan_len(c), sent - got);
            for (uint32_t n = wf_test_below(&r, 3000); n > 0 && sent > got; n--)
                assert_int_equal(try_recv(c), got++);
        }
        weft_chan_unref(c); // with what is left
    }
}

enum { LARGEST = 10000 };

// A message's neighbours in memory are not touched: at both ends, on the way through a
// buffer and from hand to hand.
static void pass_bytes(weft_chan *c, size_t size, uint8_t seed)
{
    static uint8_t from[LARGEST + 2], to[LARGEST + 2];

    for (size_t i = 0; i < size + 2; i++) {
        from[i] = (uint8_t)(seed + i);
        to[i] = 0xee;
    }
    assert_int_equal(weft_chan_send(c, from + 1), 0);
    assert_int_equal(weft_chan_recv(c, to + 1), 0);
    assert_memory_equal(from + 1, to + 1, size);
    assert_int_equal(to[0], 0xee);
    assert_int_equal(to[size + 1], 0xee);
}

struct echo {
    weft_chan *in, *out;
    size_t size;
};

static int echo(void *arg)
{
    struct echo *e = arg;
    uint8_t *message = malloc(e->size + 1);
    int err;

    while ((err = weft_chan_recv(e->in, message)) == 0)
        assert_int_equal(weft_chan_send(e->out, message), 0);
    free(message);
    return err;
}

static void pass_to_and_fro(size_t size, size_t capacity)
{
    static uint8_t from[LARGEST], to[LARGEST];
    struct echo e = { new_chan(size, capacity), new_chan(size, capacity), size };
    weft_task *t = spawn(echo, &e);

    for (int round = 0; round < 5; round++) {
        for (size_t i = 0; i < size; i++)
            from[i] = (uint8_t)(i * 7 + (size_t)round);
        memset(to, 0, sizeof(to));
        assert_int_equal(weft_chan_send(e.in, from), 0);
        assert_int_equal(weft_chan_recv(e.out, to), 0);
        assert_memory_equal(from, to, size ? size : 1);
    }
    weft_chan_close(e.in);
    assert_int_equal(join(t), -EPIPE);
    weft_chan_unref(e.in);
    weft_chan_unref(e.out);
}

static int of_all_sizes(void *arg)
{
    static const size_t sizes[] = { 1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 64, 100, 2000, 4032, 4033, LARGEST };
    (void)arg;

    for (size_t i = 0; i < wf_countof(sizes); i++) {
        for (size_t k = 1; k < wf_countof(capacities); k++) {
            weft_chan *c = new_chan(sizes[i], capacities[k]);
            for (int n = 0; n < 20; n++)
                pass_bytes(c, sizes[i], (uint8_t)n);
            weft_chan_unref(c);
        }
        pass_to_and_fro(sizes[i], 0);
        pass_to_and_fro(sizes[i], 1);
    }
    return 0;
}

static void messages_of_any_size_arrive_whole(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(of_all_sizes, NULL), 0);
}

static int signal_all(void *arg)
{
    weft_chan *c = arg;

    for (int i = 0; i < 1000; i++)
        assert_int_equal(weft_chan_send(c, NULL), 0);
    weft_chan_close(c);
    return 0;
}

static int count_signals(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < wf_countof(capacities); i++) {
        weft_chan *c = new_chan(0, capacities[i]);
        weft_task *t = spawn(signal_all, c);
        int n = 0;
        while (weft_chan_recv(c, NULL) == 0)
            n++;
        assert_int_equal(n, 1000);
        assert_int_equal(join(t), 0);
        weft_chan_unref(c);
    }
    return 0;
}

static void messages_without_bytes_are_counted(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(count_signals, NULL), 0);
}

static void what_cannot_be_had_is_refused(void **state)
{
    weft_chan *c = NULL;
    (void)state;

    assert_int_equal(weft_chan_new(&c, SIZE_MAX, 1), -ENOMEM);
    assert_int_equal(weft_chan_new(&c, SIZE_MAX, WEFT_UNBOUNDED), -ENOMEM);
    assert_int_equal(weft_chan_new(&c, 1, SIZE_MAX - 1), -ENOMEM);
    assert_int_equal(weft_chan_new(&c, 8, SIZE_MAX / 8), -ENOMEM);
    assert_int_equal(weft_chan_new(&c, (size_t)1 << 33, (size_t)1 << 33), -ENOMEM);
    assert_null(c);
    c = new_chan(0, SIZE_MAX - 1); // needs none
    assert_int_equal(weft_chan_try_send(c, NULL), 0);
    weft_chan_unref(c);
    weft_chan_unref(NULL);
}

// --- senders and receivers wait for each other ---------------------------------------

static int first_come_first_served(void *arg)
{
    enum { N = 20 };
    struct end ends[N];
    weft_task *tasks[N];
    (void)arg;

    for (size_t capacity = 0; capacity < 3; capacity++) {
        weft_chan *c = new_numbers(capacity);
        for (int i = 0; i < N; i++) {
            ends[i] = (struct end){ c, i };
            tasks[i] = start_recv(&ends[i]);
        }
        for (int i = 0; i < N; i++)
            assert_int_equal(try_send(c, 100 + i), 0); // directly to a waiting receiver
        assert_int_equal(weft_chan_len(c), 0);
        for (int i = 0; i < N; i++)
            assert_int_equal(join(tasks[i]), 100 + i);

        for (int i = 0; i < (int)capacity; i++)
            assert_int_equal(try_send(c, 200 + i), 0);
        for (int i = 0; i < N; i++) {
            ends[i].n = 200 + (int)capacity + i;
            tasks[i] = start_send(&ends[i]);
        }
        for (int i = 0; i < N; i++) {
            assert_int_equal(try_recv(c), 200 + i);
            assert_int_equal(try_send(c, 0), -EAGAIN); // no sender overtakes the waiting ones
        }
        for (int i = 0; i < N; i++)
            assert_int_equal(join(tasks[i]), 0);
        assert_int_equal(weft_chan_len(c), capacity);
        weft_chan_unref(c);
    }
    return 0;
}

static void those_who_wait_are_served_in_turn(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(first_come_first_served, NULL), 0);
}

static int written; // by one task, read by another, with nothing but a channel between them

static int write_then_recv(void *arg)
{
    written = 42;
    return recv_number(arg);
}

static int write_then_send(void *arg)
{
    written = 43;
    return send_number(arg, 1);
}

// The k-th receive comes before the end of the (k + capacity)-th send; of a send,
// before the end of its receive.
static int meet(void *arg)
{
    (void)arg;
    for (int round = 0; round < 200; round++) {
        weft_chan *c = new_numbers(0);
        written = 0;
        weft_task *t = spawn(write_then_recv, c);
        assert_int_equal(send_number(c, 5), 0);
        assert_int_equal(written, 42);
        assert_int_equal(join(t), 5);
        t = spawn(write_then_send, c);
        assert_int_equal(recv_number(c), 1);
        assert_int_equal(written, 43);
        assert_int_equal(join(t), 0);
        weft_chan_unref(c);

        c = new_numbers(1);
        written = 0;
        t = spawn(write_then_recv, c);
        assert_int_equal(send_number(c, 5), 0);
        assert_int_equal(send_number(c, 6), 0);
        assert_int_equal(written, 42);
        assert_int_equal(join(t), 5);
        weft_chan_unref(c);
    }
    return 0;
}

static void what_came_before_is_seen_by_who_comes_after(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(meet, NULL), 0);
}

static int at_a_rendezvous(void *arg)
{
    weft_chan *c = new_numbers(0);
    struct end e = { c, 7 };
    (void)arg;

    assert_int_equal(try_send(c, 1), -EAGAIN); // no receiver waits
    weft_task *t = start_send(&e);
    assert_int_equal(weft_chan_len(c), 0);
    assert_int_equal(try_send(c, 1), -EAGAIN); // a sender is not a receiver
    assert_int_equal(try_recv(c), 7);
    assert_int_equal(try_recv(c), -EAGAIN);
    assert_int_equal(join(t), 0);
    t = start_recv(&e);
    assert_int_equal(try_recv(c), -EAGAIN);
    assert_int_equal(try_send(c, 8), 0);
    assert_int_equal(join(t), 8);
    weft_chan_unref(c);
    return 0;
}

static void a_rendezvous_needs_both(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(at_a_rendezvous, NULL), 0);
}

static int set_flag(void *arg)
{
    *(volatile bool *)arg = true;
    return 0;
}

static int talk_to_itself(void *arg)
{
    weft_chan *c = new_numbers(WEFT_UNBOUNDED);
    volatile bool flag = false;
    (void)arg;

    weft_task *t = spawn(set_flag, (void *)&flag);
    for (int i = 0; i < 1000 && !flag; i++)
        assert_int_equal(send_number(c, i), 0);
    assert_true(flag || weft_task_done(t));
    assert_int_equal(join(t), 0);
    flag = false;
    t = spawn(set_flag, (void *)&flag);
    for (int i = 0; i < 1000 && !flag; i++)
        assert_int_equal(send_number(c, i) + recv_number(c) >= 0, true);
    assert_true(flag || weft_task_done(t));
    assert_int_equal(join(t), 0);
    weft_chan_unref(c);
    return 0;
}

static void who_never_has_to_wait_lets_others_run(void **state)
{
    weft_config cfg = WEFT_CONFIG_INIT;
    (void)state;
    cfg.workers = 1;
    assert_int_equal(weft_run(&cfg, talk_to_itself, NULL), 0);
}

// --- closing -------------------------------------------------------------------------

static void expect_closed(weft_chan *c)
{
    assert_true(weft_chan_closed(c));
    assert_int_equal(try_send(c, 0), -EPIPE);
    assert_int_equal(try_recv(c), -EPIPE);
}

static int close_them(void *arg)
{
    enum { N = 5 };
    struct end ends[N];
    weft_task *tasks[N];
    (void)arg;

    for (int capacity = 0; capacity < 4; capacity++) {
        weft_chan *c = new_numbers((size_t)capacity);
        assert_false(weft_chan_closed(c));
        for (int i = 0; i < capacity; i++)
            assert_int_equal(send_number(c, i), 0);
        for (int i = 0; i < N; i++) {
            ends[i] = (struct end){ c, 100 };
            tasks[i] = start_send(&ends[i]);
        }
        weft_chan_close(c);
        for (int i = 0; i < N; i++)
            assert_int_equal(join(tasks[i]), -EPIPE); // and has not sent
        assert_int_equal(send_number(c, 100), -EPIPE);
        assert_int_equal(weft_chan_len(c), capacity);
        for (int i = 0; i < capacity; i++)
            assert_int_equal(recv_number(c), i); // what was sent can be received
        assert_int_equal(recv_number(c), -EPIPE);
        weft_chan_close(c); // again
        expect_closed(c);
        weft_chan_unref(c);

        c = new_numbers((size_t)capacity);
        for (int i = 0; i < N; i++) {
            ends[i] = (struct end){ c, 0 };
            tasks[i] = start_recv(&ends[i]);
        }
        weft_chan_close(c);
        for (int i = 0; i < N; i++)
            assert_int_equal(join(tasks[i]), -EPIPE);
        expect_closed(c);
        weft_chan_unref(c);
    }
    return 0;
}

static void closing_ends_all_waits_and_keeps_what_was_sent(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(close_them, NULL), 0);
}

static int close_it(void *arg)
{
    weft_chan_close(arg);
    return 0;
}

static int close_from_many(void *arg)
{
    enum { N = 10 };
    weft_task *tasks[N];
    weft_chan *c = new_numbers(0);
    struct end e = { c, 0 };
    (void)arg;

    weft_task *receiver = start_recv(&e);
    for (int i = 0; i < N; i++)
        tasks[i] = spawn(close_it, c);
    for (int i = 0; i < N; i++)
        assert_int_equal(join(tasks[i]), 0);
    assert_int_equal(join(receiver), -EPIPE);
    expect_closed(c);
    weft_chan_unref(c);
    return 0;
}

static void any_number_may_close(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(close_from_many, NULL), 0);
}

// --- cancels -------------------------------------------------------------------------

static int cancel_waiting(void *arg)
{
    weft_chan *c = new_numbers(1);
    struct end a = { c, 1 }, b = { c, 2 };
    (void)arg;

    weft_task *ra = start_recv(&a), *rb = start_recv(&b);
    weft_task_cancel(ra);
    assert_int_equal(join(ra), -ECANCELED);
    assert_int_equal(send_number(c, 5), 0);
    assert_int_equal(join(rb), 5); // the next one in turn

    assert_int_equal(send_number(c, 0), 0);
    weft_task *sa = start_send(&a), *sb = start_send(&b);
    weft_task_cancel(sa);
    assert_int_equal(join(sa), -ECANCELED);
    assert_int_equal(recv_number(c), 0);
    assert_int_equal(join(sb), 0);
    assert_int_equal(recv_number(c), 2);
    assert_int_equal(try_recv(c), -EAGAIN); // no 1 was sent
    weft_chan_unref(c);
    return 0;
}

static void who_is_cancelled_has_had_no_effect(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(cancel_waiting, NULL), 0);
}

// One worker: the receiver gets the message, and then is cancelled, before it runs.
static int cancel_served(void *arg)
{
    weft_chan *c = new_numbers(0);
    struct end e = { c, 3 };
    (void)arg;

    weft_task *t = start_recv(&e);
    assert_int_equal(try_send(c, 9), 0);
    weft_task_cancel(t);
    assert_int_equal(join(t), 9);
    t = start_send(&e);
    assert_int_equal(try_recv(c), 3);
    weft_task_cancel(t);
    assert_int_equal(join(t), 0);
    weft_chan_unref(c);
    return 0;
}

static void who_is_served_and_then_cancelled_was_served(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(cancel_served, NULL), 0);
}

static int all_calls(void *arg)
{
    weft_chan *c = arg;

    weft_task_cancel(weft_self());
    assert_int_equal(send_number(c, 1), -ECANCELED); // though there is room,
    assert_int_equal(recv_number(c), -ECANCELED);    // and a message
    assert_int_equal(try_send(c, 1), 0);             // these do not wait
    assert_int_equal(try_recv(c), 0);
    return 0;
}

static int cancelled_from_the_start(void *arg)
{
    weft_chan *c = new_numbers(2);
    weft_scope s;
    (void)arg;

    assert_int_equal(send_number(c, 0), 0);
    assert_int_equal(join(spawn(all_calls, c)), 0);
    assert_int_equal(weft_chan_len(c), 1);
    assert_int_equal(recv_number(c), 1);
    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    weft_scope_deadline(&s, weft_after(WEFT_MS(1)));
    assert_int_equal(recv_number(c), -ETIMEDOUT);
    assert_int_equal(send_number(c, 2), -ETIMEDOUT); // until the scope is closed
    assert_int_equal(weft_scope_close(&s), -ETIMEDOUT);
    assert_int_equal(send_number(c, 2), 0);
    assert_int_equal(recv_number(c), 2);
    weft_chan_unref(c);
    return 0;
}

static void a_cancelled_task_neither_sends_nor_receives(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(cancelled_from_the_start, NULL), 0);
}

// --- from outside --------------------------------------------------------------------

// many is how many numbers threads outside send or receive.
static int many(void)
{
    return (int)wf_test_rounds(3000);
}

static void *feed(void *arg)
{
    weft_chan *c = arg;

    for (int i = 0, n = many(); i < n;)
        if (try_send(c, i) == 0)
            i++;
        else
            sched_yield(); // valgrind runs one thread at a time
    weft_chan_close(c);
    weft_chan_unref(c);
    return NULL;
}

static int take_from_a_thread(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < wf_countof(capacities); i++) {
        pthread_t thread;
        weft_chan *c = new_numbers(capacities[i]);
        assert_int_equal(pthread_create(&thread, NULL, feed, weft_chan_ref(c)), 0);
        for (int n = 0; n < many(); n++)
            assert_int_equal(recv_number(c), n);
        assert_int_equal(recv_number(c), -EPIPE);
        weft_chan_unref(c);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    return 0;
}

static void *drain(void *arg)
{
    weft_chan *c = arg;
    int n = 0, got;

    while ((got = try_recv(c)) != -EPIPE)
        if (got != -EAGAIN)
            assert_int_equal(got, n++);
        else
            sched_yield(); // as above
    weft_chan_unref(c);
    return (void *)(intptr_t)n;
}

static int give_to_a_thread(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < wf_countof(capacities); i++) {
        pthread_t thread;
        void *got;
        weft_chan *c = new_numbers(capacities[i]);
        assert_int_equal(pthread_create(&thread, NULL, drain, weft_chan_ref(c)), 0);
        for (int n = 0; n < many(); n++)
            assert_int_equal(send_number(c, n), 0);
        weft_chan_close(c);
        weft_chan_unref(c);
        assert_int_equal(pthread_join(thread, &got), 0);
        assert_int_equal((intptr_t)got, many());
    }
    return 0;
}

static void threads_outside_may_send_receive_and_close(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(take_from_a_thread, NULL), 0);
    assert_int_equal(run_tasks(give_to_a_thread, NULL), 0);
}

// --- misuse --------------------------------------------------------------------------

static int abandon(void *arg)
{
    weft_chan *c = new_numbers(0);
    struct end e = { c, 1 };
    (void)arg;

    start_recv(&e);
    weft_chan_unref(c);
    return 0;
}

static void run_abandon(void *arg)
{
    weft_run(NULL, abandon, arg);
}

static void wait_outside(void *arg)
{
    weft_chan *c = new_numbers(1);
    int n = 0;

    (void)arg;
    assert_int_equal(weft_chan_send(c, &n), 0);
}

static void a_channel_must_outlive_those_who_wait(void **state)
{
    struct child child;
    (void)state;

    if (!child_may_run())
        return;
    child_run(&child, run_abandon, NULL);
    child_expect_signal(&child, SIGABRT);
    child_expect_said(&child, "the last reference to a channel is given up while tasks wait in it");
}

static void only_tasks_may_wait(void **state)
{
    struct child child;
    (void)state;

    if (!child_may_run())
        return;
    child_run(&child, wait_outside, NULL);
    child_expect_signal(&child, SIGABRT);
    child_expect_said(&child, "weft_chan_send may only be called by a task");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_channel_takes_as_many_messages_as_its_capacity),
        cmocka_unit_test(messages_keep_their_order_wherever_they_lie),
        left_test(messages_of_any_size_arrive_whole),
        left_test(messages_without_bytes_are_counted),
        cmocka_unit_test(what_cannot_be_had_is_refused),
        left_test(those_who_wait_are_served_in_turn),
        left_test(what_came_before_is_seen_by_who_comes_after),
        left_test(a_rendezvous_needs_both),
        left_test(who_never_has_to_wait_lets_others_run),
        left_test(closing_ends_all_waits_and_keeps_what_was_sent),
        left_test(any_number_may_close),
        left_test(who_is_cancelled_has_had_no_effect),
        left_test(who_is_served_and_then_cancelled_was_served),
        left_test(a_cancelled_task_neither_sends_nor_receives),
        left_test(threads_outside_may_send_receive_and_close),
        cmocka_unit_test(a_channel_must_outlive_those_who_wait),
        cmocka_unit_test(only_tasks_may_wait),
    };
    return wf_test_run(tests);
}
