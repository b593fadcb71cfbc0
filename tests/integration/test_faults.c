// When the system refuses memory, descriptors or threads: a clear error, nothing left
// behind, and all others go on. The test needs a library with fault injection
// (WF_FAULTS); test_faults.slots4 has it in every build.
#include "base/mem.h"
#include "tests/support/harness.h"

#ifndef WF_FAULTS
static void faults_cannot_be_injected_in_this_build(void **state)
{
    (void)state;
    wf_test_skip("the library is built without fault injection; test_faults.slots4 has it");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(faults_cannot_be_injected_in_this_build) };
    return wf_test_run(tests);
}
#else

#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>

#include "base/atomic.h"
#include "tests/support/child.h"
#include "tests/support/left.h"
#include "tests/support/tasks.h"

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static bool is_shortage(int err)
{
    return err == -ENOMEM || err == -EAGAIN || err == -EMFILE;
}

// --- making a runtime ----------------------------------------------------------------

static void make_with_faults(bool and_all_later)
{
    unsigned failed = 0;

    for (long n = 1;; n++) {
        weft_rt *rt = (weft_rt *)&failed;
        wf_mem_fail_at(n, and_all_later);
        int err = weft_rt_new(&rt, NULL);
        long passed = wf_mem_count();
        wf_mem_fail_at(0, false);
        if (err == 0) {
            assert_int_equal(weft_rt_block_on(rt, nothing, NULL), 0);
            weft_rt_free(rt);
            assert_true(passed < n); // no fault was overlooked
            break;
        }
        assert_true(is_shortage(err));
        assert_ptr_equal(rt, &failed);
        left_after(NULL);
        failed++;
    }
    assert_true(failed >= 8);
}

static void a_runtime_is_made_whole_or_not_at_all(void **state)
{
    (void)state;
    make_with_faults(false);
    make_with_faults(true);
}

static void make_without_descriptors(void *arg)
{
    struct rlimit files = { 0, 0 };
    weft_rt *rt;
    int err;
    (void)arg;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    unsigned before = left_count("/proc/self/fd");
    for (files.rlim_cur = 0; files.rlim_cur < 1024; files.rlim_cur++) {
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
        err = weft_rt_new(&rt, NULL);
        if (err == 0)
            break;
        assert_int_equal(err, -EMFILE);
    }
    assert_int_equal(err, 0);
    assert_int_equal(weft_rt_block_on(rt, nothing, NULL), 0);
    weft_rt_free(rt);
    files.rlim_cur = files.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
    assert_int_equal(left_count("/proc/self/fd"), before);
}

static void without_descriptors_there_is_no_runtime(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, make_without_descriptors, NULL);
    child_expect_exit(&c, 0);
}

// The user NOBODY is not root, to which the limit does not apply, and usually runs
// nothing.
enum { NOBODY = 65534, MAY_NOT = 77 };

static void make_without_threads(void *arg)
{
    struct rlimit threads = { 0, 0 };
    struct left before, now;
    unsigned refused = 0;
    weft_rt *rt;
    int err = 0;
    (void)arg;

    if (geteuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY) < 0)
        _exit(MAY_NOT);
    assert_int_equal(getrlimit(RLIMIT_NPROC, &threads), 0);
    left_take(&before);
    for (threads.rlim_cur = 1; threads.rlim_cur < 5000; threads.rlim_cur++) {
        assert_int_equal(setrlimit(RLIMIT_NPROC, &threads), 0);
        err = weft_rt_new(&rt, NULL);
        if (err == 0)
            break;
        assert_int_equal(err, -EAGAIN);
        refused++;
        left_take(&now);
        assert_int_equal(now.fds, before.fds);
        for (int i = 0; i < 5000 && now.threads > before.threads; i++, left_take(&now))
            usleep(1000);
        assert_int_equal(now.threads, before.threads);
    }
    assert_int_equal(err, 0);
    assert_true(refused >= 2); // the reactor thread, and a worker's
    assert_int_equal(weft_rt_block_on(rt, nothing, NULL), 0);
    weft_rt_free(rt);
}

static void without_threads_there_is_no_runtime(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, make_without_threads, NULL);
    if (WIFEXITED(c.status) && WEXITSTATUS(c.status) == MAY_NOT) {
        wf_test_skip("the process may not become another user, whom the limit would bind");
    }
    child_expect_exit(&c, 0);
}

// --- tasks ---------------------------------------------------------------------------

