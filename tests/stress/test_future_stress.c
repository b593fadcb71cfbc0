// Futures whose waiters leave while they are completed: by deadlines that are about to
// expire, by cancels, by both; with many waiters, and several completers. The test
// overwrites each future's memory as soon as that is allowed.
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <weft.h>

#include "base/atomic.h"
#include "tests/support/harness.h"
#include "tests/support/tasks.h"

enum { WAITERS = 6, COMPLETERS = 2, CROWD = 500 };

// One round: tasks that wait for one future, and completers.
struct round {
    weft_future future;
    unsigned number;
    _Atomic unsigned winners; // A: completions that were the first
    _Atomic intptr_t winner;  // A: its value
    _Atomic bool go;          // A: the foreign thread may complete it
    _Atomic bool gone;        // A: and has done so
};

static struct round now;                                 // reused in every round
static _Atomic uint64_t completed, timed_out, cancelled; // A: how waits ended
static _Atomic bool over;                                // A: no more rounds

static void count(_Atomic uint64_t *counter)
{
    wf_fetch_add_relaxed(counter, 1); // relaxed: printed when all is over
}

static struct wf_test_rand rand_for(unsigned who)
{
    return wf_test_rand((uint64_t)now.number << 16 | who);
}

static void dawdle(struct wf_test_rand *r, unsigned most)
{
    for (unsigned n = wf_test_below(r, most); n > 0; n--)
        __asm__ volatile("");
}

static void complete(unsigned who)
{
    if (weft_future_complete(&now.future, (intptr_t)(now.number * 16 + who))) {
        wf_store_relaxed(&now.winner, (intptr_t)(now.number * 16 + who)); // relaxed: read when all have been joined
        wf_fetch_add_relaxed(&now.winners, 1);                            // relaxed: as above
    }
}

static int complete_in_a_task(void *arg)
{
    unsigned who = (unsigned)(uintptr_t)arg;
    struct wf_test_rand r = rand_for(100 + who);

    if (wf_test_below(&r, 2))
        weft_sleep(WEFT_US(wf_test_below(&r, 60)));
    dawdle(&r, 1000);
    complete(who);
    return 0;
}

static void *complete_in_a_thread(void *arg)
{
    struct wf_test_rand r = wf_test_rand(UINT64_MAX);
    (void)arg;
    while (!wf_load_acquire(&over)) {
        if (!wf_load_acquire(&now.go)) {
            sched_yield();
            continue;
        }
        wf_store_relaxed(&now.go, false); // relaxed: `gone` publishes it
        dawdle(&r, 20000);
        complete(15);
        wf_store_release(&now.gone, true);
    }
    return NULL;
}

// wait_impatiently waits with deadlines that are about to come, until one wait ends
// otherwise.
// Returns: the value's writer; -ECANCELED.
static int wait_impatiently(void *arg)
{
    struct wf_test_rand r = rand_for((unsigned)(uintptr_t)arg);
    intptr_t value = -1;
    int err;

    do {
        unsigned kind = wf_test_below(&r, 8);
        weft_time deadline = kind == 0 ? WEFT_NEVER : weft_after(WEFT_US(wf_test_below(&r, kind == 1 ? 200 : 20)));
        err = weft_await_until(&now.future, &value, deadline);
        count(err == 0 ? &completed : err == -ETIMEDOUT ? &timed_out : &cancelled);
    } while (err == -ETIMEDOUT);
    if (err)
        return err;
    assert_true((unsigned)value / 16 == now.number);
    return (int)(value % 16);
}

static void begin_round(unsigned number)
{
    weft_future_init(&now.future);
    now.number = number;
    now.winners = 0;
    now.gone = false;
}

static void end_round(void)
{
    assert_int_equal(wf_load_relaxed(&now.winners), 1);
    memset(&now.future, 0xee, sizeof(now.future));
}

static void expect(int result, bool may_be_cancelled)
{
    if (!may_be_cancelled || result != -ECANCELED)
        assert_int_equal(result, wf_load_relaxed(&now.winner) % 16);
}

static void play(unsigned number)
{
    weft_task *waiters[WAITERS], *completers[COMPLETERS];
    struct wf_test_rand r = wf_test_rand((uint64_t)number << 32);
    unsigned to_cancel = wf_test_below(&r, 1u << WAITERS);
    bool foreign = wf_test_below(&r, 2);

    begin_round(number);
    for (uintptr_t i = 0; i < WAITERS; i++)
        waiters[i] = spawn(wait_impatiently, (void *)i);
    wf_store_release(&now.go, foreign);
    for (uintptr_t i = 0; i < COMPLETERS; i++)
        completers[i] = spawn(complete_in_a_task, (void *)i);
    if (wf_test_below(&r, 2))
        weft_sleep(WEFT_US(wf_test_below(&r, 50)));
    for (unsigned i = 0; i < WAITERS; i++)
        if (to_cancel >> i & 1)
            weft_task_cancel(waiters[i]);
    for (unsigned i = 0; i < COMPLETERS; i++)
        join(completers[i]);
    while (foreign && !wf_load_acquire(&now.gone))
        weft_yield();
    int results[WAITERS];
    for (unsigned i = 0; i < WAITERS; i++)
        results[i] = join(waiters[i]);
    for (unsigned i = 0; i < WAITERS; i++)
        expect(results[i], to_cancel >> i & 1);
    end_round();
}

static int play_many(void *arg)
{
    (void)arg;
    for (unsigned rounds = wf_test_rounds(4000), i = 1; i <= rounds; i++)
        play(i);
    return 0;
}

static void a_waiter_that_leaves_and_a_completer_never_miss_each_other(void **state)
{
    pthread_t thread;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, complete_in_a_thread, NULL), 0);
    assert_int_equal(run_tasks(play_many, NULL), 0);
    wf_store_release(&over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    printf("%llu completed, %llu timed out, %llu cancelled\n", (unsigned long long)completed,
           (unsigned long long)timed_out, (unsigned long long)cancelled);
}

// Five hundred wait, a part of them leaves from anywhere in the queue, the rest is
// woken.
static void gather_crowd(unsigned number)
{
    static weft_task *waiters[CROWD];
    struct wf_test_rand r = wf_test_rand((uint64_t)number << 32 | 1);

    begin_round(number);
    for (uintptr_t i = 0; i < CROWD; i++)
        waiters[i] = spawn(wait_impatiently, (void *)i);
    for (unsigned n = wf_test_below(&r, 20); n > 0; n--)
        weft_yield();
    bool cancelled_here[CROWD] = { false };
    for (unsigned n = CROWD / 3; n > 0; n--) {
        unsigned i = wf_test_below(&r, CROWD);
        weft_task_cancel(waiters[i]);
        cancelled_here[i] = true;
    }
    join(spawn(complete_in_a_task, NULL));
    for (unsigned i = 0; i < CROWD; i++)
        expect(join(waiters[i]), cancelled_here[i]);
    end_round();
}

static int gather_many(void *arg)
{
    (void)arg;
    for (unsigned rounds = wf_test_rounds(100), i = 1; i <= rounds; i++)
        gather_crowd(i);
    return 0;
}

static void many_waiters_may_leave_from_anywhere(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(gather_many, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_waiter_that_leaves_and_a_completer_never_miss_each_other),
        cmocka_unit_test(many_waiters_may_leave_from_anywhere),
    };
    return wf_test_run(tests);
}
