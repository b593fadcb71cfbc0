// Channels under all operations at once: many tasks send and receive, by all calls;
// some are cancelled, some reach deadlines, and the channel is closed. Each message
// that was sent is received once, or left in the channel; one that was not sent is
// never seen; and each receiver sees each sender's messages in order.
//
// On many threads, and once more on weft's test runtime, one seed after the other.
#include <pthread.h>
#include <stdio.h>

#include "base/atomic.h"
#include "base/compiler.h"
#include "tests/support/chans.h"

enum { SENDERS = 5, RECEIVERS = 4, EACH = 40, MESSAGES = (SENDERS + 1) * EACH };

// Long enough that a message of which only a part arrives is noticed.
struct message {
    uint32_t id, also[5];
};

static struct round {
    weft_chan *c;
    unsigned number;
    _Atomic uint8_t sent[MESSAGES]; // A: by id
    _Atomic uint8_t got[MESSAGES];  // A
} now;

static _Atomic unsigned counts[2][4]; // A: how sends and receives ended: 0, -EPIPE, -ECANCELED, -ETIMEDOUT

static void count(int receives, int err)
{
    int at = err == 0 ? 0 : err == -EPIPE ? 1 : err == -ECANCELED ? 2 : 3;
    wf_fetch_add_relaxed(&counts[receives][at], 1); // relaxed: printed when all is over
}

static struct wf_test_rand rand_for(unsigned who)
{
    return wf_test_rand((uint64_t)now.number << 16 | who);
}

static struct message message_of(uint32_t id)
{
    struct message m = { .id = id };
    for (uint32_t i = 0; i < wf_countof(m.also); i++)
        m.also[i] = id * 31 + i;
    return m;
}

// Four ways to send, or to receive: wait; wait for some time; try; select.
enum way { PLAIN, TIMED, TRIED, SELECTED, WAYS };

static int once(enum way way, bool receives, struct message *m, weft_time pause)
{
    weft_scope scope;
    int err;

    switch (way) {
    case TIMED:
        weft_scope_open(&scope, WEFT_SCOPE_FAIL_FAST);
        weft_scope_deadline(&scope, weft_after(pause));
        err = receives ? weft_chan_recv(now.c, m) : weft_chan_send(now.c, m);
        (void)weft_scope_close(&scope);
        return err;
    case TRIED:
        err = receives ? weft_chan_try_recv(now.c, m) : weft_chan_try_send(now.c, m);
        if (err != -EAGAIN)
            return err;
        err = weft_yield();
        return err ? err : -ETIMEDOUT;
    case SELECTED: {
        weft_case cases[] = { receives ? weft_on_recv(now.c, m) : weft_on_send(now.c, m),
                              weft_on_time(weft_after(pause)) };
        int i = weft_select(cases, 2);
        return i < 0 ? i : i == 0 ? cases[0].result : -ETIMEDOUT;
    }
    default:
        return receives ? weft_chan_recv(now.c, m) : weft_chan_send(now.c, m);
    }
}

static int send_all(void *arg)
{
    unsigned self = (unsigned)(uintptr_t)arg;
    struct wf_test_rand r = rand_for(self);
    int err = 0;

    for (uint32_t id = self * EACH; id < (self + 1) * EACH && (err == 0 || err == -ETIMEDOUT); id += err == 0) {
        struct message m = message_of(id);
        err = once((enum way)wf_test_below(&r, WAYS), false, &m, WEFT_US(wf_test_below(&r, 30)));
        count(0, err);
        m = message_of(UINT32_MAX - id); // what is sent has been copied
        if (err == 0)
            wf_store_relaxed(&now.sent[id], 1); // relaxed: read when all have been joined
    }
    return err;
}

// note counts a received message. `last`: each sender's previous message.
static void note(const struct message *m, uint32_t *last)
{
    struct message whole = message_of(m->id);

    assert_true(m->id < MESSAGES);
    assert_memory_equal(m, &whole, sizeof(whole));
    assert_int_equal(wf_fetch_add_relaxed(&now.got[m->id], 1), 0); // relaxed: a counter
    if (last[m->id / EACH] != UINT32_MAX)
        assert_true(m->id > last[m->id / EACH]);
    last[m->id / EACH] = m->id;
}

static void forget(uint32_t *last)
{
    for (int i = 0; i <= SENDERS; i++)
        last[i] = UINT32_MAX;
}

