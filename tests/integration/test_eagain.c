// EAGAIN that no edge will follow, and short counts because a buffer is not all memory:
// a call neither waits indefinitely nor spins. The test replaces sendto(2) to record
// the time of each attempt.
#include <linux/sockios.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "tests/support/own.h"
#include "tests/support/peer.h"
#include "tests/support/tasks.h"
#include "tests/support/wrap.h"

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51 // Linux 6.3
#endif

// --- attempts ------------------------------------------------------------------------

enum { ATTEMPTS = 64 };

static _Atomic int noted = -1; // the descriptor whose attempts are noted
static _Atomic int attempts;
static int64_t made_at[ATTEMPTS];

static int64_t now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

WRAP(ssize_t, sendto, int fd, const void *buf, size_t n, int flags, const struct sockaddr *sa, socklen_t len)
{
    if (fd == atomic_load(&noted)) {
        int i = atomic_load(&attempts);
        assert_true(i < ATTEMPTS);
        made_at[i] = now();
        atomic_store(&attempts, i + 1);
    }
    return REAL(sendto)(fd, buf, n, flags, sa, len);
}

static void note(int fd)
{
    atomic_store(&attempts, 0);
    atomic_store(&noted, fd);
}

// await_attempts returns when that many were made.
static void await_attempts(int n)
{
    while (atomic_load(&attempts) < n)
        assert_int_equal(weft_sleep(WEFT_MS(1)), 0);
}

// check_pauses: between two attempts lies more time each time, up to a limit, the first
// ones apart: registering takes one, and one is for luck. Load can only make it more.
static void check_pauses(void)
{
    int64_t least = 1000000;
    int n = atomic_load(&attempts);

    for (int i = 3; i < n; i++) {
        assert_true(made_at[i] - made_at[i - 1] >= least);
        least = least < 50000000 ? 2 * least : least;
    }
}

// --- a call --------------------------------------------------------------------------

struct call {
    int fd;
    struct sockaddr_un to;
    socklen_t len;
};

// name_it makes an abstract name of this test's.
static void name_it(struct call *c, const char *name)
{
    c->to = (struct sockaddr_un){ .sun_family = AF_UNIX };
    int n = snprintf(c->to.sun_path + 1, sizeof(c->to.sun_path) - 1, "weft-refused-%s-%d", name, (int)getpid());
    c->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

static int send_one(void *arg)
{
    const struct call *c = arg;
    return (int)weft_sendto(c->fd, "x", 1, 0, (const struct sockaddr *)&c->to, c->len);
}

static int connect_it(void *arg)
{
    const struct call *c = arg;
    return weft_connect(c->fd, (const struct sockaddr *)&c->to, c->len);
}

// --- Unix datagrams ------------------------------------------------------------------

// full_receiver makes a socket that has no room for a datagram more.
static int full_receiver(struct call *c, const char *name)
{
    int receiver = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    name_it(c, name);
    assert_int_equal(bind(receiver, (struct sockaddr *)&c->to, c->len), 0);
    c->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(receiver >= 0 && c->fd >= 0);
    while (sendto(c->fd, "x", 1, MSG_DONTWAIT, (struct sockaddr *)&c->to, c->len) == 1)
        ;
    assert_int_equal(errno, EAGAIN);
    return receiver;
}

static int send_to_full(void *arg)
{
    struct call c;
    int receiver = full_receiver(&c, "full");
    char byte;
    (void)arg;

    note(c.fd);
    weft_task *t = spawn(send_one, &c);
    await_attempts(10);
    assert_false(weft_task_done(t));
    assert_int_equal(recv(receiver, &byte, 1, 0), 1);
    assert_int_equal(join(t), 1);
    check_pauses();
    note(-1);
    return weft_close(c.fd) | weft_close(receiver);
}

static void a_full_receiver_is_tried_seldom(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(send_to_full, NULL), 0);
}

