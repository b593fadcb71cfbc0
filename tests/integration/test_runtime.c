// Runtimes: started, used from outside, stopped in the middle of things, several at a
// time, one after another.
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/compiler.h"
#include "tests/support/left.h"
#include "tests/support/tasks.h"

static int return_it(void *arg)
{
    return *(int *)arg;
}

static int until_cancelled(void *arg)
{
    (void)arg;
    return weft_sleep_until(WEFT_NEVER);
}

// --- one after another ---------------------------------------------------------------

static int is_current(void *arg)
{
    assert_ptr_equal(weft_rt_current(), *(weft_rt **)arg);
    assert_int_equal(weft_sleep(WEFT_US(50)), 0);
    return weft_rt_current() == *(weft_rt **)arg;
}

static void a_runtime_may_be_used_stopped_and_freed_again_and_again(void **state)
{
    int result = -44;
    (void)state;

    weft_rt_free(NULL);
    for (unsigned i = wf_test_rounds(30); i > 0; i--) {
        weft_rt *rt = new_runtime();
        assert_int_equal(weft_rt_block_on(rt, is_current, &rt), 1);
        assert_int_equal(weft_rt_block_on(rt, return_it, &result), -44);
        if (i % 3 == 0)
            assert_int_equal(weft_rt_stop(rt, WEFT_NEVER), 0);
        if (i % 3 == 1)
            assert_int_equal(weft_rt_stop(rt, weft_after(WEFT_S(3600))), 0);
        assert_null(weft_rt_current());
        free_runtime(rt);
    }
}

static void a_runtime_that_nobody_uses_ends(void **state)
{
    (void)state;
    for (unsigned i = wf_test_rounds(100); i > 0; i--)
        free_runtime(new_runtime()); // its threads may not have begun yet
}

static void weft_run_returns_the_result_of_the_body(void **state)
{
    static const int results[] = { 0, 1, 123456, -1, -ENOMEM };
    (void)state;

    for (size_t i = 0; i < wf_countof(results); i++)
        assert_int_equal(weft_run(NULL, return_it, (void *)&results[i]), results[i]);
}

struct orphan {
    _Atomic bool ended;
    weft_task *handle; // never given back
};

static int outlive(void *arg)
{
    struct orphan *o = arg;
    int err = weft_sleep_until(WEFT_NEVER);
    wf_store_relaxed(&o->ended, true); // relaxed: read after the runtime's end
    return err;
}

static int leave_children(void *arg)
{
    struct orphan *orphans = arg;

    assert_int_equal(weft_spawn(&orphans[0].handle, outlive, &orphans[0]), 0);
    assert_int_equal(weft_spawn(NULL, outlive, &orphans[1]), 0);
    return 3;
}

static void weft_run_waits_for_what_the_body_left_running(void **state)
{
    struct orphan orphans[2] = { 0 };
    (void)state;

    assert_int_equal(weft_run(NULL, leave_children, orphans), 3);
    assert_true(wf_load_relaxed(&orphans[0].ended)); // relaxed: all threads have ended
    assert_true(wf_load_relaxed(&orphans[1].ended));
}

// --- side by side --------------------------------------------------------------------

struct abroad {
    weft_rt *here, *there;
    weft_future question, answer;
};

static int ask(void *arg)
{
    struct abroad *a = arg;
    intptr_t value = 0;

    assert_ptr_equal(weft_rt_current(), a->here);
    weft_future_complete(&a->question, 6);
    assert_int_equal(weft_await(&a->answer, &value), 0);
    return (int)value;
}

static int answer(void *arg)
{
    struct abroad *a = arg;
    intptr_t value = 0;

    assert_ptr_equal(weft_rt_current(), a->there);
    assert_int_equal(weft_await(&a->question, &value), 0);
    assert_int_equal(weft_sleep(WEFT_US(10)), 0);
    weft_future_complete(&a->answer, 7 * value);
    return (int)value;
}

// travel runs in one runtime, and has children in the other, which it joins and
// cancels.
static int travel(void *arg)
{
    struct abroad *a = arg;
    weft_task *t;
    int result = 0;

    for (int i = 0; i < 200; i++) {
        weft_future_init(&a->question);
        weft_future_init(&a->answer);
        assert_int_equal(weft_rt_spawn(a->there, &t, answer, a), 0);
        assert_int_equal(ask(a), 42);
        assert_int_equal(weft_join(t, &result), 0);
        assert_int_equal(result, 6);
        assert_int_equal(weft_rt_spawn(a->there, &t, until_cancelled, NULL), 0);
        weft_task_cancel(t);
        if (i % 2)
            assert_int_equal(weft_join(t, NULL), 0);
        else
            weft_detach(t);
    }
    return 0;
}

