#include <weft/net.h>

#include "runtime/io/connect.h"
#include "runtime/net/socket.h"
#include "runtime/wait/wait.h"

int weft_unix_listen(const char *path)
{
    struct wf_addr a;
    int err = wf_addr_parse_unix(&a, path);
    if (err < 0)
        return err;
    int fd = wf_socket_new(AF_UNIX, SOCK_STREAM);
    if (fd < 0)
        return fd;
    err = wf_socket_bind(fd, &a);
    if (err == 0)
        err = wf_socket_listen(fd); // cannot fail for a bound Unix socket, so the path need not be removed
    return wf_socket_give_up(fd, err);
}

int weft_unix_dial(const char *path)
{
    struct wf_addr a;
    int err = wf_wait_begin("weft_unix_dial");
    if (err == 0)
        err = wf_addr_parse_unix(&a, path);
    if (err < 0)
        return err;
    int fd = wf_socket_new(AF_UNIX, SOCK_STREAM);
    return fd < 0 ? fd : wf_socket_give_up(fd, wf_connect(fd, &a.sa, a.len, "weft_unix_dial"));
}
