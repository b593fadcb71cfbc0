// Sources, without the reactor thread: the test is the worker that has borrowed the
// poll.
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "reactor/state.h"
#include "tests/support/bell.h"
#include "tests/support/child.h"
#include "tests/support/harness.h"

static struct wf_reactor *reactor;
static struct wf_idle_source idle;

static int setup(void **state)
{
    (void)state;
    assert_int_equal(wf_reactor_new(&reactor, 1), 0);
    idle = wf_reactor_idle_source(reactor);
    assert_true(idle.borrow(reactor));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    idle.give_back(reactor);
    wf_reactor_free(reactor);
    return 0;
}

static unsigned turn(void)
{
    return idle.poll(reactor, 0);
}

static uint32_t generation(const struct wf_source *s)
{
    return wf_load_acquire(&s->generation);
}

static int enroll(int fd, struct wf_source **s)
{
    uint32_t in;
    int err = wf_source_register(reactor, fd, s, &in);
    assert_true(err < 0 || in == generation(*s));
    return err;
}

static struct wf_source *enter(int fd)
{
    struct wf_source *s = NULL;

    assert_int_equal(enroll(fd, &s), 0);
    assert_non_null(s);
    return s;
}

// shut closes as weft_close does.
static int shut(int fd)
{
    wf_closing_begin(fd);
    wf_source_forget(reactor, fd);
    int err = close(fd) < 0 ? -errno : 0;
    if (!wf_closing_end(fd, false)) {
        wf_source_check(reactor, fd);
        assert_true(wf_closing_end(fd, true));
    }
    return err;
}

// drain empties a cell, as a caller does after EAGAIN.
static void drain(struct wf_source *s, enum wf_direction d)
{
    assert_true(wf_cell_clear(&s->ready[d], wf_cell_value(&s->ready[d])));
}

static void wait_on(struct wf_source *s, enum wf_direction d, struct wf_cell_node *node, struct bell *bell)
{
    *node = (struct wf_cell_node){ .waker = bell_waker(bell) };
    assert_true(wf_cell_push(&s->ready[d], node));
}

static void put(int fd)
{
    assert_int_equal(write(fd, "x", 1), 1);
}

