// Misuse stops the program, with one sentence that names the task and the rule.
#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "tests/support/child.h"
#include "tests/support/left.h"
#include "tests/support/tasks.h"

// --- by a task -----------------------------------------------------------------------

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int park(void *arg)
{
    (void)arg;
    return weft_sleep_until(WEFT_NEVER);
}

static int joins_itself(void *arg)
{
    (void)arg;
    return weft_join(weft_self(), NULL);
}

static int joins_itself_cancelled(void *arg)
{
    (void)arg;
    weft_task_cancel(weft_self());
    return weft_join(weft_self(), NULL);
}

static int joins_twice(void *arg)
{
    weft_task *t = spawn(nothing, NULL);
    (void)arg;
    join(t);
    return weft_join(t, NULL);
}

static int joins_detached(void *arg)
{
    weft_task *t = spawn(park, NULL);
    (void)arg;
    weft_detach(t);
    return weft_join(t, NULL);
}

static int detaches_twice(void *arg)
{
    weft_task *t = spawn(park, NULL);
    (void)arg;
    weft_detach(t);
    weft_detach(t);
    return 0;
}

static int detaches_joined(void *arg)
{
    weft_task *t = spawn(nothing, NULL);
    (void)arg;
    join(t);
    weft_detach(t);
    return 0;
}

static int detaches_what_has_no_handle(void *arg)
{
    (void)arg;
    weft_detach(weft_self());
    return 0;
}

static int blocks_on(void *arg)
{
    (void)arg;
    return weft_rt_block_on(weft_rt_current(), nothing, NULL);
}

static int runs(void *arg)
{
    (void)arg;
    return weft_run(NULL, nothing, NULL);
}

static int stops(void *arg)
{
    (void)arg;
    return weft_rt_stop(weft_rt_current(), 0);
}

static int frees(void *arg)
{
    (void)arg;
    weft_rt_free(weft_rt_current());
    return 0;
}

static int makes_a_runtime(void *arg)
{
    weft_rt *rt;
    (void)arg;
    return weft_rt_new(&rt, NULL);
}

static int ends_its_thread(void *arg)
{
    (void)arg;
    pthread_exit(NULL);
}

static int yields_and_ends_its_thread(void *arg)
{
    assert_int_equal(weft_sleep(WEFT_US(100)), 0);
    return ends_its_thread(arg);
}

static int blocks_its_thread(void *arg)
{
    weft_future f = WEFT_FUTURE_INIT;
    (void)arg;
    return weft_future_wait_thread(&f, NULL, WEFT_NEVER);
}

static int fails_with_zero(void *arg)
{
    weft_future f = WEFT_FUTURE_INIT;
    (void)arg;
    return weft_future_fail(&f, 0);
}

static int fails_with_success(void *arg)
{
    weft_future f = WEFT_FUTURE_INIT;
    (void)arg;
    return weft_future_fail(&f, EPIPE);
}

static int gets_no_key(void *arg)
{
    (void)arg;
    return weft_local_get(127) != NULL;
}

static int sets_no_key(void *arg)
{
    (void)arg;
    return weft_local_set(4000000000u, arg);
}

// --- scopes --------------------------------------------------------------------------

static int close_it(void *arg)
{
    return weft_scope_close(arg);
}

static int has_its_scope_closed(void *arg)
{
    weft_spawn_opts opts = WEFT_SPAWN_OPTS_INIT;
    weft_scope s;
    weft_task *t;
    (void)arg;
    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    opts.name = "the culprit";
    assert_int_equal(weft_spawn_with(&t, &opts, close_it, &s), 0);
    join(t);
    return weft_scope_close(&s);
}

static int closes_twice(void *arg)
{
    weft_scope s;
    (void)arg;
    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    assert_int_equal(weft_scope_close(&s), 0);
    return weft_scope_close(&s);
}

