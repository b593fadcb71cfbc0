// The reader: bytes of a stream that have been read and not been consumed yet.
//
//      weft_buf                                           weft_room
//         |..consumed..|unread, searched|unread, not searched|......|0|
//                   weft_at        weft_looked            weft_end
//
// The searched bytes have no delimiter except the ends of lines that weft_ends marks: its
// bit i is of the byte at weft_looked - 64 + i.
//
// A call looks for what it wants among the unread bytes, and has the reader filled
// (wf_reader_fill) as long as that is not there. It consumes (wf_reader_consume) only
// when it is complete; so a call that fails, or is cut short, has done nothing but make
// the reader fuller. The byte behind the buffer is for the 0 at the end of a line.
//
// What a call shows lies in the buffer, and so the buffer stays until the next call,
// even if no byte in it is unread. It goes back when the reader is filled the next
// time, before the task waits.
//
// Linear. What was searched is not searched again (weft_looked). Bytes are moved only
// if not more of them are moved than have been consumed since the last time, or into a
// buffer of twice the size, or if the buffer can get no larger. (In that case a caller
// that peeks at max bytes and skips a few, each time, moves all of them each time.)
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

// wf_reader_consume consumes `n` unread bytes. Their memory stays the reader's.
static inline void wf_reader_consume(weft_reader *r, size_t n)
{
    wf_debug_assert(n <= wf_reader_unread(r));
    r->weft_at += n;
    wf_reader_forget(r);
}

// wf_reader_fill reads from the stream, once: at least a byte more, in one piece with
// those that are unread. `want`: how many unread bytes the caller needs, or 0.
// Returns: how many bytes have come; 0 at the end; an error.
// Context: at most max + 9 bytes are unread.
WF_NOINLINE ssize_t wf_reader_fill(weft_reader *r, size_t want);

#endif
