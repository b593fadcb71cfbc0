// O_NONBLOCK belongs to the open file description, which others may share: weft does
// not change it, and does not need it. A call on a pipe, a FIFO, either end of a
// terminal, a counter or a listener parks in every mode, even if the mode changes.
#include <limits.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <termios.h>

#include "tests/support/child.h"
#include "tests/support/peer.h"
#include "tests/support/tasks.h"
#include "tests/support/wrap.h"

// --- descriptors ---------------------------------------------------------------------

static void make_pipe(int fd[2])
{
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
}

static void make_fifo(int fd[2])
{
    char dir[] = "/tmp/weft-mode-XXXXXX", path[64];

    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/fifo", dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    fd[0] = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    fd[1] = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd[0] >= 0 && fd[1] >= 0);
    assert_int_equal(unlink(path) | rmdir(dir), 0);
}

static void make_terminal(int fd[2])
{
    struct termios raw = { 0 };

    cfmakeraw(&raw);
    raw.c_cc[VMIN] = 1;
    if (openpty(&fd[1], &fd[0], NULL, &raw, NULL) < 0)
        fail_msg("no pseudo-terminal: %s", strerror(errno));
}

static void make_master(int fd[2])
{
    int slave;

    make_terminal(fd);
    slave = fd[0];
    fd[0] = fd[1];
    fd[1] = slave;
}

static void make_socket(int fd[2])
{
    peer_tcp_pair(fd);
}

static const struct kind {
    void (*make)(int fd[2]); // what is written to [1] is read from [0]
} kinds[] = { { make_pipe }, { make_fifo }, { make_terminal }, { make_master }, { make_socket } };
enum { KINDS = sizeof(kinds) / sizeof(*kinds) };

// block does what another process does that has the same open file.
static void block(int fd)
{
    assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK), 0);
}

static void check_mode(int fd)
{
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
}

// --- a call that has to wait ---------------------------------------------------------

struct call {
    weft_fn *fn;
    const char *name;
    int fd;
};

static int read_one(void *arg)
{
    char c;
    return (int)weft_read(((struct call *)arg)->fd, &c, 1);
}

static int read_vector(void *arg)
{
    char c[2];
    struct iovec v[2] = { { &c[0], 1 }, { &c[1], 1 } };
    return (int)weft_readv(((struct call *)arg)->fd, v, 2);
}

static int write_one(void *arg)
{
    return (int)weft_write(((struct call *)arg)->fd, "x", 1);
}

static int write_vector(void *arg)
{
    struct iovec v = { "x", 1 };
    return (int)weft_writev(((struct call *)arg)->fd, &v, 1);
}

static int read_counter(void *arg)
{
    uint64_t n;
    return (int)weft_read(((struct call *)arg)->fd, &n, sizeof(n));
}

static int write_counter(void *arg)
{
    uint64_t n = 1;
    return (int)weft_write(((struct call *)arg)->fd, &n, sizeof(n));
}

static int accept_one(void *arg)
{
    return weft_accept(((struct call *)arg)->fd, NULL, NULL);
}

static weft_task *start(struct call *c)
{
    weft_task *t = spawn(c->fn, c);
    wait_parked(t, c->name);
    return t;
}

// wait_in_vain: it waits although O_NONBLOCK is gone, and can be ended.
static void wait_in_vain(struct call *c)
{
    weft_scope s;

    block(c->fd);
    weft_task *t = start(c);
    weft_task_cancel(t);
    assert_int_equal(join(t), -ECANCELED);
    check_mode(c->fd);
    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    weft_scope_deadline(&s, weft_after(WEFT_MS(2)));
    assert_int_equal(c->fn(c), -ETIMEDOUT);
    assert_int_equal(weft_scope_close(&s), -ETIMEDOUT);
    check_mode(c->fd);
}

// --- reading -------------------------------------------------------------------------

static int read_each(void *arg)
{
    struct call calls[] = { { read_one, "weft_read", -1 }, { read_vector, "weft_readv", -1 } };
    const struct kind *kind = arg;
    int fd[2];

    for (int i = 0; i < 2; i++) {
        kind->make(fd);
        calls[i].fd = fd[0];
        block(fd[0]);
        for (int round = 0; round < 3; round++) {
            weft_task *t = start(&calls[i]);
            block(fd[0]); // while it waits
            peer_write(fd[1], "x", 1);
            assert_int_equal(join(t), 1);
            check_mode(fd[0]);
            wait_in_vain(&calls[i]);
        }
        assert_int_equal(weft_close(fd[0]) | weft_close(fd[1]), 0);
    }
    return 0;
}

