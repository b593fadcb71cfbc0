// Broadcasts and watches under all operations at once: tasks and a foreign thread send;
// receivers subscribe and unsubscribe, are slow, are cancelled in mid-wait and
// continued by another task; the object is closed. Every receiver accounts for each
// message sent while it was subscribed: received once and in order, or counted as lost.
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <weft.h>

#include "base/atomic.h"
#include "tests/support/harness.h"
#include "tests/support/tasks.h"

enum { SENDERS = 3, RECEIVERS = 6, VISITORS = 2, THREAD = SENDERS, SOURCES = SENDERS + 1, SENDS = 60 };

// One round. What is not atomic is written before its tasks are spawned.
struct round {
    weft_broadcast *b;
    unsigned number;
    bool closes;            // it is closed in the middle
    _Atomic uint32_t sent;  // A: sends that were accepted
    _Atomic uint32_t ended; // A: sources that will not send any more
};

static struct round now;
static _Atomic uint64_t received, lost_in_all, cancelled, closed_early; // A: what happened, for the curious

// A message: its sender, and its number among the sender's messages, from 1 on.
struct message {
    uint32_t source, number;
    uint32_t check; // that it is whole
};

static uint32_t check_of(const struct message *m)
{
    return m->source * 31 + m->number + now.number * 1000003;
}

