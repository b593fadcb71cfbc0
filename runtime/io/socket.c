// The calls that only sockets have, with messages and flags.
#include <sys/socket.h>
#include <weft/io.h>

#include "base/sys.h"
#include "runtime/io/ready.h"

// What a call works on: a buffer and an address, or a message.
struct packet {
    void *base;
    size_t n;
    int flags;
    struct sockaddr *sa;
    socklen_t *len; // of the sender's address; NULL: not wanted
    socklen_t to;   // length of the receiver's address
};

struct message {
    struct msghdr *msg;
    int flags;
};

static ssize_t sys_recv_packet(int fd, void *args)
{
    struct packet *p = args;
    return WF_RETRY(wf_sys_recvfrom(fd, p->base, p->n, p->flags | MSG_DONTWAIT, p->sa, p->len));
}

static ssize_t sys_send_packet(int fd, void *args)
{
    struct packet *p = args;
    int flags = p->flags | MSG_DONTWAIT | MSG_NOSIGNAL;
    return WF_RETRY(wf_sys_sendto(fd, p->base, p->n, flags, p->sa, p->to));
}

static ssize_t sys_recvmsg(int fd, void *args)
{
    struct message *m = args;
    return WF_RETRY(wf_sys_recvmsg(fd, m->msg, m->flags | MSG_DONTWAIT));
}

static ssize_t sys_sendmsg(int fd, void *args)
{
    struct message *m = args;
    return WF_RETRY(wf_sys_sendmsg(fd, m->msg, m->flags | MSG_DONTWAIT | MSG_NOSIGNAL));
}

// recv_at_once tells whether recv returns at once with these flags. It never waits for
// the error queue and urgent data.
static bool recv_at_once(int flags)
{
    return flags & (MSG_DONTWAIT | MSG_ERRQUEUE | MSG_OOB);
}

// tells_drained tells whether, with these flags, a short read still means drained.
static bool tells_drained(int flags)
{
    return !(flags & ~(MSG_NOSIGNAL | MSG_MORE));
}

static ssize_t recv_step(struct wf_ready *r, struct packet *p)
{
    return wf_ready_run(r, sys_recv_packet, p, p->base, tells_drained(p->flags) ? p->n : 0);
}

static ssize_t recv_some(int fd, struct packet *p, const char *call)
{
    struct wf_ready r;

    int err = wf_ready_open(&r, fd, WF_READ, call);
    if (err < 0)
        return err;
    if (recv_at_once(p->flags))
        return wf_ready_once(fd, sys_recv_packet, p);
    if (p->flags & MSG_PEEK)
        r.asks = POLLIN;
    return recv_step(&r, p);
}

// recv_all implements MSG_WAITALL, because the kernel ignores it with MSG_DONTWAIT.
static ssize_t recv_all(int fd, void *buf, size_t n, int flags)
{
    struct wf_ready r;
    size_t at = 0;

    ssize_t got = wf_ready_open_all(&r, fd, WF_READ, "weft_recv");
    while (got == 0) {
        struct packet p = { .base = (char *)buf + at, .n = n - at, .flags = flags };
        got = recv_step(&r, &p);
        if (got <= 0)
            break;
        at += (size_t)got;
        if (at == n)
            break;
        got = wf_ready_again(&r);
    }
    return at ? (ssize_t)at : got; // bytes that were read are not lost
}

ssize_t weft_recv(int fd, void *buf, size_t n, int flags)
{
    struct packet p = { .base = buf, .n = n, .flags = flags & ~MSG_WAITALL };

    if (wf_unlikely(flags & MSG_WAITALL) && !recv_at_once(flags) && !(flags & MSG_PEEK) &&
        wf_ready_socket_type(fd) == SOCK_STREAM)
        return recv_all(fd, buf, n, p.flags);
    return recv_some(fd, &p, "weft_recv");
}

ssize_t weft_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *sa, socklen_t *len)
{
    struct packet p = { .base = buf, .n = n, .flags = flags, .sa = sa, .len = len };
    return recv_some(fd, &p, "weft_recvfrom");
}

// A socket with MSG_FASTOPEN or TCP_FASTOPEN_CONNECT does not take the first bytes if
// it has no cookie of its peer. It makes a connection first, and the bytes are then
// sent like any others.
static ssize_t send_unopened(struct wf_ready *r, struct packet *p)
{
    p->flags &= ~MSG_FASTOPEN;
    p->sa = NULL;
    p->to = 0;
    return wf_ready_run(r, sys_send_packet, p, NULL, 0);
}

static ssize_t sendmsg_again(struct wf_ready *r, const struct message *m)
{
    struct msghdr msg = *m->msg;
    struct message rest = { &msg, m->flags & ~MSG_FASTOPEN };

    msg.msg_name = NULL;
    msg.msg_namelen = 0;
    return wf_ready_run(r, sys_sendmsg, &rest, NULL, 0);
}

static ssize_t send_some(int fd, struct packet *p, const char *call)
{
    struct wf_ready r;

    int err = wf_ready_open(&r, fd, WF_WRITE, call);
    if (err < 0)
        return err;
    if (p->flags & MSG_DONTWAIT)
        return wf_ready_once(fd, sys_send_packet, p);
    if (wf_unlikely(p->n == 0)) { // an empty send succeeds even without room, except a datagram
        ssize_t put = wf_ready_once(fd, sys_send_packet, p);
        if (put != -EAGAIN)
            return put;
    }
    ssize_t put = wf_ready_run(&r, sys_send_packet, p, NULL, tells_drained(p->flags) ? p->n : 0);
    return wf_unlikely(put == -EINPROGRESS) ? send_unopened(&r, p) : put;
}

ssize_t weft_send(int fd, const void *buf, size_t n, int flags)
{
    struct packet p = { .base = (void *)buf, .n = n, .flags = flags };
    return send_some(fd, &p, "weft_send");
}

ssize_t weft_sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *sa, socklen_t len)
{
    struct packet p = { .base = (void *)buf, .n = n, .flags = flags, .sa = (struct sockaddr *)sa, .to = len };
    return send_some(fd, &p, "weft_sendto");
}

ssize_t weft_recvmsg(int fd, struct msghdr *msg, int flags)
{
    struct message m = { msg, flags };
    struct wf_ready r;

    int err = wf_ready_open(&r, fd, WF_READ, "weft_recvmsg");
    if (err < 0)
        return err;
    if (recv_at_once(flags))
        return wf_ready_once(fd, sys_recvmsg, &m);
    if (flags & MSG_PEEK)
        r.asks = POLLIN;
    return wf_ready_run(&r, sys_recvmsg, &m, NULL, 0);
}

ssize_t weft_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    struct message m = { (struct msghdr *)msg, flags };
    struct wf_ready r;

    int err = wf_ready_open(&r, fd, WF_WRITE, "weft_sendmsg");
    if (err < 0)
        return err;
    if (flags & MSG_DONTWAIT)
        return wf_ready_once(fd, sys_sendmsg, &m);
    ssize_t put = wf_ready_run(&r, sys_sendmsg, &m, NULL, 0);
    return wf_unlikely(put == -EINPROGRESS) ? sendmsg_again(&r, &m) : put;
}
