// Tasks as a program sees them: spawned, joined, detached, cancelled, pinned.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomic.h"
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

// --- birth and end -------------------------------------------------------------------

static int join_results(void *arg)
{
    static const int results[] = { 0, 1, -1, INT_MAX, INT_MIN, -ECANCELED, -ENOMEM };
    weft_task *tasks[wf_countof(results)];
    (void)arg;

    for (size_t i = 0; i < wf_countof(results); i++)
        tasks[i] = spawn(return_it, (void *)&results[i]);
    for (size_t i = wf_countof(results); i-- > 0;)
        assert_int_equal(join(tasks[i]), results[i]);
    assert_int_equal(weft_join(spawn(return_it, (void *)&results[1]), NULL), 0);
    return 0;
}

static void join_returns_any_result(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(join_results, NULL), 0);
}

static int look_at_self(void *arg)
{
    weft_task **handle = arg;
    assert_ptr_equal(weft_self(), *handle);
    assert_false(weft_task_done(*handle));
    assert_false(weft_cancelled());
    return 7;
}

static int self_and_done(void *arg)
{
    weft_task *t;
    (void)arg;

    assert_int_equal(weft_spawn(&t, look_at_self, &t), 0);
    while (!weft_task_done(t))
        assert_int_equal(weft_yield(), 0);
    assert_int_equal(join(t), 7);
    return 0;
}

static void a_task_finds_itself_in_its_handle(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(self_and_done, NULL), 0);
    assert_null(weft_self());
    assert_false(weft_cancelled());
    assert_null(weft_rt_current());
}

static int names(void *arg)
{
    weft_spawn_opts opts = WEFT_SPAWN_OPTS_INIT;
    weft_task *named, *plain = spawn(until_cancelled, NULL);
    (void)arg;

    opts.name = "somebody";
    assert_int_equal(weft_spawn_with(&named, &opts, until_cancelled, NULL), 0);
    assert_string_equal(weft_task_name(named), "somebody");
    assert_string_equal(weft_task_name(plain), "");
    assert_string_equal(weft_task_name(weft_self()), "");
    weft_task_cancel(named);
    weft_task_cancel(plain);
    assert_int_equal(join(named), -ECANCELED);
    assert_string_equal(weft_task_name(plain), "");
    assert_int_equal(join(plain), -ECANCELED);
    // The header of one that had a name is used again.
    plain = spawn(until_cancelled, NULL);
    assert_string_equal(weft_task_name(plain), "");
    weft_task_cancel(plain);
    return join(plain);
}

static void names_are_kept_and_not_inherited(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(names, NULL), -ECANCELED);
}

// --- numbers -------------------------------------------------------------------------

enum { SPAWNERS = 4, EACH = 500 };

static int own_id(void *arg)
{
    *(uint64_t *)arg = weft_task_id(weft_self());
    return 0;
}

static int spawn_each(void *arg)
{
    weft_task *tasks[EACH];
    uint64_t *ids = arg;

    for (int i = 0; i < EACH; i++)
        tasks[i] = spawn(own_id, &ids[i]);
    for (int i = 0; i < EACH; i++) {
        uint64_t id = weft_task_id(tasks[i]);
        assert_int_equal(join(tasks[i]), 0);
        assert_int_equal(ids[i], id);
    }
    return 0;
}

struct outside {
    weft_rt *rt;
    uint64_t *ids;
};

