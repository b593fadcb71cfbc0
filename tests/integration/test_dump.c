// The dump tells where each task is, and what it waits for, in words and with its stack;
// tasks go on meanwhile.
#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "base/atomic.h"
#include "tests/support/tasks.h"

enum { ROOM = 1 << 20 };

// dump returns the dump of the calling task's runtime: the caller frees it.
static char *dump(void)
{
    char *text = malloc(ROOM);
    int fd = memfd_create("dump", MFD_CLOEXEC);

    assert_non_null(text);
    assert_true(fd >= 0);
    weft_rt_dump(weft_rt_current(), fd);
    ssize_t n = pread(fd, text, ROOM - 1, 0);
    assert_in_range(n, 1, ROOM - 2);
    text[n] = 0;
    close(fd);
    return text;
}

// section cuts out what the dump says of a task: its line, and its stack. "": nothing.
static char *section(char *text, uint64_t id)
{
    char head[32];

    snprintf(head, sizeof(head), "\n  task %llu", (unsigned long long)id);
    char *at = strstr(text, head);
    if (!at)
        return strchr(text, 0);
    char *end = strstr(at + 1, "\n  task ");
    if (!end)
        end = strstr(at + 1, "\nweft: ");
    *end = 0;
    return at;
}

// expect waits until the dump says both of a task.
static void expect(weft_task *t, const char *words, const char *more)
{
    for (bool said = false; !said;) {
        char *text = dump(), *of_it = section(text, weft_task_id(t));
        said = strstr(of_it, words) && strstr(of_it, more);
        free(text);
        if (!said)
            assert_int_equal(weft_sleep(WEFT_MS(1)), 0);
    }
}

// --- stacks --------------------------------------------------------------------------

__attribute__((noinline)) static int innermost(weft_future *f)
{
    int err = weft_await(f, NULL);
    __asm__ volatile("" : : : "memory"); // not a jump
    return err;
}

__attribute__((noinline)) static int middle(weft_future *f)
{
    int err = innermost(f);
    __asm__ volatile("" : : : "memory"); // as above
    return err;
}

static int outermost(void *f)
{
    int err = middle(f);
    __asm__ volatile("" : : : "memory"); // as above
    return err;
}

static int see_a_parked_stack(void *arg)
{
    weft_future f;
    (void)arg;

    weft_future_init(&f);
    weft_task *t = spawn(outermost, &f);
    expect(t, "parked, waits for future", "\n    innermost+0x");
    char *text = dump(), *of_it = section(text, weft_task_id(t));
    char *inner = strstr(of_it, "\n    innermost+0x"), *mid = strstr(of_it, "\n    middle+0x");
    char *outer = strstr(of_it, "\n    outermost+0x");
    assert_true(inner && mid && outer && inner < mid && mid < outer);
    free(text);
    weft_future_complete(&f, 0);
    assert_int_equal(join(t), 0);
    return 0;
}

static void a_parked_task_shows_its_stack(void **state)
{
    (void)state;
#ifndef WF_ARCH_UCONTEXT // which shows none
    assert_int_equal(run_tasks(see_a_parked_stack, NULL), 0);
#else
    (void)see_a_parked_stack;
#endif
}

static _Atomic bool enough;

__attribute__((noinline)) static int compute(void)
{
    int n = 0;

    while (!wf_load_relaxed(&enough)) // relaxed: a flag
        n++;
    return n;
}

static int computes(void *arg)
{
    (void)arg;
    return compute() > 0 ? 0 : 1;
}

static int see_a_running_stack(void *arg)
{
    (void)arg;
    wf_store_relaxed(&enough, false); // relaxed: a flag
    weft_task *t = spawn(computes, NULL);
    expect(t, "running on worker ", "\n    compute");
    expect(weft_self(), "running on worker ", "\n    see_a_running_stack+0x");
    wf_store_relaxed(&enough, true); // relaxed: a flag
    (void)join(t);
    return 0;
}

static void a_running_task_shows_its_stack(void **state)
{
    weft_config cfg = WEFT_CONFIG_INIT;
    (void)state;

    cfg.workers = 2;
#ifndef WF_TSAN // which delivers no signal to a loop
    assert_int_equal(weft_run(&cfg, see_a_running_stack, NULL), 0);
#else
    (void)see_a_running_stack;
#endif
}

