// The run ring: single facts, then owners that steal from each other, in rings of four
// slots.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sched/queues/ring.h"
#include "sched/task.h"
#include "tests/support/harness.h"
#include "tests/support/threads.h"

_Static_assert(WF_RING_CAP == 4, "the facts below count on four slots");

static struct wf_ring q, other;
static struct wf_task tasks[16];

static void begin(void)
{
    q = other = (struct wf_ring){ 0 };
}

static void push(unsigned first, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        assert_true(wf_ring_push(&q, &tasks[first + i]));
}

static void expect_pops(struct wf_ring *ring, unsigned first, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        assert_ptr_equal(wf_ring_pop(ring, false), &tasks[first + i]);
    assert_null(wf_ring_pop(ring, false));
    assert_int_equal(wf_ring_size(ring), 0);
}

static void the_owner_takes_the_oldest(void **state)
{
    (void)state;
    begin();
    assert_null(wf_ring_pop(&q, false));
    push(0, 3);
    assert_int_equal(wf_ring_size(&q), 3);
    expect_pops(&q, 0, 3);
}

static void a_full_ring_refuses_until_one_is_taken(void **state)
{
    (void)state;
    begin();
    push(0, 4);
    assert_false(wf_ring_push(&q, &tasks[4]));
    assert_ptr_equal(wf_ring_pop(&q, false), &tasks[0]);
    push(4, 1);
    expect_pops(&q, 1, 4);
}

static void a_thief_gets_the_older_half_rounded_up(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 4; n++) {
        unsigned moved, half = n - n / 2;
        begin();
        push(0, n);
        assert_ptr_equal(wf_ring_steal(&q, &other, WF_RING_CAP / 2, &moved), &tasks[half - 1]);
        assert_int_equal(moved, half - 1);
        expect_pops(&other, 0, half - 1);
        expect_pops(&q, half, n - half);
    }
}

static void from_an_empty_ring_nothing_is_stolen(void **state)
{
    unsigned moved = 7;
    (void)state;
    begin();
    assert_null(wf_ring_steal(&q, &other, WF_RING_CAP / 2, &moved));
    assert_int_equal(moved, 0);
    assert_int_equal(wf_ring_size(&other), 0);
}

static void it_goes_on_where_the_slots_wrap(void **state)
{
    unsigned moved;
    (void)state;
    begin();
    for (unsigned i = 0; i < 40; i++) {
        push(0, 3);
        assert_ptr_equal(wf_ring_steal(&q, &other, WF_RING_CAP / 2, &moved), &tasks[1]);
        assert_ptr_equal(wf_ring_pop(&other, false), &tasks[0]);
        expect_pops(&q, 2, 1);
    }
}

// --- an owner and thieves ------------------------------------------------------------

enum { PLAYERS = 3 /* the first one pushes */, N_ITEMS = 100000 };

struct item {
    struct wf_task task;    // first: what the ring holds
    unsigned payload;       // plain: [R1] publishes it
    _Atomic unsigned taken; // A: how often
};

static struct wf_ring rings[PLAYERS];
static struct item items[N_ITEMS];
static _Atomic unsigned left; // A: tasks not taken yet
static _Atomic bool done;     // A: the owner has finished
static struct threads threads;
static _Atomic unsigned stolen; // A: by all thieves

// let_thieves_in is called by the owner now and then: while no thief gets a processor,
// there is nothing to test.
static void let_thieves_in(unsigned *seen)
{
    unsigned now = wf_load_relaxed(&stolen); // relaxed: a hint
    if (now == *seen)
        usleep(50);
    *seen = now;
}

static void take(struct wf_task *task)
{
    struct item *item = (struct item *)(void *)task;
    assert_true(item->payload == (unsigned)(item - items) + 1);
    assert_int_equal(wf_fetch_add_relaxed(&item->taken, 1), 0); // relaxed: only a count; it was not taken before
    wf_fetch_sub_seq_cst(&left, 1);
}

// A thread without tasks steals from the next one, and takes the stolen tasks out one
// by one, while others steal from it.
static void *be_thief(void *arg)
{
    unsigned self = (unsigned)(uintptr_t)arg;
    struct wf_test_rand r = wf_test_rand(self);

    threads_ready(&threads);
    while (!wf_load_acquire(&done)) {
        unsigned moved, victim = (self + 1 + wf_test_below(&r, PLAYERS - 1)) % PLAYERS;
        struct wf_task *task = wf_ring_steal(&rings[victim], &rings[self], WF_RING_CAP / 2, &moved);
        for (; task; task = wf_ring_pop(&rings[self], false)) {
            take(task);
            wf_fetch_add_relaxed(&stolen, 1); // relaxed: a hint
        }
    }
    return NULL;
}

// play pushes all items and pops some of them, until all are taken; it hangs if one is
// lost.
static void play(struct wf_test_rand *r, unsigned *seen)
{
    struct wf_task *task;
    unsigned next = 0, turns = 0;

    while (wf_load_seq_cst(&left) > 0) {
        if (++turns % 1024 == 0)
            let_thieves_in(seen);
        for (unsigned n = 1 + wf_test_below(r, 4); n > 0 && next < N_ITEMS; n--) {
            items[next].payload = next + 1;
            if (!wf_ring_push(&rings[0], &items[next].task))
                break;
            next++;
        }
        for (unsigned n = wf_test_below(r, 4); n > 0 && (task = wf_ring_pop(&rings[0], false)); n--)
            take(task);
    }
}

// The game is repeated until enough has been stolen: how much depends on when each
// thread gets a processor.
static void *be_owner(void *arg)
{
    struct wf_test_rand r = wf_test_rand(PLAYERS);
    unsigned seen = 0;

    (void)arg;
    threads_ready(&threads);
    for (unsigned games = 0; games < 5 || (games < 100 && wf_load_relaxed(&stolen) < wf_test_rounds(50000)); games++) {
        left = N_ITEMS;
        memset(items, 0, sizeof(items));
        play(&r, &seen);
        for (unsigned i = 0; i < N_ITEMS; i++)
            assert_int_equal(wf_load_relaxed(&items[i].taken), 1);
    }
    wf_store_release(&done, true);
    return NULL;
}

static void every_task_is_taken_once(void **state)
{
    (void)state;
    done = false;
    threads_init(&threads, PLAYERS);
    threads_add(&threads, be_owner, NULL);
    for (uintptr_t i = 1; i < PLAYERS; i++)
        threads_add(&threads, be_thief, (void *)i);
    threads_join(&threads);
    printf("%u were stolen\n", wf_load_relaxed(&stolen));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_owner_takes_the_oldest),
        cmocka_unit_test(a_full_ring_refuses_until_one_is_taken),
        cmocka_unit_test(a_thief_gets_the_older_half_rounded_up),
        cmocka_unit_test(from_an_empty_ring_nothing_is_stolen),
        cmocka_unit_test(it_goes_on_where_the_slots_wrap),
        cmocka_unit_test(every_task_is_taken_once),
    };
    return wf_test_run(tests);
}
