// The cancellation table: descriptors and the network. See docs/cancellation.md and
// tests/support/cancel_table.h.
#include <poll.h>

#include "tests/support/cancel_table.h"
#include "tests/support/peer.h"
#include "tests/support/tasks.h"

enum { BYTES = 4 };

// A call that moves bytes between fd[0], the one to read, and fd[1].
typedef ssize_t move_fn(int fd, void *buf, size_t n);

// What a row of reading or writing is about.
struct way {
    move_fn *move;
    enum { STREAM, TCP, DATAGRAMS, PIPE } kind;
};

static const struct way *way_of(const struct cancel_case *c)
{
    return c->row->arg;
}

static int fd[2];
static char buf[BYTES];

// pair connects fd[1] with fd[0], with little room in between. (With less, it takes TCP
// longer to fill it.)
static void pair(const struct cancel_case *c)
{
    int kind = way_of(c)->kind, little = kind == TCP ? 1 << 16 : 1 << 12;

    if (kind == PIPE) {
        assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
        assert_true(fcntl(fd[1], F_SETPIPE_SZ, little) > 0);
        return;
    }
    if (kind == TCP)
        peer_tcp_pair(fd);
    else
        assert_int_equal(socketpair(AF_UNIX, (kind == STREAM ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0, fd), 0);
    assert_int_equal(setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &little, sizeof(little)), 0);
}

static void close_pair(void)
{
    assert_int_equal(weft_close(fd[0]), 0);
    assert_int_equal(weft_close(fd[1]), 0);
}

// --- reading -------------------------------------------------------------------------

static ssize_t recv_plain(int from, void *to, size_t n)
{
    return weft_recv(from, to, n, 0);
}

static ssize_t recv_from(int from, void *to, size_t n)
{
    return weft_recvfrom(from, to, n, 0, NULL, NULL);
}

static ssize_t recv_message(int from, void *to, size_t n)
{
    struct iovec v = { to, n };
    return weft_recvmsg(from, &(struct msghdr){ .msg_iov = &v, .msg_iovlen = 1 }, 0);
}

static ssize_t fd_recv(int from, void *to, size_t n)
{
    int none = 0;
    return weft_fd_recv(from, NULL, &none, to, n);
}

static ssize_t read_vector(int from, void *to, size_t n)
{
    return weft_readv(from, &(struct iovec){ to, n }, 1);
}

static void read_set_up(struct cancel_case *c)
{
    pair(c);
    memset(buf, 0, sizeof(buf));
}

static int read_call(struct cancel_case *c)
{
    return (int)way_of(c)->move(fd[0], buf, sizeof(buf));
}

static void read_complete(struct cancel_case *c)
{
    (void)c;
    peer_write(fd[1], "abcd", BYTES);
}

// check_bytes: the first `n` of "abcd" are in `buf`, the others unread, and no more
// than that.
static void check_bytes(size_t n)
{
    if (n < BYTES)
        assert_int_equal(weft_read(fd[0], buf + n, BYTES - n), BYTES - n);
    assert_memory_equal(buf, "abcd", BYTES);
    peer_nonblock(fd[0]);
    assert_int_equal(read(fd[0], buf, 1), -1);
    close_pair();
}

static void read_left(struct cancel_case *c, int result)
{
    (void)c;
    assert_true(result < 0 || result == BYTES);
    check_bytes(result < 0 ? 0 : BYTES);
}

// Calls that wait for all of it: half is there.

static size_t done;

static void read_half_set_up(struct cancel_case *c)
{
    read_set_up(c);
    done = 0;
    peer_write(fd[1], "ab", 2);
}

static void read_half_complete(struct cancel_case *c)
{
    (void)c;
    peer_write(fd[1], "cd", 2);
}

static int read_full_call(struct cancel_case *c)
{
    (void)c;
    return weft_read_full(fd[0], buf, sizeof(buf), &done);
}

