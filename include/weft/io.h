// Input and output: POSIX calls that park the task where POSIX would block the thread.
//
// Any pollable descriptor works, in blocking mode or not, and is left in the mode it is in: O_NONBLOCK is of the open
// file description, which other processes may share. (weft_connect lends it to a socket for the time of connect(2).)
// Sockets and pipes cost nothing more for that; a terminal or a FIFO is opened once more through /proc for each call;
// the rest in blocking mode (a listener, the master of a pseudo-terminal, inotify, ...) goes through the blocking pool
// once poll(2) says that it is ready, unless its program has set O_NONBLOCK before. Reads and writes of regular files,
// and of devices that cannot be polled, go to the blocking pool, too. Any number of tasks may read, and any number may
// write, the same descriptor at the same time.
//
// What weft has waited on is closed with weft_close; after a plain close(2) a later descriptor with the same number
// could wait for ever.
//
// Common to all calls below, unless they say otherwise:
// Returns: what the POSIX call of the same name returns, but a negative errno value for failure; never -EAGAIN and
//          never -EINTR. -ECANCELED, or -ETIMEDOUT by a scope's deadline (TCP has an -ETIMEDOUT of its own: in
//          the scope, weft_cancelled() tells them apart); -EBADF if the descriptor is closed meanwhile; -ENOMEM if it
//          cannot be registered.
//          -EADDRNOTAVAIL if a socket that has no local port gets none because all are taken, for which send(2) says
//          EAGAIN. -EFAULT, or a short count, if not all of the buffer is memory; no byte is lost.
// Context: task. May park, so the caller may continue on another thread.
// Cancel:  nothing was read, written or accepted.
#ifndef WEFT_IO_H
#define WEFT_IO_H

#include <poll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <weft/base.h>

WEFT_BEGIN_DECLS

WEFT_API ssize_t weft_read(int fd, void *buf, size_t n);
WEFT_API ssize_t weft_write(int fd, const void *buf, size_t n);
WEFT_API ssize_t weft_readv(int fd, const struct iovec *v, int n);
WEFT_API ssize_t weft_writev(int fd, const struct iovec *v, int n);

// The socket calls. With MSG_DONTWAIT in flags they do not park but return -EAGAIN. MSG_WAITALL makes weft_recv wait
// for all of it on a stream; it means nothing to the others. Where nothing tells when there is room (a Unix datagram
// socket's receiver, unless the two are connected; a Unix listener, for weft_connect), the call tries again every now
// and then, after 1 to 64 ms.
WEFT_API ssize_t weft_recv(int fd, void *buf, size_t n, int flags);
WEFT_API ssize_t weft_send(int fd, const void *buf, size_t n, int flags);
WEFT_API ssize_t weft_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *sa, socklen_t *len);
WEFT_API ssize_t weft_sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *sa, socklen_t len);
WEFT_API ssize_t weft_recvmsg(int fd, struct msghdr *msg, int flags);
WEFT_API ssize_t weft_sendmsg(int fd, const struct msghdr *msg, int flags);

// weft_read_full reads until `n` bytes are there.
//
// Returns: 0; -ENODATA if the stream ends before; an error of weft_read. *done (may be NULL) tells how many bytes are
//          in buf, also on error.
WEFT_API int weft_read_full(int fd, void *buf, size_t n, size_t *done);

// weft_write_all writes until all `n` bytes are written; *done (may be NULL) tells how far it got, also on error.
//
// Returns: 0; an error of weft_write; -EIO if the device takes nothing and gives no reason.
// Cancel:  of both: what *done tells has been read, or written.
WEFT_API int weft_write_all(int fd, const void *buf, size_t n, size_t *done);

// weft_accept takes a connection; the new descriptor is non-blocking and close-on-exec, and has TCP_NODELAY if the
// listener has, as that of weft_tcp_listen. A connection that was reset before it was taken is passed over. -EMFILE,
// -ENFILE, -ENOBUFS and -ENOMEM come back at once: back off (weft_sleep) and try again, the connection still waits.
WEFT_API int weft_accept(int fd, struct sockaddr *sa, socklen_t *len);

// weft_connect connects a socket. One in blocking mode is in that mode again when the call returns, or parks.
//
// Returns: also -EMFILE, for a socket in blocking mode.
// Cancel:  the connection attempt goes on in the kernel; close the descriptor.
WEFT_API int weft_connect(int fd, const struct sockaddr *sa, socklen_t len);

// weft_poll parks until `fd` is ready for one of `events` (POLLIN, POLLOUT, POLLPRI, POLLRDHUP, ...): how libraries
// that do their own non-blocking I/O plug in.
//
// Returns: the revents of poll(2), above 0, as of a moment during the call: of several tasks that read from `fd`,
//          another may have been faster. -EPERM for a file that is not ready: it never will be. -EMFILE, -ENFILE,
//          -ENOSPC: a call that waits for less than what makes a direction ready (POLLPRI alone, say) needs a
//          descriptor of its own meanwhile, and Linux lets 500 of them watch one file.
WEFT_API int weft_poll(int fd, short events);

// weft_close closes `fd` and wakes whoever waits on it, in whatever runtime, with -EBADF. A call that begins at the
// same time gets -EBADF, or finds the number's next descriptor, as read(2) does beside close(2).
//
// Returns: 0; -EBADF; -EIO and the like as close(2): the descriptor is gone all the same.
// Context: any thread: a task, a job of weft_blocking, a thread of the program's own. Never parks; not a cancellation
//          point. Where close(2) blocks (a socket with SO_LINGER and a time, until the peer has everything; a file on a
//          network) it blocks the calling thread, which in a task is the worker, and nobody else: such a descriptor is
//          better closed by weft_blocking.
WEFT_API int weft_close(int fd);

WEFT_END_DECLS

#endif
