// Parts of a test run that the seed does not control: descriptors, blocking calls,
// signals; also settings and misuse.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "tests/support/child.h"
#include "tests/support/left.h"
#include "tests/support/seeds.h"

// --- descriptors ---------------------------------------------------------------------

enum { MESSAGES = 20 };

static int echo(void *arg)
{
    int fd = *(int *)arg;
    char buf[64];
    ssize_t n;

    while ((n = weft_read(fd, buf, sizeof(buf))) > 0)
        assert_int_equal(weft_write_all(fd, buf, (size_t)n, NULL), 0);
    assert_int_equal(weft_close(fd), 0);
    return (int)n;
}

static void talk(int fd)
{
    char out[64], in[64];

    for (int i = 0; i < MESSAGES; i++) {
        size_t n = 1 + weft_test_below(sizeof(out));
        memset(out, i + 1, n);
        assert_int_equal(weft_write_all(fd, out, n, NULL), 0);
        if (weft_test_below(4) == 0)
            assert_int_equal(weft_sleep(WEFT_S(1)), 0);
        assert_int_equal(weft_read_full(fd, in, n, NULL), 0);
        assert_memory_equal(in, out, n);
    }
    assert_int_equal(weft_close(fd), 0);
}

static int talk_over_a_pair(void *arg)
{
    int ends[2];
    (void)arg;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    weft_task *t = spawn(echo, &ends[1]);
    talk(ends[0]);
    return join(t);
}

static int serve_one(void *arg)
{
    int fd = weft_accept(*(int *)arg, NULL, NULL);
    assert_true(fd >= 0);
    return echo(&fd);
}

static int talk_over_tcp(void *arg)
{
    char addr[64];
    (void)arg;

    int listener = weft_tcp_listen("127.0.0.1:0");
    assert_true(listener >= 0);
    assert_true(weft_local_addr(listener, addr, sizeof(addr)) > 0);
    weft_task *t = spawn(serve_one, &listener);
    int fd = weft_tcp_dial(addr);
    assert_true(fd >= 0);
    talk(fd);
    int result = join(t);
    assert_int_equal(weft_close(listener), 0);
    return result;
}

static void descriptors_work(void **state)
{
    (void)state;
    run_seeds(300, talk_over_a_pair, NULL);
    run_seeds(50, talk_over_tcp, NULL);
}

static void a_conversation_is_repeatable(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        assert_int_equal(run_seed(seed, talk_over_a_pair, NULL), 0);
        uint64_t trace = weft_test_trace();
        assert_int_equal(run_seed(seed, talk_over_a_pair, NULL), 0);
        assert_true(weft_test_trace() == trace);
    }
}

static int read_one(void *arg)
{
    char byte;
    return (int)weft_read(*(int *)arg, &byte, 1);
}

static int cancel_a_reader(void *arg)
{
    weft_scope s;
    int ends[2];
    (void)arg;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    weft_task *t = spawn(read_one, &ends[0]);
    assert_int_equal(weft_sleep(WEFT_MS(1)), 0);
    weft_task_cancel(t);
    assert_int_equal(join(t), -ECANCELED);
    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    weft_scope_deadline(&s, weft_after(WEFT_S(3600)));
    assert_int_equal(read_one(&ends[0]), -ETIMEDOUT); // the clock jumps: no other task is awake to write
    assert_int_equal(weft_scope_close(&s), -ETIMEDOUT);
    t = spawn(read_one, &ends[0]);
    assert_int_equal(weft_sleep(WEFT_MS(1)), 0);
    assert_int_equal(weft_close(ends[0]), 0);
    assert_int_equal(join(t), -EBADF);
    return weft_close(ends[1]);
}

static void who_waits_on_a_descriptor_can_be_cancelled(void **state)
{
    (void)state;
    run_seeds(100, cancel_a_reader, NULL);
}

// --- SIGPIPE -------------------------------------------------------------------------

static int write_to_nobody(void *arg)
{
    int ends[2];
    (void)arg;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    close(ends[0]);
    assert_int_equal(weft_write(ends[1], "x", 1), -EPIPE);
    return weft_close(ends[1]);
}

static void write_in_child(void *arg)
{
    (void)arg;
    signal(SIGPIPE, SIG_DFL);
    assert_int_equal(weft_test_seeds(NULL, 1, 3, write_to_nobody, NULL), 0);
}

