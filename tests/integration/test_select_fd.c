// Select over descriptors, alone and among cases of all other kinds, with real sockets
// and pipes.
#include <poll.h>
#include <sys/eventfd.h>

#include "base/compiler.h"
#include "tests/support/chans.h"
#include "tests/support/left.h"
#include "tests/support/own.h"
#include "tests/support/peer.h"

struct ask {
    int fd;
    short events;
    int index; // of the case
    weft_case cases[4];
};

// select_it waits for a descriptor among things that do not happen.
static int select_it(void *arg)
{
    struct ask *a = arg;
    weft_chan *c = new_numbers(0);
    int n;

    a->cases[0] = weft_on_recv(c, &n);
    a->cases[1] = weft_on_time(weft_after(WEFT_S(1000)));
    a->cases[2] = weft_on_fd(a->fd, a->events);
    a->cases[3] = weft_on_send(c, &n);
    a->index = weft_select(a->cases, 4);
    weft_chan_unref(c);
    return a->index < 0 ? a->index : a->cases[a->index].result;
}

static weft_task *start(struct ask *a)
{
    weft_task *t = spawn(select_it, a);
    wait_parked(t, "weft_select");
    return t;
}

// ready_now is a select that does not wait: what poll(2) says, 0 if nothing is ready.
static int ready_now(int fd, short events)
{
    weft_case cases[] = { weft_on_fd(fd, events), weft_on_time(0) };
    int i = weft_select(cases, 2);

    assert_in_range(i, 0, 1);
    return i == 0 ? cases[0].result : 0;
}

// --- what is ready -------------------------------------------------------------------

static int read_one(void *arg)
{
    char c;
    return (int)weft_read(*(int *)arg, &c, 1);
}

// register_it makes the reactor know a descriptor.
static void register_it(const int *fd)
{
    weft_task *t = spawn(read_one, (void *)&fd[0]);

    wait_parked(t, "weft_read");
    peer_write(fd[1], "x", 1);
    assert_int_equal(join(t), 1);
}

static int at_once(void *arg)
{
    int fd[2], file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    char c[64];
    (void)arg;

    for (int i = 0; i < 2 * PEER_KINDS; i++) {
        enum peer_kind kind = (enum peer_kind)(i / 2);
        peer_pair(kind, fd);
        if (i % 2)
            take_for_own(fd[0]);
        register_it(fd);
        for (int round = 0; round < 50; round++) {
            assert_int_equal(ready_now(fd[0], POLLIN), 0);
            peer_write(fd[1], "x", 1);
            while (kind == PEER_TCP && poll(&(struct pollfd){ fd[0], POLLIN, 0 }, 1, -1) != 1)
                ;                                               // over the loopback at once, or nearly
            assert_int_equal(ready_now(fd[0], POLLIN), POLLIN); // though the reactor may not have heard of it
            assert_int_equal(weft_read(fd[0], c, sizeof(c)), 1);
        }
        close(fd[1]);
        assert_true(ready_now(fd[0], POLLIN) & (POLLIN | POLLHUP));
        assert_int_equal(weft_close(fd[0]), 0);
        assert_int_equal(ready_now(fd[0], POLLIN), -EBADF);
    }
    assert_int_equal(ready_now(file, POLLIN), POLLIN);
    struct ask never = { .fd = file, .events = POLLPRI };
    assert_int_equal(select_it(&never), -EPERM); // it never will be
    assert_int_equal(never.index, 2);
    return close(file);
}

static void a_select_says_what_poll_says(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(at_once, NULL), 0);
}

static int for_bytes_and_room(void *arg)
{
    int fd[2];
    char c[4096];
    (void)arg;

    for (int kind = 0; kind < PEER_KINDS; kind++) {
        peer_pair((enum peer_kind)kind, fd);
        for (int round = 0; round < 5; round++) {
            struct ask in = { .fd = fd[0], .events = POLLIN };
            weft_task *t = start(&in);
            peer_write(fd[1], "x", 1);
            assert_int_equal(join(t), POLLIN);
            assert_int_equal(in.index, 2);
            peer_read(fd[0], c, 1); // it is still there
        }
        size_t sent = 0;
        for (size_t more = 1; more > 0; sent += more)
            more = peer_stuff(fd[1], 0);
        struct ask out = { .fd = fd[1], .events = POLLOUT };
        weft_task *t = start(&out);
        for (size_t n; sent > 0; sent -= n) {
            n = sent < sizeof(c) ? sent : sizeof(c);
            peer_read(fd[0], c, n);
        }
        assert_int_equal(join(t), POLLOUT);
        assert_int_equal(weft_close(fd[0]) | weft_close(fd[1]), 0);
    }
    return 0;
}

static void a_select_waits_for_bytes_and_for_room(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(for_bytes_and_room, NULL), 0);
}