struct guest {
    weft_future *leave;
    _Atomic unsigned *came;
    weft_task *task;
    void *luggage; // the guest's to free
};

static int stay(void *arg)
{
    struct guest *g = arg;
    wf_fetch_add_relaxed(g->came, 1); // relaxed: a counter
    int err = weft_await(g->leave, NULL);
    assert_true(err == 0 || (err == -ENOMEM && weft_cancelled()));
    free(g->luggage);
    return err;
}

static void invite(struct guest *g, const weft_spawn_opts *opts, unsigned *refused)
{
    weft_task *untouched = (weft_task *)g;

    g->task = untouched;
    int err = weft_spawn_with(&g->task, opts, stay, g);
    if (err == 0)
        return;
    assert_int_equal(err, -ENOMEM);
    assert_ptr_equal(g->task, untouched);
    g->task = NULL;
    free(g->luggage);
    ++*refused;
}

// fill_up keeps every task alive that can be made, until neither headers nor stacks are
// to be had.
static int fill_up(void *arg)
{
    enum { N = 3000 };
    const weft_spawn_opts *opts = arg;
    struct guest *guests = calloc(N, sizeof(*guests));
    weft_future leave = WEFT_FUTURE_INIT;
    _Atomic unsigned came = 0;
    unsigned refused = 0, no_stack = 0, stayed = 0;

    assert_non_null(guests);
    assert_int_equal(join(spawn(nothing, NULL)), 0);
    wf_mem_fail_at(1, true);
    for (int i = 0; i < N; i++) {
        guests[i] = (struct guest){ &leave, &came, NULL, malloc(64) };
        invite(&guests[i], opts, &refused);
        if (i % 8 == 0)
            assert_int_equal(weft_yield(), 0);
    }
    assert_int_equal(weft_sleep(WEFT_MS(1)), 0); // waiting needs no memory
    weft_future_complete(&leave, 0);
    for (int i = 0; i < N; i++) {
        if (!guests[i].task)
            continue;
        int result = join(guests[i].task);
        assert_true(result == 0 || result == -ENOMEM);
        no_stack += result != 0;
        stayed += result == 0;
    }
    wf_mem_fail_at(0, false);
    assert_int_equal(wf_load_relaxed(&came), stayed + no_stack); // relaxed: joined
    assert_int_equal(stayed + no_stack + refused, N);
    assert_true(refused > 0);
    // A stack that is larger than usual is made, or refused, when the task is.
    assert_true(opts->stack_size ? no_stack == 0 : no_stack > 0);
    for (int i = 0; i < 500; i++)
        assert_int_equal(join(spawn(nothing, NULL)), 0);
    free(guests);
    return 0;
}

static void a_task_without_header_is_refused_one_without_stack_cleans_up_and_others_go_on(void **state)
{
    weft_spawn_opts opts = WEFT_SPAWN_OPTS_INIT;
    (void)state;

    assert_int_equal(run_tasks(fill_up, &opts), 0);
    opts.stack_size = 1 << 20;
    assert_int_equal(run_tasks(fill_up, &opts), 0);
    opts.pinned = true;
    assert_int_equal(run_tasks(fill_up, &opts), 0);
}

// spawn_starved starts a task that gets no stack: no other task has a stack of this
// size. The task calls feed() first.
static weft_task *spawn_starved(weft_scope *scope, weft_fn *fn, void *arg)
{
    weft_spawn_opts opts = WEFT_SPAWN_OPTS_INIT;
    weft_task *t;
    int err;

    opts.stack_size = 16 << 10;
    opts.scope = scope;
    do {
        wf_mem_fail_at(0, false);
        assert_int_equal(join(spawn(nothing, NULL)), 0); // so there is a header
        wf_mem_fail_at(1, true);
        err = weft_spawn_with(&t, &opts, fn, arg);
    } while (err == -ENOMEM);
    assert_int_equal(err, 0);
    return t;
}

// feed ends the shortage; what has begun without a stack of its own stays without one.
static void feed(void)
{
    wf_mem_fail_at(0, false);
    assert_true(weft_cancelled());
    assert_int_equal(weft_yield(), -ENOMEM);
}

static int pass_it_on(void *arg)
{
    feed();
    int err = weft_sleep(WEFT_NEVER);
    return arg ? 7 : err;
}

