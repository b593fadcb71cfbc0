// A separate network with a name server that answers as the test wants: a thread with
// blocking sockets. The process gets a network namespace, which has only lo, and a
// mount namespace with an /etc for the resolver.
//
//   int main(void)
//   {
//       dns_begin();                   // before the first thread
//       ...
//       int failed = wf_test_run(tests);
//       dns_end();
//       return failed;
//   }
#ifndef WF_TESTS_DNS_H
#define WF_TESTS_DNS_H

#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/atomic.h"
#include "base/compiler.h"
#include "tests/support/peer.h"

enum dns_kind { DNS_A = 1, DNS_AAAA = 28 };

// What it does with questions of one kind on one name: answers, unless a flag is set.
enum { DNS_HELD = 1 /* until dns_release */, DNS_FAILS = 2, DNS_REFUSED = 4, DNS_CUT = 8 /* over UDP */ };

struct dns_name {
    const char *name;
    const char *a[4], *aaaa[4]; // what it has
    int copies;                 // of a[0], in place of that: with other numbers at the end
    int a_flags, aaaa_flags;
};

static const struct dns_name dns_names[] = {
    { "four.test", .a = { "127.0.0.2" } },
    { "six.test", .aaaa = { "::1" } },
    { "both.test", .a = { "127.0.0.1" }, .aaaa = { "::1" } },
    { "two.test", .a = { "127.0.0.3", "127.0.0.2" } },
    { "odd.test", .aaaa = { "::1", "fe80::1" } }, // the second without the interface: it cannot be dialled
    { "nowhere.test", .a = { "127.0.0.1" }, .aaaa = { "2001:db8::1" } },
    { "void.test", .aaaa = { "2001:db8::1", "2001:db8::2" } },
    { "empty.test", .copies = 0 },
    { "many.test", .a = { "127.0.0.0" }, .copies = 200, .a_flags = DNS_CUT },
    { "fails6.test", .a = { "127.0.0.1" }, .aaaa_flags = DNS_FAILS },
    { "fails.test", .a_flags = DNS_FAILS, .aaaa_flags = DNS_FAILS },
    { "refused.test", .a_flags = DNS_REFUSED, .aaaa_flags = DNS_REFUSED },
    { "held6.test", .a = { "127.0.0.1" }, .aaaa = { "::1" }, .aaaa_flags = DNS_HELD },
    { "held4.test", .a = { "127.0.0.1" }, .aaaa = { "::1" }, .a_flags = DNS_HELD },
    { "half6.test", .a = { "127.0.0.3", "127.0.0.1" }, .aaaa = { "::1" }, .aaaa_flags = DNS_HELD },
    { "held.test", .a = { "127.0.0.1" }, .aaaa = { "::1" }, .a_flags = DNS_HELD, .aaaa_flags = DNS_HELD },
    // of the hosts file (dns_one_family): no question on them is to come here
    { "localhost", .a_flags = DNS_HELD, .aaaa_flags = DNS_HELD },
    { "app.localhost", .a_flags = DNS_HELD, .aaaa_flags = DNS_HELD },
    { "lone4.test", .a_flags = DNS_HELD, .aaaa_flags = DNS_HELD },
    { "lone6.test", .a_flags = DNS_HELD, .aaaa_flags = DNS_HELD },
};

// How often each name was asked for, A and AAAA; shared with child processes.
static _Atomic unsigned (*dns_counts)[2];

static const char *dns_missing; // NULL, or why there is no such network
static int dns_udp, dns_tcp, dns_bell;
static pthread_t dns_thread;
static _Atomic bool dns_holds = true, dns_ends; // A

// --- the packets ---------------------------------------------------------------------

struct dns_packet {
    uint8_t bytes[8192];
    size_t n, question; // how many there are; where the question ends
    const struct dns_name *name;
    enum dns_kind kind;
    struct sockaddr_in from;
};

// dns_read finds out what is asked.  Returns: false if that is not a question.
static inline bool dns_read(struct dns_packet *p)
{
    char name[256] = "";
    size_t at = 12, to = 0;

    while (at < p->n && p->bytes[at] && to + p->bytes[at] + 2 < sizeof(name)) {
        memcpy(name + to, &p->bytes[at + 1], p->bytes[at]);
        to += p->bytes[at];
        at += 1u + p->bytes[at];
        name[to++] = '.';
    }
    if (to == 0 || at + 5 > p->n)
        return false;
    name[to - 1] = 0;
    p->kind = p->bytes[at + 2];
    p->question = at + 5;
    p->name = NULL;
    for (size_t i = 0; i < wf_countof(dns_names); i++)
        if (strcasecmp(dns_names[i].name, name) == 0)
            p->name = &dns_names[i];
    return p->kind == DNS_A || p->kind == DNS_AAAA;
}

static inline void dns_put(struct dns_packet *p, const void *bytes, size_t n)
{
    assert_true(p->n + n <= sizeof(p->bytes));
    memcpy(p->bytes + p->n, bytes, n);
    p->n += n;
}