static void a_closed_pipe_is_an_error(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, write_in_child, NULL);
    child_expect_exit(&c, 0); // neither in the run, nor when the signal is let in again
}

// --- blocking calls ------------------------------------------------------------------

struct jobs {
    pthread_t runner;
    int done;
};

static int job(void *arg)
{
    struct jobs *j = arg;
    assert_false(pthread_equal(pthread_self(), j->runner));
    return 11;
}

static int ask(void *arg)
{
    struct jobs *j = arg;
    assert_int_equal(weft_blocking(job, j), 11);
    j->done++;
    return 0;
}

static int ask_all(void *arg)
{
    struct jobs j = { .runner = pthread_self() };
    weft_scope s;
    (void)arg;

    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    for (int i = 0; i < 8; i++)
        assert_int_equal(weft_scope_spawn(&s, ask, &j), 0);
    assert_int_equal(weft_scope_close(&s), 0);
    assert_int_equal(j.done, 8);
    return 0;
}

static void blocking_calls_have_threads_of_their_own(void **state)
{
    (void)state;
    run_seeds(200, ask_all, NULL);
}

static int yield_on(void *arg)
{
    for (int i = 0; i < 30; i++)
        assert_int_equal(weft_yield(), 0);
    (void)arg;
    return 0;
}

static int ask_beside(void *arg)
{
    weft_task *a = spawn(yield_on, NULL), *b = spawn(ask_all, NULL);

    assert_int_equal(ask_all(arg), 0);
    join(a);
    return join(b);
}

static void blocking_calls_are_repeatable(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        assert_int_equal(run_seed(seed, ask_beside, NULL), 0);
        uint64_t trace = weft_test_trace();
        assert_int_equal(run_seed(seed, ask_beside, NULL), 0);
        assert_true(weft_test_trace() == trace);
    }
}

static int note_order(void *arg)
{
    struct jobs *j = ((struct jobs **)arg)[0];
    j->done = j->done * 10 + (int)((intptr_t *)arg)[1];
    return 0;
}

static int ask_to_note(void *arg)
{
    return weft_blocking(note_order, arg);
}

static unsigned orders_seen;

static int ask_in_any_order(void *arg)
{
    struct jobs j = { .done = 0 };
    struct {
        struct jobs *j;
        intptr_t number;
    } asks[] = { { &j, 1 }, { &j, 2 }, { &j, 3 } };
    weft_scope s;
    (void)arg;

    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    for (int i = 0; i < 3; i++)
        assert_int_equal(weft_scope_spawn(&s, ask_to_note, &asks[i]), 0);
    assert_int_equal(weft_scope_close(&s), 0);
    orders_seen |= 1u << (j.done == 123   ? 0
                          : j.done == 132 ? 1
                          : j.done == 213 ? 2
                          : j.done == 231 ? 3
                          : j.done == 312 ? 4
                          : j.done == 321 ? 5
                                          : 31);
    return 0;
}

static void blocking_calls_come_one_by_one_in_any_order(void **state)
{
    (void)state;
    orders_seen = 0;
    assert_int_equal(weft_test_seeds(NULL, wf_test_seed(), 200, ask_in_any_order, NULL), 0);
    assert_int_equal(orders_seen, 63);
}

static int cancel_what_is_asked(void *arg)
{
    struct jobs j = { .runner = pthread_self() };
    weft_task *t = spawn(ask_to_note, (void *[]){ &j, NULL });
    (void)arg;

    while (weft_test_below(3))
        assert_int_equal(weft_yield(), 0);
    weft_task_cancel(t); // it has not begun: not before all are parked
    assert_int_equal(join(t), -ECANCELED);
    assert_int_equal(j.done, 0);
    return 0;
}

static void a_call_that_has_not_begun_can_be_cancelled(void **state)
{
    (void)state;
    run_seeds(200, cancel_what_is_asked, NULL);
}

struct meeting {
    pthread_barrier_t both;
};

static int meet(void *arg)
{
    int who = pthread_barrier_wait(&((struct meeting *)arg)->both);
    return who == 0 || who == PTHREAD_BARRIER_SERIAL_THREAD ? 0 : -1;
}

static int ask_to_meet(void *arg)
{
    return weft_blocking(meet, arg);
}

