// Reading and writing bytes, on any kind of descriptor.
//
// A call first treats a descriptor as a socket: recv and send with MSG_DONTWAIT and
// MSG_NOSIGNAL need no O_NONBLOCK and raise no SIGPIPE. If they return ENOTSOCK, it
// uses read and write instead (wf_ready_file). The source of a registered descriptor
// remembers the kind.
//
// O_NONBLOCK belongs to the open file description, which other processes and the rest
// of the program may share. So weft does not set it here, and avoids relying on it,
// because other code may remove it. Instead,
//   - RWF_NOWAIT belongs to the call, but not all files support it (pipes do since
//     Linux 6.5, terminals and FIFOs do not);
//   - for the other files poll(2) must first report readiness; then a terminal, a FIFO
//     or a pipe is used through a private description (own.h);
//   - the remaining kinds (the master of a pseudo-terminal, inotify, writes to an
//     eventfd) are used directly while they have the flag. Once one was found without
//     it, its calls go to the blocking pool, for a bounded time (bounded.h). A call
//     blocks the worker only if the flag is removed for the first time between two
//     system calls, and other code takes the data at the same moment.
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <weft/io.h>

#include "base/sys.h"
#include "runtime/io/bounded.h"
#include "runtime/io/buffer.h"
#include "runtime/io/own.h"
#include "runtime/io/ready.h"
#include "runtime/io/step.h"

// The argument of system calls with vectors.
struct vec {
    const struct iovec *v;
    int n;
};

static ssize_t sys_recv_vec(int fd, void *args)
{
    struct vec *v = args;
    struct msghdr msg = { .msg_iov = (struct iovec *)v->v, .msg_iovlen = (size_t)v->n };
    return WF_RETRY(wf_sys_recvmsg(fd, &msg, MSG_DONTWAIT));
}

static ssize_t sys_send_vec(int fd, void *args)
{
    struct vec *v = args;
    struct msghdr msg = { .msg_iov = (struct iovec *)v->v, .msg_iovlen = (size_t)v->n };
    ssize_t put = WF_RETRY(wf_sys_sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL));
    return put == -EINPROGRESS ? -EAGAIN : put; // as above
}

static ssize_t sys_readv(int fd, void *args)
{
    struct vec *v = args;
    return WF_RETRY(wf_sys_readv(fd, v->v, v->n));
}

static ssize_t sys_writev(int fd, void *args)
{
    struct vec *v = args;
    return WF_RETRY(wf_sys_writev(fd, v->v, v->n));
}

typedef ssize_t move_fn(int fd, const struct iovec *v, int n, off_t at, int flags);

// move_now is preadv2 or pwritev2 at the file's position, without waiting. It sets
// *refused if the file does not support that. (An error that may have another cause
// comes again from the call that is made instead.)
static ssize_t move_now(move_fn *move, int fd, const struct vec *v, bool *refused)
{
    ssize_t result = WF_RETRY(move(fd, v->v, v->n, -1, RWF_NOWAIT));

    *refused = result == -EOPNOTSUPP || result == -ENOSYS || result == -EINVAL || result == -EPERM;
    return result;
}

// move_some is for a file that does not support RWF_NOWAIT; `said` is its error. If the
// file is not ready, an -EINVAL is a real error: the buffer is too small (fewer than 8
// bytes for a counter), or the file has no such call. read(2), too, returns that
// without a wait.
WF_NOINLINE static ssize_t move_some(int fd, short events, const struct vec *v, wf_ready_try *as_it_is, ssize_t said)
{
    int ready = wf_poll_now(fd, events);

    if (ready <= 0)
        return ready < 0 ? ready : said == -EINVAL ? said : -EAGAIN;
    ssize_t result = wf_own_move(fd, events, v->v, v->n);
    if (result == WF_TRY_POOL && wf_sys_fcntl(fd, F_GETFL, 0) & O_NONBLOCK)
        result = as_it_is(fd, (void *)v);
    // No edge will come if another reader or writer was faster, or if there is too
    // little room.
    return result == -EAGAIN && wf_poll_now(fd, events) > 0 ? WF_TRY_LATER : result;
}

static ssize_t sys_readv_now(int fd, void *args)
{
    bool refused;
    ssize_t got = move_now(wf_sys_preadv2, fd, args, &refused);
    return refused ? move_some(fd, POLLIN, args, sys_readv, got) : got;
}

