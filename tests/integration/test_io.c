// Reading and writing: what each call returns, on each kind of descriptor, in blocking
// mode and not.
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>

#include "tests/support/own.h"
#include "tests/support/peer.h"
#include "tests/support/tasks.h"

struct fixture {
    enum peer_kind kind;
    bool nonblocking;
    int fd[2];
};

// on_each_pair runs a body once for each kind of stream, in each mode.
static void on_each_pair(weft_fn *body)
{
    for (int i = 0; i < 2 * PEER_KINDS; i++) {
        struct fixture f = { .kind = (enum peer_kind)(i / 2), .nonblocking = i % 2 };

        peer_pair(f.kind, f.fd);
        for (int j = 0; j < 2 && f.nonblocking; j++)
            peer_nonblock(f.fd[j]);
        assert_int_equal(run_tasks(body, &f), 0);
    }
}

struct call {
    int fd;
    size_t n;
    ssize_t result;
    char buf[64];
};

static int read_some(void *arg)
{
    struct call *c = arg;
    c->result = weft_read(c->fd, c->buf, c->n);
    return 0;
}

// --- waiting -------------------------------------------------------------------------

static int read_before_write(void *arg)
{
    struct fixture *f = arg;
    struct call c = { .fd = f->fd[0], .n = sizeof(c.buf) };

    weft_task *reader = spawn(read_some, &c);
    wait_parked(reader, "weft_read");
    peer_write(f->fd[1], "hello", 5);
    assert_int_equal(join(reader), 0);
    assert_int_equal(c.result, 5);
    assert_memory_equal(c.buf, "hello", 5);
    return weft_close(f->fd[0]) | weft_close(f->fd[1]);
}

static void a_read_waits_for_bytes(void **state)
{
    (void)state;
    on_each_pair(read_before_write);
}

enum { MUCH = 4 << 20 };

static int write_much(void *arg)
{
    struct fixture *f = arg;
    uint8_t buf[8192];

    for (size_t at = 0; at < MUCH; at += sizeof(buf)) {
        size_t done = 0;
        peer_fill(buf, sizeof(buf), 1, at);
        assert_int_equal(weft_write_all(f->fd[1], buf, sizeof(buf), &done), 0);
        assert_int_equal(done, sizeof(buf));
    }
    return weft_close(f->fd[1]);
}

static int write_before_read(void *arg)
{
    struct fixture *f = arg;
    uint8_t buf[8192];
    int little = 65536;

    if (f->kind != PEER_PIPE) { // left alone, TCP's buffers grow until they hold it all
        assert_int_equal(setsockopt(f->fd[1], SOL_SOCKET, SO_SNDBUF, &little, sizeof(little)), 0);
        assert_int_equal(setsockopt(f->fd[0], SOL_SOCKET, SO_RCVBUF, &little, sizeof(little)), 0);
    }
    weft_task *writer = spawn(write_much, f);
    wait_parked(writer, "weft_write"); // no more fits in: its memory is bounded
    for (size_t at = 0; at < MUCH; at += sizeof(buf)) {
        size_t done = 0;
        assert_int_equal(weft_read_full(f->fd[0], buf, sizeof(buf), &done), 0);
        assert_int_equal(done, sizeof(buf));
        peer_check(buf, sizeof(buf), 1, at);
    }
    assert_int_equal(join(writer), 0);
    assert_int_equal(weft_read(f->fd[0], buf, sizeof(buf)), 0);
    return weft_close(f->fd[0]);
}

static void a_write_waits_for_room(void **state)
{
    (void)state;
    on_each_pair(write_before_read);
}

// Two bytes, a little apart, and no more until both are back: the second one's edge
// often comes while the first one's read is just done, and lost, would be the last.
struct pair {
    int fd[2];
    uint64_t seed;
};

static void *send_in_twos(void *arg)
{
    struct pair *p = arg;
    struct wf_test_rand r = wf_test_rand(p->seed);
    char buf[2];

    for (unsigned i = 0; i < wf_test_rounds(4000); i++) {
        peer_write(p->fd[1], "a", 1);
        for (volatile uint32_t pause = wf_test_below(&r, 3000); pause > 0; pause--)
            ;
        peer_write(p->fd[1], "b", 1);
        peer_read(p->fd[1], buf, 2);
        assert_memory_equal(buf, "ab", 2);
    }
    close(p->fd[1]);
    return NULL;
}

