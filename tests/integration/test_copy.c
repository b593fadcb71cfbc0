// weft_copy and weft_sendfile: every kind of descriptor to every other, each way that a
// system may refuse, ends, errors and cancels. What arrives is compared byte for byte.
#include <pty.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>

#include "tests/support/child.h"
#include "tests/support/filter.h"
#include "tests/support/peer.h"
#include "tests/support/tasks.h"

enum { MUCH = 700001, LITTLE = 1000 };

// --- ends ----------------------------------------------------------------------------

// The kinds of descriptors. Of each there is one to copy from, and one to copy to.
enum kind { MEMORY, APPENDED, PIPE, TCP, TCP_NONBLOCK, UNIX, UNIX_NONBLOCK, TERMINAL, KINDS };

static const char *const names[] = {
    "a file",        "a file to append to",           "a pipe",    "a TCP socket", "a TCP socket with O_NONBLOCK",
    "a Unix socket", "a Unix socket with O_NONBLOCK", "a terminal"
};

// One end of a copy: weft has `fd`, a thread has `peer`, but of a file.
struct end {
    enum kind kind;
    int fd, peer;
    size_t n; // bytes that the thread writes, or has read
    pthread_t thread;
    bool threaded;
};

static bool is_file(enum kind kind)
{
    return kind == MEMORY || kind == APPENDED;
}

static int make_file(bool append)
{
    char path[] = "/tmp/weft-copy-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC | (append ? O_APPEND : 0));

    assert_true(fd >= 0);
    assert_int_equal(unlink(path), 0);
    return fd;
}

// connect_end makes `fd` and `peer`, for the bytes to go one way.
static void connect_end(struct end *e, bool source)
{
    struct termios raw = { 0 };
    int fd[2];

    if (e->kind == TERMINAL) {
        cfmakeraw(&raw);
        raw.c_cc[VMIN] = 1;
        assert_int_equal(openpty(&fd[0], &fd[1], NULL, &raw, NULL), 0);
        e->fd = fd[1];
        e->peer = fd[0];
        return;
    }
    peer_pair(e->kind == PIPE ? PEER_PIPE : e->kind <= TCP_NONBLOCK ? PEER_TCP : PEER_UNIX, fd);
    e->fd = fd[source ? 0 : 1];
    e->peer = fd[source ? 1 : 0];
    if (e->kind == TCP_NONBLOCK || e->kind == UNIX_NONBLOCK)
        peer_nonblock(e->fd);
}

static void *feed(void *arg)
{
    struct end *e = arg;
    uint8_t buf[5000];

    for (size_t at = 0, n; at < e->n; at += n) {
        n = e->n - at < sizeof(buf) ? e->n - at : sizeof(buf);
        peer_fill(buf, n, 1, at);
        peer_write(e->peer, buf, n);
    }
    if (e->kind == TERMINAL)
        return NULL;
    close(e->peer);
    e->peer = -1;
    return NULL;
}

static void *collect(void *arg)
{
    struct end *e = arg;
    uint8_t buf[5000];
    ssize_t got;

    while ((got = read(e->peer, buf, sizeof(buf))) > 0) {
        peer_check(buf, (size_t)got, 1, e->n);
        e->n += (size_t)got;
    }
    return NULL;
}

// open_source makes what has `n` bytes, and then ends.
static void open_source(struct end *e, enum kind kind, size_t n)
{
    *e = (struct end){ .kind = kind, .peer = -1, .n = n };
    if (is_file(kind)) {
        uint8_t *bytes = malloc(n + 1);
        e->fd = make_file(false);
        peer_fill(bytes, n, 1, 0);
        peer_write(e->fd, bytes, n);
        assert_int_equal(lseek(e->fd, 0, SEEK_SET), 0);
        free(bytes);
        return;
    }
    connect_end(e, true);
    e->thread = peer_start(feed, e);
    e->threaded = true;
}

static void open_target(struct end *e, enum kind kind)
{
    *e = (struct end){ .kind = kind, .peer = -1 };
    if (is_file(kind)) {
        e->fd = make_file(kind == APPENDED);
        return;
    }
    connect_end(e, false);
    e->thread = peer_start(collect, e);
    e->threaded = true;
}

static void close_source(struct end *e)
{
    if (e->threaded)
        peer_join(e->thread);
    assert_int_equal(weft_close(e->fd), 0);
    if (e->peer >= 0)
        close(e->peer);
}

// close_target returns how many bytes have arrived, and has checked them.
static size_t close_target(struct end *e)
{
    uint8_t buf[4096];
    ssize_t got;

    for (off_t at = 0; is_file(e->kind) && (got = pread(e->fd, buf, sizeof(buf), at)) > 0; at += got) {
        peer_check(buf, (size_t)got, 1, (uint64_t)at);
        e->n += (size_t)got;
    }
    assert_int_equal(weft_close(e->fd), 0);
    if (e->threaded)
        peer_join(e->thread);
    if (e->peer >= 0)
        close(e->peer);
    return e->n;
}

// --- every kind to every other -------------------------------------------------------

