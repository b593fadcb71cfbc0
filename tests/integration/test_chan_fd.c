// weft_chan_fd: an event loop of the program, with poll(2), sees when a channel has a
// message.
#include <errno.h>
#include <poll.h>
#include <pthread.h>

#include "base/atomic.h"
#include "base/mem.h"
#include "tests/support/chans.h"
#include "tests/support/left.h"
#include "tests/support/threads.h"

static int fd_of(weft_chan *c)
{
    int fd = weft_chan_fd(c);

    assert_true(fd > 2);
    assert_int_equal(weft_chan_fd(c), fd); // the same one
    return fd;
}

static bool is_readable(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    int n = poll(&p, 1, 0);

    assert_true(n == 0 || (n == 1 && p.revents == POLLIN));
    return n == 1;
}

static const size_t capacities[] = { 1, 3, WEFT_UNBOUNDED };

static void it_is_readable_while_there_is_a_message(void **state)
{
    (void)state;
    for (size_t i = 0; i < wf_countof(capacities); i++) {
        weft_chan *c = new_numbers(capacities[i]);
        int most = capacities[i] < 100 ? (int)capacities[i] : 100, fd = fd_of(c);
        assert_false(is_readable(fd));
        for (int round = 0; round < 3; round++) {
            for (int n = 0; n < most; n++) {
                assert_int_equal(try_send(c, n), 0);
                assert_true(is_readable(fd));
            }
            for (int n = 0; n < most; n++) {
                assert_true(is_readable(fd));
                assert_int_equal(try_recv(c), n);
            }
            assert_false(is_readable(fd));
            assert_int_equal(try_recv(c), -EAGAIN);
        }
        weft_chan_unref(c);
    }
}

static void it_is_readable_from_the_beginning(void **state)
{
    weft_chan *c = new_numbers(1), *closed = new_numbers(0);
    (void)state;

    assert_int_equal(try_send(c, 1), 0);
    assert_true(is_readable(fd_of(c)));
    weft_chan_close(closed);
    assert_true(is_readable(fd_of(closed)));
    weft_chan_unref(c);
    weft_chan_unref(closed);
}

static void a_closed_channel_stays_readable(void **state)
{
    weft_chan *c = new_numbers(2);
    int fd = fd_of(c);
    (void)state;

    assert_int_equal(try_send(c, 1), 0);
    weft_chan_close(c);
    assert_true(is_readable(fd));
    assert_int_equal(try_recv(c), 1);
    assert_true(is_readable(fd)); // so the loop learns that there will be no more
    assert_int_equal(try_recv(c), -EPIPE);
    assert_true(is_readable(fd));
    weft_chan_unref(c);
}

static void a_loop_that_reads_it_by_mistake_goes_on(void **state)
{
    weft_chan *c = new_numbers(2);
    int fd = fd_of(c);
    uint64_t n;
    (void)state;

    assert_int_equal(try_send(c, 1), 0);
    assert_int_equal(read(fd, &n, sizeof(n)), sizeof(n));
    assert_int_equal(try_recv(c), 1); // does not block
    assert_int_equal(try_send(c, 2), 0);
    assert_true(is_readable(fd));
    weft_chan_unref(c);
}

// --- a rendezvous --------------------------------------------------------------------

static int send_one(void *c)
{
    return weft_chan_send(c, &(int){ 5 });
}

static int send_either(void *arg)
{
    weft_chan **c = arg;
    weft_case cases[] = { weft_on_send(c[0], &(int){ 6 }), weft_on_send(c[1], &(int){ 7 }) };
    int i = weft_select(cases, 2);

    return i < 0 ? i : cases[i].result < 0 ? cases[i].result : i;
}

static int meet(void *arg)
{
    weft_chan *c[2] = { new_numbers(0), new_numbers(0) };
    int fd[2] = { fd_of(c[0]), fd_of(c[1]) };
    (void)arg;

    weft_task *t = spawn(send_one, c[0]);
    wait_parked(t, "weft_chan_send");
    assert_true(is_readable(fd[0]));
    assert_int_equal(try_recv(c[0]), 5);
    assert_false(is_readable(fd[0]));
    assert_int_equal(join(t), 0);

    t = spawn(send_one, c[0]);
    wait_parked(t, "weft_chan_send");
    assert_true(is_readable(fd[0]));
    weft_task_cancel(t);
    assert_int_equal(join(t), -ECANCELED);
    assert_false(is_readable(fd[0]));

    t = spawn(send_either, c);
    wait_parked(t, "weft_select");
    assert_true(is_readable(fd[0]) && is_readable(fd[1]));
    assert_int_equal(try_recv(c[1]), 7);
    assert_int_equal(join(t), 1);
    assert_false(is_readable(fd[0]) || is_readable(fd[1])); // it has left the other one
    weft_chan_unref(c[0]);
    weft_chan_unref(c[1]);
    return 0;
}

