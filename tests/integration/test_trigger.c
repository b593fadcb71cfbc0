// The signal that WEFT_DUMP_SIGNAL names dumps every runtime, whatever its workers do, and
// the program goes on.
#include <pthread.h>
#include <sched.h>

#include "base/atomic.h"
#include "tests/support/child.h"
#include "tests/support/left.h"
#include "tests/support/tasks.h"

static int count_words(const char *said, const char *words)
{
    int n = 0;

    for (; (said = strstr(said, words)); said += strlen(words))
        n++;
    return n;
}

// --- while all workers compute -------------------------------------------------------

static _Atomic unsigned hogs; // that compute by now
static _Atomic bool enough;

__attribute__((noinline)) static int compute(void)
{
    int n = 0;

    wf_fetch_add_relaxed(&hogs, 1u);   // relaxed: a counter
    while (!wf_load_relaxed(&enough)) // relaxed: a flag
        n++;
    return n;
}

static int hog(void *arg)
{
    (void)arg;
    return compute() > 0 ? 0 : 1;
}

static int sleep_an_hour(void *arg)
{
    (void)arg;
    return weft_sleep(WEFT_S(3600));
}

enum { RUNTIMES = 2, HOGS = 2, DUMPS = 5 };

static void start_hogs(weft_rt **rt)
{
    weft_config cfg = WEFT_CONFIG_INIT;

    cfg.workers = HOGS;
    assert_int_equal(weft_rt_new(rt, &cfg), 0);
    assert_int_equal(weft_rt_spawn(*rt, NULL, sleep_an_hour, NULL), 0);
    for (int i = 0; i < HOGS; i++)
        assert_int_equal(weft_rt_spawn(*rt, NULL, hog, NULL), 0);
}

static void hog_all_workers(void *arg)
{
    weft_rt *rt[RUNTIMES];
    (void)arg;

    assert_int_equal(setenv("WEFT_DUMP_SIGNAL", "QUIT", 1), 0);
    for (int i = 0; i < RUNTIMES; i++)
        start_hogs(&rt[i]);
    while (wf_load_relaxed(&hogs) < RUNTIMES * HOGS) // relaxed: a counter
        usleep(1000);
    for (int i = 0; i < DUMPS; i++)
        assert_int_equal(raise(SIGQUIT), 0);
    fprintf(stderr, "it goes on\n");
    wf_store_relaxed(&enough, true); // relaxed: a flag
    for (int i = 0; i < RUNTIMES; i++)
        weft_rt_free(rt[i]);
}

static void all_runtimes_are_dumped_while_all_workers_compute(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, hog_all_workers, NULL);
    child_expect_exit(&c, 0);
    child_expect_said(&c, "it goes on\n");
#ifdef WF_TSAN // which delivers a signal late, and two of them as one, and none to a loop
    assert_true(count_words(c.said, "weft: 2 workers; ") >= RUNTIMES);
#else
    assert_int_equal(count_words(c.said, "weft: 2 workers; "), DUMPS * RUNTIMES);
    assert_int_equal(count_words(c.said, "weft: 3 tasks alive\n"), DUMPS * RUNTIMES);
    assert_int_equal(count_words(c.said, ": running o"), DUMPS * RUNTIMES * HOGS);
    // "running or queued": the worker got no processor for so long that it did not answer
    int seen = count_words(c.said, ": running on worker ");
    assert_true(seen > 0 && count_words(c.said, "\n    compute") >= seen);
#endif
}

// --- which signal --------------------------------------------------------------------

struct choice {
    const char *text;
    int signal;
};

static int raise_it(void *arg)
{
    assert_int_equal(raise(*(int *)arg), 0);
    return weft_yield();
}

