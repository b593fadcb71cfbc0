// Sockets by name: which of the addresses is used, and that the other attempts leave
// nothing behind.
#include <stdio.h>
#include <weft/test.h>

#include "tests/support/dns.h"
#include "tests/support/left.h"
#include "tests/support/tasks.h"

__attribute__((weak)) extern void wf_mem_fail_at(long n, bool and_all_later); // in builds with fault injection
__attribute__((weak)) extern long wf_mem_count(void);

// --- listeners -----------------------------------------------------------------------

enum { PORT = 7001 };

static const char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));
static const char *text(const char *format, ...)
{
    static char at[8][128];
    static unsigned next;
    char *buf = at[next++ % 8];
    va_list args;

    va_start(args, format);
    vsnprintf(buf, sizeof(at[0]), format, args);
    va_end(args);
    return buf;
}

static const char *peer_of(int fd)
{
    static char buf[128];
    int err = fd < 0 ? fd : weft_peer_addr(fd, buf, sizeof(buf));

    if (err < 0)
        fail_msg("descriptor %d: %s", fd, weft_strerror(err));
    return buf;
}

static const char *local_of(int fd)
{
    static char buf[128];

    assert_true(weft_local_addr(fd, buf, sizeof(buf)) >= 0);
    return buf;
}

static void check_local(int fd, const char *expected)
{
    if (fd < 0)
        fail_msg("%s: %s", expected, weft_strerror(fd));
    assert_string_equal(local_of(fd), expected);
    assert_int_equal(weft_close(fd), 0);
}

static int open_at(const char *host)
{
    int fd = weft_tcp_listen(text("%s:%d", host, PORT));
    assert_true(fd >= 0);
    return fd;
}

// A listener that drops what comes: its queue is full.
struct hole {
    int listener, client;
};

