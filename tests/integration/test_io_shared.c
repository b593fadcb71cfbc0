// Many tasks on one descriptor: readers and writers at the same time, and a close while
// all of them wait.
#include <poll.h>

#include "tests/support/own.h"
#include "tests/support/peer.h"
#include "tests/support/tasks.h"

enum { TASKS = 16 };

// ThreadSanitizer reports closing a descriptor, while another thread is in a system
// call on it, as a race. This file tests that weft_close may do so: the kernel keeps
// the file until the call is over, and weft does the rest.
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:^sys_close$\n";
}

// --- readers -------------------------------------------------------------------------

struct records {
    int fd;
    unsigned total;
    unsigned char *seen; // of each record; a record is read by one task only, so each writes its own bytes
};

static int read_records(void *arg)
{
    struct records *r = arg;
    uint32_t record;
    int n = 0;

    for (ssize_t got; (got = weft_read(r->fd, &record, sizeof(record))) > 0; n++) {
        assert_int_equal(got, sizeof(record));
        assert_true(record < r->total);
        r->seen[record]++;
    }
    return n;
}

static void *send_records(void *arg)
{
    int fd = ((int *)arg)[0];

    for (uint32_t i = 0; i < (uint32_t)((int *)arg)[1]; i++)
        assert_int_equal(send(fd, &i, sizeof(i), 0), sizeof(i));
    close(fd);
    return NULL;
}

static int share_reading(void *arg)
{
    weft_task *readers[TASKS];
    int fd[2], sum = 0;
    (void)arg;

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd), 0);
    struct records r = { .fd = fd[0], .total = wf_test_rounds(20000) };
    r.seen = calloc(r.total, 1);
    for (int i = 0; i < TASKS; i++)
        readers[i] = spawn(read_records, &r);
    wait_parked(readers[TASKS - 1], "weft_read");
    int sending[2] = { fd[1], (int)r.total };
    pthread_t sender = peer_start(send_records, sending);
    for (int i = 0; i < TASKS; i++)
        sum += join(readers[i]);
    peer_join(sender);
    assert_int_equal(sum, r.total);
    for (unsigned i = 0; i < r.total; i++)
        assert_int_equal(r.seen[i], 1);
    free(r.seen);
    return weft_close(fd[0]);
}

static void many_readers_read_each_record_once(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(share_reading, NULL), 0);
}

// --- writers -------------------------------------------------------------------------

struct line {
    uint32_t writer, number;
    uint8_t bytes[248];
};

static uint32_t lines_of_each; // fixed while they write
static int written_to;

static int write_lines(void *arg)
{
    uint32_t writer = (uint32_t)(uintptr_t)arg;

    for (uint32_t i = 0; i < lines_of_each; i++) {
        struct line line = { .writer = writer, .number = i };
        peer_fill(line.bytes, sizeof(line.bytes), writer, i);
        assert_int_equal(weft_write(written_to, &line, sizeof(line)), sizeof(line)); // PIPE_BUF: all or nothing
    }
    return 0;
}

static void *read_lines(void *arg)
{
    uint32_t next[TASKS] = { 0 };
    struct line line;
    int fd = *(int *)arg;

    for (uint32_t i = 0; i < lines_of_each * TASKS; i++) {
        peer_read(fd, &line, sizeof(line));
        assert_true(line.writer < TASKS);
        assert_int_equal(line.number, next[line.writer]++);
        peer_check(line.bytes, sizeof(line.bytes), line.writer, line.number);
    }
    return NULL;
}

static int share_writing(void *arg)
{
    weft_task *writers[TASKS];
    int fd[2];
    (void)arg;

    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    assert_true(fcntl(fd[1], F_SETPIPE_SZ, 4096) > 0); // so that most of them wait
    written_to = fd[1];
    lines_of_each = wf_test_rounds(1000);
    for (uintptr_t i = 0; i < TASKS; i++)
        writers[i] = spawn(write_lines, (void *)i);
    pthread_t reader = peer_start(read_lines, fd);
    for (int i = 0; i < TASKS; i++)
        assert_int_equal(join(writers[i]), 0);
    peer_join(reader);
    close(fd[0]);
    return weft_close(fd[1]);
}

static void many_writers_do_not_mix_their_lines(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(share_writing, NULL), 0);
}

// --- acceptors -----------------------------------------------------------------------

static int accept_some(void *arg)
{
    int n = 0, fd;

    for (; (fd = weft_accept(*(int *)arg, NULL, NULL)) >= 0; n++) {
        assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
        assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        assert_int_equal(weft_write_all(fd, "x", 1, NULL), 0);
        assert_int_equal(weft_close(fd), 0);
    }
    assert_int_equal(fd, -EBADF);
    return n;
}