static ssize_t sys_writev_now(int fd, void *args)
{
    bool refused;
    ssize_t put = move_now(wf_sys_pwritev2, fd, args, &refused);
    return refused ? move_some(fd, POLLOUT, args, sys_writev, put) : put;
}

static ssize_t sys_readv_once(int fd, void *args)
{
    struct vec *v = args;
    return wf_sys_readv(fd, v->v, v->n);
}

static ssize_t sys_writev_once(int fd, void *args)
{
    struct vec *v = args;
    return wf_sys_writev(fd, v->v, v->n);
}

static ssize_t sys_readv_bounded(int fd, void *args)
{
    return wf_bounded(fd, POLLIN, sys_readv_once, args);
}

static ssize_t sys_writev_bounded(int fd, void *args)
{
    return wf_bounded(fd, POLLOUT, sys_writev_once, args);
}

static const struct wf_file_calls reading = { sys_readv_now, sys_readv_bounded, sys_readv };
static const struct wf_file_calls writing = { sys_writev_now, sys_writev_bounded, sys_writev };

// run_call makes one call, on a socket or else on a file, for which `v` describes the
// same bytes as `args`. It is inlined, so its arguments are constants.
__attribute__((always_inline)) static inline ssize_t run_call(struct wf_ready *r, wf_ready_try *socket, void *args,
                                                              const struct wf_file_calls *file, struct vec v,
                                                              const void *into, size_t full)
{
    ssize_t result;

    do {
        if (wf_likely(r->kind < WF_KIND_OTHER)) {
            result = wf_ready_run(r, socket, args, into, full);
            if (wf_likely(result != -ENOTSOCK))
                return result;
        }
        result = wf_ready_file(r, file, &v);
    } while (wf_unlikely(result == WF_READY_OTHER));
    return result;
}

// read_some is one step of reading, write_some one of writing. They are inline, so that
// fewer calls return (base/sys.h).
__attribute__((always_inline)) static inline ssize_t read_some(struct wf_ready *r, void *buf, size_t n)
{
    struct wf_span span = { buf, n };
    struct iovec one = { buf, n };
    return run_call(r, wf_step_recv, &span, &reading, (struct vec){ &one, 1 }, buf, n);
}

__attribute__((always_inline)) static inline ssize_t write_some(struct wf_ready *r, const void *buf, size_t n)
{
    struct wf_span span = { (void *)buf, n };
    struct iovec one = { (void *)buf, n };
    return run_call(r, wf_step_send, &span, &writing, (struct vec){ &one, 1 }, NULL, n);
}

ssize_t wf_step_read(struct wf_ready *r, void *buf, size_t n)
{
    return read_some(r, buf, n);
}

ssize_t wf_step_write(struct wf_ready *r, const void *buf, size_t n)
{
    return write_some(r, buf, n);
}

// --- reading -------------------------------------------------------------------------

ssize_t weft_read(int fd, void *buf, size_t n)
{
    struct iovec one = { buf, n };
    struct wf_ready r;

    int err = wf_ready_open(&r, fd, WF_READ, "weft_read");
    if (err < 0)
        return err;
    if (wf_unlikely(n == 0)) // readv of nothing never waits, and takes no datagram, as read(2) does with a socket
        return wf_ready_once(fd, sys_readv, &(struct vec){ &one, 1 });
    return read_some(&r, buf, n);
}

// --- into a buffer that is lent ------------------------------------------------------

static ssize_t sys_recv_lent(int fd, void *args)
{
    struct wf_lent *l = args;

    if (wf_unlikely(!wf_lend(l)))
        return -ENOMEM;
    return wf_lent_back(l, wf_step_recv(fd, &(struct wf_span){ l->at, l->room }));
}

static ssize_t read_lent(wf_ready_try *call, int fd, struct wf_lent *l)
{
    if (!wf_lend(l))
        return -ENOMEM;
    return wf_lent_back(l, call(fd, &(struct vec){ &(struct iovec){ l->at, l->room }, 1 }));
}

static ssize_t sys_readv_lent_now(int fd, void *args)
{
    return read_lent(sys_readv_now, fd, args);
}

static ssize_t sys_readv_lent_bounded(int fd, void *args)
{
    return read_lent(sys_readv_bounded, fd, args);
}

static ssize_t sys_readv_lent(int fd, void *args)
{
    return read_lent(sys_readv, fd, args);
}