// recv with MSG_WAITALL comes back with what there is: the next call tells why.
static int recv_all_call(struct cancel_case *c)
{
    (void)c;
    ssize_t got = weft_recv(fd[0], buf, sizeof(buf), MSG_WAITALL);
    done = got < 0 ? 0 : (size_t)got;
    return got == 2 ? weft_yield() : (int)got;
}

static void read_half_left(struct cancel_case *c, int result)
{
    if (c->mode == PARKED)
        assert_int_equal(done, 2);
    if (cancel_comes_first(c))
        assert_int_equal(done, 0);
    assert_true(result < 0 || done == BYTES);
    check_bytes(done);
}

// --- writing -------------------------------------------------------------------------

static size_t stuffed, drained; // bytes before the subject's; bytes that have arrived

static ssize_t write_plain(int to, void *from, size_t n)
{
    return weft_write(to, from, n);
}

static ssize_t write_vector(int to, void *from, size_t n)
{
    return weft_writev(to, &(struct iovec){ from, n }, 1);
}

static ssize_t send_plain(int to, void *from, size_t n)
{
    return weft_send(to, from, n, 0);
}

static ssize_t fd_send(int to, void *from, size_t n)
{
    int err = weft_fd_send(to, NULL, 0, from, n);
    return err < 0 ? err : (ssize_t)n;
}

static ssize_t send_to(int to, void *from, size_t n)
{
    return weft_sendto(to, from, n, 0, NULL, 0);
}

static ssize_t send_message(int to, void *from, size_t n)
{
    struct iovec v = { from, n };
    return weft_sendmsg(to, &(struct msghdr){ .msg_iov = &v, .msg_iovlen = 1 }, 0);
}

static void write_set_up(struct cancel_case *c)
{
    pair(c);
    peer_nonblock(fd[0]);
    stuffed = drained = 0;
    for (size_t more = 1; more > 0; stuffed += more) // what is on its way makes room when it arrives
        more = peer_stuff(fd[1], stuffed);
    peer_fill(buf, sizeof(buf), 0, stuffed);
}

static int write_call(struct cancel_case *c)
{
    return (int)way_of(c)->move(fd[1], buf, sizeof(buf));
}

static void write_complete(struct cancel_case *c)
{
    (void)c;
    while (!peer_drain(fd[0], 0, &drained))
        assert_int_equal(weft_yield(), 0);
}

// check_arrived waits for the rest: `n` bytes have been written, all told.
static void check_arrived(size_t n)
{
    struct pollfd p = { .fd = fd[0], .events = POLLIN };

    while (drained < n) {
        assert_true(poll(&p, 1, -1) == 1);
        peer_drain(fd[0], 0, &drained);
    }
    peer_drain(fd[0], 0, &drained);
    assert_int_equal(drained, n);
    close_pair();
}

static void write_left(struct cancel_case *c, int result)
{
    (void)c;
    assert_true(result < 0 || result == BYTES);
    check_arrived(stuffed + (result < 0 ? 0 : BYTES));
}

// weft_write_all, of more than there is room for.

enum { MUCH = 1 << 16 };
static char much[MUCH];

static void write_all_set_up(struct cancel_case *c)
{
    pair(c);
    peer_nonblock(fd[0]);
    stuffed = drained = done = 0;
    peer_fill(much, sizeof(much), 0, 0);
}

static int write_all_call(struct cancel_case *c)
{
    (void)c;
    return weft_write_all(fd[1], much, sizeof(much), &done);
}

static void write_all_complete(struct cancel_case *c)
{
    // acquire: from the driver
    while (!cancel_comes_first(c) && drained < sizeof(much) && !wf_load_acquire(&c->ended))
        if (!peer_drain(fd[0], 0, &drained))
            assert_int_equal(weft_sleep(WEFT_US(20)), 0);
}