static void *connect_often(void *arg)
{
    struct sockaddr_in *at = arg;
    char text[32], c;

    snprintf(text, sizeof(text), ":%u", ntohs(at->sin_port));
    for (unsigned i = 0; i < wf_test_rounds(300); i++) {
        int fd = peer_connect(text);
        peer_read(fd, &c, 1);
        assert_int_equal(read(fd, &c, 1), 0);
        close(fd);
    }
    return NULL;
}

static int wait_for_threads(void *arg)
{
    pthread_t *threads = arg;
    peer_join(threads[0]);
    peer_join(threads[1]);
    return 0;
}

static int share_accepting(void *arg)
{
    struct sockaddr_in at;
    weft_task *acceptors[TASKS];
    int sum = 0, listener = peer_listen(128, &at);
    (void)arg;

    for (int i = 0; i < TASKS; i++)
        acceptors[i] = spawn(accept_some, &listener);
    pthread_t clients[2] = { peer_start(connect_often, &at), peer_start(connect_often, &at) };
    assert_int_equal(weft_blocking(wait_for_threads, clients), 0);
    assert_int_equal(weft_close(listener), 0);
    for (int i = 0; i < TASKS; i++)
        sum += join(acceptors[i]);
    assert_int_equal(sum, 2 * wf_test_rounds(300));
    return 0;
}

static void many_acceptors_take_each_connection_once(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(share_accepting, NULL), 0);
}

// --- close ---------------------------------------------------------------------------

static int wait_read(void *arg)
{
    char c;
    return (int)weft_read(*(int *)arg, &c, 1);
}

static int wait_write(void *arg)
{
    char c = 0;
    return (int)weft_write(*(int *)arg, &c, 1);
}

static int wait_poll(void *arg)
{
    return weft_poll(*(int *)arg, POLLIN);
}

static int wait_poll_both(void *arg)
{
    return weft_poll(*(int *)arg, POLLIN | POLLOUT);
}

static int wait_poll_none(void *arg)
{
    return weft_poll(*(int *)arg, 0);
}

static void *close_it(void *arg)
{
    assert_int_equal(weft_close(*(int *)arg), 0);
    return NULL;
}

static int close_while_waiting(void *arg)
{
    weft_fn *const waits[] = { wait_read, wait_write, wait_poll, wait_poll_both, wait_poll_none };
    const char *const names[] = { "weft_read", "weft_write", "weft_poll", "weft_poll", "weft_poll" };
    enum { KINDS = sizeof(waits) / sizeof(*waits), EACH = 3 };
    weft_task *tasks[KINDS * EACH];
    bool by_thread = *(bool *)arg;
    int fd[2];

    peer_tcp_pair(fd);
    while (peer_stuff(fd[0], 0) > 0)
        ;
    for (int i = 0; i < KINDS * EACH; i++)
        tasks[i] = spawn(waits[i % KINDS], fd);
    for (int i = 0; i < KINDS * EACH; i++)
        wait_parked(tasks[i], names[i % KINDS]);
    if (by_thread)
        peer_join(peer_start(close_it, fd));
    else
        close_it(fd);
    for (int i = 0; i < KINDS * EACH; i++)
        assert_int_equal(join(tasks[i]), -EBADF);
    return weft_close(fd[1]);
}

static void closing_wakes_all_who_wait(void **state)
{
    (void)state;
    for (int by_thread = 0; by_thread < 2; by_thread++)
        assert_int_equal(run_tasks(close_while_waiting, &(bool){ by_thread }), 0);
}

enum { NUMBER = 700 };

// pair_at makes a pair whose first descriptor has that number.
static void pair_at(int number, enum peer_kind kind, int fd[2])
{
    peer_pair(kind, fd);
    assert_int_equal(dup3(fd[0], number, O_CLOEXEC), number);
    close(fd[0]);
    fd[0] = number;
}

static int close_and_reuse(void *arg)
{
    int fd[2], other[2];
    (void)arg;

    for (unsigned i = 0; i < wf_test_rounds(300); i++) {
        pair_at(NUMBER, (enum peer_kind)(i % PEER_KINDS), fd);
        if (i % 2)
            take_for_own(fd[0]);
        weft_task *old = spawn(wait_read, fd);
        wait_parked(old, "weft_read");
        assert_int_equal(weft_close(fd[0]), 0);
        pair_at(NUMBER, (enum peer_kind)((i + 1) % PEER_KINDS), other);
        weft_task *new = spawn(wait_read, other);
        wait_parked(new, "weft_read");
        peer_write(other[1], "x", 1);
        assert_int_equal(join(new), 1);
        assert_int_equal(join(old), -EBADF); // though its number is open again
        assert_int_equal(weft_close(other[0]) | weft_close(other[1]) | weft_close(fd[1]), 0);
    }
    return 0;
}

static void a_number_that_is_used_again_is_another_descriptor(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(close_and_reuse, NULL), 0);
}