static int closes_the_outer_first(void *arg)
{
    weft_scope outer, inner;
    (void)arg;
    weft_scope_open(&outer, WEFT_SCOPE_FAIL_FAST);
    weft_scope_open(&inner, WEFT_SCOPE_FAIL_FAST);
    return weft_scope_close(&outer);
}

static int closes_behind_a_shield(void *arg)
{
    weft_scope s;
    (void)arg;
    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    weft_shield_begin(0);
    return weft_scope_close(&s);
}

static int opens_twice(void *arg)
{
    weft_scope s;
    (void)arg;
    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    return weft_scope_close(&s);
}

static int leaves_a_scope_open(void *arg)
{
    static weft_scope s;
    (void)arg;
    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    return 0;
}

static int leaves_a_shield_up(void *arg)
{
    (void)arg;
    weft_shield_begin(WEFT_NEVER);
    return 0;
}

static int ends_no_shield(void *arg)
{
    (void)arg;
    weft_shield_end();
    return 0;
}

static int ends_an_outer_shield(void *arg)
{
    weft_scope s;
    (void)arg;
    weft_shield_begin(WEFT_NEVER);
    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    weft_shield_end();
    return weft_scope_close(&s);
}

static int has_no_policy(void *arg)
{
    weft_scope s;
    (void)arg;
    weft_scope_open(&s, 3);
    return weft_scope_close(&s);
}

static int begins_too_many_shields(void *arg)
{
    (void)arg;
    for (int i = 0; i <= UINT8_MAX; i++)
        weft_shield_begin(0);
    return 0;
}

static ssize_t give_too_much(void *self, void *buf, size_t n)
{
    (void)self, (void)buf;
    return (ssize_t)n + 1;
}

static int reads_from(ssize_t (*read)(void *, void *, size_t))
{
    const weft_stream_ops ops = { .size = sizeof(ops), .read = read };
    weft_reader r;
    const void *data;

    weft_reader_init(&r, (weft_stream){ &ops, NULL }, 100);
    const ssize_t n = weft_reader_peek(&r, &data, 1);
    weft_reader_skip(&r, (size_t)n + 1);
    return 0;
}

static int reads_more_than_it_asked_for(void *arg)
{
    (void)arg;
    return reads_from(give_too_much);
}

static ssize_t give_two(void *self, void *buf, size_t n)
{
    (void)self, (void)n;
    memcpy(buf, "ab", 2);
    return 2;
}

static int skips_what_is_not_there(void *arg)
{
    (void)arg;
    return reads_from(give_two);
}

static ssize_t write_too_much(void *self, const struct iovec *v, int n)
{
    (void)self;
    return (ssize_t)v[n - 1].iov_len + 1;
}

static const weft_stream_ops liar = { .size = sizeof(liar), .read = give_too_much, .writev = write_too_much };

static int reads_more_than_it_may(void *arg)
{
    static char buf[1 << 16];
    weft_reader r;
    (void)arg;
    weft_reader_init(&r, (weft_stream){ &liar, NULL }, 0);
    return (int)weft_reader_read(&r, buf, sizeof(buf));
}

static int writes_more_than_there_is(void *arg)
{
    weft_writer w;
    (void)arg;
    weft_writer_init(&w, (weft_stream){ &liar, NULL }, 0);
    int err = weft_writer_write(&w, "x", 1);
    return err < 0 ? err : weft_writer_flush(&w);
}

struct misuse {
    weft_fn *fn;
    const char *words[2]; // the call, and the rule
};

