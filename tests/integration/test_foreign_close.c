// Descriptors that other code closes without weft's knowledge: by close(2), fclose,
// dup2, pclose, on a foreign thread. The number may then mean any other file. No wait
// hangs because of the old file, blocks its worker, or takes data of the new file.
#include <poll.h>
#include <pty.h>
#include <sys/eventfd.h>

#include "tests/support/peer.h"
#include "tests/support/tasks.h"

enum { NUMBER = 700, SEVERAL = 3 }; // no other descriptor gets the number by chance

// --- files ---------------------------------------------------------------------------

enum kind { TCP, UNIX, PACKETS, PIPE, EVENTFD, TERMINAL, REGULAR, KINDS };

// A file at NUMBER, in blocking mode, and the descriptor by which the test makes it
// readable.
struct file {
    enum kind kind;
    int peer;
};

static int open_file(struct file *f)
{
    int fd[2] = { -1, -1 };

    switch (f->kind) {
    case TCP:
        peer_tcp_pair(fd);
        break;
    case UNIX:
        peer_pair(PEER_UNIX, fd);
        break;
    case PACKETS:
        assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fd), 0);
        break;
    case PIPE:
        peer_pair(PEER_PIPE, fd);
        break;
    case EVENTFD:
        fd[0] = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
        fd[1] = dup(fd[0]);
        break;
    case TERMINAL:
        assert_int_equal(openpty(&fd[1], &fd[0], NULL, NULL, NULL), 0);
        break;
    default:
        fd[0] = memfd_create("file", MFD_CLOEXEC);
        fd[1] = dup(fd[0]);
        break;
    }
    assert_true(fd[0] >= 0 && fd[1] >= 0);
    f->peer = fd[1];
    return fd[0];
}

// make_readable lets `readers` tasks read once each.
static void make_readable(const struct file *f, int readers)
{
    uint64_t many = (uint64_t)readers;

    if (f->kind == EVENTFD) {
        assert_int_equal(write(f->peer, &many, sizeof(many)), sizeof(many));
    } else if (f->kind == REGULAR) {
        assert_int_equal(pwrite(f->peer, "abcdefgh", (size_t)readers * 2, 0), readers * 2);
    } else {
        for (int i = 0; i < readers; i++)
            assert_int_equal(write(f->peer, f->kind == TERMINAL ? "a\n" : "ab", 2), 2);
    }
}

// --- ways to close -------------------------------------------------------------------

static void by_close(int next)
{
    assert_int_equal(close(NUMBER), 0);
    assert_int_equal(dup2(next, NUMBER), NUMBER);
}

static void by_dup2(int next)
{
    assert_int_equal(dup2(next, NUMBER), NUMBER);
}

static void by_fclose(int next)
{
    FILE *f = fdopen(NUMBER, (fcntl(NUMBER, F_GETFL) & O_ACCMODE) == O_WRONLY ? "w" : "r");
    assert_non_null(f);
    fclose(f);
    assert_int_equal(dup2(next, NUMBER), NUMBER);
}

static void *close_in_thread(void *arg)
{
    by_close(*(int *)arg);
    return NULL;
}

static void by_thread(int next)
{
    peer_join(peer_start(close_in_thread, &next));
}

static void (*const closers[])(int) = { by_close, by_dup2, by_fclose, by_thread };
enum { CLOSERS = sizeof(closers) / sizeof(*closers) };

// --- ways to wait --------------------------------------------------------------------

static int wait_read(void)
{
    char buf[8];
    return (int)weft_read(NUMBER, buf, 8) > 0 ? 1 : -EIO;
}

static int wait_readv(void)
{
    char buf[8];
    struct iovec v[2] = { { buf, 4 }, { buf + 4, 4 } };
    return (int)weft_readv(NUMBER, v, 2) > 0 ? 1 : -EIO;
}