static struct hole dig_at(int family, in_addr_t ipv4)
{
    struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(PORT), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(ipv4) };
    const struct sockaddr *at = family == AF_INET6 ? (const struct sockaddr *)&six : (const struct sockaddr *)&four;
    socklen_t len = family == AF_INET6 ? sizeof(six) : sizeof(four);
    struct hole h = { socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    int on = 1;

    assert_true(h.listener >= 0 && h.client >= 0);
    assert_int_equal(setsockopt(h.listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
    assert_int_equal(bind(h.listener, at, len), 0);
    assert_int_equal(listen(h.listener, 0), 0);
    assert_int_equal(connect(h.client, at, len), 0);
    return h;
}

static struct hole dig(int family)
{
    return dig_at(family, INADDR_LOOPBACK);
}

static void fill_in(struct hole h)
{
    close(h.client);
    close(h.listener);
}

static int dial(void *name)
{
    int fd = weft_tcp_dial(text("%s:%d", (const char *)name, PORT));
    if (fd < 0)
        return fd;
    int port = strcmp(peer_of(fd), text("[::1]:%d", PORT)) == 0 ? 6 : 4;
    assert_int_equal(weft_close(fd), 0);
    return port; // which family
}

// --- which address -------------------------------------------------------------------

static int dial_open_ones(void *arg)
{
    int six = open_at("[::1]"), four = open_at("127.0.0.1");
    bool virtual = arg; // then both answers come at the same time

    assert_true(dial("both.test") >= (virtual ? 6 : 4));
    assert_true(dial("localhost") >= (virtual ? 6 : 4));
    assert_int_equal(weft_close(six), 0);
    assert_int_equal(dial("both.test"), 4); // IPv6 refuses
    assert_int_equal(dial("localhost"), 4);
    assert_int_equal(dial("nowhere.test"), 4); // no route by IPv6
    assert_int_equal(dial("fails6.test"), 4);  // no answer for IPv6
    assert_int_equal(weft_close(four), 0);
    four = open_at("127.0.0.2"); // the second address
    assert_int_equal(dial("two.test"), 4);
    return weft_close(four);
}

static void a_name_is_dialled_at_all_its_addresses(void **state)
{
    (void)state;
    dns_needed();
    assert_int_equal(run_tasks(dial_open_ones, NULL), 0);
    assert_int_equal(weft_test_seeds(NULL, wf_test_seed(), 20, dial_open_ones, &(int){ 1 }), 0);
}

static int dial_past_holes(void *arg)
{
    struct hole six = dig(AF_INET6);
    int four = open_at("127.0.0.1");
    (void)arg;

    assert_int_equal(dial("both.test"), 4);
    fill_in(six);
    assert_int_equal(weft_close(four), 0);
    return 0;
}

static void a_first_address_that_is_silent_does_not_matter(void **state)
{
    (void)state;
    dns_needed();
    assert_int_equal(run_tasks(dial_past_holes, NULL), 0);
}

// expect_pending: a look-up is still under way. (Another one would ask once more.)
static void expect_pending(const char *host, int family)
{
    weft_addrs *a;
    weft_scope s;

    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    weft_scope_deadline(&s, weft_after(WEFT_MS(1)));
    assert_int_equal(weft_resolve(&a, host, NULL, family), -ETIMEDOUT);
    assert_int_equal(weft_scope_close(&s), -ETIMEDOUT);
}

static int dial_without_answer(void *arg)
{
    int six = open_at("[::1]"), four = open_at("127.0.0.1");
    (void)arg;

    dns_hold();
    unsigned before6 = dns_asked("held6.test", DNS_AAAA), before4 = dns_asked("held4.test", DNS_A);
    assert_int_equal(dial("held6.test"), 4); // though IPv6 comes first
    assert_int_equal(dial("held4.test"), 6);
    expect_pending("held6.test", AF_INET6);
    expect_pending("held4.test", AF_INET);
    assert_int_equal(dns_asked("held6.test", DNS_AAAA), before6 + 1);
    assert_int_equal(dns_asked("held4.test", DNS_A), before4 + 1);
    dns_release();
    return weft_close(six) | weft_close(four);
}

static void a_family_without_an_answer_does_not_matter(void **state)
{
    (void)state;
    dns_needed();
    assert_int_equal(run_tasks(dial_without_answer, NULL), 0);
}

// The answer comes when the other family's address has been tried for a while.
static int dial_late_answer(void *arg)
{
    int six = open_at("[::1]");
    struct hole four = dig(AF_INET);
    unsigned before = dns_asked("held6.test", DNS_AAAA);
    (void)arg;

    dns_hold();
    weft_task *t = spawn(dial, "held6.test");
    while (dns_asked("held6.test", DNS_AAAA) == before)
        assert_int_equal(weft_sleep(WEFT_MS(1)), 0);
    assert_int_equal(weft_sleep(WEFT_MS(40)), 0); // more likely than not in its attempt: either way it must go well
    dns_release();
    assert_int_equal(join(t), 6);
    fill_in(four);
    return weft_close(six);
}

static void an_answer_that_is_late_is_used(void **state)
{
    (void)state;
    dns_needed();
    assert_int_equal(run_tasks(dial_late_answer, NULL), 0);
}

static int dial_in_vain(void *arg)
{
    (void)arg;
    assert_int_equal(dial("both.test"), -ECONNREFUSED);
    assert_int_equal(dial("odd.test"), -ECONNREFUSED);     // the first one's; the second one's is -EINVAL
    assert_int_equal(dial("nowhere.test"), -ECONNREFUSED); // of the one to which there is a way
    assert_int_equal(dial("void.test"), -ENETUNREACH);
    assert_int_equal(dial("none.test"), WEFT_EAI_NONAME);
    assert_int_equal(dial("empty.test"), WEFT_EAI_NODATA);
    assert_int_equal(dial("fails.test"), WEFT_EAI_AGAIN);
    assert_int_equal(weft_tcp_dial("both.test:no-such-service"), WEFT_EAI_SERVICE);
    assert_int_equal(weft_udp_dial("none.test:1"), WEFT_EAI_NONAME);
    assert_int_equal(weft_udp_dial("void.test:1"), -ENETUNREACH);
    assert_int_equal(weft_tcp_listen("none.test:1"), WEFT_EAI_NONAME);
    assert_int_equal(weft_tcp_listen("void.test:1"), -EADDRNOTAVAIL);
    assert_int_equal(weft_udp_bind("none.test:1"), WEFT_EAI_NONAME);
    return 0;
}

static void the_first_addresss_error_is_reported(void **state)
{
    (void)state;
    dns_needed();
    assert_int_equal(run_tasks(dial_in_vain, NULL), 0);
}

// --- a deadline while a look-up is under way -----------------------------------------

// dial_until dials with a deadline. With a longer one if it is too short for the attempts
// that need no answer, but not for so long that the C library would give up.
static int dial_until(char *name, weft_time longest)
{
    int err = -ETIMEDOUT;

    for (weft_time t = WEFT_MS(50); t < longest && err == -ETIMEDOUT; t *= 2) {
        weft_scope s;
        weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
        weft_scope_deadline(&s, weft_after(t));
        err = dial(name);
        assert_int_equal(weft_scope_close(&s), -ETIMEDOUT); // the dial waits for the look-up until then
    }
    return err;
}

static int dial_with_deadline(void *arg)
{
    (void)arg;
    dns_hold();
    assert_int_equal(dial_until("held6.test", WEFT_S(10)), -ECONNREFUSED);
    expect_pending("held6.test", AF_INET6);
    struct hole four = dig(AF_INET);
    assert_int_equal(dial_until("held6.test", WEFT_MS(60)), -ETIMEDOUT); // of the address nothing is known,
    fill_in(four);
    four = dig_at(AF_INET, INADDR_LOOPBACK + 2);
    assert_int_equal(dial_until("half6.test", WEFT_MS(300)), -ETIMEDOUT); // of the second; the first one refuses;
    fill_in(four);
    assert_int_equal(dial_until("held.test", WEFT_MS(60)), -ETIMEDOUT); // nor is there one
    dns_release();
    return 0;
}

static void a_deadline_does_not_hide_a_refusal(void **state)
{
    (void)state;
    dns_needed();
    assert_int_equal(run_tasks(dial_with_deadline, NULL), 0);
}

// --- what the name server is asked for -----------------------------------------------

static void expect_unasked(const char *name)
{
    if (dns_asked(name, DNS_A) + dns_asked(name, DNS_AAAA) > 0)
        fail_msg("the name server was asked for %s", name);
}

static int dial_hosts_names(void *arg)
{
    int four = open_at("127.0.0.1");
    (void)arg;

    for (unsigned i = 0; i < wf_test_rounds(500); i++) { // both answers come at about the same time
        assert_int_equal(dial("localhost"), 4);
        assert_int_equal(weft_close(weft_accept(four, NULL, NULL)), 0);
    }
    assert_int_equal(dial("LocalHost"), 4);
    assert_int_equal(dial("app.localhost"), 4);
    assert_int_equal(weft_close(four), 0);
    assert_int_equal(dial("localhost"), -ECONNREFUSED);
    expect_unasked("localhost");
    expect_unasked("app.localhost");
    int udp = weft_udp_dial("lone4.test:test-udp");
    assert_string_equal(peer_of(udp), "127.0.0.1:7002");
    expect_unasked("lone4.test");
    return weft_close(udp);
}

static int listen_at_hosts_names(void *arg)
{
    (void)arg;
    check_local(weft_tcp_listen("localhost:7001"), "127.0.0.1:7001");
    expect_unasked("localhost");
    check_local(weft_udp_bind("lone4.test:7002"), "127.0.0.1:7002");
    expect_unasked("lone4.test");
    return 0;
}

// with_one_family runs it with a name server that answers nothing on such names.
static void with_one_family(weft_fn *fn)
{
    dns_needed();
    dns_patience(1); // were it asked, that would fail soon
    dns_one_family();
    dns_hold();
    assert_int_equal(run_tasks(fn, NULL), 0);
    dns_release();
    dns_both_families();
    dns_patience(30);
}

static void localhost_is_dialled_without_a_name_server(void **state)
{
    (void)state;
    with_one_family(dial_hosts_names);
}

static void the_hosts_file_is_enough_to_listen(void **state)
{
    (void)state;
    with_one_family(listen_at_hosts_names);
}

static int listen_at_one_family(void *arg)
{
    unsigned both = dns_asked("both.test", DNS_AAAA), six = dns_asked("six.test", DNS_AAAA);
    (void)arg;

    check_local(weft_tcp_listen("both.test:7001"), "127.0.0.1:7001");
    check_local(weft_udp_bind("both.test:7002"), "127.0.0.1:7002");
    assert_int_equal(dns_asked("both.test", DNS_AAAA), both);
    check_local(weft_tcp_listen("six.test:7001"), "[::1]:7001");
    assert_int_equal(dns_asked("six.test", DNS_AAAA), six + 1);
    dns_hold();
    check_local(weft_tcp_listen("held6.test:7001"), "127.0.0.1:7001");
    dns_release();
    return 0;
}

static void ipv6_is_asked_for_if_there_is_no_ipv4_to_listen_at(void **state)
{
    (void)state;
    dns_needed();
    assert_int_equal(run_tasks(listen_at_one_family, NULL), 0);
}

// --- cut short -----------------------------------------------------------------------

static int dial_in_time(void *name)
{
    weft_scope s;

    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    weft_scope_deadline(&s, weft_after(WEFT_MS(1)));
    int err = dial(name);
    assert_int_equal(weft_scope_close(&s), -ETIMEDOUT);
    return err;
}

// count_sockets counts those of TCP: the C library opens others as it likes.
static unsigned count_sockets(void)
{
    unsigned n = 0;

    for (int fd = 0; fd < 256; fd++) {
        int protocol = 0;
        socklen_t len = sizeof(protocol);
        n += getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) == 0 && protocol == IPPROTO_TCP;
    }
    return n;
}

static void await_sockets(unsigned n)
{
    while (count_sockets() < n)
        assert_int_equal(weft_sleep(WEFT_US(200)), 0);
}

// cut cancels a dial that has `sockets` open, of which none may be left.
static void cut(const char *name, unsigned sockets)
{
    unsigned before = count_sockets();
    weft_task *t = spawn(dial, (void *)name);

    await_sockets(before + sockets);
    weft_task_cancel(t);
    assert_int_equal(join(t), -ECANCELED);
    assert_int_equal(count_sockets(), before);
}

static int cut_each_phase(void *arg)
{
    weft_task *t;
    (void)arg;

    dns_hold();
    t = spawn(dial, "held.test"); // while it looks up
    wait_parked(t, "weft_select");
    weft_task_cancel(t);
    assert_int_equal(join(t), -ECANCELED);
    assert_int_equal(dial_in_time("held.test"), -ETIMEDOUT);
    dns_release();

    struct hole six = dig(AF_INET6), four = dig(AF_INET);
    cut("localhost", 1); // while it waits to try the second one
    cut("localhost", 2); // while it waits for both
    assert_int_equal(dial_in_time("localhost"), -ETIMEDOUT);
    fill_in(six);
    fill_in(four);
    return 0;
}

static void a_dial_that_is_cut_short_leaves_no_socket(void **state)
{
    (void)state;
    dns_needed();
    assert_int_equal(run_tasks(cut_each_phase, NULL), 0);
}

// --- two that connect at the same time -----------------------------------------------

// knocking looks for the socket that waits for an answer of the loopback address.
static bool knocking(int family, struct sockaddr_storage *from, socklen_t *len)
{
    for (int fd = 3; fd < 256; fd++) {
        struct tcp_info info;
        socklen_t info_len = sizeof(info);
        *len = sizeof(*from);
        if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &info_len) == 0 && info.tcpi_state == TCP_SYN_SENT &&
            getsockname(fd, (struct sockaddr *)from, len) == 0 && from->ss_family == family)
            return true;
    }
    return false;
}