static void write_all_left(struct cancel_case *c, int result)
{
    if (c->mode == PARKED)
        assert_true(done > 0 && done < sizeof(much));
    if (cancel_comes_first(c))
        assert_int_equal(done, 0);
    assert_true(result < 0 || done == sizeof(much));
    check_arrived(done);
}

// --- files ---------------------------------------------------------------------------

static int file;

static void file_set_up(struct cancel_case *c)
{
    (void)c;
    file = memfd_create("file", MFD_CLOEXEC);
    assert_int_equal(pwrite(file, "abcd", BYTES, 0), BYTES);
    memcpy(buf, "wxyz", BYTES);
    cancel_files_occupy();
}

static int file_call(struct cancel_case *c)
{
    return (int)way_of(c)->move(file, buf, sizeof(buf));
}

static void file_complete(struct cancel_case *c)
{
    (void)c;
    cancel_pool_free();
}

// The file's position tells what has been read, or written.
static void file_left(struct cancel_case *c, int result)
{
    bool reads = way_of(c)->move == weft_read || way_of(c)->move == read_vector;
    char now[BYTES];

    cancel_pool_join();
    assert_true(result < 0 || result == BYTES);
    assert_int_equal(lseek(file, 0, SEEK_CUR), result < 0 ? 0 : BYTES);
    assert_int_equal(pread(file, now, BYTES, 0), BYTES);
    assert_memory_equal(now, reads || result < 0 ? "abcd" : "wxyz", BYTES);
    assert_memory_equal(buf, reads && result >= 0 ? "abcd" : "wxyz", BYTES);
    assert_int_equal(weft_close(file), 0);
}

// --- poll ----------------------------------------------------------------------------

// arg: the events. For POLLRDHUP, bytes are there, and do not count.
static short events_of(const struct cancel_case *c)
{
    return *(const short *)c->row->arg;
}

static void poll_set_up(struct cancel_case *c)
{
    peer_tcp_pair(fd);
    memset(buf, 0, sizeof(buf));
    if (events_of(c) == POLLRDHUP)
        peer_write(fd[1], "abcd", BYTES);
}

static int poll_call(struct cancel_case *c)
{
    return weft_poll(fd[0], events_of(c));
}

static void poll_complete(struct cancel_case *c)
{
    if (events_of(c) == POLLRDHUP)
        assert_int_equal(shutdown(fd[1], SHUT_WR), 0);
    else
        peer_write(fd[1], "abcd", BYTES);
}

// What it was told of is still to be had.
static void poll_left(struct cancel_case *c, int result)
{
    assert_true(result < 0 || result & events_of(c));
    assert_true(weft_poll(fd[0], events_of(c)) & events_of(c));
    assert_int_equal(weft_read(fd[0], buf, BYTES), BYTES);
    assert_memory_equal(buf, "abcd", BYTES);
    close_pair();
}

static const short on_input = POLLIN, on_end = POLLRDHUP;

// --- accept --------------------------------------------------------------------------

static struct sockaddr_in at;
static int listener, client;

static void accept_set_up(struct cancel_case *c)
{
    (void)c;
    listener = peer_listen(4, &at);
    client = -1;
}

static int accept_call(struct cancel_case *c)
{
    (void)c;
    return weft_accept(listener, NULL, NULL);
}

static void accept_complete(struct cancel_case *c)
{
    (void)c;
    client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&at, sizeof(at)), 0);
}

// The connection is the subject's, or still in the listener's queue.
static void accept_left(struct cancel_case *c, int result)
{
    if (result < 0)
        result = accept_call(c);
    assert_true(result >= 0);
    peer_write(client, "abcd", BYTES);
    peer_read(result, buf, BYTES);
    assert_int_equal(weft_close(result), 0);
    peer_nonblock(listener);
    assert_int_equal(accept4(listener, NULL, NULL, 0), -1);
    assert_int_equal(weft_close(listener), 0);
    close(client);
}

