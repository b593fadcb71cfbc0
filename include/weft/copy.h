// Copies: bytes from one descriptor to another, inside the kernel where possible. This
// is a part of io.h, whose rules about modes, closing and errors apply here too.
//
// Sockets that weft has made, or that have O_NONBLOCK, are spliced. A socket in
// blocking mode is copied through a buffer, because splice(2) and sendfile(2) would
// block the worker. Buffers and pipes belong to the runtime, and a call holds them only
// while they contain bytes. If the system refuses a call, a pipe, or memory for a
// buffer, the call copies in another way.
//
// splice(2) and sendfile(2) to a socket whose peer is gone raise SIGPIPE, as write(2)
// does: by default the signal does nothing in weft's threads; a handler of the program
// is called.
#ifndef WEFT_COPY_H
#define WEFT_COPY_H

#include <sys/types.h>
#include <weft/base.h>

WEFT_BEGIN_DECLS

// weft_copy moves `n` bytes from `src` to `dst`; with `n` -1, all bytes up to the end.
// Both may be any descriptor. It reads and writes a file at the file's position, and
// advances the position. Within one file, a copy to a lower position works as
// memmove(3) does. A copy to a higher position that is less than `n` away may read what
// it has written; with -1 it then never ends.
//
// Returns: 0; -ENODATA if the end comes before `n` bytes; an error of weft_read or
//          weft_write; -EIO if the device takes nothing and gives no reason; -EINVAL:
//          `n` is less than -1. *done (may be NULL) is the number of bytes written,
//          also on error. -EBADF: `dst` or `src` is closed; while the call waits for
//          one of them, it does not notice that the other is closed.
// Context: task. May park, so the caller may continue on another thread.
// Cancel:  as any error: *done bytes have been written, in the right order. If `src` is
//          a file, its position is *done bytes further. If one of the two is a FIFO,
//          and the other a FIFO or a socket not in blocking mode, exactly *done bytes
//          were taken from `src`. Otherwise up to 256 KiB more may have been taken from
//          `src`, and are lost; the call first writes what `dst` has room for. Treat
//          both streams as ended then. From a file to a file, the call waits for a step
//          of at most 4 MiB that has begun.
WEFT_API int weft_copy(int dst, int src, int64_t n, int64_t *done);

// The options of weft_relay.
typedef struct weft_relay_opts {
    size_t size;    // sizeof(weft_relay_opts): lets the struct grow
    weft_time idle; // end with -ETIMEDOUT when no byte has moved, in either direction, for that long; 0: never
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

// weft_relay moves bytes between two stream sockets, in both directions, until both
// have ended. When one socket ends, the relay shuts down (shutdown(2)) the other for
// writing, and the other direction goes on. The sockets stay open: the caller closes
// them. `o` and `st` may be NULL. *st is filled on errors, too. A connection that
// breaks ends the relay. If the relay can no longer write to a socket, it first
// delivers all that this socket's peer has sent, up to the end. It does not pass on
// that end by shutdown(2), so the other peer does not mistake it for an orderly one.
//
// Returns: 0; -ETIMEDOUT after opts.idle without a byte (in a scope with a deadline,
//          weft_cancelled() is true if the deadline was the reason; TCP also has an
//          -ETIMEDOUT); -ECONNRESET and the like if one connection breaks; -EBADF: one
//          is closed; -ENOTSOCK; -EPROTOTYPE: a socket of packets; -EINVAL: a is b, or
//          opts.size is wrong. For other descriptors (a terminal) use two weft_copy in
//          a scope.
// Context: task. May park, so the caller may continue on another thread.
// Cancel:  as any error: *st tells what was written. Up to 256 KiB in each direction
//          may have been read from one socket and not yet written to the other. The
//          call writes those for which the other socket has room; the rest is lost.
WEFT_API int weft_relay(int a, int b, const weft_relay_opts *o, weft_relay_stats *st);

// weft_sendfile sends up to `n` bytes of a regular file or a block device to a stream
// socket. It starts at *offset, or at the file's position if `offset` is NULL, and
// advances the one that it used. A thread of the blocking pool reads what is not in the
// page cache; no worker waits for a disk.
//
// Returns: the number of bytes sent, at least 1 and perhaps fewer than `n`; 0 at the
//          end of the file, or if `n` is 0; an error of read(2) or send(2); -ENOTSOCK:
//          `sock` is not a socket (of whatever kind, with O_APPEND or without: use
//          weft_copy); -EPROTOTYPE: it is a socket of packets; -EINVAL: `file` is
//          something else (a pipe, a terminal, a directory: use weft_copy), or *offset
//          is negative.
// Context: task. May park, so the caller may continue on another thread.
// Cancel:  nothing was sent. But the call waits for a job that has begun, and returns
//          its result; a job sends at most 1 MiB and does not wait for the peer.
WEFT_API ssize_t weft_sendfile(int sock, int file, off_t *offset, size_t n);

WEFT_END_DECLS

#endif