static void *travel_outside(void *arg)
{
    struct abroad *a = arg;
    return (void *)(intptr_t)weft_rt_block_on(a->here, travel, a);
}

static void two_runtimes_wait_for_each_other(void **state)
{
    weft_rt *one = new_runtime(), *two = new_runtime();
    struct abroad there = { .here = one, .there = two }, back = { .here = two, .there = one };
    pthread_t thread;
    void *result;
    (void)state;

    assert_int_equal(pthread_create(&thread, NULL, travel_outside, &back), 0);
    assert_int_equal(weft_rt_block_on(one, travel, &there), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_null(result);
    // Each may still be in the middle of waking a task of the other: neither is freed
    // before both have stopped.
    assert_int_equal(weft_rt_stop(one, WEFT_NEVER), 0);
    assert_int_equal(weft_rt_stop(two, WEFT_NEVER), 0);
    free_runtime(one);
    free_runtime(two);
}

// --- from outside --------------------------------------------------------------------

enum { THREADS = 8, CALLS = 200 };

static int sum(void *arg)
{
    int *numbers = arg;
    weft_task *t = spawn(return_it, &numbers[0]);

    assert_int_equal(numbers[1] % 16 ? weft_yield() : weft_sleep(WEFT_US(100)), 0);
    return join(t) + numbers[1];
}

static void *block_on_often(void *rt)
{
    for (int i = 0; i < CALLS; i++) {
        int numbers[] = { i, 3 * i };
        assert_int_equal(weft_rt_block_on(rt, sum, numbers), 4 * i);
    }
    return NULL;
}

static void many_threads_block_on_one_runtime(void **state)
{
    pthread_t threads[THREADS];
    weft_rt *rt = new_runtime();
    (void)state;

    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, block_on_often, rt), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    free_runtime(rt);
}

// --- stopping ------------------------------------------------------------------------

struct hog {
    _Atomic bool running, enough;
};

static int compute(void *arg)
{
    struct hog *h = arg;
    wf_store_relaxed(&h->running, true); // relaxed: a flag
    while (!wf_load_relaxed(&h->enough)) // relaxed: a flag
        ;
    return weft_cancelled() ? 11 : 12;
}

