#include <weft/net.h>

#include "runtime/io/connect.h"
#include "runtime/net/resolve.h"
#include "runtime/net/socket.h"
#include "runtime/wait/wait.h"

static int bind_to(const struct wf_addrs *all, const struct wf_addr *a)
{
    int fd = wf_socket_new(a->sa.sa_family, SOCK_DGRAM);
    if (fd < 0)
        return fd;
    int err = wf_socket_dual(fd, all, a);
    if (err == 0)
        err = wf_socket_bind(fd, a);
    return wf_socket_give_up(fd, err);
}

int weft_udp_bind(const char *addr)
{
    struct wf_addrs all;
    int err = wf_resolve_text(&all, addr, false, SOCK_DGRAM, "weft_udp_bind");
    if (wf_unlikely(err == WF_ADDR_HOST))
        return wf_resolve_each(&all, bind_to, "weft_udp_bind");
    return err < 0 ? err : wf_socket_each(&all, bind_to);
}

static int connect_one(const struct wf_addrs *all, const struct wf_addr *a)
{
    (void)all;
    int fd = wf_socket_new(a->sa.sa_family, SOCK_DGRAM);
    if (fd < 0)
        return fd;
    return wf_socket_give_up(fd, wf_connect(fd, &a->sa, a->len, "weft_udp_dial"));
}

int weft_udp_dial(const char *addr)
{
    struct wf_addrs all;
    int err = wf_wait_begin("weft_udp_dial");
    if (err == 0)
        err = wf_resolve_text(&all, addr, true, SOCK_DGRAM, "weft_udp_dial");
    if (wf_unlikely(err == WF_ADDR_HOST))
        return wf_resolve_each(&all, connect_one, "weft_udp_dial");
    return err < 0 ? err : wf_socket_each(&all, connect_one);
}