static int echo(void *arg)
{
    struct pair *p = arg;
    char buf[64];
    ssize_t n;

    while ((n = weft_read(p->fd[0], buf, sizeof(buf))) > 0)
        assert_int_equal(weft_write_all(p->fd[0], buf, (size_t)n, NULL), 0);
    return (int)n | weft_close(p->fd[0]);
}

static int echo_twos(void *arg)
{
    enum { PAIRS = 3 };
    struct pair pairs[PAIRS];
    weft_task *tasks[PAIRS];
    pthread_t threads[PAIRS];
    (void)arg;

    for (unsigned i = 0; i < PAIRS; i++) {
        pairs[i].seed = i;
        peer_tcp_pair(pairs[i].fd);
        tasks[i] = spawn(echo, &pairs[i]);
        threads[i] = peer_start(send_in_twos, &pairs[i]);
    }
    for (int i = 0; i < PAIRS; i++) {
        assert_int_equal(join(tasks[i]), 0);
        peer_join(threads[i]);
    }
    return 0;
}

static void an_edge_that_comes_while_a_read_returns_is_kept(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(echo_twos, NULL), 0);
}

// --- ends and errors -----------------------------------------------------------------

static int read_to_the_end(void *arg)
{
    struct fixture *f = arg;
    struct call c = { .fd = f->fd[0], .n = sizeof(c.buf) };

    weft_task *reader = spawn(read_some, &c); // registers it
    wait_parked(reader, "weft_read");
    peer_write(f->fd[1], "hello", 5);
    close(f->fd[1]);
    assert_int_equal(join(reader), 0);
    for (ssize_t got = c.result, at = 5; got != 0; got = weft_read(f->fd[0], c.buf, sizeof(c.buf)))
        assert_true(got > 0 && (at -= got) >= 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(weft_read(f->fd[0], c.buf, sizeof(c.buf)), 0);
    return weft_close(f->fd[0]);
}

static int read_own_to_the_end(void *arg)
{
    const struct fixture *f = arg;

    take_for_own(f->fd[0]);
    return read_to_the_end(arg);
}

// The end may come with the edge of the last bytes: a short read must not make the next
// one wait for another edge.
static void the_end_of_the_stream_is_read_for_ever(void **state)
{
    (void)state;
    for (unsigned i = 0; i < wf_test_rounds(20); i++)
        on_each_pair(i % 2 ? read_own_to_the_end : read_to_the_end);
}

static int read_to_the_reset(void *arg)
{
    struct call c = { .n = sizeof(c.buf) };
    int fd[2];
    ssize_t got;
    (void)arg;

    for (unsigned i = 0; i < wf_test_rounds(100); i++) {
        peer_tcp_pair(fd);
        if (i % 2)
            take_for_own(fd[0]);
        c.fd = fd[0];
        weft_task *reader = spawn(read_some, &c);
        wait_parked(reader, "weft_read");
        peer_write(fd[1], "hello", 5);
        peer_reset(fd[1]);
        assert_int_equal(join(reader), 0);
        for (got = c.result; got > 0;)
            got = weft_read(fd[0], c.buf, sizeof(c.buf));
        assert_int_equal(got, -ECONNRESET);
        assert_int_equal(weft_read(fd[0], c.buf, sizeof(c.buf)), 0);
        assert_int_equal(weft_close(fd[0]), 0);
    }
    return 0;
}

static void a_reset_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(read_to_the_reset, NULL), 0);
}

static int write_to_nobody(void *arg)
{
    struct fixture *f = arg;
    char buf[64] = { 0 };
    ssize_t put = 1;

    // TCP learns of it by the reset that the first bytes bring.
    close(f->fd[0]);
    while ((put = weft_write(f->fd[1], buf, sizeof(buf))) > 0)
        assert_int_equal(weft_sleep(WEFT_US(100)), 0);
    assert_true(put == -EPIPE || (f->kind == PEER_TCP && put == -ECONNRESET));
    assert_int_equal(weft_write(f->fd[1], buf, sizeof(buf)), -EPIPE);
    assert_int_equal(weft_writev(f->fd[1], &(struct iovec){ buf, 4 }, 1), -EPIPE);
    return weft_close(f->fd[1]);
}

