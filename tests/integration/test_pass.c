// Descriptors that are passed through Unix sockets, and those that a program inherits.
#include <fcntl.h>
#include <sys/resource.h>

#include "tests/support/child.h"
#include "tests/support/left.h"
#include "tests/support/peer.h"
#include "tests/support/tasks.h"

enum { MOST = 253, BIG = 1 << 20 };

// A pipe's end says which one it is by what can be read from it.
static void make_pipe(int fd[2], char mark)
{
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    assert_int_equal(write(fd[1], &mark, 1), 1);
}

static void expect_mark(int fd, char mark)
{
    char got = 0;

    assert_int_equal(read(fd, &got, 1), 1);
    assert_int_equal(got, mark);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(close(fd), 0);
}

static int pass_two(void *arg)
{
    int fd[2], a[2], b[2], got[4], n = 4;
    char text[16];

    assert_int_equal(socketpair(AF_UNIX, *(int *)arg | SOCK_CLOEXEC, 0, fd), 0);
    make_pipe(a, 'a');
    make_pipe(b, 'b');
    assert_int_equal(weft_fd_send(fd[0], (int[]){ a[0], b[0] }, 2, "two", 3), 0);
    assert_int_equal(weft_fd_send(fd[0], NULL, 0, "none", 4), 0);
    assert_int_equal(weft_fd_recv(fd[1], got, &n, text, 3), 3);
    assert_int_equal(n, 2);
    assert_memory_equal(text, "two", 3);
    expect_mark(got[0], 'a');
    expect_mark(got[1], 'b');
    n = 4;
    assert_int_equal(weft_fd_recv(fd[1], got, &n, text, sizeof(text)), 4);
    assert_int_equal(n, 0);
    assert_int_equal(close(a[0]) | close(a[1]) | close(b[0]) | close(b[1]), 0);
    return weft_close(fd[0]) | weft_close(fd[1]);
}

static void descriptors_come_with_their_data(void **state)
{
    (void)state;
    int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };

    for (int i = 0; i < 3; i++)
        assert_int_equal(run_tasks(pass_two, &types[i]), 0);
}

static int pass_most(void *arg)
{
    int fd[2], a[2], all[MOST], got[MOST], n = MOST;
    char byte;
    (void)arg;

    peer_pair(PEER_UNIX, fd);
    make_pipe(a, 'm');
    for (int i = 0; i < MOST; i++)
        all[i] = a[0];
    assert_int_equal(weft_fd_send(fd[0], all, MOST, "x", 1), 0);
    assert_int_equal(weft_fd_recv(fd[1], got, &n, &byte, 1), 1);
    assert_int_equal(n, MOST);
    for (int i = 1; i < MOST; i++)
        assert_int_equal(close(got[i]), 0);
    expect_mark(got[0], 'm');
    assert_int_equal(close(a[0]) | close(a[1]), 0);
    return weft_close(fd[0]) | weft_close(fd[1]);
}

static void as_many_as_the_kernel_takes(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(pass_most, NULL), 0);
}

static int out_of_range(void *arg)
{
    int fd[2], n = -1;
    char byte = 0;
    (void)arg;

    peer_pair(PEER_UNIX, fd);
    assert_int_equal(weft_fd_send(fd[0], fd, -1, "x", 1), -EINVAL);
    assert_int_equal(weft_fd_send(fd[0], fd, MOST + 1, "x", 1), -EINVAL);
    assert_int_equal(weft_fd_send(fd[0], fd, 1, "x", 0), -EINVAL);
    assert_int_equal(weft_fd_recv(fd[1], fd, &n, &byte, 1), -EINVAL);
    assert_int_equal(n, 0);
    assert_int_equal(weft_fd_recv(fd[1], fd, &n, &byte, 0), -EINVAL);
    assert_int_equal(weft_fd_send(fd[0], (int[]){ 1 << 20 }, 1, "x", 1), -EBADF);
    assert_int_equal(weft_close(fd[0]), 0);
    assert_int_equal(weft_fd_recv(fd[1], fd, &n, &byte, 1), 0);
    return weft_close(fd[1]);
}

static void numbers_out_of_range_are_an_error(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(out_of_range, NULL), 0);
}

// --- those that do not fit -----------------------------------------------------------