// answer lets the attempt succeed that a hole has swallowed: by a simultaneous open from
// where the listener was.  Returns: the peer.
static int answer(int family, struct hole h)
{
    struct sockaddr_storage from, at;
    socklen_t len, at_len = sizeof(at);
    int on = 1, fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(knocking(family, &from, &len));
    assert_int_equal(getsockname(h.listener, (struct sockaddr *)&at, &at_len), 0);
    fill_in(h);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, at_len), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&from, len), 0);
    return fd;
}

static int dial_twice(void *arg)
{
    int *fd = arg;

    *fd = weft_tcp_dial(text("localhost:%d", PORT));
    return *fd;
}

static int connect_twice(void *arg)
{
    unsigned before = count_sockets();
    struct hole six = dig(AF_INET6), four = dig(AF_INET);
    struct sockaddr_storage from;
    socklen_t len;
    int fd = -1;
    (void)arg;

    // In virtual time, of which the second attempt comes 250 ms later: each look is 256 system
    // calls, so a look at every millisecond would be nearly all that this test does.
    weft_task *t = spawn(dial_twice, &fd);
    while (!knocking(AF_INET6, &from, &len) || !knocking(AF_INET, &from, &len))
        assert_int_equal(weft_sleep(WEFT_MS(50)), 0);
    int peer6 = answer(AF_INET6, six), peer4 = answer(AF_INET, four); // and the kernel tells of both at once
    assert_true(join(t) >= 0);
    assert_int_equal(count_sockets(), before + 3);
    peer_reset(peer6); // so the port is free at once
    peer_reset(peer4);
    return weft_close(fd);
}

