// A worker of real-time priority, and an ordinary thread on the same CPU that wakes it:
// the worker preempts the thread in the middle of the wake, and must let it continue.
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>

#include "base/atomic.h"
#include "base/lock.h"
#include "tests/support/left.h"
#include "tests/support/tasks.h"
#include "tests/support/wrap.h"

enum { ROUNDS = 200, MAY_NOT = 77 };

static _Atomic unsigned yields;

WRAP(int, sched_yield, void)
{
    wf_fetch_add_relaxed(&yields, 1u); // relaxed: a counter
    return REAL(sched_yield)();
}

struct talk {
    int cpu;
    _Atomic bool begun; // the worker has its priority
    weft_future futures[ROUNDS];
};

static void stay_on(int cpu)
{
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
}

static void *complete_each(void *arg)
{
    struct talk *t = arg;

    stay_on(t->cpu);
    while (!wf_load_relaxed(&t->begun)) // relaxed: a flag
        usleep(100);
    for (int i = 0; i < ROUNDS; i++)
        assert_true(weft_future_complete(&t->futures[i], i)); // it runs, so the worker sleeps
    return NULL;
}

// await_each counts, rather than to look at the time: the worker does not yield without
// end.
static int await_each(void *arg)
{
    struct sched_param first = { .sched_priority = 1 };
    struct talk *t = arg;
    pthread_t thread;

    stay_on(t->cpu);
    assert_int_equal(pthread_create(&thread, NULL, complete_each, t), 0); // before: policies are inherited
    bool may = sched_setscheduler(0, SCHED_FIFO, &first) == 0;
    wf_store_relaxed(&t->begun, true); // relaxed: a flag
    if (!may) {
        pthread_join(thread, NULL);
        return MAY_NOT;
    }
    for (int i = 0; i < ROUNDS; i++) {
        intptr_t value = -1;
        wf_store_relaxed(&yields, 0u); // relaxed: a counter
        assert_int_equal(weft_await(&t->futures[i], &value), 0);
        assert_int_equal(value, i);
        assert_true(wf_load_relaxed(&yields) <= 2 * WF_RELAX_YIELDS); // relaxed: a counter; the other may yield, too
    }
    first.sched_priority = 0;
    assert_int_equal(sched_setscheduler(0, SCHED_OTHER, &first), 0);
    pthread_join(thread, NULL);
    return 0;
}

static void a_worker_of_real_time_priority_lets_the_one_go_on_that_it_waits_for(void **state)
{
    static struct talk t;
    weft_config cfg = WEFT_CONFIG_INIT;
    cpu_set_t may;
    (void)state;

    assert_int_equal(sched_getaffinity(0, sizeof(may), &may), 0);
    while (!CPU_ISSET(t.cpu, &may))
        t.cpu++;
    for (int i = 0; i < ROUNDS; i++)
        weft_future_init(&t.futures[i]);
    cfg.workers = 1; // its thread is the one that changes its policy
    int result = weft_run(&cfg, await_each, &t);
    if (result == MAY_NOT)
        wf_test_skip("the process may not have a real-time policy");
    assert_int_equal(result, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(a_worker_of_real_time_priority_lets_the_one_go_on_that_it_waits_for),
    };
    return wf_test_run(tests);
}
