// A test run in which no event can wake a task any more: it prints what each task waits
// for, cancels all, and fails.
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

#include "tests/support/child.h"
#include "tests/support/left.h"
#include "tests/support/seeds.h"

static weft_task *spawn_named(const char *name, weft_fn *fn, void *arg)
{
    weft_spawn_opts opts = WEFT_SPAWN_OPTS_INIT;
    weft_task *t = NULL;

    opts.name = name;
    assert_int_equal(weft_spawn_with(&t, &opts, fn, arg), 0);
    return t;
}

// count_words is how often `words` are said.
static int count_words(const char *said, const char *words)
{
    int n = 0;

    while ((said = strstr(said, words))) {
        said += strlen(words);
        n++;
    }
    return n;
}

// --- two that wait for each other ----------------------------------------------------

struct pair {
    weft_future ready[2];
    int cut; // how many were
};

static int wait_for_first(void *arg)
{
    struct pair *p = arg;
    int err = weft_await(&p->ready[0], NULL);

    p->cut += err == -ECANCELED;
    weft_future_complete(&p->ready[1], 0);
    return err;
}

static int wait_for_second(void *arg)
{
    struct pair *p = arg;
    int err = weft_await(&p->ready[1], NULL);

    p->cut += err == -ECANCELED;
    weft_future_complete(&p->ready[0], 0);
    return err;
}

static int embrace(void *arg)
{
    struct pair *p = arg;
    weft_task *a, *b;

    *p = (struct pair){ .ready = { WEFT_FUTURE_INIT, WEFT_FUTURE_INIT } };
    assert_int_equal(weft_sleep(WEFT_MS(1500)), 0);
    a = spawn_named("left", wait_for_first, p);
    b = spawn_named("right", wait_for_second, p);
    if (weft_join(a, NULL))
        weft_detach(a);
    weft_detach(b);
    return 0; // which does not hide it
}

static void embrace_in_child(void *arg)
{
    struct pair p;
    weft_test_config cfg = WEFT_TEST_CONFIG_INIT;
    (void)arg;

    cfg.seed = 0x2a;
    assert_int_equal(weft_test_run(&cfg, embrace, &p), -EDEADLK);
    // One was cancelled; by then the other had been cancelled too, or was freed by the
    // first.
    assert_true(p.cut >= 1);
}

static void all_who_wait_are_named(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, embrace_in_child, NULL);
    child_expect_exit(&c, 0);
    child_expect_said(&c, "weft: deadlock: all tasks are parked, and nothing is left that could wake one "
                          "(seed 0x2a, after 1.500000000 s)\n");
    child_expect_said(&c, "  task 1: parked, waits for join task 2\n");
    child_expect_said(&c, "  task 2 'left': parked, waits for future");
    child_expect_said(&c, "  task 3 'right': parked, waits for future");
    child_expect_said(&c, "weft: 3 tasks alive\n");
    assert_int_equal(count_words(c.said, "deadlock"), 1);
}

static void embrace_often_in_child(void *arg)
{
    struct pair p;
    (void)arg;

    left_before(NULL);
    for (int i = 0; i < 30; i++)
        assert_int_equal(weft_test_seeds(NULL, 1, 2, embrace, &p), -EDEADLK);
    left_after(NULL);
}

static void nothing_is_left_of_them(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, embrace_often_in_child, NULL);
    child_expect_exit(&c, 0);
}

// --- two locks, in different orders --------------------------------------------------

struct locks {
    weft_mutex mutex[2];
    weft_latch both; // each has the first one
};

__attribute__((noinline)) static int lock_second(struct locks *l, int first)
{
    int err = weft_mutex_lock(&l->mutex[1 - first]);

    if (!err)
        weft_mutex_unlock(&l->mutex[1 - first]);
    return err;
}

static int lock_both(struct locks *l, int first)
{
    assert_int_equal(weft_mutex_lock(&l->mutex[first]), 0);
    weft_latch_count_down(&l->both, 1);
    assert_int_equal(weft_latch_wait(&l->both), 0);
    int err = lock_second(l, first);
    weft_mutex_unlock(&l->mutex[first]);
    return err;
}

static int lock_forwards(void *arg)
{
    return lock_both(arg, 0);
}

static int lock_backwards(void *arg)
{
    return lock_both(arg, 1);
}

