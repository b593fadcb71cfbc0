// Dialling a name as in RFC 8305 ("happy eyeballs"): attempts to all addresses race,
// but start one after the other.
//
//   One child of the scope looks up the IPv6 addresses, one the IPv4 addresses. The
//   dialling task waits for the next event: an answer, the failure of the latest
//   attempt, or the time. Then it starts one attempt, as another child. IPv6 and IPv4
//   take turns, IPv6 first. The next attempt is due
//     - at once, if the latest one has failed;
//     - 250 ms after the latest one began;
//     - the first attempt: as soon as the IPv6 look-up has ended, but not later than 25
//       ms after there are IPv4 addresses.
//
//   "localhost" and names below it (RFC 6761) mean this machine. Both children then ask
//   for both families, which share one look-up if they ask at the same time, and each
//   takes its own family. A hosts file with only 127.0.0.1 answers that question
//   completely; if asked for IPv6 alone, the C library would ask name servers.
//
//   If all addresses of one family have failed, the dial waits for the other family's
//   look-up, however long it takes, because the other family may work. If a deadline
//   ends this wait, the dial still returns the error of the failed addresses.
//
//   The first child that returns a descriptor wins the race: the scope then cancels all
//   other children, and the wait of the dialling task. Each child closes its own
//   socket. If two connect at the same time, the future `connected` decides.
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <weft/error.h>
#include <weft/future.h>
#include <weft/io.h>
#include <weft/net.h>
#include <weft/scope.h>
#include <weft/select.h>
#include <weft/time.h>

#include "base/assert.h"
#include "runtime/net/resolve.h"
#include "runtime/net/tcp.h"
#include "runtime/wait/wait.h"

static const weft_time for_ipv6 = WEFT_MS(25), between = WEFT_MS(250);

enum { ATTEMPTS_MAX = 32 }; // further addresses are not tried

struct family {
    const char *host, *port;
    int number;        // AF_INET6, AF_INET
    int asked_for;     // that, or AF_UNSPEC
    weft_addrs *found; // if the look-up has succeeded
    int taken;         // of those
    weft_time answered_at;
    int count;            // the number of addresses, or an error
    weft_future answered; // all fields above are valid
};

struct attempt {
    const weft_addr *to;
    weft_future *connected; // of the dial
    weft_time begun_at;
    int error;
    weft_future failed;
};

struct dial {
    weft_scope race;
    struct family v6, v4;
    const struct family *last; // whose turn was last
    weft_future connected;
    struct attempt attempts[ATTEMPTS_MAX];
    int begun; // of those
};

// --- the children --------------------------------------------------------------------

// keep_own drops the other family's addresses.  Returns: how many are left; an error.
static int keep_own(const struct family *f)
{
    weft_addrs *all = f->found;
    int kept = 0;

    for (int i = 0; i < all->n; i++)
        if (all->addr[i].sa.sa_family == f->number)
            all->addr[kept++] = all->addr[i];
    all->n = kept;
    return kept > 0 ? kept : WEFT_EAI_NODATA;
}

// ask_family looks up the addresses of a family. Returns: always an error, so that this
// child does not win the race.
static int ask_family(void *arg)
{
    struct family *f = arg;

    f->count = weft_resolve(&f->found, f->host, f->port, f->asked_for);
    if (f->count > 0)
        f->count = keep_own(f);
    f->answered_at = weft_now();
    weft_future_complete(&f->answered, 0);
    return -ENOTCONN;
}

// fail_attempt ends an attempt that has not won.  Returns: its error.
static int fail_attempt(struct attempt *a, int err)
{
    wf_assert(err < 0 && !weft_future_done(&a->failed));
    a->error = err;
    weft_future_complete(&a->failed, 0);
    return err;
}

static int try_address(void *arg)
{
    struct attempt *a = arg;
    struct wf_addr to = { .len = a->to->len };

    wf_assert(to.len <= sizeof(to.in6));
    memcpy(&to.in6, &a->to->storage, to.len);
    int fd = wf_tcp_connect(NULL, &to);
    if (fd >= 0 && weft_future_complete(a->connected, fd))
        return fd;
    if (fd < 0)
        return fail_attempt(a, fd);
    weft_close(fd); // another attempt was quicker
    return fail_attempt(a, -ECANCELED);
}

// --- whose turn it is, and when ------------------------------------------------------

static bool has_more_of(const struct family *f)
{
    return weft_future_done(&f->answered) && f->taken < f->count;
}

// next_family is the family whose address is next; NULL: no address is left so far.
static struct family *next_family(struct dial *d)
{
    struct family *turn = d->last == &d->v6 ? &d->v4 : &d->v6;
    struct family *other = turn == &d->v6 ? &d->v4 : &d->v6;

    if (d->begun == ATTEMPTS_MAX)
        return NULL;
    return has_more_of(turn) ? turn : has_more_of(other) ? other : NULL;
}

// due_at is when to try an address of `next`.
static weft_time due_at(const struct dial *d, const struct family *next)
{
    const struct attempt *latest = d->begun > 0 ? &d->attempts[d->begun - 1] : NULL;

    if (latest)
        return weft_future_done(&latest->failed) ? 0 : latest->begun_at + between;
    return next == &d->v6 || weft_future_done(&d->v6.answered) ? 0 : d->v4.answered_at + for_ipv6;
}

