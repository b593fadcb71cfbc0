// The families are looked up apart, in parallel: a name server that answers for one and
// not for the other spoils only the other, and weft_tcp_dial need not wait for both.
// Within a family the order is the C library's (RFC 6724, gai.conf). IPv6 comes first if
// the machine has a route there, which is what the C library would find out as well.
#include "runtime/net/resolve.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <weft/error.h>

#include "base/assert.h"
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

    wf_assert(len <= sizeof(a->storage));
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

// has_route tells whether the machine has an address from which to reach this one.
// Nothing is sent.
WF_NOINLINE static bool has_route(const struct sockaddr *sa, socklen_t len)
{
    union {
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } to;
    int fd = socket(sa->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return false;
    wf_assert(len <= sizeof(to));
    memcpy(&to, sa, len);
    to.in.sin_port = htons(53); // of both alike; 0 would do as well, but not for each security module
    bool has = connect(fd, (const struct sockaddr *)&to, len) == 0;
    close(fd);
    return has;
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

// find_port is the port of a service: a number, or a name.  Returns: that; an error.
static int find_port(const char *service, int socktype, const char *call)
{
    long number = wf_addr_parse_port(service);

    if (number >= 0)
        return (int)number;
    if (!wf_addr_has_letter(service)) // the C library would cut a number that is too large
        return WEFT_EAI_SERVICE;
    int port = ask_service(&(struct wf_question){ service, AF_INET, socktype }, call);
    return port == WEFT_EAI_NONAME || port == WEFT_EAI_NODATA ? WEFT_EAI_SERVICE : port;
}

// --- names of hosts ------------------------------------------------------------------

// What is asked of one host, for each family.
struct inquiry {
    struct wf_lookup *of[2]; // NULL: was not asked
    int err[2];              // 0: it is answered
    in_port_t port;
};

enum { SIX, FOUR };
static const int families[] = { [SIX] = AF_INET6, [FOUR] = AF_INET };

static void begin_inquiry(struct inquiry *q, const char *host, int family)
{
    for (int i = SIX; i <= FOUR; i++) {
        q->of[i] = NULL;
        q->err[i] = WEFT_EAI_NONAME; // the one that says least, if it is not asked
        if (family == AF_UNSPEC || family == families[i])
            q->err[i] = wf_dns_begin(&q->of[i], &(struct wf_question){ host, families[i], WF_DNS_HOST });
        if (q->err[i] < 0)
            q->of[i] = NULL;
    }
}

// await_answers waits for the answers.  Returns: 0; -ECANCELED, -ETIMEDOUT.
static int await_answers(struct inquiry *q, const char *call)
{
    for (int i = SIX; i <= FOUR; i++) {
        if (!q->of[i])
            continue;
        q->err[i] = wf_dns_await(q->of[i], call);
        if (q->err[i] == -ECANCELED || q->err[i] == -ETIMEDOUT)
            return q->err[i];
    }
    return 0;
}

static void leave_inquiry(struct inquiry *q)
{
    for (int i = SIX; i <= FOUR; i++)
        if (q->of[i])
            wf_dns_leave(q->of[i]);
}

static const struct addrinfo *found_in(const struct inquiry *q, int which)
{
    return q->err[which] == 0 ? wf_dns_found(q->of[which]) : NULL;
}

static int count_found(const struct addrinfo *at)
{
    int n = 0;

    for (; at; at = at->ai_next)
        n++;
    return n;
}

static bool has_route_to(const struct inquiry *q, int which)
{
    const struct addrinfo *first = found_in(q, which);
    return has_route(first->ai_addr, first->ai_addrlen);
}

// preferred_family is the family that comes first.
static int preferred_family(const struct inquiry *q)
{
    if (!found_in(q, SIX) || !found_in(q, FOUR))
        return found_in(q, SIX) ? SIX : FOUR;
    return has_route_to(q, SIX) || !has_route_to(q, FOUR) ? SIX : FOUR;
}

static void add_found(weft_addrs *to, const struct addrinfo *at, in_port_t port)
{
    for (; at; at = at->ai_next) {
        add_addr(to, at->ai_addr, at->ai_addrlen);
        ((struct sockaddr_in *)(void *)&to->addr[to->n - 1].storage)->sin_port = port; // of both alike
    }
}

static int collect_addrs(weft_addrs **out, const struct inquiry *q)
{
    int n = count_found(found_in(q, SIX)) + count_found(found_in(q, FOUR));
    if (n == 0)
        return wf_resolve_worst(q->err[SIX], q->err[FOUR]);
    *out = new_addrs(n);
    if (!*out)
        return -ENOMEM;
    int first = preferred_family(q);
    add_found(*out, found_in(q, first), q->port);
    add_found(*out, found_in(q, first == SIX ? FOUR : SIX), q->port);
    wf_assert((*out)->n == n); // each was counted, and so has room
    return n;
}

// ask_host looks a name up.
static int ask_host(weft_addrs **out, const char *host, in_port_t port, int family, const char *call)
{
    struct inquiry q = { .port = port };

    begin_inquiry(&q, host, family);
    int err = await_answers(&q, call);
    if (err == 0)
        err = collect_addrs(out, &q);
    leave_inquiry(&q);
    return err;
}

// rank_error orders errors by how much is still open: a server that could not answer, what
// failed here, a name without an address, no name.
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

// give_loopback is for no host, as getaddrinfo has it.
static int give_loopback(weft_addrs **out, in_port_t port, int family)
{
    struct wf_addr both[2];

    wf_addr_loopback(both, port);
    return give_addrs(out, family == AF_INET ? &both[FOUR] : both, family == AF_UNSPEC ? 2 : 1);
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

    wf_assert(a->len <= sizeof(one.at[0].in6));
    one.at[0].len = a->len;
    memcpy(&one.at[0].in6, &a->storage, a->len);
    return make(&one, &one.at[0]);
}

// make_any makes one for the first address of the family that serves; AF_UNSPEC: of any.
// `fd` is what came of those before.
static int make_any(const weft_addrs *found, int family, const struct wf_addrs *all, wf_socket_make *make, int fd)
{
    for (int i = 0; i < found->n && fd < 0 && wf_socket_may_go_on(all, fd); i++)
        if (family == AF_UNSPEC || family == found->addr[i].sa.sa_family)
            fd = make_one(&found->addr[i], all->to_dial, make);
    return fd;
}

int wf_resolve_each(const struct wf_addrs *all, wf_socket_make *make, const char *call)
{
    weft_addrs *found;
    int fd = -EADDRNOTAVAIL;
    int n = ask_host(&found, all->host, all->port, AF_UNSPEC, call);

    if (n < 0)
        return n;
    if (all->to_dial) {
        fd = make_any(found, AF_UNSPEC, all, make, fd);
    } else {
        fd = make_any(found, AF_INET, all, make, fd);
        fd = make_any(found, AF_INET6, all, make, fd);
    }
    weft_addrs_free(found);
    return fd;
}