static const struct wf_file_calls reading_lent = { sys_readv_lent_now, sys_readv_lent_bounded, sys_readv_lent };

// wf_read_lent need not check that the buffer is memory, because the runtime's buffers
// are.
ssize_t wf_read_lent(int fd, struct wf_lent *l)
{
    struct wf_ready r;
    ssize_t result;

    int err = wf_ready_open(&r, fd, WF_READ, "weft_reader");
    if (err < 0)
        return err;
    do {
        if (wf_likely(r.kind < WF_KIND_OTHER)) {
            result = wf_ready_run(&r, sys_recv_lent, l, NULL, l->room);
            if (wf_likely(result != -ENOTSOCK))
                return result;
        }
        result = wf_ready_file(&r, &reading_lent, l);
    } while (wf_unlikely(result == WF_READY_OTHER));
    return result;
}

// --- writing -------------------------------------------------------------------------

// write_nothing: an empty write succeeds even where there is no room, except of a
// datagram. writev of nothing to a file never waits.
static ssize_t write_nothing(int fd, const void *buf)
{
    struct iovec one = { (void *)buf, 0 };
    ssize_t put = wf_ready_once(fd, wf_step_send, &(struct wf_span){ (void *)buf, 0 });
    return put == -ENOTSOCK ? sys_writev(fd, &(struct vec){ &one, 1 }) : put;
}

ssize_t weft_write(int fd, const void *buf, size_t n)
{
    struct wf_ready r;

    int err = wf_ready_open(&r, fd, WF_WRITE, "weft_write");
    if (err < 0)
        return err;
    if (wf_unlikely(n == 0)) {
        ssize_t put = write_nothing(fd, buf);
        if (put != -EAGAIN)
            return put;
    }
    return write_some(&r, buf, n);
}

// total is the number of bytes of a vector. Returns: -EINVAL if it is too long, as the
// system does.
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

// holds_vector is wf_ready_holds of a vector.
static bool holds_vector(const struct wf_ready *r, const struct iovec *v, int n)
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
    return run_call(&r, sys_recv_vec, &vec, &reading, vec, NULL, holds_vector(&r, v, n) ? (size_t)full : 0);
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
    return run_call(&r, sys_send_vec, &vec, &writing, vec, NULL, (size_t)full);
}

// do_step is read_some or write_some.
__attribute__((always_inline)) static inline ssize_t do_step(struct wf_ready *r, enum wf_direction direction, void *buf,
                                                             size_t n)
{
    return direction == WF_READ ? read_some(r, buf, n) : write_some(r, buf, n);
}

// move_rest makes the further steps of a call, after the first has moved `moved` bytes.
__attribute__((cold, noinline)) static ssize_t move_rest(struct wf_ready *r, char *buf, size_t n, ssize_t moved,
                                                         size_t *at)
{
    for (;;) {
        if (moved <= 0 || (*at += (size_t)moved) == n)
            return moved;
        int err = wf_ready_again(r);
        moved = err < 0 ? err : do_step(r, r->direction, buf + *at, n - *at);
    }
}

static inline int report_done(size_t at, size_t *done, int result)
{
    if (done)
        *done = at;
    return result;
}

// move_all moves all `n` bytes. Returns: 0; an error; `dry` if a step moves no bytes.
__attribute__((always_inline)) static inline int move_all(int fd, enum wf_direction direction, const char *call,
                                                          void *buf, size_t n, size_t *done, int dry)
{
    struct wf_ready r;
    size_t at = 0;

    if (n == 0)
        return report_done(0, done, 0);
    ssize_t moved = wf_ready_open_all(&r, fd, direction, call);
    if (moved == 0)
        moved = do_step(&r, direction, buf, n);
    if (wf_likely(moved == (ssize_t)n))
        return report_done(n, done, 0);
    if (moved > 0)
        moved = move_rest(&r, buf, n, moved, &at);
    return report_done(at, done, at == n ? 0 : moved < 0 ? (int)moved : dry);
}

int weft_read_full(int fd, void *buf, size_t n, size_t *done)
{
    return move_all(fd, WF_READ, "weft_read", buf, n, done, -ENODATA);
}

int weft_write_all(int fd, const void *buf, size_t n, size_t *done)
{
    // -EIO: the device takes no bytes, and gives no reason
    return move_all(fd, WF_WRITE, "weft_write", (void *)buf, n, done, -EIO);
}