// wait_poll waits as libraries do that never block: if there is nothing after all,
// again.
static int wait_poll(void)
{
    struct pollfd now = { .fd = NUMBER, .events = POLLIN };
    int ready;

    while ((ready = weft_poll(NUMBER, POLLIN)) > 0 && poll(&now, 1, 0) == 0)
        ;
    return ready > 0 && ready & POLLIN ? 1 : ready < 0 ? ready : -EIO;
}

static int wait_select(void)
{
    weft_case c = weft_on_fd(NUMBER, POLLIN);
    int i = weft_select(&c, 1);
    return i < 0 ? i : c.result < 0 ? c.result : 1;
}

static const struct way {
    int (*wait)(void);
    const char *call;
} ways[] = {
    { wait_read, "weft_read" },
    { wait_readv, "weft_readv" },
    { wait_poll, "weft_poll" },
    { wait_select, "weft_select" },
};
enum { WAYS = sizeof(ways) / sizeof(*ways) };

static int wait_by(void *arg)
{
    const struct way *way = arg;
    return way->wait();
}

// --- one number, two files -----------------------------------------------------------

struct run {
    const struct way *way;
    void (*close)(int next);
    enum kind first, next;
};

static void put_at_number(int fd)
{
    assert_int_equal(dup2(fd, NUMBER), NUMBER);
    close(fd);
}

// drain waits on the number in vain, so that what weft knows of it is: registered, and
// nothing to read.
static void drain(const struct way *way)
{
    weft_scope s;

    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    weft_scope_deadline(&s, weft_after(WEFT_MS(1)));
    while (way->wait() >= 0)
        ; // late news
    weft_scope_close(&s);
}

// use_first leaves the number with a past.
static void use_first(const struct run *run, struct file *f)
{
    put_at_number(open_file(f));
    weft_task *t = spawn(wait_by, (void *)run->way);
    wait_parked(t, run->way->call);
    make_readable(f, 1);
    assert_int_equal(join(t), 1);
    for (struct pollfd p = { .fd = NUMBER, .events = POLLIN }; poll(&p, 1, 0) > 0;) {
        char buf[8];
        assert_true(read(NUMBER, buf, sizeof(buf)) > 0);
    }
    drain(run->way);
}

static void await_next(const struct run *run, struct file *f)
{
    weft_task *tasks[SEVERAL];

    if (f->kind == REGULAR)
        make_readable(f, 4); // else there is nothing to wait for
    for (int i = 0; i < SEVERAL; i++)
        tasks[i] = spawn(wait_by, (void *)run->way);
    for (int i = 0; i < SEVERAL && f->kind != REGULAR; i++)
        wait_parked(tasks[i], run->way->call);
    if (f->kind != REGULAR)
        make_readable(f, SEVERAL);
    for (int i = 0; i < SEVERAL; i++) {
        while (!weft_task_done(tasks[i]) && f->kind != REGULAR) {
            if (f->kind == TCP || f->kind == UNIX || f->kind == PIPE)
                make_readable(f, 1); // one reader may have taken all that was there
            weft_sleep(WEFT_US(100));
        }
        int result = join(tasks[i]);
        assert_true(result == 1 || (f->kind == REGULAR && result == -EIO)); // -EIO: at the end of the file
    }
}

static int reuse(void *arg)
{
    const struct run *run = arg;
    struct file first = { .kind = run->first }, next = { .kind = run->next };

    use_first(run, &first);
    int fd = open_file(&next);
    run->close(fd);
    close(fd);
    await_next(run, &next);
    close(first.peer);
    close(next.peer);
    return weft_close(NUMBER);
}

static void each(weft_fn *body, const enum kind *firsts, int n)
{
    struct run run;

    for (int i = 0; i < n * KINDS * WAYS; i++) {
        run.first = firsts[i % n];
        run.next = (enum kind)(i / n % KINDS);
        run.way = &ways[i / n / KINDS];
        run.close = closers[i % CLOSERS];
        assert_int_equal(run_tasks(body, &run), 0);
    }
}

static void the_next_file_of_a_number_is_waited_on_anew(void **state)
{
    static const enum kind firsts[] = { TCP, UNIX, PIPE, EVENTFD, TERMINAL };
    (void)state;
    each(reuse, firsts, 5);
}

