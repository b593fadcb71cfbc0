// Broadcast and watch between tasks: waiters are woken, and a call that a cancel, a
// close or a deadline ends has no effect.
#include <errno.h>
#include <pthread.h>

#include "base/atomic.h"
#include "tests/support/child.h"
#include "tests/support/left.h"
#include "tests/support/tasks.h"

enum { RECEIVERS = 20 };

static weft_broadcast *new_broadcast(size_t capacity)
{
    weft_broadcast *b = NULL;
    assert_int_equal(weft_broadcast_new(&b, sizeof(int), capacity), 0);
    return b;
}

static weft_receiver *subscribe(weft_broadcast *b)
{
    weft_receiver *r = NULL;
    assert_int_equal(weft_broadcast_subscribe(b, &r), 0);
    return r;
}

static weft_watch *new_watch(int value)
{
    weft_watch *w = NULL;
    assert_int_equal(weft_watch_new(&w, sizeof(int), &value), 0);
    return w;
}

// receive_one returns the message, or the error.
static int receive_one(void *arg)
{
    int message = -1;
    int err = weft_broadcast_recv(arg, &message, NULL);
    if (err && err != -EOVERFLOW)
        assert_int_equal(message, -1);
    return err ? err : message;
}

// --- broadcast: waiting --------------------------------------------------------------

static int send_to_all(void *arg)
{
    weft_broadcast *b = new_broadcast(4);
    weft_receiver *r[RECEIVERS];
    weft_task *tasks[RECEIVERS];
    (void)arg;

    for (int i = 0; i < RECEIVERS; i++) {
        r[i] = subscribe(b);
        tasks[i] = spawn(receive_one, r[i]);
    }
    for (int i = 0; i < RECEIVERS; i++)
        wait_parked(tasks[i], "broadcast");
    assert_int_equal(weft_broadcast_send(b, &(int){ 42 }), RECEIVERS);
    for (int i = 0; i < RECEIVERS; i++) {
        assert_int_equal(join(tasks[i]), 42);
        weft_broadcast_unsubscribe(r[i]);
    }
    weft_broadcast_unref(b);
    return 0;
}

static void a_message_wakes_all_who_wait(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(send_to_all, NULL), 0);
}

// receive_all counts until the end, and checks that the messages are 0, 1, 2 ... except
// lost ones.
static int receive_all(void *arg)
{
    int message, expected = 0;
    uint64_t lost;
    int err;

    while ((err = weft_broadcast_recv(arg, &message, &lost)) != -EPIPE) {
        if (err == -EOVERFLOW) {
            expected += (int)lost;
            continue;
        }
        assert_int_equal(err, 0);
        assert_int_equal(message, expected++);
    }
    weft_broadcast_unsubscribe(arg);
    return expected;
}

enum { MESSAGES = 3000 };

static int send_many(void *arg)
{
    size_t capacity = *(size_t *)arg;
    weft_broadcast *b = new_broadcast(capacity);
    weft_task *tasks[RECEIVERS];

    for (int i = 0; i < RECEIVERS; i++)
        tasks[i] = spawn(receive_all, subscribe(b));
    for (int i = 0; i < MESSAGES; i++) {
        assert_int_equal(weft_broadcast_send(b, &i), RECEIVERS);
        if (i % 16 == 0)
            assert_int_equal(weft_yield(), 0);
    }
    weft_broadcast_unref(b); // the last reference: the receivers go on until they have all
    for (int i = 0; i < RECEIVERS; i++)
        assert_int_equal(join(tasks[i]), MESSAGES);
    return 0;
}

static void each_receiver_accounts_for_every_message(void **state)
{
    static const size_t capacities[] = { 1, 2, 100, MESSAGES };
    (void)state;
    for (size_t i = 0; i < wf_countof(capacities); i++)
        assert_int_equal(run_tasks(send_many, (void *)&capacities[i]), 0);
}

static int close_on_many(void *arg)
{
    weft_broadcast *b = new_broadcast(4);
    weft_task *tasks[RECEIVERS];
    (void)arg;

    for (int i = 0; i < RECEIVERS; i++)
        tasks[i] = spawn(receive_all, subscribe(b));
    for (int i = 0; i < RECEIVERS; i++)
        wait_parked(tasks[i], "broadcast");
    weft_broadcast_close(b);
    for (int i = 0; i < RECEIVERS; i++)
        assert_int_equal(join(tasks[i]), 0);
    assert_int_equal(weft_broadcast_send(b, &(int){ 1 }), -EPIPE);
    weft_broadcast_unref(b);
    return 0;
}

