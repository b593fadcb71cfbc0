// How connections begin: accept and connect. Neither has a flag like MSG_DONTWAIT, and
// O_NONBLOCK belongs to the open file description, which other processes often share
// for a listener. Sockets that weft has made have O_NONBLOCK. weft does not change
// others:
//   - A listener in blocking mode is asked by poll(2), and then accepted from on the blocking pool, for a bounded time
//     (bounded.h), since another process may take the connection first. One that has the flag is accepted from at once;
//     each accept looks first whether it still has it: one cheap call beside one that makes a socket. One that was ever
//     found without is not believed again. (So a call blocks the worker only if the flag is taken away for the first
//     time between the two, and in the same moment the connection, too.)
//   - A socket in blocking mode gets the flag during connect(2), which then starts an
//     attempt and returns. On the pool connect(2) would occupy a thread for minutes,
//     and could not be cancelled. Other code can notice the flag only if it reads it,
//     because no other call waits on an unconnected socket, and a second weft_connect
//     at the same time waits until the first has restored the flag. (connect(2) blocks
//     only if other code removes the flag in that moment.)
#include "runtime/io/connect.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <weft/io.h>

#include "base/lock.h"
#include "base/sys.h"
#include "runtime/io/bounded.h"
#include "runtime/io/ready.h"

// --- accept --------------------------------------------------------------------------

struct peer {
    struct sockaddr *sa;
    socklen_t *len;
};

// Errors of a connection that failed while it waited, which accept(2) passes on. The
// next connection may be good.
static bool is_peers_fault(ssize_t err)
{
    return err == -ECONNABORTED || err == -EPROTO || err == -ENETDOWN || err == -ENOPROTOOPT || err == -EHOSTDOWN ||
           err == -ENONET || err == -EHOSTUNREACH || err == -ENETUNREACH;
}

static ssize_t sys_accept(int fd, void *args)
{
    struct peer *peer = args;
    return wf_sys_accept4(fd, peer->sa, peer->len, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

// sys_listens tells whether accept(2) may block: it does not if the socket is not a
// listener.
static bool sys_listens(int fd)
{
    int yes = 0;
    socklen_t len = sizeof(yes);
    return wf_sys_getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &len) == 0 && yes;
}

static inline bool sys_blocks(int fd)
{
    int flags = wf_sys_fcntl(fd, F_GETFL, 0);
    return flags >= 0 && !(flags & O_NONBLOCK) && sys_listens(fd);
}

static inline ssize_t accept_now(int fd, void *args)
{
    ssize_t got;

    if (wf_unlikely(sys_blocks(fd))) {
        int ready = wf_poll_now(fd, POLLIN);
        return ready > 0 ? WF_TRY_POOL : ready < 0 ? ready : -EAGAIN;
    }
    do {
        got = sys_accept(fd, args);
    } while (is_peers_fault(got) || got == -EINTR);
    return got;
}

static ssize_t accept_bounded(int fd, void *args)
{
    ssize_t got = wf_bounded(fd, POLLIN, sys_accept, args);
    return is_peers_fault(got) ? WF_TRY_LATER : got;
}

// listener registers the descriptor at once, because an accept usually waits.
static int listener(struct wf_ready *r)
{
    int err = wf_ready_attach_as(r, WF_KIND_LISTENER);
    return err == -EPERM ? -ENOTSOCK : err; // a file
}

static const struct wf_file_calls accepting = { accept_now, accept_bounded, NULL };

// accept_one is weft_accept on the number's present file.
// Returns: also WF_READY_OTHER.
static ssize_t accept_one(struct wf_ready *r, struct peer *peer)
{
    ssize_t got = WF_TRY_POOL;
    int err = 0;

    if (r->kind != WF_KIND_LISTENER && r->kind != WF_KIND_LISTENER_BLOCKS)
        err = listener(r);
    if (err < 0)
        return err;
    if (wf_likely(r->kind == WF_KIND_LISTENER))
        got = wf_ready_run(r, accept_now, peer, NULL, 0);
    return wf_unlikely(got == WF_TRY_POOL) ? wf_ready_calls(r, &accepting, peer) : got;
}

int weft_accept(int fd, struct sockaddr *sa, socklen_t *len)
{
    struct peer peer = { sa, len };
    struct wf_ready r;

    ssize_t got = wf_ready_open(&r, fd, WF_READ, "weft_accept");
    if (got < 0)
        return (int)got;
    do
        got = accept_one(&r, &peer);
    while (wf_unlikely(got == WF_READY_OTHER));
    if (got >= 0)
        wf_ready_fresh((int)got);
    return (int)got;
}

// --- connect -------------------------------------------------------------------------

typedef int connect_fn(int fd, const struct sockaddr *sa, socklen_t len);

static void set_nonblock(int fd, bool on)
{
    int flags = wf_sys_fcntl(fd, F_GETFL, 0);
    if (flags >= 0)
        (void)wf_sys_fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

// Under this lock a second call does not mistake a temporary flag for the socket's own.
// Numbers that are equal modulo LENDERS share a lock.
enum { LENDERS = 64 };

static struct wf_lock lending[LENDERS];

static void forget_lender(void)
{
    memset(lending, 0, sizeof(lending)); // another thread of the parent's may have held one
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, forget_lender);
}

// connect_by is connect(2) of a socket in blocking mode, through a duplicate: before
// the flag is restored, the number may be closed and mean another socket.
static int connect_by(int same, const struct sockaddr *sa, socklen_t len)
{
    if (same < 0)
        return same;
    set_nonblock(same, true);
    int err = wf_sys_connect(same, sa, len);
    set_nonblock(same, false);
    (void)wf_sys_close(same);
    return err;
}

// connect_any is connect(2) of a socket in either mode, and keeps the mode.
static int connect_any(int fd, const struct sockaddr *sa, socklen_t len)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct wf_lock *lock = &lending[(unsigned)fd % LENDERS];

    pthread_once(&once, watch_forks);
    wf_lock_acquire(lock);
    int flags = wf_sys_fcntl(fd, F_GETFL, 0), err = flags;
    if (flags >= 0 && flags & O_NONBLOCK)
        err = wf_sys_connect(fd, sa, len);
    else if (flags >= 0)
        err = connect_by(wf_sys_fcntl(fd, F_DUPFD_CLOEXEC, 0), sa, len);
    wf_lock_release(lock);
    return err;
}