static void of_a_rendezvous_while_a_sender_waits(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(meet, NULL), 0);
}

static int receive_one(void *c)
{
    int n = -1;
    return weft_chan_recv(c, &n) ? -1 : n;
}

static int hand_over(void *arg)
{
    weft_chan *c = new_numbers(1);
    int fd = fd_of(c), n = 0;
    (void)arg;

    weft_task *t = spawn(receive_one, c);
    wait_parked(t, "weft_chan_recv");
    assert_int_equal(weft_chan_send(c, &(int){ 8 }), 0); // goes to the task
    assert_false(is_readable(fd));
    assert_int_equal(join(t), 8);
    assert_int_equal(weft_chan_send(c, &(int){ 9 }), 0);
    t = spawn(send_one, c); // waits: the channel is full
    wait_parked(t, "weft_chan_send");
    assert_int_equal(weft_chan_recv(c, &n), 0); // lets it in
    assert_int_equal(n, 9);
    assert_true(is_readable(fd));
    assert_int_equal(join(t), 0);
    assert_int_equal(weft_chan_recv(c, &n), 0);
    assert_false(is_readable(fd));
    weft_chan_unref(c);
    return 0;
}

static void tasks_at_both_ends_change_it_too(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(hand_over, NULL), 0);
}

// --- many at once --------------------------------------------------------------------

// Senders on threads and in tasks; one loop takes most, and a task steals some.
struct traffic {
    struct threads threads;
    weft_chan *chan;
    _Atomic unsigned sending;  // parties that have not finished
    _Atomic unsigned received; // by all
    unsigned each;
};

static void end_party(struct traffic *t)
{
    if (wf_fetch_sub_acq_rel(&t->sending, 1u) == 1) // acq_rel: the last one closes
        weft_chan_close(t->chan);
}

static void *send_on_a_thread(void *arg)
{
    struct traffic *t = arg;

    threads_ready(&t->threads);
    for (unsigned i = 0; i < t->each; i++)
        while (try_send(t->chan, 1) == -EAGAIN)
            sched_yield();
    end_party(t);
    return NULL;
}

static int send_in_a_task(void *arg)
{
    struct traffic *t = arg;

    for (unsigned i = 0; i < t->each; i++) {
        assert_int_equal(weft_chan_send(t->chan, &(int){ 1 }), 0);
        if (i % 5 == 0)
            weft_yield();
    }
    end_party(t);
    return 0;
}

static int steal(void *arg)
{
    struct traffic *t = arg;

    for (int n; weft_chan_recv(t->chan, &n) == 0;) {
        wf_fetch_add_relaxed(&t->received, 1u); // relaxed: a counter
        assert_int_equal(weft_sleep(WEFT_US(30)), 0);
    }
    return 0;
}

// watch is the host's loop. poll(2) without a time limit: a wake that is lost hangs it.
static void watch(struct traffic *t)
{
    struct pollfd p = { .fd = fd_of(t->chan), .events = POLLIN };

    for (int got = 0; got != -EPIPE;) {
        assert_int_equal(poll(&p, 1, -1), 1);
        while ((got = try_recv(t->chan)) >= 0)
            wf_fetch_add_relaxed(&t->received, 1u); // relaxed: a counter
    }
}

enum { PARTIES = 2 };

static void run_traffic(weft_rt *rt, size_t capacity, unsigned each)
{
    struct traffic t = { .chan = new_numbers(capacity), .sending = 2 * PARTIES, .each = each };
    weft_task *tasks[PARTIES + 1];

    threads_init(&t.threads, PARTIES + 1);
    for (int i = 0; i < PARTIES; i++) {
        threads_add(&t.threads, send_on_a_thread, &t);
        assert_int_equal(weft_rt_spawn(rt, &tasks[i], send_in_a_task, &t), 0);
    }
    assert_int_equal(weft_rt_spawn(rt, &tasks[PARTIES], steal, &t), 0);
    threads_ready(&t.threads);
    watch(&t);
    threads_join(&t.threads);
    for (int i = 0; i < PARTIES + 1; i++)
        assert_int_equal(weft_join(tasks[i], NULL), 0);
    assert_int_equal(wf_load_relaxed(&t.received), 2 * PARTIES * each); // relaxed: all have ended
    weft_chan_unref(t.chan);
}