// --- connect -------------------------------------------------------------------------
//
// The listener's queue is full, so it drops the SYN, and the kernel would retransmit it
// after a second. To complete the attempt now, a socket at the listener's port connects
// to the port that the attempt comes from: a simultaneous open.

static int peer;

static void fill_listener(struct cancel_case *c)
{
    (void)c;
    listener = peer_listen(0, &at);
    accept_complete(NULL); // all there is room for
    peer = -1;
}

static void connect_set_up(struct cancel_case *c)
{
    fill_listener(c);
    fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd[0] >= 0);
}

static int connect_call(struct cancel_case *c)
{
    (void)c;
    return weft_connect(fd[0], (struct sockaddr *)&at, sizeof(at));
}

// knocking looks for the socket that waits for an answer.  Returns: false if there is
// none.
static bool knocking(struct sockaddr_in *from)
{
    for (int i = 3; i < 256; i++) {
        struct tcp_info info;
        socklen_t len = sizeof(info), from_len = sizeof(*from);
        if (getsockopt(i, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && info.tcpi_state == TCP_SYN_SENT &&
            getsockname(i, (struct sockaddr *)from, &from_len) == 0)
            return true;
    }
    return false;
}

static void connect_complete(struct cancel_case *c)
{
    struct sockaddr_in from;
    int on = 1;
    (void)c;

    if (!knocking(&from)) { // not yet, or given up: let it in when it comes
        peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        assert_true(peer >= 0);
        return;
    }
    assert_int_equal(weft_close(listener) | close(client), 0);
    listener = client = -1;
    peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
    assert_int_equal(bind(peer, (struct sockaddr *)&at, sizeof(at)), 0);
    if (connect(peer, (struct sockaddr *)&from, sizeof(from)) < 0)
        assert_int_equal(errno, ECONNREFUSED); // given up in between
}

static void close_all(void)
{
    if (listener >= 0)
        assert_int_equal(weft_close(listener) | close(client), 0);
    close(peer);
}

// The attempt goes on in the kernel: it has succeeded, or does when it is made again.
static void connect_left(struct cancel_case *c, int result)
{
    struct sockaddr_in to;
    socklen_t len = sizeof(to);

    if (result < 0)
        assert_int_equal(connect_call(c), 0);
    assert_int_equal(getpeername(fd[0], (struct sockaddr *)&to, &len), 0);
    assert_int_equal(to.sin_port, at.sin_port);
    assert_int_equal(weft_close(fd[0]), 0);
    close_all();
}

static int tcp_dial_call(struct cancel_case *c)
{
    char addr[32];
    (void)c;

    snprintf(addr, sizeof(addr), "127.0.0.1:%d", ntohs(at.sin_port));
    return weft_tcp_dial(addr);
}

// A cancelled dial leaves nothing behind: the driver checks that.
static void dial_left(struct cancel_case *c, int result)
{
    (void)c;
    if (result >= 0)
        assert_int_equal(weft_close(result), 0);
    close_all();
}

// --- connecting to a Unix socket -----------------------------------------------------

static char name[32];

static void unix_dial_set_up(struct cancel_case *c)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    socklen_t len = (socklen_t)(sizeof(sa_family_t) + (size_t)snprintf(name, sizeof(name), "@weft-table-%d", getpid()));
    (void)c;

    memcpy(sa.sun_path + 1, name + 1, len - sizeof(sa_family_t) - 1);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&sa, len), 0);
    assert_int_equal(listen(listener, 0), 0);
    assert_int_equal(connect(client, (struct sockaddr *)&sa, len), 0); // now its queue is full
}

