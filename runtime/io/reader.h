// The reader: bytes of a stream that have been read and not been consumed yet.
//
//      weft_buf                                           weft_room
//         |..consumed..|unread, searched|unread, not searched|......|0|
//                   weft_at        weft_looked            weft_end
//
// The searched bytes have no delimiter except the ends of lines that weft_ends marks:
// its bit i is for the byte at weft_looked - 64 + i.
//
// A call searches the unread bytes for its line or frame, and fills the reader
// (wf_reader_fill) until that is complete. Only then it consumes the bytes
// (wf_reader_consume). So a call that fails or is cancelled has only added bytes to the
// reader. The byte after the buffer is for the 0 at the end of a line.
//
// A call shows bytes in the buffer, so the buffer stays until the next call, even
// without unread bytes. The reader gives it back when it is filled the next time,
// before the task waits.
//
// Linear time. No byte is searched twice (weft_looked). Bytes are moved only if they
// are not more than the bytes consumed since the last move; or into a buffer of twice
// the size; or if the buffer cannot grow. (In that case a caller that peeks at max
// bytes and skips a few, each time, moves all of them each time.)
#ifndef WF_RUNTIME_IO_READER_H
#define WF_RUNTIME_IO_READER_H

#include <weft/stream.h>

#include "base/assert.h"
#include "base/compiler.h"

static inline size_t wf_reader_unread(const weft_reader *r)
{
    return r->weft_end - r->weft_at;
}

static inline char *wf_reader_bytes(const weft_reader *r)
{
    return r->weft_buf + r->weft_at;
}

// wf_reader_forget forgets what was searched.
static inline void wf_reader_forget(weft_reader *r)
{
    r->weft_looked = r->weft_at;
    r->weft_ends = 0;
}

// wf_reader_consume consumes `n` unread bytes. They stay in the buffer.
static inline void wf_reader_consume(weft_reader *r, size_t n)
{
    wf_debug_assert(n <= wf_reader_unread(r));
    r->weft_at += n;
    wf_reader_forget(r);
}

// wf_reader_fill reads from the stream once, at least one byte, and appends to the
// unread bytes. `want`: how many unread bytes the caller needs, or 0.
// Returns: how many bytes have come; 0 at the end; an error.
// Context: at most max + 9 bytes are unread.
WF_NOINLINE ssize_t wf_reader_fill(weft_reader *r, size_t want);

#endif