static void no_message_is_slept_over(void **state)
{
    static const size_t all[] = { 0, 1, 4, WEFT_UNBOUNDED };
    weft_rt *rt;
    (void)state;

    assert_int_equal(weft_rt_new(&rt, NULL), 0);
    wf_test_watch(rt);
    for (unsigned round = wf_test_rounds(20); round > 0; round--)
        for (size_t i = 0; i < wf_countof(all); i++)
            run_traffic(rt, all[i], 200);
    wf_test_unwatch(rt);
    weft_rt_free(rt);
}

// Two threads meet at a channel, over and over; whenever neither is in a call, the
// descriptor says what is in it.
struct meeting {
    weft_chan *chan;
    pthread_barrier_t begin, end;
    unsigned rounds;
};

// pause_for spins for as long as it may take a thread to wake up.
static void pause_for(struct wf_test_rand *r)
{
    for (volatile unsigned spin = wf_test_below(r, 20000); spin > 0; spin--)
        ;
}

static void *send_and_receive(void *arg)
{
    struct meeting *m = arg;
    struct wf_test_rand r = wf_test_rand(4);

    for (unsigned i = 0; i < m->rounds; i++) {
        pthread_barrier_wait(&m->begin);
        assert_int_equal(try_send(m->chan, 1), 0);
        pause_for(&r);
        if (try_recv(m->chan) < 0 || i % 2)
            assert_int_equal(try_send(m->chan, 1), 0);
        pthread_barrier_wait(&m->end);
    }
    return NULL;
}

static void when_no_call_is_under_way_it_is_right(void **state)
{
    struct meeting m = { .chan = new_numbers(WEFT_UNBOUNDED), .rounds = wf_test_rounds(1000) };
    struct wf_test_rand r = wf_test_rand(3);
    int fd = fd_of(m.chan);
    pthread_t other;
    (void)state;

    pthread_barrier_init(&m.begin, NULL, 2);
    pthread_barrier_init(&m.end, NULL, 2);
    assert_int_equal(pthread_create(&other, NULL, send_and_receive, &m), 0);
    for (unsigned i = 0; i < m.rounds; i++) {
        pthread_barrier_wait(&m.begin);
        pause_for(&r);
        try_recv(m.chan);
        pthread_barrier_wait(&m.end);
        assert_int_equal(is_readable(fd), weft_chan_len(m.chan) > 0);
        while (try_recv(m.chan) >= 0)
            ;
        assert_false(is_readable(fd));
    }
    assert_int_equal(pthread_join(other, NULL), 0);
    pthread_barrier_destroy(&m.begin);
    pthread_barrier_destroy(&m.end);
    weft_chan_unref(m.chan);
}

static void *ask_for_it(void *arg)
{
    struct traffic *t = arg;

    threads_ready(&t->threads);
    fd_of(t->chan);
    return NULL;
}

static void many_threads_ask_for_it_at_once(void **state)
{
    (void)state;
    for (unsigned round = wf_test_rounds(100); round > 0; round--) {
        struct traffic t = { .chan = new_numbers(1) };
        threads_init(&t.threads, 4);
        for (int i = 0; i < 4; i++)
            threads_add(&t.threads, ask_for_it, &t);
        threads_join(&t.threads);
        fd_of(t.chan);
        weft_chan_unref(t.chan);
    }
}

static void without_memory_or_descriptors_it_is_an_error(void **state)
{
    (void)state;
#ifdef WF_FAULTS
    weft_chan *c = new_numbers(1);
    wf_mem_fail_at(1, false);
    assert_int_equal(weft_chan_fd(c), -ENOMEM);
    wf_mem_fail_at(2, false);
    assert_int_equal(weft_chan_fd(c), -EMFILE);
    wf_mem_fail_at(0, false);
    assert_int_equal(try_send(c, 1), 0);
    assert_true(is_readable(fd_of(c)));
    weft_chan_unref(c);
#else
    wf_test_skip("without fault injection");
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(it_is_readable_while_there_is_a_message),
        left_test(it_is_readable_from_the_beginning),
        left_test(a_closed_channel_stays_readable),
        left_test(a_loop_that_reads_it_by_mistake_goes_on),
        left_test(of_a_rendezvous_while_a_sender_waits),
        left_test(tasks_at_both_ends_change_it_too),
        left_test(no_message_is_slept_over),
        left_test(when_no_call_is_under_way_it_is_right),
        left_test(many_threads_ask_for_it_at_once),
        left_test(without_memory_or_descriptors_it_is_an_error),
    };
    return wf_test_run(tests);
}