static void unix_connect_set_up(struct cancel_case *c)
{
    unix_dial_set_up(c);
    fd[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int unix_connect_call(struct cancel_case *c)
{
    struct sockaddr_un sa;
    socklen_t len = sizeof(sa);
    (void)c;

    assert_int_equal(getsockname(listener, (struct sockaddr *)&sa, &len), 0);
    return weft_connect(fd[0], (struct sockaddr *)&sa, len);
}

static void unix_complete(struct cancel_case *c)
{
    (void)c;
    peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(peer >= 0);
}

// A connection waits in the listener's queue if, and only if, one was made.
static void check_queue(bool connected)
{
    peer_nonblock(listener);
    int second = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_int_equal(second >= 0, connected);
    if (connected)
        close(second);
    close_all();
}

static void unix_connect_left(struct cancel_case *c, int result)
{
    if (result < 0) {
        peer_nonblock(listener);
        assert_int_equal(accept4(listener, NULL, NULL, SOCK_CLOEXEC), -1);
        assert_int_equal(unix_connect_call(c), 0);
    }
    assert_int_equal(weft_close(fd[0]), 0);
    check_queue(true);
}

static int unix_dial_call(struct cancel_case *c)
{
    (void)c;
    return weft_unix_dial(name);
}

static void unix_dial_left(struct cancel_case *c, int result)
{
    (void)c;
    if (result >= 0)
        assert_int_equal(weft_close(result), 0);
    check_queue(result >= 0);
}

// --- what never parks ----------------------------------------------------------------

static void no_set_up(struct cancel_case *c)
{
    (void)c;
}

static int udp_dial_call(struct cancel_case *c)
{
    (void)c;
    return weft_udp_dial("127.0.0.1:9");
}

static void no_left(struct cancel_case *c, int result)
{
    (void)c, (void)result;
}

// --- the table -----------------------------------------------------------------------

// clang-format off
#define READ(fn, kind) .arg = &(const struct way){ fn, kind }, .set_up = read_set_up, .call = read_call, \
                       .complete = read_complete, .left = read_left
#define READ_HALF(kind) .arg = &(const struct way){ NULL, kind }, .set_up = read_half_set_up, \
                        .complete = read_half_complete, .left = read_half_left
#define WRITE(fn, kind) .arg = &(const struct way){ fn, kind }, .set_up = write_set_up, .call = write_call, \
                        .complete = write_complete, .left = write_left
#define WRITE_ALL(kind) .arg = &(const struct way){ NULL, kind }, .set_up = write_all_set_up, \
                        .call = write_all_call, .complete = write_all_complete, .left = write_all_left
#define FILES(fn) .arg = &(const struct way){ fn, STREAM }, .set_up = file_set_up, .call = file_call, \
                  .complete = file_complete, .left = file_left
#define POLL(events) .arg = events, .what = "weft_poll", .set_up = poll_set_up, .call = poll_call, \
                     .complete = poll_complete, .left = poll_left

static const struct cancel_row reading[] = {
    { "weft_read", .what = "weft_read", READ(weft_read, STREAM) },
    { "weft_read: TCP", .what = "weft_read", READ(weft_read, TCP) },
    { "weft_read: pipe", .what = "weft_read", READ(weft_read, PIPE) },
    { "weft_read: file", .what = "weft_read", FILES(weft_read) },
    { "weft_readv", .what = "weft_readv", READ(read_vector, STREAM) },
    { "weft_readv: pipe", .what = "weft_readv", READ(read_vector, PIPE) },
    { "weft_readv: file", .what = "weft_readv", FILES(read_vector) },
    { "weft_recv", .what = "weft_recv", READ(recv_plain, TCP) },
    { "weft_recv: datagrams", .what = "weft_recv", READ(recv_plain, DATAGRAMS) },
    { "weft_recv: all of it", .what = "weft_recv", .call = recv_all_call, READ_HALF(TCP) },
    { "weft_recvfrom", .what = "weft_recvfrom", READ(recv_from, DATAGRAMS) },
    { "weft_recvmsg", .what = "weft_recvmsg", READ(recv_message, DATAGRAMS) },
    { "weft_fd_recv", .what = "weft_recvmsg", READ(fd_recv, STREAM) },
    { "weft_recvmsg: TCP", .what = "weft_recvmsg", READ(recv_message, TCP) },
    { "weft_read_full", .what = "weft_read", .call = read_full_call, READ_HALF(STREAM) },
    { "weft_read_full: TCP", .what = "weft_read", .call = read_full_call, READ_HALF(TCP) },
};

static const struct cancel_row writing[] = {
    { "weft_write", .what = "weft_write", WRITE(write_plain, STREAM) },
    { "weft_write: TCP", .what = "weft_write", WRITE(write_plain, TCP), .slow = true },
    { "weft_write: pipe", .what = "weft_write", WRITE(write_plain, PIPE) },
    { "weft_write: file", .what = "weft_write", FILES(write_plain) },
    { "weft_writev", .what = "weft_writev", WRITE(write_vector, STREAM) },
    { "weft_writev: pipe", .what = "weft_writev", WRITE(write_vector, PIPE) },
    { "weft_writev: file", .what = "weft_writev", FILES(write_vector) },
    { "weft_send", .what = "weft_send", WRITE(send_plain, STREAM) },
    { "weft_send: TCP", .what = "weft_send", WRITE(send_plain, TCP), .slow = true },
    { "weft_send: datagrams", .what = "weft_send", WRITE(send_plain, DATAGRAMS) },
    { "weft_sendto", .what = "weft_sendto", WRITE(send_to, DATAGRAMS) },
    { "weft_sendmsg", .what = "weft_sendmsg", WRITE(send_message, STREAM) },
    { "weft_fd_send", .what = "weft_sendmsg", WRITE(fd_send, STREAM) },
    { "weft_sendmsg: datagrams", .what = "weft_sendmsg", WRITE(send_message, DATAGRAMS) },
    { "weft_write_all", .what = "weft_write", WRITE_ALL(STREAM) },
    { "weft_write_all: pipe", .what = "weft_write", WRITE_ALL(PIPE) },
};

static const struct cancel_row connecting[] = {
    { "weft_poll", POLL(&on_input) },
    { "weft_poll: apart", POLL(&on_end) },
    { "weft_accept", .what = "weft_accept", .set_up = accept_set_up, .call = accept_call,
      .complete = accept_complete, .left = accept_left },
    { "weft_connect", .what = "weft_connect", .set_up = connect_set_up, .call = connect_call,
      .complete = connect_complete, .left = connect_left },
    { "weft_connect: Unix", .what = "weft_connect", .set_up = unix_connect_set_up, .call = unix_connect_call,
      .complete = unix_complete, .left = unix_connect_left, .slow = true },
    { "weft_tcp_dial", .what = "weft_tcp_dial", .set_up = fill_listener, .call = tcp_dial_call,
      .complete = connect_complete, .left = dial_left },
    { "weft_unix_dial", .what = "weft_unix_dial", .set_up = unix_dial_set_up, .call = unix_dial_call,
      .complete = unix_complete, .left = unix_dial_left, .slow = true },
    { "weft_udp_dial", .set_up = no_set_up, .call = udp_dial_call, .complete = cancel_nothing, .left = no_left,
      .never_parks = true },
};
// clang-format on

static void a_reader_that_is_cut_short_has_read_nothing(void **state)
{
    (void)state;
    CANCEL_TABLE_RUN(reading);
}

static void a_writer_that_is_cut_short_has_written_nothing(void **state)
{
    (void)state;
    CANCEL_TABLE_RUN(writing);
}

static void a_connection_that_is_cut_short_is_nobodys_or_still_there(void **state)
{
    (void)state;
    CANCEL_TABLE_RUN(connecting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_that_is_cut_short_has_read_nothing),
        cmocka_unit_test(a_writer_that_is_cut_short_has_written_nothing),
        cmocka_unit_test(a_connection_that_is_cut_short_is_nobodys_or_still_there),
    };
    return wf_test_run(tests);
}