// A library that closes behind weft's back must not spoil the number for a connection
// that is accepted later.
static int close_behind_the_back(void *arg)
{
    struct sockaddr_in at;
    int fd[2], listener = peer_listen(8, &at);
    char text[32], c;
    (void)arg;

    snprintf(text, sizeof(text), ":%u", ntohs(at.sin_port));
    for (unsigned i = 0; i < wf_test_rounds(100); i++) {
        peer_tcp_pair(fd);
        int client = peer_connect(text);
        weft_task *t = spawn(wait_read, fd);
        wait_parked(t, "weft_read");
        peer_write(fd[1], "x", 1);
        assert_int_equal(join(t), 1);
        assert_int_equal(weft_recv(fd[0], &c, 1, MSG_DONTWAIT), -EAGAIN);
        close(fd[0]); // it is registered, and weft is not told
        int accepted = weft_accept(listener, NULL, NULL);
        assert_int_equal(accepted, fd[0]);
        t = spawn(wait_read, &accepted);
        wait_parked(t, "weft_read");
        peer_write(client, "y", 1);
        assert_int_equal(join(t), 1);
        assert_int_equal(weft_close(accepted), 0);
        close(client);
        close(fd[1]);
    }
    return weft_close(listener);
}

static void a_number_that_was_closed_behind_the_back_is_accepted(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(close_behind_the_back, NULL), 0);
}

// Concurrent readers, writers and closers get bytes or -EBADF, and return.
static int read_until_closed(void *arg)
{
    char buf[64];
    ssize_t got;

    while ((got = weft_read(*(int *)arg, buf, sizeof(buf))) > 0)
        ;
    return (int)got;
}

static int write_until_closed(void *arg)
{
    char buf[64] = { 0 };
    ssize_t put;

    while ((put = weft_write(*(int *)arg, buf, sizeof(buf))) > 0)
        ;
    return (int)put;
}

static int close_in_traffic(void *arg)
{
    int fd[2];
    (void)arg;

    for (unsigned i = 0; i < wf_test_rounds(200); i++) {
        peer_tcp_pair(fd);
        weft_task *tasks[4] = { spawn(read_until_closed, &fd[0]), spawn(write_until_closed, &fd[0]),
                                spawn(read_until_closed, &fd[1]), spawn(write_until_closed, &fd[1]) };
        for (unsigned j = 0; j < i % 7; j++)
            assert_int_equal(weft_yield(), 0);
        assert_int_equal(weft_close(fd[0]), 0);
        for (int j = 0; j < 2; j++)
            assert_int_equal(join(tasks[j]), -EBADF);
        for (int j = 2; j < 4; j++) {
            int end = join(tasks[j]);
            assert_true(end == 0 || end == -ECONNRESET || end == -EPIPE);
        }
        assert_int_equal(weft_close(fd[1]), 0);
    }
    return 0;
}

static void closing_in_traffic_ends_it(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(close_in_traffic, NULL), 0);
}

// --- two runtimes --------------------------------------------------------------------

struct two {
    int fd[2];
    weft_rt *other;
};

static int close_for_both(void *arg)
{
    struct two *two = arg;
    weft_task *there;

    assert_int_equal(weft_rt_spawn(two->other, &there, wait_read, &two->fd[0]), 0);
    weft_task *here = spawn(wait_read, &two->fd[0]);
    wait_parked(here, "weft_read");
    for (int i = 0; i < 50; i++) // the other runtime's task shows in no dump of this one; most likely it is parked
        assert_int_equal(weft_sleep(WEFT_US(100)), 0);
    assert_int_equal(weft_close(two->fd[0]), 0);
    assert_int_equal(join(here), -EBADF);
    int result;
    assert_int_equal(weft_await(weft_task_future(there), &(intptr_t){ 0 }), 0);
    assert_int_equal(weft_join(there, &result), 0);
    return result;
}

static void closing_reaches_every_runtime(void **state)
{
    struct two two;
    (void)state;

    peer_tcp_pair(two.fd);
    assert_int_equal(weft_rt_new(&two.other, NULL), 0);
    wf_test_watch(two.other);
    assert_int_equal(run_tasks(close_for_both, &two), -EBADF);
    wf_test_unwatch(two.other);
    weft_rt_free(two.other);
    close(two.fd[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_readers_read_each_record_once),
        cmocka_unit_test(many_writers_do_not_mix_their_lines),
        cmocka_unit_test(many_acceptors_take_each_connection_once),
        cmocka_unit_test(closing_wakes_all_who_wait),
        cmocka_unit_test(a_number_that_is_used_again_is_another_descriptor),
        cmocka_unit_test(a_number_that_was_closed_behind_the_back_is_accepted),
        cmocka_unit_test(closing_in_traffic_ends_it),
        cmocka_unit_test(closing_reaches_every_runtime),
    };
    return wf_test_run(tests);
}