// sys_connected asks for the result of an attempt. Readiness does not tell it, because
// a socket is registered as ready.
static ssize_t sys_connected(int fd, void *args)
{
    struct pollfd p = { .fd = fd, .events = POLLOUT };
    int err = 0;
    socklen_t len = sizeof(err);

    (void)args;
    int ready = wf_sys_poll_now(&p, 1);
    if (ready <= 0)
        return ready < 0 && ready != -EINTR ? ready : -EAGAIN;
    if (!(p.revents & (POLLERR | POLLHUP)))
        return 0;
    int failed = wf_sys_getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
    return failed < 0 ? failed : -err;
}

struct target {
    connect_fn *call;
    const struct sockaddr *sa;
    socklen_t len;
};

static ssize_t knock_once(int fd, void *args)
{
    const struct target *to = args;
    return to->call(fd, to->sa, to->len);
}

// knock repeats connect(2) of a Unix socket whose listener has no room: connect(2)
// returns EAGAIN, and no event tells when there is room. The socket is registered
// during that time, so that weft_close ends this call.
static int knock(struct wf_ready *r, connect_fn *call, const struct sockaddr *sa, socklen_t len)
{
    struct target to = { call, sa, len };
    int err = wf_ready_attach(r);

    if (err == 0)
        err = wf_ready_fix(r);
    if (err == 0)
        err = -EAGAIN;
    while (err == -EAGAIN)
        if ((err = wf_ready_back_off(r)) == 0)
            err = (int)wf_ready_hold(r, knock_once, &to);
    return err;
}

// begin_attempt starts an attempt. Returns: 0: connected; -EINPROGRESS; another error.
static int begin_attempt(struct wf_ready *r, connect_fn *call, const struct sockaddr *sa, socklen_t len)
{
    int err = call(r->fd, sa, len);

    if (err == -EAGAIN)
        err = sa->sa_family == AF_UNIX ? knock(r, call, sa, len) : -EADDRNOTAVAIL; // no local port is free
    return err == -EALREADY || err == -EINTR ? -EINPROGRESS : err;
}

// connect_ready makes a connection with the descriptor that was opened as `r`, and
// stays with that descriptor.
static int connect_ready(struct wf_ready *r, connect_fn *how, const struct sockaddr *sa, socklen_t len)
{
    r->asks = 0; // sys_connected does
    int err = begin_attempt(r, how, sa, len);
    r->fixed = true;
    if (err == -EINPROGRESS)
        return (int)wf_ready_run(r, sys_connected, NULL, NULL, 0);
    if (err == 0 && !r->parked)
        wf_budget_consume_self();
    return err;
}

int wf_connect(int fd, const struct sockaddr *sa, socklen_t len, const char *call)
{
    struct wf_ready r;
    int err = wf_ready_open(&r, fd, WF_WRITE, call);
    return err < 0 ? err : connect_ready(&r, wf_sys_connect, sa, len);
}

int weft_connect(int fd, const struct sockaddr *sa, socklen_t len)
{
    struct wf_ready r;
    int err = wf_ready_open_all(&r, fd, WF_WRITE, "weft_connect");
    if (err == 0)
        err = wf_ready_fix(&r);
    return err < 0 ? err : connect_ready(&r, connect_any, sa, len);
}
