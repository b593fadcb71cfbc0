// weft_poll: it reports what poll(2) reports, waits on edges, and leaves readiness to
// the descriptor's other users.
#include <poll.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include "tests/support/peer.h"
#include "tests/support/tasks.h"

struct ask {
    int fd;
    short events;
};

static int poll_it(void *arg)
{
    struct ask *a = arg;
    return weft_poll(a->fd, a->events);
}

static weft_task *start_poll(struct ask *a)
{
    weft_task *t = spawn(poll_it, a);
    wait_parked(t, "weft_poll");
    return t;
}

// --- what it says --------------------------------------------------------------------

static int at_once(void *arg)
{
    int fd[2], file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    char c;
    (void)arg;

    peer_tcp_pair(fd);
    assert_int_equal(weft_poll(fd[0], POLLOUT), POLLOUT);
    assert_int_equal(weft_poll(fd[0], POLLIN | POLLOUT), POLLOUT);
    peer_write(fd[1], "x", 1);
    assert_int_equal(weft_poll(fd[0], POLLIN), POLLIN);
    assert_int_equal(weft_poll(fd[0], POLLIN | POLLOUT), POLLIN | POLLOUT);
    assert_int_equal(shutdown(fd[1], SHUT_WR), 0);
    assert_int_equal(weft_poll(fd[0], POLLRDHUP), POLLRDHUP);
    assert_int_equal(weft_read(fd[0], &c, 1), 1);
    close(fd[1]);
    assert_int_equal(weft_poll(file, POLLIN), POLLIN);
    assert_int_equal(weft_poll(file, POLLPRI), -EPERM); // never
    return weft_close(fd[0]) | close(file);
}

static void what_is_ready_is_said_at_once(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(at_once, NULL), 0);
}

static int in_every_mode(void *arg)
{
    int fd[2];
    char c;
    (void)arg;

    for (int kind = 0; kind < PEER_KINDS; kind++) {
        peer_pair((enum peer_kind)kind, fd);
        int mode = fcntl(fd[0], F_GETFL);
        for (int i = 0; i < 3; i++) {
            weft_task *t = start_poll(&(struct ask){ fd[0], POLLIN });
            peer_write(fd[1], "x", 1);
            assert_int_equal(join(t), POLLIN);
            peer_read(fd[0], &c, 1);
        }
        assert_int_equal(fcntl(fd[0], F_GETFL), mode); // untouched: the caller reads after the poll
        assert_int_equal(weft_close(fd[0]) | weft_close(fd[1]), 0);
    }
    return 0;
}

static void it_waits_for_bytes_and_leaves_the_mode_alone(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(in_every_mode, NULL), 0);
}

static int for_room(void *arg)
{
    char buf[8192];
    int fd[2];
    (void)arg;

    for (int kind = 0; kind < PEER_KINDS; kind++) {
        peer_pair((enum peer_kind)kind, fd);
        size_t sent = 0;
        for (size_t more = 1; more > 0; sent += more)
            more = peer_stuff(fd[1], 0);
        weft_task *t = start_poll(&(struct ask){ fd[1], POLLOUT });
        for (size_t n; sent > 0; sent -= n) {
            n = sent < sizeof(buf) ? sent : sizeof(buf);
            peer_read(fd[0], buf, n);
        }
        assert_int_equal(join(t), POLLOUT);
        assert_int_equal(weft_close(fd[0]) | weft_close(fd[1]), 0);
    }
    return 0;
}

static void it_waits_for_room(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(for_room, NULL), 0);
}

static int for_the_end(void *arg)
{
    int fd[2];
    (void)arg;

    for (int i = 0; i < 3; i++) {
        const short events[] = { POLLIN, 0, POLLRDHUP };
        peer_tcp_pair(fd);
        weft_task *t = start_poll(&(struct ask){ fd[0], events[i] });
        peer_reset(fd[1]);
        int ready = join(t);
        assert_true(ready > 0 && (ready & (POLLHUP | POLLERR)));
        assert_int_equal(weft_close(fd[0]), 0);
    }
    return 0;
}

static void errors_and_hang_ups_are_said_unasked(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(for_the_end, NULL), 0);
}

// --- what it leaves ------------------------------------------------------------------

static int read_one(void *arg)
{
    char c;
    return (int)weft_read(*(int *)arg, &c, 1);
}

