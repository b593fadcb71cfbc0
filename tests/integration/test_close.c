// weft_close from everywhere: a call that begins to wait during the close is woken, the
// number stays usable, and a slow close(2) does not block other tasks. The test
// replaces close(2) by a function that stops in the middle, so that this can happen.
#include <poll.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "tests/support/peer.h"
#include "tests/support/tasks.h"
#include "tests/support/wrap.h"

enum { NUMBER = 700 }; // of the descriptor that is closed: no other gets it by chance

// --- close(2) ------------------------------------------------------------------------

static _Atomic int stop_at = -1;
static bool (*stopped)(void); // called in close(2) of `stop_at`, once. Returns: whether it has closed it

WRAP(int, close, int fd)
{
    int expected = fd;

    if (fd >= 0 && atomic_compare_exchange_strong(&stop_at, &expected, -1) && stopped())
        return 0;
    return REAL(close)(fd);
}

static void stop_in_close(int fd, bool (*fn)(void))
{
    stopped = fn;
    atomic_store(&stop_at, fd);
}

// --- tasks that wait -----------------------------------------------------------------

static int wait_read(void)
{
    char c;
    return (int)weft_read(NUMBER, &c, 1);
}

static int wait_write(void)
{
    char c = 0;
    return (int)weft_write(NUMBER, &c, 1);
}

static int wait_poll(void)
{
    return weft_poll(NUMBER, POLLIN);
}

static int wait_apart(void)
{
    return weft_poll(NUMBER, POLLPRI);
}

static int wait_accept(void)
{
    return weft_accept(NUMBER, NULL, NULL);
}

static int wait_select(void)
{
    weft_case c = weft_on_fd(NUMBER, POLLIN);
    int err = weft_select(&c, 1);
    return err < 0 ? err : c.result;
}

static const struct way {
    int (*wait)(void);
    const char *call;
} ways[] = {
    { wait_read, "weft_read" },  { wait_write, "weft_write" },   { wait_poll, "weft_poll" },
    { wait_apart, "weft_poll" }, { wait_accept, "weft_accept" }, { wait_select, "weft_select" },
};
enum { WAYS = sizeof(ways) / sizeof(*ways) };

// A task that waits for its turn, and then for the descriptor.
struct waiter {
    const struct way *way;
    weft_rt *rt;
    weft_task *task;
    _Atomic bool go;
};

static int wait_in_turn(void *arg)
{
    struct waiter *w = arg;

    while (!atomic_load(&w->go))
        weft_sleep(WEFT_US(100));
    return w->way->wait();
}

static void start_waiter(struct waiter *w, const struct way *way)
{
    w->way = way;
    w->rt = weft_rt_current();
    atomic_store(&w->go, false);
    w->task = spawn(wait_in_turn, w);
}

// fail_early: the call has not waited.
static void fail_early(struct waiter *w)
{
    intptr_t result = 0;

    weft_future_wait_thread(weft_task_future(w->task), &result, WEFT_NEVER);
    fail_msg("%s (way %d) returned %d at once", w->way->call, (int)(w->way - ways), (int)result);
}

// let_wait lets it go, and returns when it is parked in its call.  Context: a thread
// that the task does not need.
static void let_wait(struct waiter *w)
{
    int dump = memfd_create("dump", MFD_CLOEXEC);

    assert_true(dump >= 0);
    atomic_store(&w->go, true);
    do {
        sched_yield();
        if (weft_task_done(w->task))
            fail_early(w);
    } while (!is_parked(dump, w->rt, w->task, w->way->call));
    syscall(SYS_close, dump);
}

// --- the descriptor ------------------------------------------------------------------

static void put_at_number(int fd)
{
    assert_int_equal(dup3(fd, NUMBER, O_CLOEXEC), NUMBER);
    syscall(SYS_close, fd);
}

// open_number makes the descriptor one on which that call waits.  Returns: its peer, or
// -1.
static int open_number(const struct way *way)
{
    struct sockaddr_in at;
    int fd[2] = { -1, -1 };

    if (way->wait == wait_accept) {
        fd[0] = peer_listen(1, &at);
    } else {
        peer_tcp_pair(fd);
        if (way->wait == wait_write)
            for (size_t more = 1; more > 0;)
                more = peer_stuff(fd[0], 0);
        if (way->wait == wait_apart)
            peer_write(fd[1], "x", 1); // ready, but not for what it waits for
    }
    put_at_number(fd[0]);
    return fd[1];
}