static int meet_in_calls(void *arg)
{
    struct meeting m;
    (void)arg;

    assert_int_equal(pthread_barrier_init(&m.both, NULL, 2), 0);
    weft_task *t = spawn(ask_to_meet, &m);
    assert_int_equal(ask_to_meet(&m), 0);
    int result = join(t);
    pthread_barrier_destroy(&m.both);
    return result;
}

struct spinner {
    atomic_bool begun, go;
};

static int begin_and_wait(void *arg)
{
    struct spinner *s = arg;

    atomic_store(&s->begun, true);
    while (!atomic_load(&s->go))
        sched_yield();
    return 0;
}

static int ask_and_wait(void *arg)
{
    return weft_blocking(begin_and_wait, arg);
}

// spin_for_a_call is never parked until the call has begun, and ends.
static int spin_for_a_call(void *arg)
{
    struct spinner s = { false, false };
    weft_task *t = spawn(ask_and_wait, &s);
    (void)arg;

    while (!atomic_load(&s.begun))
        assert_int_equal(weft_yield(), 0);
    assert_false(weft_task_done(t));
    atomic_store(&s.go, true);
    while (!weft_task_done(t))
        assert_int_equal(weft_yield(), 0);
    return join(t);
}

static void a_task_may_spin_until_a_call_returns(void **state)
{
    (void)state;
    run_seeds(20, spin_for_a_call, NULL);
}

static void calls_may_wait_for_calls(void **state)
{
    (void)state;
    assert_int_equal(run_seed(1, meet_in_calls, NULL), 0);
}

static int read_a_file(void *arg)
{
    char text[16] = "";
    (void)arg;

    int fd = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_true(weft_read(fd, text, sizeof(text)) > 0);
    return weft_close(fd);
}

static void files_can_be_read(void **state)
{
    (void)state;
    run_seeds(50, read_a_file, NULL);
}

// --- stacks --------------------------------------------------------------------------

// The address sanitizer has a handler of its own, which ends the process otherwise.
#ifdef WF_ASAN
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "handle_segv=0";
}
#endif

static WF_NOINLINE int dig(unsigned depth)
{
    volatile char frame[256];
    frame[depth % 256] = (char)depth;
    int below = depth > 0 ? dig(depth - 1) : 0;
    return below + frame[depth % 256];
}

static int dig_deep(void *arg)
{
    return dig(*(unsigned *)arg);
}

static void dig_in_child(void *arg)
{
    (void)weft_test_run(NULL, dig_deep, arg);
}

static void dig_with_room(void *arg)
{
    weft_test_config cfg = WEFT_TEST_CONFIG_INIT;

    cfg.stack_size = 64 << 20;
    (void)weft_test_run(&cfg, dig_deep, arg);
}

static void a_stack_overflow_is_reported(void **state)
{
    unsigned depth = 20000;
    struct child c;
    (void)state;

    child_run(&c, dig_in_child, &depth);
    child_expect_signal(&c, SIGSEGV);
    child_expect_said(&c, "weft: task 1 overflowed its 64 KiB stack\n");
    child_run(&c, dig_with_room, &depth);
    child_expect_exit(&c, 0);
}

// --- settings and misuse -------------------------------------------------------------

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void bad_settings(void *arg)
{
    weft_test_config cfg = WEFT_TEST_CONFIG_INIT;
    (void)arg;

    cfg.size = 3;
    assert_int_equal(weft_test_run(&cfg, nothing, NULL), WEFT_BAD_CONFIG);
    cfg.size = sizeof(cfg);
    cfg.outside = -1;
    assert_int_equal(weft_test_seeds(&cfg, 1, 1, nothing, NULL), WEFT_BAD_CONFIG);
    cfg.outside = 0;
    cfg.stack_size = 17;
    assert_int_equal(weft_test_run(&cfg, nothing, NULL), WEFT_BAD_CONFIG);
    setenv("WEFT_SEED", "twelve", 1);
    assert_int_equal(weft_test_run(NULL, nothing, NULL), WEFT_BAD_CONFIG);
    setenv("WEFT_SEED", "0", 1);
    assert_int_equal(weft_test_seeds(NULL, 1, 1, nothing, NULL), WEFT_BAD_CONFIG);
}

