// Streams: buffered input and output over anything: lines, frames, peeks, and collected
// writes.
//
// A stream is two words: a table of operations, and the object that they work on.
// Readers and writers are separate objects of the caller. To end them does not close
// the stream, which stays the caller's. One task at a time may use a reader, and one a
// writer; the two may be different tasks.
//
// Buffers belong to the runtime. A reader holds one only while it contains unread
// bytes, or the text of its last call. A reader that waits for the first byte of a line
// or frame holds none, nor does a flushed writer: they cost only the two objects. A
// buffer has 4 KiB, 16 KiB after a read that filled it, and 64 KiB after two in a row.
// It grows for a longer line or frame, up to `max` (and a few bytes for the end of a
// line, or the start of a frame).
//
// Common to the calls that may park, unless they say otherwise:
// Returns: errors of the stream (of weft_read and weft_writev); -ECANCELED, -ETIMEDOUT;
//          -ENOMEM if there is no memory for a buffer.
// Context: task. May park, so the caller may continue on another thread. In a cancelled
//          task a call fails, even if it would not have to wait.
// Cancel:  no byte is lost or doubled. What a reader has read stays in it: the same
//          call, made again, continues from there. This holds for all other errors,
//          too.
#ifndef WEFT_STREAM_H
#define WEFT_STREAM_H

#include <sys/types.h>
#include <sys/uio.h>
#include <weft/base.h>

WEFT_BEGIN_DECLS

// What a stream can do. `size` is sizeof(weft_stream_ops). Each operation returns a
// negative errno value on failure, and then has had no effect. It parks if it has to
// wait, and is a cancellation point. An operation that is not needed may be NULL.
typedef struct weft_stream_ops {
    size_t size;

    // Up to `n` bytes, as read(2): 0 is the end. To return more than `n`, or more than
    // `writev` was given, is misuse.
    ssize_t (*read)(void *self, void *buf, size_t n);

    // Some of the bytes, as writev(2). A part may be empty, and its address NULL then.
    ssize_t (*writev)(void *self, const struct iovec *v, int n);

    // `poll` waits until `read` (POLLIN) or `writev` (POLLOUT) would not wait, as
    // weft_poll does. If it is NULL, a reader holds a buffer while it waits.
    int (*poll)(void *self, short events);

    // `shutdown` ends the output: the peer reads what was written, then the end.
    int (*shutdown)(void *self);

    int (*close)(void *self);
} weft_stream_ops;

typedef struct weft_stream {
    const weft_stream_ops *ops;
    void *self;
} weft_stream;

// weft_fd_stream is the stream of a descriptor: weft_read, weft_writev, weft_poll,
// shutdown(2) of SHUT_WR (-ENOTSOCK if it is not a socket), weft_close.
// Context: any thread. Never parks.
// Owns:    nothing: the descriptor stays the caller's.
WEFT_API weft_stream weft_fd_stream(int fd);

// weft_stream_pair makes two connected streams in memory: what is written to one is
// read from the other, `capacity` bytes at most in between, each way. For tests: a task
// that waits on one is parked, so virtual time can advance (weft/test.h). Reading ends
// when the other end is shut down or closed; writing then returns -EPIPE, and so does
// writing to an end after its own shutdown.
//
// Returns: 0; -EINVAL if `capacity` is 0; -ENOMEM.
// Context: any thread. Never parks.
// Owns:    the caller closes each end, by `a.ops->close(a.self)`, when no call on that
//          end is under way. The last one frees both.
WEFT_API WEFT_MUST_CHECK int weft_stream_pair(weft_stream *a, weft_stream *b, size_t capacity);

// --- Reading -------------------------------------------------------------------------

typedef struct weft_reader {
    weft_stream weft_from;
    size_t weft_max;
    char *weft_buf;               // the runtime's, or NULL
    size_t weft_room;             // of the buffer
    size_t weft_at, weft_end;     // where in it the unread bytes are
    size_t weft_looked;           // up to where they have been searched
    uint64_t weft_ends;           // ends of lines among the 64 before that; 0: there is no delimiter
    unsigned char weft_delimiter; // what was searched for
    unsigned char weft_brisk;     // how many reads in a row have filled the buffer; 2: two or more
} weft_reader;

// weft_reader_init makes a reader of `s`. `max` is the longest line, frame or peek, in
// bytes; 0: 64 KiB.
//
// Returns: 0; -EINVAL: a stream that cannot be read, or a max that is beyond all
//          memory.
// Context: any thread. Never parks.
// Owns:    the caller ends it with weft_reader_fini. It may not be copied.
WEFT_API int weft_reader_init(weft_reader *r, weft_stream s, size_t max);

// weft_reader_fini ends a reader. Its unread bytes are lost; to keep them, get them by
// weft_reader_peek of 0 bytes before. An all-zero reader is allowed.
// Context: any thread. Never parks.
WEFT_API void weft_reader_fini(weft_reader *r);

// weft_reader_read reads up to `n` bytes: from the buffer if it has any, else from the
// stream. It does not wait for all `n`. A large read bypasses the buffer.
//
// Returns: how many; 0 at the end, and if `n` is 0.
WEFT_API ssize_t weft_reader_read(weft_reader *r, void *buf, size_t n);