static void writing_to_nobody_is_an_error_and_no_signal(void **state)
{
    (void)state;
    assert_int_equal(signal(SIGPIPE, SIG_DFL) == SIG_ERR, 0);
    on_each_pair(write_to_nobody);
}

static int half_close(void *arg)
{
    char buf[64];
    int fd[2];
    (void)arg;

    peer_tcp_pair(fd);
    peer_write(fd[1], "question", 8);
    assert_int_equal(shutdown(fd[1], SHUT_WR), 0);
    assert_int_equal(weft_read_full(fd[0], buf, 9, NULL), -ENODATA);
    assert_int_equal(weft_write_all(fd[0], buf, 8, NULL), 0); // the other half is still open
    assert_int_equal(weft_close(fd[0]), 0);
    peer_read(fd[1], buf, 8);
    assert_memory_equal(buf, "question", 8);
    assert_int_equal(read(fd[1], buf, 1), 0);
    return close(fd[1]);
}

static void a_half_closed_peer_still_gets_its_answer(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(half_close, NULL), 0);
}

static int partial_progress(void *arg)
{
    char buf[64];
    int fd[2];
    size_t done = 99;
    (void)arg;

    peer_tcp_pair(fd);
    peer_write(fd[1], "hello", 5);
    close(fd[1]);
    assert_int_equal(weft_read_full(fd[0], buf, sizeof(buf), &done), -ENODATA);
    assert_int_equal(done, 5);
    assert_int_equal(weft_read_full(fd[0], buf, 0, &done), 0);
    assert_int_equal(done, 0);
    assert_int_equal(weft_close(fd[0]), 0);
    assert_int_equal(weft_read_full(fd[0], buf, 1, &done), -EBADF);
    assert_int_equal(weft_write_all(fd[0], buf, 1, &done), -EBADF);
    assert_int_equal(done, 0);
    return 0;
}

static void read_full_tells_how_far_it_got(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(partial_progress, NULL), 0);
}

static int no_descriptor(void *arg)
{
    struct sockaddr_storage sa = { .ss_family = AF_UNIX };
    socklen_t len = sizeof(sa);
    struct iovec v = { &sa, sizeof(sa) };
    struct msghdr msg = { .msg_iov = &v, .msg_iovlen = 1 };
    int bad[] = { -1, *(int *)arg, INT32_MAX };

    for (int i = 0; i < 3; i++) {
        assert_int_equal(weft_read(bad[i], &sa, 1), -EBADF);
        assert_int_equal(weft_read(bad[i], &sa, 0), -EBADF);
        assert_int_equal(weft_write(bad[i], &sa, 1), -EBADF);
        assert_int_equal(weft_write(bad[i], &sa, 0), -EBADF);
        assert_int_equal(weft_readv(bad[i], &v, 1), -EBADF);
        assert_int_equal(weft_writev(bad[i], &v, 1), -EBADF);
        assert_int_equal(weft_recv(bad[i], &sa, 1, 0), -EBADF);
        assert_int_equal(weft_recv(bad[i], &sa, 1, MSG_WAITALL), -EBADF);
        assert_int_equal(weft_send(bad[i], &sa, 1, 0), -EBADF);
        assert_int_equal(weft_recvfrom(bad[i], &sa, 1, 0, NULL, NULL), -EBADF);
        assert_int_equal(weft_sendto(bad[i], &sa, 1, 0, NULL, 0), -EBADF);
        assert_int_equal(weft_recvmsg(bad[i], &msg, 0), -EBADF);
        assert_int_equal(weft_sendmsg(bad[i], &msg, 0), -EBADF);
        assert_int_equal(weft_accept(bad[i], NULL, NULL), -EBADF);
        assert_int_equal(weft_connect(bad[i], (struct sockaddr *)&sa, len), -EBADF);
        assert_int_equal(weft_poll(bad[i], POLLIN), -EBADF);
        assert_int_equal(weft_close(bad[i]), -EBADF);
    }
    return 0;
}

static void no_descriptor_is_an_error_of_every_call(void **state)
{
    int closed = fcntl(0, F_DUPFD_CLOEXEC, 900); // a number that no other descriptor gets in between
    (void)state;
    close(closed);
    assert_int_equal(run_tasks(no_descriptor, &closed), 0);
}