// --- waits that were parked before ---------------------------------------------------

static int reuse_under_a_waiter(void *arg)
{
    const struct run *run = arg;
    struct file first = { .kind = run->first }, next = { .kind = run->next };
    weft_task *old[WAYS];

    put_at_number(open_file(&first));
    for (int i = 0; i < WAYS; i++) {
        old[i] = spawn(wait_by, (void *)&ways[i]);
        wait_parked(old[i], ways[i].call);
    }
    int fd = open_file(&next);
    run->close(fd);
    close(fd);
    await_next(run, &next);
    if (next.kind == REGULAR && run->way->wait == wait_select)
        assert_int_equal(wait_read(), 1); // it was ready at once: epoll was not asked
    for (int i = 0; i < WAYS; i++) {
        int result = join(old[i]);
        assert_true(result == -EBADF || (i < 2 && result == -EIO)); // -EIO: the wait's word for any error of a read
    }
    close(first.peer);
    close(next.peer);
    return weft_close(NUMBER);
}

static void who_waited_for_the_old_file_is_woken_by_who_waits_for_the_next(void **state)
{
    static const enum kind firsts[] = { TCP, PIPE };
    (void)state;
    each(reuse_under_a_waiter, firsts, 2);
}

// --- a number that is lent, and given back -------------------------------------------

static int lend_and_restore(void *arg)
{
    const struct run *run = arg;
    struct file first = { .kind = run->first }, next = { .kind = run->next };

    use_first(run, &first);
    int saved = dup(NUMBER);
    assert_true(saved >= 0);
    int fd = open_file(&next);
    run->close(fd);
    close(fd);
    await_next(run, &next);
    by_dup2(saved);
    close(saved);
    await_next(run, &first);
    close(first.peer);
    close(next.peer);
    return weft_close(NUMBER);
}

static void a_number_that_gets_its_file_back_is_waited_on_anew(void **state)
{
    static const enum kind firsts[] = { UNIX, PIPE };
    (void)state;
    each(lend_and_restore, firsts, 2);
}

// --- one that had ended --------------------------------------------------------------

static int read_one(void *arg)
{
    char c;
    ssize_t n = weft_read(*(int *)arg, &c, 1);
    return (int)(n == 1 ? c : n);
}

// A pipe that has ended stays ready. What takes its number, in blocking mode, is not.
static int end_then_reuse(void *arg)
{
    int fd[2], number = NUMBER;
    (void)arg;

    peer_pair(PEER_PIPE, fd);
    put_at_number(fd[0]);
    weft_task *t = spawn(read_one, &number);
    wait_parked(t, "weft_read");
    close(fd[1]);
    assert_int_equal(join(t), 0);
    for (enum kind kind = TCP; kind <= TERMINAL; kind++) {
        struct file next = { .kind = kind };
        int with = open_file(&next);
        by_close(with);
        close(with);
        await_next(&(struct run){ .way = &ways[0] }, &next);
        close(next.peer);
        peer_pair(PEER_PIPE, fd);
        by_close(fd[0]);
        close(fd[0]);
        t = spawn(read_one, &number);
        wait_parked(t, "weft_read");
        close(fd[1]);
        assert_int_equal(join(t), 0);
    }
    return weft_close(NUMBER);
}

static void the_next_file_after_one_that_ended_blocks_nobody(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(end_then_reuse, NULL), 0);
}

// --- writing, connecting, accepting --------------------------------------------------

static int write_one(void *arg)
{
    (void)arg;
    return (int)weft_write(NUMBER, "x", 1);
}

static int poll_out(void *arg)
{
    (void)arg;
    int ready = weft_poll(NUMBER, POLLOUT);
    return ready & POLLOUT && ready > 0 ? 1 : -EIO;
}