static void reading_waits_in_any_mode(void **state)
{
    (void)state;
    for (int i = 0; i < KINDS; i++)
        assert_int_equal(run_tasks(read_each, (void *)&kinds[i]), 0);
}

// --- writing -------------------------------------------------------------------------

static void stuff(int fd)
{
    for (size_t more = 1; more > 0;)
        more = peer_stuff(fd, 0);
}

static void drain(int fd)
{
    char buf[4096];

    peer_nonblock(fd);
    while (read(fd, buf, sizeof(buf)) > 0)
        ;
    block(fd);
}

// hold_up makes a write to [1] wait, and let_go makes it go on. A terminal's buffers
// would make room by themselves; but its output can be stopped.
static void hold_up(const struct kind *kind, const int fd[2])
{
    if (kind->make == make_terminal)
        assert_int_equal(tcflow(fd[1], TCOOFF), 0);
    else
        stuff(fd[1]);
}

static void let_go(const struct kind *kind, const int fd[2])
{
    if (kind->make == make_terminal)
        assert_int_equal(tcflow(fd[1], TCOON), 0);
    else
        drain(fd[0]);
}

static int write_each(void *arg)
{
    struct call calls[] = { { write_one, "weft_write", -1 }, { write_vector, "weft_writev", -1 } };
    const struct kind *kind = arg;
    int fd[2];

    for (int i = 0; i < 2; i++) {
        kind->make(fd);
        if (kind->make == make_terminal) { // written from the inside
            int master = fd[1];
            fd[1] = fd[0];
            fd[0] = master;
        }
        calls[i].fd = fd[1];
        block(fd[1]);
        for (int round = 0; round < 3; round++) {
            hold_up(kind, fd);
            weft_task *t = start(&calls[i]);
            block(fd[1]);
            while (!weft_task_done(t)) {
                let_go(kind, fd);
                assert_int_equal(weft_sleep(WEFT_US(100)), 0);
            }
            assert_int_equal(join(t), 1);
            check_mode(fd[1]);
            hold_up(kind, fd);
            wait_in_vain(&calls[i]);
        }
        assert_int_equal(weft_close(fd[0]) | weft_close(fd[1]), 0);
    }
    return 0;
}

static void writing_waits_in_any_mode(void **state)
{
    (void)state;
    for (int i = 0; i < KINDS; i++)
        if (kinds[i].make != make_master) // it makes room by itself
            assert_int_equal(run_tasks(write_each, (void *)&kinds[i]), 0);
}

static int count(void *arg)
{
    int fd = eventfd(0, EFD_CLOEXEC);
    struct call reader = { read_counter, "weft_read", fd }, writer = { write_counter, "weft_write", fd };
    uint64_t n = UINT64_MAX - 1;
    (void)arg;

    weft_task *t = start(&reader);
    block(fd);
    assert_int_equal(write(fd, &n, sizeof(n)), sizeof(n));
    assert_int_equal(join(t), sizeof(n));
    wait_in_vain(&reader);
    assert_int_equal(write(fd, &n, sizeof(n)), sizeof(n));
    wait_in_vain(&writer);
    t = start(&writer);
    block(fd);
    assert_int_equal(read(fd, &n, sizeof(n)), sizeof(n));
    assert_int_equal(join(t), sizeof(n));
    check_mode(fd);
    return weft_close(fd);
}

static void counters_wait_in_any_mode(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(count, NULL), 0);
}

// --- accepting -----------------------------------------------------------------------

