// The pool's threads and child processes do not inherit the settings that are only for
// workers.
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "base/timeslice.h"
#include "tests/support/child.h"
#include "tests/support/left.h"
#include "tests/support/status.h"
#include "tests/support/tasks.h"

extern char **environ;

// What the kernel passes on to threads and processes.
struct marks {
    cpu_set_t cpus;
    int slack; // of timers, ns
    struct wf_sched_attr attr;
};

static int take_marks(void *arg)
{
    struct marks *m = arg;

    memset(m, 0, sizeof(*m));
    assert_int_equal(sched_getaffinity(0, sizeof(m->cpus), &m->cpus), 0);
    m->slack = prctl(PR_GET_TIMERSLACK);
    assert_true(m->slack > 0);
    (void)wf_slice_read(&m->attr); // a kernel that does not tell leaves it 0
    return 0;
}

static int take_marks_in_a_job(void *arg)
{
    return weft_blocking(take_marks, arg);
}

// take_marks_of_a_child has a child of fork take them, into memory that both have.
static int take_marks_of_a_child(void *arg)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(take_marks(arg));
    assert_int_equal(TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return 0;
}

static int take_marks_of_a_jobs_child(void *arg)
{
    return weft_blocking(take_marks_of_a_child, arg);
}

static struct marks *shared_marks(void)
{
    void *p = mmap(NULL, sizeof(struct marks), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(p, MAP_FAILED);
    return p;
}

static void expect_no_marks(const struct marks *now, const struct marks *before)
{
    assert_int_equal(CPU_COUNT(&now->cpus), CPU_COUNT(&before->cpus));
    assert_true(CPU_EQUAL(&now->cpus, &before->cpus));
    assert_int_equal(now->slack, before->slack);
    assert_int_equal(now->attr.runtime, before->attr.runtime);
}

static void the_pool_and_children_of_fork_have_what_the_program_had(void **state)
{
    static weft_fn *const places[] = { take_marks_in_a_job, take_marks_of_a_child, take_marks_of_a_jobs_child };
    weft_config cfg = WEFT_CONFIG_INIT;
    struct marks before, *now = shared_marks();
    (void)state;

    take_marks(&before);
    for (int pinned = 0; pinned < 2; pinned++) {
        cfg.pin_workers = pinned;
        for (size_t i = 0; i < wf_countof(places); i++) {
            assert_int_equal(weft_run(&cfg, places[i], now), 0);
            expect_no_marks(now, &before);
        }
    }
    munmap(now, sizeof(*now));
}

static int count_cpus_of_a_program(void *arg)
{
    char *const argv[] = { "sh", "-c", "exit $(nproc)", NULL };
    int status;
    pid_t pid;
    (void)arg;

    assert_int_equal(posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ), 0);
    assert_int_equal(TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int count_them_in_a_job(void *arg)
{
    return weft_blocking(count_cpus_of_a_program, arg);
}

static void a_program_that_a_job_starts_has_all_cpus(void **state)
{
    weft_config cfg = WEFT_CONFIG_INIT;
    (void)state;

    cfg.pin_workers = true;
    assert_int_equal(weft_run(&cfg, count_them_in_a_job, NULL), count_cpus_of_a_program(NULL));
}

// narrow: the thread that starts the runtime may have one CPU only, and other timers.
static void narrow(void *arg)
{
    struct marks before, now;
    weft_config cfg = WEFT_CONFIG_INIT;
    cpu_set_t one;
    int cpu = sched_getcpu();
    (void)arg;

    assert_true(cpu >= 0);
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    assert_int_equal(prctl(PR_SET_TIMERSLACK, 123456ul), 0);
    cfg.pin_workers = true;
    take_marks(&before);
    assert_int_equal(weft_run(&cfg, take_marks_in_a_job, &now), 0);
    expect_no_marks(&now, &before);
    assert_int_equal(now.slack, 123456);
}

static void what_the_program_has_been_given_stays(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, narrow, NULL);
    child_expect_exit(&c, 0);
}

// --- locked memory -------------------------------------------------------------------

static int resident_mib(void *arg)
{
    (void)arg;
    return (int)(status_number("VmRSS") >> 10);
}

enum { MAY_NOT = 77 };

static void lock_on_fault(void *arg)
{
    if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0)
        _exit(MAY_NOT);
    int mib = weft_run(NULL, resident_mib, arg);
    if (mib == -ENOMEM) // there is a limit, and no privilege
        _exit(MAY_NOT);
    assert_in_range(mib, 0, 48);
}

static void lock_without_privilege(void *arg)
{
    struct rlimit little = { 1 << 20, 1 << 20 };

    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &little), 0);
    if (geteuid() == 0 && setuid(65534) < 0)
        _exit(MAY_NOT);
    if (mlockall(MCL_FUTURE) < 0)
        _exit(MAY_NOT);
    assert_int_equal(weft_run(NULL, resident_mib, arg), -ENOMEM);
}

static void locked_memory_is_what_is_touched_or_an_error(void **state)
{
    static void (*const bodies[])(void *) = { lock_on_fault, lock_without_privilege };
    struct child c;
    (void)state;

#if defined(WF_ASAN) || defined(WF_TSAN)
    wf_test_skip("the sanitizers let no memory be locked");
#endif
    for (size_t i = 0; i < wf_countof(bodies); i++) {
        child_run(&c, bodies[i], NULL);
        if (!WIFEXITED(c.status) || WEXITSTATUS(c.status) != MAY_NOT)
            child_expect_exit(&c, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(the_pool_and_children_of_fork_have_what_the_program_had),
        left_test(a_program_that_a_job_starts_has_all_cpus),
        left_test(what_the_program_has_been_given_stays),
        left_test(locked_memory_is_what_is_touched_or_an_error),
    };
    return wf_test_run(tests);
}
