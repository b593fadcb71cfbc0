// Forks, while other threads make and free runtimes: each child runs one of its own.
// WEFT_ROUNDS=10000 for long.
#include <sched.h>
#include <time.h>
#include <weft.h>

#include "base/atomic.h"
#include "tests/support/child.h"
#include "tests/support/left.h"
#include "tests/support/tasks.h"
#include "tests/support/threads.h"

// The sanitizers' allocators do not survive a fork in which another thread holds their
// locks (glibc's does): there, the forking thread makes the runtimes itself.
#if defined(WF_ASAN) || defined(WF_TSAN)
enum { MAKERS = 0 };
#else
enum { MAKERS = 3 };
#endif

enum { ROUNDS = 400, DEADLINE = 60 /* seconds */ };

static _Atomic bool enough;

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int spawn_and_sleep(void *arg)
{
    (void)arg;
    weft_task *t = spawn(nothing, NULL);
    assert_int_equal(weft_sleep(WEFT_US(20)), 0);
    return join(t);
}

static void *make_and_free(void *arg)
{
    (void)arg;
    while (!wf_load_relaxed(&enough)) // relaxed: a flag
        assert_int_equal(weft_run(NULL, spawn_and_sleep, NULL), 0);
    return NULL;
}

static _Noreturn void be_child(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    _exit(weft_run(NULL, spawn_and_sleep, NULL));
}

// end_of waits for the child's end; one that hangs is killed, long after any other has
// ended.  Returns: its status.
static int end_of(pid_t pid)
{
    weft_time deadline = weft_after(WEFT_S(DEADLINE));
    int status;

    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (weft_now() > deadline)
            kill(pid, SIGKILL);
        nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
    }
    return status;
}

static void a_child_of_fork_has_a_runtime_of_its_own_whatever_others_were_at(void **state)
{
    struct threads makers;
    (void)state;

    threads_init(&makers, 1);
    wf_store_relaxed(&enough, false); // relaxed: before the threads begin
    for (int i = 0; i < MAKERS; i++)
        threads_add(&makers, make_and_free, NULL);
    for (unsigned n = wf_test_long(ROUNDS); n > 0; n--) {
        if (MAKERS == 0)
            assert_int_equal(weft_run(NULL, spawn_and_sleep, NULL), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            be_child();
        assert_int_equal(end_of(pid), 0);
    }
    wf_store_relaxed(&enough, true); // relaxed: a flag
    threads_join(&makers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(a_child_of_fork_has_a_runtime_of_its_own_whatever_others_were_at),
    };
    return wf_test_run(tests);
}