static void make_pair(int fd[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
}

static void close_pair(const int fd[2])
{
    assert_int_equal(shut(fd[0]), 0);
    assert_int_equal(shut(fd[1]), 0);
}

static void a_number_never_registered_has_no_source(void **state)
{
    (void)state;
    assert_null(wf_source_get(reactor, -1));
    assert_null(wf_source_get(reactor, 7));
    assert_null(wf_source_get(reactor, INT_MAX));
    assert_false(wf_source_forget(reactor, 7));
    assert_false(wf_source_forget(reactor, -1));
}

static void a_neighbour_of_a_source_has_no_source(void **state)
{
    int fd[2];

    (void)state;
    make_pair(fd);
    enter(fd[0]);
    assert_null(wf_source_get(reactor, fd[1]));
    close_pair(fd);
}

static void both_directions_begin_as_ready(void **state)
{
    int fd[2];

    (void)state;
    make_pair(fd);
    struct wf_source *s = enter(fd[0]);
    assert_ptr_equal(wf_source_get(reactor, fd[0]), s);
    assert_int_equal(s->fd, fd[0]);
    assert_int_equal(generation(s) % 2, 1);
    assert_true(wf_cell_value(&s->ready[WF_READ]) != 0);
    assert_true(wf_cell_value(&s->ready[WF_WRITE]) != 0);
    close_pair(fd);
}

static void registering_twice_does_nothing(void **state)
{
    int fd[2];

    (void)state;
    make_pair(fd);
    struct wf_source *s = enter(fd[0]);
    uint32_t before = generation(s);
    drain(s, WF_READ);
    assert_ptr_equal(enter(fd[0]), s);
    assert_int_equal(generation(s), before);
    assert_true(wf_cell_value(&s->ready[WF_READ]) == 0);
    close_pair(fd);
}

static void what_is_ready_when_registered_is_reported(void **state)
{
    int fd[2];

    (void)state;
    make_pair(fd);
    put(fd[1]);
    struct wf_source *s = enter(fd[0]);
    drain(s, WF_READ);
    drain(s, WF_WRITE);
    assert_int_equal(turn(), 1);
    assert_true(wf_cell_value(&s->ready[WF_READ]) != 0);
    assert_true(wf_cell_value(&s->ready[WF_WRITE]) != 0);
    close_pair(fd);
}

static void data_wakes_the_reader(void **state)
{
    struct wf_cell_node node;
    struct bell bell = { 0 };
    int fd[2];

    (void)state;
    make_pair(fd);
    struct wf_source *s = enter(fd[0]);
    assert_int_equal(turn(), 1); // it is writable
    drain(s, WF_READ);
    wait_on(s, WF_READ, &node, &bell);
    assert_int_equal(turn(), 0);
    assert_int_equal(bell_count(&bell), 0);
    put(fd[1]);
    assert_int_equal(turn(), 1);
    assert_int_equal(bell_count(&bell), 1);
    assert_true(wf_cell_signalled(&node));
    assert_int_equal(turn(), 0); // edge-triggered: once
    close_pair(fd);
}

static void room_wakes_the_writer(void **state)
{
    struct wf_cell_node node;
    struct bell bell = { 0 };
    char block[4096] = { 0 };
    int fd[2];

    (void)state;
    make_pair(fd);
    struct wf_source *s = enter(fd[0]);
    turn();
    while (write(fd[0], block, sizeof(block)) > 0)
        ;
    assert_int_equal(errno, EAGAIN);
    drain(s, WF_WRITE);
    wait_on(s, WF_WRITE, &node, &bell);
    assert_int_equal(turn(), 0);
    while (read(fd[1], block, sizeof(block)) > 0)
        ;
    assert_int_equal(turn(), 1);
    assert_int_equal(bell_count(&bell), 1);
    close_pair(fd);
}

static void the_end_of_the_stream_wakes_the_reader(void **state)
{
    struct wf_cell_node node;
    struct bell bell = { 0 };
    int fd[2];

    (void)state;
    make_pair(fd);
    struct wf_source *s = enter(fd[0]);
    turn();
    drain(s, WF_READ);
    wait_on(s, WF_READ, &node, &bell);
    assert_int_equal(shutdown(fd[1], SHUT_WR), 0);
    assert_int_equal(turn(), 1);
    assert_int_equal(bell_count(&bell), 1);
    close_pair(fd);
}

static void a_hang_up_wakes_both_directions(void **state)
{
    struct wf_cell_node node[2];
    struct bell bell = { 0 };
    int fd[2];

    (void)state;
    make_pair(fd);
    struct wf_source *s = enter(fd[0]);
    turn();
    for (int d = WF_READ; d <= WF_WRITE; d++) {
        drain(s, d);
        wait_on(s, d, &node[d], &bell);
    }
    close(fd[1]);
    assert_int_equal(turn(), 1);
    assert_int_equal(bell_count(&bell), 2);
    assert_int_equal(shut(fd[0]), 0);
}

// A reader reads, gets EAGAIN, and is about to clear what it saw; then an edge comes.
// It must not clear that.
static void an_edge_between_eagain_and_clear_is_kept(void **state)
{
    int fd[2];

    (void)state;
    make_pair(fd);
    struct wf_source *s = enter(fd[0]);
    turn();
    uintptr_t seen = wf_cell_value(&s->ready[WF_READ]), other = wf_cell_value(&s->ready[WF_WRITE]);
    put(fd[1]);
    turn();
    assert_false(wf_cell_clear(&s->ready[WF_READ], seen));
    assert_false(wf_cell_clear(&s->ready[WF_WRITE], other)); // epoll says "writable", too: it might be news
    assert_true(wf_cell_value(&s->ready[WF_READ]) != 0);
    close_pair(fd);
}

static void forgetting_wakes_all_with_another_generation(void **state)
{
    struct wf_cell_node node[3];
    struct bell bell = { 0 };
    int fd[2];

    (void)state;
    make_pair(fd);
    struct wf_source *s = enter(fd[0]);
    uint32_t before = generation(s);
    drain(s, WF_READ);
    drain(s, WF_WRITE);
    wait_on(s, WF_READ, &node[0], &bell);
    wait_on(s, WF_READ, &node[1], &bell);
    wait_on(s, WF_WRITE, &node[2], &bell);
    assert_true(wf_source_forget(reactor, fd[0]));
    assert_int_equal(bell_count(&bell), 3);
    assert_int_equal(generation(s), before + 1);
    assert_ptr_equal(wf_source_get(reactor, fd[0]), s);
    assert_false(wf_source_forget(reactor, fd[0]));
    put(fd[1]);
    assert_int_equal(turn(), 0); // epoll does not know it any more
    close_pair(fd);
}

static void what_a_reader_saw_before_forget_it_cannot_clear_after(void **state)
{
    int fd[2];

    (void)state;
    make_pair(fd);
    struct wf_source *s = enter(fd[0]);
    uintptr_t first = wf_cell_value(&s->ready[WF_READ]);
    wf_source_forget(reactor, fd[0]);
    uintptr_t second = wf_cell_value(&s->ready[WF_READ]);
    assert_false(wf_cell_clear(&s->ready[WF_READ], first));
    enter(fd[0]);
    assert_false(wf_cell_clear(&s->ready[WF_READ], first));
    assert_false(wf_cell_clear(&s->ready[WF_READ], second));
    close_pair(fd);
}

static void a_number_is_used_again_with_another_generation(void **state)
{
    int fd[2], again[2];

    (void)state;
    make_pair(fd);
    struct wf_source *s = enter(fd[0]);
    uint32_t before = generation(s);
    put(fd[1]);
    assert_int_equal(shut(fd[0]), 0);
    make_pair(again);
    assert_int_equal(again[0], fd[0]); // the lowest number that is free
    assert_ptr_equal(enter(again[0]), s);
    assert_int_equal(generation(s), before + 2);
    drain(s, WF_READ);
    assert_int_equal(turn(), 1); // writable
    assert_true(wf_cell_value(&s->ready[WF_READ]) == 0);
    close(fd[1]);
    close_pair(again);
}

static void an_event_for_a_predecessor_is_dropped(void **state)
{
    int fd[2];

    (void)state;
    make_pair(fd);
    struct wf_source *s = enter(fd[0]);
    uint64_t tag = (uint64_t)generation(s) << 32 | (uint32_t)fd[0];
    wf_source_forget(reactor, fd[0]);
    enter(fd[0]);
    drain(s, WF_READ);
    assert_false(wf_source_event(reactor, tag, true, true, false));
    assert_true(wf_cell_value(&s->ready[WF_READ]) == 0);
    assert_true(wf_source_event(reactor, tag + ((uint64_t)2 << 32), true, false, false));
    assert_true(wf_cell_value(&s->ready[WF_READ]) != 0);
    close_pair(fd);
}

// --- closing -------------------------------------------------------------------------

// A number is registered while it is closed, before close(2): the kernel drops the
// watch, and the closer finds that out.
static void what_registers_while_its_number_is_closed_is_woken(void **state)
{
    struct wf_cell_node node;
    struct bell bell = { 0 };
    struct wf_source *s;
    int fd[2];

    (void)state;
    make_pair(fd);
    wf_closing_begin(fd[0]);
    assert_false(wf_source_forget(reactor, fd[0]));
    assert_int_equal(enroll(fd[0], &s), 1); // the next caller must ask again
    drain(s, WF_READ);
    wait_on(s, WF_READ, &node, &bell);
    assert_int_equal(close(fd[0]), 0);
    assert_false(wf_closing_end(fd[0], false));
    assert_int_equal(bell_count(&bell), 0);
    assert_false(wf_source_check(reactor, fd[0]));
    assert_int_equal(bell_count(&bell), 1);
    assert_int_equal(generation(s) % 2, 0);
    assert_true(wf_closing_end(fd[0], true));
    assert_int_equal(enroll(fd[1], &s), 0);
    assert_int_equal(shut(fd[1]), 0);
}

// The successor comes while the closer is still in close(2), or has not looked yet: it
// is told apart.
static void a_successor_of_a_number_that_is_being_closed_is_registered_anew(void **state)
{
    struct wf_cell_node node[2];
    struct bell bell[2] = { { 0 }, { 0 } };
    struct wf_source *s;
    int fd[2], again[2];

    (void)state;
    make_pair(fd);
    wf_closing_begin(fd[0]);
    assert_int_equal(enroll(fd[0], &s), 1);
    drain(s, WF_READ);
    wait_on(s, WF_READ, &node[0], &bell[0]);
    uint32_t before = generation(s);
    close(fd[0]);
    make_pair(again);
    assert_int_equal(again[0], fd[0]);
    assert_int_equal(enroll(again[0], &s), 1);
    assert_int_equal(generation(s), before + 2);
    assert_int_equal(bell_count(&bell[0]), 1);
    turn();
    drain(s, WF_READ);
    wait_on(s, WF_READ, &node[1], &bell[1]);
    assert_false(wf_closing_end(fd[0], false));
    assert_true(wf_source_check(reactor, fd[0])); // it is what the number means
    assert_true(wf_closing_end(fd[0], true));
    assert_int_equal(generation(s), before + 2);
    turn();
    assert_int_equal(bell_count(&bell[1]), 0);
    put(again[1]);
    turn();
    assert_int_equal(bell_count(&bell[1]), 1);
    close(fd[1]);
    close_pair(again);
}

static void others_than_the_number_that_is_closed_are_registered_as_ever(void **state)
{
    struct wf_source *s;
    int fd[2];

    (void)state;
    make_pair(fd);
    wf_closing_begin(fd[0]);
    wf_closing_begin(fd[0]); // twice: that is a fault of the program, but no reason to lose count
    assert_int_equal(enroll(fd[1], &s), 0);
    assert_true(wf_closing_end(fd[0], false));
    assert_int_equal(enroll(fd[0], &s), 1);
    assert_false(wf_closing_end(fd[0], false));
    assert_true(wf_source_check(reactor, fd[0]));
    assert_true(wf_closing_end(fd[0], true));
    assert_int_equal(enroll(fd[0], &s), 0);
    close_pair(fd);
}

// Registering what is registered finds out that it is another file's.
static void registering_after_a_plain_close_begins_a_generation(void **state)
{
    int fd[2], again[2];

    (void)state;
    make_pair(fd);
    struct wf_source *s = enter(fd[0]);
    uint32_t before = generation(s);
    close(fd[0]);
    make_pair(again);
    assert_int_equal(again[0], fd[0]);
    enter(again[0]);
    assert_int_equal(generation(s), before + 2);
    close(fd[1]);
    close_pair(again);
}

// A thread opens the next descriptor of a number, and is told of its end, while the
// last one's waiters are being woken.
struct successor {
    struct wf_waker waker; // of a waiter on the last one
    int number;
    _Atomic int step; // 1: begin; 2: done
    _Atomic int tid;
    pthread_t thread;
};

static void *succeed(void *arg)
{
    struct successor *next = arg;
    struct wf_source *s;
    int fd[2];

    atomic_store(&next->tid, (int)syscall(SYS_gettid));
    while (atomic_load(&next->step) == 0)
        sched_yield();
    make_pair(fd);
    assert_int_equal(dup3(fd[0], next->number, O_CLOEXEC), next->number);
    close(fd[0]);
    close(fd[1]);
    assert_int_equal(enroll(next->number, &s), 0);
    turn(); // the poll is on loan to the test, which waits for this thread
    atomic_store(&next->step, 2);
    return NULL;
}

// sleeps tells whether the thread sleeps, in a lock.
static bool sleeps(int tid)
{
    char path[64], stat[512];

    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, stat, sizeof(stat) - 1);
    close(fd);
    assert_true(n > 0);
    stat[n] = 0;
    return strncmp(strrchr(stat, ')'), ") S", 3) == 0;
}