static void a_close_wakes_all_who_wait(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(close_on_many, NULL), 0);
}

static void *send_from_outside(void *arg)
{
    for (int i = 0; i < MESSAGES; i++)
        assert_int_equal(weft_broadcast_send(arg, &i), 1);
    weft_broadcast_unref(arg);
    return NULL;
}

static void a_thread_that_is_not_wefts_may_send(void **state)
{
    weft_broadcast *b = new_broadcast(64);
    weft_receiver *r = subscribe(b);
    pthread_t thread;
    (void)state;

    assert_int_equal(pthread_create(&thread, NULL, send_from_outside, b), 0);
    assert_int_equal(run_tasks(receive_all, r), MESSAGES);
    pthread_join(thread, NULL);
}

static int count_up(void *arg)
{
    for (int i = 0; i < 100; i++) {
        wf_fetch_add_relaxed((_Atomic int *)arg, 1); // relaxed: a counter
        assert_int_equal(weft_yield(), 0);
    }
    return 0;
}

// With one worker, this ends only if the task that never has to wait lets the other one
// run.
static int receive_for_ever(void *arg)
{
    weft_broadcast *b = new_broadcast(2);
    weft_receiver *r = subscribe(b);
    _Atomic int peer = 0;
    weft_task *task = spawn(count_up, &peer);
    int message;
    (void)arg;

    for (int i = 0; wf_load_relaxed(&peer) < 100; i++) { // relaxed: a counter
        assert_int_equal(weft_broadcast_send(b, &i), 1);
        assert_int_equal(weft_broadcast_recv(r, &message, NULL), 0);
        assert_int_equal(message, i);
    }
    weft_broadcast_unsubscribe(r);
    weft_broadcast_unref(b);
    return join(task);
}

static void who_never_has_to_wait_lets_others_run(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(receive_for_ever, NULL), 0);
}

// --- broadcast: cancelling -----------------------------------------------------------

static int cancel_parked(void *arg)
{
    weft_broadcast *b = new_broadcast(4);
    weft_receiver *r = subscribe(b);
    (void)arg;

    weft_task *task = spawn(receive_one, r);
    wait_parked(task, "broadcast");
    weft_task_cancel(task);
    assert_int_equal(join(task), -ECANCELED);
    assert_int_equal(weft_broadcast_send(b, &(int){ 7 }), 1); // the receiver is still there
    assert_int_equal(receive_one(r), 7);
    weft_broadcast_unsubscribe(r);
    weft_broadcast_unref(b);
    return 0;
}

static void a_cancelled_receiver_has_taken_nothing(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(cancel_parked, NULL), 0);
}

static int receive_cancelled(void *arg)
{
    weft_broadcast *b = new_broadcast(1);
    weft_receiver *r = subscribe(b);
    weft_watch *w = new_watch(5);
    uint64_t version = 0;
    int value = -1;
    (void)arg;

    assert_int_equal(weft_broadcast_send(b, &(int){ 7 }), 1);
    weft_task_cancel(weft_self());
    for (int i = 0; i < 3; i++)
        assert_int_equal(receive_one(r), -ECANCELED);
    assert_int_equal(weft_watch_wait(w, &value, &version), -ECANCELED);
    assert_int_equal(value, -1);
    assert_int_equal(version, 0);
    assert_int_equal(weft_broadcast_send(b, &(int){ 8 }), 1); // these are not cancellation points
    assert_int_equal(weft_broadcast_try_recv(r, &value, NULL), -EOVERFLOW);
    assert_int_equal(weft_broadcast_try_recv(r, &value, NULL), 0);
    assert_int_equal(value, 8);
    assert_int_equal(weft_watch_set(w, &(int){ 6 }), 0);
    weft_watch_get(w, &value, &version);
    assert_int_equal(value, 6);
    weft_watch_unref(w);
    weft_broadcast_unsubscribe(r);
    weft_broadcast_unref(b);
    return 0;
}

static void a_cancelled_task_gets_not_even_what_is_there(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(receive_cancelled, NULL), 0);
}

