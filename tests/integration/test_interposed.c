// A program may replace functions of the C library in all of its code, for example to
// park the task that calls them. weft does not call the replacements: otherwise a task
// that parks in one would call it again.
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <time.h>

#include "base/atomic.h"
#include "base/sys.h"
#include "tests/support/folder.h"
#include "tests/support/tasks.h"

#ifndef WF_SYS_BY_LIBC
static _Atomic bool watched;
static _Atomic unsigned calls;
static const char *_Atomic last;

// call makes a call of the program's, as the C library would.
static long call(const char *name, long number, long a, long b, long c, long d, long e, long f)
{
    if (wf_load_relaxed(&watched)) { // relaxed, all here: it is about whether there are any
        wf_fetch_add_relaxed(&calls, 1u);
        wf_store_relaxed(&last, name);
    }
    long result = wf_syscall(number, a, b, c, d, e, f);
    if (result >= 0)
        return result;
    errno = (int)-result;
    return -1;
}

ssize_t read(int fd, void *buf, size_t n)
{
    return call("read", SYS_read, fd, (long)buf, (long)n, 0, 0, 0);
}

ssize_t write(int fd, const void *buf, size_t n)
{
    return call("write", SYS_write, fd, (long)buf, (long)n, 0, 0, 0);
}

ssize_t readv(int fd, const struct iovec *v, int n)
{
    return call("readv", SYS_readv, fd, (long)v, n, 0, 0, 0);
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
    return call("writev", SYS_writev, fd, (long)v, n, 0, 0, 0);
}

ssize_t pread(int fd, void *buf, size_t n, off_t at)
{
    return call("pread", SYS_pread64, fd, (long)buf, (long)n, at, 0, 0);
}

ssize_t pwrite(int fd, const void *buf, size_t n, off_t at)
{
    return call("pwrite", SYS_pwrite64, fd, (long)buf, (long)n, at, 0, 0);
}

ssize_t recv(int fd, void *buf, size_t n, int flags)
{
    return call("recv", SYS_recvfrom, fd, (long)buf, (long)n, flags, 0, 0);
}

ssize_t send(int fd, const void *buf, size_t n, int flags)
{
    return call("send", SYS_sendto, fd, (long)buf, (long)n, flags, 0, 0);
}

ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
    return call("recvmsg", SYS_recvmsg, fd, (long)m, flags, 0, 0, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
    return call("sendmsg", SYS_sendmsg, fd, (long)m, flags, 0, 0, 0);
}

int poll(struct pollfd *p, nfds_t n, int ms)
{
    struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };
    return (int)call("poll", SYS_ppoll, (long)p, (long)n, ms < 0 ? 0 : (long)&ts, 0, 0, 0);
}

int epoll_wait(int set, struct epoll_event *events, int n, int ms)
{
    return (int)call("epoll_wait", SYS_epoll_pwait, set, (long)events, n, ms, 0, 0);
}

int connect(int fd, __CONST_SOCKADDR_ARG sa, socklen_t len)
{
    return (int)call("connect", SYS_connect, fd, (long)sa.__sockaddr__, (long)len, 0, 0, 0);
}

int accept4(int fd, __SOCKADDR_ARG sa, socklen_t *len, int flags)
{
    return (int)call("accept4", SYS_accept4, fd, (long)sa.__sockaddr__, (long)len, flags, 0, 0);
}

int close(int fd)
{
    return (int)call("close", SYS_close, fd, 0, 0, 0, 0, 0);
}

int fcntl(int fd, int op, ...)
{
    va_list args;

    va_start(args, op);
    long arg = va_arg(args, long);
    va_end(args);
    return (int)call("fcntl", SYS_fcntl, fd, op, arg, 0, 0, 0);
}

int sched_yield(void)
{
    return (int)call("sched_yield", SYS_sched_yield, 0, 0, 0, 0, 0, 0);
}

long syscall(long number, ...)
{
    long a[6];
    va_list args;

    va_start(args, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(args, long);
    va_end(args);
    return call("syscall", number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

// --- a program that uses a little of everything --------------------------------------

static int echo_one(void *arg)
{
    int fd = weft_accept(*(int *)arg, NULL, NULL);
    char buf[4];

    assert_true(fd >= 0);
    assert_int_equal(weft_read(fd, buf, 4), 4);
    assert_int_equal(weft_sleep(WEFT_US(100)), 0);
    assert_int_equal(weft_writev(fd, &(struct iovec){ buf, 4 }, 1), 4);
    assert_int_equal(weft_recv(fd, buf, 4, 0), 0);
    return weft_close(fd);
}

static void talk(void)
{
    int listener = weft_tcp_listen("127.0.0.1:0");
    char at[64], buf[4];

    assert_true(listener >= 0);
    assert_true(weft_local_addr(listener, at, sizeof(at)) > 0);
    weft_task *server = spawn(echo_one, &listener);
    int fd = weft_tcp_dial(at);
    assert_true(fd >= 0);
    assert_int_equal(weft_write(fd, "ping", 4), 4);
    assert_int_equal(weft_poll(fd, POLLIN), POLLIN);
    assert_int_equal(weft_readv(fd, &(struct iovec){ buf, 4 }, 1), 4);
    assert_int_equal(weft_close(fd), 0);
    assert_int_equal(join(server), 0);
    assert_int_equal(weft_close(listener), 0);
}

static void use_files(void)
{
    char buf[4];
    void *data;
    size_t n;

    int fd = weft_open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(weft_pwrite(fd, "text", 4, 0), 4);
    assert_int_equal(weft_pread(fd, buf, 4, 0), 4);
    assert_int_equal(weft_write(fd, "more", 4), 4);
    assert_int_equal(weft_close(fd), 0);
    assert_int_equal(weft_file_write("file", "whole", 5), 0);
    assert_int_equal(weft_file_read("file", &data, &n, 9), 0);
    assert_int_equal(n, 5);
    free(data);
}

static int answer(void *arg)
{
    (void)arg;
    return 42;
}

static int use_everything(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10; i++) {
        talk();
        use_files();
        assert_int_equal(weft_blocking(answer, NULL), 42);
        assert_int_equal(weft_yield(), 0);
    }
    return 0;
}

// The program's own calls are seen, weft's are not.
static void weft_calls_none_of_the_programs_functions(void **state)
{
    (void)state;
    wf_store_relaxed(&watched, true);
    int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3L);
    close(fd);
    assert_int_equal(wf_load_relaxed(&calls), 2);
    assert_int_equal(weft_run(NULL, use_everything, NULL), 0);
    wf_store_relaxed(&watched, false);
    if (wf_load_relaxed(&calls) > 2)
        fail_msg("weft has called %u of them, %s the last", wf_load_relaxed(&calls) - 2, wf_load_relaxed(&last));
}
#else
static void weft_calls_none_of_the_programs_functions(void **state)
{
    (void)state;
    wf_test_skip("sanitizers have functions of their own there, which weft calls");
}
#endif

static int enter(void **state)
{
    (void)state;
    return folder_enter("/tmp");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(weft_calls_none_of_the_programs_functions, enter, folder_leave),
    };
    return wf_test_run(tests);
}