static void *spawn_each_from_outside(void *arg)
{
    struct outside *o = arg;
    weft_task *tasks[EACH];
    intptr_t value;

    for (int i = 0; i < EACH; i++)
        assert_int_equal(weft_rt_spawn(o->rt, &tasks[i], own_id, &o->ids[i]), 0);
    for (int i = 0; i < EACH; i++) {
        assert_int_equal(weft_future_wait_thread(weft_task_future(tasks[i]), &value, WEFT_NEVER), 0);
        assert_int_equal(value, 0);
        assert_int_equal(o->ids[i], weft_task_id(tasks[i]));
        weft_detach(tasks[i]);
    }
    return NULL;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int spawn_from_everywhere(void *arg)
{
    uint64_t *ids = arg;
    weft_task *inside[SPAWNERS];
    pthread_t threads[SPAWNERS];
    struct outside outside[SPAWNERS];

    for (int i = 0; i < SPAWNERS; i++) {
        outside[i] = (struct outside){ weft_rt_current(), ids + (SPAWNERS + i) * EACH };
        assert_int_equal(pthread_create(&threads[i], NULL, spawn_each_from_outside, &outside[i]), 0);
        inside[i] = spawn(spawn_each, ids + i * EACH);
    }
    for (int i = 0; i < SPAWNERS; i++)
        assert_int_equal(join(inside[i]), 0);
    for (int i = 0; i < SPAWNERS; i++)
        while (pthread_tryjoin_np(threads[i], NULL) == EBUSY) // a worker of one must not block
            assert_int_equal(weft_sleep(WEFT_MS(1)), 0);
    return 0;
}

static void numbers_are_unique_in_the_process(void **state)
{
    enum { HALF = 2 * SPAWNERS * EACH };
    uint64_t *ids = calloc(2 * HALF, sizeof(*ids));
    (void)state;

    assert_non_null(ids);
    assert_int_equal(run_tasks(spawn_from_everywhere, ids), 0);
    assert_int_equal(run_tasks(spawn_from_everywhere, ids + HALF), 0); // a second runtime does not begin anew
    qsort(ids, 2 * HALF, sizeof(*ids), by_number);
    assert_int_not_equal(ids[0], 0);
    for (int i = 1; i < 2 * HALF; i++)
        assert_true(ids[i - 1] < ids[i]);
    free(ids);
}

// --- detaching -----------------------------------------------------------------------

struct detached {
    weft_task *handle;
    weft_future ended;
};

static int detach_self(void *arg)
{
    struct detached *d = arg;
    weft_detach(d->handle);
    assert_int_equal(weft_yield(), 0);
    assert_ptr_equal(weft_self(), d->handle); // the header is the task's until it ends
    weft_future_complete(&d->ended, 1);
    return 0;
}

static int end_soon(void *arg)
{
    struct detached *d = arg;
    assert_int_equal(weft_yield(), 0);
    weft_future_complete(&d->ended, 2);
    return 0;
}

static int detach_in_every_way(void *arg)
{
    struct detached d;
    intptr_t value;
    (void)arg;

    for (int i = 0; i < 300; i++) {
        weft_future_init(&d.ended);
        assert_int_equal(weft_spawn(&d.handle, detach_self, &d), 0);
        assert_int_equal(weft_await(&d.ended, &value), 0);

        weft_future_init(&d.ended); // detached before it begins, as a rule
        assert_int_equal(weft_spawn(&d.handle, end_soon, &d), 0);
        weft_detach(d.handle);
        assert_int_equal(weft_await(&d.ended, &value), 0);
        assert_int_equal(value, 2);

        weft_future_init(&d.ended); // detached after its end, or in the middle of it
        assert_int_equal(weft_spawn(&d.handle, end_soon, &d), 0);
        assert_int_equal(weft_await(&d.ended, NULL), 0);
        weft_detach(d.handle);
    }
    return 0;
}

static void handles_may_be_given_up_at_any_time(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(detach_in_every_way, NULL), 0);
}

struct crowd {
    _Atomic unsigned left;
    weft_future gone;
};

static int leave_crowd(void *arg)
{
    struct crowd *c = arg;
    if (wf_fetch_add_acq_rel(&c->left, UINT_MAX) == 1) // acq_rel: the last sees what all did
        weft_future_complete(&c->gone, 0);
    return 0;
}

static int spawn_crowd(void *arg)
{
    unsigned n = *(unsigned *)arg;
    struct crowd c = { n, WEFT_FUTURE_INIT };

    for (unsigned i = 0; i < n; i++)
        assert_int_equal(weft_spawn(NULL, leave_crowd, &c), 0);
    return weft_await(&c.gone, NULL);
}

static void a_hundred_thousand_detached_tasks_all_run(void **state)
{
    unsigned n = wf_test_rounds(100000);
    (void)state;
    assert_int_equal(run_tasks(spawn_crowd, &n), 0);
}

// --- stacks --------------------------------------------------------------------------

static WF_NOINLINE int recurse(int depth)
{
    volatile char frame[512];
    memset((char *)frame, depth & 0x7f, sizeof(frame));
    int below = depth > 0 ? recurse(depth - 1) : 0;
    return below + (frame[depth % 512] == (depth & 0x7f) ? 1 : 0);
}

static int recurse_in_task(void *arg)
{
    return recurse(*(int *)arg);
}

