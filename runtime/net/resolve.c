// Both families of a host are one look-up, AF_UNSPEC: the C library asks name servers
// for both at the same time, asks none for a name in the hosts file, even if the file
// has only one family, and sorts the addresses (RFC 6724, gai.conf). weft_tcp_dial need
// not wait for both families, so it asks for each separately.
#include "runtime/net/resolve.h"

#include <errno.h>
#include <string.h>
#include <weft/error.h>

#include "base/mem.h"
#include "runtime/net/dns.h"
#include "runtime/wait/wait.h"

_Static_assert(sizeof(((weft_addr *)0)->storage) >= sizeof(struct sockaddr_in6), "room for either family");

// --- addresses -----------------------------------------------------------------------

static weft_addrs *new_addrs(int room)
{
    weft_addrs *a = wf_alloc(sizeof(*a) + (size_t)room * sizeof(*a->addr));
    if (a)
        a->addr = (weft_addr *)(a + 1);
    return a;
}

void weft_addrs_free(weft_addrs *a)
{
    wf_free(a);
}

static void add_addr(weft_addrs *to, const struct sockaddr *sa, socklen_t len)
{
    weft_addr *a = &to->addr[to->n++];

    memcpy(&a->storage, sa, len);
    a->len = len;
}

// give_addrs makes a result of `n` addresses.  Returns: how many; -ENOMEM.
static int give_addrs(weft_addrs **out, const struct wf_addr *from, int n)
{
    *out = new_addrs(n);
    if (!*out)
        return -ENOMEM;
    for (int i = 0; i < n; i++)
        add_addr(*out, &from[i].sa, from[i].len);
    return n;
}

// --- names of services ---------------------------------------------------------------

static int ask_service(const struct wf_question *q, const char *call)
{
    struct wf_lookup *l;
    int err = wf_dns_begin(&l, q);
    if (err < 0)
        return err;
    err = wf_dns_await(l, call);
    if (err == 0)
        err = ntohs(((const struct sockaddr_in *)(const void *)wf_dns_found(l)->ai_addr)->sin_port);
    wf_dns_leave(l);
    return err;
}

// find_port returns the port of a service, which is a number or a name; or an error.
static int find_port(const char *service, int socktype, const char *call)
{
    long number = wf_addr_parse_port(service);

    if (number >= 0)
        return (int)number;
    if (!wf_addr_has_letter(service)) // the C library would truncate a number that is too large
        return WEFT_EAI_SERVICE;
    int port = ask_service(&(struct wf_question){ service, AF_INET, socktype }, call);
    return port == WEFT_EAI_NONAME || port == WEFT_EAI_NODATA ? WEFT_EAI_SERVICE : port;
}

// --- names of hosts ------------------------------------------------------------------

static int count_found(const struct addrinfo *at)
{
    int n = 0;

    for (; at; at = at->ai_next)
        n++;
    return n;
}

// collect_found makes a result of an answer.  Returns: how many; -ENOMEM.
static int collect_found(weft_addrs **out, const struct addrinfo *at, in_port_t port)
{
    *out = new_addrs(count_found(at));
    if (!*out)
        return -ENOMEM;
    for (; at; at = at->ai_next) {
        add_addr(*out, at->ai_addr, at->ai_addrlen);
        ((struct sockaddr_in *)(void *)&(*out)->addr[(*out)->n - 1].storage)->sin_port = port; // same place in both
    }
    return (*out)->n;
}

// ask_host looks a name up.  Returns: how many addresses it has; an error.
static int ask_host(weft_addrs **out, const char *host, in_port_t port, int family, const char *call)
{
    struct wf_lookup *l;
    int err = wf_dns_begin(&l, &(struct wf_question){ host, family, WF_DNS_HOST });
    if (err < 0)
        return err;
    err = wf_dns_await(l, call);
    if (err == 0)
        err = collect_found(out, wf_dns_found(l), port);
    wf_dns_leave(l);
    return err;
}

// rank_error orders errors by how much they leave open: a server that could not answer,
// a failure on this machine, a name without an address, a name that does not exist.
static int rank_error(int err)
{
    switch (err) {
    case WEFT_EAI_NONAME:
        return 0;
    case WEFT_EAI_NODATA:
        return 1;
    case WEFT_EAI_AGAIN:
        return 3;
    default:
        return 2;
    }
}

