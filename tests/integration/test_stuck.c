// The end of a runtime with a stuck task or job: weft_config.stop_after limits it.
#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "base/atomic.h"
#include "tests/support/child.h"
#include "tests/support/left.h"
#include "tests/support/tasks.h"

static _Atomic bool stuck; // something is, as the test wants it

static int never_return(void *arg)
{
    (void)arg;
    wf_store_relaxed(&stuck, true); // relaxed: a flag
    for (;;)
        pause();
    return 0;
}

static int ask_in_vain(void *arg)
{
    return weft_blocking(never_return, arg);
}

static int compute_without_end(void *arg)
{
    (void)arg;
    wf_store_relaxed(&stuck, true); // relaxed: a flag
    for (;;)
        sched_yield();
    return 0;
}

static int ignore_cancels(void *arg)
{
    (void)arg;
    wf_store_relaxed(&stuck, true); // relaxed: a flag
    for (;;)
        (void)weft_sleep(WEFT_MS(1));
    return 0;
}

static weft_fn *const bodies[] = { ask_in_vain, compute_without_end, ignore_cancels };

// leave_it is the program: it leaves a task behind that never ends, and is done.
static int leave_it(void *arg)
{
    weft_fn *body = *(weft_fn *const *)arg;

    assert_int_equal(weft_spawn(NULL, body, NULL), 0);
    while (!wf_load_relaxed(&stuck)) // relaxed: a flag
        assert_int_equal(weft_yield(), 0);
    return 42;
}

static void run_and_exit(void *arg)
{
    weft_config cfg = WEFT_CONFIG_INIT;

    cfg.workers = 2;
    cfg.stop_after = WEFT_MS(20);
    weft_time before = weft_now();
    assert_int_equal(weft_run(&cfg, leave_it, arg), 42);
    assert_true(weft_now() - before >= cfg.stop_after);
    exit(0); // as a return from main does: handlers of atexit and destructors run
}

static void a_program_ends_although_something_is_stuck(void **state)
{
    struct child c;
    (void)state;

    for (size_t i = 0; i < wf_countof(bodies); i++) {
        child_run(&c, run_and_exit, (void *)&bodies[i]);
        child_expect_exit(&c, 0);
#ifndef WF_ASAN // whose leak checker speaks of the threads that it finds running
        assert_string_equal(c.said, "");
#endif
    }
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void free_and_go_on(void *arg)
{
    weft_config cfg = WEFT_CONFIG_INIT;
    weft_rt *rt;

    cfg.workers = 2;
    cfg.stop_after = 1;
    assert_int_equal(weft_rt_new(&rt, &cfg), 0);
    assert_int_equal(weft_rt_block_on(rt, leave_it, arg), 42);
    assert_int_equal(weft_rt_stop(rt, weft_after(WEFT_MS(10))), -ETIMEDOUT);
    weft_rt_free(rt);
    for (int i = 0; i < 20; i++)
        assert_int_equal(weft_run(NULL, nothing, NULL), 0); // the next ones are not concerned
}

static void a_host_goes_on_although_a_runtime_is_stuck(void **state)
{
    struct child c;
    (void)state;

    for (size_t i = 0; i < wf_countof(bodies); i++) {
        child_run(&c, free_and_go_on, (void *)&bodies[i]);
        child_expect_exit(&c, 0);
        assert_string_equal(c.said, "");
    }
}

// --- something that ends late --------------------------------------------------------

struct late {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    bool begun, may_end; // L
    int result;          // of the task, 1 if it has not ended
};

static int end_late(void *arg)
{
    struct late *l = arg;

    pthread_mutex_lock(&l->lock);
    l->begun = true;
    pthread_cond_broadcast(&l->moved);
    while (!l->may_end)
        pthread_cond_wait(&l->moved, &l->lock);
    pthread_mutex_unlock(&l->lock);
    return 7;
}

static int ask_for_it(void *arg)
{
    struct late *l = arg;
    char *mine = malloc(100); // is freed, if the task goes on to its end

    assert_non_null(mine);
    int result = weft_blocking(end_late, l);
    assert_int_equal(weft_sleep(0), -ECANCELED);
    free(mine);
    pthread_mutex_lock(&l->lock);
    l->result = result;
    pthread_mutex_unlock(&l->lock);
    return result;
}

static int leave_late(void *arg)
{
    struct late *l = arg;
    bool begun = false;

    assert_int_equal(weft_spawn(NULL, ask_for_it, l), 0);
    while (!begun) {
        assert_int_equal(weft_sleep(WEFT_US(100)), 0);
        pthread_mutex_lock(&l->lock);
        begun = l->begun;
        pthread_mutex_unlock(&l->lock);
    }
    return 0;
}

// What was left behind ends when it can, and leaves nothing: left_test looks for
// threads, descriptors and memory.
static void what_was_left_behind_ends_when_it_can(void **state)
{
    struct late l = { .lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER, .result = 1 };
    weft_config cfg = WEFT_CONFIG_INIT;
    (void)state;

    cfg.stop_after = WEFT_MS(1);
    assert_int_equal(weft_run(&cfg, leave_late, &l), 0);
    assert_int_equal(l.result, 1);
    pthread_mutex_lock(&l.lock);
    l.may_end = true;
    pthread_cond_broadcast(&l.moved);
    pthread_mutex_unlock(&l.lock);
    for (unsigned threads = 0; threads != left_baseline.threads;) {
        usleep(1000);
        threads = left_count("/proc/self/task");
    }
    pthread_mutex_lock(&l.lock); // after the task's, for ThreadSanitizer: the task's thread is joined by no thread
    assert_int_equal(l.result, 7);
    pthread_mutex_unlock(&l.lock);
}

// --- nothing is stuck ----------------------------------------------------------------

static int until_cancelled(void *arg)
{
    (void)arg;
    return weft_sleep_until(WEFT_NEVER);
}

static int leave_sleepers(void *arg)
{
    (void)arg;
    for (int i = 0; i < 100; i++)
        assert_int_equal(weft_spawn(NULL, until_cancelled, NULL), 0);
    return 5;
}

static void what_ends_in_time_is_waited_for(void **state)
{
    weft_config cfg = WEFT_CONFIG_INIT;
    (void)state;

    cfg.stop_after = WEFT_S(3600);
    for (int i = 0; i < 20; i++)
        assert_int_equal(weft_run(&cfg, leave_sleepers, NULL), 5);
    cfg.stop_after = WEFT_NEVER;
    assert_int_equal(weft_run(&cfg, leave_sleepers, NULL), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(a_program_ends_although_something_is_stuck),
        left_test(a_host_goes_on_although_a_runtime_is_stuck),
        left_test(what_was_left_behind_ends_when_it_can),
        left_test(what_ends_in_time_is_waited_for),
    };
    return wf_test_run(tests);
}