static void what_is_out_of_range_is_said(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, bad_settings, NULL);
    child_expect_exit(&c, 0);
    child_expect_said(&c, "weft: weft_test_config.size is 3, not ");
    child_expect_said(&c, "weft: weft_test_config.outside is -1: it must not be negative\n");
    child_expect_said(&c, "weft: weft_config.stack_size is '17'");
    child_expect_said(&c, "weft: WEFT_SEED is 'twelve': it must be a number above 0\n");
    child_expect_said(&c, "weft: WEFT_SEED is '0'");
}

static int run_within(void *arg)
{
    (void)arg;
    return weft_test_run(NULL, nothing, NULL);
}

static int draw_below_zero(void *arg)
{
    (void)arg;
    return (int)weft_test_below(0);
}

static int draw_outside(void *arg)
{
    (void)arg;
    return (int)weft_test_below(3);
}

static void run_within_a_run(void *arg)
{
    (void)arg;
    (void)weft_test_run(NULL, run_within, NULL);
}

static void run_within_a_runtime(void *arg)
{
    (void)arg;
    (void)weft_run(NULL, run_within, NULL);
}

static void draw_in_a_runtime(void *arg)
{
    (void)arg;
    (void)weft_run(NULL, draw_outside, NULL);
}

static void draw_nothing(void *arg)
{
    (void)arg;
    (void)weft_test_run(NULL, draw_below_zero, NULL);
}

static void misuse_stops(void **state)
{
    static const struct {
        void (*body)(void *);
        const char *said;
    } cases[] = {
        { run_within_a_run, "weft: task 1: weft_test_run must not be called by a task, nor within a test run\n" },
        { run_within_a_runtime, "weft_test_run must not be called by a task" },
        { draw_in_a_runtime, "weft_test_below may only be called by a task of a test run\n" },
        { draw_nothing, "weft_test_below: there is no number below 0\n" },
    };
    struct child c;
    (void)state;

    for (size_t i = 0; i < wf_countof(cases); i++) {
        child_run(&c, cases[i].body, NULL);
        child_expect_signal(&c, SIGABRT);
        child_expect_said(&c, cases[i].said);
    }
}

// --- shortage ------------------------------------------------------------------------

#ifdef WF_FAULTS
// yield_if_fed: a task that got no stack does not yield.
static int yield_if_fed(void *arg)
{
    int err = weft_yield();

    if (!err)
        return yield_on(arg);
    assert_int_equal(err, -ENOMEM);
    return err;
}

static int spawn_many(void *arg)
{
    int spawned = 0;

    for (int i = 0; i < 500; i++)
        spawned += weft_spawn(NULL, yield_if_fed, NULL) == 0;
    *(int *)arg = spawned;
    return weft_sleep(1);
}

static void a_run_that_cannot_be_made_leaves_nothing(void **state)
{
    int err, spawned;
    long n = 0;
    (void)state;

    do { // any one fails
        wf_mem_fail_at(++n, false);
        err = weft_test_seeds(NULL, 1, 1, nothing, NULL);
        wf_mem_fail_at(0, false);
        assert_true(err == 0 || err == -ENOMEM || err == -EMFILE);
        left_after(NULL);
    } while (err);
    assert_true(n > 8);
    for (long at = 1; at < 60; at++) { // what is refused later makes tasks fail, not the run
        wf_mem_fail_at(at, false);
        err = weft_test_seeds(NULL, 1, 1, spawn_many, &spawned);
        wf_mem_fail_at(0, false);
        assert_true(err == 0 || err == -ENOMEM || err == -EMFILE);
    }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(descriptors_work),
        left_test(a_conversation_is_repeatable),
        left_test(who_waits_on_a_descriptor_can_be_cancelled),
        left_test(a_closed_pipe_is_an_error),
        left_test(blocking_calls_have_threads_of_their_own),
        left_test(blocking_calls_are_repeatable),
        left_test(blocking_calls_come_one_by_one_in_any_order),
        left_test(a_call_that_has_not_begun_can_be_cancelled),
        left_test(calls_may_wait_for_calls),
        left_test(a_task_may_spin_until_a_call_returns),
        left_test(files_can_be_read),
        left_test(a_stack_overflow_is_reported),
        left_test(what_is_out_of_range_is_said),
        left_test(misuse_stops),
#ifdef WF_FAULTS
        left_test(a_run_that_cannot_be_made_leaves_nothing),
#endif
    };
    return wf_test_run(tests);
}
