// How connections begin: accept and connect. Neither has a MSG_DONTWAIT, so these sockets get O_NONBLOCK.
//
// The flag is of the open file, and a listener may be shared with other processes, which may take the flag away, and
// the connection that was announced, too: then a worker would block in accept(2). So each accept looks at the flag
// first: one cheap call beside one that makes a socket. (Left is a process that takes both in between the two calls.)
#include "runtime/io/connect.h"

#include <poll.h>
#include <weft/io.h>

#include "runtime/io/ready.h"

// --- accept ----------------------------------------------------------------------------------------------------------

struct peer {
    struct sockaddr *sa;
    socklen_t *len;
};

// Errors of a connection that failed while it waited, which accept(2) passes on. The next one may be well.
static bool is_peers_fault(int err)
{
    return err == ECONNABORTED || err == EINTR || err == EPROTO || err == ENETDOWN || err == ENOPROTOOPT ||
           err == EHOSTDOWN || err == ENONET || err == EHOSTUNREACH || err == ENETUNREACH;
}

WF_NOINLINE static ssize_t sys_accept(int fd, void *args)
{
    struct peer *peer = args;
    int got = wf_nonblock(fd);

    if (got < 0)
        return got;
    do {
        got = accept4(fd, peer->sa, peer->len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (got < 0 && is_peers_fault(errno));
    return wf_result(got);
}

// listener registers the descriptor at once, as one that accepts is going to wait.
static int listener(struct wf_ready *r)
{
    int err = wf_ready_attach_as(r, WF_KIND_LISTENER);
    return err == -EPERM ? -ENOTSOCK : err; // a file
}

int weft_accept(int fd, struct sockaddr *sa, socklen_t *len)
{
    struct peer peer = { sa, len };
    struct wf_ready r;

    int err = wf_ready_open(&r, fd, WF_READ, "weft_accept");
    if (err == 0 && r.kind != WF_KIND_LISTENER)
        err = listener(&r);
    if (err < 0)
        return err;
    int got = (int)wf_ready_run(&r, sys_accept, &peer, NULL, 0);
    if (got >= 0)
        wf_ready_fresh(got);
    return got;
}

// --- connect ---------------------------------------------------------------------------------------------------------

WF_NOINLINE static int sys_connect(int fd, const struct sockaddr *sa, socklen_t len)
{
    return connect(fd, sa, len) < 0 ? -errno : 0;
}

// sys_connected asks how an attempt went. Readiness alone does not tell: a socket is registered as ready.
WF_NOINLINE static ssize_t sys_connected(int fd, void *args)
{
    struct pollfd p = { .fd = fd, .events = POLLOUT };
    int err = 0;
    socklen_t len = sizeof(err);

    (void)args;
    int ready = poll(&p, 1, 0);
    if (ready <= 0)
        return ready < 0 && errno != EINTR ? -errno : -EAGAIN;
    if (!(p.revents & (POLLERR | POLLHUP)))
        return 0;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 ? -errno : -err;
}

// knock is connect(2) of a Unix socket whose listener has no room: it says EAGAIN, and nothing tells when there is some
// again. Meanwhile the socket is registered, so that weft_close reaches this call.
static int knock(struct wf_ready *r, const struct sockaddr *sa, socklen_t len)
{
    int err = wf_ready_attach(r);

    if (err == 0)
        err = -EAGAIN;
    while (err == -EAGAIN)
        if ((err = wf_ready_back_off(r)) == 0)
            err = sys_connect(r->fd, sa, len);
    return err;
}

// begin starts an attempt. Returns: 0: connected; -EINPROGRESS; another error.
static int begin(struct wf_ready *r, const struct sockaddr *sa, socklen_t len)
{
    int err = sys_connect(r->fd, sa, len);

    if (err == -EAGAIN)
        err = sa->sa_family == AF_UNIX ? knock(r, sa, len) : -EADDRNOTAVAIL; // no local port is free
    return err == -EALREADY || err == -EINTR ? -EINPROGRESS : err;
}

int wf_connect(int fd, const struct sockaddr *sa, socklen_t len, const char *call)
{
    struct wf_ready r;

    int err = wf_ready_open(&r, fd, WF_WRITE, call);
    r.asks = 0; // sys_connected does
    if (err == 0)
        err = begin(&r, sa, len);
    if (err == -EINPROGRESS)
        return (int)wf_ready_run(&r, sys_connected, NULL, NULL, 0);
    if (err == 0 && !r.parked)
        wf_spend();
    return err;
}

int weft_connect(int fd, const struct sockaddr *sa, socklen_t len)
{
    int err = wf_wait_begin("weft_connect");
    if (err == 0)
        err = wf_nonblock(fd);
    return err < 0 ? err : wf_connect(fd, sa, len, "weft_connect");
}
