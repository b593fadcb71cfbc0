// weft_copy and weft_sendfile: from every kind of descriptor to every other, with each
// call that a system may refuse, with ends, errors and cancels. The test compares every
// byte.
#include <pty.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <ucontext.h>

#include "base/mem.h"
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

    refuse_call(r->number, r->error);
    _exit(weft_run(NULL, copy_some_pairs, NULL) == 0 ? 0 : 1);
}

static void what_is_refused_is_done_in_another_way(void **state)
{
    struct child c;
    (void)state;

    skip_without_filters();
    for (size_t i = 0; i < 4; i++) {
        for (size_t e = 0; e < wf_countof(errors); e++) {
            child_run(&c, run_refused, &(struct refusal){ calls[i].number, errors[e] });
            if (!WIFEXITED(c.status) || WEXITSTATUS(c.status) != 0)
                fail_msg("%s refused with %s: status %#x: %s", calls[i].name, strerror(errors[e]), (unsigned)c.status,
                         c.said);
        }
    }
}

// Without both of the calls that need no buffer, from file to file.
static void run_twice_refused(void *arg)
{
    (void)arg;
    refuse_call(SYS_copy_file_range, EXDEV);
    run_refused(&(struct refusal){ SYS_sendfile, EINVAL });
}

static void without_anything_it_reads_and_writes(void **state)
{
    struct child c;
    (void)state;

    skip_without_filters();
    child_run(&c, run_twice_refused, NULL);
    child_expect_exit(&c, 0);
}

// A splice into the target is refused when bytes lie in the pipe already: they are taken
// out again. (The filter looks at the third argument, which is the target.)
static bool filter_splice_to(int fd)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_splice, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])), // its lower half: little endian
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)fd, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = { .len = wf_countof(code), .filter = code };

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

static int copy_past_the_pipe(void *arg)
{
    static const enum kind targets[] = { TCP_NONBLOCK, MEMORY };
    (void)arg;

    for (size_t i = 0; i < wf_countof(targets); i++) {
        struct end src, dst;
        int64_t done;
        open_source(&src, TCP_NONBLOCK, MUCH);
        open_target(&dst, targets[i]);
        int to = fcntl(dst.fd, F_DUPFD_CLOEXEC, 500 + (int)i); // the filter has named it
        assert_int_equal(weft_copy(to, src.fd, MUCH, &done), 0);
        assert_int_equal(done, MUCH);
        assert_int_equal(weft_close(to), 0);
        close_source(&src);
        assert_int_equal(close_target(&dst), MUCH);
    }
    return 0;
}

static void run_without_splice_to(void *arg)
{
    (void)arg;
    if (!filter_splice_to(500) || !filter_splice_to(501))
        _exit(MAY_NOT_FILTER);
    _exit(weft_run(NULL, copy_past_the_pipe, NULL) == 0 ? 0 : 1);
}

static void what_lies_in_the_pipe_is_not_lost(void **state)
{
    struct child c;
    (void)state;

    skip_without_filters();
    child_run(&c, run_without_splice_to, NULL);
    child_expect_exit(&c, 0);
}

// --- odd files -----------------------------------------------------------------------

static int copy_odd_files(void *arg)
{
    static const char *const odd[] = { "/proc/self/status", "/proc/cpuinfo",
                                       "/sys/kernel/mm/transparent_hugepage/enabled" };
    int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    int64_t done;
    char c;
    (void)arg;

    for (size_t i = 0; i < wf_countof(odd); i++) { // their size is said to be 0, or 4096
        int from = open(odd[i], O_RDONLY | O_CLOEXEC), to = make_file(false);
        if (from >= 0) {
            assert_int_equal(weft_copy(to, from, -1, &done), 0);
            assert_true(done > 0);
            assert_int_equal(lseek(to, 0, SEEK_END), done);
            assert_int_equal(read(from, &c, 1), 0);
            assert_int_equal(weft_close(from), 0);
        }
        assert_int_equal(weft_close(to), 0);
    }
    assert_int_equal(weft_copy(null, zero, 1 << 20, &done), 0);
    assert_int_equal(done, 1 << 20);
    assert_int_equal(weft_copy(null, zero, -2, &done), -EINVAL);
    assert_int_equal(done, 0);
    assert_int_equal(weft_copy(zero, null, -1, &done), -EBADF); // each opened for the other direction
    assert_int_equal(weft_copy(-1, zero, 1, &done), -EBADF);
    return weft_close(zero) | weft_close(null);
}

