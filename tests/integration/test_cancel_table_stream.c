// The cancellation table: readers and writers, on a descriptor and on a pair in memory.
// See docs/cancellation.md and tests/support/cancel_table.h.
#include <errno.h>

#include "tests/support/cancel_table.h"
#include "tests/support/peer.h"
#include "tests/support/tasks.h"

enum where { MEMORY, SOCKET, PIPE };

// What a row is about: how it is called, what the peer sends, and how much of that is
// there before the call.
struct way {
    int (*call)(void);
    enum where where;
    const char *message;
    size_t n, before;
};

static const struct way *way_of(const struct cancel_case *c)
{
    return c->row->arg;
}

static int fd[2];
static weft_stream ends[2]; // what is written to [1] is read from [0]
static size_t stuffed;      // bytes before the subject's

enum { CAPACITY = 64 };

static void set_up_pair(const struct cancel_case *c)
{
    stuffed = 0;
    if (way_of(c)->where == MEMORY) {
        assert_int_equal(weft_stream_pair(&ends[0], &ends[1], CAPACITY), 0);
        return;
    }
    peer_pair(way_of(c)->where == SOCKET ? PEER_UNIX : PEER_PIPE, fd);
    for (int i = 0; i < 2; i++)
        ends[i] = weft_fd_stream(fd[i]);
}

static void put(const char *bytes, size_t n)
{
    assert_int_equal(ends[1].ops->writev(ends[1].self, &(struct iovec){ (void *)bytes, n }, 1), n);
}

static void close_ends(void)
{
    for (int i = 0; i < 2; i++)
        assert_int_equal(ends[i].ops->close(ends[i].self), 0);
}

// --- reading -------------------------------------------------------------------------

static weft_reader r;
static char got[16]; // what the reader has given
static size_t done;

static int give(ssize_t n, const void *data)
{
    if (n > 0)
        memcpy(got, data, (size_t)n);
    return (int)n;
}

static int call_read(void)
{
    return (int)weft_reader_read(&r, got, 4);
}

static int call_read_full(void)
{
    return weft_reader_read_full(&r, got + done, 4 - done, &done);
}

static int call_peek(void)
{
    const void *data;
    ssize_t n = weft_reader_peek(&r, &data, 4);

    give(n, data);
    if (n > 0)
        weft_reader_skip(&r, (size_t)n);
    return (int)n;
}

static int call_until(void)
{
    const char *text;
    ssize_t n = weft_reader_until(&r, &text, ';');
    return give(n, text);
}

static int call_line(void)
{
    const char *line;
    ssize_t n = weft_reader_line(&r, &line);
    return give(n, line);
}

static int call_frame(void)
{
    const weft_frame f = { .length_bytes = 2, .big_endian = true };
    const void *data;
    ssize_t n = weft_reader_frame(&r, &data, &f);
    return give(n, data);
}

static void read_set_up(struct cancel_case *c)
{
    const struct way *w = way_of(c);

    set_up_pair(c);
    memset(got, 0, sizeof(got));
    done = 0;
    assert_int_equal(weft_reader_init(&r, ends[0], 100), 0);
    if (w->before > 0)
        put(w->message, w->before);
}

static int read_call(struct cancel_case *c)
{
    return way_of(c)->call();
}

static void read_complete(struct cancel_case *c)
{
    const struct way *w = way_of(c);
    put(w->message + w->before, w->n - w->before);
}

// What a call that was cut short has read the next one gives.
static void read_left(struct cancel_case *c, int result)
{
    if (result < 0 && cancel_comes_first(c))
        assert_int_equal(done, 0);
    if (result < 0)
        assert_true(way_of(c)->call() >= 0);
    assert_memory_equal(got, "abcd", 4);
    assert_int_equal(weft_reader_peek(&r, &(const void *){ NULL }, 0), 0);
    assert_int_equal(ends[1].ops->close(ends[1].self), 0);
    assert_int_equal(weft_reader_read(&r, got, 1), 0);
    weft_reader_fini(&r);
    assert_int_equal(ends[0].ops->close(ends[0].self), 0);
}

// --- writing -------------------------------------------------------------------------

static weft_writer w;

static int call_write(void)
{
    return weft_writer_write(&w, "abcd", 4);
}

static int call_printf(void)
{
    return weft_writer_printf(&w, "%s", "abcd");
}

static int call_write_frame(void)
{
    return weft_writer_frame(&w, "bcd", 3, &(weft_frame){ .length_bytes = 1 });
}

static int call_flush(void)
{
    return weft_writer_flush(&w);
}

// stuff leaves no room.
static void stuff(const struct cancel_case *c)
{
    char some[CAPACITY];

    if (way_of(c)->where != MEMORY) {
        stuffed = peer_stuff(fd[1], 0);
        return;
    }
    peer_fill(some, sizeof(some), 0, 0);
    put(some, sizeof(some));
    stuffed = sizeof(some);
}

static void expect_stuffed(size_t n)
{
    char some[4096];

    for (size_t at = 0; at < n;) {
        size_t part = n - at < sizeof(some) ? n - at : sizeof(some);
        ssize_t got_now = ends[0].ops->read(ends[0].self, some, part);
        assert_true(got_now > 0);
        peer_check(some, (size_t)got_now, 0, at);
        at += (size_t)got_now;
    }
}

// The writer collects 3 bytes, of what is 4; or, to be flushed, 4.
static void write_set_up(struct cancel_case *c)
{
    bool flush = way_of(c)->call == call_flush;

    set_up_pair(c);
    stuff(c);
    assert_int_equal(weft_writer_init(&w, ends[1], flush ? 4 : 3), 0);
    if (flush)
        assert_int_equal(weft_writer_write(&w, "abcd", 4), 0);
}