int wf_resolve_worst(int a, int b)
{
    return rank_error(b) > rank_error(a) ? b : a;
}

// --- the calls -----------------------------------------------------------------------

// give_loopback is the answer without a host, as in getaddrinfo.
static int give_loopback(weft_addrs **out, in_port_t port, int family)
{
    struct wf_addr both[2];

    wf_addr_loopback(both, port);
    return give_addrs(out, family == AF_INET ? &both[1] : both, family == AF_UNSPEC ? 2 : 1);
}

static int resolve_host(weft_addrs **out, const char *host, in_port_t port, int family)
{
    struct wf_addr number;

    if (!host)
        return give_loopback(out, port, family);
    int err = wf_addr_parse_host(&number, host, port);
    if (err == WF_ADDR_HOST)
        return ask_host(out, host, port, family, "weft_resolve");
    if (err < 0)
        return err == WEFT_ADDR_FORM ? WEFT_EAI_NONAME : err;
    return family == AF_UNSPEC || family == number.sa.sa_family ? give_addrs(out, &number, 1) : WEFT_EAI_NODATA;
}

int weft_resolve(weft_addrs **out, const char *host, const char *service, int family)
{
    int err = wf_wait_begin("weft_resolve");
    if (err < 0)
        return err;
    if (family != AF_UNSPEC && family != AF_INET && family != AF_INET6)
        return WEFT_EAI_FAMILY;
    if (!host && !service)
        return WEFT_EAI_NONAME;
    int port = service ? find_port(service, 0, "weft_resolve") : 0;
    return port < 0 ? port : resolve_host(out, host, htons((uint16_t)port), family);
}

int wf_resolve_names(struct wf_addrs *out, int which, const char *text, int socktype, const char *call)
{
    int cut = wf_self() ? wf_wait_begin(call) : 0;
    if (cut < 0 || which == WF_ADDR_HOST)
        return cut < 0 ? cut : which;
    int port = find_port(out->service, socktype, call);
    return port < 0 ? port : wf_addr_parse_with(out, text, out->to_dial, htons((uint16_t)port));
}

// make_one makes a socket for an address that was looked up.
static int make_one(const weft_addr *a, bool to_dial, wf_socket_make *make)
{
    struct wf_addrs one = { .count = 1, .to_dial = to_dial };

    one.at[0].len = a->len;
    memcpy(&one.at[0].in6, &a->storage, a->len);
    return make(&one, &one.at[0]);
}

// make_any makes a socket for the first address of that family for which it can.
static int make_any(const struct wf_addrs *all, int family, wf_socket_make *make, const char *call)
{
    weft_addrs *found;
    int fd = -EADDRNOTAVAIL;
    int n = ask_host(&found, all->host, all->port, family, call);

    if (n < 0)
        return n;
    for (int i = 0; i < n && fd < 0 && wf_socket_may_go_on(all, fd); i++)
        fd = make_one(&found->addr[i], all->to_dial, make);
    weft_addrs_free(found);
    return fd;
}

static bool is_no_answer(int err)
{
    return err == WEFT_EAI_NONAME || err == WEFT_EAI_NODATA || err == WEFT_EAI_AGAIN || err == WEFT_EAI_FAIL;
}

// bind_any asks for IPv6 addresses only if no IPv4 address is known that could be bound.
static int bind_any(const struct wf_addrs *all, wf_socket_make *make, const char *call)
{
    int four = make_any(all, AF_INET, make, call);
    if (four >= 0 || !(is_no_answer(four) || wf_socket_may_go_on(all, four)))
        return four;
    int six = make_any(all, AF_INET6, make, call);
    return six >= 0 || six == -ECANCELED || six == -ETIMEDOUT ? six : wf_resolve_worst(four, six);
}

int wf_resolve_each(const struct wf_addrs *all, wf_socket_make *make, const char *call)
{
    return all->to_dial ? make_any(all, AF_UNSPEC, make, call) : bind_any(all, make, call);
}