static void files_without_a_size_are_copied_to_their_end(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(copy_odd_files, NULL), 0);
}

// --- errors, cancels, closes ---------------------------------------------------------

struct copy {
    int src, dst;
    int64_t n, done;
};

static int run_copy(void *arg)
{
    struct copy *c = arg;
    return weft_copy(c->dst, c->src, c->n, &c->done);
}

// count_arrived reads what the target's other end has got, and checks it: behind
// `before` bytes.
static size_t count_arrived(int fd, size_t before)
{
    uint8_t buf[4096];
    size_t n = 0;
    ssize_t got;

    peer_nonblock(fd);
    while ((got = read(fd, buf, before > 0 && before < sizeof(buf) ? before : sizeof(buf))) > 0) {
        if (before > 0) {
            before -= (size_t)got;
            continue;
        }
        peer_check(buf, (size_t)got, 1, n);
        n += (size_t)got;
    }
    return n;
}

// cut_short: the target is full, and the copy is ended in one way or another, also when
// some of it has been read. What *done tells has arrived, and what was not copied is where it was, if
// source and target allow that.
static void cut_short(enum kind from, enum kind to, bool exact, bool by_close)
{
    struct end src = { .kind = from, .peer = -1 }, dst = { .kind = to };
    struct copy c = { .n = -1 };
    size_t there = MUCH;
    int little = 4096;
    uint8_t some[4096];

    connect_end(&dst, false);
    if (to == PIPE)
        assert_true(fcntl(dst.fd, F_SETPIPE_SZ, little) > 0);
    else
        assert_int_equal(setsockopt(dst.fd, SOL_SOCKET, SO_SNDBUF, &little, sizeof(little)), 0);
    if (is_file(from)) {
        open_source(&src, from, MUCH);
    } else {
        connect_end(&src, true);
        there = peer_stuff(src.peer, 1);
    }
    size_t before = peer_stuff(dst.fd, 2);
    c.src = src.fd;
    c.dst = dst.fd;
    weft_task *t = spawn(run_copy, &c);
    wait_parked(t, "weft_copy");
    if (by_close) {
        assert_int_equal(weft_close(dst.fd), 0);
        assert_int_equal(join(t), -EBADF);
    } else {
        before -= (size_t)read(dst.peer, some, before < sizeof(some) ? before : sizeof(some));
        wait_parked(t, "weft_copy");
        weft_task_cancel(t);
        assert_int_equal(join(t), -ECANCELED);
        assert_int_equal(weft_close(dst.fd), 0);
    }
    assert_int_equal(count_arrived(dst.peer, before), c.done);
    if (is_file(from))
        assert_int_equal(lseek(src.fd, 0, SEEK_CUR), c.done);
    for (char byte; exact && !is_file(from) && c.done < (int64_t)there; c.done++) {
        assert_int_equal(read(src.fd, &byte, 1), 1);
        assert_int_equal((uint8_t)byte, peer_byte(1, (uint64_t)c.done));
    }
    close(dst.peer);
    close_source(&src);
}

static int cut_all_short(void *arg)
{
    (void)arg;
    for (int by_close = 0; by_close < 2; by_close++) {
        cut_short(PIPE, UNIX_NONBLOCK, true, by_close);
        cut_short(UNIX_NONBLOCK, PIPE, true, by_close);
        cut_short(PIPE, PIPE, true, by_close);
        cut_short(MEMORY, UNIX_NONBLOCK, true, by_close);
        cut_short(MEMORY, UNIX, true, by_close);
        cut_short(MEMORY, PIPE, true, by_close);
        cut_short(UNIX_NONBLOCK, UNIX_NONBLOCK, false, by_close);
        cut_short(UNIX, PIPE, false, by_close);
    }
    return 0;
}