static void stop_times_out_while_a_task_computes_and_may_be_called_again(void **state)
{
    struct hog hog = { 0 };
    weft_rt *rt = new_runtime();
    weft_task *t, *sleeper;
    intptr_t value = 0;
    (void)state;

    assert_int_equal(weft_rt_spawn(rt, &t, compute, &hog), 0);
    assert_int_equal(weft_rt_spawn(rt, &sleeper, until_cancelled, NULL), 0);
    while (!wf_load_relaxed(&hog.running)) // relaxed: a flag
        usleep(100);
    for (int i = 0; i < 3; i++) {
        weft_time deadline = i ? weft_after(WEFT_MS(5 * i)) : 0;
        assert_int_equal(weft_rt_stop(rt, deadline), -ETIMEDOUT);
        assert_true(weft_now() >= deadline);
        assert_false(weft_task_done(t));
        assert_int_equal(weft_rt_spawn(rt, NULL, until_cancelled, NULL), -ECANCELED); // it has begun all the same
    }
    wf_store_relaxed(&hog.enough, true); // relaxed: a flag
    assert_int_equal(weft_rt_stop(rt, WEFT_NEVER), 0);
    assert_int_equal(weft_rt_stop(rt, WEFT_NEVER), 0);

    // Handles outlive the threads.
    assert_true(weft_task_done(t) && weft_task_done(sleeper));
    assert_int_equal(weft_future_wait_thread(weft_task_future(t), &value, 0), 0);
    assert_int_equal(value, 11);
    assert_int_equal(weft_future_wait_thread(weft_task_future(sleeper), &value, WEFT_NEVER), 0);
    assert_int_equal(value, -ECANCELED);
    assert_string_equal(weft_task_name(t), "");
    assert_int_not_equal(weft_task_id(t), weft_task_id(sleeper));
    weft_task_cancel(sleeper);
    weft_detach(sleeper);
    free_runtime(rt);
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void after_a_stop_nothing_begins(void **state)
{
    weft_rt *rt = new_runtime();
    weft_task *t = (weft_task *)state;

    assert_int_equal(weft_rt_stop(rt, WEFT_NEVER), 0);
    assert_int_equal(weft_rt_spawn(rt, &t, nothing, NULL), -ECANCELED);
    assert_ptr_equal(t, state);
    assert_int_equal(weft_rt_spawn(rt, NULL, nothing, NULL), -ECANCELED);
    assert_int_equal(weft_rt_block_on(rt, nothing, NULL), -ECANCELED);
    free_runtime(rt);
}

static int spawn_until_stopped(void *arg)
{
    int err = 0;
    (void)arg;

    while (!err && !(err = weft_spawn(NULL, nothing, NULL)))
        err = weft_yield();
    assert_int_equal(err, -ECANCELED);
    return err;
}

static int nap_until_stopped(void *arg)
{
    int err = 0;
    (void)arg;

    while (!err)
        err = weft_sleep(WEFT_US(20));
    return err;
}

static int join_until_stopped(void *arg)
{
    int err = 0;
    (void)arg;

    while (!err) {
        weft_task *t;
        err = weft_spawn(&t, nothing, NULL);
        if (err)
            break;
        err = weft_join(t, NULL);
        if (err)
            weft_detach(t);
    }
    assert_int_equal(err, -ECANCELED);
    return err;
}

static int talk_until_stopped(void *arg)
{
    const int *pair = arg;
    ssize_t n = 1;
    char byte = 0;

    while (n == 1 && (n = weft_write(pair[0], &byte, 1)) == 1)
        n = weft_read(pair[0], &byte, 1);
    assert_int_equal(n, -ECANCELED);
    return (int)n;
}

static int block_until_stopped(void *arg)
{
    int err = 0;
    (void)arg;

    while (!err)
        err = weft_blocking(nothing, NULL);
    assert_int_equal(err, -ECANCELED);
    return err;
}

struct feeder {
    weft_rt *rt;
    int spawn_err, block_err; // that ended it
};

static void *feed_until_stopped(void *arg)
{
    struct feeder *f = arg;

    while (!f->spawn_err) {
        f->spawn_err = weft_rt_spawn(f->rt, NULL, nothing, NULL);
        f->block_err = weft_rt_block_on(f->rt, nothing, NULL);
    }
    return NULL;
}

static void a_stop_under_load_ends_everything(void **state)
{
    static weft_fn *const load[] = { spawn_until_stopped, nap_until_stopped, join_until_stopped, block_until_stopped,
                                     until_cancelled };
    struct wf_test_rand rand = wf_test_rand(3);
    (void)state;

    for (unsigned round = wf_test_rounds(30); round > 0; round--) {
        struct feeder feeders[2];
        pthread_t threads[2];
        int pair[2];
        weft_rt *rt = new_runtime();

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        for (unsigned i = 0; i < 20; i++)
            assert_int_equal(weft_rt_spawn(rt, NULL, load[i % wf_countof(load)], NULL), 0);
        assert_int_equal(weft_rt_spawn(rt, NULL, talk_until_stopped, pair), 0);
        assert_int_equal(weft_rt_spawn(rt, NULL, talk_until_stopped, (int[]){ pair[1] }), 0);
        for (int i = 0; i < 2; i++) {
            feeders[i] = (struct feeder){ .rt = rt };
            assert_int_equal(pthread_create(&threads[i], NULL, feed_until_stopped, &feeders[i]), 0);
        }
        usleep(wf_test_below(&rand, 4000));
        assert_int_equal(weft_rt_stop(rt, WEFT_NEVER), 0);
        for (int i = 0; i < 2; i++) {
            pthread_join(threads[i], NULL);
            assert_int_equal(feeders[i].spawn_err, -ECANCELED);
            assert_int_equal(feeders[i].block_err, -ECANCELED);
        }
        free_runtime(rt);
        close(pair[0]);
        close(pair[1]);
    }
}

// --- the dump ------------------------------------------------------------------------

// dump writes the dump of the calling task's runtime into `text`.
static void dump(char *text, size_t n)
{
    int fd = memfd_create("dump", MFD_CLOEXEC);

    assert_true(fd >= 0);
    weft_rt_dump(weft_rt_current(), fd);
    ssize_t got = pread(fd, text, n - 1, 0);
    assert_true(got >= 0);
    text[got] = 0;
    close(fd);
}

// wait_said returns once the dump has a line that begins with "  task ID WORDS".
static void wait_said(weft_task *t, const char *words)
{
    static char text[1 << 15], line[1024];

    snprintf(line, sizeof(line), "\n  task %llu%s", (unsigned long long)weft_task_id(t), words);
    for (dump(text, sizeof(text)); !strstr(text, line); dump(text, sizeof(text)))
        assert_int_equal(weft_sleep(WEFT_US(200)), 0);
}

static int join_handle(void *arg)
{
    return weft_join(arg, NULL);
}

static int dump_tasks(void *arg)
{
    static char name[401], text[1 << 15];
    char words[128];
    weft_spawn_opts opts = WEFT_SPAWN_OPTS_INIT;
    weft_task *sleeper, *joiner, *verbose;
    (void)arg;

    opts.name = "the sleeper";
    assert_int_equal(weft_spawn_with(&sleeper, &opts, until_cancelled, NULL), 0);
    wait_said(sleeper, " 'the sleeper': parked, waits for sleep, without end\n");
    joiner = spawn(join_handle, sleeper);
    snprintf(words, sizeof(words), ": parked, waits for join task %llu", (unsigned long long)weft_task_id(sleeper));
    wait_said(joiner, words);
    wait_said(weft_self(), ": running on worker ");

    memset(name, 'x', sizeof(name) - 1);
    opts.name = name;
    assert_int_equal(weft_spawn_with(&verbose, &opts, until_cancelled, NULL), 0);
    dump(text, sizeof(text));
    const char *at = strstr(text, " 'xxxx");
    assert_non_null(at);
    assert_true(strspn(at + 2, "x") + 2 == strcspn(at, "\n")); // cut off, but a line by itself
    assert_non_null(strstr(text, "weft: 4 tasks alive\n"));
    assert_true(strncmp(text, "weft: ", 6) == 0);

    weft_task_cancel(sleeper);
    assert_int_equal(join(joiner), 0);
    weft_task_cancel(verbose);
    assert_int_equal(join(verbose), -ECANCELED);
    dump(text, sizeof(text));
    assert_non_null(strstr(text, "weft: 1 tasks alive\n"));
    assert_null(strstr(text, "sleeper"));
    return 0;
}

static void the_dump_has_a_line_for_each_task(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(dump_tasks, NULL), 0);
}