static int write_to(void *arg)
{
    weft_fn *const fns[] = { write_one, poll_out };
    const char *const calls[] = { "weft_write", "weft_poll" };
    static char buf[65536];
    (void)arg;

    for (int i = 0; i < 8; i++) {
        int fd[2], before[2];
        peer_pair(i % 2 ? PEER_UNIX : PEER_PIPE, before);
        put_at_number(before[i % 2 ? 0 : 1]);
        before[1] = before[i % 2 ? 1 : 0];
        peer_stuff(NUMBER, 0);
        weft_task *old = spawn(fns[i / 4], NULL);
        wait_parked(old, calls[i / 4]);
        peer_pair(i / 2 % 2 ? PEER_UNIX : PEER_PIPE, fd);
        int next = fd[i / 2 % 2 ? 0 : 1], peer = fd[i / 2 % 2 ? 1 : 0];
        peer_stuff(next, 0);
        closers[i % CLOSERS](next);
        close(next);
        weft_task *t = spawn(fns[i / 4], NULL), *other = spawn(fns[1 - i / 4], NULL);
        wait_parked(t, calls[i / 4]);
        wait_parked(other, calls[1 - i / 4]);
        assert_true(read(peer, buf, sizeof(buf)) > 0);
        while (!weft_task_done(t) || !weft_task_done(other)) {
            (void)!recv(peer, buf, sizeof(buf), MSG_DONTWAIT);
            weft_sleep(WEFT_US(100));
        }
        assert_int_equal(join(t), 1);
        assert_int_equal(join(other), 1);
        assert_true(join(old) < 0);
        close(peer);
        close(before[1]);
        assert_int_equal(weft_close(NUMBER), 0);
    }
    return 0;
}

static void a_write_waits_for_the_next_file_s_room(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(write_to, NULL), 0);
}

static int accept_one(void *arg)
{
    (void)arg;
    int fd = weft_accept(NUMBER, NULL, NULL);
    return fd < 0 ? fd : weft_close(fd);
}

static int accept_from(void *arg)
{
    struct sockaddr_in at;
    (void)arg;

    for (int i = 0; i < CLOSERS; i++) {
        put_at_number(peer_listen(8, &at));
        weft_task *old = spawn(accept_one, NULL);
        wait_parked(old, "weft_accept");
        int next = peer_listen(8, &at);
        closers[i](next);
        close(next);
        weft_task *t = spawn(accept_one, NULL), *other = spawn(accept_one, NULL);
        wait_parked(t, "weft_accept");
        wait_parked(other, "weft_accept");
        int client[2];
        for (int c = 0; c < 2; c++) {
            client[c] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
            assert_int_equal(connect(client[c], (struct sockaddr *)&at, sizeof(at)), 0);
        }
        assert_int_equal(join(t), 0);
        assert_int_equal(join(other), 0);
        assert_int_equal(join(old), -EBADF);
        close(client[0]);
        close(client[1]);
        assert_int_equal(weft_close(NUMBER), 0);
    }
    return 0;
}

static void an_accept_waits_on_the_next_listener(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(accept_from, NULL), 0);
}

static int dial(void *arg)
{
    return weft_connect(NUMBER, arg, sizeof(struct sockaddr_in));
}

static int take_all(void *arg)
{
    int fd;

    while ((fd = weft_accept(*(int *)arg, NULL, NULL)) >= 0)
        weft_close(fd);
    return fd;
}

// A listener whose queue is full drops further connections, until it has room again.
static int connect_anew(void *arg)
{
    enum { FILLERS = 2 };
    struct sockaddr_in at;
    int fillers[FILLERS], server = peer_listen(0, &at);
    struct file first = { .kind = TCP };
    (void)arg;

    for (int i = 0; i < FILLERS; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        connect(fillers[i], (struct sockaddr *)&at, sizeof(at));
    }
    use_first(&(struct run){ .way = &ways[0] }, &first);
    int next = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    by_close(next);
    close(next);
    weft_task *t = spawn(dial, &at);
    wait_parked(t, "weft_connect");
    weft_task *taker = spawn(take_all, &server);
    assert_int_equal(join(t), 0);
    weft_task_cancel(taker);
    assert_int_equal(join(taker), -ECANCELED);
    for (int i = 0; i < FILLERS; i++)
        close(fillers[i]);
    close(server);
    close(first.peer);
    return weft_close(NUMBER);
}

