// The host's side: threads that are not workers spawn with options, join, and open
// scopes for tasks.
#include <errno.h>
#include <pthread.h>

#include "base/atomic.h"
#include "base/mem.h"
#include "tests/support/left.h"
#include "tests/support/misuse.h"
#include "tests/support/tasks.h"
#include "tests/support/threads.h"

static int give(void *arg)
{
    return (int)(intptr_t)arg;
}

static int sleep_for_good(void *arg)
{
    (void)arg;
    return weft_sleep(WEFT_NEVER);
}

// --- spawning ------------------------------------------------------------------------

static size_t use_stack(size_t left)
{
    volatile char frame[1024];

    frame[left % sizeof(frame)] = 1;
    return left < sizeof(frame) ? 0 : frame[left % sizeof(frame)] + use_stack(left - sizeof(frame));
}

static int use_large_stack(void *arg)
{
    (void)arg;
    assert_string_equal(weft_task_name(weft_self()), "a large one");
    assert_true(use_stack((size_t)600 << 10) > 0);
    assert_int_equal(weft_yield(), 0);
    return 5;
}

static void a_thread_spawns_with_options(void **state)
{
    weft_spawn_opts o = WEFT_SPAWN_OPTS_INIT;
    weft_rt *rt = new_runtime();
    weft_task *t = NULL;
    int result = 0;
    (void)state;

    o.name = "a large one";
    o.stack_size = (size_t)2 << 20;
    o.pinned = true;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(weft_rt_spawn_with(rt, &t, &o, use_large_stack, NULL), 0);
        assert_int_equal(weft_join(t, &result), 0);
        assert_int_equal(result, 5);
    }
    assert_int_equal(weft_rt_spawn_with(rt, NULL, &o, give, NULL), 0);
    assert_int_equal(weft_rt_spawn_with(rt, &t, NULL, give, (void *)7), 0);
    assert_int_equal(weft_join(t, &result), 0);
    assert_int_equal(result, 7);
    free_runtime(rt);
}

static void options_out_of_range_are_an_error(void **state)
{
    weft_spawn_opts large = WEFT_SPAWN_OPTS_INIT, unknown = WEFT_SPAWN_OPTS_INIT;
    weft_rt *rt = new_runtime();
    weft_task *t = NULL;
    (void)state;

    large.stack_size = SIZE_MAX / 2;
    unknown.size = 1;
    assert_int_equal(weft_rt_spawn_with(rt, &t, &large, give, NULL), -EINVAL);
    assert_int_equal(weft_rt_spawn_with(rt, &t, &unknown, give, NULL), -EINVAL);
    assert_int_equal(weft_rt_stop(rt, WEFT_NEVER), 0);
    large.stack_size = 0;
    assert_int_equal(weft_rt_spawn_with(rt, &t, &large, give, NULL), -ECANCELED);
    assert_null(t);
    free_runtime(rt);
}

static void without_memory_nothing_is_spawned(void **state)
{
    (void)state;
#ifdef WF_FAULTS
    weft_spawn_opts o = WEFT_SPAWN_OPTS_INIT;
    weft_rt *rt = new_runtime();
    weft_task *t = NULL;
    int err = -ENOMEM, failures = 0;

    o.stack_size = (size_t)2 << 20; // made at once, so that its want is an error
    for (int n = 1; err; n++) {
        wf_mem_fail_at(n, false);
        err = weft_rt_spawn_with(rt, &t, &o, give, (void *)3);
        failures += err != 0;
        assert_true(err == 0 || (err == -ENOMEM && !t));
    }
    wf_mem_fail_at(0, false);
    assert_true(failures > 0);
    assert_int_equal(weft_join(t, &err), 0);
    assert_int_equal(err, 3);
    free_runtime(rt);
#else
    wf_test_skip("without fault injection");
#endif
}

static int spawn_there(void *arg)
{
    weft_spawn_opts o = WEFT_SPAWN_OPTS_INIT;
    weft_task *t;

    o.stack_size = (size_t)2 << 20;
    o.name = "a large one";
    assert_int_equal(weft_rt_spawn_with(arg, &t, &o, use_large_stack, NULL), 0);
    return join(t);
}

