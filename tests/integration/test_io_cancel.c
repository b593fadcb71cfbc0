// Cancelling each call of io.h: before it begins, while it is parked, and just when it
// completes. A call that returns an error has had no effect: no byte, no connection is
// lost.
#include <poll.h>

#include "tests/support/peer.h"
#include "tests/support/tasks.h"

typedef ssize_t io_fn(int fd, void *buf, size_t n);

struct io {
    const char *name; // as the dump says
    io_fn *fn;
    bool socket; // only for sockets
};

static ssize_t recv_plain(int fd, void *buf, size_t n)
{
    return weft_recv(fd, buf, n, 0);
}

static ssize_t recv_all(int fd, void *buf, size_t n)
{
    return weft_recv(fd, buf, n, MSG_WAITALL);
}

static ssize_t recv_from(int fd, void *buf, size_t n)
{
    return weft_recvfrom(fd, buf, n, 0, NULL, NULL);
}

static ssize_t recv_message(int fd, void *buf, size_t n)
{
    struct iovec v = { buf, n };
    return weft_recvmsg(fd, &(struct msghdr){ .msg_iov = &v, .msg_iovlen = 1 }, 0);
}

static ssize_t read_vector(int fd, void *buf, size_t n)
{
    return weft_readv(fd, &(struct iovec){ buf, n }, 1);
}

static ssize_t read_full(int fd, void *buf, size_t n)
{
    size_t done;
    int err = weft_read_full(fd, buf, n, &done);
    assert_int_equal(done, err < 0 ? 0 : n);
    return err < 0 ? err : (ssize_t)n;
}

static const struct io reading[] = {
    { "weft_read", weft_read, false },      { "weft_readv", read_vector, false }, { "weft_read", read_full, false },
    { "weft_recv", recv_plain, true },      { "weft_recv", recv_all, true },      { "weft_recvfrom", recv_from, true },
    { "weft_recvmsg", recv_message, true },
};

static ssize_t write_plain(int fd, void *buf, size_t n)
{
    return weft_write(fd, buf, n);
}

static ssize_t write_all(int fd, void *buf, size_t n)
{
    size_t done;
    int err = weft_write_all(fd, buf, n, &done);
    assert_int_equal(done, err < 0 ? 0 : n);
    return err < 0 ? err : (ssize_t)n;
}

static ssize_t write_vector(int fd, void *buf, size_t n)
{
    return weft_writev(fd, &(struct iovec){ buf, n }, 1);
}

static ssize_t send_plain(int fd, void *buf, size_t n)
{
    return weft_send(fd, buf, n, 0);
}

static ssize_t send_to(int fd, void *buf, size_t n)
{
    return weft_sendto(fd, buf, n, 0, NULL, 0);
}

static ssize_t send_message(int fd, void *buf, size_t n)
{
    struct iovec v = { buf, n };
    return weft_sendmsg(fd, &(struct msghdr){ .msg_iov = &v, .msg_iovlen = 1 }, 0);
}

static const struct io writing[] = {
    { "weft_write", write_plain, false }, { "weft_write", write_all, false }, { "weft_writev", write_vector, false },
    { "weft_send", send_plain, true },    { "weft_sendto", send_to, true },   { "weft_sendmsg", send_message, true },
};

// --- one call ------------------------------------------------------------------------

enum { BYTES = 4 };

struct call {
    const struct io *io;
    int fd;
    bool cancel_first;
    ssize_t result;
    char buf[BYTES];
};

static int make_call(void *arg)
{
    struct call *c = arg;

    if (c->cancel_first)
        weft_task_cancel(weft_self());
    c->result = c->io->fn(c->fd, c->buf, sizeof(c->buf));
    return 0;
}

// run_call makes the call in a task of its own, and ends it before, or as `race` says,
// while it waits.
static void run_call(struct call *c, void (*race)(struct call *c, weft_task *t, int other), int other)
{
    weft_task *t = spawn(make_call, c);

    if (race) {
        wait_parked(t, c->io->name);
        race(c, t, other);
    }
    assert_int_equal(join(t), 0);
}

