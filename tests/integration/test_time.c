// Timers as a program sees them: never early, never lost. The tests do not limit how
// late they are.
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/compiler.h"
#include "tests/support/left.h"
#include "tests/support/tasks.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

static void adding_to_now_saturates(void **state)
{
    (void)state;
    assert_true(weft_after(WEFT_NEVER) == WEFT_NEVER);
    assert_true(weft_after(WEFT_NEVER - 1) == WEFT_NEVER);
    assert_true(weft_after(WEFT_NEVER - weft_now()) == WEFT_NEVER);
    assert_true(weft_after(INT64_MIN) < 0);
    assert_true(weft_after(-1) <= weft_now());
    weft_time before = weft_now();
    weft_time at = weft_after(WEFT_S(1));
    assert_true(at >= before + WEFT_S(1) && at <= weft_now() + WEFT_S(1));
    assert_true(WEFT_US(3) == 3000 && WEFT_MS(3) == 3000000 && WEFT_S(3) == 3000000000);
}

// --- sleeping ------------------------------------------------------------------------

enum { SLEEPERS = 50, NAPS = 20 };

static int nap(void *arg)
{
    struct wf_test_rand rand = wf_test_rand((uint64_t)(uintptr_t)arg);

    for (int i = 0; i < NAPS; i++) {
        weft_time d = wf_test_below(&rand, i % 4 ? 3000000 : 3000), before = weft_now();
        assert_int_equal(weft_sleep(d), 0);
        assert_true(weft_now() - before >= d);
        weft_time until = weft_after(wf_test_below(&rand, 2000000));
        assert_int_equal(weft_sleep_until(until), 0);
        assert_true(weft_now() >= until);
    }
    return 0;
}

static int nap_together(void *arg)
{
    weft_task *tasks[SLEEPERS];
    (void)arg;

    for (int i = 0; i < SLEEPERS; i++)
        tasks[i] = spawn(nap, (void *)(uintptr_t)i);
    for (int i = 0; i < SLEEPERS; i++)
        assert_int_equal(join(tasks[i]), 0);
    return 0;
}

static void a_sleep_never_ends_early(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(nap_together, NULL), 0);
}

static int sleep_until_past(void *arg)
{
    static const weft_time past[] = { INT64_MIN, INT64_MIN + 1, -1, 0, 1 };
    (void)arg;

    for (size_t i = 0; i < wf_countof(past); i++)
        assert_int_equal(weft_sleep_until(past[i]), 0);
    assert_int_equal(weft_sleep(0), 0);
    assert_int_equal(weft_sleep(-1), 0);
    assert_int_equal(weft_sleep(INT64_MIN), 0);
    assert_int_equal(weft_sleep_until(weft_now()), 0);
    weft_task_cancel(weft_self());
    for (size_t i = 0; i < wf_countof(past); i++)
        assert_int_equal(weft_sleep_until(past[i]), -ECANCELED);
    return 0;
}

static void a_deadline_in_the_past_only_looks(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(sleep_until_past, NULL), 0);
}

static int sleep_until_it(void *arg)
{
    return weft_sleep_until(*(weft_time *)arg);
}

// far_and_near: timers of all distances are armed, the farthest first; only those that
// are due may fire.
static int far_and_near(void *arg)
{
    weft_time far[] = { WEFT_NEVER,
                        WEFT_NEVER - 1,
                        weft_after(WEFT_S(1) * 86400 * 36500),
                        weft_after(WEFT_S(86400)),
                        weft_after(WEFT_S(3600)),
                        weft_after(WEFT_S(60)) };
    weft_task *tasks[wf_countof(far)];
    (void)arg;

    for (size_t i = 0; i < wf_countof(far); i++)
        tasks[i] = spawn(sleep_until_it, &far[i]);
    for (size_t i = 0; i < wf_countof(far); i++)
        wait_parked(tasks[i], "sleep");
    for (int ms = 30; ms >= 0; ms -= 10)
        assert_int_equal(weft_sleep(WEFT_MS(ms)), 0);
    for (size_t i = wf_countof(far); i-- > 0;) {
        assert_false(weft_task_done(tasks[i]));
        weft_task_cancel(tasks[i]);
        assert_int_equal(join(tasks[i]), -ECANCELED);
    }
    return 0;
}

static void a_near_deadline_is_not_held_up_by_far_ones(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(far_and_near, NULL), 0);
}

static int compute_then_set(void *arg)
{
    _Atomic bool *woken = arg;
    weft_time until = weft_after(WEFT_MS(50));

    while (weft_now() < until && !wf_load_relaxed(woken)) // relaxed: only ends the computing sooner
        ;
    return 0;
}

static int sleep_then_set(void *arg)
{
    int err = weft_sleep(WEFT_MS(1));
    wf_store_relaxed((_Atomic bool *)arg, true); // relaxed: as above
    return err;
}

static int sleep_beside_a_hog(void *arg)
{
    _Atomic bool woken = false;
    weft_task *hog = spawn(compute_then_set, &woken), *sleeper = spawn(sleep_then_set, &woken);
    (void)arg;

    assert_int_equal(join(sleeper), 0);
    return join(hog);
}

static void a_task_that_computes_does_not_stop_time(void **state)
{
    (void)state;
    for (unsigned i = wf_test_rounds(10); i > 0; i--)
        assert_int_equal(run_tasks(sleep_beside_a_hog, NULL), 0);
}

struct twice {
    weft_future f;
    weft_time deadline;
};

