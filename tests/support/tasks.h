// Helpers for tests of the public interface: run a body in a separate runtime, spawn,
// join, and wait until another task has parked. They see that in the dump, so no test
// has to sleep.
#ifndef WF_TESTS_TASKS_H
#define WF_TESTS_TASKS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <weft.h>

#include "tests/support/harness.h"

struct tasks_body {
    weft_fn *fn;
    void *arg;
};

static inline int tasks_watched(void *arg)
{
    struct tasks_body *body = arg;

    wf_test_watch(weft_rt_current());
    int result = body->fn(body->arg);
    wf_test_unwatch(weft_rt_current());
    return result;
}

// run_tasks is weft_run, under the watchdog.
static inline int run_tasks(weft_fn *fn, void *arg)
{
    return weft_run(NULL, tasks_watched, &(struct tasks_body){ fn, arg });
}

// new_runtime is weft_rt_new, and free_runtime weft_rt_free, under the watchdog.
static inline weft_rt *new_runtime(void)
{
    weft_rt *rt = NULL;
    assert_int_equal(weft_rt_new(&rt, NULL), 0);
    assert_non_null(rt);
    wf_test_watch(rt);
    return rt;
}

static inline void free_runtime(weft_rt *rt)
{
    wf_test_unwatch(rt);
    weft_rt_free(rt);
}

static inline weft_task *spawn(weft_fn *fn, void *arg)
{
    weft_task *t = NULL;
    assert_int_equal(weft_spawn(&t, fn, arg), 0);
    return t;
}

static inline int join(weft_task *t)
{
    int result;
    assert_int_equal(weft_join(t, &result), 0);
    return result;
}

// is_parked dumps the tasks of `rt` into `dump`, a memfd, and tells whether that says that
// `t` is parked in `call`.  Context: any thread.
static inline bool is_parked(int dump, weft_rt *rt, weft_task *t, const char *call)
{
    enum { ROOM = 1 << 18 }; // too much for a task's stack
    char line[128], *text = malloc(ROOM);

    assert_non_null(text);
    assert_int_equal(ftruncate(dump, 0), 0);
    assert_int_equal(lseek(dump, 0, SEEK_SET), 0);
    weft_rt_dump(rt, dump);
    unsigned long long id = weft_task_id(t);
    int length = snprintf(line, sizeof(line), "task %llu: parked, waits for %s", id, call);
    ssize_t n = pread(dump, text, ROOM - 1, 0);
    assert_true(n >= 0);
    text[n] = 0;
    const char *at = strstr(text, line);
    bool found = at && strchr(" ,", at[length]);
    free(text);
    return found;
}

// wait_parked returns once `t` is parked in `call`.
static inline void wait_parked(weft_task *t, const char *call)
{
    int dump = memfd_create("dump", MFD_CLOEXEC);

    assert_true(dump >= 0);
    for (bool found = false; !found;) {
        assert_false(weft_task_done(t));
        assert_int_equal(weft_sleep(WEFT_US(100)), 0);
        found = is_parked(dump, weft_rt_current(), t, call);
    }
    close(dump);
}

// watch_parked returns once `t` of `rt` is parked in `call`, or has ended.  Context: a
// thread that the task does not need.
static inline void watch_parked(weft_rt *rt, weft_task *t, const char *call)
{
    int dump = memfd_create("dump", MFD_CLOEXEC);

    assert_true(dump >= 0);
    do
        usleep(1000);
    while (!weft_task_done(t) && !is_parked(dump, rt, t, call));
    close(dump);
}

#endif