static int end_sending(void *arg)
{
    struct call c;
    int receiver = full_receiver(&c, "end");
    (void)arg;

    weft_task *t = spawn(send_one, &c);
    wait_parked(t, "weft_sendto");
    weft_task_cancel(t);
    assert_int_equal(join(t), -ECANCELED);

    weft_scope s;
    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    weft_scope_deadline(&s, weft_after(WEFT_MS(5)));
    assert_int_equal(send_one(&c), -ETIMEDOUT);
    assert_int_equal(weft_scope_close(&s), -ETIMEDOUT);

    t = spawn(send_one, &c);
    wait_parked(t, "weft_sendto");
    assert_int_equal(weft_close(c.fd), 0);
    assert_int_equal(join(t), -EBADF);
    return weft_close(receiver);
}

static void it_is_given_up_as_any_wait(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(end_sending, NULL), 0);
}

// On a connected socket, edges report room: no attempt fails.
static int send_to_connected(void *arg)
{
    struct call c;
    int receiver = full_receiver(&c, "connected");
    char byte;
    (void)arg;

    assert_int_equal(connect(c.fd, (struct sockaddr *)&c.to, c.len), 0);
    c.len = 0;
    note(c.fd);
    weft_task *t = spawn(send_one, &c);
    wait_parked(t, "weft_sendto");
    while (recv(receiver, &byte, 1, 0) == 1)
        ;
    assert_int_equal(join(t), 1);
    assert_true(atomic_load(&attempts) <= 4);
    note(-1);
    return weft_close(c.fd) | weft_close(receiver);
}

static void a_receiver_that_one_is_connected_to_tells(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(send_to_connected, NULL), 0);
}

// --- a full Unix listener ------------------------------------------------------------

static int close_connecting(void *arg)
{
    struct call c;
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int first = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)arg;

    name_it(&c, "listener");
    assert_int_equal(bind(listener, (struct sockaddr *)&c.to, c.len), 0);
    assert_int_equal(listen(listener, 0), 0);
    assert_int_equal(connect(first, (struct sockaddr *)&c.to, c.len), 0);
    c.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    weft_task *t = spawn(connect_it, &c);
    wait_parked(t, "weft_connect");
    assert_int_equal(weft_close(c.fd), 0);
    int next = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(next, c.fd);
    close(accept(listener, NULL, NULL)); // now it has room
    assert_int_equal(join(t), -EBADF);
    assert_int_equal(send(next, "x", 1, MSG_NOSIGNAL), -1); // the number's next socket was never connected
    assert_int_equal(errno, ENOTCONN);
    return close(next) | close(first) | close(listener);
}

static void closing_ends_a_connect_that_waits_for_room(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(close_connecting, NULL), 0);
}

// --- no local port -------------------------------------------------------------------

// take_port binds a port of this address family, and makes another socket that has only
// that one to choose from.
// Returns: -1 if the kernel does not do that.
static int without_port(int family, int *taken)
{
    struct sockaddr_in6 a = { .sin6_family = (sa_family_t)family };
    socklen_t len = sizeof(a);

    *taken = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(*taken, (struct sockaddr *)&a, family == AF_INET ? sizeof(struct sockaddr_in) : len), 0);
    assert_int_equal(getsockname(*taken, (struct sockaddr *)&a, &len), 0);
    uint32_t port = ntohs(a.sin6_port), range = port << 16 | port;
    if (setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &range, sizeof(range)) == 0)
        return fd;
    close(fd);
    return -1;
}

static int send_without_port(void *arg)
{
    const struct sockaddr_in to = { .sin_family = AF_INET,
                                    .sin_port = htons(9),
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct iovec v = { "x", 1 };
    struct msghdr msg = { .msg_name = (void *)&to, .msg_namelen = sizeof(to), .msg_iov = &v, .msg_iovlen = 1 };
    int taken, fd = without_port(AF_INET, &taken);
    (void)arg;

    if (fd >= 0) {
        assert_int_equal(weft_sendto(fd, "x", 1, 0, (const struct sockaddr *)&to, sizeof(to)), -EADDRNOTAVAIL);
        assert_int_equal(weft_sendmsg(fd, &msg, 0), -EADDRNOTAVAIL);
        close(taken);
        assert_int_equal(weft_sendto(fd, "x", 1, 0, (const struct sockaddr *)&to, sizeof(to)), 1);
        return weft_close(fd);
    }
    return close(taken);
}

static void a_datagram_that_gets_no_port_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(send_without_port, NULL), 0);
}