// --- words ---------------------------------------------------------------------------

static weft_mutex mutex = WEFT_MUTEX_INIT;

static int lock_and_unlock(void *arg)
{
    (void)arg;
    assert_int_equal(weft_mutex_lock(&mutex), 0);
    weft_mutex_unlock(&mutex);
    return 0;
}

static int hold_mutex(void *f)
{
    assert_int_equal(weft_mutex_lock(&mutex), 0);
    int err = weft_await(f, NULL);
    weft_mutex_unlock(&mutex);
    return err;
}

static int see_the_holder(void *arg)
{
    weft_spawn_opts opts = WEFT_SPAWN_OPTS_INIT;
    weft_task *holder, *waiter;
    weft_future f;
    char words[64];
    (void)arg;

    weft_future_init(&f);
    opts.name = "holder";
    assert_int_equal(weft_spawn_with(&holder, &opts, hold_mutex, &f), 0);
    expect(holder, "'holder': parked, waits for future", "");
    waiter = spawn(lock_and_unlock, NULL);
    snprintf(words, sizeof(words), " held by task %llu 'holder'", (unsigned long long)weft_task_id(holder));
    expect(waiter, "parked, waits for mutex 0x", words);
    weft_future_complete(&f, 0);
    assert_int_equal(join(holder), 0);
    assert_int_equal(join(waiter), 0);
    return 0;
}

static void a_waiter_for_a_mutex_names_the_holder(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(see_the_holder, NULL), 0);
}

static int accept_one(void *fd)
{
    return weft_accept(*(int *)fd, NULL, NULL);
}

static int sleep_an_hour(void *arg)
{
    (void)arg;
    return weft_sleep(WEFT_S(3600));
}

static int close_over_two(void *arg)
{
    weft_scope s;

    weft_scope_open(&s, WEFT_SCOPE_COLLECT);
    weft_scope_deadline(&s, weft_after(WEFT_S(7200)));
    assert_int_equal(weft_scope_spawn(&s, sleep_an_hour, arg), 0);
    assert_int_equal(weft_scope_spawn(&s, sleep_an_hour, arg), 0);
    return weft_scope_close(&s);
}

static int see_waits(void *arg)
{
    int fd = weft_tcp_listen("127.0.0.1:0");
    char address[64], words[128];
    (void)arg;

    assert_true(fd >= 0);
    assert_true(weft_local_addr(fd, address, sizeof(address)) > 0);
    weft_task *acceptor = spawn(accept_one, &fd), *sleeper = spawn(sleep_an_hour, NULL);
    weft_task *closer = spawn(close_over_two, NULL);
    snprintf(words, sizeof(words), "waits for weft_accept of descriptor %d, TCP %s", fd, address);
    expect(acceptor, "parked", words);
    expect(sleeper, "parked, waits for sleep, 3", " s left");
    expect(closer, "parked, waits for scope 0x", ", 2 children left, in 1 scope, 7");
    weft_task_cancel(sleeper);
    weft_task_cancel(closer);
    assert_int_equal(weft_close(fd), 0);
    assert_int_equal(join(acceptor), -EBADF);
    assert_int_equal(join(sleeper), -ECANCELED);
    assert_int_equal(join(closer), -ECANCELED);
    return 0;
}

static void waits_are_said_in_words(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(see_waits, NULL), 0);
}

// --- many ----------------------------------------------------------------------------

static int await_future(void *f)
{
    int err = weft_await(f, NULL);
    __asm__ volatile("" : : : "memory"); // not a jump
    return err;
}

static bool all_are_parked(uint64_t tasks)
{
    weft_metrics m = WEFT_METRICS_INIT;
    assert_int_equal(weft_rt_metrics(weft_rt_current(), &m), 0);
    return m.parked == tasks;
}