static void count(_Atomic uint64_t *counter, uint64_t n)
{
    wf_fetch_add_relaxed(counter, n); // relaxed: printed when all is over
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

// send_all sends until it is refused. Returns: how many were accepted.
static uint32_t send_all(uint32_t source, int (*pause)(void))
{
    struct wf_test_rand r = rand_for(100 + source);
    uint32_t n = 0;

    while (n < SENDS) {
        struct message m = { .source = source, .number = n + 1 };
        m.check = check_of(&m);
        int receivers = weft_broadcast_send(now.b, &m);
        if (receivers == -EPIPE)
            break;
        assert_true(receivers >= 0 && receivers <= RECEIVERS + VISITORS);
        n++;
        if (wf_test_below(&r, 4) == 0)
            pause();
        dawdle(&r, 200);
    }
    wf_fetch_add_relaxed(&now.sent, n);  // relaxed: read when all have been joined
    wf_fetch_add_acq_rel(&now.ended, 1); // acq_rel: a counter
    weft_broadcast_unref(now.b);
    return n;
}

static int send_in_a_task(void *arg)
{
    send_all((uint32_t)(uintptr_t)arg, weft_yield);
    return 0;
}

static void *send_in_a_thread(void *arg)
{
    send_all((uint32_t)(uintptr_t)arg, sched_yield);
    return NULL;
}

// --- receivers -----------------------------------------------------------------------

// A receiver, and what it has had so far: it outlives tasks that are cancelled.
struct reader {
    weft_receiver *r;
    unsigned who;
    uint64_t got, lost;
    uint32_t last[SOURCES]; // of each source: the number of its last message
    bool gone;              // unsubscribed before the end
};

static void note(struct reader *me, const struct message *m)
{
    assert_true(m->source < SOURCES && m->check == check_of(m));
    assert_true(m->number > me->last[m->source]);
    me->last[m->source] = m->number;
    me->got++;
}

// read_some receives until the end, or an error. Now and then it is slow.
static int read_some(void *arg)
{
    struct reader *me = arg;
    struct wf_test_rand r = rand_for(me->who);
    struct message m;
    uint64_t lost;
    int err;

    for (;;) {
        err = wf_test_below(&r, 3) ? weft_broadcast_recv(me->r, &m, &lost) : weft_broadcast_try_recv(me->r, &m, &lost);
        if (err == 0)
            note(me, &m);
        else if (err == -EOVERFLOW) {
            assert_true(lost > 0);
            me->lost += lost;
        } else if (err != -EAGAIN)
            return err;
        if (wf_test_below(&r, 20) == 0 && weft_yield() != 0)
            return -ECANCELED;
        dawdle(&r, 300);
    }
}

// read_to_the_end keeps a task on the receiver, cancels it from time to time, and gives
// the receiver to another one.
static int read_to_the_end(void *arg)
{
    struct reader *me = arg;
    struct wf_test_rand r = rand_for(200 + me->who);
    int err;

    do {
        weft_task *t = spawn(read_some, me);
        if (wf_test_below(&r, 2))
            weft_sleep(WEFT_US(wf_test_below(&r, 50)));
        if (wf_test_below(&r, 3)) {
            weft_task_cancel(t);
            count(&cancelled, 1);
        }
        err = join(t);
        assert_true(err == -ECANCELED || err == -EPIPE);
        if (err == -ECANCELED && wf_test_below(&r, 30) == 0) {
            me->gone = true;
            break;
        }
    } while (err == -ECANCELED);
    weft_broadcast_unsubscribe(me->r);
    return 0;
}

// come_and_go repeatedly subscribes, takes a few messages, and unsubscribes: that must
// not affect other receivers.
static int come_and_go(void *arg)
{
    struct wf_test_rand r = rand_for(300 + (unsigned)(uintptr_t)arg);
    struct message m;

    while (wf_load_acquire(&now.ended) < SOURCES) { // acquire: a counter
        weft_receiver *mine;
        assert_int_equal(weft_broadcast_subscribe(now.b, &mine), 0);
        for (unsigned n = wf_test_below(&r, 6); n > 0; n--) {
            if (weft_broadcast_try_recv(mine, &m, NULL) == 0)
                assert_true(m.check == check_of(&m));
            assert_int_equal(weft_yield(), 0);
        }
        weft_broadcast_unsubscribe(mine);
    }
    weft_broadcast_unref(now.b);
    return 0;
}

static int close_it(void *arg)
{
    struct wf_test_rand r = rand_for(400);
    (void)arg;

    weft_sleep(WEFT_US(wf_test_below(&r, 100)));
    weft_broadcast_close(now.b);
    weft_broadcast_unref(now.b);
    return 0;
}

static void expect_all(const struct reader *me)
{
    uint64_t sent = wf_load_relaxed(&now.sent); // relaxed: all have been joined

    if (me->gone)
        assert_true(me->got + me->lost <= sent);
    else
        assert_int_equal(me->got + me->lost, sent);
    count(&received, me->got);
    count(&lost_in_all, me->lost);
}

static void begin_round(unsigned number, struct wf_test_rand *r)
{
    now.number = number;
    now.closes = wf_test_below(r, 3) == 0;
    now.sent = now.ended = 0;
    assert_int_equal(weft_broadcast_new(&now.b, sizeof(struct message), 1 + wf_test_below(r, 100)), 0);
}

static int play(unsigned number)
{
    struct wf_test_rand r = wf_test_rand((uint64_t)number << 32);
    weft_task *senders[SENDERS], *readers[RECEIVERS], *others[VISITORS];
    struct reader reader[RECEIVERS] = { 0 };
    bool foreign = wf_test_below(&r, 8) == 0;
    pthread_t thread;

    begin_round(number, &r);
    for (unsigned i = 0; i < RECEIVERS; i++) {
        reader[i].who = i;
        assert_int_equal(weft_broadcast_subscribe(now.b, &reader[i].r), 0);
        readers[i] = spawn(read_to_the_end, &reader[i]);
    }
    now.ended = foreign ? 0 : 1;
    for (uintptr_t i = 0; i < SENDERS; i++) {
        weft_broadcast_ref(now.b);
        senders[i] = spawn(send_in_a_task, (void *)i);
    }
    if (foreign) {
        weft_broadcast_ref(now.b);
        assert_int_equal(pthread_create(&thread, NULL, send_in_a_thread, (void *)(uintptr_t)THREAD), 0);
    }
    for (uintptr_t i = 0; i < VISITORS; i++) {
        weft_broadcast_ref(now.b);
        others[i] = spawn(i == 0 && now.closes ? close_it : come_and_go, (void *)i);
    }

    for (unsigned i = 0; i < SENDERS; i++)
        join(senders[i]);
    while (foreign && pthread_tryjoin_np(thread, NULL) == EBUSY)
        weft_sleep(WEFT_US(20));
    for (unsigned i = 0; i < VISITORS; i++)
        join(others[i]);
    weft_broadcast_unref(now.b); // the last one, while readers may be at it
    for (unsigned i = 0; i < RECEIVERS; i++) {
        join(readers[i]);
        expect_all(&reader[i]);
    }
    count(&closed_early, wf_load_relaxed(&now.sent) < SENDS * SENDERS); // relaxed: all have been joined
    return 0;
}

static int play_many(void *arg)
{
    (void)arg;
    for (unsigned rounds = wf_test_rounds(300), i = 1; i <= rounds; i++)
        play(i);
    return 0;
}

static void each_receiver_accounts_for_every_message(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(play_many, NULL), 0);
    printf("%llu received, %llu lost, %llu cancels, %llu closed early\n", (unsigned long long)received,
           (unsigned long long)lost_in_all, (unsigned long long)cancelled, (unsigned long long)closed_early);
}

