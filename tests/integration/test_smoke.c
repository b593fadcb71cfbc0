// The minimum on which all other tests depend: a runtime starts, runs tasks to their
// end, and stops.
#include <errno.h>
#include <weft.h>

#include "tests/support/harness.h"

static int child(void *arg)
{
    int err = weft_sleep(WEFT_MS(1));
    return err < 0 ? err : *(int *)arg + 1;
}

static int fork_and_join(void *arg)
{
    enum { CHILDREN = 100 };
    weft_task *tasks[CHILDREN];
    int numbers[CHILDREN], sum = 0;
    (void)arg;

    wf_test_watch(weft_rt_current());
    for (int i = 0; i < CHILDREN; i++) {
        numbers[i] = i;
        assert_int_equal(weft_spawn(&tasks[i], child, &numbers[i]), 0);
    }
    for (int i = 0; i < CHILDREN; i++) {
        int result;
        assert_int_equal(weft_join(tasks[i], &result), 0);
        assert_int_equal(result, i + 1);
        sum += result;
    }
    wf_test_unwatch(weft_rt_current());
    return sum;
}

static void a_program_runs_and_returns_its_result(void **state)
{
    (void)state;
    assert_int_equal(weft_run(NULL, fork_and_join, NULL), 5050);
}

static void a_runtime_may_follow_another(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(weft_run(NULL, fork_and_join, NULL), 5050);
}

static int sleep_for_ever(void *arg)
{
    (void)arg;
    return weft_sleep_until(WEFT_NEVER);
}

static void stopping_ends_tasks_that_would_never_end(void **state)
{
    weft_rt *rt;
    weft_task *task;
    (void)state;

    assert_int_equal(weft_rt_new(&rt, NULL), 0);
    wf_test_watch(rt);
    assert_int_equal(weft_rt_spawn(rt, &task, sleep_for_ever, NULL), 0);
    assert_int_equal(weft_rt_stop(rt, WEFT_NEVER), 0);
    assert_true(weft_task_done(task));
    wf_test_unwatch(rt);
    weft_rt_free(rt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_runs_and_returns_its_result),
        cmocka_unit_test(a_runtime_may_follow_another),
        cmocka_unit_test(stopping_ends_tasks_that_would_never_end),
    };
    return wf_test_run(tests);
}
