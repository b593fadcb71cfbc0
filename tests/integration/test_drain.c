// The drain: it waits for each enter that has succeeded, and no enter succeeds once the
// draining has begun; by tasks in many orders, and by threads at once.
#include <errno.h>
#include <pthread.h>

#include "base/atomic.h"
#include "tests/support/left.h"
#include "tests/support/misuse.h"
#include "tests/support/seeds.h"
#include "tests/support/threads.h"

enum { SEEDS = 500 };

static void run_both(weft_fn *fn)
{
    assert_int_equal(run_tasks(fn, NULL), 0);
    run_seeds(SEEDS, fn, NULL);
}

static int without_any(void *arg)
{
    weft_drain d = WEFT_DRAIN_INIT;
    (void)arg;

    assert_false(weft_draining(&d));
    assert_int_equal(weft_drain_enter(&d), 0);
    weft_drain_leave(&d);
    assert_int_equal(weft_drain_begin(&d, weft_now()), 0);
    assert_true(weft_draining(&d));
    assert_int_equal(weft_drain_enter(&d), -ESHUTDOWN);
    assert_int_equal(weft_drain_begin(&d, WEFT_NEVER), 0); // again
    assert_int_equal(weft_drain_enter(&d), -ESHUTDOWN);
    weft_drain_init(&d);
    assert_false(weft_draining(&d));
    assert_int_equal(weft_drain_enter(&d), 0);
    weft_drain_leave(&d);
    return 0;
}

static void without_anyone_inside_it_ends_at_once(void **state)
{
    (void)state;
    run_both(without_any);
}

static int late(void *arg)
{
    weft_drain d = WEFT_DRAIN_INIT;
    (void)arg;

    assert_int_equal(weft_drain_enter(&d), 0);
    assert_int_equal(weft_drain_enter(&d), 0);
    assert_int_equal(weft_drain_begin(&d, weft_now()), -ETIMEDOUT); // looks once
    assert_int_equal(weft_drain_enter(&d), -ESHUTDOWN);
    assert_int_equal(weft_drain_begin(&d, weft_after(WEFT_MS(1))), -ETIMEDOUT);
    weft_drain_leave(&d);
    assert_int_equal(weft_drain_begin(&d, weft_after(WEFT_MS(1))), -ETIMEDOUT);
    weft_drain_leave(&d);
    assert_int_equal(weft_drain_begin(&d, weft_now()), 0);
    return 0;
}

static void a_deadline_ends_the_wait_and_not_the_draining(void **state)
{
    (void)state;
    run_both(late);
}

// --- cancelling ----------------------------------------------------------------------

static int begin_for_good(void *d)
{
    return weft_drain_begin(d, WEFT_NEVER);
}

static int cancelled_before(void *d)
{
    weft_task_cancel(weft_self());
    assert_int_equal(weft_drain_begin(d, WEFT_NEVER), -ECANCELED);
    assert_false(weft_draining(d));
    weft_shield_begin(WEFT_NEVER);
    assert_int_equal(weft_drain_begin(d, weft_now()), -ETIMEDOUT);
    weft_shield_end();
    return 0;
}

static int cancel_them(void *arg)
{
    weft_drain d = WEFT_DRAIN_INIT;
    (void)arg;

    assert_int_equal(weft_drain_enter(&d), 0);
    assert_int_equal(join(spawn(cancelled_before, &d)), 0);
    assert_true(weft_draining(&d));
    weft_task *t = spawn(begin_for_good, &d);
    weft_task_cancel(t);
    assert_int_equal(join(t), -ECANCELED);
    t = spawn(begin_for_good, &d);
    weft_drain_leave(&d);
    assert_int_equal(join(t), 0);
    return 0;
}

static void a_cancel_before_has_no_effect_and_one_after_ends_the_wait(void **state)
{
    (void)state;
    run_both(cancel_them);
}

// --- a server ------------------------------------------------------------------------

enum { WORKERS = 6, REQUESTS = 20 };

struct server {
    weft_drain drain;
    int served[WORKERS];  // plain: seen by the one that drains
    int inside;           // of one thread's tasks (by seeds)
    bool gone;            // the draining has ended
    bool refused;         // an enter has failed
    weft_time longest;    // of the requests that have entered: when it ends
    weft_time began, end; // of the draining
};

struct worker {
    struct server *s;
    int number;
};