// The child may begin while the opener parks: that must not sleep through its own
// scope's end.
static int wait_for_a_child_without_stack(void *arg)
{
    weft_scope s;
    (void)arg;

    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    weft_detach(spawn_starved(&s, pass_it_on, NULL));
    assert_int_equal(weft_sleep(WEFT_NEVER), -ECANCELED);
    assert_int_equal(weft_scope_close(&s), -ENOMEM);

    weft_scope_open(&s, WEFT_SCOPE_RACE);
    weft_detach(spawn_starved(&s, pass_it_on, &s));
    assert_int_equal(weft_sleep(WEFT_NEVER), -ECANCELED);
    assert_int_equal(weft_scope_close(&s), 7);
    return 0;
}

static void a_child_that_gets_no_stack_decides_its_scope_as_any(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(wait_for_a_child_without_stack, NULL), 0);
}

static weft_local value;
static unsigned destroyed;

static void destroy(void *arg)
{
    assert_int_equal(weft_sleep(1), -ENOMEM);
    destroyed++;
    free(arg);
}

struct belongings {
    int pair[2];
    weft_mutex mutex;
    weft_rwlock rwlock;
    weft_chan *chan;
    weft_future done;
    char *memory;
};

static int give_back(void *arg)
{
    struct belongings *b = arg;
    int n = 42;

    feed();
    weft_shield_begin(WEFT_S(3600)); // does not help
    assert_int_equal(weft_write(b->pair[0], "x", 1), -ENOMEM);
    assert_int_equal(weft_mutex_lock(&b->mutex), -ENOMEM);
    assert_int_equal(weft_blocking(nothing, NULL), -ENOMEM);
    weft_shield_end();
    assert_int_equal(weft_local_set(value, malloc(1)), 0);
    weft_mutex_lock_shielded(&b->mutex); // however long the holder takes, on another thread
    weft_mutex_unlock(&b->mutex);
    weft_rwlock_write_lock_shielded(&b->rwlock);
    weft_rwlock_write_unlock(&b->rwlock);
    assert_int_equal(weft_chan_try_send(b->chan, &n), 0);
    weft_chan_close(b->chan);
    weft_chan_unref(b->chan);
    weft_future_complete(&b->done, 1);
    free(b->memory);
    return weft_close(b->pair[0]);
}

static int lend(void *arg)
{
    struct belongings b = {
        .mutex = WEFT_MUTEX_INIT, .rwlock = WEFT_RWLOCK_INIT, .done = WEFT_FUTURE_INIT, .memory = malloc(100)
    };
    char byte;
    int n = 0;
    (void)arg;

    destroyed = 0;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, b.pair), 0);
    assert_int_equal(weft_chan_new(&b.chan, sizeof(int), 1), 0);
    weft_chan_ref(b.chan);
    assert_int_equal(weft_mutex_lock(&b.mutex), 0);
    assert_int_equal(weft_rwlock_read_lock(&b.rwlock), 0);
    weft_task *t = spawn_starved(NULL, give_back, &b);
    weft_mutex_unlock(&b.mutex);
    for (volatile int i = 0; i < 100000; i++) // time for the other one to wait for this lock
        ;
    weft_rwlock_read_unlock(&b.rwlock);
    assert_int_equal(weft_await(&b.done, NULL), 0);
    assert_int_equal(join(t), 0);
    assert_int_equal(destroyed, 1);
    assert_int_equal(weft_read(b.pair[1], &byte, 1), 0); // the end
    assert_int_equal(weft_chan_recv(b.chan, &n), 0);
    assert_int_equal(n, 42);
    assert_int_equal(weft_chan_recv(b.chan, &n), -EPIPE);
    weft_chan_unref(b.chan);
    assert_int_equal(weft_mutex_lock(&b.mutex), 0);
    weft_mutex_unlock(&b.mutex);
    return weft_close(b.pair[1]);
}

static void who_cannot_park_can_give_back_what_it_has(void **state)
{
    (void)state;
    assert_int_equal(weft_local_key(&value, destroy), 0);
    assert_int_equal(run_tasks(lend, NULL), 0);
}

static int yields(void *arg)
{
    (void)arg;
    return weft_yield();
}