static int listen_unix(struct sockaddr_un *at, socklen_t *len)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    *at = (struct sockaddr_un){ .sun_family = AF_UNIX };
    *len = sizeof(sa_family_t);
    assert_int_equal(bind(fd, (struct sockaddr *)at, *len), 0);
    *len = sizeof(*at);
    assert_int_equal(getsockname(fd, (struct sockaddr *)at, len), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

static int accept_each(void *arg)
{
    struct sockaddr_in in;
    struct sockaddr_un un;
    socklen_t len = sizeof(in);
    bool tcp = *(bool *)arg;
    struct call c = { accept_one, "weft_accept", tcp ? peer_listen(8, &in) : listen_unix(&un, &len) };

    for (int round = 0; round < 3; round++) {
        int client = socket(tcp ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        weft_task *t = start(&c);
        block(c.fd);
        assert_int_equal(connect(client, tcp ? (struct sockaddr *)&in : (struct sockaddr *)&un, len), 0);
        int fd = join(t);
        assert_true(fd >= 0);
        check_mode(c.fd);
        wait_in_vain(&c);
        assert_int_equal(weft_close(fd) | close(client), 0);
    }
    return weft_close(c.fd);
}

static void accepting_waits_in_any_mode(void **state)
{
    (void)state;
    for (int tcp = 0; tcp < 2; tcp++)
        assert_int_equal(run_tasks(accept_each, &(bool){ tcp }), 0);
}

// A connection that is gone before it can be accepted: the test's own accept4(2) takes
// it, as another process that shares the listener would, and then does what it is asked
// for.
static _Atomic int robbed = -1, stolen = -1;

WRAP(int, accept4, int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
    int from = fd; // compared, and only then taken back

    if (atomic_compare_exchange_strong(&robbed, &from, -1))
        atomic_store(&stolen, REAL(accept4)(fd, NULL, NULL, SOCK_CLOEXEC));
    return REAL(accept4)(fd, sa, len, flags);
}

static int rob_listener(void *arg)
{
    struct sockaddr_in in;
    struct call c = { accept_one, "weft_accept", peer_listen(8, &in) };
    struct sigaction before, after;
    int client[2], fd;
    (void)arg;

    assert_int_equal(sigaction(SIGURG, NULL, &before), 0);
    for (int i = 0; i < 2; i++)
        client[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    atomic_store(&stolen, -1);
    atomic_store(&robbed, c.fd);
    weft_task *t = start(&c);
    assert_int_equal(connect(client[0], (struct sockaddr *)&in, sizeof(in)), 0);
    while ((fd = atomic_load(&stolen)) < 0)
        assert_int_equal(weft_sleep(WEFT_US(100)), 0);
    assert_false(weft_task_done(t)); // it waits, and this task runs
    weft_task_cancel(t);
    assert_int_equal(join(t), -ECANCELED);
    assert_int_equal(connect(client[1], (struct sockaddr *)&in, sizeof(in)), 0);
    int got = accept_one(&c); // no other task has it
    assert_true(got >= 0);
    check_mode(c.fd);
    assert_int_equal(sigaction(SIGURG, NULL, &after), 0);
    assert_ptr_equal(before.sa_handler, after.sa_handler);
    return weft_close(got) | close(fd) | close(client[0]) | close(client[1]) | weft_close(c.fd);
}

static void a_connection_that_is_stolen_blocks_nobody(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(rob_listener, NULL), 0);
}

// Two processes, each with some acceptors, share a listener in blocking mode, as
// servers do that are started together.
enum { SHARERS = 2, ACCEPTORS = 3, CLIENTS = 200 };

struct shared {
    int listener, end[2];
};

static int greet_all(void *arg)
{
    struct call c = { accept_one, "weft_accept", ((struct shared *)arg)->listener };
    int fd;

    while ((fd = accept_one(&c)) >= 0)
        if (weft_write(fd, "x", 1) != 1 || weft_close(fd) != 0)
            return 0;
    return fd;
}

static int serve_until_the_end(void *arg)
{
    struct shared *s = arg;
    weft_task *t[ACCEPTORS];
    char byte;
    int wrong = 0;

    for (int i = 0; i < ACCEPTORS; i++)
        t[i] = spawn(greet_all, s);
    wrong += weft_read(s->end[0], &byte, 1) != 0;
    for (int i = 0; i < ACCEPTORS; i++)
        weft_task_cancel(t[i]);
    for (int i = 0; i < ACCEPTORS; i++)
        wrong += join(t[i]) != -ECANCELED;
    return wrong;
}

static void serve(void *arg)
{
    close(((struct shared *)arg)->end[1]);
    _exit(weft_run(NULL, serve_until_the_end, arg));
}

static void *run_sharer(void *arg)
{
    struct child c;

    child_run(&c, serve, arg);
    child_expect_exit(&c, 0);
    return NULL;
}

static void processes_share_a_listener(void **state)
{
    struct sockaddr_in at;
    struct shared s = { .listener = peer_listen(8, &at) };
    pthread_t sharers[SHARERS];
    char byte;
    (void)state;

    assert_int_equal(pipe2(s.end, O_CLOEXEC), 0);
    for (int i = 0; i < SHARERS; i++)
        sharers[i] = peer_start(run_sharer, &s);
    for (unsigned i = 0; i < wf_test_rounds(CLIENTS); i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
        assert_int_equal(read(fd, &byte, 1), 1);
        check_mode(s.listener);
        close(fd);
    }
    close(s.end[1]);
    for (int i = 0; i < SHARERS; i++)
        peer_join(sharers[i]);
    check_mode(s.listener);
    close(s.listener);
    close(s.end[0]);
}

// --- connecting ----------------------------------------------------------------------

static int connect_each(void *arg)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    int listener = peer_listen(8, &at);
    (void)arg;

    for (int flag = 0; flag <= O_NONBLOCK; flag += O_NONBLOCK) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | flag), 0);
        assert_int_equal(weft_connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
        assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, flag);
        assert_int_equal(weft_write(fd, "x", 1), 1);
        assert_int_equal(weft_close(fd), 0);
    }
    return close(listener);
}

