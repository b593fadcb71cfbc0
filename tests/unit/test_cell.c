// The cell: single facts first, then threads that push, leave, set and clear as fast as
// they can.
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cell.h"
#include "base/compiler.h"
#include "tests/support/harness.h"

// --- one thread ---

static struct wf_cell cell;
static int order[16]; // the woken waiters, in order
static int woken;

static void note(void *arg)
{
    order[woken++] = (int)(intptr_t)arg;
}

static void begin(void)
{
    wf_cell_init(&cell);
    woken = 0;
}

static void push(struct wf_cell_node *node, int who)
{
    memset(node, 0xa5, sizeof(*node));
    node->waker = (struct wf_waker){ note, (void *)(intptr_t)who };
    assert_true(wf_cell_push(&cell, node));
    assert_false(wf_cell_signalled(node));
}

static void expect_woken(int n, const int *who)
{
    assert_int_equal(woken, n);
    for (int i = 0; i < n; i++)
        assert_int_equal(order[i], who[i]);
}

static void it_begins_empty_and_all_zero_is_empty_too(void **state)
{
    static struct wf_cell zero;
    (void)state;
    begin();
    assert_int_equal(wf_cell_value(&cell), 0);
    assert_int_equal(wf_cell_value(&zero), 0);
    assert_memory_equal(&cell, &zero, sizeof(cell));
}

static void the_first_set_wins(void **state)
{
    (void)state;
    begin();
    assert_true(wf_cell_set(&cell, 10, false));
    assert_false(wf_cell_set(&cell, 20, false));
    assert_int_equal(wf_cell_value(&cell), 10 | 1);
}

static void a_value_may_have_any_bit_but_the_lowest(void **state)
{
    static const uintptr_t values[] = { 0, 2, 4, 6, 8, 14, UINTPTR_MAX - 1, 6 };
    (void)state;
    begin();
    for (size_t i = 0; i < wf_countof(values); i++) {
        struct wf_cell_node node;
        assert_true(wf_cell_set(&cell, values[i], true));
        assert_int_equal(wf_cell_value(&cell), values[i] | 1);
        assert_false(wf_cell_set(&cell, 8, false));
        assert_false(wf_cell_push(&cell, &node));
    }
    assert_int_equal(wf_cell_value(&cell), 6 | 1);
}

static void a_clear_counts_only_for_what_was_seen(void **state)
{
    (void)state;
    begin();
    wf_cell_set(&cell, 2, true);
    uintptr_t seen = wf_cell_value(&cell);
    wf_cell_set(&cell, 4, true);
    assert_false(wf_cell_clear(&cell, seen));
    assert_int_equal(wf_cell_value(&cell), 4 | 1);
    assert_true(wf_cell_clear(&cell, 4 | 1));
    assert_int_equal(wf_cell_value(&cell), 0);
    assert_true(wf_cell_set(&cell, 8, false));
}

static void set_wakes_all_oldest_first_and_once(void **state)
{
    struct wf_cell_node nodes[3];
    (void)state;
    begin();
    for (int i = 0; i < 3; i++)
        push(&nodes[i], i);
    assert_int_equal(wf_cell_value(&cell), 0);
    assert_true(wf_cell_set(&cell, 0, false));
    assert_true(wf_cell_set(&cell, 2, true));
    expect_woken(3, (int[]){ 0, 1, 2 });
    for (int i = 0; i < 3; i++)
        assert_true(wf_cell_signalled(&nodes[i]));
}

static void look(void *arg)
{
    assert_true(wf_cell_chosen(arg));
    assert_false(wf_cell_signalled(arg)); // it must not go yet
    woken++;
}

static void a_node_is_chosen_when_its_waker_fires_and_signalled_after(void **state)
{
    struct wf_cell_node nodes[3];
    (void)state;
    begin();
    for (int i = 0; i < 3; i++) {
        nodes[i].waker = (struct wf_waker){ look, &nodes[i] };
        assert_true(wf_cell_push(&cell, &nodes[i]));
    }
    wf_cell_set(&cell, 0, false);
    assert_int_equal(woken, 3);
    for (int i = 0; i < 3; i++)
        assert_true(wf_cell_signalled(&nodes[i]));
}