static void only_cancel(struct call *c, weft_task *t, int other)
{
    (void)c, (void)other;
    weft_task_cancel(t);
}

// --- reading -------------------------------------------------------------------------

static void ready_then_cancel_read(struct call *c, weft_task *t, int other)
{
    (void)c;
    peer_write(other, "abcd", BYTES);
    weft_task_cancel(t);
}

static void cancel_then_ready_read(struct call *c, weft_task *t, int other)
{
    (void)c;
    weft_task_cancel(t);
    peer_write(other, "abcd", BYTES);
}

// check_left: the bytes are either in the call's buffer or still unread.
static void check_left(const struct call *c)
{
    char left[BYTES + 1];

    if (c->result < 0) {
        assert_int_equal(c->result, -ECANCELED);
        peer_read(c->fd, left, BYTES);
        assert_memory_equal(left, "abcd", BYTES);
    } else {
        assert_int_equal(c->result, BYTES);
        assert_memory_equal(c->buf, "abcd", BYTES);
    }
    peer_nonblock(c->fd);
    assert_int_equal(read(c->fd, left, 1), -1);
}

static void cancel_reading(enum peer_kind kind, const struct io *io, int how)
{
    struct call c = { .io = io, .cancel_first = how == 0 };
    int fd[2];

    peer_pair(kind, fd);
    c.fd = fd[0];
    if (how == 0) {
        peer_write(fd[1], "abcd", BYTES);
        run_call(&c, NULL, 0);
        assert_int_equal(c.result, -ECANCELED);
    } else if (how == 1) {
        run_call(&c, only_cancel, fd[1]);
        assert_int_equal(c.result, -ECANCELED);
        peer_write(fd[1], "abcd", BYTES);
    } else {
        run_call(&c, how == 2 ? ready_then_cancel_read : cancel_then_ready_read, fd[1]);
    }
    check_left(&c);
    assert_int_equal(weft_close(fd[0]) | weft_close(fd[1]), 0);
}

// --- writing -------------------------------------------------------------------------

static size_t drain(int fd)
{
    char buf[4096];
    size_t sum = 0;
    ssize_t got;

    while ((got = read(fd, buf, sizeof(buf))) > 0)
        sum += (size_t)got;
    return sum;
}

static size_t drained; // by the races below; one call at a time

static void ready_then_cancel_write(struct call *c, weft_task *t, int other)
{
    (void)c;
    peer_nonblock(other);
    drained = drain(other);
    weft_task_cancel(t);
}

static void cancel_then_ready_write(struct call *c, weft_task *t, int other)
{
    (void)c;
    peer_nonblock(other);
    weft_task_cancel(t);
    drained = drain(other);
}

static void cancel_writing(enum peer_kind kind, const struct io *io, int how)
{
    struct call c = { .io = io, .cancel_first = how == 0, .buf = "abcd" };
    size_t sent = 0;
    int fd[2];

    peer_pair(kind, fd);
    c.fd = fd[1];
    drained = 0;
    if (how > 0)
        sent = peer_stuff(fd[1], 0);
    if (how < 2) {
        run_call(&c, how ? only_cancel : NULL, fd[0]);
        assert_int_equal(c.result, -ECANCELED);
    } else {
        run_call(&c, how == 2 ? ready_then_cancel_write : cancel_then_ready_write, fd[0]);
        assert_true(c.result == -ECANCELED || c.result == BYTES);
    }
    assert_int_equal(weft_close(fd[1]), 0);
    assert_int_equal(fcntl(fd[0], F_SETFL, fcntl(fd[0], F_GETFL) & ~O_NONBLOCK), 0);
    assert_int_equal(drained + drain(fd[0]), sent + (c.result > 0 ? BYTES : 0));
    assert_int_equal(weft_close(fd[0]), 0);
}

// --- all of them ---------------------------------------------------------------------

struct grid {
    const struct io *calls;
    size_t n;
    void (*cancel)(enum peer_kind kind, const struct io *io, int how);
    int from, to; // ways to cancel: 0 before, 1 parked, 2 after it became ready, 3 before it becomes ready
    unsigned rounds;
};