static void choose_signal(void *arg)
{
    struct choice *c = arg;
    struct sigaction after;

    assert_int_equal(setenv("WEFT_DUMP_SIGNAL", c->text, 1), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(weft_run(NULL, raise_it, &c->signal), 0);
    assert_int_equal(sigaction(c->signal, NULL, &after), 0);
    assert_true(after.sa_handler == SIG_DFL);
}

static void names_and_numbers_are_taken(void **state)
{
    struct choice choices[] = {
        { "QUIT", SIGQUIT }, { "SIGUSR1", SIGUSR1 }, { "10", 10 }, { "TERM", SIGTERM }, { "40", 40 },
    };
    struct child c;
    (void)state;

    for (size_t i = 0; i < wf_countof(choices); i++) {
        child_run(&c, choose_signal, &choices[i]);
        child_expect_exit(&c, 0);
        assert_int_equal(count_words(c.said, "weft: 1 tasks alive\n"), 2);
    }
}

// --- others that want it -------------------------------------------------------------

static _Atomic int called;

static void count_call(int sig)
{
    (void)sig;
    wf_fetch_add_relaxed(&called, 1); // relaxed: a counter
}

static void with_a_handler(void *arg)
{
    struct sigaction action = { .sa_handler = count_call }, after;
    int sig = SIGUSR2;
    (void)arg;

    assert_int_equal(setenv("WEFT_DUMP_SIGNAL", "USR2", 1), 0);
    assert_int_equal(sigaction(sig, &action, NULL), 0);
    assert_int_equal(weft_run(NULL, raise_it, &sig), 0);
    assert_int_equal(called, 1);
    assert_int_equal(sigaction(sig, NULL, &after), 0);
    assert_true(after.sa_handler == count_call);
}

static void the_programs_handler_gets_it_too(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, with_a_handler, NULL);
    child_expect_exit(&c, 0);
    child_expect_said(&c, "weft: 1 tasks alive\n");
}

// A child of fork has no runtime, so what it does there is what it did before.
static void die_in_a_child(void *arg)
{
    weft_rt *rt;
    int status;
    (void)arg;

    assert_int_equal(setenv("WEFT_DUMP_SIGNAL", "QUIT", 1), 0);
    assert_int_equal(weft_rt_new(&rt, NULL), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(child_seconds());
        raise(SIGQUIT);
        for (;;)
            pause();
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGQUIT);
    weft_rt_free(rt);
}

static void a_child_of_fork_has_the_default_action(void **state)
{
    struct child c;
    (void)state;

#ifdef WF_TSAN // which keeps the second signal back
    (void)c;
    (void)die_in_a_child;
#else
    child_run(&c, die_in_a_child, NULL);
    child_expect_exit(&c, 0);
    assert_string_equal(c.said, "");
#endif
}

// --- runtimes that come and go -------------------------------------------------------

static void *raise_until_enough(void *arg)
{
    (void)arg;
    while (!wf_load_relaxed(&enough)) { // relaxed: a flag
        raise(SIGUSR1);
        sched_yield();
    }
    return NULL;
}

static int spawn_some(void *arg)
{
    weft_scope s;

    weft_scope_open(&s, WEFT_SCOPE_COLLECT);
    for (int i = 0; i < 20; i++)
        assert_int_equal(weft_scope_spawn(&s, sleep_an_hour, arg), 0);
    assert_int_equal(weft_yield(), 0);
    weft_scope_cancel(&s);
    return weft_scope_close(&s) == -ECANCELED ? 0 : 1;
}

static void dump_what_comes_and_goes(void *arg)
{
    weft_config cfg = WEFT_CONFIG_INIT;
    pthread_t thread;
    (void)arg;

    cfg.workers = 2;
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_true(dup2(null, STDERR_FILENO) == STDERR_FILENO);
    close(null);
    assert_int_equal(setenv("WEFT_DUMP_SIGNAL", "USR1", 1), 0);
    signal(SIGUSR1, SIG_IGN); // between two of them
    assert_int_equal(pthread_create(&thread, NULL, raise_until_enough, NULL), 0);
    for (unsigned i = 0; i < wf_test_rounds(100); i++)
        assert_int_equal(weft_run(&cfg, spawn_some, NULL), 0);
    wf_store_relaxed(&enough, true); // relaxed: a flag
    pthread_join(thread, NULL);
}

static void runtimes_may_come_and_go(void **state)
{
    struct child c;
    (void)state;

#ifdef WF_TSAN
    skip(); // it does not know that what was written before sigaction(2) comes before the handler
#endif
    child_run(&c, dump_what_comes_and_goes, NULL);
    child_expect_exit(&c, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(all_runtimes_are_dumped_while_all_workers_compute),
        left_test(names_and_numbers_are_taken),
        left_test(the_programs_handler_gets_it_too),
        left_test(a_child_of_fork_has_the_default_action),
        left_test(runtimes_may_come_and_go),
    };
    return wf_test_run(tests);
}