static void let_succeed(void *arg)
{
    struct successor *next = arg;

    atomic_store(&next->step, 1);
    while (atomic_load(&next->step) != 2 && !sleeps(atomic_load(&next->tid)))
        sched_yield();
}

static void what_a_successor_is_told_is_not_overwritten(void **state)
{
    struct successor next = { .number = 0 };
    struct wf_cell_node node = { .waker = { let_succeed, &next } };
    int fd[2];

    (void)state;
    make_pair(fd);
    struct wf_source *s = enter(fd[0]);
    drain(s, WF_READ);
    assert_true(wf_cell_push(&s->ready[WF_READ], &node));
    next.number = fd[0];
    assert_int_equal(pthread_create(&next.thread, NULL, succeed, &next), 0);
    while (atomic_load(&next.tid) == 0)
        sched_yield();
    assert_true(wf_source_forget(reactor, fd[0]));
    assert_int_equal(pthread_join(next.thread, NULL), 0);
    for (int d = WF_READ; d <= WF_WRITE; d++)
        assert_true(wf_cell_value(&s->ready[d]) && wf_source_has_last(s));
    close_pair(fd);
}

// --- what is refused -----------------------------------------------------------------

static void what_cannot_be_polled_is_refused(void **state)
{
    struct wf_source *s = NULL;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(enroll(fd, &s), -EPERM);
    assert_null(s);
    assert_null(wf_source_get(reactor, fd)); // no generation has ended
    assert_int_equal(shut(fd), 0);
    assert_int_equal(enroll(fd, &s), -EBADF);
    assert_int_equal(enroll(-1, &s), -EBADF);
    assert_int_equal(enroll(INT_MAX, &s), -EBADF);
    assert_int_equal(shut(fd), -EBADF);
}

