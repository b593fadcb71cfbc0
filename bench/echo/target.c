#include "bench/echo/target.h"
#include "bench/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <unistd.h>

enum { CONNECT_TIMEOUT_S = 10 };

static unsigned ephemeral_ports(void)
{
    unsigned low = 0, high = 0;
    FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
    const bool known = f && fscanf(f, "%u %u", &low, &high) == 2 && low < high;
    if (f)
        fclose(f);
    return known ? high - low + 1 : 60999 - 32768 + 1; // else the kernel's default
}

static bool is_loopback4(const struct target *t)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)&t->addr;
    return t->addr.ss_family == AF_INET && ntohl(in->sin_addr.s_addr) >> 24 == 127;
}

int target_init(struct target *t, const char *text, unsigned connections)
{
    t->len = parse_address(text, &t->addr);
    if (t->len == 0)
        return -EINVAL;
    // The kernel's search for a free port becomes slow long before the last one is
    // taken: use three quarters of them.
    unsigned comfortable = ephemeral_ports() / 4 * 3;
    t->per_source = 0;
    if (connections <= comfortable)
        return 0;
    if (!is_loopback4(t) || comfortable == 0)
        return -EADDRNOTAVAIL;
    t->per_source = comfortable;
    return 0;
}

// bind_source takes one of 127.0.0.2, 127.0.0.3, ...; the port is chosen by connect,
// which knows both ends.
static int bind_source(const struct target *t, int fd, unsigned index)
{
    struct sockaddr_in source = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + index / t->per_source),
    };
    int on = 1;
    if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) < 0)
        return -errno;
    return bind(fd, (struct sockaddr *)&source, sizeof(source)) < 0 ? -errno : 0;
}

static int set_options(int fd)
{
    int on = 1;
    struct linger linger = { .l_onoff = 1, .l_linger = 0 };
    struct timeval timeout = { .tv_sec = CONNECT_TIMEOUT_S };
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) < 0)
        return -errno;
    return 0;
}

int target_connect(const struct target *t, unsigned index)
{
    int fd = socket(t->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int err = set_options(fd);
    if (!err && t->per_source)
        err = bind_source(t, fd, index);
    if (!err && connect(fd, (const struct sockaddr *)&t->addr, t->len) < 0)
        err = errno == EINPROGRESS ? -ETIMEDOUT : -errno;
    if (err) {
        close(fd);
        return err;
    }
    return fd;
}
