#include "runtime/io/reader.h"

#include <limits.h>
#include <poll.h>
#include <string.h>

#include "base/assert.h"
#include "base/marks.h"
#include "runtime/io/buffer.h"
#include "runtime/io/fd_stream.h"
#include "runtime/wait/wait.h"

enum {
    MAX = 64 << 10, // the usual
    BEYOND = 10,    // what the buffer may hold beyond max: a frame's length, or a line's end
};

static const size_t rooms[] = { WF_BUFFER_SMALL, WF_BUFFER_LARGE, WF_BUFFER_HUGE };

// --- Checking ------------------------------------------------------------------------

// check_reader asserts what holds between two calls, and between two reads of one call.
static void check_reader(const weft_reader *r)
{
    wf_assert(r->weft_max > 0 && wf_stream_known(r->weft_from));
    wf_assert(r->weft_brisk < wf_countof(rooms));
    wf_assert(!r->weft_buf == (r->weft_room == 0));
    wf_assert(r->weft_at <= r->weft_end && r->weft_end <= r->weft_room);
    wf_assert(r->weft_at <= r->weft_looked && r->weft_looked <= r->weft_end);
    wf_assert(r->weft_ends == 0 || r->weft_delimiter == '\n');
    wf_assert(r->weft_ends == 0 || r->weft_at <= r->weft_looked - WF_MARKS + (size_t)__builtin_ctzll(r->weft_ends));
}

// --- The buffer ----------------------------------------------------------------------

// drop_buffer gives the buffer back; it has no unread bytes, or they are lost.
static void drop_buffer(weft_reader *r)
{
    wf_buffer_give(r->weft_buf, r->weft_room);
    r->weft_buf = NULL;
    r->weft_room = r->weft_at = r->weft_end = 0;
    wf_reader_forget(r);
}

static void drop_empty_buffer(weft_reader *r)
{
    if (wf_reader_unread(r) == 0)
        drop_buffer(r);
}

static void move_to_front(weft_reader *r)
{
    size_t unread = wf_reader_unread(r);

    memmove(r->weft_buf, wf_reader_bytes(r), unread);
    r->weft_looked -= r->weft_at;
    r->weft_at = 0;
    r->weft_end = unread;
}

// move_to moves the unread bytes to another buffer.
static void move_to(weft_reader *r, char *buf, size_t room)
{
    size_t unread = wf_reader_unread(r);

    wf_debug_assert(unread < room); // there is room for one more byte at least
    memcpy(buf, wf_reader_bytes(r), unread);
    wf_buffer_give(r->weft_buf, r->weft_room);
    r->weft_buf = buf;
    r->weft_room = room;
    r->weft_looked -= r->weft_at;
    r->weft_at = 0;
    r->weft_end = unread;
}

// larger is the next size of the buffer; the same size if it cannot grow.
static size_t larger(const weft_reader *r)
{
    size_t most = r->weft_max + BEYOND, twice = 2 * r->weft_room;

    if (twice < WF_BUFFER_LARGE)
        twice = WF_BUFFER_LARGE; // one step
    if (twice > most)
        twice = most;
    return twice > r->weft_room ? twice : r->weft_room;
}

// choose_room is the size of a buffer, by how many buffers the stream has filled in a
// row: for a busy stream a system call for 64 KiB costs less than four for 16 KiB.
static size_t choose_room(const weft_reader *r)
{
    return rooms[r->weft_brisk];
}

// note_read notes whether a read has filled the buffer: then more may be there.
static void note_read(weft_reader *r, bool filled)
{
    if (!filled)
        r->weft_brisk = 0;
    else if (r->weft_brisk < wf_countof(rooms) - 1)
        r->weft_brisk++;
}

// grow_buffer_to moves the unread bytes into a larger buffer. Returns: 0; -ENOMEM.
static int grow_buffer_to(weft_reader *r, size_t room)
{
    char *buf = wf_buffer_take(&room);

    if (!buf)
        return -ENOMEM;
    move_to(r, buf, room);
    return 0;
}

// make_reader_room makes room for at least one more byte after the unread bytes, and
// for `want` unread bytes in all.
static int make_reader_room(weft_reader *r, size_t want)
{
    size_t unread = wf_reader_unread(r), room = r->weft_room;

    if (want <= unread)
        want = unread + 1;
    if (r->weft_room < choose_room(r) && grow_buffer_to(r, choose_room(r)) == 0)
        return 0;
    bool fits = r->weft_at + want <= room;
    if (fits && room - r->weft_end >= room / 2)
        return 0;
    if (want <= room && unread <= r->weft_at) // cheap, and it makes more room to read into
        move_to_front(r);
    else if (!fits && larger(r) > room && grow_buffer_to(r, larger(r)) == 0)
        return 0;
    else if (!fits && want > room)
        return -ENOMEM;
    else if (!fits)
        move_to_front(r);
    return 0;
}

// --- Filling it ----------------------------------------------------------------------

static ssize_t read_stream(weft_stream s, void *buf, size_t n)
{
    ssize_t got = s.ops->read(s.self, buf, n);

    if (wf_unlikely(got > 0 && (size_t)got > n))
        wf_misuse("a stream's read has returned more than it was asked for");
    return got;
}