static int recurse_by_stack_size(void *arg)
{
    // A frame may be several times as large in a sanitizer's build. Under 2^16 deep:
    // ThreadSanitizer counts the calls in an array of that size, and overruns it
    // without a word.
    static const struct {
        size_t stack_size;
        int depth;
    } cases[] = {
        { 0, 20 }, { 16 << 10, 4 }, { 1, 4 }, { (1 << 20) - 1, 300 }, { 16 << 20, 5000 }, { 256 << 20, 50000 }
    };
    weft_spawn_opts opts = WEFT_SPAWN_OPTS_INIT;
    (void)arg;

    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < wf_countof(cases); i++) {
            weft_task *t;
            int depth = cases[i].depth;
            opts.stack_size = cases[i].stack_size;
            assert_int_equal(weft_spawn_with(&t, &opts, recurse_in_task, &depth), 0);
            assert_int_equal(join(t), depth + 1);
        }
    }
    return 0;
}

static void stacks_are_as_large_as_asked_for(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(recurse_by_stack_size, NULL), 0);
}

static int refuse_options(void *arg)
{
    weft_spawn_opts opts = WEFT_SPAWN_OPTS_INIT;
    weft_task *t = (weft_task *)arg;

    opts.stack_size = ((size_t)256 << 20) + 1;
    assert_int_equal(weft_spawn_with(&t, &opts, until_cancelled, NULL), -EINVAL);
    opts.stack_size = SIZE_MAX;
    assert_int_equal(weft_spawn_with(NULL, &opts, until_cancelled, NULL), -EINVAL);
    opts = (weft_spawn_opts)WEFT_SPAWN_OPTS_INIT;
    opts.size = 0;
    assert_int_equal(weft_spawn_with(&t, &opts, until_cancelled, NULL), -EINVAL);
    opts.size = sizeof(opts) + 1;
    assert_int_equal(weft_spawn_with(&t, &opts, until_cancelled, NULL), -EINVAL);
    assert_ptr_equal(t, arg); // nothing was made
    return 0;
}

static void bad_options_are_refused(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(refuse_options, state), 0);
}

// --- cancelling ----------------------------------------------------------------------

struct victim {
    weft_future never;
    weft_task *peer; // ends only when cancelled
    int pipe[2];     // never written to
};

static int in_sleep(struct victim *v)
{
    (void)v;
    return weft_sleep(WEFT_S(3600));
}

static int in_sleep_until(struct victim *v)
{
    (void)v;
    return weft_sleep_until(WEFT_NEVER);
}

static int in_join(struct victim *v)
{
    int result = 12345;
    int err = weft_join(v->peer, &result);
    assert_int_equal(result, 12345);
    return err;
}

static int in_await(struct victim *v)
{
    return weft_await(&v->never, NULL);
}

static int in_await_until(struct victim *v)
{
    return weft_await_until(&v->never, NULL, weft_after(WEFT_S(3600)));
}

static int in_read(struct victim *v)
{
    char byte;
    return (int)weft_read(v->pipe[0], &byte, 1);
}

static int in_poll(struct victim *v)
{
    return weft_poll(v->pipe[0], POLLIN);
}

static int in_yield(struct victim *v)
{
    (void)v;
    for (;;) {
        int err = weft_yield();
        if (err)
            return err;
    }
}

static const struct {
    int (*call)(struct victim *);
    const char *dumped; // NULL: it does not park
} calls[] = {
    { in_sleep, "sleep" },        { in_sleep_until, "sleep" }, { in_join, "join task" }, { in_await, "future" },
    { in_await_until, "future" }, { in_read, "weft_read" },    { in_poll, "weft_poll" }, { in_yield, NULL },
};

struct one_call {
    struct victim *victim;
    size_t which;
};

static int call_until_cancelled(void *arg)
{
    struct one_call *one = arg;

    assert_int_equal(calls[one->which].call(one->victim), -ECANCELED);
    assert_true(weft_cancelled());
    for (int round = 0; round < 2; round++) // level, not edge; and each of them at once
        for (size_t i = 0; i < wf_countof(calls); i++)
            assert_int_equal(calls[i].call(one->victim), -ECANCELED);
    assert_int_equal(weft_sleep(0), -ECANCELED);
    assert_int_equal(weft_sleep_until(0), -ECANCELED);
    assert_int_equal(weft_await_until(&one->victim->never, NULL, 0), -ECANCELED);
    return 1;
}