static int too_many(void *arg)
{
    int fd[2], a[2], got[1], n = 1;
    char byte;
    (void)arg;

    peer_pair(PEER_UNIX, fd);
    make_pipe(a, 'a');
    assert_int_equal(weft_fd_send(fd[0], (int[]){ a[0], a[0], a[0] }, 3, "x", 1), 0);
    assert_int_equal(weft_fd_recv(fd[1], got, &n, &byte, 1), -EMSGSIZE);
    assert_int_equal(n, 0);
    assert_int_equal(close(a[0]) | close(a[1]), 0);
    return weft_close(fd[0]) | weft_close(fd[1]);
}

static void more_than_there_is_room_for_are_closed(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(too_many, NULL), 0); // left_test counts descriptors
}

static int without_numbers(void *arg)
{
    int fd[2], a[2], got[3], n = 3;
    struct rlimit before, few;
    char byte;
    (void)arg;

    peer_pair(PEER_UNIX, fd);
    make_pipe(a, 'a');
    assert_int_equal(weft_fd_send(fd[0], (int[]){ a[0], a[0], a[0] }, 3, "x", 1), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int lowest = dup(a[0]);
    few = (struct rlimit){ (rlim_t)lowest + 1, before.rlim_max };
    assert_int_equal(close(lowest), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    ssize_t result = weft_fd_recv(fd[1], got, &n, &byte, 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(result, -EMFILE);
    assert_int_equal(n, 0);
    assert_int_equal(close(a[0]) | close(a[1]), 0);
    return weft_close(fd[0]) | weft_close(fd[1]);
}

static void those_for_which_there_is_no_number_are_an_error(void **state)
{
    (void)state;
#if defined(WF_EMULATED) || defined(WF_VALGRIND)
    (void)without_numbers; // they take the limit for themselves
#else
    assert_int_equal(run_tasks(without_numbers, NULL), 0);
#endif
}

// --- large data ----------------------------------------------------------------------

struct load {
    int sock, passed;
    char *data;
};

static int send_load(void *arg)
{
    struct load *l = arg;
    return weft_fd_send(l->sock, &l->passed, 1, l->data, BIG);
}

static int pass_with_much(void *arg)
{
    int fd[2], a[2], got[1], n = 1;
    struct load l = { .data = malloc(BIG) };
    char *data = malloc(BIG);
    (void)arg;

    peer_pair(PEER_UNIX, fd);
    make_pipe(a, 'a');
    peer_fill(l.data, BIG, 1, 0);
    l.sock = fd[0];
    l.passed = a[0];
    weft_task *sender = spawn(send_load, &l);
    ssize_t first = weft_fd_recv(fd[1], got, &n, data, BIG);
    assert_true(first > 0);
    assert_int_equal(n, 1);
    assert_int_equal(weft_read_full(fd[1], data + first, BIG - (size_t)first, NULL), 0);
    assert_int_equal(join(sender), 0);
    peer_check(data, BIG, 1, 0);
    expect_mark(got[0], 'a');
    free(l.data);
    free(data);
    assert_int_equal(close(a[0]) | close(a[1]), 0);
    return weft_close(fd[0]) | weft_close(fd[1]);
}

static void more_data_than_the_socket_holds_follows(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(pass_with_much, NULL), 0);
}

// --- inherited sockets ---------------------------------------------------------------

static void set_listen_fds(const char *fds, const char *names)
{
    char pid[16];

    snprintf(pid, sizeof(pid), "%d", getpid());
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", fds, 1);
    if (names)
        setenv("LISTEN_FDNAMES", names, 1);
}

// put_sockets has listeners at 3, 4 and 5. Whatever was there belongs to the test.
static void put_sockets(void)
{
    struct sockaddr_in at;
    int fd = peer_listen(1, &at);

    for (int to = 3; to < 6; to++)
        assert_int_equal(fd == to ? to : dup2(fd, to), to);
}

static void inherit_by_name(void *arg)
{
    (void)arg;
    put_sockets();
    set_listen_fds("3", "web:admin:web");
    assert_int_equal(weft_listen_inherited("none"), -ENOENT);
    assert_int_equal(weft_listen_inherited("web"), 3);
    assert_int_equal(weft_listen_inherited("web"), 5);
    assert_int_equal(weft_listen_inherited("web"), -ENOENT);
    assert_int_equal(weft_listen_inherited(NULL), 4);
    assert_int_equal(weft_listen_inherited(NULL), -ENOENT);
    assert_int_equal(fcntl(4, F_GETFD), FD_CLOEXEC);
    assert_null(getenv("LISTEN_FDS"));
    assert_null(getenv("LISTEN_PID"));
    assert_null(getenv("LISTEN_FDNAMES"));
}

static void inherit_unnamed(void *arg)
{
    (void)arg;
    put_sockets();
    set_listen_fds("2", NULL);
    unsetenv("LISTEN_PID");
    assert_int_equal(weft_listen_inherited("unknown"), 3);
    assert_int_equal(weft_listen_inherited(NULL), 4);
    assert_int_equal(weft_listen_inherited(NULL), -ENOENT);
}

static void inherit_another_process_s(void *arg)
{
    (void)arg;
    put_sockets();
    set_listen_fds("3", NULL);
    setenv("LISTEN_PID", "1", 1);
    assert_int_equal(weft_listen_inherited(NULL), -ENOENT);
    assert_non_null(getenv("LISTEN_FDS"));
}

static void inherit_nonsense(void *arg)
{
    (void)arg;
    put_sockets();
    set_listen_fds("x", NULL);
    assert_int_equal(weft_listen_inherited(NULL), -EINVAL);
    setenv("LISTEN_FDS", "-1", 1);
    assert_int_equal(weft_listen_inherited(NULL), -EINVAL);
    setenv("LISTEN_FDS", "99999999999", 1);
    assert_int_equal(weft_listen_inherited(NULL), -EINVAL);
    setenv("LISTEN_FDS", "1000", 1);
    assert_int_equal(weft_listen_inherited(NULL), -EBADF);
    setenv("LISTEN_FDS", "1", 1);
    assert_int_equal(weft_listen_inherited(NULL), 3);
}

static void sockets_are_inherited_by_systemds_protocol(void **state)
{
    (void)state;
    void (*all[])(void *) = { inherit_by_name, inherit_unnamed, inherit_another_process_s, inherit_nonsense };

    for (size_t i = 0; i < wf_countof(all) && child_may_run(); i++) {
        struct child c;
        child_run(&c, all[i], NULL);
        child_expect_exit(&c, 0);
    }
}

// --- a listener that goes to another process -----------------------------------------

static int serve_one(void *arg)
{
    int sock = *(int *)arg, listener, n = 1;
    char byte;

    if (weft_fd_recv(sock, &listener, &n, &byte, 1) != 1 || n != 1)
        return -EIO;
    int fd = weft_accept(listener, NULL, NULL);
    return fd < 0 ? fd : weft_write_all(fd, "hello", 5, NULL);
}

static void serve_in_child(void *arg)
{
    _exit(weft_run(NULL, serve_one, arg) != 0);
}

static int send_listener(void *arg)
{
    int *fds = arg;
    return weft_fd_send(fds[0], &fds[1], 1, "!", 1);
}

static void a_listener_goes_to_another_process(void **state)
{
    struct sockaddr_in at;
    int fd[2], sends[2];
    char text[5];
    struct child c;
    (void)state;

    if (!child_may_run())
        return;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    sends[0] = fd[0];
    sends[1] = peer_listen(8, &at);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&at, sizeof(at)), 0); // waits in the accept queue
    assert_int_equal(run_tasks(send_listener, sends), 0);
    assert_int_equal(close(sends[1]), 0); // which goes on in the other process
    child_run(&c, serve_in_child, &fd[1]);
    child_expect_exit(&c, 0);
    assert_int_equal(recv(client, text, 5, MSG_WAITALL), 5);
    assert_memory_equal(text, "hello", 5);
    assert_int_equal(close(client) | close(fd[0]) | close(fd[1]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(descriptors_come_with_their_data),
        left_test(as_many_as_the_kernel_takes),
        left_test(numbers_out_of_range_are_an_error),
        left_test(more_than_there_is_room_for_are_closed),
        left_test(those_for_which_there_is_no_number_are_an_error),
        left_test(more_data_than_the_socket_holds_follows),
        left_test(sockets_are_inherited_by_systemds_protocol),
        left_test(a_listener_goes_to_another_process),
    };
    return wf_test_run(tests);
}