static const struct misuse by_tasks[] = {
    { joins_itself, { "weft_join", "itself" } },
    { joins_twice, { "weft_join", "joined or detached before" } },
    { joins_detached, { "weft_join", "joined or detached before" } },
    { detaches_twice, { "weft_detach", "joined or detached before" } },
    { detaches_joined, { "weft_detach", "joined or detached before" } },
    { blocks_on, { "weft_rt_block_on", "must not be called by a task" } },
    { runs, { "weft_run", "must not be called by a task" } },
    { stops, { "weft_rt_stop", "must not be called by a task" } },
    { frees, { "weft_rt_free", "must not be called by a task" } },
    { makes_a_runtime, { "weft_rt_new", "must not be called by a task" } },
    { blocks_its_thread, { "must not block its thread", "await" } },
    { fails_with_zero, { "weft_future_fail", "0 is no error" } },
    { fails_with_success, { "weft_future_fail", "32 is no error" } },
    { gets_no_key, { "weft_local_get", "127 is no key" } },
    { sets_no_key, { "weft_local_set", "4000000000 is no key" } },
    { joins_itself_cancelled, { "weft_join", "itself" } },
    { opens_twice, { "weft_scope_open", "is open already" } },
    { has_its_scope_closed, { "weft_scope_close", "belongs to another task" } },
    { closes_twice, { "weft_scope_close", "is not open" } },
    { closes_the_outer_first, { "weft_scope_close", "inside it is still open" } },
    { closes_behind_a_shield, { "weft_scope_close", "a shield that was begun inside it" } },
    { leaves_a_scope_open, { "with a scope open", "weft_scope_close" } },
    { leaves_a_shield_up, { "with a shield up", "weft_shield_end" } },
    { ends_no_shield, { "weft_shield_end", "no shield was begun" } },
    { ends_an_outer_shield, { "weft_shield_end", "no shield was begun" } },
    { has_no_policy, { "weft_scope_open", "no policy 3" } },
    { begins_too_many_shields, { "weft_shield_begin", "255 shields are up already" } },
    { reads_more_than_it_asked_for, { "a stream's read", "more than it was asked for" } },
    { skips_what_is_not_there, { "weft_reader_skip", "3 bytes of the 2" } },
    { reads_more_than_it_may, { "stream's read", "more than it was asked for" } },
    { writes_more_than_there_is, { "stream's writev", "more than it was given" } },
};

static int spawn_culprit(void *arg)
{
    const struct misuse *m = arg;
    weft_spawn_opts opts = WEFT_SPAWN_OPTS_INIT;
    weft_task *t;

    opts.name = "the culprit";
    assert_int_equal(weft_spawn_with(&t, &opts, m->fn, NULL), 0);
    return weft_join(t, NULL);
}

static void run_culprit(void *arg)
{
    _exit(weft_run(NULL, spawn_culprit, arg) ? 3 : 2);
}

// expect_sentence expects one line, which begins with the name of the culprit.
static void expect_sentence(const struct child *c, const char *who, const struct misuse *m)
{
    child_expect_signal(c, SIGABRT);
    if (strncmp(c->said, "weft: ", 6) != 0 || strchr(c->said, '\n') != c->said + strlen(c->said) - 1)
        fail_msg("not one sentence: %s", c->said);
    child_expect_said(c, who);
    for (int i = 0; i < 2; i++)
        child_expect_said(c, m->words[i]);
}

static void misuse_by_a_task_names_it_and_the_rule(void **state)
{
    struct child c;
    (void)state;

    for (size_t i = 0; i < wf_countof(by_tasks); i++) {
        child_run(&c, run_culprit, (void *)&by_tasks[i]);
        expect_sentence(&c, " 'the culprit': ", &by_tasks[i]);
        child_expect_said(&c, "weft: task ");
    }
}

// ThreadSanitizer stops a program itself that ends a thread on a stack that is not the
// thread's.
static void skip_if_tsan_would_stop_first(void)
{
#ifdef WF_TSAN
    wf_test_skip("ThreadSanitizer stops the program itself");
#endif
}

static void a_task_that_ends_its_thread_is_named(void **state)
{
    static const struct misuse ways[] = { { .fn = ends_its_thread }, { .fn = yields_and_ends_its_thread } };
    struct child c;
    (void)state;

    skip_if_tsan_would_stop_first();
    for (size_t i = 0; i < wf_countof(ways); i++) {
        child_run(&c, run_culprit, (void *)&ways[i]);
        child_expect_signal(&c, SIGABRT);
        child_expect_said(&c, " 'the culprit': pthread_exit must not be called by a task");
    }
}