static void connecting_leaves_the_mode(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(connect_each, NULL), 0);
}

// --- robbed readers ------------------------------------------------------------------

// The test's own readv(2) takes what there is from `victim`, once, as another process
// would; and it says of `dry`, a number of times, that there is nothing.
static _Atomic int victim = -1, dry = -1;
static _Atomic int refusals;

WRAP(ssize_t, readv, int fd, const struct iovec *v, int n)
{
    int from = atomic_exchange(&victim, -1);
    char byte;

    if (from >= 0)
        assert_int_equal(syscall(SYS_read, from, &byte, 1), 1);
    if (fd == atomic_load(&dry) && atomic_fetch_sub(&refusals, 1) > 0)
        return -EAGAIN;
    return REAL(readv)(fd, v, n);
}

// rob_reader: what was announced is gone when it is read. The reader waits for the
// next.
static int rob_reader(void *arg)
{
    const struct kind *kind = arg;
    int fd[2];

    kind->make(fd);
    block(fd[0]);
    struct call c = { read_one, "weft_read", fd[0] };
    weft_task *t = start(&c);
    atomic_store(&victim, fd[0]);
    peer_write(fd[1], "x", 1);
    while (atomic_load(&victim) >= 0)
        assert_int_equal(weft_sleep(WEFT_US(100)), 0);
    wait_parked(t, "weft_read");
    check_mode(fd[0]);
    peer_write(fd[1], "y", 1);
    assert_int_equal(join(t), 1);
    return weft_close(fd[0]) | weft_close(fd[1]);
}

static void what_is_stolen_blocks_nobody(void **state)
{
    (void)state;
    for (int i = 0; i < KINDS; i++) // the others are not read by readv(2)
        if (kinds[i].make == make_fifo || kinds[i].make == make_terminal || kinds[i].make == make_master)
            assert_int_equal(run_tasks(rob_reader, (void *)&kinds[i]), 0);
}

// --- several readers, and a flag that changes all the time ---------------------------

enum { READERS = 4, ROUNDS = 200 };

struct crowd {
    const struct kind *kind;
    int fd[2];
    _Atomic bool over;
    _Atomic unsigned seen;
};

static void *flip(void *arg)
{
    struct crowd *c = arg;

    while (!atomic_load(&c->over)) {
        peer_nonblock(c->fd[0]);
        block(c->fd[0]);
        sched_yield();
    }
    return NULL;
}

static int read_all(void *arg)
{
    struct crowd *c = arg;
    ssize_t got;
    char byte;

    while ((got = weft_read(c->fd[0], &byte, 1)) == 1)
        atomic_fetch_add(&c->seen, 1);
    return (int)got;
}

// read_in_a_crowd: each byte is read once, whichever task reads it, and those that have
// none to read can be cancelled. The descriptor is in blocking mode when the first call
// finds it: a master of a pseudo-terminal is read directly as long as its flag has
// never been missing (weft/io.h), and a flag that goes for the first time between two
// system calls is what weft cannot know of.
static int read_in_a_crowd(void *arg)
{
    struct crowd c = { .kind = arg };
    weft_task *t[READERS];
    char byte;

    c.kind->make(c.fd);
    block(c.fd[0]);
    peer_write(c.fd[1], "x", 1);
    assert_int_equal(weft_read(c.fd[0], &byte, 1), 1);
    pthread_t flipper = peer_start(flip, &c);
    for (int i = 0; i < READERS; i++)
        t[i] = spawn(read_all, &c);
    for (unsigned i = 1; i <= wf_test_rounds(ROUNDS); i++) {
        peer_write(c.fd[1], "x", 1);
        while (atomic_load(&c.seen) < i)
            assert_int_equal(weft_sleep(WEFT_US(20)), 0);
    }
    for (int i = 0; i < READERS; i++)
        weft_task_cancel(t[i]);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(join(t[i]), -ECANCELED);
    atomic_store(&c.over, true);
    peer_join(flipper);
    return weft_close(c.fd[0]) | weft_close(c.fd[1]);
}