static int no_socket(void *arg)
{
    struct sockaddr_storage sa = { .ss_family = AF_UNIX };
    int pipes[2], file = memfd_create("file", MFD_CLOEXEC);
    char c = 0;
    (void)arg;

    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    assert_int_equal(weft_recv(pipes[0], &c, 1, 0), -ENOTSOCK);
    assert_int_equal(weft_send(pipes[1], &c, 1, 0), -ENOTSOCK);
    assert_int_equal(weft_accept(pipes[0], NULL, NULL), -ENOTSOCK);
    assert_int_equal(weft_accept(file, NULL, NULL), -ENOTSOCK);
    assert_int_equal(weft_connect(file, (struct sockaddr *)&sa, sizeof(sa)), -ENOTSOCK);
    return weft_close(pipes[0]) | weft_close(pipes[1]) | weft_close(file);
}

static void the_socket_calls_want_a_socket(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(no_socket, NULL), 0);
}

// --- nothing -------------------------------------------------------------------------

static int nothing(void *arg)
{
    struct fixture *f = arg;
    struct iovec v[2] = { { f, 0 }, { f, 0 } };

    assert_int_equal(weft_read(f->fd[0], f, 0), 0); // with nothing there
    assert_int_equal(weft_readv(f->fd[0], v, 2), 0);
    assert_int_equal(weft_readv(f->fd[0], v, 0), 0);
    assert_int_equal(weft_write(f->fd[1], f, 0), 0);
    peer_stuff(f->fd[1], 0);
    assert_int_equal(weft_write(f->fd[1], f, 0), 0); // with no room
    assert_int_equal(weft_writev(f->fd[1], v, 2), 0);
    assert_int_equal(weft_writev(f->fd[1], v, 0), 0);
    return weft_close(f->fd[0]) | weft_close(f->fd[1]);
}

static void nothing_is_read_and_written_at_once(void **state)
{
    (void)state;
    on_each_pair(nothing);
}

static int bad_vectors(void *arg)
{
    struct fixture *f = arg;
    static struct iovec many[1025];
    struct iovec huge[2] = { { f, SIZE_MAX / 2 }, { f, SIZE_MAX / 2 } };

    assert_int_equal(weft_readv(f->fd[0], many, -1), -EINVAL);
    assert_int_equal(weft_readv(f->fd[0], many, 1025), -EINVAL);
    assert_int_equal(weft_readv(f->fd[0], huge, 2), -EINVAL);
    assert_int_equal(weft_writev(f->fd[1], many, -1), -EINVAL);
    assert_int_equal(weft_writev(f->fd[1], many, 1025), -EINVAL);
    assert_int_equal(weft_writev(f->fd[1], huge, 2), -EINVAL);
    return weft_close(f->fd[0]) | weft_close(f->fd[1]);
}

static void a_vector_too_long_is_refused(void **state)
{
    (void)state;
    on_each_pair(bad_vectors);
}

static int vectors(void *arg)
{
    struct fixture *f = arg;
    char a[3] = "", b[8] = "";
    struct iovec out[3] = { { "ab", 2 }, { "", 0 }, { "cdefg", 5 } };
    struct iovec in[2] = { { a, 3 }, { b, 8 } };

    assert_int_equal(weft_writev(f->fd[1], out, 3), 7);
    assert_int_equal(weft_readv(f->fd[0], in, 2), 7);
    assert_memory_equal(a, "abc", 3);
    assert_memory_equal(b, "defg", 4);
    return weft_close(f->fd[0]) | weft_close(f->fd[1]);
}

static void vectors_are_scattered_and_gathered(void **state)
{
    (void)state;
    on_each_pair(vectors);
}

// --- descriptors that are not streams ------------------------------------------------

static int files(void *arg)
{
    char buf[16] = "";
    int fd = memfd_create("file", MFD_CLOEXEC);
    int dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), null = open("/dev/null", O_RDWR | O_CLOEXEC);
    (void)arg;

    assert_int_equal(weft_write(fd, "hello, file", 11), 11);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(weft_read(fd, buf, 5), 5);
    assert_int_equal(weft_readv(fd, &(struct iovec){ buf + 5, 10 }, 1), 6);
    assert_string_equal(buf, "hello, file");
    assert_int_equal(weft_read(fd, buf, sizeof(buf)), 0);
    assert_int_equal(weft_writev(fd, &(struct iovec){ "more", 4 }, 1), 4);
    assert_int_equal(weft_poll(fd, POLLIN | POLLOUT), POLLIN | POLLOUT);
    assert_int_equal(weft_read(dir, buf, 1), -EISDIR);
    assert_int_equal(weft_write(dir, buf, 1), -EBADF);
    assert_int_equal(weft_read(null, buf, 1), 0);
    assert_int_equal(weft_write(null, buf, 16), 16);
    return weft_close(fd) | weft_close(dir) | weft_close(null);
}

