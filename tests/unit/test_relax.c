// Short waits: if such a wait takes longer than a few instructions, because a thread
// was preempted, the waiter yields a few times, and then sleeps. The test counts yields
// and sleeps, and does not time them.
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <unistd.h>

#include "base/cell.h"
#include "base/lock.h"
#include "runtime/wait/choice.h"
#include "runtime/task/foreign.h"
#include "runtime/wait/set.h"
#include "runtime/wait/waiter.h"
#include "tests/support/harness.h"
#include "tests/support/wrap.h"

enum { NAPS = 3, TOO_MANY = 100000 };

static _Atomic bool counting;
static _Atomic unsigned yields, naps;

WRAP(int, sched_yield, void)
{
    if (wf_load_relaxed(&counting)) // relaxed, all here: counters
        wf_fetch_add_relaxed(&yields, 1u);
    return REAL(sched_yield)();
}

WRAP(int, futex, _Atomic uint32_t *word, int op, uint32_t value, const struct timespec *limit, uint32_t mask)
{
    if ((op & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET && wf_load_relaxed(&counting))
        wf_fetch_add_relaxed(&naps, 1u);
    return REAL(futex)(word, op, value, limit, mask);
}

// What is waited for, in each of the ways. `wait` is called by a thread of its own;
// `over` lets it end.
struct thing {
    struct wf_lock lock;
    struct wf_cell cell;
    struct wf_cell_node node;
    struct wf_waiter waiter;
    struct wf_choice choice;
};

struct way {
    void (*begin)(struct thing *);
    void (*wait)(struct thing *);
    void (*over)(struct thing *);
};

static void hold_lock(struct thing *t)
{
    wf_lock_init(&t->lock);
    wf_lock_acquire(&t->lock);
}

static void release_lock(struct thing *t)
{
    wf_lock_release(&t->lock);
}

static void acquire(struct thing *t)
{
    wf_lock_acquire(&t->lock);
    wf_lock_release(&t->lock);
}

static void acquire_patiently(struct thing *t)
{
    wf_lock_acquire_patiently(&t->lock);
    wf_lock_release(&t->lock);
}

// Another one leaves the cell, and was preempted.
static void push_and_lock_leavers(struct thing *t)
{
    wf_cell_init(&t->cell);
    assert_true(wf_cell_push(&t->cell, &t->node));
    wf_store_relaxed(&t->cell.leavers, (uintptr_t)1); // relaxed: before the thread begins
}

static void leave_cell(struct thing *t)
{
    assert_true(wf_cell_leave(&t->cell, &t->node));
}

static void unlock_leavers(struct thing *t)
{
    wf_store_release(&t->cell.leavers, (uintptr_t)0); // release: as the other leaver would
}

static void choose_node(struct thing *t)
{
    wf_store_relaxed(&t->node.state, WF_CELL_CHOSEN); // relaxed: before the thread begins
}

static void let_go_of_node(struct thing *t)
{
    wf_wait_released(&t->node);
}

static void signal_node(struct thing *t)
{
    wf_store_release(&t->node.state, WF_CELL_SIGNALLED); // release: as the setter would
}

static void choose_waiter(struct thing *t)
{
    wf_store_relaxed(&t->waiter.state, WF_WAITER_CHOSEN); // relaxed: before the thread begins
}

static void wait_for_grant(struct thing *t)
{
    (void)wf_waiter_wait_shielded(&t->waiter, "nothing", 0);
}

static void signal_waiter(struct thing *t)
{
    wf_store_release(&t->waiter.state, WF_WAITER_SIGNALLED); // release: as the granter would
}

static void hold_choice(struct thing *t)
{
    wf_store_relaxed(&t->choice.won, WF_CHOICE_HELD); // relaxed: before the thread begins
}

static void win_choice(struct thing *t)
{
    assert_true(wf_choice_win(&t->choice, 0));
}

static void end_hold(struct thing *t)
{
    wf_store_release(&t->choice.won, WF_CHOICE_OPEN); // release: as the holder would
}

static const struct way ways[] = {
    { hold_lock, acquire, release_lock },
    { hold_lock, acquire_patiently, release_lock },
    { push_and_lock_leavers, leave_cell, unlock_leavers },
    { choose_node, let_go_of_node, signal_node },
    { choose_waiter, wait_for_grant, signal_waiter },
    { hold_choice, win_choice, end_hold },
};

struct wait {
    const struct way *way;
    struct thing thing;
};

static void *wait_in_thread(void *arg)
{
    struct wait *w = arg;
    w->way->wait(&w->thing);
    return NULL;
}

static void start_counting(void)
{
    wf_store_relaxed(&yields, 0u); // relaxed, all three: the thread that counts begins later, or does not mind
    wf_store_relaxed(&naps, 0u);
    wf_store_relaxed(&counting, true);
}

// await_naps returns once the waiter has slept a few times, or yielded all too often.
static void await_naps(void)
{
    while (wf_load_relaxed(&naps) < NAPS && wf_load_relaxed(&yields) < TOO_MANY) // relaxed: counters
        usleep(100);
    wf_store_relaxed(&counting, false);                           // relaxed: a flag
    assert_true(wf_load_relaxed(&yields) <= WF_RELAX_YIELDS + 1); // relaxed: a counter; it may be ahead by one
}

static void a_wait_that_takes_longer_sleeps(void **state)
{
    (void)state;
    for (size_t i = 0; i < wf_countof(ways); i++) {
        struct wait w = { .way = &ways[i] };
        pthread_t thread;

        w.way->begin(&w.thing);
        start_counting();
        assert_int_equal(pthread_create(&thread, NULL, wait_in_thread, &w), 0);
        await_naps();
        w.way->over(&w.thing);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
}

static void *wait_for_cell(void *cell)
{
    return (void *)(intptr_t)wf_wait_thread(cell, WEFT_NEVER);
}

// A setter that wakes a foreign thread, and is preempted before it lets go of its node.
static void a_foreign_thread_sleeps_if_the_setter_takes_longer(void **state)
{
    struct wf_cell cell;
    pthread_t thread;
    void *result;
    (void)state;

    wf_cell_init(&cell);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_cell, &cell), 0);
    uintptr_t word;
    while (!(word = wf_load_acquire(&cell.word))) // acquire: the node is there
        usleep(100);
    struct wf_cell_node *node = wf_cell_nodes(word);
    start_counting();
    wf_store_release(&node->state, WF_CELL_CHOSEN); // release: as the setter would
    wf_waker_fire(node->waker);
    await_naps();
    wf_store_release(&node->state, WF_CELL_SIGNALLED); // release: as the setter would
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_null(result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wait_that_takes_longer_sleeps),
        cmocka_unit_test(a_foreign_thread_sleeps_if_the_setter_takes_longer),
    };
    return wf_test_run(tests);
}