static void a_task_spawns_into_another_runtime(void **state)
{
    weft_rt *here = new_runtime(), *there = new_runtime();
    (void)state;

    assert_int_equal(weft_rt_block_on(here, spawn_there, there), 5);
    free_runtime(here);
    free_runtime(there);
}

// --- joining -------------------------------------------------------------------------

static void a_thread_joins_a_task(void **state)
{
    weft_rt *rt = new_runtime();
    weft_task *t, *sleeper;
    int result = 0;
    (void)state;

    assert_int_equal(weft_rt_spawn(rt, &t, give, (void *)-3), 0);
    while (!weft_task_done(t))
        sched_yield();
    assert_int_equal(weft_join(t, &result), 0); // one that has ended
    assert_int_equal(result, -3);
    assert_int_equal(weft_rt_spawn(rt, &t, sleep_for_good, NULL), 0);
    assert_int_equal(weft_rt_spawn(rt, &sleeper, sleep_for_good, NULL), 0);
    weft_task_cancel(t);
    assert_int_equal(weft_join(t, &result), 0);
    assert_int_equal(result, -ECANCELED);
    assert_int_equal(weft_rt_stop(rt, WEFT_NEVER), 0);
    assert_int_equal(weft_join(sleeper, NULL), 0); // handles outlive the stop
    free_runtime(rt);
}

struct crowd {
    struct threads threads;
    weft_rt *rt;
    unsigned rounds;
    _Atomic unsigned next; // the threads' numbers
};

static int add_one(void *arg)
{
    if (weft_yield() < 0)
        return -1;
    ++*(int *)arg;
    return 0;
}

static void *spawn_and_join(void *arg)
{
    struct crowd *c = arg;

    threads_ready(&c->threads);
    for (unsigned i = 0; i < c->rounds; i++) {
        weft_task *t;
        int n = 0; // plain: what the task did is visible to the joiner
        assert_int_equal(weft_rt_spawn(c->rt, &t, add_one, &n), 0);
        assert_int_equal(weft_join(t, NULL), 0);
        assert_int_equal(n, 1);
    }
    return NULL;
}

static void run_crowd(unsigned threads, unsigned rounds, void *(*body)(void *))
{
    struct crowd c = { .rt = new_runtime(), .rounds = wf_test_rounds(rounds) };

    threads_init(&c.threads, threads);
    for (unsigned i = 0; i < threads; i++)
        threads_add(&c.threads, body, &c);
    threads_join(&c.threads);
    free_runtime(c.rt);
}

static void many_threads_join_at_once(void **state)
{
    (void)state;
    run_crowd(4, 2000, spawn_and_join);
}

static int join_in_a_job(void *arg)
{
    int result;
    assert_int_equal(weft_join(arg, &result), 0);
    return result;
}

static int block_on_a_task(void *arg)
{
    (void)arg;
    return weft_blocking(join_in_a_job, spawn(give, (void *)9));
}

static void a_job_joins_a_task(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(block_on_a_task, NULL), 9);
}

// --- scopes --------------------------------------------------------------------------

struct tree {
    weft_scope *scope;
    _Atomic int *ended;
    int depth;
};

static int grow(void *arg)
{
    struct tree self = *(struct tree *)arg;

    free(arg);
    for (int i = 0; i < 2 && self.depth > 0; i++) {
        struct tree *below = malloc(sizeof(*below));
        assert_non_null(below);
        *below = (struct tree){ self.scope, self.ended, self.depth - 1 };
        assert_int_equal(weft_scope_spawn(self.scope, grow, below), 0);
    }
    wf_fetch_add_relaxed(self.ended, 1); // relaxed: a counter
    return weft_yield();
}