static void done_is_what_has_arrived(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(cut_all_short, NULL), 0);
}

// A target whose reader is gone: an error, and no signal.
static int break_targets(void *arg)
{
    static const enum kind targets[] = { PIPE, TCP, TCP_NONBLOCK, UNIX, UNIX_NONBLOCK };
    (void)arg;

    for (size_t i = 0; i < wf_countof(targets); i++) {
        for (int file = 0; file < 2; file++) {
            struct end src, dst = { .kind = targets[i] };
            int64_t done = -1;
            open_source(&src, MEMORY, 20 * MUCH);
            if (!file) {
                close_source(&src);
                src = (struct end){ .kind = PIPE };
                connect_end(&src, true);
                peer_stuff(src.peer, 1);
                close(src.peer);
                src.peer = -1;
            }
            connect_end(&dst, false);
            close(dst.peer);
            int err = weft_copy(dst.fd, src.fd, -1, &done);
            if (targets[i] == TCP || targets[i] == TCP_NONBLOCK) // the first bytes fetch the reset
                err = err == 0 ? weft_copy(dst.fd, src.fd, -1, &done) : err;
            assert_true(err == -EPIPE || err == -ECONNRESET || (!file && err == 0));
            close_source(&src);
            assert_int_equal(weft_close(dst.fd), 0);
        }
    }
    return 0;
}

static void a_broken_target_is_an_error_and_no_signal(void **state)
{
    struct sigaction now;
    (void)state;

    assert_int_equal(run_tasks(break_targets, NULL), 0);
    assert_int_equal(sigaction(SIGPIPE, NULL, &now), 0);
    assert_ptr_equal(now.sa_handler, SIG_DFL);
}

// --- shortages -----------------------------------------------------------------------

// Whatever is refused, memory, a pipe, a thread: what arrives is what *done tells.
#ifdef WF_FAULTS
static void copy_in_shortage(enum kind from, enum kind to, bool and_all_later)
{
    for (long n = 1, passed = n; passed >= n; n++) {
        struct end src = { .kind = from, .peer = -1 }, dst;
        size_t there = MUCH;
        int64_t done = -1;
        if (is_file(from)) {
            open_source(&src, from, there);
        } else {
            connect_end(&src, true);
            there = peer_stuff(src.peer, 1);
            close(src.peer);
            src.peer = -1;
        }
        open_target(&dst, to);
        wf_mem_fail_at(n, and_all_later);
        int err = weft_copy(dst.fd, src.fd, -1, &done);
        passed = wf_mem_count();
        wf_mem_fail_at(0, false);
        assert_true(err == 0 || err == -ENOMEM || err == -EMFILE || err == -EAGAIN);
        assert_true(err < 0 || done == (int64_t)there);
        close_source(&src);
        assert_int_equal(close_target(&dst), done);
    }
}

static int copy_in_shortages(void *arg)
{
    static const enum kind pairs[][2] = {
        { TCP_NONBLOCK, TCP_NONBLOCK }, { TCP_NONBLOCK, MEMORY }, { PIPE, UNIX_NONBLOCK },
        { MEMORY, TCP_NONBLOCK },       { MEMORY, MEMORY },
    };
    (void)arg;

    for (size_t i = 0; i < wf_countof(pairs); i++)
        for (int later = 0; later < 2; later++)
            copy_in_shortage(pairs[i][0], pairs[i][1], later);
    return 0;
}

static void a_shortage_loses_no_byte_that_was_counted(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(copy_in_shortages, NULL), 0);
}
#else
static void a_shortage_loses_no_byte_that_was_counted(void **state)
{
    (void)state;
    wf_test_skip("the library is built without fault injection; test_copy.slots4 has it");
}
#endif

// --- blocking mode -------------------------------------------------------------------