static void numbers_of_many_chunks(void **state)
{
    struct rlimit limit, old;
    int fd[2];

    (void)state;
    getrlimit(RLIMIT_NOFILE, &old);
    limit = old;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < 4200)
        wf_test_skip("the process may not have 4200 descriptors");
    make_pair(fd);
    for (int at = 1023; at < 4200; at += 1024) {
        int high = fcntl(fd[0], F_DUPFD_CLOEXEC, at);
        assert_true(high >= at);
        assert_int_equal(enter(high)->fd, high);
        assert_int_equal(turn(), 1);
        assert_int_equal(shut(high), 0);
    }
    close_pair(fd);
    setrlimit(RLIMIT_NOFILE, &old);
}

static void more_events_than_a_batch_take_more_turns(void **state)
{
    enum { MANY = WF_EPOLL_BATCH + 44 };
    int fd[MANY];

    (void)state;
    for (int i = 0; i < MANY; i++) {
        fd[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        assert_true(fd[i] >= 0);
        drain(enter(fd[i]), WF_READ);
    }
    assert_int_equal(turn(), WF_EPOLL_BATCH); // writable, all of them
    assert_int_equal(turn(), MANY - WF_EPOLL_BATCH);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(shut(fd[i]), 0);
}

// A number that epoll still knows: it was closed behind our back while a duplicate kept
// its file open.
static void adding_what_is_in_the_set_changes_its_tag(void **state)
{
    struct wf_epoll_batch batch;
    struct wf_epoll e;
    int fd[2];

    (void)state;
    make_pair(fd);
    assert_int_equal(wf_epoll_init(&e), 0);
    assert_int_equal(wf_epoll_add(&e, fd[0], 1), 0);
    assert_int_equal(wf_epoll_add(&e, fd[0], 2), 0);
    wf_epoll_wait(&e, 0, &batch);
    assert_int_equal(batch.count, 1);
    assert_true(wf_epoll_tag(&batch, 0) == 2);
    wf_epoll_remove(&e, fd[0]);
    wf_epoll_remove(&e, fd[0]);
    wf_epoll_fini(&e);
    close(fd[0]);
    close(fd[1]);
}

// An older kernel, or a filter, has no epoll_pwait2.
static void milliseconds_will_do_where_there_is_nothing_better(void **state)
{
    struct wf_epoll_batch batch;
    struct wf_epoll e;
    int fd[2];

    (void)state;
    make_pair(fd);
    assert_int_equal(wf_epoll_init(&e), 0);
    wf_store_relaxed(&e.coarse, true);
    wf_epoll_wait(&e, 1, &batch); // would not end if it were rounded to "no bound", nor be a wait if to 0
    assert_int_equal(batch.count, 0);
    assert_int_equal(wf_epoll_add(&e, fd[0], 1), 0);
    wf_epoll_wait(&e, INT64_MAX - 1, &batch);
    assert_int_equal(batch.count, 1);
    wf_epoll_interrupt(&e);
    wf_epoll_wait(&e, INT64_MAX, &batch);
    assert_int_equal(batch.count, 1);
    assert_true(wf_epoll_tag(&batch, 0) == WF_EPOLL_WAKE_TAG);
    wf_epoll_fini(&e);
    close(fd[0]);
    close(fd[1]);
}

// A filter refuses it with whatever it likes.
static void wait_filtered(void *arg)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 441, 0, 1), // epoll_pwait2, everywhere
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)*(int *)arg),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = { sizeof(code) / sizeof(*code), code };
    struct wf_epoll_batch batch;
    struct wf_epoll e;
    int fd[2];

    if (wf_epoll_init(&e) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, fd) < 0 || wf_epoll_add(&e, fd[0], 1) < 0)
        _exit(1);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)
        _exit(0); // no filters here
    wf_epoll_wait(&e, INT64_MAX - 1, &batch);
    if (batch.count != 1)
        _exit(2);
    wf_epoll_wait(&e, 1, &batch); // edge-triggered: nothing
    _exit(batch.count == 0 && wf_load_relaxed(&e.coarse) ? 0 : 3);
}

