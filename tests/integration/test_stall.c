// The watchdog tells of a task that holds its worker, once, while it still does; and of no
// other.
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "tests/support/child.h"
#include "tests/support/left.h"
#include "tests/support/tasks.h"

// read_stalls is how many have been counted.
static uint64_t read_stalls(weft_rt *rt)
{
    weft_metrics m = WEFT_METRICS_INIT;
    assert_int_equal(weft_rt_metrics(rt, &m), 0);
    return m.stalls;
}

static weft_config watched(unsigned workers)
{
    weft_config cfg = WEFT_CONFIG_INIT;
    cfg.workers = workers;
    cfg.stall_after = WEFT_MS(20);
    return cfg;
}

static weft_task *spawn_named(const char *name, weft_fn *fn, void *arg)
{
    weft_spawn_opts opts = WEFT_SPAWN_OPTS_INIT;
    weft_task *t;

    opts.name = name;
    assert_int_equal(weft_spawn_with(&t, &opts, fn, arg), 0);
    return t;
}

static void count(const char *said, const char *words, int want)
{
    int n = 0;

    for (const char *at = said; (at = strstr(at, words)); at += strlen(words))
        n++;
    if (n != want)
        fail_msg("'%s' is said %d times, not %d: %s", words, n, want, said);
}

// expect_in_stack looks for a function. ThreadSanitizer delivers no signal to a loop, nor
// to some calls.
static void expect_in_stack(const struct child *c, const char *function)
{
#ifndef WF_TSAN
    child_expect_said(c, function);
#else
    (void)c;
    (void)function;
#endif
}

// --- one that computes ---------------------------------------------------------------

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int64_t cpu_time(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

// burn_until_seen computes until a stall has been counted, and then for longer than it
// takes to be counted again.
__attribute__((noinline)) static int burn_until_seen(weft_rt *rt)
{
    while (read_stalls(rt) == 0)
        sched_yield();
    for (int64_t end = cpu_time() + WEFT_MS(60); cpu_time() < end;)
        ;
    return (int)read_stalls(rt);
}

static int hog(void *arg)
{
    weft_task *behind[3];
    (void)arg;

    for (int i = 0; i < 3; i++)
        behind[i] = spawn(nothing, NULL);
    int n = burn_until_seen(weft_rt_current());
    for (int i = 0; i < 3; i++)
        assert_int_equal(join(behind[i]), 0);
    return n;
}

static int run_hog(void *arg)
{
    return join(spawn_named("hog", hog, arg));
}

static void hog_in_child(void *arg)
{
    weft_config cfg = watched(1);
    (void)arg;
    assert_int_equal(weft_run(&cfg, run_hog, NULL), 1);
}

static void one_that_computes_is_reported_once_with_its_stack(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, hog_in_child, NULL);
    child_expect_exit(&c, 0);
    count(c.said, " 'hog' holds worker 0 for ", 1);
    count(c.said, "weft: task ", 1);
    child_expect_said(&c, " ms now: it computes (");
    child_expect_said(&c, " ms of CPU time), 3 queued behind it\n");
    expect_in_stack(&c, "\n    burn_until_seen");
}

// --- one that is blocked -------------------------------------------------------------

struct blocked {
    int end[2];
    weft_rt *rt;
};

static int read_it(void *arg)
{
    struct blocked *b = arg;
    char c;
    ssize_t n = read(b->end[0], &c, 1);
    return n == 1 ? c : -EIO;
}

// write_when_seen ends the call when it has been reported.
static void *write_when_seen(void *arg)
{
    struct blocked *b = arg;

    while (read_stalls(b->rt) == 0)
        usleep(1000);
    assert_int_equal(write(b->end[1], "\7", 1), 1);
    return NULL;
}

static int block_in_read(void *arg)
{
    struct blocked b = { .rt = weft_rt_current() };
    pthread_t thread;
    (void)arg;

    assert_int_equal(pipe2(b.end, O_CLOEXEC), 0);
    assert_int_equal(pthread_create(&thread, NULL, write_when_seen, &b), 0);
    int n = join(spawn_named("reader", read_it, &b));
    pthread_join(thread, NULL);
    fprintf(stderr, "the pipe is %d\n", b.end[0]); // perhaps before the report, which is counted before it is written
    close(b.end[0]);
    close(b.end[1]);
    return n;
}

static void read_in_child(void *arg)
{
    weft_config cfg = watched(2);
    (void)arg;
    assert_int_equal(weft_run(&cfg, block_in_read, NULL), 7);
}

static void one_that_is_blocked_in_read_is_reported_with_the_descriptor(void **state)
{
    struct child c;
    char words[64];
    int fd = -1;
    (void)state;

    child_run(&c, read_in_child, NULL);
    child_expect_exit(&c, 0);
    const char *at = strstr(c.said, "the pipe is ");
    if (!at || sscanf(at, "the pipe is %d", &fd) != 1)
        fail_msg("it said: %s", c.said);
    snprintf(words, sizeof(words), " it is blocked in read(2) of descriptor %d (0 ms of CPU time)", fd);
    count(c.said, words, 1);
    count(c.said, "'reader' holds worker ", 1);
    expect_in_stack(&c, "\n    read_it+0x");
}

