// Lines, and texts up to a delimiter.
#include <errno.h>
#include <string.h>

#include "base/marks.h"
#include "runtime/io/reader.h"
#include "runtime/wait/wait.h"

enum { SHORT = 256 }; // bytes of a line: memchr is faster at those that are much longer

// text_limit is the longest text in bytes, with its delimiter. line_limit is the same
// for a line, whose end ("\n" or "\r\n") does not count against max.
static inline size_t text_limit(const weft_reader *r)
{
    return r->weft_max;
}

static inline size_t line_limit(const weft_reader *r)
{
    bool returns = wf_reader_unread(r) > r->weft_max && wf_reader_bytes(r)[r->weft_max] == '\r';
    return r->weft_max + (returns ? 2 : 1);
}

// search_delimiter looks for the delimiter in the bytes that were not searched before,
// and notes how far it has searched.
// Returns: the length with the delimiter; 0 if it is not there yet; -EMSGSIZE if it is
//          not among the first `limit` bytes.
static inline ssize_t search_delimiter(weft_reader *r, size_t limit)
{
    size_t until = wf_reader_unread(r) < limit ? wf_reader_unread(r) : limit, looked = r->weft_looked - r->weft_at;

    if (until > looked) {
        const char *bytes = wf_reader_bytes(r);
        const char *found = memchr(bytes + looked, r->weft_delimiter, until - looked);
        if (wf_likely(found != NULL))
            return found - bytes + 1;
        r->weft_looked = r->weft_at + until;
    }
    return until == limit ? -EMSGSIZE : 0;
}

// find fills the reader until it has the delimiter. Returns: the length with the
// delimiter; 0 if the stream ends first; -EMSGSIZE; an error.
__attribute__((always_inline)) static inline ssize_t find(weft_reader *r, int delimiter,
                                                          size_t (*limit)(const weft_reader *))
{
    if (r->weft_delimiter != (unsigned char)delimiter) {
        r->weft_delimiter = (unsigned char)delimiter;
        wf_reader_forget(r);
    }
    for (;;) {
        ssize_t length = wf_reader_unread(r) > 0 ? search_delimiter(r, limit(r)) : 0;
        if (length != 0)
            return length;
        ssize_t got = wf_reader_fill(r, 0);
        if (got <= 0)
            return got;
    }
}

// show consumes `n` bytes, and returns where they are.
static inline char *show(weft_reader *r, size_t n)
{
    char *bytes = wf_reader_bytes(r);
    wf_reader_consume(r, n);
    return bytes;
}

ssize_t weft_reader_until(weft_reader *r, const char **text, int delimiter)
{
    ssize_t length = wf_wait_begin("weft_reader_until");

    if (r->weft_ends != 0)
        wf_reader_forget(r);
    if (wf_likely(length == 0))
        length = find(r, delimiter, text_limit);
    if (length == 0)
        length = (ssize_t)wf_reader_unread(r);
    if (wf_unlikely(length <= 0))
        return length < 0 ? length : -ENODATA;
    *text = show(r, (size_t)length);
    return length;
}

// show_line consumes `n` bytes, of which `length` are the line.
static inline ssize_t show_line(weft_reader *r, const char **line, size_t n, size_t length)
{
    char *bytes = show(r, n);

    wf_debug_assert(length <= n && bytes + length <= r->weft_buf + r->weft_room); // the byte after the buffer is ours
    bytes[length] = 0;
    *line = bytes;
    return (ssize_t)length;
}

// read_line is the rest of weft_reader_line.
WF_NOINLINE static ssize_t read_line(weft_reader *r, const char **line)
{
    ssize_t n = find(r, '\n', line_limit);

    if (wf_likely(n > 0)) {
        size_t length = (size_t)n - 1;
        return show_line(r, line, (size_t)n, length - (length > 0 && wf_reader_bytes(r)[length - 1] == '\r'));
    }
    size_t unread = wf_reader_unread(r);
    if (n < 0 || unread == 0)
        return n < 0 ? n : -ENODATA;
    if (unread > r->weft_max) // the byte beyond the limit did not begin the end of the line
        return -EMSGSIZE;
    return show_line(r, line, unread, unread);
}

// weft_reader_line begins with the usual case, in few registers: a short line that is
// in the buffer, and not among the last 64 bytes. The start of the next search does not
// depend on the result of this one, so the CPU can begin it early; memchr would have to
// wait.
ssize_t weft_reader_line(weft_reader *r, const char **line)
{
    ssize_t err = wf_wait_begin("weft_reader_line");

    if (wf_unlikely(err < 0))
        return err;
    size_t at = r->weft_at, looked = r->weft_looked;
    uint64_t ends = r->weft_ends;
    while (ends == 0) {
        if (r->weft_end - looked < WF_MARKS || looked - at > SHORT || r->weft_delimiter != '\n') {
            r->weft_looked = looked;
            return read_line(r, line);
        }
        ends = wf_marks(r->weft_buf + looked, '\n');
        looked += WF_MARKS;
    }
    char *bytes = r->weft_buf + at;
    size_t length = looked - WF_MARKS + (size_t)__builtin_ctzll(ends) - at;
    if (wf_unlikely(length > r->weft_max)) {
        wf_reader_forget(r);
        return read_line(r, line);
    }
    r->weft_at = at + length + 1;
    r->weft_looked = looked;
    r->weft_ends = ends & (ends - 1);
    length -= length > 0 && bytes[length - 1] == '\r';
    bytes[length] = 0;
    *line = bytes;
    return (ssize_t)length;
}