static int cancel_in_each_call(void *arg)
{
    struct victim v = { .never = WEFT_FUTURE_INIT, .peer = spawn(until_cancelled, NULL) };
    (void)arg;

    assert_int_equal(pipe2(v.pipe, O_CLOEXEC), 0);
    for (int early = 0; early < 2; early++) {
        for (size_t i = 0; i < wf_countof(calls); i++) {
            struct one_call one = { &v, i };
            weft_task *t = spawn(call_until_cancelled, &one);
            if (calls[i].dumped && !early)
                wait_parked(t, calls[i].dumped);
            weft_task_cancel(t); // early: as a rule before it has begun. It runs all the same
            weft_task_cancel(t);
            assert_int_equal(join(t), 1);
        }
    }
    assert_false(weft_future_done(&v.never));
    assert_false(weft_task_done(v.peer)); // its cancelled joiners left it alone, and the handle is still good
    weft_task_cancel(v.peer);
    assert_int_equal(join(v.peer), -ECANCELED);
    assert_int_equal(weft_close(v.pipe[0]), 0);
    assert_int_equal(weft_close(v.pipe[1]), 0);
    return 0;
}

static void a_cancel_reaches_every_call_and_stays(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(cancel_in_each_call, NULL), 0);
}

static int await_value(void *arg)
{
    intptr_t value = -1;
    int err = weft_await(arg, &value);
    return err ? err : (int)value;
}

static int complete_then_cancel(void *arg)
{
    weft_future f = WEFT_FUTURE_INIT;
    weft_task *t = spawn(await_value, &f);
    (void)arg;

    wait_parked(t, "future");
    weft_future_complete(&f, 99);
    weft_task_cancel(t);
    assert_int_equal(join(t), 99); // what came first counts

    t = spawn(await_value, &f);
    assert_int_equal(join(t), 99);
    weft_task_cancel(weft_self());
    assert_true(weft_cancelled());
    assert_int_equal(weft_await(&f, NULL), -ECANCELED); // but a task that was cancelled before it asked gets no answer
    return 0;
}

static void a_call_that_completed_before_the_cancel_reports_so(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(complete_then_cancel, NULL), 0);
}

static int cancelled_self(void *arg)
{
    weft_task_cancel(weft_self());
    assert_int_equal(weft_spawn((weft_task **)arg, until_cancelled, NULL), 0); // spawning does not park
    assert_int_equal(weft_join(*(weft_task **)arg, NULL), -ECANCELED);
    return 5;
}

static int adopt_from_cancelled(void *arg)
{
    weft_task *grandchild = NULL;
    (void)arg;

    assert_int_equal(join(spawn(cancelled_self, &grandchild)), 5);
    assert_int_equal(weft_sleep(WEFT_MS(1)), 0);
    assert_false(weft_task_done(grandchild)); // a cancel is not inherited
    weft_task_cancel(grandchild);
    return join(grandchild);
}

static void a_cancelled_joiner_keeps_the_handle_which_others_may_join(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(adopt_from_cancelled, NULL), -ECANCELED);
}

// --- yielding ------------------------------------------------------------------------

static int set_flag(void *arg)
{
    int err = weft_sleep(WEFT_MS(2));
    wf_store_release((_Atomic bool *)arg, true); // release: to the task that yields
    return err;
}

static int yield_until_set(void *arg)
{
    _Atomic bool flag = false;
    weft_task *t = spawn(set_flag, &flag);
    (void)arg;

    while (!wf_load_acquire(&flag)) // acquire: from set_flag
        assert_int_equal(weft_yield(), 0);
    return join(t);
}

static void who_only_yields_keeps_nobody_from_running(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(yield_until_set, NULL), 0);
}

// --- pinned tasks --------------------------------------------------------------------

enum { PINNED = 40, LAPS = 3 };

struct pinned {
    weft_future from_outside[LAPS];
    _Atomic unsigned laps; // that it waits for now, or has done
    int pair[2];
};