static void many_readers_wait_in_any_mode(void **state)
{
    (void)state;
    for (int i = 0; i < KINDS; i++)
        assert_int_equal(run_tasks(read_in_a_crowd, (void *)&kinds[i]), 0);
}

// --- what is left behind -------------------------------------------------------------

static int write_x_to_stdout(void *arg)
{
    (void)arg;
    return (int)weft_write(STDOUT_FILENO, "x", 1);
}

enum { MUCH = 200 << 10 };

// print_much is a program whose output is not read at once; and so is its child.
static void print_much(void *arg)
{
    dup2(*(int *)arg, STDOUT_FILENO);
    if (weft_run(NULL, write_x_to_stdout, NULL) != 1)
        _exit(1);
    for (int i = 0; i < MUCH; i++)
        if (putchar('y') != 'y')
            _exit(2);
    if (fflush(stdout) != 0)
        _exit(3);
    _exit(system("yes | head -c 1000000") == 0 ? 0 : 4);
}

static void *count_bytes(void *arg)
{
    int *fd = arg; // and then the count
    char buf[4096];
    ssize_t n;
    int sum = 0;

    usleep(50000); // the pipe fills up; if not, no harm is done
    while ((n = read(*fd, buf, sizeof(buf))) > 0)
        sum += (int)n;
    *fd = sum;
    return NULL;
}

static void output_is_complete(void **state)
{
    struct child c;
    int fd[2];
    (void)state;

    make_fifo(fd);
    block(fd[0]);
    pthread_t reader = peer_start(count_bytes, &fd[0]);
    int from = fd[0];
    child_run(&c, print_much, &fd[1]);
    close(fd[1]);
    peer_join(reader);
    child_expect_exit(&c, 0);
    assert_int_equal(fd[0], 1 + MUCH + 1000000);
    close(from);
}

static int read_once(void *arg)
{
    return read_one(&(struct call){ .fd = *(int *)arg });
}

static void run_reader(void *arg)
{
    _exit(weft_run(NULL, read_once, arg) == 1 ? 0 : 1);
}

static void what_a_child_used_is_as_it_was(void **state)
{
    (void)state;

    for (int i = 0; i < KINDS; i++) {
        struct child c;
        int fd[2], flags;

        kinds[i].make(fd);
        block(fd[0]);
        flags = fcntl(fd[0], F_GETFL);
        peer_write(fd[1], "x", 1);
        child_run(&c, run_reader, &fd[0]);
        child_expect_exit(&c, 0);
        assert_int_equal(fcntl(fd[0], F_GETFL), flags);
        close(fd[0]);
        close(fd[1]);
    }
}

// --- devices -------------------------------------------------------------------------

static int read_zero(void *arg)
{
    int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC), flags = fcntl(fd, F_GETFL);
    char buf[64];
    (void)arg;

    assert_int_equal(weft_read(fd, buf, sizeof(buf)), sizeof(buf));
    assert_int_equal(fcntl(fd, F_GETFL), flags);
    return weft_close(fd);
}

// A device without poll that has nothing yet.
static int read_dry(void *arg)
{
    int fd = open("/dev/zero", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct call c = { read_one, "weft_read", fd };
    (void)arg;

    atomic_store(&refusals, 3);
    atomic_store(&dry, fd);
    assert_int_equal(read_one(&c), 1);
    assert_true(atomic_load(&refusals) < 0);
    atomic_store(&refusals, INT_MAX);
    weft_task *t = spawn(read_one, &c);
    while (atomic_load(&refusals) > INT_MAX - 2)
        assert_int_equal(weft_sleep(WEFT_US(100)), 0);
    weft_task_cancel(t);
    assert_int_equal(join(t), -ECANCELED);
    atomic_store(&dry, -1);
    return weft_close(fd);
}

static void devices_without_poll_wait_too(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(read_zero, NULL), 0);
    assert_int_equal(run_tasks(read_dry, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading_waits_in_any_mode),
        cmocka_unit_test(writing_waits_in_any_mode),
        cmocka_unit_test(counters_wait_in_any_mode),
        cmocka_unit_test(accepting_waits_in_any_mode),
        cmocka_unit_test(a_connection_that_is_stolen_blocks_nobody),
        cmocka_unit_test(processes_share_a_listener),
        cmocka_unit_test(connecting_leaves_the_mode),
        cmocka_unit_test(what_is_stolen_blocks_nobody),
        cmocka_unit_test(many_readers_wait_in_any_mode),
        cmocka_unit_test(output_is_complete),
        cmocka_unit_test(what_a_child_used_is_as_it_was),
        cmocka_unit_test(devices_without_poll_wait_too),
    };
    return wf_test_run(tests);
}
