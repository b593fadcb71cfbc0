// The writer: it collects bytes until the buffer is full, or the caller flushes.
//
// A call takes all of its bytes or none. Bytes that do not fit are written in one
// writev, after those collected before. If such a call fails after the stream has taken
// a part of the caller's bytes, the writer keeps the rest in a buffer, which may be
// larger than usual: the call succeeds, and the next call that writes gets the error.
// Only without memory for that buffer is the rest lost; then the stream must get no
// more bytes, and each later call fails.
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "runtime/io/buffer.h"
#include "runtime/io/fd_stream.h"
#include "runtime/io/frame.h"
#include "runtime/wait/wait.h"

enum { SIZE = WF_BUFFER_SMALL }; // the default

// The pieces of a write: the collected bytes, perhaps a frame's length, and the data.
enum { HELD, HEAD, DATA, PIECES };

static size_t held(const weft_writer *w)
{
    return w->weft_end - w->weft_at;
}

// check_writer asserts what holds between two calls. After an error that lost bytes the
// writer has none.
static void check_writer(const weft_writer *w)
{
    wf_assert(w->weft_size > 0 && wf_stream_known(w->weft_to));
    wf_assert(w->weft_at <= w->weft_end && w->weft_end <= w->weft_room);
    wf_assert(!w->weft_buf == (w->weft_room == 0) && !w->weft_buf == (held(w) == 0));
    wf_assert(w->weft_error == 0 || (w->weft_error < 0 && !w->weft_buf));
}

static void drop_write_buffer(weft_writer *w)
{
    wf_buffer_give(w->weft_buf, w->weft_room);
    w->weft_buf = NULL;
    w->weft_room = w->weft_at = w->weft_end = 0;
}

static void drop_if_written(weft_writer *w)
{
    if (held(w) == 0)
        drop_write_buffer(w);
}

int weft_writer_init(weft_writer *w, weft_stream s, size_t size)
{
    if (!wf_stream_known(s) || !s.ops->writev || size > SSIZE_MAX / 2)
        return -EINVAL;
    *w = (weft_writer){ .weft_to = s, .weft_size = size > 0 ? size : SIZE };
    return 0;
}

void weft_writer_fini(weft_writer *w)
{
    drop_write_buffer(w);
}

// --- Collecting ----------------------------------------------------------------------

// make_writer_room makes room for `n` bytes more. Returns: 0; -ENOMEM.
static int make_writer_room(weft_writer *w, size_t n)
{
    if (!w->weft_buf) {
        size_t room = n > w->weft_size ? n : w->weft_size;
        w->weft_buf = wf_buffer_take(&room);
        w->weft_room = w->weft_buf ? room : 0;
        return w->weft_buf ? 0 : -ENOMEM;
    }
    if (w->weft_room - w->weft_end < n) { // the room at the end is not enough
        memmove(w->weft_buf, w->weft_buf + w->weft_at, held(w));
        w->weft_end -= w->weft_at;
        w->weft_at = 0;
    }
    wf_debug_assert(n <= w->weft_room - w->weft_end); // the caller has checked that it fits
    return 0;
}

static void append_bytes(weft_writer *w, const struct iovec *piece)
{
    if (piece->iov_len > 0)
        memcpy(w->weft_buf + w->weft_end, piece->iov_base, piece->iov_len);
    w->weft_end += piece->iov_len;
}

// keep copies the pieces of the caller. Returns: 0; -ENOMEM.
static int keep(weft_writer *w, const struct iovec v[PIECES])
{
    int err = make_writer_room(w, v[HEAD].iov_len + v[DATA].iov_len);

    if (err < 0)
        return err;
    append_bytes(w, &v[HEAD]);
    append_bytes(w, &v[DATA]);
    return 0;
}

// --- Writing -------------------------------------------------------------------------

// advance removes `n` bytes from the front of the pieces. Returns: how many of `n` were
// left when the pieces ended.
static size_t advance(struct iovec v[PIECES], size_t n)
{
    for (int i = 0; i < PIECES; i++) {
        size_t part = n < v[i].iov_len ? n : v[i].iov_len;
        v[i].iov_base = (char *)v[i].iov_base + part;
        v[i].iov_len -= part;
        n -= part;
    }
    return n;
}

// write_pieces writes what it can. Returns: 0: all; an error.
static int write_pieces(weft_stream s, struct iovec v[PIECES])
{
    int first = HELD, end = PIECES;

    while (end > 0 && v[end - 1].iov_len == 0)
        end--;
    for (;;) {
        while (first < end && v[first].iov_len == 0)
            first++;
        if (first == end)
            return 0;
        ssize_t put = s.ops->writev(s.self, v + first, end - first);
        if (put <= 0)
            return put < 0 ? (int)put : -EIO;
        if (wf_unlikely(advance(v, (size_t)put) > 0))
            wf_misuse("a stream's writev has returned more than it was given");
    }
}

// write_out writes the collected bytes and the caller's, and drops the collected bytes
// that were written.
static int write_out(weft_writer *w, struct iovec v[PIECES])
{
    v[HELD] = (struct iovec){ w->weft_buf ? w->weft_buf + w->weft_at : NULL, held(w) };
    int err = write_pieces(w->weft_to, v);
    w->weft_at = w->weft_end - v[HELD].iov_len;
    drop_if_written(w);
    return err;
}

