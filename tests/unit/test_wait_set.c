// The wait set: a setter stops between taking the nodes and waking their tasks.
#include <errno.h>

#include "tests/support/left.h"
#include "tests/support/tasks.h"

#include "runtime/state.h"
#include "runtime/wait/set.h"

static weft_rt *rt;

static int setup(void **state)
{
    (void)state;
    return weft_rt_new(&rt, NULL);
}

static int teardown(void **state)
{
    (void)state;
    weft_rt_free(rt);
    return 0;
}

// What the thread that sets the first cell and the task that waits for both tell each
// other. A: all.
static struct {
    struct wf_cell cells[2];
    weft_task *task;
    _Atomic bool pushed, taken, released;
} both;

// hold_setter is the waker of the oldest node: the setter has taken the task's node, and
// does not mark it before the task waits for that.
static void hold_setter(void *arg)
{
    (void)arg;
    wf_store_release(&both.taken, true); // release, all here: read by acquire
    watch_parked(rt, both.task, "pull");
    wf_store_release(&both.released, true);
}

enum { SET = 1, RELEASED = 2, CLEAN = 4 };

static int push_and_pull(void *arg)
{
    struct wf_cell *cells[] = { &both.cells[0], &both.cells[1] };
    struct wf_cell_node nodes[2];
    struct wf_wait_set s = { .task = wf_self(), .cells = cells, .nodes = nodes, .n = 2, .what = "pull" };

    (void)arg;
    if (!wf_wait_set_push(&s))
        return -EEXIST;
    wf_store_release(&both.pushed, true);
    while (!wf_load_acquire(&both.taken)) // acquire, all here: as above
        weft_yield();
    bool set = wf_wait_set_pull(&s);
    bool released = wf_load_acquire(&both.released);
    return (set ? SET : 0) | (released ? RELEASED : 0) | (wf_cell_awaited(&both.cells[1]) ? 0 : CLEAN);
}

// set_while_pulled sets the first cell while the task, perhaps cancelled, pulls.
// Returns: what the task has seen.
static int set_while_pulled(bool cancel)
{
    struct wf_cell_node oldest = { .waker = { hold_setter, NULL } };
    intptr_t seen;

    memset(&both, 0, sizeof(both));
    assert_true(wf_cell_push(&both.cells[0], &oldest));
    assert_int_equal(weft_rt_spawn(rt, &both.task, push_and_pull, NULL), 0);
    while (!wf_load_acquire(&both.pushed))
        usleep(100);
    if (cancel)
        weft_task_cancel(both.task);
    assert_true(wf_cell_set(&both.cells[0], 0, false));
    assert_int_equal(weft_future_wait_thread(weft_task_future(both.task), &seen, WEFT_NEVER), 0);
    weft_detach(both.task);
    return (int)seen;
}

static void a_pull_awaits_the_setter_that_has_the_node(void **state)
{
    (void)state;
    assert_int_equal(set_while_pulled(false), SET | RELEASED | CLEAN);
}

static void a_cancelled_pull_awaits_it_too(void **state)
{
    (void)state;
    assert_int_equal(set_while_pulled(true), SET | RELEASED | CLEAN);
}

static int push_into_a_set_one(void *arg)
{
    struct wf_cell *cells[] = { &both.cells[0], &both.cells[1] };
    struct wf_cell_node nodes[2];
    struct wf_wait_set s = { .task = wf_self(), .cells = cells, .nodes = nodes, .n = 2, .what = "push" };

    (void)arg;
    wf_cell_set(cells[1], 0, false);
    bool pushed = wf_wait_set_push(&s);
    int in = s.pushed;
    bool set = wf_wait_set_pull(&s);
    return pushed || set || in != 1 || wf_cell_awaited(cells[0]) ? -EEXIST : 0;
}

static void a_push_that_finds_a_set_cell_leaves_nothing(void **state)
{
    weft_task *t;
    intptr_t result;

    (void)state;
    memset(&both, 0, sizeof(both));
    assert_int_equal(weft_rt_spawn(rt, &t, push_into_a_set_one, NULL), 0);
    assert_int_equal(weft_future_wait_thread(weft_task_future(t), &result, WEFT_NEVER), 0);
    assert_int_equal(result, 0);
    weft_detach(t);
}

#define FACT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FACT(a_pull_awaits_the_setter_that_has_the_node),
        FACT(a_cancelled_pull_awaits_it_too),
        FACT(a_push_that_finds_a_set_cell_leaves_nothing),
    };
    return wf_test_run(tests);
}