// Both directions of one descriptor, in one case: there is no room, so bytes end it;
// then room does.
static int for_both(void *arg)
{
    int fd[2];
    char c[4096];
    (void)arg;

    peer_tcp_pair(fd);
    size_t sent = 0;
    for (size_t more = 1; more > 0; sent += more)
        more = peer_stuff(fd[0], 0);
    struct ask a = { .fd = fd[0], .events = POLLIN | POLLOUT };
    weft_task *t = start(&a);
    peer_write(fd[1], "x", 1);
    assert_int_equal(join(t), POLLIN);
    assert_int_equal(weft_read(fd[0], c, 1), 1);
    t = start(&a);
    for (size_t n; sent > 0; sent -= n) {
        n = sent < sizeof(c) ? sent : sizeof(c);
        peer_read(fd[1], c, n);
    }
    assert_int_equal(join(t), POLLOUT);
    return weft_close(fd[0]) | weft_close(fd[1]);
}

static void one_case_may_wait_for_both_directions(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(for_both, NULL), 0);
}

// Bytes lie unread, which is not what these wait for: other readers must find them, and
// the waits must end in time.
static int for_less(void *arg)
{
    int fd[2];
    (void)arg;

    peer_tcp_pair(fd);
    peer_write(fd[1], "abcd", 4);
    struct ask end = { .fd = fd[0], .events = POLLRDHUP }, urgent = { .fd = fd[0], .events = POLLPRI };
    weft_task *te = start(&end), *tu = start(&urgent);
    assert_int_equal(join(spawn(read_one, &fd[0])), 1);
    assert_int_equal(ready_now(fd[0], POLLIN), POLLIN);
    assert_int_equal(send(fd[1], "!", 1, MSG_OOB), 1);
    assert_int_equal(join(tu), POLLPRI);
    assert_int_equal(shutdown(fd[1], SHUT_WR), 0);
    assert_int_equal(join(te), POLLRDHUP);
    for (int i = 0; i < 3; i++)
        assert_int_equal(join(spawn(read_one, &fd[0])), 1);
    assert_int_equal(weft_close(fd[0]), 0);
    return close(fd[1]);
}

static void less_than_readiness_can_be_waited_for(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(for_less, NULL), 0);
}

// An edge that is not what the case waits for wakes it, and it waits on: for the end,
// while bytes come and go.
static int through_false_alarms(void *arg)
{
    int fd[2];
    (void)arg;

    for (int round = 0; round < 20; round++) {
        peer_tcp_pair(fd);
        struct ask end = { .fd = fd[0], .events = POLLRDHUP };
        weft_task *t = start(&end);
        for (int i = 0; i < 5; i++) {
            peer_write(fd[1], "x", 1);
            assert_int_equal(join(spawn(read_one, &fd[0])), 1);
        }
        assert_false(weft_task_done(t));
        peer_reset(fd[1]);
        assert_true(join(t) > 0);
        assert_int_equal(weft_close(fd[0]), 0);
    }
    return 0;
}

static void false_alarms_do_not_end_it(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(through_false_alarms, NULL), 0);
}

// --- how else it ends ----------------------------------------------------------------

static int closed_and_cancelled(void *arg)
{
    const short events[] = { POLLIN, POLLRDHUP };
    int fd[2];
    char c;
    (void)arg;

    for (size_t i = 0; i < wf_countof(events); i++) {
        peer_tcp_pair(fd);
        struct ask a = { .fd = fd[0], .events = events[i] };
        if (events[i] == POLLRDHUP)
            peer_write(fd[1], "x", 1); // so that it waits apart
        weft_task *t = start(&a);
        weft_task_cancel(t);
        assert_int_equal(join(t), -ECANCELED);
        t = start(&a);
        if (events[i] == POLLIN)
            peer_write(fd[1], "x", 1);
        if (events[i] == POLLIN)
            assert_int_equal(join(t), POLLIN);
        assert_int_equal(weft_read(fd[0], &c, 1), 1);
        if (events[i] == POLLIN)
            t = start(&a);
        assert_int_equal(weft_close(fd[0]), 0);
        assert_int_equal(join(t), -EBADF); // which is something that happened
        assert_int_equal(a.index, 2);
        close(fd[1]);
    }
    return 0;
}

static void closing_the_descriptor_is_reported(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(closed_and_cancelled, NULL), 0);
}