static inline void dns_put_address(struct dns_packet *p, const char *text, int number)
{
    uint8_t head[] = { 0xc0, 12, 0, (uint8_t)p->kind, 0, 1, 0, 0, 0, 0, 0, p->kind == DNS_A ? 4 : 16 }, addr[16];

    assert_int_equal(inet_pton(p->kind == DNS_A ? AF_INET : AF_INET6, text, addr), 1);
    if (number > 0)
        addr[3] = (uint8_t)number;
    dns_put(p, head, sizeof(head));
    dns_put(p, addr, head[11]);
    p->bytes[7]++;
}

// dns_answer makes an answer of a question.
static inline void dns_answer(struct dns_packet *p, bool over_tcp)
{
    const struct dns_name *name = p->name;
    int flags = !name ? 0 : p->kind == DNS_A ? name->a_flags : name->aaaa_flags;
    const char *const *have = name ? p->kind == DNS_A ? name->a : name->aaaa : NULL;
    bool cut = flags & DNS_CUT && !over_tcp;

    p->n = p->question;
    p->bytes[2] = cut ? 0x87 : 0x85; // an answer, authoritative, (truncated,) recursion desired
    p->bytes[3] = !name ? 0x83 : flags & DNS_FAILS ? 0x82 : flags & DNS_REFUSED ? 0x85 : 0x80;
    memset(p->bytes + 6, 0, 6);
    if (!have || cut || flags & (DNS_FAILS | DNS_REFUSED))
        return;
    for (int i = 1; i <= name->copies && p->kind == DNS_A; i++)
        dns_put_address(p, have[0], i);
    for (int i = 0; i < 4 && have[i] && !name->copies; i++)
        dns_put_address(p, have[i], 0);
}

// --- the server ----------------------------------------------------------------------

static inline void dns_send(struct dns_packet *p)
{
    dns_answer(p, false);
    sendto(dns_udp, p->bytes, p->n, 0, (struct sockaddr *)&p->from, sizeof(p->from));
}

static inline bool dns_is_held(const struct dns_packet *p)
{
    int flags = !p->name ? 0 : p->kind == DNS_A ? p->name->a_flags : p->name->aaaa_flags;
    return flags & DNS_HELD && wf_load_acquire(&dns_holds); // acquire: from dns_release
}

static inline void dns_count(const struct dns_packet *p)
{
    if (p->name) // relaxed: a count
        wf_fetch_add_relaxed(&dns_counts[p->name - dns_names][p->kind == DNS_AAAA], 1u);
}

enum { DNS_HELD_MAX = 256 };
static struct dns_packet *dns_held[DNS_HELD_MAX];
static size_t dns_held_count;

static inline void dns_serve_udp(struct dns_packet *p)
{
    socklen_t len = sizeof(p->from);
    ssize_t n = recvfrom(dns_udp, p->bytes, 512, 0, (struct sockaddr *)&p->from, &len);

    p->n = n > 0 ? (size_t)n : 0;
    if (!dns_read(p))
        return;
    dns_count(p);
    if (!dns_is_held(p)) {
        dns_send(p);
    } else if (dns_held_count < DNS_HELD_MAX) {
        struct dns_packet *kept = malloc(sizeof(*kept));
        assert_non_null(kept);
        *kept = *p;
        dns_held[dns_held_count++] = kept;
    }
}

static inline void dns_serve_tcp(struct dns_packet *p)
{
    uint8_t length[2];
    int fd = accept4(dns_tcp, NULL, NULL, SOCK_CLOEXEC);

    assert_true(fd >= 0);
    peer_read(fd, length, 2);
    p->n = (size_t)length[0] << 8 | length[1];
    assert_true(p->n <= 512);
    peer_read(fd, p->bytes, p->n);
    if (dns_read(p)) {
        dns_count(p);
        dns_answer(p, true);
        length[0] = (uint8_t)(p->n >> 8);
        length[1] = (uint8_t)p->n;
        peer_write(fd, length, 2);
        peer_write(fd, p->bytes, p->n);
    }
    close(fd);
}

static inline void dns_answer_held(void)
{
    uint64_t rings;

    assert_int_equal(read(dns_bell, &rings, sizeof(rings)), sizeof(rings));
    while (dns_held_count > 0) {
        dns_send(dns_held[--dns_held_count]);
        free(dns_held[dns_held_count]);
    }
}

static inline void *dns_serve(void *arg)
{
    static struct dns_packet packet, *p = &packet;
    struct pollfd fds[] = { { dns_udp, POLLIN, 0 }, { dns_tcp, POLLIN, 0 }, { dns_bell, POLLIN, 0 } };
    (void)arg;

    while (!wf_load_acquire(&dns_ends)) { // acquire: from dns_end
        if (poll(fds, 3, -1) < 0)
            continue;
        if (fds[0].revents)
            dns_serve_udp(p);
        if (fds[1].revents)
            dns_serve_tcp(p);
        if (fds[2].revents)
            dns_answer_held();
    }
    return NULL;
}

