// O_NONBLOCK belongs to the open file, and whoever else has that may take it away: a call on a pipe, a FIFO, a
// terminal, a counter or a listener must park all the same. Where it is not needed it is not set.
#include <pty.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <termios.h>

#include "tests/support/peer.h"
#include "tests/support/tasks.h"

// --- descriptors -----------------------------------------------------------------------------------------------------

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

static void make_socket(int fd[2])
{
    peer_tcp_pair(fd);
}

static const struct kind {
    void (*make)(int fd[2]); // what is written to [1] is read from [0]
    bool untouched;          // it works without O_NONBLOCK
} kinds[] = { { make_pipe, true }, { make_fifo, false }, { make_terminal, false }, { make_socket, true } };
enum { KINDS = sizeof(kinds) / sizeof(*kinds) };

// block does what another process does that has the same open file.
static void block(int fd)
{
    assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK), 0);
}

// check_mode: `fd` is still in blocking mode, if the kernel can do without the flag for this kind, of which `drained`
// is one that has nothing to read.
static void check_mode(const struct kind *kind, int fd, int drained)
{
    char c;
    struct iovec v = { &c, 1 };

    if (kind->untouched && preadv2(drained, &v, 1, -1, RWF_NOWAIT) < 0 && errno == EAGAIN)
        assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
}

// --- a call that has to wait -----------------------------------------------------------------------------------------

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
    block(c->fd);
    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    weft_scope_deadline(&s, weft_after(WEFT_MS(2)));
    assert_int_equal(c->fn(c), -ETIMEDOUT);
    assert_int_equal(weft_scope_close(&s), -ETIMEDOUT);
    block(c->fd);
}

// --- reading ---------------------------------------------------------------------------------------------------------

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
            check_mode(kind, fd[0], fd[0]);
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

// --- writing ---------------------------------------------------------------------------------------------------------

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

// hold_up makes a write to [1] wait, and let_go makes it go on. A terminal's buffers would make room by themselves; but
// its output can be stopped.
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
            check_mode(kind, fd[1], fd[0]);
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
    return weft_close(fd);
}

static void counters_wait_in_any_mode(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(count, NULL), 0);
}

// --- accepting -------------------------------------------------------------------------------------------------------

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading_waits_in_any_mode),
        cmocka_unit_test(writing_waits_in_any_mode),
        cmocka_unit_test(counters_wait_in_any_mode),
        cmocka_unit_test(accepting_waits_in_any_mode),
    };
    return wf_test_run(tests);
}
