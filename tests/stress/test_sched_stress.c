// All operations at once, seeded: tasks that spawn, join, detach, cancel, yield, sleep
// and await, started by threads of the host; first until all have ended, then with the
// runtime stopped in the middle. The counts must agree.
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

#include "base/atomic.h"
#include "tests/support/harness.h"
#include "tests/support/threads.h"

enum { HOSTS = 3, DEPTH_MAX = 6 };

static weft_rt *rt;
static struct threads threads;
static _Atomic uint64_t streams;               // A: random sequences given out
static _Atomic int64_t left;                   // A: operations that tasks may still begin
static _Atomic uint64_t spawned, begun, ended; // A: tasks
static _Atomic uint64_t joined, detached, awaited, timed_out, cancelled;

static void count(_Atomic uint64_t *counter)
{
    wf_fetch_add_relaxed(counter, 1); // relaxed: added up when all is over
}

// --- futures that are completed by a child, or by a thread of the host ---------------

struct promise {
    weft_future future;
    _Atomic int refs;
    intptr_t value; // fixed
    struct promise *next;
};

static pthread_mutex_t hand_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t hand_filled = PTHREAD_COND_INITIALIZER;
static struct promise *hand; // under hand_lock: what the completing thread has to do
static bool no_more;         // under hand_lock

static struct promise *promise_new(intptr_t value)
{
    struct promise *p = malloc(sizeof(*p));
    assert_non_null(p);
    weft_future_init(&p->future);
    p->refs = 2;
    p->value = value;
    return p;
}

static void promise_drop(struct promise *p)
{
    if (wf_fetch_add_acq_rel(&p->refs, -1) == 1)
        free(p);
}

static void keep_promise(struct promise *p)
{
    if (p->value % 5 == 0)
        assert_true(weft_future_fail(&p->future, -EIO));
    else
        assert_true(weft_future_complete(&p->future, p->value));
    promise_drop(p);
}

static int keep_in_a_task(void *arg)
{
    count(&begun);
    keep_promise(arg);
    count(&ended);
    return 0;
}

static void *keep_in_a_thread(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&hand_lock);
    for (;;) {
        while (!hand && !no_more)
            pthread_cond_wait(&hand_filled, &hand_lock);
        struct promise *p = hand;
        if (!p)
            break;
        hand = p->next;
        pthread_mutex_unlock(&hand_lock);
        keep_promise(p);
        pthread_mutex_lock(&hand_lock);
    }
    pthread_mutex_unlock(&hand_lock);
    return NULL;
}

static void give_to_thread(struct promise *p)
{
    pthread_mutex_lock(&hand_lock);
    p->next = hand;
    hand = p;
    pthread_cond_signal(&hand_filled);
    pthread_mutex_unlock(&hand_lock);
}

static void await_promise(struct wf_test_rand *r)
{
    struct promise *p = promise_new((intptr_t)wf_test_below(r, 1000));
    intptr_t value = -1;

    if (wf_test_below(r, 2)) {
        give_to_thread(p);
    } else if (weft_spawn(NULL, keep_in_a_task, p) == 0) {
        count(&spawned);
    } else {
        keep_promise(p); // the runtime is being stopped
    }
    int err = wf_test_below(r, 3) ? weft_await(&p->future, &value)
                                  : weft_await_until(&p->future, &value, weft_after(WEFT_US(wf_test_below(r, 100))));
    if (err == 0)
        assert_true(value == p->value && value % 5 != 0);
    else
        assert_true(err == -ETIMEDOUT || err == -ECANCELED || (err == -EIO && p->value % 5 == 0));
    count(err == -ETIMEDOUT ? &timed_out : err == -ECANCELED ? &cancelled : &awaited);
    promise_drop(p);
}

// --- tasks ---------------------------------------------------------------------------

// What a task needs to know fits in its argument, so a child may outlive its parent:
// its random sequence, and its depth.
static void *argument(uint64_t stream, unsigned depth)
{
    return (void *)(uintptr_t)(stream << 8 | depth);
}

static int result_of(uint64_t stream)
{
    return (int)(stream * 2654435761u >> 8 & 0xffffff);
}

static int live(void *arg);

static int spawn(weft_task **out, struct wf_test_rand *r, uint64_t stream, unsigned depth)
{
    static const size_t sizes[] = { 0, 16384, 32768, 131072 };
    weft_spawn_opts o = WEFT_SPAWN_OPTS_INIT;

    o.pinned = wf_test_below(r, 8) == 0;
    o.stack_size = wf_test_below(r, 8) ? 0 : sizes[wf_test_below(r, 4)];
    int err = weft_spawn_with(out, &o, live, argument(stream, depth));
    assert_true(err == 0 || err == -ECANCELED);
    if (!err)
        count(&spawned);
    return err;
}

static void join_or_detach(weft_task *t, uint64_t stream)
{
    int result = -1, err = weft_join(t, &result);

    if (err) { // cancelled: the handle is still ours
        assert_int_equal(err, -ECANCELED);
        weft_detach(t);
        count(&detached);
        return;
    }
    assert_int_equal(result, result_of(stream));
    count(&joined);
}

static void have_child(struct wf_test_rand *r, unsigned depth)
{
    uint64_t stream = wf_fetch_add_relaxed(&streams, 1); // relaxed: only has to differ
    weft_task *t = NULL;
    unsigned fate = wf_test_below(r, 6);

    if (depth >= DEPTH_MAX)
        return;
    if (spawn(fate == 0 ? NULL : &t, r, stream, depth + 1) || fate == 0)
        return;
    if (fate == 1) {
        weft_detach(t);
        count(&detached);
        return;
    }
    if (fate == 2)
        weft_task_cancel(t);
    if (fate == 3)
        weft_yield();
    join_or_detach(t, stream);
}

