// Selects at both ends of the same channels, with the same channel several times in one
// select, both ways too; with futures and deadlines among the cases, cancels from
// outside, and an end by closing. A select performs exactly one case: each message that
// a select reports as sent is received by one select, or left in a channel; no other
// message is ever seen.
//
// On many threads, and once more on weft's test runtime, one seed after the other.
#include <stdio.h>

#include "base/atomic.h"
#include "base/compiler.h"
#include "tests/support/chans.h"

enum { TASKS = 6, CHANNELS = 4, CASES = 8, EACH = 60, MESSAGES = TASKS * EACH };

static struct round {
    weft_chan *c[CHANNELS];
    weft_future future;
    unsigned number;
    _Atomic uint8_t sent[MESSAGES]; // A: by message
    _Atomic uint8_t got[MESSAGES];  // A
} now;

static _Atomic unsigned sends, receives, futures, timeouts, ends, cancels; // A: how selects ended

static void count(_Atomic unsigned *counter)
{
    wf_fetch_add_relaxed(counter, 1); // relaxed: printed when all is over
}

static struct wf_test_rand rand_for(unsigned who)
{
    return wf_test_rand((uint64_t)now.number << 16 | who);
}

// One task: what it sends next, where it receives to, and its cases.
struct player {
    struct wf_test_rand rand;
    int next, end; // the messages that are its own
    int to[CASES];
    enum { A_SEND, A_RECV, A_FUTURE, A_TIME } kind[CASES];
    weft_case cases[CASES];
};

// deal makes the cases of a select.  Returns: how many.
static size_t deal(struct player *p)
{
    size_t n = 1 + wf_test_below(&p->rand, CASES);

    for (size_t i = 0; i < n; i++) {
        weft_chan *c = now.c[wf_test_below(&p->rand, CHANNELS)];
        uint32_t lot = wf_test_below(&p->rand, 16);
        p->to[i] = -1;
        if (lot == 0) {
            p->kind[i] = A_TIME;
            p->cases[i] = weft_on_time(weft_after(WEFT_US(wf_test_below(&p->rand, 40)) - WEFT_US(5)));
        } else if (lot == 1) {
            p->kind[i] = A_FUTURE;
            p->cases[i] = weft_on_future(&now.future);
        } else if (lot % 2) {
            p->kind[i] = A_RECV;
            p->cases[i] = weft_on_recv(c, &p->to[i]);
        } else {
            p->kind[i] = A_SEND;
            p->cases[i] = weft_on_send(c, &p->next);
        }
    }
    return n;
}

static void note_got(int message)
{
    assert_in_range(message, 0, MESSAGES - 1);
    assert_int_equal(wf_fetch_add_relaxed(&now.got[message], 1), 0); // relaxed: a counter
}

// note counts the result of a select of `n` cases: the case `i`.  Returns: 0; -EPIPE.
static int note(struct player *p, size_t n, int i)
{
    int result = p->cases[i].result;

    assert_true((size_t)i < n);
    for (int k = 0; k < (int)n; k++)
        if (p->to[k] != -1)
            assert_true(k == i && result == 0); // the others are untouched
    if (result == -EPIPE) {
        assert_true(p->kind[i] == A_SEND || p->kind[i] == A_RECV);
        return -EPIPE;
    }
    assert_int_equal(result, 0);
    switch (p->kind[i]) {
    case A_SEND:
        wf_store_relaxed(&now.sent[p->next++], 1); // relaxed: read when all have been joined
        count(&sends);
        break;
    case A_RECV:
        note_got(p->to[i]);
        count(&receives);
        break;
    case A_FUTURE:
        assert_int_equal(p->cases[i].value, now.number);
        count(&futures);
        break;
    case A_TIME:
        count(&timeouts);
    }
    return 0;
}

static int select_all(void *arg)
{
    int self = (int)(intptr_t)arg, err = 0;
    struct player p = { .rand = rand_for((unsigned)self), .next = self * EACH, .end = (self + 1) * EACH };

    for (int selects = 0; selects < 3 * EACH && p.next < p.end && err == 0; selects++) {
        size_t n = deal(&p);
        int i = weft_select(p.cases, n);
        err = i < 0 ? i : note(&p, n, i);
        for (size_t k = 0; i < 0 && k < n; k++)
            assert_int_equal(p.to[k], -1);
    }
    count(err == -EPIPE ? &ends : err ? &cancels : &timeouts);
    return err;
}

static void begin(unsigned number)
{
    struct wf_test_rand r = wf_test_rand((uint64_t)number << 32 | 1);
    static const size_t capacities[] = { 0, 0, 0, 1, 2, WEFT_UNBOUNDED };

    now.number = number;
    weft_future_init(&now.future);
    for (int i = 0; i < CHANNELS; i++)
        now.c[i] = new_numbers(capacities[wf_test_below(&r, number % 2 ? 3 : wf_countof(capacities))]);
    for (int i = 0; i < MESSAGES; i++) {
        wf_store_relaxed(&now.sent[i], 0); // relaxed: no other thread is running yet
        wf_store_relaxed(&now.got[i], 0);
    }
}

// settle drains the channels, and compares what was sent with what was received.
static void settle(void)
{
    for (int i = 0; i < CHANNELS; i++) {
        for (int message; (message = try_recv(now.c[i])) >= 0;)
            note_got(message);
        weft_chan_unref(now.c[i]); // it aborts if a waiter is still queued
    }
    for (int i = 0; i < MESSAGES; i++)
        assert_int_equal(wf_load_relaxed(&now.sent[i]), wf_load_relaxed(&now.got[i])); // relaxed: all is over
}

static void play(unsigned number)
{
    weft_task *tasks[TASKS];
    struct wf_test_rand r = wf_test_rand((uint64_t)number << 32);

    begin(number);
    for (intptr_t i = 0; i < TASKS; i++)
        tasks[i] = spawn(select_all, (void *)i);
    for (uint32_t n = wf_test_below(&r, 8); n > 0; n--) {
        weft_sleep(WEFT_US(wf_test_below(&r, 60)));
        if (wf_test_below(&r, 4) == 0)
            weft_task_cancel(tasks[wf_test_below(&r, TASKS)]);
    }
    if (wf_test_below(&r, 2))
        weft_future_complete(&now.future, now.number);
    for (int i = 0; i < CHANNELS; i++)
        weft_chan_close(now.c[i]);
    if (!weft_future_done(&now.future))
        weft_future_complete(&now.future, now.number); // for the tasks that wait for nothing else
    for (int i = 0; i < TASKS; i++)
        join(tasks[i]);
    settle();
}

static int play_many(void *arg)
{
    (void)arg;
    for (unsigned rounds = wf_test_rounds(3000), i = 1; i <= rounds; i++)
        play(i);
    return 0;
}

static void selects_do_one_thing_on_many_threads(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(play_many, NULL), 0);
    printf("%u sends, %u receives, %u futures, %u times; %u closed, %u cancelled\n", sends, receives, futures, timeouts,
           ends, cancels);
}

static int play_one(void *arg)
{
    (void)arg;
    play((unsigned)weft_test_seed());
    return 0;
}

static void selects_do_one_thing_in_any_order(void **state)
{
    (void)state;
    assert_int_equal(weft_test_seeds(NULL, wf_test_seed(), wf_test_rounds(3000), play_one, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(selects_do_one_thing_on_many_threads),
        cmocka_unit_test(selects_do_one_thing_in_any_order),
    };
    return wf_test_run(tests);
}