static void a_threads_scope_waits_for_all_children(void **state)
{
    weft_rt *rt = new_runtime();
    _Atomic int ended = 0; // on the thread's stack
    weft_scope s;
    (void)state;

    weft_rt_scope_open(rt, &s, WEFT_SCOPE_FAIL_FAST);
    assert_int_equal(weft_scope_close(&s), 0); // without any
    weft_rt_scope_open(rt, &s, WEFT_SCOPE_FAIL_FAST);
    for (int i = 0; i < 3; i++) {
        struct tree *t = malloc(sizeof(*t));
        assert_non_null(t);
        *t = (struct tree){ &s, &ended, 5 };
        assert_int_equal(weft_scope_spawn(&s, grow, t), 0);
    }
    assert_int_equal(weft_scope_close(&s), 0);
    assert_int_equal(wf_load_relaxed(&ended), 3 * 63); // relaxed: all have ended
    free_runtime(rt);
}

// close_with closes a scope in which one child gives `result` and others sleep.
static int close_with(weft_rt *rt, int policy, int result)
{
    weft_spawn_opts o = WEFT_SPAWN_OPTS_INIT;
    weft_task *t;
    weft_scope s;
    int slept;

    weft_rt_scope_open(rt, &s, policy);
    for (int i = 0; i < 3; i++)
        assert_int_equal(weft_scope_spawn(&s, sleep_for_good, NULL), 0);
    o.scope = &s;
    assert_int_equal(weft_rt_spawn_with(rt, &t, &o, sleep_for_good, NULL), 0);
    assert_int_equal(weft_scope_spawn(&s, give, (void *)(intptr_t)result), 0);
    int closed = weft_scope_close(&s);
    assert_true(weft_task_done(t)); // a child, too
    assert_int_equal(weft_join(t, &slept), 0);
    assert_int_equal(slept, -ECANCELED);
    return closed;
}

static void a_policy_decides_a_threads_scope(void **state)
{
    weft_rt *rt = new_runtime();
    weft_scope s;
    (void)state;

    assert_int_equal(close_with(rt, WEFT_SCOPE_FAIL_FAST, -EIO), -EIO);
    assert_int_equal(close_with(rt, WEFT_SCOPE_RACE, 7), 7);
    weft_rt_scope_open(rt, &s, WEFT_SCOPE_COLLECT);
    assert_int_equal(weft_scope_spawn(&s, give, (void *)-EIO), 0);
    assert_int_equal(weft_scope_spawn(&s, give, (void *)1), 0);
    assert_int_equal(weft_scope_close(&s), -EIO);
    weft_rt_scope_open(rt, &s, WEFT_SCOPE_RACE);
    assert_int_equal(weft_scope_spawn(&s, give, (void *)-EIO), 0);
    assert_int_equal(weft_scope_close(&s), -EIO);
    free_runtime(rt);
}

static void a_thread_cuts_its_scope_short(void **state)
{
    weft_rt *rt = new_runtime();
    weft_scope s, other;
    (void)state;

    weft_rt_scope_open(rt, &s, WEFT_SCOPE_FAIL_FAST);
    assert_int_equal(weft_scope_spawn(&s, sleep_for_good, NULL), 0);
    weft_scope_cancel(&s);
    assert_int_equal(weft_scope_spawn(&s, sleep_for_good, NULL), 0); // which fails
    assert_int_equal(weft_scope_close(&s), -ECANCELED);

    weft_rt_scope_open(rt, &s, WEFT_SCOPE_FAIL_FAST);
    weft_rt_scope_open(rt, &other, WEFT_SCOPE_FAIL_FAST);
    weft_scope_deadline(&s, weft_after(WEFT_MS(2)));
    weft_scope_deadline(&other, weft_after(WEFT_S(3600)));
    assert_int_equal(weft_scope_spawn(&s, sleep_for_good, NULL), 0);
    assert_int_equal(weft_scope_spawn(&other, give, NULL), 0);
    assert_int_equal(weft_scope_close(&s), -ETIMEDOUT); // in any order
    assert_int_equal(weft_scope_close(&other), 0);

    weft_rt_scope_open(rt, &s, WEFT_SCOPE_FAIL_FAST);
    weft_scope_deadline(&s, weft_now());
    assert_int_equal(weft_scope_spawn(&s, sleep_for_good, NULL), 0);
    assert_int_equal(weft_scope_close(&s), -ETIMEDOUT);
    free_runtime(rt);
}

static int sooner(void *arg)
{
    assert_int_equal(weft_yield(), 0);
    weft_scope_deadline(arg, weft_after(WEFT_MS(1)));
    return weft_sleep(WEFT_NEVER);
}