static void run_detached(void *arg)
{
    weft_rt *rt;

    assert_int_equal(weft_rt_new(&rt, NULL), 0);
    assert_int_equal(weft_rt_spawn(rt, NULL, ((struct misuse *)arg)->fn, NULL), 0);
    weft_rt_stop(rt, WEFT_NEVER);
}

static void a_task_without_a_name_is_named_by_its_number(void **state)
{
    static const struct misuse m = { detaches_what_has_no_handle, { "weft_detach", "born detached" } };
    struct child c;
    (void)state;

    child_run(&c, run_detached, (void *)&m);
    expect_sentence(&c, "weft: task 1: ", &m);
}

// --- outside a task ------------------------------------------------------------------

static weft_future no_future = WEFT_FUTURE_INIT;

static int sleeps(void *arg)
{
    (void)arg;
    return weft_sleep(0);
}

static int yields(void *arg)
{
    (void)arg;
    return weft_yield();
}

static int awaits(void *arg)
{
    (void)arg;
    return weft_await(&no_future, NULL);
}

static int awaits_briefly(void *arg)
{
    (void)arg;
    return weft_await_until(&no_future, NULL, 0);
}

static int reads(void *arg)
{
    char byte;
    (void)arg;
    return (int)weft_read(0, &byte, 1);
}

static int polls(void *arg)
{
    (void)arg;
    return weft_poll(0, 1);
}

static int dials(void *arg)
{
    (void)arg;
    return weft_tcp_dial("127.0.0.1:1");
}

static int uses_pool(void *arg)
{
    (void)arg;
    return weft_blocking(nothing, NULL);
}

static int spawns(void *arg)
{
    (void)arg;
    return weft_spawn(NULL, nothing, NULL);
}

static int spawns_with(void *arg)
{
    weft_spawn_opts opts = WEFT_SPAWN_OPTS_INIT;
    (void)arg;
    return weft_spawn_with(NULL, &opts, nothing, NULL);
}

static int opens_a_scope(void *arg)
{
    weft_scope s;
    (void)arg;
    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    return 0;
}

static int begins_a_shield(void *arg)
{
    (void)arg;
    weft_shield_begin(0);
    return 0;
}

static const struct misuse outside[] = {
    { opens_a_scope, { "weft_scope_open", "only be called by a task" } },
    { begins_a_shield, { "weft_shield_begin", "only be called by a task" } },
    { sleeps, { "weft_sleep", "only be called by a task" } },
    { yields, { "weft_yield", "only be called by a task" } },
    { awaits, { "weft_await", "only be called by a task" } },
    { awaits_briefly, { "weft_await", "only be called by a task" } },
    { reads, { "weft_read", "only be called by a task" } },
    { polls, { "weft_poll", "only be called by a task" } },
    { dials, { "weft_", "only be called by a task" } },
    { uses_pool, { "weft_blocking", "only be called by a task" } },
    { spawns, { "weft_spawn", "weft_rt_spawn by any thread" } },
    { spawns_with, { "weft_spawn_with", "weft_rt_spawn by any thread" } },
    { gets_no_key, { "weft_local_get", "only be called by a task" } },
    { sets_no_key, { "weft_local_set", "only be called by a task" } },
    { fails_with_zero, { "weft_future_fail", "0 is no error" } },
};

static void call_it(void *arg)
{
    _exit(((struct misuse *)arg)->fn(NULL) ? 3 : 2);
}

static void call_it_beside_a_runtime(void *arg)
{
    weft_rt *rt;
    assert_int_equal(weft_rt_new(&rt, NULL), 0);
    call_it(arg);
}

static int call_it_on_the_pool(void *arg)
{
    return weft_blocking(((struct misuse *)arg)->fn, NULL);
}

static void run_it_on_the_pool(void *arg)
{
    _exit(weft_run(NULL, call_it_on_the_pool, arg) ? 3 : 2);
}