// read_any is wf_read_lent for any stream.
static ssize_t read_any(weft_stream s, struct wf_lent *l)
{
    int ready = l->held || !s.ops->poll ? 0 : s.ops->poll(s.self, POLLIN);

    if (ready < 0)
        return ready;
    if (!wf_lend(l))
        return -ENOMEM;
    ssize_t got = read_stream(s, l->at, l->room);
    wf_budget_consume_self();
    return wf_lent_back(l, got);
}

static ssize_t read_into_lent(weft_stream s, struct wf_lent *l)
{
    return wf_likely(wf_stream_is_fd(s)) ? wf_read_lent(wf_stream_fd(s), l) : read_any(s, l);
}

static ssize_t fill_rest(weft_reader *r)
{
    struct wf_lent l = { r->weft_buf + r->weft_end, r->weft_room - r->weft_end, true };

    wf_debug_assert(l.room > 0); // a read of no bytes would look like the end of the stream
    ssize_t got = read_into_lent(r->weft_from, &l);
    if (got > 0) {
        r->weft_end += (size_t)got;
        note_read(r, (size_t)got == l.room);
    }
    return got;
}

// fill_new is for a reader without a buffer.
static ssize_t fill_new(weft_reader *r)
{
    struct wf_lent l = { NULL, choose_room(r), false };

    wf_debug_assert(!r->weft_buf); // a waiting task holds no buffer
    ssize_t got = read_into_lent(r->weft_from, &l);
    if (got > 0) {
        r->weft_buf = l.at;
        r->weft_room = l.room;
        r->weft_end = (size_t)got;
        note_read(r, (size_t)got == l.room);
    }
    return got;
}

ssize_t wf_reader_fill(weft_reader *r, size_t want)
{
    wf_debug_check(check_reader(r));
    wf_debug_assert(wf_reader_unread(r) < r->weft_max + BEYOND);
    if (wf_reader_unread(r) == 0) {
        drop_buffer(r);
        return fill_new(r);
    }
    int err = make_reader_room(r, want);
    return err < 0 ? err : fill_rest(r);
}

// --- The object ----------------------------------------------------------------------

int weft_reader_init(weft_reader *r, weft_stream s, size_t max)
{
    if (!wf_stream_known(s) || !s.ops->read || max > SSIZE_MAX / 2)
        return -EINVAL;
    *r = (weft_reader){ .weft_from = s, .weft_max = max > 0 ? max : MAX };
    return 0;
}

void weft_reader_fini(weft_reader *r)
{
    wf_debug_check(check_reader(r));
    drop_buffer(r);
}

// --- Bytes ---------------------------------------------------------------------------

// take_buffer copies up to `n` unread bytes.
static size_t take_buffer(weft_reader *r, void *buf, size_t n)
{
    size_t unread = wf_reader_unread(r);

    if (n > unread)
        n = unread;
    if (n > 0)
        memcpy(buf, wf_reader_bytes(r), n);
    wf_reader_consume(r, n);
    drop_empty_buffer(r);
    return n;
}

// read_more is for n > 0. A read that is larger than a buffer goes directly to the
// caller's memory.
static ssize_t read_more(weft_reader *r, void *buf, size_t n)
{
    wf_debug_check(check_reader(r));
    if (wf_reader_unread(r) == 0) {
        drop_buffer(r);
        if (n >= WF_BUFFER_SMALL)
            return read_stream(r->weft_from, buf, n);
        ssize_t got = fill_new(r);
        if (got <= 0)
            return got;
    }
    return (ssize_t)take_buffer(r, buf, n);
}

ssize_t weft_reader_read(weft_reader *r, void *buf, size_t n)
{
    int err = wf_wait_begin("weft_reader_read");
    return err < 0 || n == 0 ? err : read_more(r, buf, n);
}

int weft_reader_read_full(weft_reader *r, void *buf, size_t n, size_t *done)
{
    ssize_t got = wf_wait_begin("weft_reader_read_full");
    size_t at = 0;

    while (got >= 0 && at < n) {
        got = read_more(r, (char *)buf + at, n - at);
        if (got == 0)
            got = -ENODATA;
        if (got > 0)
            at += (size_t)got;
    }
    if (done)
        *done = at;
    return got < 0 ? (int)got : 0;
}

ssize_t weft_reader_peek(weft_reader *r, const void **data, size_t want)
{
    ssize_t got = wf_wait_begin("weft_reader_peek");

    if (got < 0)
        return got;
    if (want > r->weft_max)
        return -EMSGSIZE;
    while (wf_reader_unread(r) < want && (got = wf_reader_fill(r, want)) > 0)
        ;
    if (got < 0)
        return got;
    if (r->weft_ends != 0)
        wf_reader_forget(r); // the caller may change the bytes
    *data = r->weft_buf ? wf_reader_bytes(r) : "";
    return (ssize_t)wf_reader_unread(r);
}

void weft_reader_skip(weft_reader *r, size_t n)
{
    size_t unread = wf_reader_unread(r);

    if (wf_unlikely(n > unread))
        wf_misuse("weft_reader_skip: %zu bytes of the %zu that a peek would show", n, unread);
    wf_reader_consume(r, n);
    drop_empty_buffer(r);
}