// weft_reader_read_full reads `n` bytes, which may be more than max. *done (may be
// NULL) is the number of bytes in `buf`, also on error; these have left the reader.
//
// Returns: 0; -ENODATA if the stream ends before.
WEFT_API int weft_reader_read_full(weft_reader *r, void *buf, size_t n, size_t *done);

// weft_reader_peek shows what comes next, in place, and consumes nothing: at least
// `want` bytes, fewer only if the stream ends before. `want` 0 shows what is in the
// buffer, and does not wait. The bytes are valid until the next call on the reader, and
// the caller may change them. This holds for all calls below.
//
// Returns: how many bytes are at *data; -EMSGSIZE if `want` is above max.
WEFT_API ssize_t weft_reader_peek(weft_reader *r, const void **data, size_t want);

// weft_reader_skip consumes `n` bytes that a peek has shown; it is misuse to skip more.
// Context: task. Never parks.
WEFT_API void weft_reader_skip(weft_reader *r, size_t n);

// weft_reader_until consumes the bytes up to the next `delimiter` (an unsigned char),
// and shows them with it. If the stream ends first, it shows the rest, without a
// delimiter: so the caller can recognise a truncated text.
//
// Returns: the length; -ENODATA at the end; -EMSGSIZE: there is no delimiter in the
//          first max bytes, so a last text has fewer. Nothing is consumed then: skip
//          the bytes, or close the stream.
WEFT_API ssize_t weft_reader_until(weft_reader *r, const char **text, int delimiter);

// weft_reader_line consumes a line that ends with "\n" or "\r\n", and shows it without
// that ending, followed by a 0. (The line may contain zeros.) The last line may end
// with the stream instead. If a protocol must distinguish that from a whole line, use
// weft_reader_until.
//
// Returns: the length, 0 for an empty line; -ENODATA at the end; -EMSGSIZE: it is
//          longer than max, and nothing was consumed.
WEFT_API ssize_t weft_reader_line(weft_reader *r, const char **line);

// How a frame's length is encoded: in 1, 2, 4 or 8 bytes, or (0) as a varint, seven
// bits a byte, the lowest first, at most ten bytes. `max` limits the bytes that follow
// the length; 0: the reader's max, or, for a writer, the largest length that the
// encoding allows. The lower of two limits applies.
typedef struct weft_frame {
    int length_bytes;
    bool big_endian;
    size_t max;
} weft_frame;

// weft_reader_frame consumes a frame, and shows the bytes that follow its length.
//
// Returns: the length, 0 for an empty frame; -ENODATA if the stream ends between two
//          frames; -EBADMSG if it ends within a frame: the incomplete frame stays in
//          the reader; -EMSGSIZE: the length is above the limit, or a varint of more
//          than ten bytes or 64 bits, and nothing was consumed; -EINVAL: there is no
//          such frame.
WEFT_API ssize_t weft_reader_frame(weft_reader *r, const void **data, const weft_frame *f);

// --- Writing -------------------------------------------------------------------------

typedef struct weft_writer {
    weft_stream weft_to;
    size_t weft_size;         // how many bytes it collects
    char *weft_buf;           // the runtime's, or NULL
    size_t weft_room;         // of the buffer
    size_t weft_at, weft_end; // where in it the bytes are
    int weft_error;           // 0, or what each call returns from now on
} weft_writer;

// weft_writer_init makes a writer to `s`, which collects up to `size` bytes before it
// writes them; 0: 4 KiB.
//
// Returns: 0; -EINVAL: a stream that cannot be written to, or a size beyond all memory.
// Context: any thread. Never parks.
// Owns:    the caller ends it with weft_writer_fini. It may not be copied.
WEFT_API int weft_writer_init(weft_writer *w, weft_stream s, size_t size);

// weft_writer_fini ends a writer. It does not flush: bytes that were not written are
// lost.
// Context: any thread. Never parks.
WEFT_API void weft_writer_fini(weft_writer *w);

// weft_writer_write takes all of `data`, or nothing. If the buffer has no room, one
// writev writes the collected bytes and then `data`, without copying it.
//
// weft_writer_printf takes the text that printf would print, which may be longer than
// the buffer.
//
// weft_writer_frame takes a length and `data`. A frame above the limit is -EMSGSIZE;
// -EINVAL: there is no such frame.
//
// Returns: 0: the data is taken, though perhaps not written; an error: it is not. If
//          the task is cancelled, or the stream fails, after the stream has taken some
//          of the data, the writer keeps a copy of the rest, and the call returns 0:
//          the next call that has to write returns the error. If there is no memory for
//          the copy, this call and all later ones on the writer return -ENOMEM.
WEFT_API int weft_writer_write(weft_writer *w, const void *data, size_t n);
#ifdef __GNUC__
__attribute__((format(printf, 2, 3)))
#endif
WEFT_API int weft_writer_printf(weft_writer *w, const char *fmt, ...);
WEFT_API int weft_writer_frame(weft_writer *w, const void *data, size_t n, const weft_frame *f);

// weft_writer_flush writes the collected bytes.
//
// Returns: 0; -EIO if the stream takes nothing and gives no reason.
// Cancel:  the writer keeps exactly the bytes that were not written.
WEFT_API int weft_writer_flush(weft_writer *w);

WEFT_END_DECLS

#endif