static void copy_between(enum kind from, enum kind to, size_t there, int64_t n, int expected)
{
    struct end src, dst;
    int64_t done = -1;
    int64_t most = n < 0 || n > (int64_t)there ? (int64_t)there : n;

    open_source(&src, from, there);
    open_target(&dst, to);
    int flags = fcntl(src.fd, F_GETFL), flags_to = fcntl(dst.fd, F_GETFL);
    int err = weft_copy(dst.fd, src.fd, n, &done);
    if (err != expected || done != most)
        fail_msg("%lld bytes of %zu from %s to %s: %s, %lld bytes", (long long)n, there, names[from], names[to],
                 weft_strerror(err), (long long)done);
    assert_int_equal(fcntl(src.fd, F_GETFL), flags);
    assert_int_equal(fcntl(dst.fd, F_GETFL), flags_to);
    if (is_file(from))
        assert_int_equal(lseek(src.fd, 0, SEEK_CUR), done);
    assert_int_equal(fcntl(src.fd, F_SETFL, flags & ~O_NONBLOCK), 0);
    if (n >= 0 && from != TERMINAL) // what was not asked for is still there
        for (char c; read(src.fd, &c, 1) == 1; done++)
            assert_int_equal((uint8_t)c, peer_byte(1, (uint64_t)done));
    close_source(&src);
    size_t arrived = close_target(&dst);
    assert_int_equal(arrived, most);
}

static bool may_copy(enum kind from, enum kind to)
{
    return from != APPENDED && (from != TERMINAL || to == TCP_NONBLOCK || to == MEMORY);
}

// copy_each_pair: to the end, to a number, to a number that is not reached, and nothing.
// (A terminal has no end.)
static int copy_each_pair(void *arg)
{
    (void)arg;
    for (enum kind from = 0; from < KINDS; from++) {
        for (enum kind to = 0; to < KINDS; to++) {
            if (!may_copy(from, to))
                continue;
            if (from != TERMINAL) {
                copy_between(from, to, MUCH, -1, 0);
                copy_between(from, to, LITTLE, MUCH, -ENODATA);
                copy_between(from, to, 0, -1, 0);
                copy_between(from, to, MUCH / 10, MUCH / 20, 0);
            }
            copy_between(from, to, LITTLE, LITTLE, 0);
            copy_between(from, to, LITTLE, 0, 0);
        }
    }
    return 0;
}

static void every_kind_is_copied_to_every_other(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(copy_each_pair, NULL), 0);
}

// --- refusals ------------------------------------------------------------------------

enum { MAY_NOT = 77 };

static const struct {
    const char *name;
    long number;
} calls[] = {
    { "splice", SYS_splice },   { "sendfile", SYS_sendfile }, { "copy_file_range", SYS_copy_file_range },
    { "preadv2", SYS_preadv2 }, { "pipe2", SYS_pipe2 },
};

static const int errors[] = { EINVAL, ENOSYS, EXDEV, EOPNOTSUPP, EPERM };

// A few pairs, of which each takes another way.
static int copy_some_pairs(void *arg)
{
    static const enum kind pairs[][2] = {
        { MEMORY, MEMORY },       { MEMORY, TCP_NONBLOCK }, { MEMORY, PIPE },       { TCP_NONBLOCK, TCP_NONBLOCK },
        { UNIX_NONBLOCK, PIPE },  { PIPE, MEMORY },         { PIPE, TCP_NONBLOCK }, { PIPE, PIPE },
        { TCP_NONBLOCK, MEMORY }, { MEMORY, APPENDED },
    };
    (void)arg;

    for (size_t i = 0; i < wf_countof(pairs); i++) {
        copy_between(pairs[i][0], pairs[i][1], MUCH, -1, 0);
        copy_between(pairs[i][0], pairs[i][1], MUCH, 2 * MUCH, -ENODATA);
    }
    return 0;
}

struct refusal {
    long number;
    int error;
};

// prepare makes what is made by a system call that is going to be refused.
static void run_refused(void *arg)
{
    const struct refusal *r = arg;

    if (!filter_call(r->number, SECCOMP_RET_ERRNO | (unsigned)r->error))
        _exit(MAY_NOT);
    _exit(weft_run(NULL, copy_some_pairs, NULL) == 0 ? 0 : 1);
}

static bool may_refuse(void)
{
    struct child c;

    child_run(&c, run_refused, &(struct refusal){ SYS_splice, EINVAL });
    return !WIFEXITED(c.status) || WEXITSTATUS(c.status) != MAY_NOT;
}

static void what_is_refused_is_done_in_another_way(void **state)
{
    struct child c;
    (void)state;

    if (!may_refuse())
        wf_test_skip("the process may not set a filter of system calls");
    for (size_t i = 0; i < 4; i++) {
        for (size_t e = 0; e < wf_countof(errors); e++) {
            child_run(&c, run_refused, &(struct refusal){ calls[i].number, errors[e] });
            if (!WIFEXITED(c.status) || WEXITSTATUS(c.status) != 0)
                fail_msg("%s refused with %s: status %#x: %s", calls[i].name, strerror(errors[e]), (unsigned)c.status,
                         c.said);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_copied_to_every_other),
        cmocka_unit_test(what_is_refused_is_done_in_another_way),
    };
    return wf_test_run(tests);
}