// A body as any: it opens scopes, with and without a deadline, spawns into them, and
// closes them. Nothing of what lies on its stack is in use once it has ended.
static int spawn_in_vain(void *arg)
{
    weft_spawn_opts opts = WEFT_SPAWN_OPTS_INIT;
    weft_task *t = arg;
    weft_scope s;

    feed();
    for (int policy = WEFT_SCOPE_FAIL_FAST; policy <= WEFT_SCOPE_RACE; policy++) {
        weft_scope_open(&s, policy);
        weft_scope_deadline(&s, weft_after(WEFT_S(3600)));
        opts.scope = &s;
        assert_int_equal(weft_scope_spawn(&s, nothing, NULL), -ENOMEM);
        assert_int_equal(weft_spawn_with(&t, &opts, nothing, NULL), -ENOMEM);
        assert_int_equal(weft_sleep(WEFT_MS(1)), -ENOMEM);
        weft_scope_deadline(&s, WEFT_NEVER);
        weft_scope_deadline(&s, weft_after(WEFT_S(3600)));
        assert_int_equal(weft_scope_close(&s), -ENOMEM);
    }
    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    weft_scope_deadline(&s, weft_now());
    assert_int_equal(weft_sleep(1), -ENOMEM);
    assert_int_equal(weft_scope_close(&s), -ETIMEDOUT);
    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    weft_scope_cancel(&s);
    assert_int_equal(weft_sleep(1), -ENOMEM);
    assert_int_equal(weft_scope_close(&s), -ECANCELED);
    assert_int_equal(weft_spawn(&t, nothing, NULL), -ENOMEM);
    assert_int_equal(weft_rt_spawn(weft_rt_current(), &t, nothing, NULL), -ENOMEM);
    opts.scope = NULL;
    assert_int_equal(weft_rt_spawn_with(weft_rt_current(), &t, &opts, nothing, NULL), -ENOMEM);
    assert_int_equal(weft_timeout(WEFT_S(3600), yields, NULL), -ENOMEM);
    assert_ptr_equal(t, arg);
    assert_int_equal(weft_sleep(1), -ENOMEM); // nor is it cured by closing scopes
    return 0;
}

static int let_spawn(void *arg)
{
    for (int i = 0; i < 100; i++)
        assert_int_equal(join(spawn_starved(NULL, spawn_in_vain, arg)), 0);
    return 0;
}

static void who_cannot_park_has_no_children(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(let_spawn, NULL), 0);
}

static void detached_tasks_without_stacks_leave_nothing(void **state)
{
    weft_rt *rt;
    unsigned made = 0;
    (void)state;

    for (int round = 0; round < 3; round++) {
        rt = new_runtime();
        wf_mem_fail_at(2, true); // one slab of headers, and not one stack
        while (weft_rt_spawn(rt, NULL, nothing, NULL) == 0)
            if (++made % 64 == 0)
                usleep(100);
            else if (made > 100000)
                break; // their headers go round
        assert_int_equal(weft_rt_stop(rt, WEFT_NEVER), 0);
        wf_mem_fail_at(0, false);
        free_runtime(rt);
    }
    assert_true(made > 0);
}

static void block_on_reports_that_there_is_no_memory(void **state)
{
    weft_rt *rt = new_runtime();
    (void)state;

    wf_mem_fail_at(1, true);
    for (int i = 0; i < 100; i++)
        assert_int_equal(weft_rt_block_on(rt, nothing, NULL), -ENOMEM);
    wf_mem_fail_at(2, true);
    for (int i = 0; i < 100; i++)
        assert_int_equal(weft_rt_block_on(rt, yields, NULL), -ENOMEM); // as the task's result
    wf_mem_fail_at(0, false);
    assert_int_equal(weft_rt_block_on(rt, nothing, NULL), 0);
    free_runtime(rt);
}

// --- what tasks call -----------------------------------------------------------------

static int set_local(void *arg)
{
    weft_local key = *(weft_local *)arg;

    wf_mem_fail_at(1, true);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(weft_local_set(key, &key), -ENOMEM);
        assert_null(weft_local_get(key));
    }
    wf_mem_fail_at(0, false);
    assert_int_equal(weft_local_set(key, &key), 0);
    wf_mem_fail_at(1, true);
    assert_int_equal(weft_local_set(key, NULL), 0); // there is room already
    assert_int_equal(weft_local_set(key, arg), 0);
    wf_mem_fail_at(0, false);
    assert_ptr_equal(weft_local_get(key), arg);
    return 0;
}

static void a_local_that_cannot_be_set_is_unchanged(void **state)
{
    weft_local key;
    (void)state;

    assert_int_equal(weft_local_key(&key, NULL), 0);
    assert_int_equal(run_tasks(set_local, &key), 0);
}