static void parking_outside_a_task_stops(void **state)
{
    void (*const places[])(void *) = { call_it, call_it_beside_a_runtime, run_it_on_the_pool };
    struct child c;
    (void)state;

    for (size_t i = 0; i < wf_countof(outside); i++) {
        for (size_t p = 0; p < wf_countof(places); p++) {
            child_run(&c, places[p], (void *)&outside[i]);
            expect_sentence(&c, "weft: outside a task: ", &outside[i]);
        }
    }
}

// --- in a job of weft_blocking -------------------------------------------------------

static weft_rt *jobs_runtime; // fixed once tasks run

static int stops_its_own(void *arg)
{
    (void)arg;
    return weft_rt_stop(jobs_runtime, 0);
}

static int frees_its_own(void *arg)
{
    (void)arg;
    weft_rt_free(jobs_runtime);
    return 0;
}

// An atexit handler may be what frees the runtime.
static void free_at_exit(void)
{
    weft_rt_free(jobs_runtime);
}

static int exits_and_frees(void *arg)
{
    (void)arg;
    atexit(free_at_exit);
    exit(0);
}

// is_forked_and_returns shows the child's end as the parent's own.
static int is_forked_and_returns(void *arg)
{
    pid_t pid = fork();
    int status;
    (void)arg;

    if (pid == 0)
        return 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    abort();
}

static const struct misuse by_jobs[] = {
    { stops_its_own, { "weft_rt_stop: a job of weft_blocking, of task ", "'the culprit', must not wait for the end" } },
    { frees_its_own, { "weft_rt_free: a job of weft_blocking, of task ", "'the culprit', must not wait for the end" } },
    { exits_and_frees, { "weft_rt_free: a job of weft_blocking, of task ", "must not wait for the end" } },
    { ends_its_thread, { "pthread_exit: a job of weft_blocking, of task ", "'the culprit', must not end its thread" } },
    { is_forked_and_returns, { "a job of weft_blocking", "in a child of fork" } },
};

static int spawn_job(void *arg)
{
    static struct misuse job;
    weft_spawn_opts opts = WEFT_SPAWN_OPTS_INIT;
    weft_task *t;

    job = *(struct misuse *)arg;
    opts.name = "the culprit";
    assert_int_equal(weft_spawn_with(&t, &opts, call_it_on_the_pool, &job), 0);
    return weft_join(t, NULL);
}

static void run_job(void *arg)
{
    assert_int_equal(weft_rt_new(&jobs_runtime, NULL), 0);
    _exit(weft_rt_block_on(jobs_runtime, spawn_job, arg) ? 3 : 2);
}

static void misuse_by_a_job_names_its_task_and_the_rule(void **state)
{
    struct child c;
    (void)state;

    for (size_t i = 0; i < wf_countof(by_jobs); i++) {
        child_run(&c, run_job, (void *)&by_jobs[i]);
        expect_sentence(&c, "weft: outside a task: ", &by_jobs[i]);
    }
}

static void run_in_a_test(void *arg)
{
    (void)arg;
    _exit(weft_test_run(NULL, yields_and_ends_its_thread, NULL) ? 3 : 2);
}

static void a_task_of_a_test_run_cannot_end_the_run_by_ending_its_thread(void **state)
{
    struct child c;
    (void)state;

    skip_if_tsan_would_stop_first();
    child_run(&c, run_in_a_test, NULL);
    child_expect_signal(&c, SIGABRT);
    child_expect_said(&c, "weft: task 1: pthread_exit must not be called by a task");
    child_expect_said(&c, "under seed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(misuse_by_a_task_names_it_and_the_rule),
        left_test(a_task_that_ends_its_thread_is_named),
        left_test(a_task_without_a_name_is_named_by_its_number),
        left_test(parking_outside_a_task_stops),
        left_test(misuse_by_a_job_names_its_task_and_the_rule),
        left_test(a_task_of_a_test_run_cannot_end_the_run_by_ending_its_thread),
    };
    return wf_test_run(tests);
}