// A copy that waits, in blocking mode, does not keep its worker: other tasks run.
static int wait_in_blocking_mode(void *arg)
{
    static const enum kind pairs[][2] = {
        { TCP, TCP },  { UNIX, UNIX },    { PIPE, TCP },    { PIPE, PIPE },
        { TCP, PIPE }, { TERMINAL, TCP }, { PIPE, MEMORY }, { UNIX, MEMORY },
    };
    (void)arg;

    for (size_t i = 0; i < wf_countof(pairs); i++) {
        struct end src = { .kind = pairs[i][0], .peer = -1 }, dst;
        connect_end(&src, true);
        open_target(&dst, pairs[i][1]);
        struct copy c = { src.fd, dst.fd, LITTLE, 0 };
        weft_task *t = spawn(run_copy, &c);
        wait_parked(t, "weft_copy");
        src.n = LITTLE;
        src.threaded = true;
        src.thread = peer_start(feed, &src);
        assert_int_equal(join(t), 0);
        assert_int_equal(fcntl(src.fd, F_GETFL) & O_NONBLOCK, 0);
        close_source(&src);
        assert_int_equal(close_target(&dst), LITTLE);
    }
    return 0;
}

static void a_copy_in_blocking_mode_parks(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(wait_in_blocking_mode, NULL), 0);
}

// --- weft_sendfile -------------------------------------------------------------------

static void send_all(int sock, int file, bool positioned, size_t piece, size_t from)
{
    off_t at = (off_t)from;
    ssize_t put;
    size_t sent = from;

    assert_int_equal(lseek(file, positioned ? 7 : at, SEEK_SET), positioned ? 7 : at);
    while ((put = weft_sendfile(sock, file, positioned ? &at : NULL, piece)) > 0) {
        assert_true((size_t)put <= piece);
        sent += (size_t)put;
        assert_int_equal(positioned ? at : lseek(file, 0, SEEK_CUR), sent);
    }
    assert_int_equal(put, 0);
    assert_int_equal(sent, MUCH);
    if (positioned)
        assert_int_equal(lseek(file, 0, SEEK_CUR), 7);
}

static int send_files(void *arg)
{
    static const enum kind kinds[] = { TCP, TCP_NONBLOCK, UNIX, UNIX_NONBLOCK };
    static const size_t pieces[] = { 5000, 1 << 16, MUCH * 2 };
    (void)arg;

    for (size_t i = 0; i < wf_countof(kinds) * wf_countof(pieces) * 2; i++) {
        struct end src, dst;
        open_source(&src, MEMORY, MUCH);
        open_target(&dst, kinds[i / 2 % wf_countof(kinds)]);
        assert_int_equal(fsync(src.fd), 0);
        if (i % 2)
            posix_fadvise(src.fd, 0, 0, POSIX_FADV_DONTNEED); // out of the page cache, if it is on a disk
        send_all(dst.fd, src.fd, i % 2, pieces[i % wf_countof(pieces)], 0);
        assert_int_equal(weft_sendfile(dst.fd, src.fd, NULL, 0), 0);
        close_source(&src);
        assert_int_equal(close_target(&dst), MUCH);
    }
    return 0;
}

static void a_file_is_sent_in_pieces(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(send_files, NULL), 0);
}

static int send_others(void *arg)
{
    int fd[2], sockets[2], packets[2], file = make_file(true), dir = open("/tmp", O_RDONLY | O_CLOEXEC);
    off_t before = -1;
    (void)arg;

    peer_pair(PEER_PIPE, fd);
    peer_pair(PEER_UNIX, sockets);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, packets), 0);
    assert_int_equal(write(file, "abcd", 4), 4);
    assert_int_equal(weft_sendfile(file, file, NULL, 4), -ENOTSOCK);
    assert_int_equal(weft_sendfile(fd[1], file, NULL, 4), -ENOTSOCK);
    assert_int_equal(weft_sendfile(packets[0], file, NULL, 4), -EPROTOTYPE);
    assert_int_equal(weft_sendfile(sockets[0], fd[0], NULL, 4), -EINVAL);
    assert_int_equal(weft_sendfile(sockets[0], sockets[1], NULL, 4), -EINVAL);
    assert_int_equal(weft_sendfile(sockets[0], dir, NULL, 4), -EINVAL);
    assert_int_equal(weft_sendfile(sockets[0], file, &before, 4), -EINVAL);
    assert_int_equal(weft_sendfile(sockets[0], -1, NULL, 4), -EBADF);
    assert_int_equal(weft_sendfile(-1, file, NULL, 4), -EBADF);
    for (int i = 0; i < 2; i++)
        assert_int_equal(weft_close(fd[i]) | weft_close(sockets[i]) | weft_close(packets[i]), 0);
    return weft_close(file) | weft_close(dir);
}

