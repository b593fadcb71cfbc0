// Copies: bytes from one descriptor to another, in the kernel where it can. Part of
// io.h, whose rules about modes, closing and errors hold here, too.
//
// Sockets that weft has made, or that have O_NONBLOCK, are spliced; one in blocking mode
// is copied by way of a buffer, for splice(2) and sendfile(2) would block the worker.
// Buffers and pipes are the runtime's, and only held while there are bytes in them. If
// the system refuses a call, a pipe, or memory for a buffer, the call takes another way.
//
// splice(2) and sendfile(2) to a socket whose peer is gone raise SIGPIPE, as write(2)
// does: by default it does nothing in weft's threads, and a handler of the program's is
// called.
#ifndef WEFT_COPY_H
#define WEFT_COPY_H

#include <sys/types.h>
#include <weft/base.h>

WEFT_BEGIN_DECLS

// weft_copy moves `n` bytes from `src` to `dst`, -1: all up to the end; each may be any
// descriptor. Of a file it reads, and writes, at the file's position, which it moves.
// Within one file, to a lower position, it moves the bytes as memmove(3) does; to a
// higher one that is less than `n` away, it may read what it has written, and with -1
// it then never comes to an end.
//
// Returns: 0; -ENODATA if the end comes before `n` bytes; an error of weft_read or
//          weft_write; -EIO if the device takes nothing and gives no reason; -EINVAL:
//          `n` is less than -1. *done (may be NULL) tells how many bytes have been
//          written, also on error. -EBADF: `dst` or `src` is closed; while the call waits
//          for one of the two, it does not notice that the other one is closed.
// Context: task. May park, so the caller may continue on another thread.
// Cancel:  as any error: *done bytes have been written, in the right order, and `src` is
//          a file: its position is *done bytes further;
//          one of the two is a FIFO, and the other one a FIFO or a socket that is not in
//          blocking mode: *done bytes were taken from `src`, too;
//          else: up to 256 KiB more may have been taken from `src`, and are lost. (What
//          the target has room for is written before.) The end of such a copy is the
//          end of both streams.
//          From a file to a file, a step of at most 4 MiB that has begun is waited for.
WEFT_API int weft_copy(int dst, int src, int64_t n, int64_t *done);

// The options of weft_relay.
typedef struct weft_relay_opts {
    size_t size;    // sizeof(weft_relay_opts): lets the struct grow
    weft_time idle; // end with -ETIMEDOUT when no byte has moved, either way, for that long; 0: never
} weft_relay_opts;
#ifdef __cplusplus
#define WEFT_RELAY_OPTS_INIT { sizeof(weft_relay_opts), 0 }
#else
#define WEFT_RELAY_OPTS_INIT { .size = sizeof(weft_relay_opts) }
#endif

// What a relay has moved.
typedef struct weft_relay_stats {
    uint64_t a_to_b; // bytes written to b
    uint64_t b_to_a; // bytes written to a
} weft_relay_stats;

// weft_relay moves bytes between two stream sockets, both ways, until both have ended.
// The end of one is passed on to the other, by shutdown(2), while the way back goes on.
// The sockets stay open: the caller closes them. `o` may be NULL; so may `st`, which is
// filled on errors, too.
//
// Returns: 0; -ETIMEDOUT after opts.idle without a byte (in a scope with a deadline,
//          weft_cancelled() tells the two apart; TCP has an -ETIMEDOUT of its own);
//          -ECONNRESET and the like if one connection breaks: the relay ends, but if it
//          cannot write to one of the two, only when what that one has said is
//          delivered, up to its end, which then is not passed on by shutdown(2), so
//          that no peer takes it for an orderly one; -EBADF: one is closed;
//          -ENOTSOCK; -EPROTOTYPE: a socket of packets; -EINVAL: a is b, or opts.size is
//          wrong. For other descriptors (a terminal) use two weft_copy in a scope.
// Context: task. May park, so the caller may continue on another thread.
// Cancel:  as any error: `st` tells what was written. Of the bytes that were taken from
//          one and not yet written to the other (up to 256 KiB each way), those for
//          which the other has room are written first; the rest is lost.
WEFT_API int weft_relay(int a, int b, const weft_relay_opts *o, weft_relay_stats *st);

// weft_sendfile sends up to `n` bytes of a regular file or a block device to a stream
// socket: from *offset on, which it moves, or, if `offset` is NULL, from the file's
// position on, which it moves. What is not in the page cache is read by a thread of the
// blocking pool; no worker waits for a disk.
//
// Returns: how many bytes, at least 1 and perhaps fewer than `n`; 0 at the end of the
//          file, or if `n` is 0; an error of read(2) or send(2); -ENOTSOCK: `sock` is not a
//          socket (what it is, O_APPEND or not, makes no difference: use weft_copy);
//          -EPROTOTYPE: it is a socket of packets; -EINVAL: `file` is something else (a
//          pipe, a terminal, a directory: use weft_copy), or *offset is negative.
// Context: task. May park, so the caller may continue on another thread.
// Cancel:  nothing was sent; a job that has begun, of at most 1 MiB and without waiting
//          for the peer, is waited for, and its result reported.
WEFT_API ssize_t weft_sendfile(int sock, int file, off_t *offset, size_t n);

WEFT_END_DECLS

#endif