static void of_two_that_connect_one_is_closed(void **state)
{
    (void)state;
    dns_needed();
    assert_int_equal(weft_test_seeds(NULL, wf_test_seed(), wf_test_rounds(200), connect_twice, NULL), 0);
}

// --- listeners and datagrams by name -------------------------------------------------

static int use_names(void *arg)
{
    char byte = 0;
    (void)arg;

    check_local(weft_tcp_listen("localhost:7001"), "127.0.0.1:7001"); // IPv4, if there is
    check_local(weft_tcp_listen("both.test:test-tcp"), "127.0.0.1:7001");
    check_local(weft_tcp_listen("six.test:test-tcp"), "[::1]:7001");
    check_local(weft_tcp_listen("nowhere.test:7001"), "127.0.0.1:7001");
    check_local(weft_tcp_listen("127.0.0.2:test-both"), "127.0.0.2:7003");
    check_local(weft_tcp_listen("[::1]:test-both"), "[::1]:7003");
    check_local(weft_tcp_listen(":test-both"), "[::]:7003");
    check_local(weft_udp_bind("localhost:test-both"), "127.0.0.1:7004");
    check_local(weft_udp_bind(":test-udp"), "[::]:7002");
    assert_int_equal(weft_udp_bind("localhost:test-tcp"), WEFT_EAI_SERVICE); // not of datagrams

    int server = weft_udp_bind("localhost:test-udp"), client = weft_udp_dial("four.test:test-udp");
    assert_string_equal(peer_of(client), "127.0.0.2:7002");
    assert_int_equal(weft_close(client), 0);
    client = weft_udp_dial("nowhere.test:test-udp");
    assert_string_equal(peer_of(client), "127.0.0.1:7002");
    assert_int_equal(weft_send(client, "x", 1, 0), 1);
    assert_int_equal(weft_recv(server, &byte, 1, 0), 1);
    return weft_close(client) | weft_close(server);
}