static void what_cannot_be_sent_is_refused_by_name(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(send_others, NULL), 0);
}

// Who makes the system calls that may wait for a disk: threads of the pool, and no
// worker. The filter traps them; what was to be done is then refused.
#if defined(__x86_64__) && !defined(WF_ASAN) && !defined(WF_TSAN)
static atomic_uint by_pool, by_others, cached;

static void note_thread(int sig, siginfo_t *info, void *context)
{
    ucontext_t *u = context;
    char name[16] = "";
    (void)sig;

    if (info->si_syscall == SYS_preadv2) {
        atomic_fetch_add(&cached, 1);
        assert_true(u->uc_mcontext.gregs[REG_R9] & RWF_NOWAIT);
        u->uc_mcontext.gregs[REG_RAX] = -EAGAIN; // nothing is in the page cache
        return;
    }
    prctl(PR_GET_NAME, name);
    atomic_fetch_add(strcmp(name, "weft-blocking") == 0 ? &by_pool : &by_others, 1);
    u->uc_mcontext.gregs[REG_RAX] = -ENOSYS;
}

static int send_trapped(void *arg)
{
    struct end src, dst;
    (void)arg;

    open_source(&src, MEMORY, MUCH);
    for (int i = 0; i < 4; i++) {
        open_target(&dst, i % 2 ? TCP : TCP_NONBLOCK);
        ssize_t put = weft_sendfile(dst.fd, src.fd, &(off_t){ 0 }, i / 2 ? 1000 : MUCH);
        assert_true(put > 0);
        assert_int_equal(weft_close(dst.fd), 0);
        peer_join(dst.thread);
        close(dst.peer);
    }
    close_source(&src);
    return 0;
}

static void run_trapped(void *arg)
{
    struct sigaction action = { .sa_sigaction = note_thread, .sa_flags = SA_SIGINFO };
    (void)arg;

    assert_int_equal(sigaction(SIGSYS, &action, NULL), 0);
    filter_or_exit(SYS_sendfile, SECCOMP_RET_TRAP);
    filter_or_exit(SYS_preadv2, SECCOMP_RET_TRAP);
    assert_int_equal(weft_run(NULL, send_trapped, NULL), 0);
    assert_true(atomic_load(&by_pool) > 0 && atomic_load(&cached) > 0);
    assert_int_equal(atomic_load(&by_others), 0);
}

static void no_worker_waits_for_a_disk(void **state)
{
    struct child c;
    (void)state;

    skip_without_filters();
    child_run(&c, run_trapped, NULL);
    child_expect_exit(&c, 0);
}
#else
static void no_worker_waits_for_a_disk(void **state)
{
    (void)state;
    wf_test_skip("the result of a trapped call goes to another register, or the sanitizer has the signal");
}
#endif

// --- within one file -----------------------------------------------------------------

// open_again is the same file with a position of its own.
static int open_again(int fd, off_t at)
{
    char path[32];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int other = open(path, O_RDWR | O_CLOEXEC);
    assert_true(other >= 0);
    assert_int_equal(lseek(other, at, SEEK_SET), at);
    return other;
}

static off_t size_of(int fd)
{
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    return st.st_size;
}

enum { STEP = 4 << 20 }; // what a cancel waits for at most, as copy.h has it

