// Sockets by textual address: TCP, Unix and UDP.
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "tests/support/peer.h"
#include "tests/support/tasks.h"
#include "tests/support/wrap.h"

static const char *local(int fd)
{
    static char at[8][128];
    static unsigned next;
    char *buf = at[next++ % 8];

    assert_true(weft_local_addr(fd, buf, sizeof(at[0])) >= 0);
    return buf;
}

static const char *peer(int fd)
{
    static char at[8][128];
    static unsigned next;
    char *buf = at[next++ % 8];

    assert_true(weft_peer_addr(fd, buf, sizeof(at[0])) >= 0);
    return buf;
}

static bool has_ipv6(void)
{
    int fd = weft_udp_bind("[::1]:0");
    if (fd >= 0)
        weft_close(fd);
    return fd >= 0;
}

// --- streams -------------------------------------------------------------------------

static int echo_one(void *arg)
{
    char buf[64];
    ssize_t n;

    int fd = weft_accept(*(int *)arg, NULL, NULL);
    assert_true(fd >= 0);
    while ((n = weft_read(fd, buf, sizeof(buf))) > 0)
        assert_int_equal(weft_write_all(fd, buf, (size_t)n, NULL), 0);
    assert_int_equal(n, 0);
    return weft_close(fd);
}

// check_stream talks to itself over a listener and what `dial` makes.
static void check_stream(int listener, int (*dial)(const char *), const char *to)
{
    char buf[5];

    assert_true(listener >= 0);
    weft_task *server = spawn(echo_one, &listener);
    int fd = dial(to);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_string_equal(peer(fd), to);
    assert_int_equal(weft_write_all(fd, "hello", 5, NULL), 0);
    assert_int_equal(weft_read_full(fd, buf, 5, NULL), 0);
    assert_memory_equal(buf, "hello", 5);
    assert_int_equal(weft_close(fd), 0);
    assert_int_equal(join(server), 0);
    assert_int_equal(weft_close(listener), 0);
}

static bool has_no_delay(int fd)
{
    int on = 0;
    socklen_t len = sizeof(on);

    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
    return on;
}

static int tcp(void *arg)
{
    int fd = weft_tcp_listen("127.0.0.1:0");
    (void)arg;

    check_stream(fd, weft_tcp_dial, local(fd));
    if (has_ipv6()) {
        fd = weft_tcp_listen("[::1]:0");
        check_stream(fd, weft_tcp_dial, local(fd));
    }
    int listener = weft_tcp_listen("127.0.0.1:0");
    fd = weft_tcp_dial(local(listener));
    int accepted = weft_accept(listener, NULL, NULL);
    assert_true(has_no_delay(fd) && has_no_delay(accepted));
    return weft_close(fd) | weft_close(accepted) | weft_close(listener);
}

static void tcp_listens_and_dials(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(tcp, NULL), 0);
}

static int tcp_everywhere(void *arg)
{
    char to[64];
    (void)arg;

    int listener = weft_tcp_listen(":0");
    assert_true(listener >= 0);
    const char *port = strrchr(local(listener), ':');
    for (int v6 = 0; v6 < 1 + has_ipv6(); v6++) {
        snprintf(to, sizeof(to), "%s%s", v6 ? "[::1]" : "127.0.0.1", port);
        int fd = weft_tcp_dial(to);
        assert_true(fd >= 0);
        int accepted = weft_accept(listener, NULL, NULL);
        assert_true(accepted >= 0);
        assert_string_equal(local(accepted), to);
        assert_string_equal(peer(accepted), local(fd));
        assert_int_equal(weft_close(fd) | weft_close(accepted), 0);
    }
    // ":port" dials this machine, by whatever address it answers
    int fd = weft_tcp_dial(port);
    assert_true(fd >= 0);
    assert_int_equal(weft_close(listener) | weft_close(fd), 0);
    listener = weft_tcp_listen("127.0.0.1:0"); // not by IPv6
    fd = weft_tcp_dial(strrchr(local(listener), ':'));
    assert_true(fd >= 0);
    return weft_close(listener) | weft_close(fd);
}