static void a_connect_waits_for_the_next_socket(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(connect_anew, NULL), 0);
}

// --- as in the reports ---------------------------------------------------------------

static int read_children(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        char buf[16] = "";
        FILE *f = popen("sleep 0.05; echo hello", "r");
        assert_non_null(f);
        assert_int_equal(weft_read(fileno(f), buf, sizeof(buf)), 6);
        assert_string_equal(buf, "hello\n");
        assert_int_equal(weft_read(fileno(f), buf, sizeof(buf)), 0);
        pclose(f);
    }
    return 0;
}

static void one_child_after_another_is_read(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(read_children, NULL), 0);
}

// A client as libraries are: it opens, waits, reads, closes, and opens anew, by itself.
static int be_a_library(void *arg)
{
    const unsigned rounds = wf_test_rounds(100);
    const short events[] = { POLLIN, POLLIN | POLLOUT };
    (void)arg;

    for (unsigned i = 0; i < rounds; i++) {
        char c;
        int fd[2];
        peer_pair((enum peer_kind)(i % PEER_KINDS), fd);
        weft_task *t = spawn(read_one, &fd[0]);
        if (i % 2)
            weft_yield();
        else
            wait_parked(t, "weft_read");
        peer_write(fd[1], "ab", 2);
        assert_int_equal(join(t), 'a');
        int ready = weft_poll(fd[0], events[i / 3 % 2]);
        assert_true(ready > 0 && ready & POLLIN);
        assert_int_equal(read(fd[0], &c, 1), 1);
        close(fd[0]);
        close(fd[1]);
    }
    return 0;
}

static int be_many_libraries(void *arg)
{
    enum { TASKS = 16 };
    weft_task *tasks[TASKS];
    (void)arg;

    for (int i = 0; i < TASKS; i++)
        tasks[i] = spawn(be_a_library, NULL);
    for (int i = 0; i < TASKS; i++)
        assert_int_equal(join(tasks[i]), 0);
    return 0;
}

static void libraries_open_and_close_by_themselves(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(be_many_libraries, NULL), 0);
}

// --- what weft has made --------------------------------------------------------------

// Once weft has found that others close what it makes, it asks epoll of that, too.
static int betray(void *arg)
{
    char addr[64];
    int client[3];
    (void)arg;

    int listener = weft_tcp_listen("127.0.0.1:0");
    assert_true(weft_local_addr(listener, addr, sizeof(addr)) > 0);
    int number = -1;
    for (int i = 0; i < 3; i++)
        client[i] = peer_connect(addr);
    for (int i = 0; i < 3; i++) {
        int fd = weft_accept(listener, NULL, NULL);
        if (i > 0)
            assert_int_equal(fd, number);
        number = fd;
        weft_task *t = spawn(read_one, &fd);
        wait_parked(t, "weft_read");
        peer_write(client[i], "x", 1);
        assert_int_equal(join(t), 'x');
        weft_scope s;
        weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
        weft_scope_deadline(&s, weft_after(WEFT_MS(1)));
        assert_int_equal(read_one(&fd), -ETIMEDOUT);
        weft_scope_close(&s);
        close(fd);
    }
    int fd[2];
    peer_pair(PEER_UNIX, fd);
    assert_int_equal(fd[0], number);
    weft_task *t = spawn(read_one, &fd[0]);
    wait_parked(t, "weft_read");
    peer_write(fd[1], "y", 1);
    assert_int_equal(join(t), 'y');
    for (int i = 0; i < 3; i++)
        close(client[i]);
    return close(fd[0]) | close(fd[1]) | weft_close(listener);
}

static void what_weft_made_and_others_close_is_found_out(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(betray, NULL), 0);
}

// --- the next file is not reached ----------------------------------------------------

static int read_number(void *arg)
{
    return (int)weft_read(NUMBER, arg, 1);
}

static int recv_number_fd(void *arg)
{
    return (int)weft_recv(NUMBER, arg, 1, 0);
}