static inline void dns_ring(void)
{
    uint64_t one = 1;
    assert_int_equal(write(dns_bell, &one, sizeof(one)), sizeof(one));
}

// dns_hold holds back the answers of the names that are to be, dns_release sends them
// and all later ones.
static inline void dns_hold(void)
{
    wf_store_release(&dns_holds, true); // release: to the server's look
}

static inline void dns_release(void)
{
    wf_store_release(&dns_holds, false); // release: to the server's look
    dns_ring();
}

// dns_asked is how often a name was asked for.
static inline unsigned dns_asked(const char *name, enum dns_kind kind)
{
    for (size_t i = 0; i < wf_countof(dns_names); i++)
        if (strcmp(dns_names[i].name, name) == 0)
            return wf_load_relaxed(&dns_counts[i][kind == DNS_AAAA]); // relaxed: a count
    fail_msg("the server does not know %s", name);
    return 0;
}

// --- the network ---------------------------------------------------------------------

static inline void dns_write(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

// dns_patience is for how long the C library waits for an answer, in seconds.
static inline void dns_patience(int seconds)
{
    char text[128];

    snprintf(text, sizeof(text), "nameserver 127.0.0.1\noptions timeout:%d attempts:1\n", seconds);
    dns_write("/etc/resolv.conf", text);
}

// dns_one_family makes a hosts file that has one family of each name; dns_both_families
// the one that is there in the beginning.
static inline void dns_one_family(void)
{
    dns_write("/etc/hosts", "127.0.0.1 localhost app.localhost lone4.test\n::1 lone6.test\n");
}

static inline void dns_both_families(void)
{
    dns_write("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n127.0.0.9 nine\n");
}

static inline bool dns_map(const char *path, unsigned id)
{
    char text[64];
    FILE *f = fopen(path, "we");

    snprintf(text, sizeof(text), "0 %u 1\n", id);
    bool done = f && fputs(text, f) >= 0;
    return (f ? fclose(f) == 0 : false) && done;
}

// dns_unshare gets the namespaces: as root, or as root of a user namespace.
static inline bool dns_unshare(void)
{
    unsigned uid = getuid(), gid = getgid();
    FILE *f;

    if (unshare(CLONE_NEWNET | CLONE_NEWNS) == 0)
        return true;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) < 0)
        return false;
    if ((f = fopen("/proc/self/setgroups", "we"))) {
        fputs("deny", f);
        fclose(f);
    }
    return dns_map("/proc/self/uid_map", uid) && dns_map("/proc/self/gid_map", gid);
}

static inline bool dns_make_etc(void)
{
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("none", "/etc", "tmpfs", 0, NULL) < 0)
        return false;
    dns_both_families();
    dns_write("/etc/host.conf", "multi on\n"); // as distributions have it: all lines of a name count
    dns_write("/etc/nsswitch.conf", "hosts: files dns\nservices: files\nprotocols: files\n");
    dns_write("/etc/services",
              "http 80/tcp\ntest-tcp 7001/tcp\ntest-udp 7002/udp\ntest-both 7003/tcp\ntest-both 7004/udp\n");
    dns_patience(30);
    return true;
}

static inline bool dns_raise_lo(void)
{
    struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool up = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &lo) == 0;

    if (fd >= 0)
        close(fd);
    return up;
}

static inline bool dns_has_ipv6(void)
{
    struct sockaddr_in6 at = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool has = fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0;

    if (fd >= 0)
        close(fd);
    return has;
}

static inline bool dns_listen(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

    dns_udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    dns_tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    dns_bell = eventfd(0, EFD_CLOEXEC);
    return dns_udp >= 0 && dns_tcp >= 0 && dns_bell >= 0 && bind(dns_udp, (struct sockaddr *)&at, sizeof(at)) == 0 &&
           bind(dns_tcp, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(dns_tcp, 64) == 0;
}

// dns_begin makes the network and the server. Where that is refused, dns_needed skips
// the tests.
static inline void dns_begin(void)
{
    size_t size = sizeof(*dns_counts) * wf_countof(dns_names);

    dns_counts = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (dns_counts == MAP_FAILED)
        dns_missing = "there is no memory to share";
    else if (!dns_unshare())
        dns_missing = "the process may not have namespaces of its own";
    else if (!dns_make_etc())
        dns_missing = "the process may not mount an /etc of its own";
    else if (!dns_raise_lo() || !dns_listen())
        dns_missing = "the process may not have a name server of its own";
    else if (!dns_has_ipv6())
        dns_missing = "the machine has no IPv6";
    else
        dns_thread = peer_start(dns_serve, NULL);
}

static inline void dns_end(void)
{
    if (dns_missing)
        return;
    wf_store_release(&dns_ends, true); // release: to the server's look
    dns_ring();
    peer_join(dns_thread);
    close(dns_udp);
    close(dns_tcp);
    close(dns_bell);
}

#define dns_needed() \
    do { \
        if (dns_missing) \
            wf_test_skip(dns_missing); \
    } while (0)

#endif