// check_number uses the number for another descriptor: nothing sticks to it.
static void check_number(void)
{
    struct waiter w;
    int fd[2];

    peer_pair(PEER_TCP, fd);
    put_at_number(fd[0]);
    start_waiter(&w, &ways[0]);
    atomic_store(&w.go, true);
    wait_parked(w.task, "weft_read");
    peer_write(fd[1], "x", 1);
    assert_int_equal(join(w.task), 1);
    assert_int_equal(weft_close(NUMBER), 0);
    syscall(SYS_close, fd[1]);
}

// --- closing from tasks and threads --------------------------------------------------

static int close_number(void *arg)
{
    (void)arg;
    return weft_close(NUMBER);
}

static void *close_in_thread(void *arg)
{
    assert_int_equal(weft_close(NUMBER), 0);
    return arg;
}

static void by_thread(weft_rt *other)
{
    (void)other;
    peer_join(peer_start(close_in_thread, NULL));
}

static void by_job(weft_rt *other)
{
    (void)other;
    assert_int_equal(weft_blocking(close_number, NULL), 0);
}

static void by_other_runtime(weft_rt *other)
{
    weft_task *t;
    int result;

    assert_int_equal(weft_rt_spawn(other, &t, close_number, NULL), 0);
    assert_int_equal(weft_await(weft_task_future(t), &(intptr_t){ 0 }), 0);
    assert_int_equal(weft_join(t, &result), 0);
    assert_int_equal(result, 0);
}

static void by_task(weft_rt *other)
{
    (void)other;
    assert_int_equal(join(spawn(close_number, NULL)), 0);
}

static void (*const closers[])(weft_rt *) = { by_job, by_other_runtime, by_thread, by_task };
enum { CLOSERS = sizeof(closers) / sizeof(*closers), OUTSIDE = 2 }; // the first two leave this runtime's workers alone

// leaves_a_worker tells whether a closing task leaves a worker to the tasks that wait
// at the same time. (Where wakes are scattered, they reach the one that closes.)
static bool leaves_a_worker(void)
{
    const char *workers = getenv("WEFT_WORKERS");
    return !(workers && atoi(workers) == 1) && !getenv("WEFT_SCATTER");
}

// each_way runs a body with each way of waiting, and each closer.
struct run {
    const struct way *way;
    void (*close)(weft_rt *other);
    weft_rt *other;
};

static void each_way(weft_fn *body)
{
    struct run run;

    assert_int_equal(weft_rt_new(&run.other, NULL), 0);
    wf_test_watch(run.other);
    for (int c = 0; c < (leaves_a_worker() ? CLOSERS : OUTSIDE); c++) {
        for (int i = 0; i < WAYS; i++) {
            run.way = &ways[i];
            run.close = closers[c];
            assert_int_equal(run_tasks(body, &run), 0);
        }
    }
    wf_test_unwatch(run.other);
    weft_rt_free(run.other);
}

// --- a call that begins while the number is closed -----------------------------------

static struct waiter first, next;

static bool let_first_wait(void)
{
    let_wait(&first);
    return false;
}

static int begin_while_closed(void *arg)
{
    const struct run *run = arg;
    int peer = open_number(run->way);

    start_waiter(&first, run->way);
    stop_in_close(NUMBER, let_first_wait);
    run->close(run->other);
    assert_int_equal(join(first.task), -EBADF);
    check_number();
    return peer < 0 ? 0 : close(peer);
}

static void what_begins_to_wait_during_a_close_is_woken(void **state)
{
    (void)state;
    each_way(begin_while_closed);
}

// --- the number's next descriptor, before the closer has seen that close(2) is over
// ---

static bool let_both_wait(void)
{
    int fd[2];

    let_wait(&first);
    syscall(SYS_close, NUMBER);
    peer_tcp_pair(fd);
    put_at_number(fd[0]);
    let_wait(&next);
    while (!weft_task_done(first.task))
        sched_yield();
    peer_write(fd[1], "x", 1);
    while (!weft_task_done(next.task))
        sched_yield();
    syscall(SYS_close, fd[1]);
    return true;
}

