// Input and output: POSIX calls that park the task where POSIX would block the thread.
//
// Any pollable descriptor works, in blocking mode or not, and keeps its mode:
// O_NONBLOCK belongs to the open file description, which other processes may share.
// (weft_connect lends it to a socket for the time of connect(2).) Sockets and pipes
// cost nothing more for that. A terminal or a FIFO is opened once more through /proc
// for each call. Any other descriptor in blocking mode (a listener, the master of a
// pseudo-terminal, inotify, ...) goes through the blocking pool once poll(2) says that
// it is ready, unless its program has set O_NONBLOCK before. (If another process clears
// that flag for the first time, and takes what was there, between two system calls of
// weft's, the worker blocks until there is something again; from then on weft does not
// believe the flag.) Reads and writes of regular files, and of devices that cannot be
// polled, go to the blocking pool, too; weft/file.h has weft_pread, which reads the page
// cache without a thread. Any number of tasks may read, and any number
// may write, the same descriptor at the same time.
//
// Closing. A descriptor that weft has made (weft_accept, the dial and listen calls of
// net.h) is closed with weft_close. Any other may be closed by weft_close or in any
// other way, by any code: close(2), fclose, pclose, dup2 over it, a library, a thread
// of the program's own. The system may give its number at once to another file of any
// kind:
//   - A call that begins after that is for the number's new file. The call never waits
//     for the old file, and never blocks the thread.
//   - weft_close wakes the waiting tasks, with -EBADF. Another close wakes no task, as
//     with poll(2): a task that waits for the old file then gets -EBADF when the next
//     call begins to wait on the number, or uses it as a regular file; if no call does,
//     it waits until it is cancelled.
//   - weft_read_full, weft_write_all, MSG_WAITALL and weft_connect go on with the file
//     that they began with, or return -EBADF. This holds for every weft_close that
//     comes after the call has begun. They notice another close before each further
//     step if the call has waited, or if a call on the descriptor had to wait before; a
//     close between the first two steps of a call they cannot always notice.
//   - A job in the blocking pool keeps to its file. If weft_close comes while the job
//     waits for a thread, the call returns -EBADF at once, and nothing was read or
//     written. Once the job has begun, it ends on its file, or with -EBADF and nothing
//     done, and the number is not used again before that. If other code closes the
//     number, a job that has not begun recognises another file by its device, its inode
//     number and its time of birth, where the file system knows that, and the call
//     returns -EBADF; the job takes the same file, opened anew, for its own.
// If other code closes a descriptor that weft has made, without weft_close, one later
// call may hang that waits on the number's next descriptor, unless weft has made that
// one, too. After the first such close that weft has noticed, weft treats the
// descriptors that it makes like any other. The price of all this is two epoll_ctl(2)
// for each wait on a descriptor that weft has not made: before the task parks, and when
// it is woken. weft_poll for POLLIN alone, or POLLOUT alone, makes one, and no other
// system call, until the descriptor has seen an end, an error or urgent data.
//
// Common to all calls below, unless they say otherwise:
// Returns: what the POSIX call of the same name returns, but a negative errno value for
//          failure; never -EAGAIN and never -EINTR. Also -ECANCELED, or -ETIMEDOUT by a
//          scope's deadline (TCP has an -ETIMEDOUT of its own: in the scope,
//          weft_cancelled() tells them apart); -EBADF if the descriptor is closed
//          meanwhile; -ENOMEM if it cannot be registered.
//          -EADDRNOTAVAIL if a socket that has no local port gets none because all are
//          taken, for which send(2) says EAGAIN. -EFAULT, or a short count, if not all
//          of the buffer is memory; no byte is lost.
//          -EINVAL at once, as read(2), for a buffer that is too small: fewer than 8
//          bytes for an eventfd or timerfd, 128 for a signalfd (before Linux 6.10 the
//          last two are waited for first).
// Context: task. May park, so the caller may continue on another thread.
// Cancel:  nothing was read, written or accepted.
#ifndef WEFT_IO_H
#define WEFT_IO_H

#include <poll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <weft/base.h>
#include <weft/copy.h>

WEFT_BEGIN_DECLS

