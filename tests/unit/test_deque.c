// The deque: single facts, then an owner and thieves in a deque of four slots.
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "sched/queues/deque.h"
#include "sched/task.h"
#include "tests/support/harness.h"
#include "tests/support/threads.h"

_Static_assert(WF_QUEUE_CAP == 4, "the facts below count on four slots");

static struct wf_deque q;
static struct wf_task tasks[16];

static void begin(void)
{
    q = (struct wf_deque){ 0 };
}

static void push(unsigned first, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        assert_true(wf_deque_push(&q, &tasks[first + i]));
}

static struct wf_task *steal(void)
{
    bool again;
    struct wf_task *task = wf_deque_steal(&q, &again);
    assert_false(again);
    return task;
}

static void an_empty_deque_has_nothing_for_anybody(void **state)
{
    (void)state;
    begin();
    assert_null(wf_deque_pop(&q));
    assert_null(steal());
    assert_int_equal(wf_deque_size(&q), 0);
}

static void the_owner_takes_the_newest(void **state)
{
    (void)state;
    begin();
    push(0, 3);
    for (unsigned i = 3; i-- > 0;) {
        assert_int_equal(wf_deque_size(&q), i + 1);
        assert_ptr_equal(wf_deque_pop(&q), &tasks[i]);
    }
    assert_null(wf_deque_pop(&q));
}

static void a_thief_takes_the_oldest(void **state)
{
    (void)state;
    begin();
    push(0, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_ptr_equal(steal(), &tasks[i]);
    assert_null(steal());
}

static void owner_and_thief_meet_in_the_middle(void **state)
{
    (void)state;
    begin();
    push(0, 3);
    assert_ptr_equal(steal(), &tasks[0]);
    assert_ptr_equal(wf_deque_pop(&q), &tasks[2]);
    assert_ptr_equal(wf_deque_pop(&q), &tasks[1]);
    assert_null(steal());
    assert_null(wf_deque_pop(&q));
    push(4, 1);
    assert_ptr_equal(steal(), &tasks[4]);
    assert_null(wf_deque_pop(&q));
}

static void a_full_deque_refuses_until_one_is_taken(void **state)
{
    (void)state;
    begin();
    push(0, 4);
    assert_false(wf_deque_push(&q, &tasks[4]));
    assert_ptr_equal(steal(), &tasks[0]);
    push(4, 1);
    assert_false(wf_deque_push(&q, &tasks[5]));
    for (unsigned i = 4; i > 0; i--)
        assert_ptr_equal(wf_deque_pop(&q), &tasks[i]);
}

static void it_goes_on_where_the_slots_wrap(void **state)
{
    (void)state;
    begin();
    for (unsigned i = 0; i < 40; i++) {
        push(0, 3);
        assert_ptr_equal(steal(), &tasks[0]);
        assert_ptr_equal(wf_deque_pop(&q), &tasks[2]);
        assert_ptr_equal(wf_deque_pop(&q), &tasks[1]);
        assert_null(wf_deque_pop(&q));
    }
}

// --- an owner and thieves ------------------------------------------------------------

enum { THIEVES = 2, N_ITEMS = 100000 };

struct item {
    struct wf_task task;    // first: what the deque holds
    unsigned payload;       // plain: [D4] publishes it
    _Atomic unsigned taken; // A: how often
};

static struct item items[N_ITEMS];
static _Atomic unsigned left; // A: tasks not taken yet
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
static _Atomic bool done; // A: the owner has taken what was left

static void take(struct wf_task *task)
{
    struct item *item = (struct item *)(void *)task;
    assert_true(item->payload == (unsigned)(item - items) + 1);
    assert_int_equal(wf_fetch_add_relaxed(&item->taken, 1), 0); // relaxed: only a count; it was not taken before
    wf_fetch_sub_seq_cst(&left, 1);
}

static void *be_thief(void *arg)
{
    (void)arg;
    threads_ready(&threads);
    while (!wf_load_acquire(&done)) {
        bool again;
        struct wf_task *task = wf_deque_steal(&q, &again);
        if (!task)
            continue;
        take(task);
        wf_fetch_add_relaxed(&stolen, 1); // relaxed: a hint
    }
    return NULL;
}

// play pushes all items and pops what it can, a few at a time: with one or two in it,
// owner and thieves meet.
static void play(struct wf_test_rand *r, unsigned *seen)
{
    struct wf_task *task;
    unsigned turns = 0;

    for (unsigned next = 0; next < N_ITEMS;) {
        if (++turns % 1024 == 0)
            let_thieves_in(seen);
        for (unsigned n = 1 + wf_test_below(r, 4); n > 0 && next < N_ITEMS; n--) {
            items[next].payload = next + 1;
            if (!wf_deque_push(&q, &items[next].task))
                break;
            next++;
        }
        for (unsigned n = 1 + wf_test_below(r, 4); n > 0 && (task = wf_deque_pop(&q)); n--)
            take(task);
    }
    while ((task = wf_deque_pop(&q)))
        take(task);
}

// The game is repeated until enough has been stolen: how much depends on when each
// thread gets a processor.
static void *be_owner(void *arg)
{
    struct wf_test_rand r = wf_test_rand(0);
    unsigned seen = 0;

    (void)arg;
    threads_ready(&threads);
    for (unsigned games = 0; games < 5 || (games < 100 && wf_load_relaxed(&stolen) < wf_test_rounds(50000)); games++) {
        left = N_ITEMS;
        memset(items, 0, sizeof(items));
        play(&r, &seen);
        while (wf_load_seq_cst(&left) > 0) // a lost task makes this wait hang
            sched_yield();
        for (unsigned i = 0; i < N_ITEMS; i++)
            assert_int_equal(wf_load_relaxed(&items[i].taken), 1);
    }
    wf_store_release(&done, true);
    return NULL;
}

static void every_task_is_taken_once(void **state)
{
    (void)state;
    begin();
    done = false;
    threads_init(&threads, 1 + THIEVES);
    threads_add(&threads, be_owner, NULL);
    for (unsigned i = 0; i < THIEVES; i++)
        threads_add(&threads, be_thief, NULL);
    threads_join(&threads);
    printf("%u were stolen\n", wf_load_relaxed(&stolen));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_deque_has_nothing_for_anybody),
        cmocka_unit_test(the_owner_takes_the_newest),
        cmocka_unit_test(a_thief_takes_the_oldest),
        cmocka_unit_test(owner_and_thief_meet_in_the_middle),
        cmocka_unit_test(a_full_deque_refuses_until_one_is_taken),
        cmocka_unit_test(it_goes_on_where_the_slots_wrap),
        cmocka_unit_test(every_task_is_taken_once),
    };
    return wf_test_run(tests);
}