static int read_all_of_number(void *arg)
{
    return weft_read_full(NUMBER, arg, 1, NULL);
}

// outlive: the file that a task waits on lives on as a duplicate, and becomes readable
// when its number means the next one.
static void outlive(weft_fn *reads, enum peer_kind kind)
{
    int old[2], next[2];
    char got = 0, left = 0;

    peer_pair(kind, old);
    peer_pair(kind, next);
    assert_int_equal(dup2(old[0], NUMBER), NUMBER);
    weft_task *t = spawn(reads, &got);
    wait_parked(t, reads == recv_number_fd ? "weft_recv" : "weft_read");
    assert_int_equal(dup2(next[0], NUMBER), NUMBER);
    peer_write(next[1], "b", 1);
    peer_write(old[1], "a", 1);
    assert_int_equal(join(t), -EBADF);
    assert_int_equal(read(next[0], &left, 1), 1);
    assert_int_equal(left, 'b');
    assert_int_equal(weft_close(NUMBER), 0);
    for (int i = 0; i < 2; i++) {
        close(old[i]);
        close(next[i]);
    }
}

static int outlive_each(void *arg)
{
    (void)arg;
    for (int kind = 0; kind < PEER_KINDS; kind++) {
        outlive(read_number, (enum peer_kind)kind);
        outlive(read_all_of_number, (enum peer_kind)kind);
        if (kind != PEER_PIPE)
            outlive(recv_number_fd, (enum peer_kind)kind);
    }
    return 0;
}

static void a_file_that_lives_on_does_not_lead_to_the_next_one(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(outlive_each, NULL), 0);
}

// follow: a socket and a regular file take the number of a pipe that a call has waited
// on, and of one that was read without waiting.
static int follow(void *arg)
{
    int fd[2], next[2];
    char c;
    (void)arg;

    for (int waits = 0; waits < 2; waits++) {
        for (int regular = 0; regular < 2; regular++) {
            peer_pair(PEER_PIPE, fd);
            assert_int_equal(dup2(fd[0], NUMBER), NUMBER);
            close(fd[0]);
            for (int i = 0; i < 2; i++) { // the second one finds it registered
                weft_task *t = waits ? spawn(read_number, &c) : NULL;
                if (t)
                    wait_parked(t, "weft_read");
                peer_write(fd[1], "x", 1);
                assert_int_equal(t ? join(t) : (int)weft_read(NUMBER, &c, 1), 1);
            }
            peer_pair(PEER_UNIX, next);
            int file = regular ? memfd_create("next", MFD_CLOEXEC) : next[0];
            by_close(file);
            if (regular) {
                assert_int_equal(weft_write(NUMBER, "abc", 3), 3);
                close(file);
            } else {
                peer_write(next[1], "y", 1);
                assert_int_equal(weft_recv(NUMBER, &c, 1, 0), 1);
            }
            assert_int_equal(weft_close(NUMBER), 0);
            close(fd[1]);
            close(next[0]);
            close(next[1]);
        }
    }
    return 0;
}

static void the_next_file_may_be_of_another_kind(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(follow, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_file_of_a_number_is_waited_on_anew),
        cmocka_unit_test(who_waited_for_the_old_file_is_woken_by_who_waits_for_the_next),
        cmocka_unit_test(a_number_that_gets_its_file_back_is_waited_on_anew),
        cmocka_unit_test(the_next_file_after_one_that_ended_blocks_nobody),
        cmocka_unit_test(a_write_waits_for_the_next_file_s_room),
        cmocka_unit_test(an_accept_waits_on_the_next_listener),
        cmocka_unit_test(a_connect_waits_for_the_next_socket),
        cmocka_unit_test(one_child_after_another_is_read),
        cmocka_unit_test(libraries_open_and_close_by_themselves),
        cmocka_unit_test(what_weft_made_and_others_close_is_found_out),
        cmocka_unit_test(a_file_that_lives_on_does_not_lead_to_the_next_one),
        cmocka_unit_test(the_next_file_may_be_of_another_kind),
    };
    return wf_test_run(tests);
}