static void whatever_refuses_the_finer_wait_makes_it_coarse(void **state)
{
    int errors[] = { ENOSYS, EPERM, EACCES, EINVAL, ENOENT };
    struct child c;

    (void)state;
    for (size_t i = 0; child_may_run() && i < sizeof(errors) / sizeof(*errors); i++) {
        child_run(&c, wait_filtered, &errors[i]);
        child_expect_exit(&c, 0);
    }
}

static void every_refusal_leaves_the_source_as_it_was(void **state)
{
    struct wf_source *s = NULL;
    int fd[2];

    (void)state;
    make_pair(fd);
    wf_mem_fail_at(1, false); // the chunk
    assert_int_equal(enroll(fd[0], &s), -ENOMEM);
    assert_null(wf_source_get(reactor, fd[0]));
    wf_mem_fail_at(2, false); // epoll
    assert_int_equal(enroll(fd[0], &s), -ENOMEM);
    assert_null(wf_source_get(reactor, fd[0])); // no generation has ended
    assert_false(wf_source_forget(reactor, fd[0]));
    wf_mem_fail_at(0, false);
    assert_null(s);
    assert_int_equal(generation(enter(fd[0])) % 2, 1);
    close_pair(fd);
}

static void making_a_reactor_fails_cleanly_at_each_step(void **state)
{
    struct wf_reactor *r = NULL;
    long steps = 0;
    int err;

    (void)state;
    do {
        wf_mem_fail_at(++steps, false);
        err = wf_reactor_new(&r, 2);
        assert_true(err == 0 || err == -ENOMEM || err == -EMFILE);
    } while (err < 0);
    wf_mem_fail_at(0, false);
    assert_int_equal(steps, 8); // four pieces of memory, two descriptors, one watch; then it works
    wf_reactor_free(r);
}