static int serve(void *arg)
{
    struct worker w = *(struct worker *)arg;

    for (int i = 0; i < REQUESTS; i++) {
        if (weft_drain_enter(&w.s->drain) < 0) {
            w.s->refused = true;
            assert_true(weft_draining(&w.s->drain));
            assert_int_equal(weft_drain_enter(&w.s->drain), -ESHUTDOWN);
            return i;
        }
        assert_false(w.s->refused || w.s->gone);
        weft_time ends = weft_after(WEFT_S(weft_test_below(3)));
        if (ends > w.s->longest)
            w.s->longest = ends;
        assert_int_equal(weft_sleep_until(ends), 0);
        w.s->served[w.number]++;
        weft_drain_leave(&w.s->drain);
        assert_int_equal(weft_sleep(WEFT_S(weft_test_below(2))), 0);
    }
    return REQUESTS;
}

static int drain_by(void *arg)
{
    struct server *s = arg;
    weft_time deadline = weft_test_below(2) ? WEFT_NEVER : weft_after(WEFT_S(weft_test_below(4)) + WEFT_MS(1));

    if (s->began == 0)
        s->began = weft_now();
    int err = weft_drain_begin(&s->drain, deadline);
    assert_true(weft_draining(&s->drain));
    weft_time now = weft_now(), until = s->longest > s->began ? s->longest : s->began;
    if (err == -ETIMEDOUT) {
        assert_int_equal(now, deadline);
        assert_true(until > deadline);
    } else {
        assert_int_equal(err, 0);
        assert_int_equal(now, until > now ? until : now);
        s->gone = true;
    }
    return 0;
}

static int serve_and_drain(void *arg)
{
    struct server s = { .drain = WEFT_DRAIN_INIT };
    struct worker w[WORKERS];
    weft_task *workers[WORKERS], *drainers[3];
    (void)arg;

    for (int i = 0; i < WORKERS; i++) {
        w[i] = (struct worker){ &s, i };
        workers[i] = spawn(serve, &w[i]);
    }
    assert_int_equal(weft_sleep(WEFT_S(weft_test_below(20))), 0);
    for (int i = 0; i < 3; i++)
        drainers[i] = spawn(drain_by, &s);
    for (int i = 0; i < 3; i++)
        assert_int_equal(join(drainers[i]), 0);
    assert_int_equal(weft_drain_begin(&s.drain, WEFT_NEVER), 0);
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(join(workers[i]), s.served[i]); // what had entered was served
    return 0;
}

static void what_has_entered_is_served_in_any_order(void **state)
{
    (void)state;
    run_seeds(1000, serve_and_drain, NULL);
}

// --- threads and workers at once -----------------------------------------------------

// A drain that many enter while it begins; what they did is plain memory.
struct rush {
    struct threads threads;
    weft_rt *rt;
    weft_drain *drain;
    _Atomic unsigned next;    // the parties' numbers
    _Atomic unsigned refused; // how many
    unsigned entered[THREADS_MAX];
    unsigned left[THREADS_MAX];
};

// rush enters until it is refused; the last few leave late, and elsewhere.
static void rush(struct rush *r, bool is_task)
{
    unsigned me = wf_fetch_add_relaxed(&r->next, 1u), spin = 0; // relaxed: a number

    while (weft_drain_enter(r->drain) == 0) {
        r->entered[me]++;
        if (is_task && r->entered[me] % 8 == 0)
            weft_yield();
        for (volatile unsigned i = 0; i < spin % 64; i++)
            ;
        spin += 7;
        r->left[me]++;
        weft_drain_leave(r->drain);
    }
    wf_fetch_add_acq_rel(&r->refused, 1u); // acq_rel: only once it is refused may the drain go
}

static void *rush_on_a_thread(void *arg)
{
    struct rush *r = arg;

    threads_ready(&r->threads);
    rush(r, false);
    return NULL;
}

static int rush_in_a_task(void *arg)
{
    rush(arg, true);
    return 0;
}

static int begin_in_a_task(void *arg)
{
    return weft_drain_begin(((struct rush *)arg)->drain, WEFT_NEVER);
}

enum { RUSH_THREADS = 2, RUSH_TASKS = 4, BEGINNERS = 2 };