static void all_calls_take_names(void **state)
{
    (void)state;
    dns_needed();
    assert_int_equal(run_tasks(use_names, NULL), 0);
    assert_int_equal(weft_test_seeds(NULL, wf_test_seed(), 5, use_names, NULL), 0);
}

static void threads_listen_at_names_too(void **state)
{
    (void)state;
    dns_needed();
    check_local(weft_tcp_listen("both.test:test-tcp"), "127.0.0.1:7001");
    check_local(weft_udp_bind("six.test:test-udp"), "[::1]:7002");
    assert_int_equal(weft_tcp_listen("none.test:1"), WEFT_EAI_NONAME);
}

static int listen_when_cancelled(void *arg)
{
    (void)arg;
    weft_task_cancel(weft_self());
    check_local(weft_tcp_listen("127.0.0.1:7001"), "127.0.0.1:7001"); // as ever
    assert_int_equal(weft_tcp_listen("localhost:7001"), -ECANCELED);
    assert_int_equal(weft_udp_bind("localhost:7001"), -ECANCELED);
    assert_int_equal(weft_udp_bind("127.0.0.1:test-udp"), -ECANCELED);
    return 0;
}

static void only_a_name_makes_listening_cancellable(void **state)
{
    (void)state;
    dns_needed();
    assert_int_equal(run_tasks(listen_when_cancelled, NULL), 0);
}