static void write_complete(struct cancel_case *c)
{
    (void)c;
    expect_stuffed(stuffed);
}

// A call that was cut short has given the stream nothing, and kept nothing but what was
// kept before.
static void write_left(struct cancel_case *c, int result)
{
    bool flush = way_of(c)->call == call_flush;
    char all[8];

    assert_int_equal(w.weft_end - w.weft_at, result < 0 && flush ? 4 : 0);
    if (result < 0)
        assert_int_equal(way_of(c)->call(), 0);
    assert_int_equal(weft_writer_flush(&w), 0);
    assert_int_equal(ends[0].ops->read(ends[0].self, all, sizeof(all)), 4);
    assert_memory_equal(all, way_of(c)->call == call_write_frame ? "\3bcd" : "abcd", 4);
    weft_writer_fini(&w);
    close_ends();
}

// clang-format off
#define READ(fn, place, text, len, there) \
    .arg = &(const struct way){ (fn), (place), (text), (len), (there) }, \
    .set_up = read_set_up, .call = read_call, .complete = read_complete, .left = read_left
#define WRITE(fn, place) \
    .arg = &(const struct way){ .call = (fn), .where = (place) }, \
    .at_once = (place) == MEMORY, \
    .set_up = write_set_up, .call = read_call, .complete = write_complete, .left = write_left

static const struct cancel_row descriptors[] = {
    { "weft_reader_read", .what = "weft_reader", READ(call_read, SOCKET, "abcd", 4, 0) },
    { "weft_reader_read: pipe", .what = "weft_reader", READ(call_read, PIPE, "abcd", 4, 0) },
    { "weft_reader_read_full", .what = "weft_reader", READ(call_read_full, SOCKET, "abcd", 4, 2) },
    { "weft_reader_read_full: pipe", .what = "weft_reader", READ(call_read_full, PIPE, "abcd", 4, 2) },
    { "weft_reader_peek", .what = "weft_reader", READ(call_peek, SOCKET, "abcd", 4, 2) },
    { "weft_reader_until", .what = "weft_reader", READ(call_until, SOCKET, "abcd;", 5, 0) },
    { "weft_reader_until: half", .what = "weft_reader", READ(call_until, PIPE, "abcd;", 5, 2) },
    { "weft_reader_line", .what = "weft_reader", READ(call_line, SOCKET, "abcd\r\n", 6, 0) },
    { "weft_reader_line: half", .what = "weft_reader", READ(call_line, SOCKET, "abcd\r\n", 6, 5) },
    { "weft_reader_line: pipe", .what = "weft_reader", READ(call_line, PIPE, "abcd\n", 5, 2) },
    { "weft_reader_frame", .what = "weft_reader", READ(call_frame, SOCKET, "\0\4abcd", 6, 0) },
    { "weft_reader_frame: half", .what = "weft_reader", READ(call_frame, SOCKET, "\0\4abcd", 6, 1) },
    { "weft_writer_write", .what = "weft_write", WRITE(call_write, SOCKET) },
    { "weft_writer_write: pipe", .what = "weft_write", WRITE(call_write, PIPE) },
    { "weft_writer_printf", .what = "weft_write", WRITE(call_printf, SOCKET) },
    { "weft_writer_frame", .what = "weft_writev", WRITE(call_write_frame, SOCKET) },
    { "weft_writer_flush", .what = "weft_write", WRITE(call_flush, SOCKET) },
    { "weft_writer_flush: pipe", .what = "weft_write", WRITE(call_flush, PIPE) },
};

static const struct cancel_row in_memory[] = {
    { "weft_reader_read: pair", .what = "stream", READ(call_read, MEMORY, "abcd", 4, 0) },
    { "weft_reader_read_full: pair", .what = "stream", READ(call_read_full, MEMORY, "abcd", 4, 2) },
    { "weft_reader_peek: pair", .what = "stream", READ(call_peek, MEMORY, "abcd", 4, 2) },
    { "weft_reader_until: pair", .what = "stream", READ(call_until, MEMORY, "abcd;", 5, 2) },
    { "weft_reader_line: pair", .what = "stream", READ(call_line, MEMORY, "abcd\r\n", 6, 5) },
    { "weft_reader_frame: pair", .what = "stream", READ(call_frame, MEMORY, "\0\4abcd", 6, 3) },
    { "weft_writer_write: pair", .what = "stream", WRITE(call_write, MEMORY) },
    { "weft_writer_printf: pair", .what = "stream", WRITE(call_printf, MEMORY) },
    { "weft_writer_frame: pair", .what = "stream", WRITE(call_write_frame, MEMORY) },
    { "weft_writer_flush: pair", .what = "stream", WRITE(call_flush, MEMORY) },
};
// clang-format on

static void a_reader_or_writer_that_is_cut_short_goes_on(void **state)
{
    (void)state;
    CANCEL_TABLE_RUN(descriptors);
}

static void so_it_does_in_memory(void **state)
{
    (void)state;
    CANCEL_TABLE_RUN(in_memory);
}

static void so_it_does_in_any_order(void **state)
{
    (void)state;
    CANCEL_TABLE_RUN_SEEDS(in_memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_or_writer_that_is_cut_short_goes_on),
        cmocka_unit_test(so_it_does_in_memory),
        cmocka_unit_test(so_it_does_in_any_order),
    };
    return wf_test_run(tests);
}