static void a_port_alone_is_every_address(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(tcp_everywhere, NULL), 0);
}

static int unix_sockets(void *arg)
{
    char folder[] = "/tmp/weft-test-XXXXXX", path[64], name[64];
    (void)arg;

    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/socket", folder);
    snprintf(name, sizeof(name), "@weft-test-%d", (int)getpid());
    check_stream(weft_unix_listen(path), weft_unix_dial, path);
    assert_int_equal(weft_unix_listen(path), -EADDRINUSE);
    assert_int_equal(weft_unix_dial(path), -ECONNREFUSED);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(weft_unix_dial(path), -ENOENT);
    assert_int_equal(rmdir(folder), 0);
    check_stream(weft_unix_listen(name), weft_unix_dial, name);
    assert_int_equal(weft_unix_dial(name), -ECONNREFUSED);

    int listener = weft_unix_listen(name);
    int fd = weft_unix_dial(name);
    assert_string_equal(local(listener), name);
    assert_string_equal(local(fd), "");
    return weft_close(listener) | weft_close(fd);
}

static void unix_sockets_have_paths_and_names(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(unix_sockets, NULL), 0);
}

// --- datagrams -----------------------------------------------------------------------

static int udp_answer(void *arg)
{
    struct sockaddr_storage from;
    socklen_t len;
    char buf[64];

    for (int i = 0; i < 3; i++) {
        len = sizeof(from);
        ssize_t n = weft_recvfrom(*(int *)arg, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len);
        assert_true(n >= 0);
        assert_int_equal(weft_sendto(*(int *)arg, buf, (size_t)n, 0, (struct sockaddr *)&from, len), n);
    }
    return 0;
}

static int udp(void *arg)
{
    char buf[64];
    (void)arg;

    for (int v6 = 0; v6 < 1 + has_ipv6(); v6++) {
        int server = weft_udp_bind(v6 ? "[::1]:0" : "127.0.0.1:0");
        int client = weft_udp_dial(local(server));
        assert_true(client >= 0);
        assert_string_equal(peer(client), local(server));
        weft_task *answers = spawn(udp_answer, &server);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(weft_send(client, "hello", (size_t)i, 0), i); // an empty one, too
            assert_int_equal(weft_recv(client, buf, sizeof(buf), 0), i);
        }
        assert_int_equal(join(answers), 0);
        assert_int_equal(weft_close(server), 0);
        assert_int_equal(weft_send(client, "x", 1, 0), 1);
        assert_int_equal(weft_recv(client, buf, sizeof(buf), 0), -ECONNREFUSED);
        assert_int_equal(weft_close(client), 0);
    }
    return 0;
}

static void udp_binds_and_dials(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(udp, NULL), 0);
}

static int udp_everywhere(void *arg)
{
    char to[32], buf[8];
    (void)arg;

    int server = weft_udp_bind(":0");
    snprintf(to, sizeof(to), "127.0.0.1%s", strrchr(local(server), ':'));
    int client = weft_udp_dial(to);
    assert_int_equal(weft_send(client, "hi", 2, 0), 2);
    assert_int_equal(weft_recv(server, buf, sizeof(buf), 0), 2);
    return weft_close(server) | weft_close(client);
}

static void udp_binds_every_address(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(udp_everywhere, NULL), 0);
}

// --- errors --------------------------------------------------------------------------