// --- refusals ------------------------------------------------------------------------

static int try_once(void *arg)
{
    weft_addrs *a;
    (void)arg;

    int fd = weft_tcp_dial(text("localhost:%d", PORT));
    if (fd >= 0)
        weft_close(fd);
    int n = weft_resolve(&a, "both.test", "http", AF_UNSPEC);
    if (n > 0)
        weft_addrs_free(a);
    int udp = weft_udp_bind("localhost:test-udp");
    if (udp >= 0)
        weft_close(udp);
    return fd < 0 || n < 0 || udp < 0 ? 1 : 0;
}

// refuse_each makes each allocation and refusable system call fail once, until the
// calls pass fewer.
static int refuse_each(void *arg)
{
    int four = open_at("127.0.0.1"), failures = 0;
    unsigned before = count_sockets();
    (void)arg;

    assert_int_equal(try_once(NULL), 0); // all threads are there
    for (long n = 1;; n++) {
        wf_mem_fail_at(n, false);
        int failed = try_once(NULL);
        long passed = wf_mem_count();
        wf_mem_fail_at(0, false);
        failures += failed;
        assert_int_equal(count_sockets(), before);
        if (passed < n)
            break;
    }
    assert_true(failures >= 3);
    assert_int_equal(try_once(NULL), 0);
    return weft_close(four);
}

// refuse_first: no thread looks up yet.
static int refuse_first(void *arg)
{
    static const int errors[] = { -ENOMEM, -EAGAIN }; // of the first family; the second is refused, too
    weft_addrs *a;
    (void)arg;

    for (int i = 0; i < 2; i++) {
        wf_mem_fail_at(i + 1, true);
        int err = weft_resolve(&a, "both.test", "80", AF_INET);
        wf_mem_fail_at(0, false);
        assert_int_equal(err, errors[i]);
    }
    assert_int_equal(weft_resolve(&a, "both.test", "80", AF_INET), 1);
    weft_addrs_free(a);
    return 0;
}

static void what_is_refused_is_an_error(void **state)
{
    (void)state;
    dns_needed();
    if (!wf_mem_fail_at)
        wf_test_skip("this build injects no faults");
    assert_int_equal(run_tasks(refuse_first, NULL), 0);
    assert_int_equal(run_tasks(refuse_each, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(a_name_is_dialled_at_all_its_addresses),
        left_test(a_first_address_that_is_silent_does_not_matter),
        left_test(a_family_without_an_answer_does_not_matter),
        left_test(an_answer_that_is_late_is_used),
        left_test(the_first_addresss_error_is_reported),
        left_test(a_deadline_does_not_hide_a_refusal),
        left_test(localhost_is_dialled_without_a_name_server),
        left_test(the_hosts_file_is_enough_to_listen),
        left_test(ipv6_is_asked_for_if_there_is_no_ipv4_to_listen_at),
        left_test(a_dial_that_is_cut_short_leaves_no_socket),
        left_test(of_two_that_connect_one_is_closed),
        left_test(all_calls_take_names),
        left_test(threads_listen_at_names_too),
        left_test(only_a_name_makes_listening_cancellable),
        left_test(what_is_refused_is_an_error),
    };
    dns_begin();
    int failed = wf_test_run(tests);
    dns_end();
    return failed;
}
