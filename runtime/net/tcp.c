#include "runtime/net/tcp.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <weft/net.h>

#include "runtime/io/connect.h"
#include "runtime/net/resolve.h"
#include "runtime/net/socket.h"

static int listen_on(const struct wf_addrs *all, const struct wf_addr *a)
{
    int fd = wf_socket_new(a->sa.sa_family, SOCK_STREAM);
    if (fd < 0)
        return fd;
    int err = wf_socket_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (err == 0)
        err = wf_socket_dual(fd, all, a);
    if (err == 0)
        err = wf_socket_bind(fd, a);
    if (err == 0)
        err = wf_socket_set(fd, IPPROTO_TCP, TCP_NODELAY, 1); // accepted connections inherit it
    if (err == 0)
        err = wf_socket_listen(fd);
    return wf_socket_give_up(fd, err);
}

int weft_tcp_listen(const char *addr)
{
    struct wf_addrs all;
    int err = wf_resolve_text(&all, addr, false, SOCK_STREAM, "weft_tcp_listen");
    if (wf_unlikely(err == WF_ADDR_HOST))
        return wf_resolve_each(&all, listen_on, "weft_tcp_listen");
    return err < 0 ? err : wf_socket_each(&all, listen_on);
}

static int dial_once(const struct wf_addr *a)
{
    int fd = wf_socket_new(a->sa.sa_family, SOCK_STREAM);
    if (fd < 0)
        return fd;
    int err = wf_socket_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (err == 0)
        err = wf_connect(fd, &a->sa, a->len, "weft_tcp_dial");
    return wf_socket_give_up(fd, err);
}

// dial_again repeats a dial that has connected the socket to itself ("simultaneous
// open"). That happens if a port of the ephemeral range has no listener, and the system
// picks that port for the dialling socket. Such a connection reaches no server, and
// blocks the server's port.
__attribute__((cold, noinline)) static int dial_again(int fd, const struct wf_addr *a)
{
    enum { ATTEMPTS = 2 }; // as Go's

    for (int i = 0; i < ATTEMPTS; i++) {
        wf_socket_abort(fd);
        fd = dial_once(a);
        if (fd < 0 || !wf_socket_is_its_peer(fd, a))
            return fd;
    }
    wf_socket_abort(fd);
    return -ECONNREFUSED;
}

int wf_tcp_connect(const struct wf_addrs *all, const struct wf_addr *a)
{
    int fd = dial_once(a);
    (void)all;

    return wf_unlikely(fd >= 0 && wf_socket_is_its_peer(fd, a)) ? dial_again(fd, a) : fd;
}