static int see_a_crowd(void *arg)
{
    enum { CROWD = 1000 };
    weft_future f;
    weft_scope s;
    (void)arg;

    weft_future_init(&f);
    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(weft_scope_spawn(&s, await_future, &f), 0);
    while (!all_are_parked(CROWD))
        assert_int_equal(weft_sleep(WEFT_MS(1)), 0);
    char *text = dump();
#ifndef WF_ARCH_UCONTEXT
    assert_non_null(strstr(text, "\n  and 744 more tasks at await_future+0x"));
#endif
    assert_non_null(strstr(text, "\n  and 744 more tasks"));
    assert_non_null(strstr(text, "weft: 1001 tasks alive\n"));
    free(text);
    weft_future_complete(&f, 0);
    assert_int_equal(weft_scope_close(&s), 0);
    return 0;
}

static void many_tasks_in_one_place_are_counted(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(see_a_crowd, NULL), 0);
}

// --- while tasks go on ---------------------------------------------------------------

static void *dump_until_enough(void *rt)
{
    int fd = memfd_create("dump", MFD_CLOEXEC);

    while (!wf_load_relaxed(&enough)) { // relaxed: a flag
        assert_int_equal(ftruncate(fd, 0), 0);
        weft_rt_dump(rt, fd);
    }
    close(fd);
    return NULL;
}

static int echo_back(void *arg)
{
    weft_chan **c = arg;
    int i;

    while (weft_chan_recv(c[0], &i) == 0)
        assert_int_equal(weft_chan_send(c[1], &i), 0);
    return 0;
}

// A wake that meets a held task must not be lost: the two would wait without end.
static int play(void *arg)
{
    weft_chan *c[2];
    pthread_t thread;
    weft_spawn_opts opts = WEFT_SPAWN_OPTS_INIT;
    weft_task *t;

    wf_store_relaxed(&enough, false); // relaxed: a flag
    opts.pinned = arg != NULL;
    assert_int_equal(weft_chan_new(&c[0], sizeof(int), 0), 0);
    assert_int_equal(weft_chan_new(&c[1], sizeof(int), 0), 0);
    assert_int_equal(weft_spawn_with(&t, &opts, echo_back, c), 0);
    assert_int_equal(pthread_create(&thread, NULL, dump_until_enough, weft_rt_current()), 0);
    for (int i = 0, got; i < (int)wf_test_rounds(20000); i++) {
        assert_int_equal(weft_chan_send(c[0], &i), 0);
        assert_int_equal(weft_chan_recv(c[1], &got), 0);
        assert_int_equal(got, i);
    }
    wf_store_relaxed(&enough, true); // relaxed: a flag
    pthread_join(thread, NULL);
    weft_chan_close(c[0]);
    assert_int_equal(join(t), 0);
    weft_chan_unref(c[0]);
    weft_chan_unref(c[1]);
    return 0;
}

static void no_wake_is_lost_to_a_dump(void **state)
{
    static int pinned;
    (void)state;
    assert_int_equal(run_tasks(play, NULL), 0);
    assert_int_equal(run_tasks(play, &pinned), 0);
}

static weft_rt *dumped;

static void on_signal(int sig)
{
    (void)sig;
    weft_rt_dump(dumped, STDOUT_FILENO);
}

static int dump_in_a_handler(void *arg)
{
    (void)arg;
    dumped = weft_rt_current();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(raise(SIGUSR1), 0);
        assert_int_equal(weft_yield(), 0);
    }
    return 0;
}

static void a_handler_may_dump(void **state)
{
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK }, before, winch;
    (void)state;

    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    assert_int_equal(run_tasks(dump_in_a_handler, NULL), 0);
    assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
    assert_int_equal(sigaction(SIGWINCH, NULL, &winch), 0);
    assert_true(winch.sa_handler == SIG_DFL); // the dump has left it as it was
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_parked_task_shows_its_stack),
        cmocka_unit_test(a_running_task_shows_its_stack),
        cmocka_unit_test(a_waiter_for_a_mutex_names_the_holder),
        cmocka_unit_test(waits_are_said_in_words),
        cmocka_unit_test(many_tasks_in_one_place_are_counted),
        cmocka_unit_test(no_wake_is_lost_to_a_dump),
        cmocka_unit_test(a_handler_may_dump),
    };
    return wf_test_run(tests);
}