// Bytes lie unread: the direction is ready, but not for what the polls wait for.
// Readers must still find the bytes.
static int beside_a_reader(void *arg)
{
    int fd[2];
    (void)arg;

    peer_tcp_pair(fd);
    weft_task *reader = spawn(read_one, &fd[0]); // registers it, and takes the first
    wait_parked(reader, "weft_read");
    peer_write(fd[1], "abcdef", 6);
    assert_int_equal(join(reader), 1);
    weft_task *end = start_poll(&(struct ask){ fd[0], POLLRDHUP });
    weft_task *urgent = start_poll(&(struct ask){ fd[0], POLLPRI });
    weft_task *error = start_poll(&(struct ask){ fd[0], 0 });
    assert_int_equal(join(spawn(read_one, &fd[0])), 1);
    assert_int_equal(weft_poll(fd[0], POLLIN), POLLIN);
    assert_int_equal(send(fd[1], "!", 1, MSG_OOB), 1);
    assert_int_equal(join(urgent), POLLPRI);
    for (int i = 0; i < 4; i++)
        assert_int_equal(join(spawn(read_one, &fd[0])), 1);
    assert_int_equal(shutdown(fd[1], SHUT_WR), 0);
    assert_int_equal(join(end), POLLRDHUP);
    assert_int_equal(join(spawn(read_one, &fd[0])), 0);
    peer_reset(fd[1]);
    assert_true(join(error) > 0);
    return weft_close(fd[0]);
}

static void it_waits_for_less_than_readiness_without_taking_it(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(beside_a_reader, NULL), 0);
}

static int end_of_waiting_apart(void *arg)
{
    int fd[2];
    (void)arg;

    for (int by_cancel = 0; by_cancel < 2; by_cancel++) {
        peer_tcp_pair(fd);
        peer_write(fd[1], "x", 1);
        assert_int_equal(weft_poll(fd[0], POLLIN), POLLIN);
        weft_task *tasks[3];
        for (int i = 0; i < 3; i++)
            tasks[i] = start_poll(&(struct ask){ fd[0], POLLRDHUP });
        if (by_cancel)
            for (int i = 0; i < 3; i++)
                weft_task_cancel(tasks[i]);
        else
            assert_int_equal(weft_close(fd[0]), 0);
        for (int i = 0; i < 3; i++)
            assert_int_equal(join(tasks[i]), by_cancel ? -ECANCELED : -EBADF);
        if (by_cancel)
            assert_int_equal(join(spawn(read_one, &fd[0])) | weft_close(fd[0]), 1);
        assert_int_equal(weft_close(fd[1]), 0);
    }
    return 0;
}

static void that_wait_ends_by_cancel_and_by_close(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(end_of_waiting_apart, NULL), 0);
}

// A poller and a reader use the same descriptor: each byte reaches the reader, and the
// poller goes on being told.
struct both {
    int fd;
    unsigned bytes;
};

static int keep_polling(void *arg)
{
    struct both *b = arg;
    int ready;

    while ((ready = weft_poll(b->fd, POLLIN)) > 0 && !(ready & POLLHUP))
        if (weft_yield() < 0)
            break;
    return 0;
}

static int keep_reading(void *arg)
{
    struct both *b = arg;
    char buf[7];
    ssize_t got;

    while ((got = weft_read(b->fd, buf, sizeof(buf))) > 0)
        b->bytes += (unsigned)got;
    return (int)got;
}

static int poll_and_read(void *arg)
{
    struct both b = { 0 };
    int fd[2];
    (void)arg;

    peer_tcp_pair(fd);
    b.fd = fd[0];
    weft_task *pollers[2] = { spawn(keep_polling, &b), spawn(keep_polling, &b) };
    weft_task *reader = spawn(keep_reading, &b);
    unsigned rounds = wf_test_rounds(2000);
    for (unsigned i = 0; i < rounds; i++)
        assert_int_equal(weft_write_all(fd[1], "0123456789", 10, NULL), 0);
    assert_int_equal(weft_close(fd[1]), 0);
    assert_int_equal(join(reader), 0);
    assert_int_equal(b.bytes, 10 * rounds);
    for (int i = 0; i < 2; i++) {
        weft_task_cancel(pollers[i]);
        assert_int_equal(join(pollers[i]), 0);
    }
    return weft_close(fd[0]);
}

static void pollers_take_nothing_from_a_reader(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(poll_and_read, NULL), 0);
}