static int cancel_and_send(void *arg)
{
    weft_broadcast *b = new_broadcast(4);
    weft_receiver *r = subscribe(b);
    struct wf_test_rand *rand = arg;

    for (int n = 0, rounds = (int)wf_test_rounds(3000); n < rounds; n++) {
        weft_task *task = spawn(receive_one, r);
        if (wf_test_below(rand, 2))
            assert_int_equal(weft_yield(), 0);
        if (wf_test_below(rand, 2))
            weft_task_cancel(task);
        assert_int_equal(weft_broadcast_send(b, &n), 1);
        weft_task_cancel(task);
        int result = join(task);
        if (result == -ECANCELED)
            result = receive_one(r); // then it is still there
        assert_int_equal(result, n);
    }
    weft_broadcast_unsubscribe(r);
    weft_broadcast_unref(b);
    return 0;
}

static void a_message_that_races_with_a_cancel_is_received_once(void **state)
{
    struct wf_test_rand rand = wf_test_rand(1);
    (void)state;
    assert_int_equal(run_tasks(cancel_and_send, &rand), 0);
}

static int wait_in_a_scope(void *arg)
{
    weft_broadcast *b = new_broadcast(4);
    weft_receiver *r = subscribe(b);
    weft_watch *w = new_watch(5);
    uint64_t version = 1;
    weft_scope s;
    int value;
    (void)arg;

    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    weft_scope_deadline(&s, weft_after(WEFT_MS(2)));
    assert_int_equal(receive_one(r), -ETIMEDOUT);
    assert_int_equal(weft_watch_wait(w, &value, &version), -ETIMEDOUT);
    assert_int_equal(weft_scope_close(&s), -ETIMEDOUT);
    assert_int_equal(weft_broadcast_send(b, &(int){ 9 }), 1);
    assert_int_equal(receive_one(r), 9);
    weft_watch_unref(w);
    weft_broadcast_unsubscribe(r);
    weft_broadcast_unref(b);
    return 0;
}

static void a_scope_ends_a_wait_at_its_deadline(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(wait_in_a_scope, NULL), 0);
}

// --- watch ---------------------------------------------------------------------------

static int see_the_first(void *arg)
{
    weft_watch *w = new_watch(5);
    uint64_t version = 0;
    int value = 0;
    (void)arg;

    assert_int_equal(weft_watch_wait(w, &value, &version), 0); // there is one already
    assert_int_equal(value, 5);
    assert_int_equal(version, 1);
    for (int i = 6; i < 9; i++)
        assert_int_equal(weft_watch_set(w, &i), 0);
    assert_int_equal(weft_watch_wait(w, &value, &version), 0); // 6 and 7 were overtaken
    assert_int_equal(value, 8);
    assert_int_equal(version, 4);
    weft_watch_close(w);
    assert_int_equal(weft_watch_wait(w, &value, &version), -EPIPE);
    assert_int_equal(value, 8);
    assert_int_equal(version, 4);
    version = 2;
    assert_int_equal(weft_watch_wait(w, &value, &version), 0); // a reader that has not seen the last one still does
    assert_int_equal(version, 4);
    weft_watch_unref(w);
    return 0;
}

static void a_wait_sees_the_latest_value_and_none_twice(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(see_the_first, NULL), 0);
}

// Values are 0, 1, 2 ... and so their version is the value and one.
static int follow(void *arg)
{
    uint64_t version = 0, before = 0;
    int value, err;

    while ((err = weft_watch_wait(arg, &value, &version)) == 0) {
        assert_true(version > before);
        assert_int_equal(version, value + 1);
        before = version;
    }
    assert_int_equal(version, before);
    weft_watch_unref(arg);
    return err == -EPIPE ? (int)version : err;
}

static int change_often(void *arg)
{
    weft_watch *w = new_watch(0);
    weft_task *tasks[RECEIVERS];
    (void)arg;

    for (int i = 0; i < RECEIVERS; i++)
        tasks[i] = spawn(follow, weft_watch_ref(w));
    for (int i = 0; i < RECEIVERS; i++)
        wait_parked(tasks[i], "watch");
    for (int i = 1; i < MESSAGES; i++) {
        assert_int_equal(weft_watch_set(w, &i), 0);
        if (i % 16 == 0)
            assert_int_equal(weft_yield(), 0);
    }
    weft_watch_close(w);
    for (int i = 0; i < RECEIVERS; i++)
        assert_int_equal(join(tasks[i]), MESSAGES); // everybody has seen the last one
    weft_watch_unref(w);
    return 0;
}