static void *dump_often(void *arg)
{
    struct hog *h = ((void **)arg)[0];
    weft_rt *rt = ((void **)arg)[1];
    int fd = memfd_create("dump", MFD_CLOEXEC);

    assert_true(fd >= 0);
    while (!wf_load_relaxed(&h->enough)) { // relaxed: a flag
        assert_int_equal(ftruncate(fd, 0), 0);
        weft_rt_dump(rt, fd);
    }
    close(fd);
    return NULL;
}

static int spawn_named(void *arg)
{
    static const char *const names[] = { "one", "another", NULL };
    (void)arg;

    for (unsigned i = wf_test_rounds(3000); i > 0; i--) {
        weft_spawn_opts opts = WEFT_SPAWN_OPTS_INIT;
        weft_task *t;
        opts.name = names[i % wf_countof(names)];
        assert_int_equal(weft_spawn_with(&t, &opts, i % 2 ? nothing : until_cancelled, NULL), 0);
        assert_int_equal(weft_yield(), 0);
        weft_task_cancel(t);
        join(t);
    }
    return 0;
}

static void a_dump_may_be_made_at_any_time(void **state)
{
    struct hog stop = { 0 };
    weft_rt *rt = new_runtime();
    void *arg[] = { &stop, rt };
    pthread_t thread;
    (void)state;

    assert_int_equal(pthread_create(&thread, NULL, dump_often, arg), 0);
    assert_int_equal(weft_rt_block_on(rt, spawn_named, NULL), 0);
    assert_int_equal(weft_rt_stop(rt, WEFT_NEVER), 0);
    weft_rt_dump(rt, STDOUT_FILENO);      // also of one that has stopped
    wf_store_relaxed(&stop.enough, true); // relaxed: a flag
    pthread_join(thread, NULL);
    free_runtime(rt);
}

