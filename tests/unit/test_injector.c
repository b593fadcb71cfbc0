// The injector: single facts, then threads that push chains while others take shares.
#include <sched.h>
#include <stdlib.h>

#include "sched/queues/injector.h"
#include "tests/support/harness.h"
#include "tests/support/threads.h"

static struct wf_injector q;
static struct wf_task tasks[16];

static void begin(void)
{
    q = (struct wf_injector){ .tail = NULL };
}

static void push(unsigned first, unsigned n)
{
    struct wf_chain chain = { 0 };
    for (unsigned i = 0; i < n; i++)
        wf_chain_append(&chain, &tasks[first + i]);
    assert_int_equal(chain.count, n);
    wf_injector_push(&q, &chain);
}

static void expect(unsigned most, unsigned first, unsigned n)
{
    struct wf_task *out[16];
    assert_int_equal(wf_injector_take(&q, out, most), n);
    for (unsigned i = 0; i < n; i++)
        assert_ptr_equal(out[i], &tasks[first + i]);
}

static void all_zero_is_empty(void **state)
{
    (void)state;
    begin();
    assert_true(wf_injector_empty(&q));
    expect(16, 0, 0);
}

static void first_in_first_out(void **state)
{
    (void)state;
    begin();
    push(0, 1);
    push(1, 3);
    push(4, 1);
    assert_false(wf_injector_empty(&q));
    expect(16, 0, 5);
    assert_true(wf_injector_empty(&q));
    expect(16, 0, 0);
}

static void a_share_may_end_within_a_chain(void **state)
{
    (void)state;
    begin();
    push(0, 5);
    expect(0, 0, 0);
    expect(2, 0, 2);
    push(5, 1);
    expect(1, 2, 1);
    expect(3, 3, 3);
    assert_true(wf_injector_empty(&q));
}

static void it_may_be_emptied_and_filled_over_and_over(void **state)
{
    (void)state;
    begin();
    for (unsigned i = 0; i < 10; i++) {
        push(i, 2);
        expect(1, i, 1);
        expect(1, i + 1, 1);
        assert_true(wf_injector_empty(&q));
    }
}

static void who_finds_another_taking_gets_nothing(void **state)
{
    (void)state;
    begin();
    push(0, 1);
    assert_true(wf_lock_try(&q.taking));
    expect(1, 0, 0);
    assert_false(wf_injector_empty(&q));
    wf_lock_release(&q.taking);
    expect(1, 0, 1);
}

// A pusher that has done its exchange and not yet linked: what lies behind cannot be
// reached, but it is there.
static void what_is_not_linked_yet_is_not_lost(void **state)
{
    (void)state;
    begin();
    struct wf_task *before = wf_exchange_seq_cst(&q.tail, &tasks[0]);
    assert_null(before);
    expect(16, 0, 0);
    assert_false(wf_injector_empty(&q));
    push(1, 1);
    expect(16, 0, 0);
    wf_store_release(&q.head, &tasks[0]);
    expect(16, 0, 2);
    assert_true(wf_injector_empty(&q));
}

static void the_last_one_stays_while_somebody_is_linking_behind_it(void **state)
{
    (void)state;
    begin();
    push(0, 2);
    wf_store_relaxed(&tasks[2].next, NULL);
    struct wf_task *before = wf_exchange_seq_cst(&q.tail, &tasks[2]);
    assert_ptr_equal(before, &tasks[1]);
    expect(16, 0, 1);
    expect(16, 0, 0);
    wf_store_release(&before->next, &tasks[2]);
    expect(16, 1, 2);
    assert_true(wf_injector_empty(&q));
}

// --- threads -------------------------------------------------------------------------

enum { PUSHERS = 3, TAKERS = 2, SHARE = 5 };

struct item {
    struct wf_task task;    // first: what the injector holds
    unsigned payload;       // plain: [J1] publishes it
    _Atomic unsigned taken; // A: how often
};

static struct item *items; // a part for each pusher
static unsigned n_each;
static _Atomic unsigned left; // A: tasks not taken yet
static struct threads threads;

// pause_in_turn keeps the processor for a while: pushers and takers that sleep never
// meet.
static void pause_in_turn(unsigned turns)
{
    if (turns % 256 == 255)
        sched_yield();
}

static void *be_pusher(void *arg)
{
    unsigned self = (unsigned)(uintptr_t)arg;
    struct wf_test_rand r = wf_test_rand(self);
    struct item *own = items + (size_t)self * n_each;

    threads_ready(&threads);
    for (unsigned next = 0; next < n_each;) {
        struct wf_chain chain = { 0 };
        for (unsigned n = 1 + wf_test_below(&r, 3); n > 0 && next < n_each; n--, next++) {
            own[next].payload = next + 1;
            wf_chain_append(&chain, &own[next].task);
        }
        wf_injector_push(&q, &chain);
        if (wf_test_below(&r, 4) > 0) // so that it runs empty now and then
            for (unsigned turns = 0; !wf_injector_empty(&q) && turns < 400; turns++)
                pause_in_turn(turns);
    }
    return NULL;
}

// take checks an item, and that each pusher's come in order.
static void take(struct item *item, unsigned *last)
{
    unsigned pusher = (unsigned)(item - items) / n_each;
    assert_true(item->payload == (unsigned)(item - items) % n_each + 1);
    assert_true(item->payload > last[pusher]);
    last[pusher] = item->payload;
    assert_int_equal(wf_fetch_add_relaxed(&item->taken, 1), 0); // relaxed: only a count; it was not taken before
}

static void *be_taker(void *arg)
{
    struct wf_test_rand r = wf_test_rand(PUSHERS + (unsigned)(uintptr_t)arg);
    unsigned last[PUSHERS] = { 0 }, turns = 0;

    threads_ready(&threads);
    while (wf_load_seq_cst(&left) > 0) { // a lost task makes this wait hang
        struct wf_task *out[SHARE];
        unsigned n = wf_injector_take(&q, out, 1 + wf_test_below(&r, SHARE));
        for (unsigned i = 0; i < n; i++)
            take((struct item *)(void *)out[i], last);
        wf_fetch_sub_seq_cst(&left, n);
        pause_in_turn(n == 0 ? turns++ : 0);
    }
    return NULL;
}

static void every_task_is_taken_once_and_in_order(void **state)
{
    (void)state;
    begin();
    n_each = wf_test_rounds(100000);
    items = calloc((size_t)PUSHERS * n_each, sizeof(*items));
    assert_non_null(items);
    left = PUSHERS * n_each;
    threads_init(&threads, PUSHERS + TAKERS);
    for (uintptr_t i = 0; i < PUSHERS; i++)
        threads_add(&threads, be_pusher, (void *)i);
    for (uintptr_t i = 0; i < TAKERS; i++)
        threads_add(&threads, be_taker, (void *)i);
    threads_join(&threads);
    assert_true(wf_injector_empty(&q));
    for (unsigned i = 0; i < PUSHERS * n_each; i++)
        assert_int_equal(wf_load_relaxed(&items[i].taken), 1);
    free(items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_zero_is_empty),
        cmocka_unit_test(first_in_first_out),
        cmocka_unit_test(a_share_may_end_within_a_chain),
        cmocka_unit_test(it_may_be_emptied_and_filled_over_and_over),
        cmocka_unit_test(who_finds_another_taking_gets_nothing),
        cmocka_unit_test(what_is_not_linked_yet_is_not_lost),
        cmocka_unit_test(the_last_one_stays_while_somebody_is_linking_behind_it),
        cmocka_unit_test(every_task_is_taken_once_and_in_order),
    };
    return wf_test_run(tests);
}