// write_through writes bytes that do not fit. Returns: 0: they are taken; an error:
// they are not.
static int write_through(weft_writer *w, struct iovec v[PIECES], size_t given)
{
    int err = write_out(w, v);

    if (wf_likely(err == 0) || v[HEAD].iov_len + v[DATA].iov_len == given)
        return err;
    w->weft_error = keep(w, v);
    return w->weft_error;
}

// begin_write opens a call.
static int begin_write(const weft_writer *w, const char *call)
{
    wf_debug_check(check_writer(w));
    int err = wf_wait_begin(call);
    return wf_likely(err == 0) ? w->weft_error : err;
}

// take_write_buffer takes the caller's bytes into the buffer.
static int take_write_buffer(weft_writer *w, struct iovec v[PIECES])
{
    size_t given = v[HEAD].iov_len + v[DATA].iov_len;

    if (wf_likely(given <= w->weft_size && held(w) <= w->weft_size - given))
        return keep(w, v);
    return write_through(w, v, given);
}

// write_data is weft_writer_write where the usual case does not hold.
WF_NOINLINE static int write_data(weft_writer *w, const void *data, size_t n)
{
    struct iovec v[PIECES] = { [DATA] = { (void *)data, n } };
    return n == 0 ? 0 : take_write_buffer(w, v);
}

// The usual case first: there is a buffer, and the bytes fit behind those collected.
// An `n` of 0 is not usual: n - 1 is then larger than each room.
int weft_writer_write(weft_writer *w, const void *data, size_t n)
{
    int err = begin_write(w, "weft_writer_write");

    if (wf_unlikely(err < 0))
        return err;
    if (wf_unlikely(!w->weft_buf || w->weft_end > w->weft_size || n - 1 >= w->weft_size - w->weft_end))
        return write_data(w, data, n);
    wf_debug_assert(w->weft_room >= w->weft_size);
    memcpy(w->weft_buf + w->weft_end, data, n);
    w->weft_end += n;
    return 0;
}

int weft_writer_frame(weft_writer *w, const void *data, size_t n, const weft_frame *f)
{
    uint8_t head[WF_FRAME_HEAD_MAX];
    int err = begin_write(w, "weft_writer_frame");

    if (err == 0 && !wf_frame_known(f))
        err = -EINVAL;
    if (err == 0 && f->max > 0 && n > f->max)
        err = -EMSGSIZE;
    if (err == 0)
        err = wf_frame_put(f, head, n);
    if (err < 0)
        return err;
    struct iovec v[PIECES] = { [HEAD] = { head, (size_t)err }, [DATA] = { (void *)data, n } };
    return take_write_buffer(w, v);
}

int weft_writer_flush(weft_writer *w)
{
    struct iovec v[PIECES] = { 0 };
    int err = begin_write(w, "weft_writer_flush");
    return err < 0 || held(w) == 0 ? err : write_out(w, v);
}

// --- Printing ------------------------------------------------------------------------

// format is vsnprintf with its error as a result. It calls nothing that parks, because
// errno belongs to the thread.
WF_PRINTF(3, 0) WF_NOINLINE static int format(char *buf, size_t n, const char *fmt, va_list args)
{
    int length = vsnprintf(buf, n, fmt, args);
    return length < 0 ? -errno : length;
}

// print_apart prints a text that does not fit into another buffer.
WF_PRINTF(3, 0) static int print_apart(weft_writer *w, size_t length, const char *fmt, va_list args)
{
    size_t room = length;
    char *buf = wf_buffer_take(&room);

    if (!buf)
        return -ENOMEM;
    int err = format(buf, length + 1, fmt, args);
    if (err >= 0)
        err = take_write_buffer(w, (struct iovec[PIECES]){ [DATA] = { buf, length } });
    wf_buffer_give(buf, room);
    return err;
}

// print_here prints after the collected bytes. Returns: the length; if it is not above
// *room, the writer has taken the text.
WF_PRINTF(3, 0) static int print_here(weft_writer *w, size_t *room, const char *fmt, va_list args)
{
    *room = held(w) < w->weft_size ? w->weft_size - held(w) : 0;
    int err = make_writer_room(w, *room);
    if (err < 0)
        return err;
    int length = format(w->weft_buf + w->weft_end, *room + 1, fmt, args);
    if (length > 0 && (size_t)length <= *room)
        w->weft_end += (size_t)length;
    drop_if_written(w);
    return length;
}

int weft_writer_printf(weft_writer *w, const char *fmt, ...)
{
    int length = begin_write(w, "weft_writer_printf");
    va_list args;
    size_t room;

    if (length < 0)
        return length;
    va_start(args, fmt);
    length = print_here(w, &room, fmt, args);
    va_end(args);
    if (wf_likely(length < 0 || (size_t)length <= room))
        return length < 0 ? length : 0;
    va_start(args, fmt);
    int err = print_apart(w, (size_t)length, fmt, args);
    va_end(args);
    return err;
}