static int later(void *arg)
{
    weft_scope_deadline(arg, WEFT_NEVER);
    return weft_sleep(WEFT_MS(10));
}

static void a_child_moves_the_deadline_of_a_threads_scope(void **state)
{
    weft_rt *rt = new_runtime();
    weft_scope s;
    (void)state;

    weft_rt_scope_open(rt, &s, WEFT_SCOPE_FAIL_FAST);
    weft_scope_deadline(&s, weft_after(WEFT_S(3600)));
    assert_int_equal(weft_scope_spawn(&s, sooner, &s), 0);
    assert_int_equal(weft_scope_close(&s), -ETIMEDOUT);
    weft_rt_scope_open(rt, &s, WEFT_SCOPE_FAIL_FAST);
    weft_scope_deadline(&s, weft_after(WEFT_S(3600)));
    assert_int_equal(weft_scope_spawn(&s, later, &s), 0);
    assert_int_equal(weft_scope_close(&s), 0);
    free_runtime(rt);
}

static void *stop_it(void *rt)
{
    assert_int_equal(weft_rt_stop(rt, WEFT_NEVER), 0);
    return NULL;
}

static void stopping_a_runtime_ends_the_children_of_threads(void **state)
{
    weft_rt *rt = new_runtime();
    pthread_t stopper;
    weft_scope s;
    (void)state;

    weft_rt_scope_open(rt, &s, WEFT_SCOPE_FAIL_FAST);
    assert_int_equal(weft_scope_spawn(&s, sleep_for_good, NULL), 0);
    assert_int_equal(pthread_create(&stopper, NULL, stop_it, rt), 0);
    assert_int_equal(weft_scope_close(&s), -ECANCELED);
    assert_int_equal(pthread_join(stopper, NULL), 0);
    weft_rt_scope_open(rt, &s, WEFT_SCOPE_FAIL_FAST);
    weft_scope_deadline(&s, weft_after(WEFT_S(1)));
    assert_int_equal(weft_scope_spawn(&s, sleep_for_good, NULL), -ECANCELED);
    assert_int_equal(weft_scope_close(&s), 0);
    free_runtime(rt);
}

// --- many at once --------------------------------------------------------------------

struct bustle {
    weft_scope *scope;
    unsigned lot;
    int ended; // plain: written by the child, read after the close
};

// A child that moves the deadline about, as others do, while it may come.
static int bustle(void *arg)
{
    struct bustle *b = arg;
    int err = 0;

    for (unsigned i = 0; i < 3 && !err; i++) {
        unsigned lot = b->lot >> (4 * i);
        if (lot % 4 < 3)
            weft_scope_deadline(b->scope, lot % 4 == 2 ? WEFT_NEVER : weft_after(WEFT_US(lot % 64)));
        err = lot % 3 ? weft_yield() : weft_sleep(WEFT_US(lot % 32));
    }
    b->ended = 1;
    return err;
}

enum { CHILDREN = 4 };

static void *open_and_close(void *arg)
{
    struct crowd *c = arg;
    struct wf_test_rand r = wf_test_rand(wf_fetch_add_relaxed(&c->next, 1u)); // relaxed: a number

    threads_ready(&c->threads);
    for (unsigned i = 0; i < c->rounds; i++) {
        struct bustle children[CHILDREN];
        weft_scope s;
        weft_rt_scope_open(c->rt, &s, (int)wf_test_below(&r, 3));
        if (wf_test_below(&r, 2))
            weft_scope_deadline(&s, weft_after(WEFT_US(wf_test_below(&r, 64))));
        for (int k = 0; k < CHILDREN; k++) {
            children[k] = (struct bustle){ &s, wf_test_below(&r, 1 << 16), 0 };
            assert_int_equal(weft_scope_spawn(&s, bustle, &children[k]), 0);
        }
        if (wf_test_below(&r, 4) == 0)
            weft_scope_deadline(&s, weft_after(WEFT_US(wf_test_below(&r, 64))));
        int closed = weft_scope_close(&s);
        assert_true(closed == 0 || closed == -ETIMEDOUT || closed == -ECANCELED);
        for (int k = 0; k < CHILDREN; k++)
            assert_int_equal(children[k].ended, 1);
    }
    return NULL;
}

