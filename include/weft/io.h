// Input and output: POSIX calls that park the task where POSIX would block the thread.
//
// Any pollable descriptor works, in blocking mode or not, and keeps its mode:
// O_NONBLOCK belongs to the open file description, which other processes may share.
// (weft_connect sets it on a socket during connect(2).) Sockets and pipes in blocking
// mode cost nothing extra. A terminal or a FIFO is opened once more through /proc for
// each call. Any other descriptor in blocking mode (a listener, the master of a
// pseudo-terminal, inotify, ...) goes through the blocking pool once poll(2) says that
// it is ready, unless the program has set O_NONBLOCK before. (One case blocks the
// worker: between two system calls of weft, another process clears that flag for the
// first time, and reads the data. The worker then blocks until more data arrives; from
// then on weft does not trust the flag.) Reads and writes of regular files, and of
// devices that cannot be polled, also go to the blocking pool; weft_pread (weft/file.h)
// reads from the page cache without a thread. Any number of tasks may read, and any
// number may write, the same descriptor at the same time.
//
// Closing. A descriptor that weft has made (weft_accept, the dial and listen calls of
// net.h) is closed with weft_close. Any other may be closed by weft_close or in any
// other way, by any code: close(2), fclose, pclose, dup2 over it, a library, another
// thread of the program. The system may give its number at once to another file of any
// kind. Then:
//   - A call that begins after the close is for the number's new file. The call never
//     waits for the old file, and never blocks the thread.
//   - weft_close wakes the waiting tasks, with -EBADF. Another close wakes no task, as
//     with poll(2). A task that waits for the old file then gets -EBADF when the next
//     call begins to wait on the number, or uses it as a regular file. If no call does,
//     the task waits until it is cancelled.
//   - weft_read_full, weft_write_all, MSG_WAITALL and weft_connect continue with the
//     file that they began with, or return -EBADF. This holds for every weft_close
//     after the call has begun. They notice any other close before each further step,
//     if this call or an earlier call on the descriptor has waited. They cannot always
//     notice one between the first two steps of a call.
//   - A job in the blocking pool stays with its file. If weft_close is called while the
//     job waits for a thread, the call returns -EBADF at once, and nothing was read or
//     written. A job that has begun finishes on its file, or does nothing and returns
//     -EBADF; the number is not used again before that. If other code closes the
//     number, a job that has not begun recognises another file by its device, its inode
//     number and its time of birth, where the file system knows that, and the call
//     returns -EBADF. It cannot tell its file from the same file, opened anew.
// If other code closes a descriptor that weft has made, without weft_close, one later
// call that waits on the number's next descriptor may hang, unless weft has made that
// one, too. Once weft has noticed such a close, it treats the descriptors that it makes
// like any other. The price of these rules is two epoll_ctl(2) for each wait on a
// descriptor that weft has not made: before the task parks, and when it is woken.
// weft_poll for POLLIN alone, or POLLOUT alone, makes one, and no other system call,
// until the descriptor has had an end, an error or urgent data.
//
// Common to all calls below, unless they say otherwise:
// Returns: what the POSIX call of the same name returns, but a negative errno value for
//          failure; never -EAGAIN and never -EINTR. Also -ECANCELED, or -ETIMEDOUT by a
//          scope's deadline (TCP also has an -ETIMEDOUT: weft_cancelled(), called in
//          the scope, is true for the deadline's); -EBADF if the descriptor is closed
//          during the call; -ENOMEM if it cannot be registered. -EADDRNOTAVAIL if the
//          socket needs a local port and all are taken (send(2) says EAGAIN then).
//          -EFAULT, or a short count, if not all of the buffer is memory; no byte is
//          lost. -EINVAL at once, as read(2), for a buffer that is too small: fewer
//          than 8 bytes for an eventfd or timerfd, 128 for a signalfd. (Before Linux
//          6.10 a call on a timerfd or signalfd waits first.)
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
// ignore it. In two cases the kernel does not report room: at the receiver of a Unix
// datagram socket that is not connected to the sender, and, for weft_connect, at a Unix
// listener. There the call tries again after 1 to 64 ms.
WEFT_API ssize_t weft_recv(int fd, void *buf, size_t n, int flags);
WEFT_API ssize_t weft_send(int fd, const void *buf, size_t n, int flags);
WEFT_API ssize_t weft_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *sa, socklen_t *len);
WEFT_API ssize_t weft_sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *sa, socklen_t len);
WEFT_API ssize_t weft_recvmsg(int fd, struct msghdr *msg, int flags);
WEFT_API ssize_t weft_sendmsg(int fd, const struct msghdr *msg, int flags);

// weft_read_full reads exactly `n` bytes.
//
// Returns: 0; -ENODATA if the stream ends first; an error of weft_read. *done (may be
//          NULL) is the number of bytes in buf, also on error.
WEFT_API int weft_read_full(int fd, void *buf, size_t n, size_t *done);

// weft_write_all writes all `n` bytes. *done (may be NULL) is the number of bytes
// written, also on error.
//
// Returns: 0; an error of weft_write; -EIO if the device takes nothing and gives no
//          reason.
// Cancel:  of both calls: *done bytes have been read, or written.
WEFT_API int weft_write_all(int fd, const void *buf, size_t n, size_t *done);

// weft_accept accepts a connection. The new descriptor is non-blocking and
// close-on-exec, and has TCP_NODELAY if the listener has it, as a listener of
// weft_tcp_listen does. The call skips a connection that was reset before it was
// accepted. It returns -EMFILE, -ENFILE, -ENOBUFS and -ENOMEM at once: sleep
// (weft_sleep) and try again; the connection still waits.
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
// Returns: the revents of poll(2), above 0. They were true at a moment during the call:
//          since then another task may have read from `fd`. -EPERM for a regular file
//          that is not ready: it never will be. -EMFILE, -ENFILE, -ENOSPC: a call for a
//          subset of a direction's events (POLLPRI alone, say) needs a temporary epoll
//          descriptor, of which Linux lets 500 watch one file.
WEFT_API int weft_poll(int fd, short events);

// weft_close closes `fd` and wakes the tasks that wait on it, in every runtime, with
// -EBADF. A call that begins at the same time gets -EBADF, or finds the number's next
// descriptor, as read(2) does beside close(2).
//
// The descriptor may be in use by a job of the blocking pool, or by a later step of a
// call of several steps. weft_close then closes the file (and reports no error of
// close(2)), but the number stays taken until that use has ended. A program that wants
// to reuse this very number by dup2 should wait until fcntl(2) says EBADF.
//
// Returns: 0; -EBADF; -EIO and the like as close(2): the descriptor is gone all the
//          same.
// Context: any thread: a task, a job of weft_blocking, another thread of the program.
//          Never parks; not a cancellation point. close(2) may block (a socket with
//          SO_LINGER and a time, until the peer has all data; a file on a network). It
//          then blocks the calling thread only, which is the worker if the caller is a
//          task: better close such a descriptor in weft_blocking.
WEFT_API int weft_close(int fd);

WEFT_END_DECLS

#endif