static int recv_all(void *arg)
{
    struct wf_test_rand r = rand_for(100 + (unsigned)(uintptr_t)arg);
    uint32_t last[SENDERS + 1];
    int err = 0;

    forget(last);
    while (err == 0 || err == -ETIMEDOUT) {
        struct message m = { .id = UINT32_MAX };
        err = once((enum way)wf_test_below(&r, WAYS), true, &m, WEFT_US(wf_test_below(&r, 30)));
        count(1, err);
        if (err == 0)
            note(&m, last);
        else
            assert_int_equal(m.id, UINT32_MAX); // untouched
    }
    return err;
}

// A thread that is not weft's sends a few, too, by trying.
static void *send_outside(void *arg)
{
    uint32_t id = SENDERS * EACH;
    int err = 0;
    (void)arg;

    for (int tries = 0; id < MESSAGES && tries < 2000 && err != -EPIPE; tries++) {
        struct message m = message_of(id);
        err = weft_chan_try_send(now.c, &m);
        if (err == 0)
            wf_store_relaxed(&now.sent[id++], 1); // relaxed: read when it has been joined
    }
    return NULL;
}

static void begin(unsigned number)
{
    static const size_t capacities[] = { 0, 0, 1, 3, 64, WEFT_UNBOUNDED };

    now.number = number;
    now.c = new_chan(sizeof(struct message), capacities[number % wf_countof(capacities)]);
    for (int id = 0; id < MESSAGES; id++) {
        wf_store_relaxed(&now.sent[id], 0); // relaxed: no other thread is running yet
        wf_store_relaxed(&now.got[id], 0);
    }
}

// settle drains the channel, which is closed, and compares what was sent with what was
// received.
static void settle(void)
{
    struct message m;
    uint32_t last[SENDERS + 1];

    forget(last);
    while (weft_chan_try_recv(now.c, &m) == 0)
        note(&m, last);
    assert_int_equal(weft_chan_len(now.c), 0);
    for (int id = 0; id < MESSAGES; id++)
        assert_int_equal(wf_load_relaxed(&now.sent[id]), wf_load_relaxed(&now.got[id])); // relaxed: all is over
    weft_chan_unref(now.c);
}

// play is one round. In every other one all senders come to their end before the
// channel is closed.
static void play(unsigned number, bool outside)
{
    weft_task *senders[SENDERS], *receivers[RECEIVERS];
    struct wf_test_rand r = wf_test_rand((uint64_t)number << 32);
    bool in_peace = wf_test_below(&r, 2);
    pthread_t thread;

    begin(number);
    if (outside)
        assert_int_equal(pthread_create(&thread, NULL, send_outside, NULL), 0);
    for (uintptr_t i = 0; i < RECEIVERS; i++)
        receivers[i] = spawn(recv_all, (void *)i);
    for (uintptr_t i = 0; i < SENDERS; i++)
        senders[i] = spawn(send_all, (void *)i);
    for (uint32_t n = wf_test_below(&r, 6); n > 0; n--) {
        if (wf_test_below(&r, 2))
            weft_sleep(WEFT_US(wf_test_below(&r, 40)));
        uint32_t k = wf_test_below(&r, SENDERS + RECEIVERS);
        if (k < SENDERS)
            weft_task_cancel(senders[k]);
        else if (!in_peace)
            weft_task_cancel(receivers[k - SENDERS]);
    }
    for (int i = 0; in_peace && i < SENDERS; i++)
        assert_int_equal(weft_await(weft_task_future(senders[i]), NULL), 0);
    weft_chan_close(now.c);
    for (int i = 0; i < SENDERS; i++)
        join(senders[i]);
    for (int i = 0; i < RECEIVERS; i++)
        join(receivers[i]);
    if (outside)
        assert_int_equal(pthread_join(thread, NULL), 0); // it has seen the end, or soon will
    settle();
}

static int play_many(void *arg)
{
    (void)arg;
    for (unsigned rounds = wf_test_rounds(2000), i = 1; i <= rounds; i++)
        play(i, i % 4 == 0);
    return 0;
}

static void messages_are_conserved_on_many_threads(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(play_many, NULL), 0);
    for (int i = 0; i < 2; i++)
        printf("%s: %u done, %u closed, %u cancelled, %u timed out\n", i ? "receives" : "sends", counts[i][0],
               counts[i][1], counts[i][2], counts[i][3]);
}

static int play_one(void *arg)
{
    (void)arg;
    play((unsigned)weft_test_seed(), false);
    return 0;
}

static void messages_are_conserved_in_any_order(void **state)
{
    (void)state;
    assert_int_equal(weft_test_seeds(NULL, wf_test_seed(), wf_test_rounds(2000), play_one, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_conserved_on_many_threads),
        cmocka_unit_test(messages_are_conserved_in_any_order),
    };
    return wf_test_run(tests);
}