// As a library would: its own non-blocking calls, and weft_poll in between.
static int foreign_echo(void *arg)
{
    int fd = *(int *)arg;
    char buf[512];
    ssize_t n;

    while ((n = read(fd, buf, sizeof(buf))) != 0) {
        if (n < 0) {
            assert_true(weft_poll(fd, POLLIN) > 0);
            continue;
        }
        for (ssize_t at = 0, put; at < n; at += put > 0 ? put : 0) {
            put = write(fd, buf + at, (size_t)(n - at));
            if (put < 0)
                assert_true(weft_poll(fd, POLLOUT) > 0);
        }
    }
    return weft_close(fd);
}

struct client {
    int fd;
    size_t bytes;
};

static void *pump(void *arg)
{
    struct client *c = arg;
    uint8_t buf[1000];

    for (size_t at = 0; at < c->bytes; at += sizeof(buf)) {
        peer_fill(buf, sizeof(buf), 7, at);
        peer_write(c->fd, buf, sizeof(buf));
    }
    assert_int_equal(shutdown(c->fd, SHUT_WR), 0);
    return NULL;
}

static void *check(void *arg)
{
    struct client *c = arg;
    uint8_t buf[1000];

    for (size_t at = 0; at < c->bytes; at += sizeof(buf)) {
        peer_read(c->fd, buf, sizeof(buf));
        peer_check(buf, sizeof(buf), 7, at);
    }
    return NULL;
}

static int echo_by_hand(void *arg)
{
    int fd[2];
    (void)arg;

    peer_tcp_pair(fd);
    peer_nonblock(fd[0]);
    struct client c = { fd[1], 1000 * wf_test_rounds(2000) };
    weft_task *server = spawn(foreign_echo, &fd[0]);
    pthread_t threads[2] = { peer_start(pump, &c), peer_start(check, &c) };
    assert_int_equal(join(server), 0);
    for (int i = 0; i < 2; i++)
        peer_join(threads[i]);
    return close(fd[1]);
}

static void a_library_with_its_own_calls_plugs_in(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(echo_by_hand, NULL), 0);
}

// --- many ----------------------------------------------------------------------------

enum { CROWD = 700 }; // more than Linux lets watch one file in this way

static _Atomic int ended;

static int wait_in_crowd(void *arg)
{
    struct ask *a = arg;
    int result = weft_poll(a->fd, a->events);
    assert_true(result == -ECANCELED || result == -ENOSPC || result == -EMFILE);
    atomic_fetch_add(&ended, 1);
    return result;
}

static int crowd(void *arg)
{
    struct rlimit old, more;
    weft_task **tasks = calloc(CROWD, sizeof(*tasks));
    int fd[2], refused = 0;
    (void)arg;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    more = old;
    more.rlim_cur = more.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &more), 0);
    peer_tcp_pair(fd);
    peer_write(fd[1], "x", 1); // so that it waits apart
    struct ask a = { fd[0], POLLPRI };
    for (int i = 0; i < CROWD; i++)
        tasks[i] = spawn(wait_in_crowd, &a);
    while (atomic_load(&ended) == 0) // some are refused at once; the others wait, or are about to
        assert_int_equal(weft_sleep(WEFT_US(100)), 0);
    for (int i = 0; i < CROWD; i++)
        weft_task_cancel(tasks[i]);
    for (int i = 0; i < CROWD; i++)
        refused += join(tasks[i]) != -ECANCELED;
    assert_true(refused > 0 && refused < CROWD);
    free(tasks);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    return weft_close(fd[0]) | close(fd[1]);
}

static void too_many_that_wait_apart_are_told_so(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(crowd, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_ready_is_said_at_once),
        cmocka_unit_test(it_waits_for_bytes_and_leaves_the_mode_alone),
        cmocka_unit_test(it_waits_for_room),
        cmocka_unit_test(errors_and_hang_ups_are_said_unasked),
        cmocka_unit_test(it_waits_for_less_than_readiness_without_taking_it),
        cmocka_unit_test(that_wait_ends_by_cancel_and_by_close),
        cmocka_unit_test(pollers_take_nothing_from_a_reader),
        cmocka_unit_test(a_library_with_its_own_calls_plugs_in),
        cmocka_unit_test(too_many_that_wait_apart_are_told_so),
    };
    return wf_test_run(tests);
}