// --- confirming ----------------------------------------------------------------------

static uint32_t confirm(struct wf_source *s)
{
    uint32_t stamp = 0;

    assert_int_equal(wf_source_confirm(reactor, s, generation(s), &stamp), 0);
    return stamp;
}

static uint64_t event_tag(const struct wf_source *s, uint32_t stamp)
{
    return (uint64_t)stamp << 32 | (uint32_t)s->fd;
}

// An event that a thread took before a task confirmed, and dispatches after that, is an
// edge, but does not say that the direction is ready.
static void an_edge_tells_since_when_it_is_true(void **state)
{
    int fd[2];
    (void)state;

    make_pair(fd);
    struct wf_source *s = enter(fd[0]);
    struct wf_cell *cell = &s->ready[WF_READ];
    assert_false(wf_edge_is_event(wf_cell_value(cell)));
    uint32_t old = confirm(s), stamp = confirm(s);
    drain(s, WF_READ);
    assert_true(wf_source_event(reactor, event_tag(s, old), true, false, false));
    assert_true(wf_edge_is_since(wf_cell_value(cell), old));
    assert_false(wf_edge_is_since(wf_cell_value(cell), stamp));
    put(fd[1]);
    turn();
    assert_true(wf_edge_is_since(wf_cell_value(cell), stamp));
    drain(s, WF_READ);
    uint32_t later = confirm(s); // it is still there: another event
    turn();
    assert_true(wf_edge_is_since(wf_cell_value(cell), later));
    assert_true(wf_edge_is_since(wf_cell_value(cell), stamp));
    wf_sources_check(reactor);
    close_pair(fd);
}