static pid_t thread_id(void)
{
    return (pid_t)syscall(SYS_gettid);
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int stay(void *arg)
{
    struct pinned *p = arg;
    pid_t home = thread_id();
    char byte;

    for (unsigned lap = 0; lap < LAPS; lap++) {
        for (int i = 0; i < 20; i++) {
            assert_int_equal(weft_yield(), 0);
            assert_int_equal(thread_id(), home);
        }
        assert_int_equal(weft_sleep(WEFT_US(300)), 0);
        assert_int_equal(thread_id(), home);
        assert_int_equal(join(spawn(nothing, NULL)), 0);
        assert_int_equal(thread_id(), home);
        wf_store_release(&p->laps, lap + 1); // release: to wake_from_outside
        assert_int_equal(weft_await(&p->from_outside[lap], NULL), 0);
        assert_int_equal(thread_id(), home);
        assert_int_equal(weft_read(p->pair[0], &byte, 1), 1);
        assert_int_equal(thread_id(), home);
    }
    return 0;
}

static void *wake_from_outside(void *arg)
{
    struct pinned *all = arg;

    for (unsigned lap = 0; lap < LAPS; lap++) {
        for (int i = 0; i < PINNED; i++)
            while (wf_load_acquire(&all[i].laps) <= lap) // acquire: from stay
                usleep(100);
        usleep(40000); // time for the workers to fall asleep: it makes the test sharper, not right
        for (int i = 0; i < PINNED; i++)
            weft_future_complete(&all[i].from_outside[lap], 0);
        usleep(lap * 20000);
        for (int i = 0; i < PINNED; i++)
            assert_int_equal(write(all[i].pair[1], "x", 1), 1);
    }
    return NULL;
}

static int pin_many(void *arg)
{
    struct pinned *all = arg;
    weft_task *tasks[PINNED];
    weft_spawn_opts opts = WEFT_SPAWN_OPTS_INIT;

    opts.pinned = true;
    opts.name = "pinned";
    for (int i = 0; i < PINNED; i++)
        assert_int_equal(weft_spawn_with(&tasks[i], &opts, stay, &all[i]), 0);
    for (int i = 0; i < PINNED; i++)
        assert_int_equal(join(tasks[i]), 0);
    return 0;
}

static void pinned_tasks_stay_on_their_thread(void **state)
{
    struct pinned *all = calloc(PINNED, sizeof(*all));
    pthread_t thread;
    (void)state;

    assert_non_null(all);
    for (int i = 0; i < PINNED; i++)
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, all[i].pair), 0);
    assert_int_equal(pthread_create(&thread, NULL, wake_from_outside, all), 0);
    assert_int_equal(run_tasks(pin_many, all), 0);
    pthread_join(thread, NULL);
    for (int i = 0; i < PINNED; i++) {
        close(all[i].pair[0]);
        close(all[i].pair[1]);
    }
    free(all);
}

static int pinned_sleeps(void *arg)
{
    pid_t home = thread_id();
    (void)arg;

    for (int i = 0; i < 5; i++) { // all workers sleep: in the poll, then in the futex
        assert_int_equal(weft_sleep(WEFT_MS(i * 15)), 0);
        assert_int_equal(thread_id(), home);
    }
    return 0;
}

static int pin_one(void *arg)
{
    weft_spawn_opts opts = WEFT_SPAWN_OPTS_INIT;
    weft_task *t;
    (void)arg;

    opts.pinned = true;
    assert_int_equal(weft_spawn_with(&t, &opts, pinned_sleeps, NULL), 0);
    return join(t);
}

static void a_pinned_task_is_woken_where_its_worker_sleeps(void **state)
{
    (void)state;
    for (unsigned i = wf_test_rounds(5); i > 0; i--)
        assert_int_equal(run_tasks(pin_one, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(join_returns_any_result),
        left_test(a_task_finds_itself_in_its_handle),
        left_test(names_are_kept_and_not_inherited),
        left_test(numbers_are_unique_in_the_process),
        left_test(handles_may_be_given_up_at_any_time),
        left_test(a_hundred_thousand_detached_tasks_all_run),
        left_test(stacks_are_as_large_as_asked_for),
        left_test(bad_options_are_refused),
        left_test(a_cancel_reaches_every_call_and_stays),
        left_test(a_call_that_completed_before_the_cancel_reports_so),
        left_test(a_cancelled_joiner_keeps_the_handle_which_others_may_join),
        left_test(who_only_yields_keeps_nobody_from_running),
        left_test(pinned_tasks_stay_on_their_thread),
        left_test(a_pinned_task_is_woken_where_its_worker_sleeps),
    };
    return wf_test_run(tests);
}