static void the_only_waiter_that_leaves_makes_it_empty(void **state)
{
    struct wf_cell_node node;
    (void)state;
    begin();
    push(&node, 0);
    assert_true(wf_cell_leave(&cell, &node));
    assert_int_equal(wf_load_relaxed(&cell.word), 0);
    assert_true(wf_cell_set(&cell, 0, false));
    expect_woken(0, NULL);
}

// Every subset of four waiters leaves, in every order of which two orders are tried: up
// and down.
static void those_who_left_are_not_woken_and_all_others_are(void **state)
{
    (void)state;
    for (unsigned leavers = 0; leavers < 32; leavers++) {
        struct wf_cell_node nodes[4];
        int stay[4], n = 0;
        begin();
        for (int i = 0; i < 4; i++)
            push(&nodes[i], i);
        for (int i = 0; i < 4; i++) {
            int at = leavers & 16 ? 3 - i : i;
            if (leavers >> at & 1) {
                assert_true(wf_cell_leave(&cell, &nodes[at]));
                memset(&nodes[at], 0xee, sizeof(nodes[at]));
            }
        }
        for (int i = 0; i < 4; i++)
            if (!(leavers >> i & 1))
                stay[n++] = i;
        wf_cell_set(&cell, 0, false);
        expect_woken(n, stay);
    }
}

static void pushes_and_leaves_may_alternate(void **state)
{
    struct wf_cell_node nodes[6];
    (void)state;
    begin();
    push(&nodes[0], 0);
    push(&nodes[1], 1);
    push(&nodes[2], 2);
    assert_true(wf_cell_leave(&cell, &nodes[2])); // the newest: 1 is on top now, its link back is stale
    memset(&nodes[2], 0xee, sizeof(nodes[2]));
    push(&nodes[3], 3);
    push(&nodes[4], 4);
    assert_true(wf_cell_leave(&cell, &nodes[1]));
    memset(&nodes[1], 0xee, sizeof(nodes[1]));
    push(&nodes[5], 5);
    assert_true(wf_cell_leave(&cell, &nodes[3]));
    memset(&nodes[3], 0xee, sizeof(nodes[3]));
    wf_cell_set(&cell, 0, false);
    expect_woken(3, (int[]){ 0, 4, 5 });
}

static void a_node_that_left_may_be_pushed_again(void **state)
{
    struct wf_cell_node nodes[4];
    (void)state;
    begin();
    for (int i = 0; i < 4; i++)
        push(&nodes[i], i);
    assert_true(wf_cell_leave(&cell, &nodes[3]));
    memset(&nodes[3], 0xee, sizeof(nodes[3]));
    assert_true(wf_cell_leave(&cell, &nodes[1]));
    assert_true(wf_cell_push(&cell, &nodes[1])); // as it is, with an old stamp
    assert_true(wf_cell_leave(&cell, &nodes[2]));
    wf_cell_set(&cell, 0, false);
    expect_woken(2, (int[]){ 0, 1 });
}

static void who_was_signalled_cannot_leave(void **state)
{
    struct wf_cell_node node;
    (void)state;
    begin();
    push(&node, 7);
    wf_cell_set(&cell, 2, false);
    assert_false(wf_cell_leave(&cell, &node));
    assert_true(wf_cell_signalled(&node));
    expect_woken(1, (int[]){ 7 });
}

static void nor_after_the_cell_was_cleared(void **state)
{
    struct wf_cell_node node;
    (void)state;
    begin();
    push(&node, 7);
    wf_cell_set(&cell, 2, false);
    assert_true(wf_cell_clear(&cell, wf_cell_value(&cell)));
    assert_false(wf_cell_leave(&cell, &node));
    assert_int_equal(wf_cell_value(&cell), 0);
    assert_true(wf_cell_set(&cell, 2, false));
    expect_woken(1, (int[]){ 7 });
}