// Another case happens: the descriptor is as before, for the next waiter.
static int lose(void *arg)
{
    int fd[2], n = 0;
    char byte;
    (void)arg;

    for (int kind = 0; kind < PEER_KINDS; kind++) {
        peer_pair((enum peer_kind)kind, fd);
        weft_chan *c = new_numbers(0);
        weft_case cases[] = { weft_on_fd(fd[0], POLLIN), weft_on_fd(fd[0], POLLIN | POLLRDHUP), weft_on_recv(c, &n) };
        for (int round = 0; round < 50; round++) {
            struct end e = { c, round };
            weft_task *t = spawn(send_end, &e);
            assert_int_equal(weft_select(cases, 3), 2);
            assert_int_equal(n, round);
            assert_int_equal(join(t), 0);
            peer_write(fd[1], "x", 1);
            assert_in_range(weft_select(cases, 3), 0, 1);
            assert_int_equal(weft_read(fd[0], &byte, 1), 1);
        }
        weft_chan_unref(c);
        assert_int_equal(weft_close(fd[0]) | weft_close(fd[1]), 0);
    }
    return 0;
}

static void a_descriptor_that_loses_is_as_before(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(lose, NULL), 0);
}

// --- everything at once --------------------------------------------------------------

enum { SOCKETS = 40, CHANNELS = 40, FUTURES = 40, ALL = SOCKETS + CHANNELS + FUTURES, EVENTS = 600 };

struct world {
    int fd[SOCKETS][2];
    weft_chan *chan[CHANNELS];
    weft_future future[FUTURES];
    weft_case cases[ALL + 1];
    int n;
};

// stir makes one thing happen after the other; what has happened comes back through the
// select.
static int stir(void *arg)
{
    struct world *w = arg;
    struct wf_test_rand r = wf_test_rand(1);

    for (int i = 0; i < EVENTS; i++) {
        uint32_t k = wf_test_below(&r, SOCKETS + CHANNELS);
        if (k < SOCKETS)
            peer_write(w->fd[k][1], "x", 1);
        else
            assert_int_equal(send_number(w->chan[k - SOCKETS], (int)k), 0);
        if (i % (EVENTS / FUTURES) == 0)
            assert_true(weft_future_complete(&w->future[i / (EVENTS / FUTURES)], i));
        if (wf_test_below(&r, 4) == 0)
            assert_int_equal(weft_sleep(WEFT_US(wf_test_below(&r, 50))), 0);
    }
    return 0;
}

static void fill(struct world *w)
{
    for (int i = 0; i < SOCKETS; i++) {
        peer_pair((enum peer_kind)(i % PEER_KINDS), w->fd[i]);
        w->cases[i] = weft_on_fd(w->fd[i][0], POLLIN);
    }
    for (int i = 0; i < CHANNELS; i++) {
        w->chan[i] = new_numbers((size_t)i % 3);
        w->cases[SOCKETS + i] = weft_on_recv(w->chan[i], &w->n);
    }
    for (int i = 0; i < FUTURES; i++) {
        weft_future_init(&w->future[i]);
        w->cases[SOCKETS + CHANNELS + i] = weft_on_future(&w->future[i]);
    }
    w->cases[ALL] = weft_on_time(WEFT_NEVER);
}

// note looks at what happened.  Returns: how many of the events.
static int note(struct world *w, int i)
{
    uint8_t bytes[64];

    assert_in_range(i, 0, ALL - 1);
    if (i < SOCKETS) {
        assert_true(w->cases[i].result & POLLIN);
        ssize_t n = weft_read(w->fd[i][0], bytes, sizeof(bytes));
        assert_true(n > 0);
        return (int)n;
    }
    assert_int_equal(w->cases[i].result, 0);
    if (i < SOCKETS + CHANNELS) {
        assert_int_equal(w->n, i);
        return 1;
    }
    assert_int_equal(w->cases[i].value, (i - SOCKETS - CHANNELS) * (EVENTS / FUTURES));
    w->cases[i] = weft_on_future(NULL);
    return 1;
}

static int watch_the_world(void *arg)
{
    struct world *w = calloc(1, sizeof(*w));
    (void)arg;

    fill(w);
    weft_task *t = spawn(stir, w);
    for (int seen = 0; seen < EVENTS + FUTURES;)
        seen += note(w, weft_select(w->cases, ALL + 1));
    assert_int_equal(join(t), 0);
    w->cases[ALL] = weft_on_time(0);
    assert_int_equal(weft_select(w->cases, ALL + 1), ALL); // no more than that
    for (int i = 0; i < SOCKETS; i++)
        assert_int_equal(weft_close(w->fd[i][0]) | weft_close(w->fd[i][1]), 0);
    for (int i = 0; i < CHANNELS; i++)
        weft_chan_unref(w->chan[i]);
    free(w);
    return 0;
}

static void all_kinds_go_together(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(watch_the_world, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(a_select_says_what_poll_says),
        left_test(a_select_waits_for_bytes_and_for_room),
        left_test(one_case_may_wait_for_both_directions),
        left_test(less_than_readiness_can_be_waited_for),
        left_test(false_alarms_do_not_end_it),
        left_test(closing_the_descriptor_is_reported),
        left_test(a_descriptor_that_loses_is_as_before),
        left_test(all_kinds_go_together),
    };
    return wf_test_run(tests);
}
