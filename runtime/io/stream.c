// Reading and writing bytes, on whatever a descriptor may be.
//
// A descriptor is taken for a socket until recv or send says ENOTSOCK: then the socket calls with MSG_DONTWAIT and
// MSG_NOSIGNAL, which need no O_NONBLOCK and raise no SIGPIPE, give way to read and write (wf_ready_file). A descriptor
// that is registered remembers what it is.
#include <limits.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <weft/io.h>

#include "base/syscall.h"
#include "runtime/io/ready.h"

// What the system calls of this file work on: one buffer, or a vector.
struct span {
    void *base;
    size_t n;
};

struct vec {
    const struct iovec *v;
    int n;
};

// The two that every message comes through go without the C library, and so without errno.
static inline ssize_t sys_recv(int fd, void *args)
{
    struct span *s = args;
    return wf_syscall_retry(SYS_recvfrom, fd, (long)s->base, (long)s->n, MSG_DONTWAIT, 0, 0);
}

static inline ssize_t sys_send(int fd, void *args)
{
    struct span *s = args;
    return wf_syscall_retry(SYS_sendto, fd, (long)s->base, (long)s->n, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0);
}

WF_NOINLINE static ssize_t sys_read(int fd, void *args)
{
    struct span *s = args;
    return wf_result(TEMP_FAILURE_RETRY(read(fd, s->base, s->n)));
}

WF_NOINLINE static ssize_t sys_write(int fd, void *args)
{
    struct span *s = args;
    return wf_result(TEMP_FAILURE_RETRY(write(fd, s->base, s->n)));
}

WF_NOINLINE static ssize_t sys_recv_vec(int fd, void *args)
{
    struct vec *v = args;
    struct msghdr msg = { .msg_iov = (struct iovec *)v->v, .msg_iovlen = (size_t)v->n };
    return wf_result(TEMP_FAILURE_RETRY(recvmsg(fd, &msg, MSG_DONTWAIT)));
}

WF_NOINLINE static ssize_t sys_send_vec(int fd, void *args)
{
    struct vec *v = args;
    struct msghdr msg = { .msg_iov = (struct iovec *)v->v, .msg_iovlen = (size_t)v->n };
    return wf_result(TEMP_FAILURE_RETRY(sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL)));
}

WF_NOINLINE static ssize_t sys_readv(int fd, void *args)
{
    struct vec *v = args;
    return wf_result(TEMP_FAILURE_RETRY(readv(fd, v->v, v->n)));
}

WF_NOINLINE static ssize_t sys_writev(int fd, void *args)
{
    struct vec *v = args;
    return wf_result(TEMP_FAILURE_RETRY(writev(fd, v->v, v->n)));
}

// run is one call: on a socket, or else on a file. The arguments are known where it is inlined.
__attribute__((always_inline)) static inline ssize_t run(struct wf_ready *r, wf_ready_try *socket, wf_ready_try *file,
                                                         void *args, const void *into, size_t full)
{
    if (wf_likely(r->kind != WF_KIND_OTHER)) {
        ssize_t result = wf_ready_run(r, socket, args, into, full);
        if (wf_likely(result != -ENOTSOCK))
            return result;
    }
    return wf_ready_file(r, file, args);
}

ssize_t weft_read(int fd, void *buf, size_t n)
{
    struct span span = { buf, n };
    struct iovec none = { buf, 0 };
    struct wf_ready r;

    int err = wf_ready_open(&r, fd, WF_READ, "weft_read");
    if (err < 0)
        return err;
    if (wf_unlikely(n == 0)) // readv of nothing never waits, and takes no datagram: what read(2) does with a socket
        return wf_ready_once(fd, sys_readv, &(struct vec){ &none, 1 });
    return run(&r, sys_recv, sys_read, &span, buf, n);
}

// write_nothing: an empty write succeeds even where there is no room, except of a datagram.
static ssize_t write_nothing(int fd, struct span *none)
{
    ssize_t put = wf_ready_once(fd, sys_send, none);
    return put == -ENOTSOCK ? sys_write(fd, none) : put;
}

// write_some is weft_write, also where weft_write_all does it: inline, so that fewer calls return (base/syscall.h).
__attribute__((always_inline)) static inline ssize_t write_some(int fd, const void *buf, size_t n)
{
    struct span span = { (void *)buf, n };
    struct wf_ready r;

    int err = wf_ready_open(&r, fd, WF_WRITE, "weft_write");
    if (err < 0)
        return err;
    if (wf_unlikely(n == 0)) {
        ssize_t put = write_nothing(fd, &span);
        if (put != -EAGAIN)
            return put;
    }
    return run(&r, sys_send, sys_write, &span, NULL, n);
}

ssize_t weft_write(int fd, const void *buf, size_t n)
{
    return write_some(fd, buf, n);
}

// total adds up a vector. Returns: -EINVAL if it is too long, as the system says.
static ssize_t total(const struct iovec *v, int n)
{
    size_t sum = 0;

    if (n < 0 || n > IOV_MAX)
        return -EINVAL;
    for (int i = 0; i < n; i++)
        if (__builtin_add_overflow(sum, v[i].iov_len, &sum) || sum > SSIZE_MAX)
            return -EINVAL;
    return (ssize_t)sum;
}

// holds is wf_ready_holds of a vector.
static bool holds(const struct wf_ready *r, const struct iovec *v, int n)
{
    if (n == 1)
        return wf_ready_holds(r, v->iov_base, v->iov_len);
    for (int i = 0; i < n; i++)
        if (!wf_on_stack(r->self, v[i].iov_base, v[i].iov_len))
            return false;
    return true;
}

ssize_t weft_readv(int fd, const struct iovec *v, int n)
{
    struct vec vec = { v, n };
    struct wf_ready r;

    int err = wf_ready_open(&r, fd, WF_READ, "weft_readv");
    if (err < 0)
        return err;
    ssize_t full = total(v, n);
    if (full <= 0)
        return full < 0 ? full : wf_ready_once(fd, sys_readv, &vec);
    return run(&r, sys_recv_vec, sys_readv, &vec, NULL, holds(&r, v, n) ? (size_t)full : 0);
}

ssize_t weft_writev(int fd, const struct iovec *v, int n)
{
    struct vec vec = { v, n };
    struct wf_ready r;

    int err = wf_ready_open(&r, fd, WF_WRITE, "weft_writev");
    if (err < 0)
        return err;
    ssize_t full = total(v, n);
    if (full <= 0) // writev of nothing does nothing, and sends no datagram
        return full < 0 ? full : wf_ready_once(fd, sys_writev, &vec);
    return run(&r, sys_send_vec, sys_writev, &vec, NULL, (size_t)full);
}

int weft_read_full(int fd, void *buf, size_t n, size_t *done)
{
    size_t at = 0;
    ssize_t got = 1;

    while (at < n && (got = weft_read(fd, (char *)buf + at, n - at)) > 0)
        at += (size_t)got;
    if (done)
        *done = at;
    if (at == n)
        return 0;
    return got < 0 ? (int)got : -ENODATA;
}

int weft_write_all(int fd, const void *buf, size_t n, size_t *done)
{
    size_t at = 0;
    ssize_t put = 1;

    while (at < n && (put = write_some(fd, (const char *)buf + at, n - at)) > 0)
        at += (size_t)put;
    if (done)
        *done = at;
    if (at == n)
        return 0;
    return put < 0 ? (int)put : -EIO; // a device that takes nothing, and gives no reason
}