static int use_descriptors(void *arg)
{
    int ends[2], pair[2];
    char byte = 0;
    (void)arg;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    wf_mem_fail_at(1, true);
    assert_true(is_shortage((int)weft_read(ends[0], &byte, 1)));
    assert_true(is_shortage((int)weft_recv(pair[0], &byte, 1, 0)));
    assert_true(is_shortage(weft_poll(pair[0], 1 /* POLLIN */)));
    assert_int_equal(weft_write(pair[1], &byte, 1), 1); // a call that need not wait allocates nothing
    assert_int_equal(weft_recv(pair[0], &byte, 1, 0), 1);
    wf_mem_fail_at(0, false);
    assert_int_equal(weft_write(ends[1], &byte, 1), 1);
    assert_int_equal(weft_read(ends[0], &byte, 1), 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(weft_close(ends[i]), 0);
        assert_int_equal(weft_close(pair[i]), 0);
    }
    return 0;
}

static void a_descriptor_that_cannot_be_registered_is_an_error_once(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(use_descriptors, NULL), 0);
}

static int use_pool(void *arg)
{
    (void)arg;
    wf_mem_fail_at(1, true);
    assert_int_equal(weft_blocking(nothing, NULL), -EAGAIN);
    wf_mem_fail_at(0, false);
    return weft_blocking(nothing, NULL);
}

static void a_pool_without_threads_is_an_error_once(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(use_pool, NULL), 0);
}

// --- one fault, anywhere -------------------------------------------------------------

static int receives(void *arg)
{
    char byte;
    return (int)weft_read(*(int *)arg, &byte, 1);
}

static int computes(void *arg)
{
    weft_task *t;
    int err, result = 0;

    if (*(int *)arg == 0)
        return weft_yield();
    int below = *(int *)arg - 1;
    err = weft_spawn(&t, computes, &below);
    if (!err)
        err = weft_join(t, &result);
    return err ? err : result;
}

// a_little_of_all returns 0 or the first shortage that it met.
static int a_little_of_all(void *arg)
{
    int pair[2], depth = 4, worst = 0, err, result = 0;
    weft_task *t;
    char byte = 0;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    worst = weft_local_set(*(weft_local *)arg, NULL);
    err = weft_spawn(&t, receives, pair);
    worst = err ? err : worst;
    if (err == 0) {
        assert_int_equal(weft_sleep(WEFT_US(50)), 0);
        assert_int_equal(weft_write(pair[1], &byte, 1), 1);
        assert_int_equal(weft_join(t, &result), 0);
        worst = result < 0 ? result : worst;
    }
    err = computes(&depth);
    worst = err ? err : worst;
    err = weft_blocking(nothing, NULL);
    worst = err ? err : worst;
    err = weft_sleep(WEFT_US(50));
    worst = err ? err : worst;
    assert_int_equal(weft_close(pair[0]), 0);
    assert_int_equal(weft_close(pair[1]), 0);
    return worst;
}

static void one_fault_anywhere_hurts_only_whom_it_meets(void **state)
{
    weft_local key;
    unsigned failed = 0;
    long n = 0, passed;
    (void)state;

    assert_int_equal(weft_local_key(&key, NULL), 0);
    do {
        weft_rt *rt = new_runtime();
        wf_mem_fail_at(++n, false);
        int err = weft_rt_block_on(rt, a_little_of_all, &key);
        passed = wf_mem_count();
        wf_mem_fail_at(0, false);
        assert_true(err == 0 || is_shortage(err));
        failed += err != 0;
        assert_int_equal(weft_rt_block_on(rt, a_little_of_all, &key), 0);
        free_runtime(rt);
    } while (passed >= n);
    assert_true(failed > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(a_runtime_is_made_whole_or_not_at_all),
        left_test(without_descriptors_there_is_no_runtime),
        left_test(without_threads_there_is_no_runtime),
        left_test(a_task_without_header_is_refused_one_without_stack_cleans_up_and_others_go_on),
        left_test(a_child_that_gets_no_stack_decides_its_scope_as_any),
        left_test(who_cannot_park_can_give_back_what_it_has),
        left_test(who_cannot_park_has_no_children),
        left_test(detached_tasks_without_stacks_leave_nothing),
        left_test(block_on_reports_that_there_is_no_memory),
        left_test(a_local_that_cannot_be_set_is_unchanged),
        left_test(a_descriptor_that_cannot_be_registered_is_an_error_once),
        left_test(a_pool_without_threads_is_an_error_once),
        left_test(one_fault_anywhere_hurts_only_whom_it_meets),
    };
    return wf_test_run(tests);
}

#endif