static int run_grid(void *arg)
{
    struct grid *g = arg;

    for (unsigned round = 0; round < g->rounds; round++)
        for (size_t i = 0; i < g->n; i++)
            for (int kind = 0; kind < PEER_KINDS; kind++)
                for (int how = g->from; how <= g->to; how++)
                    if (kind != PEER_PIPE || !g->calls[i].socket)
                        g->cancel((enum peer_kind)kind, &g->calls[i], how);
    return 0;
}

enum { READING = sizeof(reading) / sizeof(*reading), WRITING = sizeof(writing) / sizeof(*writing) };

static void a_cancelled_task_reads_nothing(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(run_grid, &(struct grid){ reading, READING, cancel_reading, 0, 1, 1 }), 0);
}

static void a_cancelled_task_writes_nothing(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(run_grid, &(struct grid){ writing, WRITING, cancel_writing, 0, 1, 1 }), 0);
}

static void a_cancel_that_races_with_bytes_loses_none(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(run_grid, &(struct grid){ reading, READING, cancel_reading, 2, 3, wf_test_rounds(20) }),
                     0);
}

static void a_cancel_that_races_with_room_doubles_none(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(run_grid, &(struct grid){ writing, WRITING, cancel_writing, 2, 3, wf_test_rounds(2) }),
                     0);
}

// --- accept, connect, poll -----------------------------------------------------------

static int accept_one(void *arg)
{
    struct call *c = arg;

    if (c->cancel_first)
        weft_task_cancel(weft_self());
    c->result = weft_accept(c->fd, NULL, NULL);
    return 0;
}

static int cancel_accepting(void *arg)
{
    struct sockaddr_in at;
    struct call c = { .fd = peer_listen(4, &at) };
    (void)arg;

    for (unsigned i = 0; i < wf_test_rounds(100); i++) {
        int how = (int)i % 4;
        c.cancel_first = how == 0;
        int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (how == 0)
            assert_int_equal(connect(client, (struct sockaddr *)&at, sizeof(at)), 0);
        weft_task *t = spawn(accept_one, &c);
        if (how > 0)
            wait_parked(t, "weft_accept");
        if (how == 1 || how == 3)
            weft_task_cancel(t);
        if (how == 2 || how == 3)
            assert_int_equal(connect(client, (struct sockaddr *)&at, sizeof(at)), 0);
        if (how == 2)
            weft_task_cancel(t);
        assert_int_equal(join(t), 0);
        if (how == 1)
            assert_int_equal(connect(client, (struct sockaddr *)&at, sizeof(at)), 0);
        assert_true(how >= 2 || c.result == -ECANCELED);
        if (c.result == -ECANCELED)
            c.result = weft_accept(c.fd, NULL, NULL); // it is still there
        assert_true(c.result >= 0);
        assert_int_equal(weft_close((int)c.result), 0);
        assert_int_equal(close(client), 0);
    }
    return weft_close(c.fd);
}

static void a_cancelled_accept_loses_no_connection(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(cancel_accepting, NULL), 0);
}

struct connecting {
    struct sockaddr *sa;
    socklen_t len;
    int fd;
};

static int connect_to(void *arg)
{
    struct connecting *c = arg;
    return weft_connect(c->fd, c->sa, c->len);
}

// A listener whose queue is full drops further attempts, so connecting never completes.
static int cancel_connecting(void *arg)
{
    struct sockaddr_in at;
    int listener = peer_listen(0, &at), fd[8];
    struct connecting c = { (struct sockaddr *)&at, sizeof(at), -1 };
    (void)arg;

    for (int i = 0; i < 8; i++) {
        fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        connect(fd[i], c.sa, c.len);
    }
    c.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    weft_task *t = spawn(connect_to, &c);
    wait_parked(t, "weft_connect");
    weft_task_cancel(t);
    assert_int_equal(join(t), -ECANCELED);
    t = spawn(connect_to, &c); // the attempt goes on, and may be waited for again
    wait_parked(t, "weft_connect");
    assert_int_equal(weft_close(c.fd), 0);
    assert_int_equal(join(t), -EBADF);
    for (int i = 0; i < 8; i++)
        close(fd[i]);
    return close(listener);
}