static void many_threads_open_scopes_at_once(void **state)
{
    (void)state;
    run_crowd(3, 1500, open_and_close);
}

// --- misuse --------------------------------------------------------------------------

static weft_scope never_opened;

static int closes_no_threads_scope(void *arg)
{
    (void)arg;
    return weft_scope_close(&never_opened);
}

static int spawns_into_no_threads_scope(void *arg)
{
    (void)arg;
    return weft_scope_spawn(&never_opened, give, NULL);
}

static int moves_the_deadline_of_none(void *arg)
{
    (void)arg;
    weft_scope_deadline(&never_opened, WEFT_NEVER);
    return 0;
}

static int has_no_policy(void *arg)
{
    weft_rt *rt = new_runtime();
    (void)arg;
    weft_rt_scope_open(rt, &never_opened, -1);
    return 0;
}

static int spawns_into_the_wrong_runtime(void *arg)
{
    weft_spawn_opts o = WEFT_SPAWN_OPTS_INIT;
    (void)arg;
    weft_rt_scope_open(new_runtime(), &never_opened, 0);
    o.scope = &never_opened;
    return weft_rt_spawn_with(new_runtime(), NULL, &o, give, NULL);
}

static int closes_twice(void *arg)
{
    (void)arg;
    weft_rt_scope_open(new_runtime(), &never_opened, 0);
    weft_scope_close(&never_opened);
    return weft_scope_close(&never_opened);
}

static const struct misuse by_threads[] = {
    { closes_no_threads_scope, { "weft_scope_close", "only be called by a task" } },
    { spawns_into_no_threads_scope, { "weft_scope_spawn", "that weft_rt_scope_open has opened" } },
    { moves_the_deadline_of_none, { "weft_scope_deadline", "is not open" } },
    { has_no_policy, { "weft_rt_scope_open", "no policy -1" } },
    { spawns_into_the_wrong_runtime, { "weft_rt_spawn_with", "has opened for this runtime" } },
    { closes_twice, { "weft_scope_close", "only be called by a task" } },
};

static int opens_as_a_thread(void *arg)
{
    (void)arg;
    weft_rt_scope_open(weft_rt_current(), &never_opened, 0);
    return 0;
}

static void *open_one(void *rt)
{
    weft_rt_scope_open(rt, &never_opened, 0);
    return NULL;
}

static int closes_a_threads_scope(void *arg)
{
    pthread_t t;
    (void)arg;
    assert_int_equal(pthread_create(&t, NULL, open_one, weft_rt_current()), 0);
    assert_int_equal(pthread_join(t, NULL), 0);
    return weft_scope_close(&never_opened);
}

static const struct misuse by_tasks[] = {
    { opens_as_a_thread, { "weft_rt_scope_open", "by weft_scope_open" } },
    { closes_a_threads_scope, { "weft_scope_close", "a thread's scope" } },
    { moves_the_deadline_of_none, { "weft_scope_deadline", "is not open" } },
};

static void misuse_stops_with_the_rule(void **state)
{
    (void)state;
    misuse_try(by_threads, wf_countof(by_threads), false);
    misuse_try(by_tasks, wf_countof(by_tasks), true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(a_thread_spawns_with_options),
        left_test(options_out_of_range_are_an_error),
        left_test(without_memory_nothing_is_spawned),
        left_test(a_task_spawns_into_another_runtime),
        left_test(a_thread_joins_a_task),
        left_test(many_threads_join_at_once),
        left_test(a_job_joins_a_task),
        left_test(a_threads_scope_waits_for_all_children),
        left_test(a_policy_decides_a_threads_scope),
        left_test(a_thread_cuts_its_scope_short),
        left_test(a_child_moves_the_deadline_of_a_threads_scope),
        left_test(stopping_a_runtime_ends_the_children_of_threads),
        left_test(many_threads_open_scopes_at_once),
        left_test(misuse_stops_with_the_rule),
    };
    return wf_test_run(tests);
}