static int refusals(void *arg)
{
    char buf[8];
    (void)arg;

    int listener = weft_tcp_listen("127.0.0.1:0");
    const char *at = local(listener);
    assert_int_equal(weft_tcp_listen(at), -EADDRINUSE);
    assert_int_equal(weft_local_addr(listener, buf, sizeof(buf)), -ENOSPC);
    assert_int_equal(weft_peer_addr(listener, buf, sizeof(buf)), -ENOTCONN);
    assert_int_equal(weft_close(listener), 0);
    assert_int_equal(weft_tcp_dial(at), -ECONNREFUSED);
    assert_int_equal(weft_tcp_dial(strrchr(at, ':')), -ECONNREFUSED);
    assert_int_equal(weft_local_addr(listener, buf, sizeof(buf)), -EBADF);
    assert_int_equal(weft_tcp_listen("192.0.2.1:0"), -EADDRNOTAVAIL);
    assert_int_equal(weft_udp_bind("192.0.2.1:0"), -EADDRNOTAVAIL);
    assert_int_equal(weft_tcp_listen("127.0.0.1:no-such-service"), WEFT_EAI_SERVICE);
    assert_int_equal(weft_tcp_dial("nonsense"), WEFT_ADDR_NO_PORT);
    assert_int_equal(weft_udp_bind(""), WEFT_ADDR_FORM);
    assert_int_equal(weft_udp_dial(NULL), WEFT_ADDR_FORM);
    assert_int_equal(weft_tcp_dial("127.0.0.1:99999"), WEFT_ADDR_PORT);
    assert_int_equal(weft_unix_listen(""), WEFT_ADDR_FORM);
    assert_int_equal(weft_unix_listen("/nowhere/at/all"), -ENOENT);
    int used = weft_udp_bind("127.0.0.1:0");
    assert_int_equal(weft_udp_bind(local(used)), -EADDRINUSE);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(weft_local_addr(null, buf, sizeof(buf)), -ENOTSOCK);
    assert_int_equal(weft_peer_addr(null, buf, sizeof(buf)), -ENOTSOCK);
    return weft_close(null) | weft_close(used);
}

static void what_cannot_be_had_is_an_error(void **state)
{
    int before = dup(0), after;
    (void)state;

    close(before);
    assert_int_equal(run_tasks(refusals, NULL), 0);
    after = dup(0);
    close(after);
    assert_int_equal(before, after); // and nothing was left open
}

static int half_an_address(void *arg)
{
    char to[32];
    int only6 = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in6 any = { .sin6_family = AF_INET6 };
    (void)arg;

    if (only6 < 0)
        return 0;
    assert_int_equal(setsockopt(only6, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)), 0);
    assert_int_equal(bind(only6, (struct sockaddr *)&any, sizeof(any)), 0);
    assert_int_equal(listen(only6, 1), 0);
    snprintf(to, sizeof(to), "%s", strrchr(local(only6), ':'));
    assert_int_equal(weft_tcp_listen(to), -EADDRINUSE); // IPv4 would be free
    return close(only6);
}

static void half_of_every_address_is_not_enough(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(half_an_address, NULL), 0);
}

static int others_listener(void *arg)
{
    struct sockaddr_in at;
    int listener = peer_listen(1, &at);
    (void)arg;

    int fd = weft_tcp_dial(local(listener));
    int accepted = weft_accept(listener, NULL, NULL);
    assert_true(fd >= 0 && accepted >= 0);
    assert_false(has_no_delay(accepted)); // the program's word
    return weft_close(fd) | weft_close(accepted) | weft_close(listener);
}

static void a_listener_of_the_programs_keeps_its_delay(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(others_listener, NULL), 0);
}

// --- a dial to itself ----------------------------------------------------------------

// The test's own connect(2) gives the socket the very port that is dialled, as the
// system might.
static _Atomic int alone; // how often

WRAP(int, connect, int fd, const struct sockaddr *sa, socklen_t len)
{
    int on = 1;

    if (atomic_fetch_sub(&alone, 1) > 0) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        assert_int_equal(bind(fd, sa, len), 0);
    }
    return REAL(connect)(fd, sa, len);
}