WEFT_API ssize_t weft_read(int fd, void *buf, size_t n);
WEFT_API ssize_t weft_write(int fd, const void *buf, size_t n);
WEFT_API ssize_t weft_readv(int fd, const struct iovec *v, int n);
WEFT_API ssize_t weft_writev(int fd, const struct iovec *v, int n);

// The socket calls. With MSG_DONTWAIT in flags they do not park but return -EAGAIN.
// MSG_WAITALL makes weft_recv wait for all `n` bytes on a stream; the other calls
// ignore it. Where the kernel does not report that there is room (a Unix datagram
// socket's receiver, unless the two are connected; a Unix listener, for weft_connect),
// the call tries again periodically, after 1 to 64 ms.
WEFT_API ssize_t weft_recv(int fd, void *buf, size_t n, int flags);
WEFT_API ssize_t weft_send(int fd, const void *buf, size_t n, int flags);
WEFT_API ssize_t weft_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *sa, socklen_t *len);
WEFT_API ssize_t weft_sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *sa, socklen_t len);
WEFT_API ssize_t weft_recvmsg(int fd, struct msghdr *msg, int flags);
WEFT_API ssize_t weft_sendmsg(int fd, const struct msghdr *msg, int flags);

// weft_read_full reads until `n` bytes are there.
//
// Returns: 0; -ENODATA if the stream ends before; an error of weft_read. *done (may be
//          NULL) tells how many bytes are in buf, also on error.
WEFT_API int weft_read_full(int fd, void *buf, size_t n, size_t *done);

// weft_write_all writes until all `n` bytes are written; *done (may be NULL) tells how
// many, also on error.
//
// Returns: 0; an error of weft_write; -EIO if the device takes nothing and gives no
//          reason.
// Cancel:  of both: what *done tells has been read, or written.
WEFT_API int weft_write_all(int fd, const void *buf, size_t n, size_t *done);

// weft_accept takes a connection; the new descriptor is non-blocking and close-on-exec,
// and has TCP_NODELAY if the listener has it, as a listener of weft_tcp_listen does.
// The call skips a connection that was reset before it was taken. -EMFILE, -ENFILE,
// -ENOBUFS and -ENOMEM come back at once: sleep (weft_sleep) and try again; the
// connection still waits.
WEFT_API int weft_accept(int fd, struct sockaddr *sa, socklen_t *len);

// weft_connect connects a socket. A socket in blocking mode is in that mode again when
// the call returns, or parks.
//
// Returns: also -EMFILE, for a socket in blocking mode.
// Cancel:  the connection attempt goes on in the kernel; close the descriptor.
WEFT_API int weft_connect(int fd, const struct sockaddr *sa, socklen_t len);

// weft_poll parks until `fd` is ready for one of `events` (POLLIN, POLLOUT, POLLPRI,
// POLLRDHUP, ...): for libraries that do their own non-blocking I/O.
//
// Returns: the revents of poll(2), above 0, as of a moment during the call: another
//          task that reads from `fd` may have been faster. -EPERM for a regular file
//          that is not ready: it never will be. -EMFILE, -ENFILE, -ENOSPC: a call that
//          waits for less than what makes a direction ready (POLLPRI alone, say) needs
//          a descriptor of its own meanwhile, and Linux lets 500 of them watch one
//          file.
WEFT_API int weft_poll(int fd, short events);

// weft_close closes `fd` and wakes the tasks that wait on it, in every runtime, with
// -EBADF. A call that begins at the same time gets -EBADF, or finds the number's next
// descriptor, as read(2) does beside close(2).
//
// While a job of the blocking pool, or a further step of a call of many, is at work on
// the descriptor, weft_close closes the file (no error of close(2) is reported then),
// but the number stays taken until that has ended. A program that wants this very
// number next, by dup2, should wait until fcntl(2) says EBADF.
//
// Returns: 0; -EBADF; -EIO and the like as close(2): the descriptor is gone all the
//          same.
// Context: any thread: a task, a job of weft_blocking, a thread of the program's own.
//          Never parks; not a cancellation point. Where close(2) blocks (a socket with
//          SO_LINGER and a time, until the peer has everything; a file on a network) it
//          blocks the calling thread, which in a task is the worker, and no other: such
//          a descriptor is better closed by weft_blocking.
WEFT_API int weft_close(int fd);

WEFT_END_DECLS

#endif