// A call that never restarts ends when its thread is asked: it is made again.
static int sleep_until_seen(void *arg)
{
    weft_rt *rt = weft_rt_current();
    struct timespec long_time = { .tv_sec = 1 };
    (void)arg;

    while (read_stalls(rt) == 0)
        nanosleep(&long_time, NULL);
    return 0;
}

static int run_sleeper(void *arg)
{
    return join(spawn_named("sleeper", sleep_until_seen, arg));
}

static void sleep_in_child(void *arg)
{
    (void)arg;
    assert_int_equal(setenv("WEFT_STALL_MS", "20", 1), 0);
    assert_int_equal(weft_run(NULL, run_sleeper, NULL), 0);
}

static void one_that_sleeps_is_reported_by_the_environments_word(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, sleep_in_child, NULL);
    child_expect_exit(&c, 0);
    count(c.said, "'sleeper' holds worker ", 1);
    child_expect_said(&c, "nanosleep(2) (0 ms of CPU time), 0 queued behind it\n");
    expect_in_stack(&c, "\n    sleep_until_seen+0x");
}

// --- what is not reported -----------------------------------------------------

// Each turn is short, however long the task goes on.
static int yield_for_long(void *arg)
{
    weft_rt *rt = weft_rt_current();
    (void)arg;

    for (int64_t end = cpu_time() + WEFT_MS(150); cpu_time() < end;)
        assert_int_equal(weft_yield(), 0);
    return (int)read_stalls(rt);
}

static int sleep_for_long(void *arg)
{
    weft_rt *rt = weft_rt_current();
    (void)arg;

    assert_int_equal(weft_sleep(WEFT_MS(100)), 0);
    return (int)read_stalls(rt);
}

static void many_turns_and_waits_are_not_reported(void **state)
{
    weft_config cfg = watched(1);
    (void)state;

    cfg.stall_after = WEFT_MS(50); // a machine with other work interrupts for less, and that does not count
    assert_int_equal(weft_run(&cfg, yield_for_long, NULL), 0);
    assert_int_equal(weft_run(&cfg, sleep_for_long, NULL), 0);
}

// --- a worker that does not get the processor ----------------------------------------

enum { RIVALS = 24 };

struct crowd {
    _Atomic bool enough;
};

static void *rival(void *arg)
{
    struct crowd *crowd = arg;

    while (!wf_load_relaxed(&crowd->enough)) // relaxed: a flag
        ;
    return NULL;
}

// wait_for_a_processor computes 10 ms, which takes long beside the rivals.
static int wait_for_a_processor(void *arg)
{
    weft_rt *rt = weft_rt_current();
    (void)arg;

    for (int64_t end = cpu_time() + WEFT_MS(10); cpu_time() < end;)
        ;
    return (int)read_stalls(rt);
}

static void one_that_does_not_get_the_processor_is_not_reported(void **state)
{
    struct crowd crowd = { 0 };
    weft_config cfg = watched(1);
    pthread_t threads[RIVALS];
    cpu_set_t before, one;
    (void)state;

    assert_int_equal(pthread_getaffinity_np(pthread_self(), sizeof(before), &before), 0);
    CPU_ZERO(&one);
    for (int cpu = 0; CPU_COUNT(&one) == 0; cpu++)
        if (CPU_ISSET(cpu, &before))
            CPU_SET(cpu, &one);
    assert_int_equal(pthread_setaffinity_np(pthread_self(), sizeof(one), &one), 0);
    for (int i = 0; i < RIVALS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, rival, &crowd), 0);
    int stalls = weft_run(&cfg, wait_for_a_processor, NULL);
    wf_store_relaxed(&crowd.enough, true); // relaxed: a flag
    for (int i = 0; i < RIVALS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(pthread_setaffinity_np(pthread_self(), sizeof(before), &before), 0);
    assert_int_equal(stalls, 0);
}

// --- a reader that does not read -----------------------------------------------------

static int hog_before_a_full_pipe(void *arg)
{
    weft_rt *rt = weft_rt_current();
    (void)arg;

    while (read_stalls(rt) == 0)
        sched_yield();
    return 0;
}

static void hog_without_a_reader(void *arg)
{
    weft_config cfg = watched(1);
    int end[2];
    (void)arg;

    assert_int_equal(pipe2(end, O_CLOEXEC | O_NONBLOCK), 0);
    while (write(end[1], &cfg, sizeof(cfg)) > 0)
        ;
    assert_int_equal(fcntl(end[1], F_SETFL, 0), 0);
    assert_int_equal(dup2(end[1], STDERR_FILENO), STDERR_FILENO);
    assert_int_equal(weft_run(&cfg, hog_before_a_full_pipe, NULL), 0); // and it ends
}

static void a_report_waits_for_no_reader(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, hog_without_a_reader, NULL);
    child_expect_exit(&c, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(one_that_computes_is_reported_once_with_its_stack),
        left_test(one_that_is_blocked_in_read_is_reported_with_the_descriptor),
        left_test(one_that_sleeps_is_reported_by_the_environments_word),
        cmocka_unit_test(many_turns_and_waits_are_not_reported),
        cmocka_unit_test(one_that_does_not_get_the_processor_is_not_reported),
        left_test(a_report_waits_for_no_reader),
    };
    return wf_test_run(tests);
}