static int dial_alone(void *arg)
{
    int listener = weft_tcp_listen(arg);
    char at[64];

    snprintf(at, sizeof(at), "%s", local(listener));
    assert_int_equal(weft_close(listener), 0);
    for (int times = 1; times <= 3; times++) { // tried again, and then it is as good as refused
        atomic_store(&alone, times);
        assert_int_equal(weft_tcp_dial(at), -ECONNREFUSED);
        assert_true(atomic_load(&alone) <= 0);
    }
    // The port is free: no connection that was given up keeps the server from it.
    listener = weft_tcp_listen(at);
    assert_true(listener >= 0);
    return weft_close(listener);
}

static void a_dial_never_connects_to_itself(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(dial_alone, "127.0.0.1:0"), 0);
    if (has_ipv6())
        assert_int_equal(run_tasks(dial_alone, "[::1]:0"), 0);
}

// --- TCP Fast Open -------------------------------------------------------------------

static int send_fast(void *arg)
{
    struct sockaddr_in at;
    int on = 1, how = *(int *)arg, listener = peer_listen(8, &at);
    struct iovec v = { "hello", 5 };
    struct msghdr msg = { .msg_iov = &v, .msg_iovlen = 1 };
    char buf[5];

    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof(on)), 0);
    assert_int_equal(weft_connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    ssize_t put = how == 0   ? weft_write(fd, "hello", 5)
                  : how == 1 ? weft_send(fd, "hello", 5, 0)
                  : how == 2 ? weft_sendmsg(fd, &msg, 0)
                             : weft_writev(fd, &v, 1);
    assert_int_equal(put, 5);
    int accepted = weft_accept(listener, NULL, NULL);
    assert_int_equal(weft_read_full(accepted, buf, 5, NULL), 0);
    assert_memory_equal(buf, "hello", 5);
    return weft_close(fd) | weft_close(accepted) | weft_close(listener);
}

static int open_fast(void *arg)
{
    struct sockaddr_in at;
    int how = *(int *)arg, listener = peer_listen(8, &at);
    struct iovec v = { "hello", 5 };
    struct msghdr msg = { .msg_iov = &v, .msg_iovlen = 1, .msg_name = &at, .msg_namelen = sizeof(at) };
    char buf[5];

    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ssize_t put = how ? weft_sendmsg(fd, &msg, MSG_FASTOPEN)
                      : weft_sendto(fd, "hello", 5, MSG_FASTOPEN, (struct sockaddr *)&at, sizeof(at));
    if (put != -EOPNOTSUPP) { // the system may have it turned off
        assert_int_equal(put, 5);
        int accepted = weft_accept(listener, NULL, NULL);
        assert_int_equal(weft_read_full(accepted, buf, 5, NULL), 0);
        assert_memory_equal(buf, "hello", 5);
        assert_int_equal(weft_close(accepted), 0);
    }
    return weft_close(fd) | weft_close(listener);
}

static void a_fast_open_waits_for_its_connection(void **state)
{
    (void)state;
    for (int how = 0; how < 4; how++)
        assert_int_equal(run_tasks(send_fast, &how), 0);
    for (int how = 0; how < 2; how++)
        assert_int_equal(run_tasks(open_fast, &how), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tcp_listens_and_dials),
        cmocka_unit_test(a_port_alone_is_every_address),
        cmocka_unit_test(unix_sockets_have_paths_and_names),
        cmocka_unit_test(udp_binds_and_dials),
        cmocka_unit_test(udp_binds_every_address),
        cmocka_unit_test(what_cannot_be_had_is_an_error),
        cmocka_unit_test(half_of_every_address_is_not_enough),
        cmocka_unit_test(a_listener_of_the_programs_keeps_its_delay),
        cmocka_unit_test(a_dial_never_connects_to_itself),
        cmocka_unit_test(a_fast_open_waits_for_its_connection),
    };
    return wf_test_run(tests);
}