// --- a peek that has seen everything -------------------------------------------------

static int peek_all(void *arg)
{
    char buf[8];
    int n = 0, got;

    while (n < 6 && (got = (int)weft_recv(*(int *)arg, buf, sizeof(buf), MSG_PEEK)) > 0)
        n += got;
    return n;
}

static int peek_and_read(void *arg)
{
    int fd[2], zero = 0;
    char buf[8];
    (void)arg;

    peer_pair(PEER_UNIX, fd);
    assert_int_equal(setsockopt(fd[0], SOL_SOCKET, SO_PEEK_OFF, &zero, sizeof(zero)), 0);
    weft_task *t = spawn(peek_all, &fd[0]);
    wait_parked(t, "weft_recv");
    peer_write(fd[1], "abc", 3);
    wait_parked(t, "weft_recv"); // perhaps not yet again
    assert_int_equal(weft_read(fd[0], buf, 1), 1);
    assert_int_equal(weft_read(fd[0], buf, 2), 2);
    peer_write(fd[1], "defghi", 6);
    assert_true(join(t) >= 6);
    return weft_close(fd[0]) | weft_close(fd[1]);
}

static void a_peek_takes_no_bytes_from_a_reader(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(peek_and_read, NULL), 0);
}

// --- memory that is not there --------------------------------------------------------

enum { MEMORY = 64 << 10 };