// The leaver's own node was taken; the stack that it finds belongs to other waiters,
// which may have come and left before.
static void nor_may_it_disturb_those_who_came_after(void **state)
{
    (void)state;
    for (int variant = 0; variant < 8; variant++) {
        struct wf_cell_node early[3], late[3];
        int expected[6] = { 0, 1, 2, 10, 11, 12 }, n = 6;
        begin();
        for (int i = 0; i < 3; i++)
            push(&early[i], i);
        if (variant & 1) { // the early ones bear a stamp
            assert_true(wf_cell_leave(&cell, &early[2]));
            memmove(&expected[2], &expected[3], sizeof(int) * 3);
            n = 5;
        }
        wf_cell_set(&cell, 2, false);
        memset(&early[0], 0xee, sizeof(early[0])); // its owner has left
        wf_cell_clear(&cell, wf_cell_value(&cell));
        for (int i = 0; i < 3; i++)
            push(&late[i], 10 + i);
        if (variant & 2) { // and so do the late ones
            struct wf_cell_node passing;
            push(&passing, 99);
            assert_true(wf_cell_leave(&cell, &passing));
        }
        assert_false(wf_cell_leave(&cell, &early[1]));
        if (variant & 4) {
            assert_true(wf_cell_leave(&cell, &late[2]));
            n--;
        }
        wf_cell_set(&cell, 4, false);
        expect_woken(n, expected);
    }
}

static void a_hundred_thousand_leave_in_any_order(void **state)
{
    enum { N = 100000 };
    struct wf_cell_node *nodes = calloc(N, sizeof(*nodes));
    static const int64_t steps[] = { 1, N - 1, 7919 }; // oldest first, newest first, all over the place
    (void)state;

    assert_non_null(nodes);
    for (size_t s = 0; s < wf_countof(steps); s++) {
        begin();
        for (int i = 0; i < N; i++)
            push(&nodes[i], 0);
        for (int64_t i = 1; i <= N; i++)
            assert_true(wf_cell_leave(&cell, &nodes[i * steps[s] % N]));
        assert_int_equal(wf_load_relaxed(&cell.word), 0);
    }
    expect_woken(0, NULL);
    free(nodes);
}

// --- two threads: what the setter wrote before is visible (it is ThreadSanitizer that
// looks) ---

static int payload;
static struct wf_cell_node waiting_node;

static void *write_and_set(void *arg)
{
    (void)arg;
    payload = 42;
    wf_cell_set(&cell, 2, false);
    return NULL;
}

static void await_set(void) // without an order
{
    while (!(wf_load_relaxed(&cell.word) & WF_CELL_SET))
        sched_yield();
}

static void find_value(void)
{
    while (!wf_cell_value(&cell))
        sched_yield();
}

static void find_it_set_in_push(void)
{
    await_set();
    assert_false(wf_cell_push(&cell, &waiting_node));
}

static void find_it_set_in_set(void)
{
    await_set();
    assert_false(wf_cell_set(&cell, 4, false));
}

static void clear_it(void)
{
    await_set();
    assert_true(wf_cell_clear(&cell, 2 | 1));
}

static void find_it_cleared(void)
{
    await_set();
    uintptr_t seen = 2 | 1;
    // relaxed: another thread's clear orders nothing for this one
    assert_true(wf_cas_relaxed(&cell.word, &seen, (uintptr_t)0));
    wf_cell_value(&cell);
}

static void be_signalled(void)
{
    while (!wf_cell_chosen(&waiting_node))
        sched_yield();
}

static void what_the_setter_wrote_is_visible_however_one_learns_of_it(void **state)
{
    static void (*const ways[])(void) = { find_value, find_it_set_in_push, find_it_set_in_set,
                                          clear_it,   find_it_cleared,     be_signalled };
    (void)state;
    for (size_t i = 0; i < wf_countof(ways); i++) {
        pthread_t setter;
        begin();
        payload = 0;
        if (ways[i] == be_signalled)
            push(&waiting_node, 0);
        assert_int_equal(pthread_create(&setter, NULL, write_and_set, NULL), 0);
        ways[i]();
        assert_int_equal(payload, 42);
        assert_int_equal(pthread_join(setter, NULL), 0);
    }
}

// --- many threads ---

// Waiters push, and then wait or leave, `rounds` times; a waiter that finds the cell
// set takes the value away. Setters set it as long as there are waiters. Afterwards the
// counts must agree.
enum { WAITERS = 4, SETTERS = 2 };

struct waiter {
    _Alignas(64) _Atomic unsigned fired; // A: how often its waker fired, late or not
    unsigned left, woken;                // of the waiter: how its waits ended
    uint64_t clears, cleared, highest;   // of the waiter: how many values it took away, their sum, the highest
    struct wf_test_rand rand;
};

struct setter {
    _Alignas(64) uint64_t sets, sum, last; // of the setter: how many values it has set, their sum, the last
    unsigned number;
    struct wf_test_rand rand;
};