// chase_end copies a file behind itself: three bytes a system call, and no end.
static int chase_end(void *arg)
{
    int file = make_file(false);
    (void)arg;

    assert_int_equal(ftruncate(file, LITTLE), 0);
    struct copy c = { open_again(file, 0), open_again(file, 3), -1, 0 };
    weft_task *t = spawn(run_copy, &c);
    while (size_of(file) <= LITTLE)
        assert_int_equal(weft_yield(), 0);
    weft_task_cancel(t);
    assert_int_equal(join(t), -ECANCELED);
    assert_in_range(c.done, 1, STEP - 1);
    assert_int_equal(lseek(c.src, 0, SEEK_CUR), c.done);
    assert_int_equal(lseek(c.dst, 0, SEEK_CUR), c.done + 3);
    return weft_close(c.src) | weft_close(c.dst) | weft_close(file);
}

static void a_copy_behind_itself_can_be_cut_short(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(chase_end, NULL), 0);
}

// copy_down copies a file to a place in front of itself, as to take out what is in between.
static int copy_down(void *arg)
{
    static uint8_t bytes[MUCH];
    static const int by[] = { 1, 3, 4096, 300000 };
    int64_t done;
    (void)arg;

    for (size_t i = 0; i < wf_countof(by); i++) {
        int file = make_file(false), src = open_again(file, by[i]);
        peer_fill(bytes, MUCH, 1, 0);
        peer_write(file, bytes, MUCH);
        assert_int_equal(lseek(file, 0, SEEK_SET), 0);
        assert_int_equal(weft_copy(file, src, -1, &done), 0);
        assert_int_equal(done, MUCH - by[i]);
        assert_int_equal(pread(file, bytes, MUCH, 0), MUCH);
        peer_check(bytes, (size_t)(MUCH - by[i]), 1, (uint64_t)by[i]);
        assert_int_equal(weft_close(src) | weft_close(file), 0);
    }
    return 0;
}

static void a_file_can_be_moved_down_within_itself(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(copy_down, NULL), 0);
}

// copy_in_place: both are at the same position, whether or not they share it.
static int copy_in_place(void *arg)
{
    static uint8_t bytes[MUCH];
    int64_t done;
    (void)arg;

    for (int shared = 0; shared < 2; shared++) {
        int file = make_file(false), other = shared ? dup(file) : open_again(file, 0);
        peer_fill(bytes, MUCH, 1, 0);
        peer_write(file, bytes, MUCH);
        assert_int_equal(lseek(file, 0, SEEK_SET), 0);
        assert_int_equal(weft_copy(file, other, -1, &done), 0);
        assert_int_equal(done, MUCH);
        assert_int_equal(size_of(file), MUCH);
        assert_int_equal(pread(file, bytes, MUCH, 0), MUCH);
        peer_check(bytes, MUCH, 1, 0);
        assert_int_equal(weft_close(other) | weft_close(file), 0);
    }
    return 0;
}

static void a_copy_onto_itself_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(copy_in_place, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_copied_to_every_other),
        cmocka_unit_test(what_is_refused_is_done_in_another_way),
        cmocka_unit_test(without_anything_it_reads_and_writes),
        cmocka_unit_test(what_lies_in_the_pipe_is_not_lost),
        cmocka_unit_test(files_without_a_size_are_copied_to_their_end),
        cmocka_unit_test(done_is_what_has_arrived),
        cmocka_unit_test(a_broken_target_is_an_error_and_no_signal),
        cmocka_unit_test(a_shortage_loses_no_byte_that_was_counted),
        cmocka_unit_test(a_copy_in_blocking_mode_parks),
        cmocka_unit_test(a_file_is_sent_in_pieces),
        cmocka_unit_test(what_cannot_be_sent_is_refused_by_name),
        cmocka_unit_test(no_worker_waits_for_a_disk),
        cmocka_unit_test(a_copy_behind_itself_can_be_cut_short),
        cmocka_unit_test(a_file_can_be_moved_down_within_itself),
        cmocka_unit_test(a_copy_onto_itself_changes_nothing),
    };
    return wf_test_run(tests);
}