static void rush_once(weft_rt *rt, unsigned pause)
{
    struct rush r = { .rt = rt, .drain = calloc(1, sizeof(weft_drain)) };
    weft_task *t[RUSH_TASKS + BEGINNERS];

    assert_non_null(r.drain);
    threads_init(&r.threads, RUSH_THREADS + 1);
    for (int i = 0; i < RUSH_THREADS; i++)
        threads_add(&r.threads, rush_on_a_thread, &r);
    for (int i = 0; i < RUSH_TASKS; i++)
        assert_int_equal(weft_rt_spawn(rt, &t[i], rush_in_a_task, &r), 0);
    threads_ready(&r.threads);
    for (volatile unsigned i = 0; i < pause; i++)
        ;
    for (int i = RUSH_TASKS; i < RUSH_TASKS + BEGINNERS; i++)
        assert_int_equal(weft_rt_spawn(rt, &t[i], begin_in_a_task, &r), 0);
    assert_int_equal(weft_drain_begin(r.drain, WEFT_NEVER), 0); // a thread, too
    for (int i = 0; i < RUSH_THREADS + RUSH_TASKS; i++)
        assert_int_equal(r.entered[i], r.left[i]); // visible, without another word
    assert_int_equal(weft_drain_enter(r.drain), -ESHUTDOWN);
    threads_join(&r.threads);
    for (int i = 0; i < RUSH_TASKS + BEGINNERS; i++)
        assert_int_equal(weft_join(t[i], NULL), 0);
    assert_int_equal(wf_load_acquire(&r.refused), RUSH_THREADS + RUSH_TASKS); // acquire: their last word
    free(r.drain);
}

static void all_that_enter_are_waited_for_and_seen(void **state)
{
    struct wf_test_rand rand = wf_test_rand(1);
    weft_rt *rt;
    (void)state;

    assert_int_equal(weft_rt_new(&rt, NULL), 0);
    wf_test_watch(rt);
    for (unsigned i = wf_test_rounds(400); i > 0; i--)
        rush_once(rt, wf_test_below(&rand, 20000));
    wf_test_unwatch(rt);
    weft_rt_free(rt);
}

// The one that drains may free the drain as soon as all have left.
struct brief {
    weft_drain *drain;
    _Atomic bool entered;
};

static int enter_and_leave(void *arg)
{
    struct brief *b = arg;
    weft_drain *d = b->drain;

    assert_int_equal(weft_drain_enter(d), 0);
    wf_store_release(&b->entered, true); // release: to drain_and_free
    weft_drain_leave(d);
    return 0;
}

static int drain_and_free(void *arg)
{
    (void)arg;
    for (unsigned i = wf_test_rounds(3000); i > 0; i--) {
        struct brief b = { .drain = calloc(1, sizeof(weft_drain)) };
        assert_non_null(b.drain);
        weft_task *t = spawn(enter_and_leave, &b);
        while (!wf_load_acquire(&b.entered)) // acquire: of enter_and_leave
            assert_int_equal(weft_yield(), 0);
        assert_int_equal(weft_drain_begin(b.drain, WEFT_NEVER), 0);
        free(b.drain);
        assert_int_equal(join(t), 0);
    }
    return 0;
}

static void the_drain_may_go_with_the_last_one(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(drain_and_free, NULL), 0);
}

// --- misuse --------------------------------------------------------------------------

static int leaves_too_often(void *arg)
{
    weft_drain d = WEFT_DRAIN_INIT;
    (void)arg;

    assert_int_equal(weft_drain_enter(&d), 0);
    weft_drain_leave(&d);
    weft_drain_leave(&d);
    return weft_drain_begin(&d, weft_now());
}

static int leaves_when_all_have(void *arg)
{
    weft_drain d = WEFT_DRAIN_INIT;
    (void)arg;

    assert_int_equal(weft_drain_begin(&d, weft_now()), 0);
    weft_drain_leave(&d);
    return 0;
}

static const struct misuse wrong[] = {
    { leaves_too_often, { "weft_drain_leave", "more often than weft_drain_enter" } },
    { leaves_when_all_have, { "weft_drain_leave", "more often than weft_drain_enter" } },
};

static void leaving_without_entering_stops_with_the_rule(void **state)
{
    (void)state;
    misuse_try(wrong, wf_countof(wrong), true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(without_anyone_inside_it_ends_at_once),
        left_test(a_deadline_ends_the_wait_and_not_the_draining),
        left_test(a_cancel_before_has_no_effect_and_one_after_ends_the_wait),
        left_test(what_has_entered_is_served_in_any_order),
        left_test(all_that_enter_are_waited_for_and_seen),
        left_test(the_drain_may_go_with_the_last_one),
        left_test(leaving_without_entering_stops_with_the_rule),
    };
    return wf_test_run(tests);
}