static void files_are_read_and_written(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(files, NULL), 0);
}

static int counters(void *arg)
{
    uint64_t n = 0, one = 1;
    int event = eventfd(0, EFD_CLOEXEC), timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC); // both block
    struct call c = { .fd = event, .n = 8 };
    struct itimerspec soon = { .it_value = { .tv_nsec = 1000000 } };
    (void)arg;

    for (int i = 0; i < 3; i++) {
        weft_task *reader = spawn(read_some, &c);
        wait_parked(reader, "weft_read");
        assert_int_equal(weft_write(event, &one, 8), 8);
        assert_int_equal(join(reader), 0);
        assert_int_equal(c.result, 8);
        assert_int_equal(timerfd_settime(timer, 0, &soon, NULL), 0);
        assert_int_equal(weft_read(timer, &n, sizeof(n)), 8);
        assert_int_equal(n, 1);
    }
    return weft_close(event) | weft_close(timer);
}

static void counters_and_timers_are_waited_for(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(counters, NULL), 0);
}

// read(2) says -EINVAL before it waits. (Not of inotify: it waits for an event, and
// then says that there is no room for it.)
static int too_small(void *arg)
{
    char buf[128] = "";
    sigset_t none;
    (void)arg;

    sigemptyset(&none);
    for (int flag = 0; flag < 2; flag++) {
        int event = eventfd(0, EFD_CLOEXEC | (flag ? EFD_NONBLOCK : 0));
        int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | (flag ? TFD_NONBLOCK : 0));
        int signals = signalfd(-1, &none, SFD_CLOEXEC | (flag ? SFD_NONBLOCK : 0));
        for (int again = 0; again < 2; again++) { // the second time they are registered
            assert_int_equal(weft_read(event, buf, 7), -EINVAL);
            assert_int_equal(weft_readv(event, &(struct iovec){ buf, 1 }, 1), -EINVAL);
            assert_int_equal(weft_read(timer, buf, 7), -EINVAL);
            assert_int_equal(weft_write(timer, buf, 8), -EINVAL);
            assert_int_equal(weft_read(signals, buf, 127), -EINVAL);
        }
        assert_int_equal(weft_close(event) | weft_close(timer) | weft_close(signals), 0);
    }
    return 0;
}

// takes_nowait tells whether this system's timerfd and signalfd take RWF_NOWAIT.
static bool takes_nowait(void)
{
    uint64_t n;
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    ssize_t got = preadv2(timer, &(struct iovec){ &n, sizeof(n) }, 1, -1, RWF_NOWAIT);
    bool takes = got < 0 && errno == EAGAIN;

    close(timer);
    return takes;
}

static void a_counter_refuses_too_small_a_buffer_at_once(void **state)
{
    (void)state;
    if (!takes_nowait()) // before Linux 6.10
        skip();
    assert_int_equal(run_tasks(too_small, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_read_waits_for_bytes),
        cmocka_unit_test(a_write_waits_for_room),
        cmocka_unit_test(an_edge_that_comes_while_a_read_returns_is_kept),
        cmocka_unit_test(the_end_of_the_stream_is_read_for_ever),
        cmocka_unit_test(a_reset_is_an_error),
        cmocka_unit_test(writing_to_nobody_is_an_error_and_no_signal),
        cmocka_unit_test(a_half_closed_peer_still_gets_its_answer),
        cmocka_unit_test(read_full_tells_how_far_it_got),
        cmocka_unit_test(no_descriptor_is_an_error_of_every_call),
        cmocka_unit_test(the_socket_calls_want_a_socket),
        cmocka_unit_test(nothing_is_read_and_written_at_once),
        cmocka_unit_test(a_vector_too_long_is_refused),
        cmocka_unit_test(vectors_are_scattered_and_gathered),
        cmocka_unit_test(files_are_read_and_written),
        cmocka_unit_test(counters_and_timers_are_waited_for),
        cmocka_unit_test(a_counter_refuses_too_small_a_buffer_at_once),
    };
    return wf_test_run(tests);
}