static int lock_crosswise(void *arg)
{
    struct locks l = { .mutex = { WEFT_MUTEX_INIT, WEFT_MUTEX_INIT }, .both = WEFT_LATCH_INIT(2) };
    weft_task *a = spawn_named("forwards", lock_forwards, &l);
    weft_task *b = spawn_named("backwards", lock_backwards, &l);
    (void)arg;

    weft_shield_begin(WEFT_NEVER); // `l` lies on this stack
    (void)weft_join(a, NULL);
    (void)weft_join(b, NULL);
    weft_shield_end();
    return 0;
}

static void lock_in_child(void *arg)
{
    weft_test_config cfg = WEFT_TEST_CONFIG_INIT;
    (void)arg;

    cfg.seed = 0x2a;
    assert_int_equal(weft_test_run(&cfg, lock_crosswise, NULL), -EDEADLK);
}

// expect_circle looks for the circle, which is told of from either task on.
static void expect_circle(const struct child *c)
{
    const char *at = strstr(c->said, "\nweft: deadlock: task ");

    if (!at)
        fail_msg("it said: %s", c->said);
    child_expect_said(c, ",\n    which waits for mutex ");
    assert_non_null(strstr(at, ", held by task 2 'forwards'"));
    assert_non_null(strstr(at, ", held by task 3 'backwards'"));
}

static void holders_of_locks_are_named_with_their_stacks(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, lock_in_child, NULL);
    child_expect_exit(&c, 0);
    child_expect_said(&c, "  task 2 'forwards': parked, waits for mutex ");
    child_expect_said(&c, " held by task 3 'backwards'\n");
    child_expect_said(&c, "  task 3 'backwards': parked, waits for mutex ");
    child_expect_said(&c, " held by task 2 'forwards'\n");
    expect_circle(&c);
#ifndef WF_ARCH_UCONTEXT // which shows no stack
    child_expect_said(&c, "\n    lock_second");
#endif
}

// --- what is none --------------------------------------------------------------------

static int until_cut(void *arg)
{
    weft_future f = WEFT_FUTURE_INIT;
    (void)arg;
    return weft_await(&f, NULL);
}

static int leave_waiters(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++)
        assert_int_equal(weft_spawn(NULL, until_cut, NULL), 0);
    return weft_sleep(1);
}

static int wait_with_a_deadline(void *arg)
{
    weft_future f = WEFT_FUTURE_INIT;
    (void)arg;
    return weft_await_until(&f, NULL, weft_after(WEFT_S(1))) == -ETIMEDOUT ? 0 : -1;
}

static int take_a_while(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++)
        sched_yield();
    return 0;
}

static int wait_for_a_call(void *arg)
{
    (void)arg;
    return weft_blocking(take_a_while, NULL);
}

static int read_from(void *arg)
{
    char byte;
    return (int)weft_read(*(int *)arg, &byte, 1);
}

static void *write_to(void *fd)
{
    sched_yield();
    assert_int_equal(write(*(int *)fd, "x", 1), 1);
    return NULL;
}

// The other end of the pipe is a thread of which the run knows nothing.
static void wait_for_a_descriptor(void)
{
    pthread_t thread;
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(pthread_create(&thread, NULL, write_to, &ends[1]), 0);
    assert_int_equal(weft_test_seeds(NULL, 1, 1, read_from, &ends[0]), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    close(ends[0]);
    close(ends[1]);
}

static void quietly(void *arg)
{
    (void)arg;
    assert_int_equal(weft_test_seeds(NULL, 1, 100, leave_waiters, NULL), 0);
    assert_int_equal(weft_test_seeds(NULL, 1, 100, wait_with_a_deadline, NULL), 0);
    assert_int_equal(weft_test_seeds(NULL, 1, 100, wait_for_a_call, NULL), 0);
    for (int i = 0; i < 50; i++)
        wait_for_a_descriptor();
}

static void deadlines_calls_and_descriptors_may_still_come(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, quietly, NULL);
    child_expect_exit(&c, 0);
    assert_string_equal(c.said, "");
}

// --- threads that the run knows nothing of -------------------------------------------

struct call {
    weft_rt *rt;
    weft_future f;
    pthread_t thread;
};

static void *complete_from_outside(void *arg)
{
    struct call *call = arg;
    sched_yield();
    weft_future_complete(&call->f, 4);
    return NULL;
}

