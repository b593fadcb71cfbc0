// The thread-local hazard: a task that continues on another thread, in the middle of a
// function, must find that thread's thread-local variables, and weft must know which
// task it is.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <weft.h>

#include "tests/support/harness.h"
#include "tests/support/tasks.h"

enum { TASKS = 40 };

// What a library behind an accessor does: each thread has its own, and asks for it
// anew.
static _Thread_local long own_thread;

__attribute__((noinline)) static long thread_here(void)
{
    if (own_thread == 0)
        own_thread = syscall(SYS_gettid);
    return own_thread;
}

// errno is captured in the same leaf as the call that sets it.
__attribute__((noinline)) static int error_of_closing(int fd)
{
    return close(fd) < 0 ? errno : 0;
}

static unsigned workers(void)
{
    const char *n = getenv("WEFT_WORKERS");
    return n ? (unsigned)strtoul(n, NULL, 10) : 0;
}

// check_here looks whether all that hangs on the thread is right. Inlined, so that it
// is in mid-function.
static inline __attribute__((always_inline)) long check_here(weft_task *self, uint64_t id)
{
    long thread = syscall(SYS_gettid);

    assert_true(thread_here() == thread);
    assert_int_equal(error_of_closing(-1), EBADF);
    assert_ptr_equal(weft_self(), self);
    assert_int_equal(weft_task_id(weft_self()), id);
    assert_non_null(weft_rt_current());
    return thread;
}

static int empty(void *arg)
{
    (void)arg;
    return 0;
}

// wander parks in every way there is, and returns how often it woke up on another
// thread than before.
static int wander(void *arg)
{
    struct wf_test_rand r = wf_test_rand((uint64_t)(uintptr_t)arg);
    weft_task *self = weft_self();
    uint64_t id = weft_task_id(self);
    long before = check_here(self, id);
    int moves = 0;

    for (unsigned i = wf_test_rounds(400); i > 0; i--) {
        unsigned how = wf_test_below(&r, 8);
        if (how == 0)
            assert_int_equal(weft_sleep(WEFT_US(wf_test_below(&r, 100))), 0);
        else if (how == 1)
            assert_int_equal(join(spawn(empty, NULL)), 0);
        else
            assert_int_equal(weft_yield(), 0);
        long thread = check_here(self, id);
        moves += thread != before;
        before = thread;
        for (unsigned n = wf_test_below(&r, 2000); n > 0; n--)
            __asm__ volatile("");
    }
    return moves;
}

static int wander_all(void *arg)
{
    weft_task *tasks[TASKS];
    int *moves = arg;

    for (uintptr_t i = 0; i < TASKS; i++)
        tasks[i] = spawn(wander, (void *)i);
    for (int i = 0; i < TASKS; i++)
        *moves += join(tasks[i]);
    return 0;
}

static void wherever_a_task_wakes_up_it_finds_that_threads_variables(void **state)
{
    int moves = 0;
    (void)state;
    // Which worker takes what is chance; that of many thousand parks none ends
    // elsewhere is out of the question.
    do {
        assert_int_equal(run_tasks(wander_all, &moves), 0);
    } while (workers() > 1 && moves == 0);
    printf("%d moves\n", moves);
    if (workers() == 1)
        assert_int_equal(moves, 0);
}

static int stay(void *arg)
{
    struct wf_test_rand r = wf_test_rand((uint64_t)(uintptr_t)arg);
    long home = syscall(SYS_gettid);

    for (unsigned i = wf_test_rounds(300); i > 0; i--) {
        if (wf_test_below(&r, 8) == 0)
            weft_sleep(WEFT_US(wf_test_below(&r, 100)));
        else
            weft_yield();
        assert_true(syscall(SYS_gettid) == home);
    }
    return 0;
}

static int stay_all(void *arg)
{
    weft_spawn_opts pinned = WEFT_SPAWN_OPTS_INIT;
    weft_task *tasks[TASKS], *others[TASKS];
    (void)arg;

    pinned.pinned = true;
    for (uintptr_t i = 0; i < TASKS; i++) {
        assert_int_equal(weft_spawn_with(&tasks[i], &pinned, stay, (void *)i), 0);
        others[i] = spawn(wander, (void *)i);
    }
    for (int i = 0; i < TASKS; i++) {
        assert_int_equal(join(tasks[i]), 0);
        join(others[i]);
    }
    return 0;
}

static void a_pinned_task_never_moves(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(stay_all, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wherever_a_task_wakes_up_it_finds_that_threads_variables),
        cmocka_unit_test(a_pinned_task_never_moves),
    };
    return wf_test_run(tests);
}
