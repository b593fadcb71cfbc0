// A runtime that several threads stop at once: it ends once, and each call returns 0.
// WEFT_ROUNDS=10000 for long.
#include <errno.h>
#include <sched.h>
#include <weft.h>

#include "base/atomic.h"
#include "base/compiler.h"
#include "tests/support/left.h"
#include "tests/support/tasks.h"
#include "tests/support/threads.h"

enum { SLEEPERS = 100, STOPPERS_MAX = 4, ROUNDS = 100 };

static _Atomic unsigned ended;

static int until_cancelled(void *arg)
{
    int err = weft_sleep_until(WEFT_NEVER);
    (void)arg;
    wf_fetch_add_relaxed(&ended, 1u); // relaxed: a counter
    return err;
}

// One round: the threads begin at the same moment.
struct round {
    struct threads threads;
    weft_rt *rt;
    weft_time deadline;
    _Atomic unsigned late; // how many ran out of time
};

static void *stop(void *arg)
{
    struct round *r = arg;

    threads_ready(&r->threads);
    int err = weft_rt_stop(r->rt, r->deadline);
    if (err) {
        assert_int_equal(err, -ETIMEDOUT);
        wf_fetch_add_relaxed(&r->late, 1u); // relaxed: a counter
        return NULL;
    }
    assert_int_equal(wf_load_relaxed(&ended), SLEEPERS);                             // relaxed: the stop orders it
    assert_int_equal(weft_rt_spawn(r->rt, NULL, until_cancelled, NULL), -ECANCELED); // and it stays stopped
    return NULL;
}

static void *only_stop(void *arg)
{
    struct round *r = arg;

    threads_ready(&r->threads);
    assert_int_equal(weft_rt_stop(r->rt, r->deadline), 0);
    return NULL;
}

static void begin(struct round *r, void *(*body)(void *), unsigned stoppers, weft_time deadline)
{
    wf_store_relaxed(&ended, 0u); // relaxed: no task lives
    wf_store_relaxed(&r->late, 0u);
    r->deadline = deadline;
    assert_int_equal(weft_rt_new(&r->rt, NULL), 0);
    wf_test_watch(r->rt);
    for (int i = 0; i < SLEEPERS; i++)
        assert_int_equal(weft_rt_spawn(r->rt, NULL, until_cancelled, NULL), 0);
    threads_init(&r->threads, stoppers + 1);
    for (unsigned i = 0; i < stoppers; i++)
        threads_add(&r->threads, body, r);
    threads_ready(&r->threads);
}

static void end(struct round *r)
{
    wf_test_unwatch(r->rt);
    weft_rt_free(r->rt);
}

static void several_threads_may_stop_a_runtime_at_once(void **state)
{
    struct round r;
    (void)state;

    for (unsigned n = wf_test_long(ROUNDS); n > 0; n--) {
        begin(&r, stop, 2 + n % (STOPPERS_MAX - 1), WEFT_NEVER);
        threads_join(&r.threads);
        assert_int_equal(wf_load_relaxed(&r.late), 0); // relaxed: the threads are joined
        end(&r);
    }
}

// Some run out of time, at any stage, while one has all the time that it needs.
static void each_that_stops_has_a_deadline_of_its_own(void **state)
{
    struct wf_test_rand rand = wf_test_rand(1);
    struct round r;
    (void)state;

    for (unsigned n = wf_test_long(ROUNDS); n > 0; n--) {
        begin(&r, stop, STOPPERS_MAX - 1, weft_after(WEFT_US(wf_test_below(&rand, 600))));
        assert_int_equal(weft_rt_stop(r.rt, WEFT_NEVER), 0);
        assert_int_equal(wf_load_relaxed(&ended), SLEEPERS); // relaxed: the stop orders it
        threads_join(&r.threads);
        end(&r);
    }
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

// weft_rt_free is called while another thread is in weft_rt_stop: that one has seen to
// it that nothing can be spawned.
static void a_runtime_is_freed_when_the_last_one_has_returned_from_stopping_it(void **state)
{
    struct round r;
    (void)state;

    for (unsigned n = wf_test_long(ROUNDS); n > 0; n--) {
        begin(&r, only_stop, 1, WEFT_NEVER);
        while (weft_rt_spawn(r.rt, NULL, nothing, NULL) == 0)
            sched_yield();
        end(&r);
        threads_join(&r.threads);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(several_threads_may_stop_a_runtime_at_once),
        left_test(each_that_stops_has_a_deadline_of_its_own),
        left_test(a_runtime_is_freed_when_the_last_one_has_returned_from_stopping_it),
    };
    return wf_test_run(tests);
}