static int return_5(void *arg)
{
    (void)arg;
    return weft_sleep(WEFT_US(50)) ? -1 : 5;
}

static void *spawn_from_outside(void *arg)
{
    struct call *call = arg;
    int result = weft_rt_block_on(call->rt, return_5, NULL);
    weft_future_complete(&call->f, result);
    return NULL;
}

static int wait_for_thread(void *(*body)(void *), intptr_t want)
{
    struct call call = { .rt = weft_rt_current(), .f = WEFT_FUTURE_INIT };
    intptr_t value = 0;

    assert_int_equal(pthread_create(&call.thread, NULL, body, &call), 0);
    int err = weft_await(&call.f, &value);
    assert_int_equal(pthread_join(call.thread, NULL), 0);
    return err || value == want ? err : -1;
}

static int wait_for_completer(void *arg)
{
    (void)arg;
    return wait_for_thread(complete_from_outside, 4);
}

static int wait_for_spawner(void *arg)
{
    (void)arg;
    return wait_for_thread(spawn_from_outside, 5);
}

static void outside_is_waited_for_if_asked(void **state)
{
    weft_test_config cfg = WEFT_TEST_CONFIG_INIT;
    (void)state;

    cfg.outside = WEFT_NEVER;
    assert_int_equal(weft_test_seeds(&cfg, 1, 100, wait_for_completer, NULL), 0);
    assert_int_equal(weft_test_seeds(&cfg, 1, 100, wait_for_spawner, NULL), 0);
}

static void wait_in_vain(void *arg)
{
    weft_test_config cfg = WEFT_TEST_CONFIG_INIT;
    (void)arg;

    cfg.outside = WEFT_MS(2);
    assert_int_equal(weft_test_run(&cfg, until_cut, NULL), -EDEADLK);
}

static void but_not_longer_than_asked(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, wait_in_vain, NULL);
    child_expect_exit(&c, 0);
    child_expect_said(&c, "  task 1: parked, waits for future");
}

// --- bad ends ------------------------------------------------------------------------

static int wait_shielded(void *arg)
{
    weft_shield_begin(WEFT_NEVER);
    int err = until_cut(arg);
    weft_shield_end();
    return err;
}

static int wait_shielded_for_an_hour(void *arg)
{
    weft_shield_begin(WEFT_S(3600));
    int err = until_cut(arg);
    weft_shield_end();
    assert_int_equal(err, -ECANCELED);
    assert_int_equal(weft_now(), WEFT_TEST_START + WEFT_S(3600));
    return 0;
}

static void abort_at_once(void *arg)
{
    weft_test_config cfg = WEFT_TEST_CONFIG_INIT;
    (void)arg;

    cfg.abort_on_deadlock = true;
    (void)weft_test_run(&cfg, until_cut, NULL);
}

static void cannot_be_cut(void *arg)
{
    (void)arg;
    (void)weft_test_run(NULL, wait_shielded, NULL);
}

static void can_be_cut_in_an_hour(void *arg)
{
    (void)arg;
    assert_int_equal(weft_test_run(NULL, wait_shielded_for_an_hour, NULL), -EDEADLK);
}

static void it_aborts_if_asked(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, abort_at_once, NULL);
    child_expect_signal(&c, SIGABRT);
    child_expect_said(&c, "weft: deadlock: ");
    child_expect_said(&c, "  task 1: parked, waits for future");
}

static void who_does_not_end_when_cancelled_is_named(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, cannot_be_cut, NULL);
    child_expect_signal(&c, SIGABRT);
    child_expect_said(&c, "weft: tasks that were cancelled wait on (seed ");
    child_expect_said(&c, "  task 1: parked, waits for future ");
    child_expect_said(&c, " (cancelled)\n");
    child_run(&c, can_be_cut_in_an_hour, NULL);
    child_expect_exit(&c, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(all_who_wait_are_named),
        left_test(nothing_is_left_of_them),
        left_test(holders_of_locks_are_named_with_their_stacks),
        left_test(deadlines_calls_and_descriptors_may_still_come),
        left_test(outside_is_waited_for_if_asked),
        left_test(but_not_longer_than_asked),
        left_test(it_aborts_if_asked),
        left_test(who_does_not_end_when_cancelled_is_named),
    };
    return wf_test_run(tests);
}