// await_turn waits until an address of *next is due.
// Returns: 1; 0: there are no more; -ECANCELED, -ETIMEDOUT.
static int await_turn(struct dial *d, struct family **next)
{
    for (;;) {
        weft_case cases[4];
        size_t n = 0;

        if (!weft_future_done(&d->v6.answered))
            cases[n++] = weft_on_future(&d->v6.answered);
        if (!weft_future_done(&d->v4.answered))
            cases[n++] = weft_on_future(&d->v4.answered);
        *next = next_family(d); // after that, so that an answer in between is found here or by the select
        if (n == 0 && !*next)
            return 0;
        weft_time when = *next ? due_at(d, *next) : WEFT_NEVER;
        if (when <= weft_now())
            return 1;
        if (*next && d->begun > 0)
            cases[n++] = weft_on_future(&d->attempts[d->begun - 1].failed);
        cases[n++] = weft_on_time(when);
        int i = weft_select(cases, n);
        if (i < 0)
            return i;
    }
}

// --- the race ------------------------------------------------------------------------

static void begin_asking(struct dial *d, struct family *f)
{
    int err = weft_scope_spawn(&d->race, ask_family, f);
    if (err == 0)
        return;
    f->count = err;
    weft_future_complete(&f->answered, 0);
}

static void begin_attempt(struct dial *d, struct family *f)
{
    wf_assert(d->begun < ATTEMPTS_MAX && f->taken < f->count && f->found);
    struct attempt *a = &d->attempts[d->begun++];

    *a = (struct attempt){ &f->found->addr[f->taken++], &d->connected, weft_now(), 0, WEFT_FUTURE_INIT };
    d->last = f;
    int err = weft_scope_spawn(&d->race, try_address, a);
    if (err < 0)
        fail_attempt(a, err);
}

// run_race starts the attempts, and waits until all have failed.
// Returns: 0; -ECANCELED, -ETIMEDOUT: one has succeeded, or the caller is cancelled.
static int run_race(struct dial *d)
{
    struct family *next;
    int err;

    begin_asking(d, &d->v6);
    begin_asking(d, &d->v4);
    while ((err = await_turn(d, &next)) > 0)
        begin_attempt(d, next);
    for (int i = 0; i < d->begun && err == 0; i++)
        err = weft_await(&d->attempts[i].failed, NULL);
    return err;
}

// --- why it failed -------------------------------------------------------------------

static bool is_unreachable(int err)
{
    return err == -ENETUNREACH || err == -EHOSTUNREACH || err == -EADDRNOTAVAIL || err == -EAFNOSUPPORT;
}

// tell_why is the error of the first address with a route, else of the first address: a
// machine without IPv6 cannot reach an IPv6 address, which says nothing about the host.
static int tell_why(const struct dial *d)
{
    wf_assert(d->begun > 0 || (d->v6.count <= 0 && d->v4.count <= 0)); // each address had its turn
    for (int i = 0; i < d->begun; i++)
        if (!is_unreachable(d->attempts[i].error))
            return d->attempts[i].error;
    return d->begun > 0 ? d->attempts[0].error : wf_resolve_worst(d->v6.count, d->v4.count);
}

// was_cut tells whether a cancel has ended an attempt. (It is not called after a
// success.)
static bool was_cut(const struct dial *d)
{
    for (int i = 0; i < d->begun; i++)
        if (d->attempts[i].error == -ECANCELED)
            return true;
    return false;
}

// have_all_failed tells whether each known address was tried and failed by itself, not
// by a deadline. (The kernel's time-out looks the same.)
static bool have_all_failed(struct dial *d)
{
    for (int i = 0; i < d->begun; i++)
        if (d->attempts[i].error == -ETIMEDOUT || d->attempts[i].error == -ECANCELED)
            return false;
    return d->begun > 0 && !next_family(d);
}

// tell_of_deadline is the error after a deadline has ended the race. The error of an
// address without a route would say nothing about the addresses that are still looked
// up.
static int tell_of_deadline(struct dial *d)
{
    int err = have_all_failed(d) ? tell_why(d) : -ETIMEDOUT;
    return is_unreachable(err) ? -ETIMEDOUT : err;
}

// is_local tells whether a name is "localhost" or ends in ".localhost". (The hosts file
// has no names with a dot at the end.)
static bool is_local(const char *host)
{
    static const char local[] = "localhost";
    size_t n = strlen(host), len = sizeof(local) - 1;

    return n >= len && strcasecmp(host + n - len, local) == 0 && (n == len || host[n - len - 1] == '.');
}

static void init_family(struct family *f, const char *host, const char *port, int number)
{
    *f = (struct family){ .host = host, .port = port, .number = number, .answered = WEFT_FUTURE_INIT };
    f->asked_for = is_local(host) ? AF_UNSPEC : number;
}

__attribute__((cold, noinline)) static int dial_name(const char *host, in_port_t port)
{
    char digits[8];
    struct dial d;

    snprintf(digits, sizeof(digits), "%u", ntohs(port));
    init_family(&d.v6, host, digits, AF_INET6);
    init_family(&d.v4, host, digits, AF_INET);
    d.last = NULL;
    d.begun = 0;
    weft_future_init(&d.connected);
    weft_scope_open(&d.race, WEFT_SCOPE_RACE);
    int err = run_race(&d);
    int fd = weft_scope_close(&d.race);
    if (err == 0 && was_cut(&d))
        err = -ECANCELED;
    if (fd < 0)
        fd = err == 0 ? tell_why(&d) : err == -ETIMEDOUT ? tell_of_deadline(&d) : err;
    weft_addrs_free(d.v6.found);
    weft_addrs_free(d.v4.found);
    return fd;
}

int weft_tcp_dial(const char *addr)
{
    struct wf_addrs all;
    int err = wf_wait_begin("weft_tcp_dial");
    if (err == 0)
        err = wf_resolve_text(&all, addr, true, SOCK_STREAM, "weft_tcp_dial");
    if (wf_unlikely(err == WF_ADDR_HOST))
        return dial_name(all.host, all.port);
    return err < 0 ? err : wf_socket_each(&all, wf_tcp_connect);
}