// Late events of a generation that was confirmed often are dropped in the next one.
static void a_stamp_of_the_last_generation_is_not_of_the_next(void **state)
{
    int fd[2];
    uint32_t stamp = 0;
    (void)state;

    make_pair(fd);
    struct wf_source *s = enter(fd[0]);
    for (int i = 0; i < 5; i++)
        stamp = confirm(s);
    assert_true(wf_source_forget(reactor, fd[0]));
    assert_false(wf_source_event(reactor, event_tag(s, stamp), true, true, false));
    assert_ptr_equal(enter(fd[0]), s);
    assert_false(wf_source_event(reactor, event_tag(s, stamp), true, true, false));
    assert_true(wf_source_event(reactor, event_tag(s, confirm(s)), true, true, false));
    wf_sources_check(reactor);
    close_pair(fd);
}

// Stamps start again in the middle of what a generation has of them.
static void stamps_that_start_again_are_in_order(void **state)
{
    const uintptr_t edge = WF_EDGE_COUNT | WF_CELL_SET;
    const uint32_t last = 2 * WF_STAMPS - 1, again = WF_STAMPS + 1; // of generation 1
    (void)state;

    assert_true(wf_edge_is_since((uintptr_t)again << 32 | edge, last));
    assert_false(wf_edge_is_since((uintptr_t)last << 32 | edge, again));
    assert_false(wf_edge_is_since((uintptr_t)1 << 32 | edge, 3));
}

int main(void)
{
#define FACT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        FACT(an_edge_tells_since_when_it_is_true),
        FACT(a_stamp_of_the_last_generation_is_not_of_the_next),
        cmocka_unit_test(stamps_that_start_again_are_in_order),
        FACT(a_number_never_registered_has_no_source),
        FACT(a_neighbour_of_a_source_has_no_source),
        FACT(both_directions_begin_as_ready),
        FACT(registering_twice_does_nothing),
        FACT(what_is_ready_when_registered_is_reported),
        FACT(data_wakes_the_reader),
        FACT(room_wakes_the_writer),
        FACT(the_end_of_the_stream_wakes_the_reader),
        FACT(a_hang_up_wakes_both_directions),
        FACT(an_edge_between_eagain_and_clear_is_kept),
        FACT(forgetting_wakes_all_with_another_generation),
        FACT(what_a_reader_saw_before_forget_it_cannot_clear_after),
        FACT(a_number_is_used_again_with_another_generation),
        FACT(an_event_for_a_predecessor_is_dropped),
        FACT(what_registers_while_its_number_is_closed_is_woken),
        FACT(a_successor_of_a_number_that_is_being_closed_is_registered_anew),
        FACT(others_than_the_number_that_is_closed_are_registered_as_ever),
        FACT(registering_after_a_plain_close_begins_a_generation),
        FACT(what_a_successor_is_told_is_not_overwritten),
        FACT(what_cannot_be_polled_is_refused),
        FACT(numbers_of_many_chunks),
        FACT(more_events_than_a_batch_take_more_turns),
        FACT(adding_what_is_in_the_set_changes_its_tag),
        FACT(milliseconds_will_do_where_there_is_nothing_better),
        FACT(whatever_refuses_the_finer_wait_makes_it_coarse),
        FACT(every_refusal_leaves_the_source_as_it_was),
        FACT(making_a_reactor_fails_cleanly_at_each_step),
    };
    return wf_test_run(tests);
}