static int succeed_while_closed(void *arg)
{
    const struct run *run = arg;
    int peer = open_number(run->way);

    start_waiter(&first, run->way);
    start_waiter(&next, &ways[0]);
    stop_in_close(NUMBER, let_both_wait);
    run->close(run->other);
    assert_int_equal(join(first.task), -EBADF);
    assert_int_equal(join(next.task), 1);
    assert_int_equal(weft_close(NUMBER), 0);
    check_number();
    return peer < 0 ? 0 : close(peer);
}

static void the_next_descriptor_of_the_number_is_another_one(void **state)
{
    (void)state;
    each_way(succeed_while_closed);
}

// --- a close(2) that takes its time --------------------------------------------------

enum { SAME_PLACE = NUMBER + 64, ALSO = NUMBER + 1024, OTHERS = 4 };

static sem_t go_on, has_stopped;

static bool block(void)
{
    sem_post(&has_stopped);
    while (sem_wait(&go_on) < 0)
        ;
    return false;
}

// register_numbers registers each of them, by a read that has to wait.
static int register_numbers(void *arg)
{
    const int numbers[OTHERS] = { NUMBER, SAME_PLACE, ALSO, NUMBER + 1 };
    int *peers = arg;

    for (int i = 0; i < OTHERS; i++) {
        int fd[2], number = numbers[i];
        char c;
        peer_tcp_pair(fd);
        assert_int_equal(dup3(fd[0], number, O_CLOEXEC), number);
        syscall(SYS_close, fd[0]);
        peers[i] = fd[1];
        peer_write(fd[1], "x", 1);
        assert_int_equal(weft_read(number, &c, 1), 1);
        weft_scope s;
        weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
        weft_scope_deadline(&s, weft_now());
        assert_int_equal(weft_read(number, &c, 1), -ETIMEDOUT);
        weft_scope_close(&s);
        assert_int_equal(weft_poll(number, POLLIN | POLLOUT), POLLOUT);
    }
    return 0;
}

static int make_and_read(void *arg)
{
    int fd[2], number = *(int *)arg;
    char c;

    peer_tcp_pair(fd);
    assert_int_equal(dup3(fd[0], number, O_CLOEXEC), number);
    syscall(SYS_close, fd[0]);
    peer_write(fd[1], "ab", 2);
    assert_int_equal(weft_read(number, &c, 1), 1);
    assert_int_equal(weft_poll(number, POLLIN), POLLIN);
    return weft_close(number) | weft_close(fd[1]);
}

// While a task is in close(2): other numbers are closed and opened, runtimes come and
// go.
static void live_beside(weft_rt *rt)
{
    weft_rt *another;
    int numbers[] = { SAME_PLACE + 64, SAME_PLACE };

    assert_int_equal(weft_close(SAME_PLACE), 0);
    assert_int_equal(weft_close(ALSO), 0);
    assert_int_equal(weft_close(NUMBER + 1), 0);
    assert_int_equal(weft_rt_new(&another, NULL), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(weft_rt_block_on(another, make_and_read, &numbers[i]), 0);
        if (leaves_a_worker())
            assert_int_equal(weft_rt_block_on(rt, make_and_read, &numbers[i]), 0);
    }
    weft_rt_free(another);
}

static void a_close_that_takes_its_time_holds_up_nobody(void **state)
{
    weft_task *closer;
    weft_rt *rt;
    int peers[OTHERS];

    (void)state;
    sem_init(&go_on, 0, 0);
    sem_init(&has_stopped, 0, 0);
    assert_int_equal(weft_rt_new(&rt, NULL), 0);
    wf_test_watch(rt);
    assert_int_equal(weft_rt_block_on(rt, register_numbers, peers), 0);
    stop_in_close(NUMBER, block);
    assert_int_equal(weft_rt_spawn(rt, &closer, close_number, NULL), 0);
    while (sem_wait(&has_stopped) < 0)
        ;
    live_beside(rt);
    sem_post(&go_on);
    assert_int_equal(weft_future_wait_thread(weft_task_future(closer), &(intptr_t){ 0 }, WEFT_NEVER), 0);
    weft_detach(closer);
    wf_test_unwatch(rt);
    weft_rt_free(rt);
    for (int i = 0; i < OTHERS; i++)
        close(peers[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_begins_to_wait_during_a_close_is_woken),
        cmocka_unit_test(the_next_descriptor_of_the_number_is_another_one),
        cmocka_unit_test(a_close_that_takes_its_time_holds_up_nobody),
    };
    return wf_test_run(tests);
}