static void all_who_follow_see_the_last_value(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(change_often, NULL), 0);
}

static int wait_for_second(void *arg)
{
    uint64_t version = 1;
    int value = -1;
    int err = weft_watch_wait(arg, &value, &version);

    if (err)
        assert_true(value == -1 && version == 1);
    return err ? err : value;
}

static int cancel_watcher(void *arg)
{
    weft_watch *w = new_watch(0);
    weft_task *task = spawn(wait_for_second, w), *other = spawn(wait_for_second, w);
    (void)arg;

    wait_parked(task, "watch");
    wait_parked(other, "watch");
    weft_task_cancel(task);
    assert_int_equal(join(task), -ECANCELED);
    assert_int_equal(weft_watch_set(w, &(int){ 11 }), 0);
    assert_int_equal(join(other), 11);
    weft_watch_unref(w);
    return 0;
}

static void a_watcher_that_leaves_disturbs_nobody(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(cancel_watcher, NULL), 0);
}

// --- misuse --------------------------------------------------------------------------

static int share_a_receiver(void *arg)
{
    weft_broadcast *b = new_broadcast(4);
    weft_receiver *r = subscribe(b);

    wait_parked(spawn(receive_one, r), "broadcast");
    return ((weft_fn *)(uintptr_t)arg)(r);
}

static int try_receive(void *arg)
{
    return weft_broadcast_try_recv(arg, &(int){ 0 }, NULL);
}

static int unsubscribe(void *arg)
{
    weft_broadcast_unsubscribe(arg);
    return 0;
}

static void run_share_a_receiver(void *arg)
{
    _exit(weft_run(NULL, share_a_receiver, arg) ? 3 : 2);
}

static void two_that_share_a_receiver_are_stopped(void **state)
{
    static weft_fn *const by[] = { receive_one, try_receive, unsubscribe };
    static const char *const said[] = { "weft_broadcast_recv", "weft_broadcast_try_recv",
                                        "weft_broadcast_unsubscribe" };
    struct child c;
    (void)state;

    if (!child_may_run())
        return;
    for (size_t i = 0; i < wf_countof(by); i++) {
        child_run(&c, run_share_a_receiver, (void *)(uintptr_t)by[i]);
        child_expect_signal(&c, SIGABRT);
        child_expect_said(&c, said[i]);
        child_expect_said(&c, "each needs its own");
    }
}

static void receive_outside(void *arg)
{
    weft_receiver *r = subscribe(new_broadcast(4));
    _exit(receive_one(r) ? 3 : *(int *)arg);
}

static void wait_outside(void *arg)
{
    _exit(wait_for_second(new_watch(1)) ? 3 : *(int *)arg);
}

static void waiting_outside_a_task_stops(void **state)
{
    struct child c;
    (void)state;

    if (!child_may_run())
        return;
    child_run(&c, receive_outside, &(int){ 2 });
    child_expect_signal(&c, SIGABRT);
    child_expect_said(&c, "weft_broadcast_recv may only be called by a task");
    child_run(&c, wait_outside, &(int){ 2 });
    child_expect_signal(&c, SIGABRT);
    child_expect_said(&c, "weft_watch_wait may only be called by a task");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(a_message_wakes_all_who_wait),
        left_test(each_receiver_accounts_for_every_message),
        left_test(a_close_wakes_all_who_wait),
        left_test(a_thread_that_is_not_wefts_may_send),
        left_test(who_never_has_to_wait_lets_others_run),
        left_test(a_cancelled_receiver_has_taken_nothing),
        left_test(a_cancelled_task_gets_not_even_what_is_there),
        left_test(a_message_that_races_with_a_cancel_is_received_once),
        left_test(a_scope_ends_a_wait_at_its_deadline),
        left_test(a_wait_sees_the_latest_value_and_none_twice),
        left_test(all_who_follow_see_the_last_value),
        left_test(a_watcher_that_leaves_disturbs_nobody),
        left_test(two_that_share_a_receiver_are_stopped),
        left_test(waiting_outside_a_task_stops),
    };
    return wf_test_run(tests);
}
