// Accepting when the process has no descriptors left. It is a separate program, because
// it lowers its own limit.
#include <stdio.h>
#include <sys/resource.h>

#include "tests/support/child.h"
#include "tests/support/peer.h"
#include "tests/support/status.h"
#include "tests/support/tasks.h"

enum { WAITING = 20, FREE = 5 };

// limit_to leaves the process `more` descriptors beyond those that it has; -1: as many
// as it may have.
static void limit_to(int more)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    if (more >= 0) {
        int next = dup(0); // the lowest that is free
        assert_true(next >= 0);
        close(next);
        limit.rlim_cur = (rlim_t)(next + more);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void check_pair(int server, int client)
{
    char c = 0;

    peer_write(client, "?", 1);
    assert_int_equal(weft_read(server, &c, 1), 1);
    assert_int_equal(c, '?');
    assert_int_equal(weft_close(server), 0);
    close(client);
}

static int accept_one(void *arg)
{
    return weft_accept(*(int *)arg, NULL, NULL);
}

static int descriptor_limit(void *arg)
{
    int client[WAITING], accepted[WAITING], n = 0;
    struct sockaddr_in at;
    char text[32];
    (void)arg;

    int listener = peer_listen(WAITING, &at);
    snprintf(text, sizeof(text), ":%u", ntohs(at.sin_port));
    weft_task *first = spawn(accept_one, &listener);
    wait_parked(first, "weft_accept");
    for (int i = 0; i < WAITING; i++)
        client[i] = peer_connect(text); // the kernel completes them: they wait to be accepted
    accepted[n++] = join(first);

    limit_to(FREE);
    for (int i = 0; i < FREE; i++)
        accepted[n++] = weft_accept(listener, NULL, NULL);
    for (int i = 0; i < 3; i++)
        assert_int_equal(weft_accept(listener, NULL, NULL), -EMFILE); // at once: back off, and
    check_pair(accepted[0], client[0]);                               // when a client has gone,
    for (int i = 0; i < 2; i++)                                       // (its own end is in this process, too)
        accepted[n++] = weft_accept(listener, NULL, NULL);            // the next may come
    assert_int_equal(weft_accept(listener, NULL, NULL), -EMFILE);
    limit_to(-1);
    while (n < WAITING)
        accepted[n++] = weft_accept(listener, NULL, NULL);
    for (int i = 1; i < WAITING; i++) {
        assert_true(accepted[i] >= 0);
        check_pair(accepted[i], client[i]);
    }
    return weft_close(listener);
}

static void descriptors_run_out_and_come_back(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(descriptor_limit, NULL), 0);
}

static int make_sockets(void *arg)
{
    (void)arg;
    limit_to(0);
    assert_int_equal(weft_tcp_listen("127.0.0.1:0"), -EMFILE);
    assert_int_equal(weft_tcp_dial("127.0.0.1:9"), -EMFILE);
    assert_int_equal(weft_udp_bind("127.0.0.1:0"), -EMFILE);
    assert_int_equal(weft_udp_dial("127.0.0.1:9"), -EMFILE);
    assert_int_equal(weft_unix_listen("never-made"), -EMFILE);
    assert_int_equal(weft_unix_dial("never-made"), -EMFILE);
    limit_to(-1);
    int fd = weft_tcp_listen("127.0.0.1:0");
    assert_true(fd >= 0);
    return weft_close(fd);
}

static void without_descriptors_no_socket_is_made(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(make_sockets, NULL), 0);
}

static int tell_table_size(void *arg)
{
    *(long *)arg = status_number("FDSize"); // how many the kernel's table has room for
    return 0;
}

static void the_table_of_descriptors_has_its_size_at_once(void **state)
{
    struct rlimit limit;
    long size;
    (void)state;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(weft_run(NULL, tell_table_size, &size), 0);
    assert_true(size >= (long)(limit.rlim_cur < 65536 ? limit.rlim_cur : 65536));
}

// raise_number gives a descriptor a number that nothing else is about to have.
static int raise_number(int fd)
{
    int high = fcntl(fd, F_DUPFD_CLOEXEC, 20);

    assert_true(high >= 20);
    close(fd);
    return high;
}

// splice_some has weft make a pipe, and keep it.
static void splice_some(void)
{
    static char bytes[1 << 16];
    int64_t done;
    int fd[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
    int from = raise_number(fd[0]), peer = raise_number(fd[1]);
    int to = raise_number(memfd_create("target", MFD_CLOEXEC));
    assert_int_equal(write(peer, bytes, sizeof(bytes)), sizeof(bytes));
    assert_int_equal(weft_copy(to, from, sizeof(bytes), &done), 0);
    assert_int_equal(done, sizeof(bytes));
    assert_int_equal(weft_close(from) | weft_close(to) | close(peer), 0);
}

// daemonize is a program that was started without standard input, output and error, and
// points them to /dev/null in a task.
static int daemonize(void *arg)
{
    char c;
    (void)arg;

    splice_some();
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (weft_read(fd, &c, 1) != -EBADF || fcntl(fd, F_GETFD) >= 0)
            return -EBADMSG;
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        dup2(null, fd);
    return weft_sleep(WEFT_MS(1));
}

static void run_without_standard_descriptors(void *arg)
{
    (void)arg;
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        close(fd);
    _exit(weft_run(NULL, daemonize, NULL) == 0 ? 0 : 1);
}

static void weft_keeps_clear_of_standard_descriptors(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, run_without_standard_descriptors, NULL);
    child_expect_exit(&c, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_of_descriptors_has_its_size_at_once),
        cmocka_unit_test(weft_keeps_clear_of_standard_descriptors),
        cmocka_unit_test(descriptors_run_out_and_come_back),
        cmocka_unit_test(without_descriptors_no_socket_is_made),
    };
    return wf_test_run(tests);
}