// --- all asleep ----------------------------------------------------------------------

static int say_so(void *arg)
{
    wf_store_release((_Atomic bool *)arg, true);
    return 0;
}

// spawn_and_compute leaves a task behind itself in its worker's queue, and computes
// until that has run.
static int spawn_and_compute(void *arg)
{
    _Atomic bool ran = false;
    weft_task *t = spawn(say_so, (void *)&ran);
    (void)arg;

    while (!wf_load_acquire(&ran)) // not a call that parks
        sched_yield();
    return join(t);
}

static bool has_several_workers(void)
{
    const char *workers = getenv("WEFT_WORKERS");
    return workers ? atoi(workers) > 1 : sysconf(_SC_NPROCESSORS_ONLN) > 1;
}

// The reactor thread does not monitor workers that all sleep for long. A task that
// wakes one up, and then computes, must not delay the tasks queued behind it: another
// worker is woken for them, or the task computes indefinitely.
static void behind_a_task_that_wakes_a_sleeping_runtime_nobody_waits_for_ever(void **state)
{
    weft_rt *rt = new_runtime();
    (void)state;

    for (unsigned i = wf_test_rounds(20); i > 0 && has_several_workers(); i--) {
        usleep(60000); // longer than any linger; a shorter one tests less
        assert_int_equal(weft_rt_block_on(rt, spawn_and_compute, NULL), 0);
    }
    free_runtime(rt);
}

// --- memory --------------------------------------------------------------------------

enum { WAVE = 16384, WAVE_BYTES = WAVE * 4096 };

static long resident_bytes(void)
{
    long pages = -1;
    FILE *f = fopen("/proc/self/statm", "re");

    assert_non_null(f);
    assert_int_equal(fscanf(f, "%*d %ld", &pages), 1);
    fclose(f);
    return pages * sysconf(_SC_PAGESIZE);
}

static _Atomic unsigned in_wave;

static int join_wave(void *arg)
{
    wf_fetch_add_relaxed(&in_wave, 1u); // relaxed: a counter
    return until_cancelled(arg);
}

// spawn_wave has all tasks alive at once. Returns the memory they have, more or less.
static int spawn_wave(void *arg)
{
    weft_task **tasks = calloc(WAVE, sizeof(*tasks));

    assert_non_null(tasks);
    for (int i = 0; i < WAVE; i++)
        tasks[i] = spawn(join_wave, NULL);
    while (wf_load_relaxed(&in_wave) < WAVE) // relaxed: a counter
        assert_int_equal(weft_sleep(WEFT_MS(1)), 0);
    *(long *)arg = resident_bytes();
    for (int i = 0; i < WAVE; i++) {
        weft_task_cancel(tasks[i]);
        assert_int_equal(join(tasks[i]), -ECANCELED);
    }
    free(tasks);
    return 0;
}

static void the_memory_of_a_wave_of_tasks_goes_back_though_nothing_runs_any_more(void **state)
{
    long crest;
    weft_rt *rt = new_runtime();
    (void)state;

    assert_int_equal(weft_rt_block_on(rt, spawn_wave, &crest), 0);
    while (resident_bytes() > crest - WAVE_BYTES / 4) // without calls into the runtime; else the test times out
        usleep(1000);
    free_runtime(rt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(a_runtime_may_be_used_stopped_and_freed_again_and_again),
        left_test(a_runtime_that_nobody_uses_ends),
        left_test(weft_run_returns_the_result_of_the_body),
        left_test(weft_run_waits_for_what_the_body_left_running),
        left_test(two_runtimes_wait_for_each_other),
        left_test(many_threads_block_on_one_runtime),
        left_test(stop_times_out_while_a_task_computes_and_may_be_called_again),
        left_test(after_a_stop_nothing_begins),
        left_test(a_stop_under_load_ends_everything),
        left_test(the_dump_has_a_line_for_each_task),
        left_test(a_dump_may_be_made_at_any_time),
        left_test(behind_a_task_that_wakes_a_sleeping_runtime_nobody_waits_for_ever),
        left_test(the_memory_of_a_wave_of_tasks_goes_back_though_nothing_runs_any_more),
    };
    return wf_test_run(tests);
}