static void a_cancelled_connect_returns(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(cancel_connecting, NULL), 0);
}

static int cancel_connecting_unix(void *arg)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    struct connecting c = { (struct sockaddr *)&at, sizeof(sa_family_t) + 24, -1 };
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int first = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)arg;

    snprintf(at.sun_path + 1, sizeof(at.sun_path) - 1, "weft-test-%013d", (int)getpid());
    assert_int_equal(bind(listener, c.sa, c.len), 0);
    assert_int_equal(listen(listener, 0), 0);
    assert_int_equal(connect(first, c.sa, c.len), 0); // now its queue is full
    c.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    weft_task *t = spawn(connect_to, &c);
    wait_parked(t, "weft_connect");
    weft_task_cancel(t);
    assert_int_equal(join(t), -ECANCELED);

    t = spawn(connect_to, &c); // the second comes in when the first is accepted
    wait_parked(t, "weft_connect");
    int accepted = weft_accept(listener, NULL, NULL);
    assert_true(accepted >= 0);
    assert_int_equal(join(t), 0);
    return weft_close(c.fd) | weft_close(accepted) | weft_close(listener) | close(first);
}

static void connecting_to_a_busy_unix_listener_waits(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(cancel_connecting_unix, NULL), 0);
}

static int poll_in(void *arg)
{
    struct call *c = arg;

    if (c->cancel_first)
        weft_task_cancel(weft_self());
    c->result = weft_poll(c->fd, POLLIN | POLLOUT * (short)(c->buf[0] == 'w'));
    return 0;
}

static int cancel_polling(void *arg)
{
    struct call c = { .cancel_first = true };
    int fd[2];
    (void)arg;

    peer_tcp_pair(fd);
    c.fd = fd[0];
    peer_write(fd[1], "abcd", BYTES);
    assert_int_equal(join(spawn(poll_in, &c)), 0);
    assert_int_equal(c.result, -ECANCELED);
    peer_read(fd[0], c.buf, BYTES);

    c.cancel_first = false;
    for (int both = 0; both < 2; both++) {
        if (both)
            peer_stuff(fd[0], 0);
        c.buf[0] = both ? 'w' : 'r';
        weft_task *t = spawn(poll_in, &c);
        wait_parked(t, "weft_poll");
        weft_task_cancel(t);
        assert_int_equal(join(t), 0);
        assert_int_equal(c.result, -ECANCELED);
    }
    return weft_close(fd[0]) | weft_close(fd[1]);
}

static void a_cancelled_poll_returns(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(cancel_polling, NULL), 0);
}

static int dial_cancelled(void *arg)
{
    (void)arg;
    weft_task_cancel(weft_self());
    assert_int_equal(weft_tcp_dial("127.0.0.1:1"), -ECANCELED);
    assert_int_equal(weft_unix_dial("@nobody"), -ECANCELED);
    assert_int_equal(weft_udp_dial("127.0.0.1:1"), -ECANCELED);
    assert_int_equal(weft_read(-1, NULL, 0), -ECANCELED); // before anything else is looked at
    return weft_close(fcntl(0, F_DUPFD_CLOEXEC, 0));      // not a cancellation point
}

static void a_cancelled_task_dials_nobody(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(dial_cancelled, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cancelled_task_reads_nothing),
        cmocka_unit_test(a_cancelled_task_writes_nothing),
        cmocka_unit_test(a_cancel_that_races_with_bytes_loses_none),
        cmocka_unit_test(a_cancel_that_races_with_room_doubles_none),
        cmocka_unit_test(a_cancelled_accept_loses_no_connection),
        cmocka_unit_test(a_cancelled_connect_returns),
        cmocka_unit_test(connecting_to_a_busy_unix_listener_waits),
        cmocka_unit_test(a_cancelled_poll_returns),
        cmocka_unit_test(a_cancelled_task_dials_nobody),
    };
    return wf_test_run(tests);
}