// half_a_buffer is a buffer whose second half is not mapped.
static uint8_t *half_a_buffer(void)
{
    uint8_t *buf = mmap(NULL, 2 * MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_true(buf != MAP_FAILED);
    assert_int_equal(mprotect(buf + MEMORY, MEMORY, PROT_NONE), 0);
    return buf;
}

static void *take_all(void *arg)
{
    uint8_t buf[8192];
    size_t *sum = arg;
    int fd = (int)*sum;
    ssize_t n;

    for (*sum = 0; (n = read(fd, buf, sizeof(buf))) > 0; *sum += (size_t)n)
        peer_check(buf, (size_t)n, 7, *sum);
    return NULL;
}

typedef ssize_t write_fn(int fd, const void *buf, size_t n);

static ssize_t write_vector(int fd, const void *buf, size_t n)
{
    return weft_writev(fd, &(struct iovec){ (void *)buf, n }, 1);
}

static ssize_t send_plain(int fd, const void *buf, size_t n)
{
    return weft_send(fd, buf, n, 0);
}

static int write_beyond(void *arg)
{
    uint8_t *buf = half_a_buffer();
    size_t at = 0;
    ssize_t put;
    int fd[2];

    peer_fill(buf, MEMORY, 7, 0);
    peer_tcp_pair(fd);
    take_for_own(fd[0]);
    assert_int_equal(weft_poll(fd[0], POLLOUT), POLLOUT); // it is registered
    size_t taken = (size_t)fd[1];
    pthread_t peer = peer_start(take_all, &taken);
    while ((put = (*(write_fn **)arg)(fd[0], buf + at, 2 * MEMORY - at)) > 0)
        at += (size_t)put;
    assert_int_equal(put, -EFAULT);
    assert_true(at <= MEMORY);
    assert_int_equal(weft_close(fd[0]), 0);
    peer_join(peer);
    assert_int_equal(taken, at);
    munmap(buf, 2 * MEMORY);
    return close(fd[1]);
}

static void writing_what_is_not_there_is_an_error(void **state)
{
    write_fn *fns[] = { weft_write, write_vector, send_plain };

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(run_tasks(write_beyond, &fns[i]), 0);
}

struct one {
    int fd;
    char *to;
};

static int read_byte(void *arg)
{
    const struct one *one = arg;
    return (int)weft_read(one->fd, one->to, 1);
}

typedef ssize_t read_fn(int fd, void *buf, size_t n);

static ssize_t read_vector(int fd, void *buf, size_t n)
{
    struct iovec v[2] = { { buf, MEMORY }, { (uint8_t *)buf + MEMORY, n > MEMORY ? n - MEMORY : 0 } };
    return weft_readv(fd, v, 2);
}

static ssize_t recv_plain(int fd, void *buf, size_t n)
{
    return weft_recv(fd, buf, n, 0);
}

static ssize_t recv_from(int fd, void *buf, size_t n)
{
    return weft_recvfrom(fd, buf, n, 0, NULL, NULL);
}

// fill_in sends small segments, more than half a buffer takes, and waits until all of
// them have arrived.
static size_t fill_in(const int fd[2])
{
    enum { SEGMENT = 100, ALL = 3 * (MEMORY / 2) / SEGMENT * SEGMENT };
    uint8_t segment[SEGMENT];
    int waiting = 0;

    for (size_t sent = 0; sent < ALL; sent += SEGMENT) {
        peer_fill(segment, SEGMENT, 7, sent);
        assert_int_equal(send(fd[1], segment, SEGMENT, MSG_DONTWAIT), SEGMENT);
    }
    while (waiting < ALL) {
        assert_int_equal(ioctl(fd[0], SIOCINQ, &waiting), 0);
        sched_yield();
    }
    return ALL;
}

// hear_of_all_so_far returns when each event that epoll has to report by now has been
// passed on: another comes after.
static void hear_of_all_so_far(void)
{
    int fd[2];
    char c;

    peer_pair(PEER_UNIX, fd);
    weft_task *t = spawn(read_byte, &(struct one){ fd[0], &c });
    wait_parked(t, "weft_read");
    peer_write(fd[1], "x", 1);
    assert_int_equal(join(t), 1);
    assert_int_equal(weft_close(fd[0]) | weft_close(fd[1]), 0);
}

// Whole segments come into the half that is there, the rest stays in the socket. It
// must still be found there.
static int read_beyond(void *arg)
{
    uint8_t *buf = half_a_buffer();
    int fd[2], much = 32 * MEMORY;
    char c;

    peer_tcp_pair(fd);
    if (setsockopt(fd[0], SOL_SOCKET, SO_RCVBUFFORCE, &much, sizeof(much)) < 0 ||
        setsockopt(fd[1], SOL_SOCKET, SO_SNDBUFFORCE, &much, sizeof(much)) < 0)
        return munmap(buf, 2 * MEMORY) | weft_close(fd[0]) | weft_close(fd[1]); // that many segments need a privilege
    take_for_own(fd[0]);
    weft_task *t = spawn(read_byte, &(struct one){ fd[0], &c });
    wait_parked(t, "weft_read"); // it is registered
    peer_write(fd[1], "x", 1);
    assert_int_equal(join(t), 1);
    size_t all = fill_in(fd);
    hear_of_all_so_far();
    ssize_t got = (*(read_fn **)arg)(fd[0], buf, 2 * MEMORY);
    assert_true(got > 0 && (size_t)got < MEMORY); // else this test tests nothing
    peer_check(buf, (size_t)got, 7, 0);
    for (size_t sum = (size_t)got; sum < all; sum += (size_t)got) {
        got = weft_read(fd[0], buf, MEMORY);
        assert_true(got > 0);
        peer_check(buf, (size_t)got, 7, sum);
    }
    munmap(buf, 2 * MEMORY);
    return weft_close(fd[0]) | weft_close(fd[1]);
}

static void reading_into_what_is_not_there_loses_nothing(void **state)
{
    read_fn *fns[] = { weft_read, read_vector, recv_plain, recv_from };

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(run_tasks(read_beyond, &fns[i]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_receiver_is_tried_seldom),
        cmocka_unit_test(it_is_given_up_as_any_wait),
        cmocka_unit_test(a_receiver_that_one_is_connected_to_tells),
        cmocka_unit_test(closing_ends_a_connect_that_waits_for_room),
        cmocka_unit_test(a_datagram_that_gets_no_port_is_an_error),
        cmocka_unit_test(a_peek_takes_no_bytes_from_a_reader),
        cmocka_unit_test(writing_what_is_not_there_is_an_error),
        cmocka_unit_test(reading_into_what_is_not_there_loses_nothing),
    };
    return wf_test_run(tests);
}
