// Scopes, deadlines, shields: the rules of Trio's nurseries and cancel scopes, in
// weft's terms.
#include <errno.h>

#include "tests/support/left.h"
#include "tests/support/tasks.h"

#include "base/atomic.h"

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int sleep_for_ever(void *arg)
{
    (void)arg;
    return weft_sleep(WEFT_NEVER);
}

static int give(void *arg)
{
    return *(int *)arg;
}

static void in_task(weft_fn *fn, void *arg)
{
    assert_int_equal(run_tasks(fn, arg), 0);
}

// A test whose body is a task.
// clang-format off
#define TEST(name) \
    static int name##_body(void *arg); \
    static void name(void **state) \
    { \
        (void)state; \
        in_task(name##_body, NULL); \
    } \
    static int name##_body(void *arg)
// clang-format on

// --- children ------------------------------------------------------------------------

TEST(an_empty_scope_closes_with_0)
{
    (void)arg;
    for (int policy = WEFT_SCOPE_FAIL_FAST; policy <= WEFT_SCOPE_RACE; policy++) {
        weft_scope s;
        weft_scope_open(&s, policy);
        assert_int_equal(weft_scope_close(&s), 0);
    }
    return 0;
}

static int add_later(void *arg)
{
    int err = weft_sleep(WEFT_US(100));
    wf_fetch_add_acq_rel((_Atomic int *)arg, 1);
    return err;
}

TEST(close_waits_for_all_children)
{
    _Atomic int count;
    weft_scope s;
    (void)arg;

    wf_store_release(&count, 0);
    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    for (int i = 0; i < 100; i++)
        assert_int_equal(weft_scope_spawn(&s, add_later, &count), 0);
    assert_int_equal(weft_scope_close(&s), 0);
    assert_int_equal(wf_load_acquire(&count), 100);
    return 0;
}

TEST(the_first_failure_cancels_the_rest)
{
    int result = -EIO;
    weft_scope s;
    (void)arg;

    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    for (int i = 0; i < 10; i++)
        assert_int_equal(weft_scope_spawn(&s, sleep_for_ever, NULL), 0);
    assert_int_equal(weft_scope_spawn(&s, give, &result), 0);
    assert_int_equal(weft_sleep(WEFT_NEVER), -ECANCELED); // the opener is inside, too
    assert_true(weft_cancelled());
    assert_int_equal(weft_scope_close(&s), -EIO);
    assert_false(weft_cancelled());
    assert_int_equal(weft_yield(), 0);
    return 0;
}

TEST(collect_lets_the_others_finish)
{
    int result = -EIO, other = 7;
    _Atomic int count;
    weft_scope s;
    (void)arg;

    wf_store_release(&count, 0);
    weft_scope_open(&s, WEFT_SCOPE_COLLECT);
    assert_int_equal(weft_scope_spawn(&s, give, &result), 0);
    assert_int_equal(weft_scope_spawn(&s, give, &other), 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(weft_scope_spawn(&s, add_later, &count), 0);
    assert_int_equal(weft_scope_close(&s), -EIO);
    assert_int_equal(wf_load_acquire(&count), 10);
    return 0;
}

TEST(the_first_success_wins_a_race)
{
    int failure = -EIO, success = 42;
    weft_scope s;
    (void)arg;

    weft_scope_open(&s, WEFT_SCOPE_RACE);
    assert_int_equal(weft_scope_spawn(&s, sleep_for_ever, NULL), 0);
    assert_int_equal(weft_scope_spawn(&s, give, &failure), 0);
    assert_int_equal(weft_scope_spawn(&s, sleep_for_ever, NULL), 0);
    assert_int_equal(weft_scope_spawn(&s, give, &success), 0);
    assert_int_equal(weft_scope_close(&s), 42);
    return 0;
}

TEST(a_race_that_all_lose_gives_the_first_error)
{
    int failure = -EIO;
    weft_scope s;
    (void)arg;

    weft_scope_open(&s, WEFT_SCOPE_RACE);
    for (int i = 0; i < 3; i++)
        assert_int_equal(weft_scope_spawn(&s, give, &failure), 0);
    assert_int_equal(weft_scope_close(&s), -EIO);
    return 0;
}

static int spawn_a_sibling(void *arg)
{
    return weft_scope_spawn(arg, sleep_for_ever, NULL);
}

TEST(a_child_may_spawn_siblings_while_the_scope_closes)
{
    weft_scope s;
    (void)arg;

    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    weft_scope_deadline(&s, weft_after(WEFT_MS(20)));
    for (int i = 0; i < 10; i++)
        assert_int_equal(weft_scope_spawn(&s, spawn_a_sibling, &s), 0);
    assert_int_equal(weft_scope_close(&s), -ETIMEDOUT);
    return 0;
}

TEST(a_child_with_a_handle_is_joined_as_any)
{
    weft_spawn_opts opts = WEFT_SPAWN_OPTS_INIT;
    weft_task *t, *gone;
    int result = 5;
    weft_scope s;
    (void)arg;

    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    opts.scope = &s;
    opts.name = "child";
    assert_int_equal(weft_spawn_with(&t, &opts, give, &result), 0);
    assert_int_equal(weft_spawn_with(&gone, &opts, give, &result), 0);
    assert_int_equal(weft_spawn_with(NULL, &opts, give, &result), 0);
    assert_string_equal(weft_task_name(t), "child");
    weft_detach(gone);
    assert_int_equal(weft_scope_close(&s), 0);
    assert_int_equal(join(t), 5);
    return 0;
}

static int spawn_crowd(void *arg)
{
    unsigned n = *(unsigned *)arg;
    weft_scope s;

    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(weft_scope_spawn(&s, nothing, NULL), 0);
    return weft_scope_close(&s);
}

static void a_hundred_thousand_children_run(void **state)
{
    unsigned n = wf_test_rounds(100000);
    (void)state;
    in_task(spawn_crowd, &n);
}

static int cancel_crowd(void *arg)
{
    unsigned n = *(unsigned *)arg;
    weft_scope s;

    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(weft_scope_spawn(&s, sleep_for_ever, NULL), 0);
    assert_int_equal(weft_sleep(WEFT_MS(5)), 0); // some have begun, some perhaps not
    weft_scope_cancel(&s);
    weft_scope_cancel(&s);
    assert_int_equal(weft_scope_close(&s), -ECANCELED);
    return 0;
}

static void a_cancel_reaches_a_crowd(void **state)
{
    unsigned n = wf_test_rounds(5000);
    (void)state;
    in_task(cancel_crowd, &n);
}

// --- cancelling ----------------------------------------------------------------------

TEST(a_cancel_is_level_triggered_and_ends_with_the_scope)
{
    weft_future f = WEFT_FUTURE_INIT, done = WEFT_FUTURE_INIT;
    weft_scope s;
    (void)arg;

    weft_future_complete(&done, 1);
    weft_scope_open(&s, WEFT_SCOPE_COLLECT);
    weft_scope_cancel(&s);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(weft_await(&f, NULL), -ECANCELED);
        assert_int_equal(weft_await(&done, NULL), -ECANCELED); // at once, though it would not park
        assert_int_equal(weft_sleep(0), -ECANCELED);
        assert_int_equal(weft_yield(), -ECANCELED);
    }
    assert_int_equal(weft_scope_close(&s), -ECANCELED);
    assert_int_equal(weft_await(&done, NULL), 0);
    return 0;
}

static int expect_cancelled(void *arg)
{
    (void)arg;
    assert_true(weft_cancelled());
    assert_int_equal(weft_yield(), -ECANCELED);
    return -ENOENT;
}

TEST(a_child_that_begins_after_the_cancel_runs_and_is_cancelled)
{
    weft_scope s;
    (void)arg;

    weft_scope_open(&s, WEFT_SCOPE_COLLECT);
    weft_scope_cancel(&s);
    assert_int_equal(weft_scope_spawn(&s, expect_cancelled, NULL), 0);
    assert_int_equal(weft_scope_close(&s), -ECANCELED);
    return 0;
}

struct nest {
    unsigned depth, width;
    _Atomic unsigned ended, begun;
};

struct nest_at {
    struct nest *nest;
    unsigned depth;
};

static int nested(void *arg)
{
    struct nest_at *at = arg, below = { at->nest, at->depth + 1 };
    weft_scope s;
    int err;

    wf_fetch_add_acq_rel(&at->nest->begun, 1u);
    if (at->depth == at->nest->depth) {
        err = weft_sleep(WEFT_NEVER);
    } else {
        weft_scope_open(&s, WEFT_SCOPE_COLLECT);
        for (unsigned i = 0; i < at->nest->width; i++)
            assert_int_equal(weft_scope_spawn(&s, nested, &below), 0);
        err = weft_scope_close(&s);
    }
    wf_fetch_add_acq_rel(&at->nest->ended, 1u);
    return err;
}

static unsigned tree(unsigned depth, unsigned width)
{
    return depth == 0 ? 1 : 1 + width * tree(depth - 1, width);
}

static int cancel_a_tree(void *arg)
{
    struct nest nest = { .depth = 4, .width = 4 };
    struct nest_at top = { &nest, 0 };
    bool by_task = *(bool *)arg;
    weft_task *t;
    weft_scope s;

    weft_scope_open(&s, WEFT_SCOPE_COLLECT);
    weft_spawn_opts opts = WEFT_SPAWN_OPTS_INIT;
    opts.scope = &s;
    assert_int_equal(weft_spawn_with(&t, &opts, nested, &top), 0);
    while (wf_load_acquire(&nest.begun) < tree(4, 4))
        assert_int_equal(weft_sleep(WEFT_US(100)), 0);
    if (by_task)
        weft_task_cancel(t);
    else
        weft_scope_cancel(&s);
    assert_int_equal(weft_scope_close(&s), -ECANCELED);
    assert_int_equal(wf_load_acquire(&nest.ended), tree(4, 4));
    assert_int_equal(join(t), -ECANCELED);
    return 0;
}

static void a_cancel_goes_down_the_whole_tree(void **state)
{
    (void)state;
    for (int by_task = 0; by_task < 2; by_task++)
        in_task(cancel_a_tree, &(bool){ by_task });
}

TEST(an_inner_cancel_leaves_the_outside_alone)
{
    weft_scope outer, inner;
    (void)arg;

    weft_scope_open(&outer, WEFT_SCOPE_FAIL_FAST);
    assert_int_equal(weft_scope_spawn(&outer, nothing, NULL), 0);
    weft_scope_open(&inner, WEFT_SCOPE_FAIL_FAST);
    weft_scope_cancel(&inner);
    assert_int_equal(weft_sleep(0), -ECANCELED);
    assert_int_equal(weft_scope_close(&inner), -ECANCELED);
    assert_int_equal(weft_sleep(0), 0);
    assert_int_equal(weft_scope_close(&outer), 0);
    return 0;
}

TEST(an_outer_cancel_outlasts_the_inner_scope)
{
    weft_scope outer, inner;
    (void)arg;

    weft_scope_open(&outer, WEFT_SCOPE_FAIL_FAST);
    weft_scope_open(&inner, WEFT_SCOPE_FAIL_FAST);
    weft_scope_cancel(&outer);
    assert_int_equal(weft_sleep(0), -ECANCELED);
    assert_int_equal(weft_scope_close(&inner), -ECANCELED);
    assert_int_equal(weft_sleep(0), -ECANCELED);
    assert_int_equal(weft_scope_close(&outer), -ECANCELED);
    assert_int_equal(weft_sleep(0), 0);
    return 0;
}

static int cancel_scope(void *arg)
{
    weft_scope_cancel(arg);
    return 0;
}

TEST(any_task_may_cancel)
{
    weft_scope s;
    (void)arg;

    for (unsigned i = wf_test_rounds(200); i > 0; i--) {
        weft_scope_open(&s, WEFT_SCOPE_COLLECT);
        weft_task *t = spawn(cancel_scope, &s);
        assert_int_equal(weft_scope_spawn(&s, sleep_for_ever, NULL), 0);
        assert_int_equal(weft_sleep(WEFT_NEVER), -ECANCELED);
        assert_int_equal(weft_scope_close(&s), -ECANCELED);
        assert_int_equal(join(t), 0);
    }
    return 0;
}

static int open_when_cancelled(void *arg)
{
    weft_scope s;
    (void)arg;

    assert_int_equal(weft_sleep(WEFT_NEVER), -ECANCELED);
    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    assert_int_equal(weft_scope_spawn(&s, expect_cancelled, NULL), 0);
    assert_int_equal(weft_scope_close(&s), -ENOENT); // the child said so first
    assert_int_equal(weft_sleep(0), -ECANCELED);
    return 3;
}

TEST(a_cancelled_task_may_open_scopes)
{
    weft_task *t = spawn(open_when_cancelled, NULL);
    (void)arg;

    wait_parked(t, "sleep");
    weft_task_cancel(t);
    assert_int_equal(join(t), 3);
    return 0;
}

// --- deadlines -----------------------------------------------------------------------

TEST(a_deadline_times_out_every_call)
{
    weft_future f = WEFT_FUTURE_INIT;
    weft_scope s;
    (void)arg;

    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    weft_scope_deadline(&s, weft_after(WEFT_MS(2)));
    assert_int_equal(weft_scope_spawn(&s, sleep_for_ever, NULL), 0);
    assert_int_equal(weft_await(&f, NULL), -ETIMEDOUT);
    assert_int_equal(weft_await(&f, NULL), -ETIMEDOUT);
    assert_int_equal(weft_scope_close(&s), -ETIMEDOUT);
    assert_int_equal(weft_yield(), 0);
    return 0;
}

TEST(a_deadline_in_the_past_polls_nothing)
{
    weft_scope s;
    (void)arg;

    weft_scope_open(&s, WEFT_SCOPE_COLLECT);
    weft_scope_deadline(&s, 0);
    assert_int_equal(weft_yield(), -ETIMEDOUT);
    assert_int_equal(weft_scope_close(&s), -ETIMEDOUT);
    return 0;
}

// Once it has been moved, a deadline does not strike: not even if its timer has fired at
// the same time, on another thread. There, other timers that fire with it give the
// mover time to come in between.
struct crossing {
    weft_scope scope;
    weft_time due;
    weft_time when; // the move
    int movers;     // 1 or 2: two move against each other, one has a worker beside it that sees to the timers
    _Atomic unsigned asleep;
};

enum { ALSO_DUE = 60 };

static int sleep_until_due(void *arg)
{
    struct crossing *c = arg;

    wf_fetch_add_relaxed(&c->asleep, 1u); // relaxed: a hint
    return weft_sleep_until(c->due);
}

static int move_away(void *arg)
{
    struct crossing *c = arg;

    while (weft_now() < c->when && !weft_cancelled())
        ;
    weft_scope_deadline(&c->scope, weft_after(WEFT_S(3600)));
    bool cut = weft_cancelled();
    assert_int_equal(weft_sleep(WEFT_US(30)), cut ? -ETIMEDOUT : 0);
    return cut;
}

static int cross(struct crossing *c, int movers, weft_time later)
{
    weft_scope around;

    *c = (struct crossing){ .due = weft_after(WEFT_MS(1)), .movers = movers };
    c->when = c->due + later;
    weft_scope_open(&around, WEFT_SCOPE_FAIL_FAST);
    for (unsigned i = 0; i < ALSO_DUE; i++)
        assert_int_equal(weft_scope_spawn(&around, sleep_until_due, c), 0);
    while (wf_load_relaxed(&c->asleep) < ALSO_DUE) // relaxed: a hint
        weft_yield();
    weft_scope_open(&c->scope, WEFT_SCOPE_COLLECT);
    weft_scope_deadline(&c->scope, c->due);
    for (int k = 0; k < c->movers; k++)
        assert_int_equal(weft_scope_spawn(&c->scope, move_away, c), 0);
    int result = weft_scope_close(&c->scope);
    assert_true(result == 0 || result == -ETIMEDOUT);
    assert_int_equal(weft_scope_close(&around), 0);
    return result;
}

TEST(a_deadline_that_was_moved_does_not_strike)
{
    struct wf_test_rand r = wf_test_rand(7);
    unsigned cut = 0, rounds = wf_test_rounds(500);
    static struct crossing c;
    (void)arg;

    for (unsigned i = 0; i < rounds; i++)
        cut += cross(&c, i % 8 ? 1 : 2, WEFT_US((int)wf_test_below(&r, 60) - 10)) == -ETIMEDOUT;
    print_message("%u of %u struck\n", cut, rounds);
    return 0;
}

TEST(a_deadline_that_does_not_come_does_nothing)
{
    weft_scope s;
    (void)arg;

    for (unsigned i = wf_test_rounds(1000); i > 0; i--) {
        weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
        weft_scope_deadline(&s, weft_after(WEFT_S(3600)));
        weft_scope_deadline(&s, weft_after(WEFT_S(60)));
        if (i % 2)
            weft_scope_deadline(&s, WEFT_NEVER);
        assert_int_equal(weft_scope_close(&s), 0);
    }
    return 0;
}

TEST(deadlines_race_with_close)
{
    weft_scope s;
    (void)arg;

    for (unsigned i = 0; i < wf_test_rounds(2000); i++) {
        weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
        weft_scope_deadline(&s, weft_after(WEFT_US(i % 100)));
        int err = weft_sleep(WEFT_US(i % 70));
        assert_true(err == 0 || err == -ETIMEDOUT);
        int closed = weft_scope_close(&s);
        assert_true(closed == -ETIMEDOUT || (err == 0 && closed == 0));
        memset(&s, 0xa5, sizeof(s)); // a late access to it crashes, or leaves a trace
        assert_int_equal(weft_sleep(WEFT_US(i % 3 * 20)), 0);
        for (size_t at = 0; at < sizeof(s); at++)
            assert_int_equal(((unsigned char *)&s)[at], 0xa5);
    }
    return 0;
}

TEST(the_nearest_deadline_wins)
{
    weft_scope outer, inner;
    (void)arg;

    weft_scope_open(&outer, WEFT_SCOPE_FAIL_FAST);
    weft_scope_deadline(&outer, weft_after(WEFT_MS(2)));
    weft_scope_open(&inner, WEFT_SCOPE_FAIL_FAST);
    weft_scope_deadline(&inner, weft_after(WEFT_S(3600)));
    assert_int_equal(weft_scope_spawn(&inner, sleep_for_ever, NULL), 0);
    assert_int_equal(weft_sleep(WEFT_NEVER), -ETIMEDOUT);
    assert_int_equal(weft_scope_close(&inner), -ETIMEDOUT);
    assert_int_equal(weft_scope_close(&outer), -ETIMEDOUT);

    weft_scope_open(&outer, WEFT_SCOPE_FAIL_FAST);
    weft_scope_deadline(&outer, weft_after(WEFT_S(3600)));
    weft_scope_open(&inner, WEFT_SCOPE_FAIL_FAST);
    weft_scope_deadline(&inner, weft_after(WEFT_MS(2)));
    assert_int_equal(weft_sleep(WEFT_NEVER), -ETIMEDOUT);
    assert_int_equal(weft_scope_close(&inner), -ETIMEDOUT);
    assert_int_equal(weft_sleep(0), 0);
    assert_int_equal(weft_scope_close(&outer), 0);
    return 0;
}

TEST(the_innermost_says_which_error_it_is)
{
    weft_scope outer, inner;
    (void)arg;

    weft_scope_open(&outer, WEFT_SCOPE_COLLECT);
    weft_scope_open(&inner, WEFT_SCOPE_COLLECT);
    weft_scope_cancel(&outer);
    weft_scope_deadline(&inner, 0);
    assert_int_equal(weft_sleep(0), -ETIMEDOUT);
    assert_int_equal(weft_scope_close(&inner), -ETIMEDOUT);
    assert_int_equal(weft_sleep(0), -ECANCELED);
    assert_int_equal(weft_scope_close(&outer), -ECANCELED);
    return 0;
}

// --- shields -------------------------------------------------------------------------

TEST(a_shield_hides_the_cancel_until_it_ends)
{
    weft_scope s;
    (void)arg;

    weft_scope_open(&s, WEFT_SCOPE_COLLECT);
    weft_shield_begin(WEFT_NEVER);
    weft_scope_cancel(&s);
    assert_false(weft_cancelled());
    assert_int_equal(weft_sleep(WEFT_US(200)), 0);
    weft_shield_begin(WEFT_S(1));
    assert_int_equal(weft_yield(), 0);
    weft_shield_end();
    assert_int_equal(weft_yield(), 0);
    weft_shield_end();
    assert_int_equal(weft_yield(), -ECANCELED);
    assert_int_equal(weft_scope_close(&s), -ECANCELED);
    return 0;
}

TEST(a_cancel_gets_through_when_the_grace_ends)
{
    weft_scope s;
    (void)arg;

    weft_scope_open(&s, WEFT_SCOPE_COLLECT);
    weft_scope_cancel(&s);
    weft_shield_begin(WEFT_MS(2));
    assert_int_equal(weft_sleep(WEFT_NEVER), -ECANCELED);
    weft_shield_end();
    assert_int_equal(weft_scope_close(&s), -ECANCELED);
    return 0;
}

// A grace that ends between the last look and the park was once not noticed: then this
// sleeps indefinitely.
TEST(no_grace_ends_between_a_look_and_a_park)
{
    weft_scope s;
    (void)arg;

    weft_scope_open(&s, WEFT_SCOPE_COLLECT);
    weft_scope_cancel(&s);
    for (int i = 0; i < 4000; i++) {
        weft_shield_begin(20 + i);
        assert_int_equal(weft_sleep(WEFT_NEVER), -ECANCELED);
        weft_shield_end();
    }
    assert_int_equal(weft_scope_close(&s), -ECANCELED);
    return 0;
}

TEST(who_is_not_cancelled_does_not_notice_the_end_of_a_grace)
{
    (void)arg;
    weft_shield_begin(0);
    assert_int_equal(weft_sleep(WEFT_MS(1)), 0);
    weft_shield_end();
    return 0;
}

static int wait_in_a_shield(void *arg)
{
    weft_scope s;
    int err;

    weft_shield_begin(*(weft_time *)arg);
    weft_scope_open(&s, WEFT_SCOPE_COLLECT);
    assert_int_equal(weft_scope_spawn(&s, sleep_for_ever, NULL), 0); // behind the shield as well
    err = weft_scope_close(&s);
    weft_shield_end();
    assert_int_equal(weft_sleep(0), -ECANCELED);
    return err;
}

TEST(children_are_behind_the_shield_until_its_grace_ends)
{
    weft_time grace = WEFT_MS(10);
    weft_task *t = spawn(wait_in_a_shield, &grace);
    (void)arg;

    wait_parked(t, "scope");
    weft_task_cancel(t);
    assert_int_equal(join(t), -ECANCELED); // and it does end
    return 0;
}

TEST(a_scope_behind_a_shield_can_be_cut_short)
{
    weft_scope s;
    (void)arg;

    weft_shield_begin(WEFT_NEVER);
    weft_scope_open(&s, WEFT_SCOPE_COLLECT);
    weft_scope_deadline(&s, weft_after(WEFT_MS(1)));
    assert_int_equal(weft_scope_spawn(&s, sleep_for_ever, NULL), 0);
    assert_int_equal(weft_sleep(WEFT_NEVER), -ETIMEDOUT);
    assert_int_equal(weft_scope_close(&s), -ETIMEDOUT);
    weft_shield_end();
    return 0;
}

static int clean_up(void *arg)
{
    weft_future *f = arg;
    intptr_t value = 0;

    assert_int_equal(weft_await(f, NULL), -ECANCELED);
    weft_shield_begin(WEFT_S(3600));
    assert_int_equal(weft_await(f, &value), 0);
    weft_shield_end();
    return (int)value;
}

TEST(a_wait_in_a_shield_outlives_a_cancel)
{
    weft_future f = WEFT_FUTURE_INIT;
    weft_task *t = spawn(clean_up, &f);
    (void)arg;

    wait_parked(t, "future");
    weft_task_cancel(t);
    weft_task_cancel(t);
    assert_int_equal(weft_sleep(WEFT_MS(2)), 0);
    weft_future_complete(&f, 9);
    assert_int_equal(join(t), 9);
    return 0;
}

// --- all at once ---------------------------------------------------------------------

struct storm {
    struct wf_test_rand rand;
    unsigned depth;
    _Atomic unsigned *alive;
};

static int storm(void *arg)
{
    struct storm *self = arg, below[4];
    unsigned children = self->depth == 0 ? 0 : wf_test_below(&self->rand, 5);
    weft_scope s;
    int err = 0;

    wf_fetch_add_acq_rel(self->alive, 1u);
    weft_scope_open(&s, (int)wf_test_below(&self->rand, 3));
    if (wf_test_below(&self->rand, 3) == 0)
        weft_scope_deadline(&s, weft_after(WEFT_US(wf_test_below(&self->rand, 300))));
    for (unsigned i = 0; i < children; i++) {
        uint64_t seed = (uint64_t)wf_test_below(&self->rand, UINT32_MAX) << 20 | i;
        below[i] = (struct storm){ wf_test_rand(seed), self->depth - 1, self->alive };
        assert_int_equal(weft_scope_spawn(&s, storm, &below[i]), 0);
    }
    bool shield = wf_test_below(&self->rand, 4) == 0;
    if (shield)
        weft_shield_begin(WEFT_US(wf_test_below(&self->rand, 200)));
    err = wf_test_below(&self->rand, 2) ? weft_sleep(WEFT_US(wf_test_below(&self->rand, 300))) : weft_yield();
    if (shield)
        weft_shield_end();
    if (wf_test_below(&self->rand, 4) == 0)
        weft_scope_cancel(&s);
    int closed = weft_scope_close(&s);
    wf_fetch_sub_acq_rel(self->alive, 1u);
    return wf_test_below(&self->rand, 3) == 0 ? -EIO : err < 0 ? err : closed;
}

static int storms(void *arg)
{
    _Atomic unsigned alive;
    (void)arg;

    wf_store_release(&alive, 0u);
    for (unsigned i = 0; i < wf_test_rounds(60); i++) {
        struct storm top = { wf_test_rand(i), 5, &alive };
        weft_task *t = spawn(storm, &top);
        if (i % 3 == 0) {
            assert_int_equal(weft_sleep(WEFT_US(i * 5)), 0);
            weft_task_cancel(t);
        }
        join(t);
        assert_int_equal(wf_load_acquire(&alive), 0); // no child outlives its scope
    }
    return 0;
}

static void nobody_outlives_a_scope_in_a_storm(void **state)
{
    (void)state;
    in_task(storms, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(an_empty_scope_closes_with_0),
        left_test(close_waits_for_all_children),
        left_test(the_first_failure_cancels_the_rest),
        left_test(collect_lets_the_others_finish),
        left_test(the_first_success_wins_a_race),
        left_test(a_race_that_all_lose_gives_the_first_error),
        left_test(a_child_may_spawn_siblings_while_the_scope_closes),
        left_test(a_child_with_a_handle_is_joined_as_any),
        left_test(a_hundred_thousand_children_run),
        left_test(a_cancel_reaches_a_crowd),
        left_test(a_cancel_is_level_triggered_and_ends_with_the_scope),
        left_test(a_child_that_begins_after_the_cancel_runs_and_is_cancelled),
        left_test(a_cancel_goes_down_the_whole_tree),
        left_test(an_inner_cancel_leaves_the_outside_alone),
        left_test(an_outer_cancel_outlasts_the_inner_scope),
        left_test(any_task_may_cancel),
        left_test(a_cancelled_task_may_open_scopes),
        left_test(a_deadline_times_out_every_call),
        left_test(a_deadline_in_the_past_polls_nothing),
        left_test(a_deadline_that_was_moved_does_not_strike),
        left_test(a_deadline_that_does_not_come_does_nothing),
        left_test(deadlines_race_with_close),
        left_test(the_nearest_deadline_wins),
        left_test(the_innermost_says_which_error_it_is),
        left_test(a_shield_hides_the_cancel_until_it_ends),
        left_test(a_cancel_gets_through_when_the_grace_ends),
        left_test(no_grace_ends_between_a_look_and_a_park),
        left_test(who_is_not_cancelled_does_not_notice_the_end_of_a_grace),
        left_test(children_are_behind_the_shield_until_its_grace_ends),
        left_test(a_scope_behind_a_shield_can_be_cut_short),
        left_test(a_wait_in_a_shield_outlives_a_cancel),
        left_test(nobody_outlives_a_scope_in_a_storm),
    };
    return wf_test_run(tests);
}
