// The cancellation table: copies. See docs/cancellation.md and
// tests/support/cancel_table.h.
#include <poll.h>

#include "tests/support/cancel_table.h"
#include "tests/support/peer.h"
#include "tests/support/tasks.h"

enum { BYTES = 4, LITTLE = 1 << 14 };

// What a row copies from, and to.
struct way {
    enum peer_kind from, to;
};

static const struct way *way_of(const struct cancel_case *c)
{
    return c->row->arg;
}

static int from[2], to[2];      // what is written to [1] is read from [0]
static size_t stuffed, drained; // bytes before the subject's; bytes that have arrived

static void open_pair(enum peer_kind kind, int fd[2])
{
    int little = LITTLE;

    peer_pair(kind, fd);
    if (kind == PEER_PIPE)
        assert_true(fcntl(fd[1], F_SETPIPE_SZ, little) > 0);
    else
        assert_int_equal(setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &little, sizeof(little)), 0);
}

static void close_pair(int fd[2])
{
    assert_int_equal(weft_close(fd[0]) | weft_close(fd[1]), 0);
}

// check_arrived reads what the target has got: `n` bytes of the stream, no more.
static void check_arrived(size_t n)
{
    char some[4096];

    for (size_t at = 0, got; at < n; at += got) {
        got = n - at < sizeof(some) ? n - at : sizeof(some);
        peer_read(to[0], some, got);
        peer_check(some, got, 0, at);
    }
    peer_nonblock(to[0]);
    assert_int_equal(read(to[0], some, 1), -1);
}

// --- weft_copy waits for bytes -------------------------------------------------------

static void copy_set_up(struct cancel_case *c)
{
    open_pair(way_of(c)->from, from);
    open_pair(way_of(c)->to, to);
}

static int copy_call(struct cancel_case *c)
{
    (void)c;
    return weft_copy(to[1], from[0], BYTES, NULL);
}

static void copy_complete(struct cancel_case *c)
{
    char buf[BYTES];
    (void)c;

    peer_fill(buf, sizeof(buf), 0, 0);
    peer_write(from[1], buf, BYTES);
}

// What the subject has not copied the next one does.
static void copy_left(struct cancel_case *c, int result)
{
    if (result < 0)
        assert_int_equal(copy_call(c), 0);
    check_arrived(BYTES);
    close_pair(from);
    close_pair(to);
}

// --- weft_sendfile, and weft_copy, wait for room -------------------------------------

static int file;
static int64_t done;

static void send_set_up(struct cancel_case *c)
{
    char buf[BYTES];

    open_pair(way_of(c)->to, to);
    peer_nonblock(to[0]);
    done = 0;
    stuffed = drained = 0;
    for (size_t more = 1; more > 0; stuffed += more) // what is on its way makes room when it arrives
        more = peer_stuff(to[1], stuffed);
    file = memfd_create("file", MFD_CLOEXEC);
    peer_fill(buf, sizeof(buf), 0, stuffed);
    assert_int_equal(write(file, buf, BYTES), BYTES);
    assert_int_equal(lseek(file, 0, SEEK_SET), 0);
}

static int send_call(struct cancel_case *c)
{
    (void)c;
    ssize_t put = weft_sendfile(to[1], file, NULL, BYTES);
    done = put > 0 ? put : 0;
    return (int)put;
}

static int copy_file_call(struct cancel_case *c)
{
    (void)c;
    return weft_copy(to[1], file, BYTES, &done);
}

static void send_complete(struct cancel_case *c)
{
    (void)c;
    while (!peer_drain(to[0], 0, &drained))
        assert_int_equal(weft_yield(), 0);
}

static void send_left(struct cancel_case *c, int result)
{
    struct pollfd p = { .fd = to[0], .events = POLLIN };
    (void)c;

    assert_true(done == (result < 0 ? 0 : BYTES));
    assert_int_equal(lseek(file, 0, SEEK_CUR), done);
    while (drained < stuffed + (size_t)done) {
        assert_int_equal(poll(&p, 1, -1), 1);
        peer_drain(to[0], 0, &drained);
    }
    peer_drain(to[0], 0, &drained);
    assert_int_equal(drained, stuffed + (size_t)done);
    assert_int_equal(weft_close(file), 0);
    close_pair(to);
}

// --- weft_relay ----------------------------------------------------------------------

static weft_relay_stats stats;

static int relay_call(struct cancel_case *c)
{
    (void)c;
    return weft_relay(from[0], to[0], NULL, &stats);
}

static void relay_set_up(struct cancel_case *c)
{
    copy_set_up(c);
    stats = (weft_relay_stats){ 0 };
}

static void relay_complete(struct cancel_case *c)
{
    (void)c;
    peer_write(from[1], "abcd", BYTES);
    assert_int_equal(shutdown(from[1], SHUT_WR), 0);
    assert_int_equal(shutdown(to[1], SHUT_WR), 0);
}

// What the subject has not relayed the next one does.
static void relay_left(struct cancel_case *c, int result)
{
    char buf[BYTES];
    uint64_t before = stats.a_to_b;

    assert_true(result < 0 || before == BYTES);
    if (result < 0) {
        relay_call(c);
        assert_int_equal(before + stats.a_to_b, BYTES);
    }
    peer_read(to[1], buf, BYTES);
    assert_memory_equal(buf, "abcd", BYTES);
    assert_int_equal(read(to[1], buf, 1), 0);
    close_pair(from);
    close_pair(to);
}

// --- the table -----------------------------------------------------------------------

// clang-format off
#define COPY(from, to) .arg = &(const struct way){ from, to }, .what = "weft_copy", .set_up = copy_set_up, \
                       .call = copy_call, .complete = copy_complete, .left = copy_left
#define SEND(fn, to) .arg = &(const struct way){ PEER_TCP, to }, .set_up = send_set_up, .call = fn, \
                     .complete = send_complete, .left = send_left
#define RELAY(kind) .arg = &(const struct way){ kind, kind }, .what = "weft_relay", .set_up = relay_set_up, \
                    .call = relay_call, .complete = relay_complete, .left = relay_left

static const struct cancel_row rows[] = {
    { "weft_copy: sockets", COPY(PEER_TCP, PEER_UNIX) },
    { "weft_copy: pipes", COPY(PEER_PIPE, PEER_PIPE) },
    { "weft_copy: pipe to socket", COPY(PEER_PIPE, PEER_TCP) },
    { "weft_copy: file to socket", .what = "weft_copy", SEND(copy_file_call, PEER_UNIX) },
    { "weft_sendfile", .what = "weft_sendfile", SEND(send_call, PEER_UNIX) },
    { "weft_sendfile: TCP", .what = "weft_sendfile", SEND(send_call, PEER_TCP), .slow = true },
    { "weft_relay", RELAY(PEER_UNIX) },
    { "weft_relay: TCP", RELAY(PEER_TCP) },
};
// clang-format on

static void copies_in_every_mode(void **state)
{
    (void)state;
    CANCEL_TABLE_RUN(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(copies_in_every_mode) };
    return wf_test_run(tests);
}