// --- watch ---------------------------------------------------------------------------

enum { FOLLOWERS = 6, CHANGES = 400 };

// A value contains its version, as far as its setter can know: at least that many were
// set.
struct value {
    uint64_t words[5];
};

struct follower {
    weft_watch *w;
    uint64_t version;
    unsigned who;
};

static uint64_t expect_value_whole(const struct value *v)
{
    for (int i = 1; i < 5; i++)
        assert_true(v->words[i] == v->words[0] * (uint64_t)(i + 1));
    return v->words[0];
}

static int follow_some(void *arg)
{
    struct follower *me = arg;
    struct value v;
    int err;

    do {
        uint64_t before = me->version;
        err = weft_watch_wait(me->w, &v, &me->version);
        if (err)
            assert_int_equal(me->version, before);
        else
            assert_true(me->version > before && expect_value_whole(&v) + 1 == me->version);
    } while (!err);
    return err;
}

static int follow(void *arg)
{
    struct follower *me = arg;
    struct wf_test_rand r = rand_for(me->who);
    int err;

    do {
        weft_task *t = spawn(follow_some, me);
        if (wf_test_below(&r, 2))
            weft_sleep(WEFT_US(wf_test_below(&r, 50)));
        if (wf_test_below(&r, 2))
            weft_task_cancel(t);
        err = join(t);
    } while (err == -ECANCELED);
    assert_int_equal(err, -EPIPE);
    assert_int_equal(me->version, CHANGES + 1); // every receiver sees the last one
    weft_watch_unref(me->w);
    return 0;
}

static void *change(void *arg)
{
    struct wf_test_rand r = rand_for(500);

    for (uint64_t n = 1; n <= CHANGES; n++) {
        struct value v;
        for (uint64_t i = 0; i < 5; i++)
            v.words[i] = n * (i + 1);
        assert_int_equal(weft_watch_set(arg, &v), 0);
        dawdle(&r, 2000);
        if (wf_test_below(&r, 16) == 0)
            sched_yield();
    }
    weft_watch_close(arg);
    weft_watch_unref(arg);
    return NULL;
}

static int watch_changes(void *arg)
{
    (void)arg;
    for (unsigned rounds = wf_test_rounds(150), i = 1; i <= rounds; i++) {
        struct follower followers[FOLLOWERS];
        weft_task *tasks[FOLLOWERS];
        pthread_t thread;
        weft_watch *w;

        now.number = i;
        assert_int_equal(weft_watch_new(&w, sizeof(struct value), NULL), 0);
        for (unsigned f = 0; f < FOLLOWERS; f++) {
            followers[f] = (struct follower){ weft_watch_ref(w), 0, f };
            tasks[f] = spawn(follow, &followers[f]);
        }
        assert_int_equal(pthread_create(&thread, NULL, change, w), 0);
        for (unsigned f = 0; f < FOLLOWERS; f++)
            join(tasks[f]);
        while (pthread_tryjoin_np(thread, NULL) == EBUSY)
            weft_sleep(WEFT_US(20));
    }
    return 0;
}

static void each_follower_sees_the_last_value(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(watch_changes, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_receiver_accounts_for_every_message),
        cmocka_unit_test(each_follower_sees_the_last_value),
    };
    return wf_test_run(tests);
}