static struct wf_cell shared;
static struct waiter waiters[WAITERS];
static struct setter setters[SETTERS];
static _Atomic unsigned waiting; // A: waiters that are not done
static _Atomic uint64_t begun;   // A: how many sets have been begun,
static _Atomic uint64_t ended;   // A: and ended
static unsigned n_setters;
static pthread_barrier_t start;
static unsigned rounds;

static void count(void *arg)
{
    wf_fetch_add_relaxed(&((struct waiter *)arg)->fired, 1);
}

static void dawdle(struct wf_test_rand *r)
{
    if (wf_test_below(r, 32) == 0)
        sched_yield();
    for (unsigned n = wf_test_below(r, 64); n > 0; n--)
        __asm__ volatile("");
}

// bury fills a node that is the waiter's again, and looks whether it stays like that.
static void bury(struct wf_cell_node *node, struct wf_test_rand *r)
{
    volatile unsigned char *bytes = (volatile unsigned char *)node;

    memset(node, 0xee, sizeof(*node));
    dawdle(r);
    for (size_t i = 0; i < sizeof(*node); i++)
        assert_int_equal(bytes[i], 0xee);
}

static bool wait_a_little(const struct wf_cell_node *node, struct wf_test_rand *r)
{
    for (unsigned turns = wf_test_below(r, 8); turns > 0 && !wf_cell_chosen(node); turns--)
        dawdle(r);
    return wf_cell_chosen(node);
}

// wait_or_leave ends a wait in one way or the other.  Returns: true if it was woken.
static bool wait_or_leave(struct waiter *w, struct wf_cell_node *node)
{
    bool patient = n_setters > 0 && wf_test_below(&w->rand, 4) == 0;

    if (!patient && !wait_a_little(node, &w->rand) && wf_cell_leave(&shared, node)) {
        assert_false(wf_cell_chosen(node));
        w->left++;
        return false;
    }
    assert_int_not_equal(n_setters, 0);
    while (!wf_cell_chosen(node) || !wf_cell_signalled(node)) // a lost wake stays here
        sched_yield();
    w->woken++;
    return true;
}

static bool counted_set(uintptr_t value, bool again)
{
    wf_fetch_add_seq_cst(&begun, 1);
    bool set = wf_cell_set(&shared, value << 1, again);
    wf_fetch_add_seq_cst(&ended, 1);
    return set;
}

static void take_value(struct waiter *w)
{
    uintptr_t seen = wf_cell_value(&shared);

    if (!seen || !wf_cell_clear(&shared, seen))
        return;
    w->clears++;
    w->cleared += seen >> 1;
    if (seen >> 1 > w->highest)
        w->highest = seen >> 1;
}

static void *be_waiter(void *arg)
{
    struct waiter *w = arg;
    struct wf_cell_node nodes[4]; // the same memory over and over, as on a task's stack

    pthread_barrier_wait(&start);
    for (unsigned i = 0; i < rounds;) {
        struct wf_cell_node *node = &nodes[wf_test_below(&w->rand, 4)];
        uint64_t ended_before = wf_load_seq_cst(&ended);
        node->waker = (struct wf_waker){ count, w };
        if (!wf_cell_push(&shared, node)) {
            take_value(w);
            continue;
        }
        if (wait_or_leave(w, node))
            assert_true(wf_load_seq_cst(&begun) > ended_before); // not woken for nothing
        bury(node, &w->rand);
        i++;
    }
    wf_fetch_sub_seq_cst(&waiting, 1);
    return NULL;
}

static void *set_once_each(void *arg)
{
    struct setter *s = arg;

    pthread_barrier_wait(&start);
    for (uint64_t value = s->number; wf_load_seq_cst(&waiting) > 0; value += SETTERS) {
        if (counted_set((uintptr_t)value, false)) {
            s->sets++;
            s->sum += value;
        }
        dawdle(&s->rand);
    }
    return NULL;
}

// As the reactor does it: each edge has a higher number, and replaces a value that was
// not taken yet.
static void *set_over_and_over(void *arg)
{
    struct setter *s = arg;

    pthread_barrier_wait(&start);
    while (wf_load_seq_cst(&waiting) > 0) {
        assert_true(counted_set((uintptr_t)++s->last, true));
        uintptr_t value = wf_cell_value(&shared);
        assert_true(!value || value >> 1 == s->last);
        dawdle(&s->rand);
    }
    return NULL;
}

