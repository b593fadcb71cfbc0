#include "runtime/net/socket.h"

#include <errno.h>
#include <string.h>
#include <weft/io.h>
#include <weft/net.h>

#include "base/mem.h"
#include "base/sys.h"
#include "runtime/io/ready.h"

static int sys_socket(int family, int type)
{
    if (wf_fault())
        return -EMFILE;
    return wf_sys_socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

int wf_socket_new(int family, int type)
{
    int fd = sys_socket(family, type);
    if (fd >= 0)
        wf_ready_fresh(fd);
    return fd;
}

int wf_socket_set(int fd, int level, int option, int value)
{
    return wf_sys_setsockopt(fd, level, option, &value, sizeof(value));
}

int wf_socket_bind(int fd, const struct wf_addr *a)
{
    return wf_sys_bind(fd, &a->sa, a->len);
}

int wf_socket_listen(int fd)
{
    return wf_sys_listen(fd, 4096); // the kernel reduces it to net.core.somaxconn
}

int wf_socket_dual(int fd, const struct wf_addrs *all, const struct wf_addr *a)
{
    if (a->sa.sa_family != AF_INET6 || all->count == 1)
        return 0;
    return wf_socket_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
}

bool wf_socket_may_go_on(const struct wf_addrs *all, int err)
{
    return all->to_dial ? err != -ECANCELED : err == -EAFNOSUPPORT || err == -EADDRNOTAVAIL;
}

int wf_socket_each(const struct wf_addrs *all, wf_socket_make *make)
{
    wf_debug_assert(all->count > 0 && (size_t)all->count <= wf_countof(all->at));
    int fd = make(all, &all->at[0]);

    for (int i = 1; i < all->count && fd < 0 && wf_socket_may_go_on(all, fd); i++)
        fd = make(all, &all->at[i]);
    return fd;
}

int wf_socket_give_up(int fd, int err)
{
    if (err >= 0)
        return fd;
    weft_close(fd);
    return err;
}

static int sys_local(int fd, struct wf_addr *a)
{
    a->len = sizeof(a->un); // the largest of them; a longer address of an unknown family is truncated
    return wf_sys_getsockname(fd, &a->sa, &a->len);
}

static int sys_peer(int fd, struct wf_addr *a)
{
    a->len = sizeof(a->un);
    return wf_sys_getpeername(fd, &a->sa, &a->len);
}

// The port is at the same place in IPv4 and IPv6 addresses.
_Static_assert(offsetof(struct sockaddr_in, sin_port) == offsetof(struct sockaddr_in6, sin6_port), "one for both");

bool wf_socket_is_its_peer(int fd, const struct wf_addr *a)
{
    struct wf_addr local, peer;

    local.len = sizeof(local.un);
    int err = wf_sys_getsockname(fd, &local.sa, &local.len);
    if (err < 0 || wf_likely(local.in.sin_port != a->in.sin_port))
        return false;
    return sys_peer(fd, &peer) == 0 && peer.len == local.len && memcmp(&peer.un, &local.un, peer.len) == 0;
}

void wf_socket_abort(int fd)
{
    const struct linger now = { .l_onoff = 1, .l_linger = 0 };

    (void)wf_sys_setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)); // cannot fail
    weft_close(fd);
}

int weft_local_addr(int fd, char *buf, size_t n)
{
    struct wf_addr a = { 0 };
    int err = sys_local(fd, &a);
    return err < 0 ? err : wf_addr_format(&a, buf, n);
}

int weft_peer_addr(int fd, char *buf, size_t n)
{
    struct wf_addr a = { 0 };
    int err = sys_peer(fd, &a);
    return err < 0 ? err : wf_addr_format(&a, buf, n);
}
