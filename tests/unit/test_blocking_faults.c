// The blocking pool when the system refuses memory or threads: the tests cause every
// such refusal.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>
#include <weft.h>

#include "base/atomic.h"
#include "base/mem.h"
#include "runtime/service.h"
#include "runtime/task/blocking.h"
#include "tests/support/tasks.h"

static int double_it(void *arg)
{
    return 2 * *(int *)arg;
}

// With one worker, nothing else passes a fault site between the two lines.
static int refuse_threads(void *arg)
{
    int n = 21;
    (void)arg;

    wf_mem_fail_at(1, true);
    int first = weft_blocking(double_it, &n);
    wf_mem_fail_at(0, false);
    assert_int_equal(first, -EAGAIN); // there is no thread, and none to be had
    assert_int_equal(weft_blocking(double_it, &n), 42);
    wf_mem_fail_at(1, true);
    int then = weft_blocking(double_it, &n);
    wf_mem_fail_at(0, false);
    assert_int_equal(then, 42); // there is one, which is enough
    return 0;
}

static int refuse_readers(void *arg)
{
    char buf[4];
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    (void)arg;

    assert_int_equal(weft_poll(fd, POLLIN), POLLIN); // the table of descriptors has its place from now on
    wf_mem_fail_at(1, true);
    ssize_t got = weft_read(fd, buf, sizeof(buf));
    wf_mem_fail_at(0, false);
    assert_int_equal(got, sizeof(buf)); // on the worker, if need be
    assert_memory_equal(buf, "\177ELF", 4);
    return weft_close(fd);
}

static _Atomic bool refused; // threads are
static bool queued_first;    // the task's job is queued before the other one waits for it

// double_by_a_job begins when it has all but a thread.
static int double_by_a_job(void *arg)
{
    while (!wf_load_acquire(&refused))
        assert_int_equal(weft_yield(), 0);
    return weft_blocking(double_it, arg);
}

static void await_queued(weft_rt *rt, weft_task *t)
{
    int dump = memfd_create("dump", MFD_CLOEXEC);

    assert_true(dump >= 0);
    do
        usleep(100);
    while (!is_parked(dump, rt, t, "weft_blocking"));
    close(dump);
}

// wait_without_threads: the one job there may be waits for a task that needs another.
// It is told, and can go on.
static int wait_without_threads(void *rt)
{
    int n = 21;
    weft_task *t;
    intptr_t value = 0;

    assert_int_equal(weft_rt_spawn(rt, &t, double_by_a_job, &n), 0);
    wf_mem_fail_at(1, true);
    wf_store_release(&refused, true);
    if (queued_first)
        await_queued(rt, t);
    assert_int_equal(weft_future_wait_thread(weft_task_future(t), &value, WEFT_NEVER), 0);
    wf_mem_fail_at(0, false);
    weft_detach(t);
    assert_int_equal(value, -EAGAIN);
    return weft_rt_block_on(rt, double_by_a_job, &n);
}

static int refuse_the_place(void *arg)
{
    (void)arg;
    wf_store_relaxed(&refused, false); // relaxed: the other task does not run yet
    return weft_blocking(wait_without_threads, weft_rt_current());
}

// run_alone has one worker, and room for one job.
static int run_alone(weft_fn *fn)
{
    weft_config cfg = WEFT_CONFIG_INIT;
    cfg.workers = 1;
    cfg.blocking_max = 1;
    return weft_run(&cfg, fn, NULL);
}

static void without_a_thread_there_is_an_error_and_with_one_a_queue(void **state)
{
    (void)state;
    assert_int_equal(run_alone(refuse_threads), 0);
}

static void files_are_read_without_a_pool_if_need_be(void **state)
{
    (void)state;
    assert_int_equal(run_alone(refuse_readers), 0);
}

static void a_job_that_waits_for_a_task_does_not_stand_in_for_a_thread(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        queued_first = i % 2;
        assert_int_equal(run_alone(refuse_the_place), 42);
    }
}

static void a_pool_without_memory_is_an_error(void **state)
{
    weft_config cfg = { .blocking_max = 4 };
    struct weft_rt rt = { .blocking = NULL };
    (void)state;

    wf_mem_fail_at(1, false);
    assert_int_equal(wf_pool_service.make(&rt, &cfg), -ENOMEM);
    wf_mem_fail_at(0, false);
    assert_null(rt.blocking);
    assert_int_equal(wf_pool_service.make(&rt, &cfg), 0);
    wf_pool_service.free(&rt);
    assert_int_equal(wf_pool_service.make(&rt, &cfg), 0);
    wf_pool_service.abandon(&rt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_thread_there_is_an_error_and_with_one_a_queue),
        cmocka_unit_test(files_are_read_without_a_pool_if_need_be),
        cmocka_unit_test(a_job_that_waits_for_a_task_does_not_stand_in_for_a_thread),
        cmocka_unit_test(a_pool_without_memory_is_an_error),
    };
    return wf_test_run(tests);
}