static void run_threads(unsigned n, void *(*be_setter)(void *))
{
    pthread_t threads[WAITERS + SETTERS];

    wf_cell_init(&shared);
    rounds = wf_test_rounds(40000);
    waiting = WAITERS;
    begun = ended = 0;
    n_setters = n;
    assert_int_equal(pthread_barrier_init(&start, NULL, WAITERS + n_setters), 0);
    for (unsigned i = 0; i < WAITERS; i++) {
        waiters[i] = (struct waiter){ .rand = wf_test_rand(i) };
        assert_int_equal(pthread_create(&threads[i], NULL, be_waiter, &waiters[i]), 0);
    }
    for (unsigned i = 0; i < n_setters; i++) {
        setters[i] = (struct setter){ .number = i, .rand = wf_test_rand(WAITERS + i) };
        assert_int_equal(pthread_create(&threads[WAITERS + i], NULL, be_setter, &setters[i]), 0);
    }
    for (unsigned i = 0; i < WAITERS + n_setters; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    pthread_barrier_destroy(&start);
}

// The sum of the waiters' counts; each must have been woken exactly as often as it was
// signalled.
static struct waiter all_waiters(void)
{
    struct waiter all = { 0 };

    for (unsigned i = 0; i < WAITERS; i++) {
        assert_int_equal(waiters[i].fired, waiters[i].woken);
        assert_int_equal(waiters[i].left + waiters[i].woken, rounds);
        all.left += waiters[i].left;
        all.woken += waiters[i].woken;
        all.clears += waiters[i].clears;
        all.cleared += waiters[i].cleared;
        all.highest = waiters[i].highest > all.highest ? waiters[i].highest : all.highest;
    }
    printf("%u left, %u were woken, %llu values\n", all.left, all.woken, (unsigned long long)all.clears);
    return all;
}

static void while_nobody_sets_every_leave_succeeds(void **state)
{
    (void)state;
    run_threads(0, NULL);
    assert_int_equal(all_waiters().left, WAITERS * rounds);
    assert_int_equal(wf_load_relaxed(&shared.word), 0);
}

static void every_waiter_is_woken_once_or_has_left_never_both_and_no_value_is_lost(void **state)
{
    uint64_t sets = 0, sum = 0;
    (void)state;

    run_threads(SETTERS, set_once_each);
    struct waiter all = all_waiters();
    for (unsigned i = 0; i < SETTERS; i++) {
        sets += setters[i].sets;
        sum += setters[i].sum;
    }
    assert_int_equal(sets, all.clears + (wf_cell_value(&shared) != 0));
    assert_int_equal(sum, all.cleared + (wf_cell_value(&shared) >> 1));
}

static void an_edge_is_never_lost_while_waiters_leave(void **state)
{
    (void)state;
    run_threads(1, set_over_and_over);
    struct waiter all = all_waiters();
    uint64_t last = wf_cell_value(&shared) >> 1;
    assert_int_equal(last ? last : all.highest, setters[0].last);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_begins_empty_and_all_zero_is_empty_too),
        cmocka_unit_test(the_first_set_wins),
        cmocka_unit_test(a_value_may_have_any_bit_but_the_lowest),
        cmocka_unit_test(a_clear_counts_only_for_what_was_seen),
        cmocka_unit_test(set_wakes_all_oldest_first_and_once),
        cmocka_unit_test(a_node_is_chosen_when_its_waker_fires_and_signalled_after),
        cmocka_unit_test(the_only_waiter_that_leaves_makes_it_empty),
        cmocka_unit_test(those_who_left_are_not_woken_and_all_others_are),
        cmocka_unit_test(pushes_and_leaves_may_alternate),
        cmocka_unit_test(a_node_that_left_may_be_pushed_again),
        cmocka_unit_test(who_was_signalled_cannot_leave),
        cmocka_unit_test(nor_after_the_cell_was_cleared),
        cmocka_unit_test(nor_may_it_disturb_those_who_came_after),
        cmocka_unit_test(a_hundred_thousand_leave_in_any_order),
        cmocka_unit_test(what_the_setter_wrote_is_visible_however_one_learns_of_it),
        cmocka_unit_test(while_nobody_sets_every_leave_succeeds),
        cmocka_unit_test(every_waiter_is_woken_once_or_has_left_never_both_and_no_value_is_lost),
        cmocka_unit_test(an_edge_is_never_lost_while_waiters_leave),
    };
    return wf_test_run(tests);
}
