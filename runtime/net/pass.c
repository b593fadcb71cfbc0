// Descriptors that are passed to another process, through a Unix socket (SCM_RIGHTS).
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <weft/io.h>
#include <weft/net.h>

#include "base/sys.h"

enum { FDS_MAX = 253 }; // the kernel's SCM_MAX_FD

// Room for the descriptors, and for other data that a socket may add to a message
// (SO_PASSCRED, SO_PASSSEC). With too little room the kernel would drop descriptors.
union control {
    struct cmsghdr header; // aligns the bytes
    char bytes[CMSG_SPACE(FDS_MAX * sizeof(int)) + 512];
};

static void add_fds(struct msghdr *msg, union control *c, const int *fds, size_t n)
{
    memset(c, 0, CMSG_SPACE(n * sizeof(int)));
    msg->msg_control = c;
    msg->msg_controllen = CMSG_SPACE(n * sizeof(int));
    struct cmsghdr *h = CMSG_FIRSTHDR(msg);
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(n * sizeof(int));
    memcpy(CMSG_DATA(h), fds, n * sizeof(int));
}

int weft_fd_send(int sock, const int *fds, int n, const void *data, size_t len)
{
    union control c;
    struct iovec v = { (void *)data, len };
    struct msghdr msg = { .msg_iov = &v, .msg_iovlen = 1 };

    if (n < 0 || n > FDS_MAX || len == 0)
        return -EINVAL;
    if (n > 0)
        add_fds(&msg, &c, fds, (size_t)n);
    ssize_t put = weft_sendmsg(sock, &msg, 0);
    if (put < 0 || (size_t)put == len)
        return put < 0 ? (int)put : 0;
    return weft_write_all(sock, (const char *)data + put, len - (size_t)put, NULL); // they went with the first bytes
}

// take_fds takes up to `room` descriptors of a message, and closes the others. Returns:
// how many the message had.
static int take_fds(struct msghdr *msg, int *fds, int room)
{
    int n = 0;

    for (struct cmsghdr *h = CMSG_FIRSTHDR(msg); h; h = CMSG_NXTHDR(msg, h)) {
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = 0; CMSG_LEN(at + sizeof(int)) <= h->cmsg_len; at += sizeof(int), n++) {
            int fd;
            memcpy(&fd, CMSG_DATA(h) + at, sizeof(fd));
            if (n < room)
                fds[n] = fd;
            else
                wf_sys_close(fd);
        }
    }
    return n;
}

ssize_t weft_fd_recv(int sock, int *fds, int *n, void *data, size_t len)
{
    union control c;
    struct iovec v = { data, len };
    struct msghdr msg = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = c.bytes, .msg_controllen = sizeof(c.bytes) };
    int room = *n;

    *n = 0;
    if (room < 0 || len == 0)
        return -EINVAL;
    ssize_t got = weft_recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
    if (got < 0)
        return got;
    int came = take_fds(&msg, fds, room);
    if (came <= room && !(msg.msg_flags & MSG_CTRUNC)) {
        *n = came;
        return got;
    }
    for (int i = 0; i < came && i < room; i++)
        wf_sys_close(fds[i]);
    return came > room ? -EMSGSIZE : -EMFILE; // the kernel leaves out descriptors for which there is no number
}