static void have_children(struct wf_test_rand *r, unsigned depth)
{
    enum { N = 6 };
    uint64_t stream[N];
    weft_task *t[N];
    unsigned n = 0;

    for (; depth < DEPTH_MAX && n < N; n++) {
        stream[n] = wf_fetch_add_relaxed(&streams, 1); // relaxed: as above
        if (spawn(&t[n], r, stream[n], depth + 2))
            break;
    }
    for (unsigned i = 0; i < n; i++)
        join_or_detach(t[i], stream[i]);
}

static void do_something(struct wf_test_rand *r, unsigned depth)
{
    switch (wf_test_below(r, 8)) {
    case 0:
    case 1:
        have_child(r, depth);
        break;
    case 2:
        have_children(r, depth);
        break;
    case 3:
        weft_sleep(WEFT_US(wf_test_below(r, 150)));
        break;
    case 4:
        await_promise(r);
        break;
    case 5:
        for (unsigned n = wf_test_below(r, 2000); n > 0; n--)
            __asm__ volatile("");
        break;
    default:
        weft_yield();
    }
}

static int live(void *arg)
{
    uint64_t stream = (uintptr_t)arg >> 8;
    unsigned depth = (uintptr_t)arg & 0xff;
    struct wf_test_rand r = wf_test_rand(stream);

    count(&begun);
    for (unsigned n = wf_test_below(&r, 8); n > 0 && wf_fetch_add_relaxed(&left, -1) > 0; n--) // relaxed: a budget
        do_something(&r, depth);
    count(&ended);
    return result_of(stream);
}

// --- the host ------------------------------------------------------------------------

// Each thread of the host starts tasks and waits for them, in one of three ways, until
// there is nothing left to do.
static void *be_host(void *arg)
{
    struct wf_test_rand r = wf_test_rand(~(uint64_t)(uintptr_t)arg);

    threads_ready(&threads);
    while (wf_load_relaxed(&left) > 0) {
        uint64_t stream = wf_fetch_add_relaxed(&streams, 1); // relaxed: only has to differ
        weft_task *t;
        if (wf_test_below(&r, 2)) {
            int result = weft_rt_block_on(rt, live, argument(stream, 0));
            if (result == -ECANCELED)
                break;
            assert_int_equal(result, result_of(stream));
        } else {
            if (weft_rt_spawn(rt, &t, live, argument(stream, 0)))
                break;
            if (wf_test_below(&r, 4) == 0)
                weft_task_cancel(t);
            if (wf_test_below(&r, 2)) {
                intptr_t value = -1;
                assert_int_equal(weft_future_wait_thread(weft_task_future(t), &value, WEFT_NEVER), 0);
                assert_int_equal(value, result_of(stream));
            }
            weft_detach(t);
        }
        count(&spawned);
    }
    return NULL;
}

static void begin(unsigned operations)
{
    left = wf_test_rounds(operations);
    spawned = begun = ended = joined = detached = awaited = timed_out = cancelled = 0;
    no_more = false;
    assert_int_equal(weft_rt_new(&rt, NULL), 0);
    wf_test_watch(rt);
    threads_init(&threads, HOSTS + 1);
    for (uintptr_t i = 0; i < HOSTS; i++)
        threads_add(&threads, be_host, (void *)i);
    threads_add(&threads, keep_in_a_thread, NULL);
    threads_ready(&threads);
}

static void let_the_thread_end(void)
{
    pthread_mutex_lock(&hand_lock);
    no_more = true;
    pthread_cond_signal(&hand_filled);
    pthread_mutex_unlock(&hand_lock);
}

static void balance(void)
{
    printf("%llu tasks, %llu joined, %llu detached, %llu awaited, %llu timed out, %llu cancelled\n",
           (unsigned long long)begun, (unsigned long long)joined, (unsigned long long)detached,
           (unsigned long long)awaited, (unsigned long long)timed_out, (unsigned long long)cancelled);
    assert_int_equal(spawned, begun);
    assert_int_equal(begun, ended);
    wf_test_unwatch(rt);
    weft_rt_free(rt);
}

static void every_task_runs_once_and_every_result_arrives(void **state)
{
    (void)state;
    begin(200000);
    for (unsigned i = 0; i < HOSTS; i++)
        assert_int_equal(pthread_join(threads.thread[i], NULL), 0);
    assert_int_equal(weft_rt_stop(rt, WEFT_NEVER), 0); // the tasks without a joiner
    let_the_thread_end();
    assert_int_equal(pthread_join(threads.thread[HOSTS], NULL), 0);
    assert_true(wf_load_relaxed(&left) <= 0);
    balance();
}

static void a_stop_in_the_middle_leaves_nothing_behind(void **state)
{
    struct wf_test_rand r = wf_test_rand(UINT64_MAX);
    (void)state;
    for (unsigned rounds = wf_test_rounds(20); rounds > 0; rounds--) {
        begin(100000000);
        uint64_t enough = 100 + wf_test_below(&r, 5000);
        while (wf_load_relaxed(&begun) < enough)
            sched_yield();
        assert_int_equal(weft_rt_stop(rt, WEFT_NEVER), 0);
        for (unsigned i = 0; i < HOSTS; i++)
            assert_int_equal(pthread_join(threads.thread[i], NULL), 0);
        let_the_thread_end();
        assert_int_equal(pthread_join(threads.thread[HOSTS], NULL), 0);
        balance();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_runs_once_and_every_result_arrives),
        cmocka_unit_test(a_stop_in_the_middle_leaves_nothing_behind),
    };
    return wf_test_run(tests);
}