static int await_then_sleep(void *arg)
{
    struct twice *t = arg;

    int err = weft_await_until(&t->f, NULL, t->deadline);
    assert_true(err == 0 || err == -ETIMEDOUT); // the machine may have been busy elsewhere
    weft_time until = weft_after(WEFT_MS(2));
    assert_int_equal(weft_sleep_until(until), 0);
    assert_true(weft_now() >= until);
    return 0;
}

// wake_twice: a future is completed, and before its waiter can run, its deadline
// passes, too: two wakes for one wait.
static int wake_twice(void *arg)
{
    (void)arg;
    for (unsigned i = wf_test_rounds(20); i > 0; i--) {
        struct twice t = { WEFT_FUTURE_INIT, weft_after(WEFT_MS(4)) };
        weft_task *task = spawn(await_then_sleep, &t);
        while (!weft_task_done(task) && weft_now() < t.deadline - WEFT_MS(2))
            assert_int_equal(weft_yield(), 0);
        weft_future_complete(&t.f, 0);
        while (weft_now() < t.deadline + WEFT_MS(3)) // computes: with one worker, the waiter is kept from running
            ;
        assert_int_equal(join(task), 0);
    }
    return 0;
}

static void a_wake_left_over_from_another_wait_ends_no_sleep(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(wake_twice, NULL), 0);
}

// --- cancelling ----------------------------------------------------------------------

// may_have is how many stacks the process may have: without MADV_GUARD_INSTALL (Linux
// 6.13) each is two mappings.
static unsigned may_have(unsigned n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_true(p != MAP_FAILED);
    bool light = madvise(p, page, MADV_GUARD_INSTALL) == 0;
    munmap(p, page);
#if defined(WF_TSAN)
    light = false; // a fibre costs ThreadSanitizer a good part of a megabyte
    n = n > 2000 ? 2000 : n;
#elif defined(WF_ASAN)
    n = n > 20000 ? 20000 : n;
#endif
    return light || n < 20000 ? n : 20000;
}

static _Atomic unsigned asleep; // or about to be

static int sleep_for_hours(void *arg)
{
    wf_fetch_add_relaxed(&asleep, 1); // relaxed: a counter
    return weft_sleep_until(*(weft_time *)arg);
}

static int cancel_sleepers(void *arg)
{
    unsigned n = *(unsigned *)arg;
    weft_time untils[] = { WEFT_NEVER, weft_after(WEFT_S(60)), weft_after(WEFT_S(3600)), weft_after(WEFT_S(86400)) };
    weft_task **tasks = calloc(n, sizeof(*tasks));
    weft_spawn_opts opts = WEFT_SPAWN_OPTS_INIT;

    assert_non_null(tasks);
    wf_store_relaxed(&asleep, 0); // relaxed: a counter
    opts.stack_size = 16 << 10;
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(weft_spawn_with(&tasks[i], &opts, sleep_for_hours, &untils[i % 4]), 0);
    while (wf_load_relaxed(&asleep) < n) // relaxed: a counter
        assert_int_equal(weft_sleep(WEFT_MS(1)), 0);
    for (unsigned i = 0; i < n; i++)
        weft_task_cancel(tasks[i]);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(join(tasks[i]), -ECANCELED);
    free(tasks);
    return 0;
}

static void a_hundred_thousand_sleepers_are_cancelled_at_once(void **state)
{
    unsigned n = may_have(wf_test_rounds(100000));
    (void)state;
    assert_int_equal(run_tasks(cancel_sleepers, &n), 0);
}

static void sleepers_end_with_the_runtime(void **state)
{
    weft_time until = weft_after(WEFT_S(3600));
    unsigned n = may_have(wf_test_rounds(10000));
    weft_rt *rt;
    (void)state;

    assert_int_equal(weft_rt_new(&rt, NULL), 0);
    wf_test_watch(rt);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(weft_rt_spawn(rt, NULL, sleep_for_hours, &until), 0);
    wf_test_unwatch(rt);
    weft_rt_free(rt); // does not wait an hour
}

static int cancel_at_deadline(void *arg)
{
    struct wf_test_rand *rand = arg;
    unsigned cancelled = 0, over = 0;

    for (unsigned i = wf_test_rounds(2000); i > 0; i--) {
        weft_time until = weft_after(WEFT_US(wf_test_below(rand, 60)));
        weft_task *t = spawn(sleep_until_it, &until);
        while (weft_now() < until - WEFT_US(20))
            assert_int_equal(weft_yield(), 0);
        weft_task_cancel(t);
        int result = join(t);
        assert_true(result == 0 ? weft_now() >= until : result == -ECANCELED);
        cancelled += result != 0;
        over += result == 0;
    }
    assert_int_not_equal(cancelled + over, 0);
    return 0;
}

static void a_cancel_at_the_deadline_ends_the_sleep_once(void **state)
{
    struct wf_test_rand rand = wf_test_rand(2);
    (void)state;
    assert_int_equal(run_tasks(cancel_at_deadline, &rand), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(adding_to_now_saturates),
        left_test(a_sleep_never_ends_early),
        left_test(a_deadline_in_the_past_only_looks),
        left_test(a_near_deadline_is_not_held_up_by_far_ones),
        left_test(a_task_that_computes_does_not_stop_time),
        left_test(a_wake_left_over_from_another_wait_ends_no_sleep),
        left_test(a_hundred_thousand_sleepers_are_cancelled_at_once),
        left_test(sleepers_end_with_the_runtime),
        left_test(a_cancel_at_the_deadline_ends_the_sleep_once),
    };
    return wf_test_run(tests);
}
