#include "runtime/wait/wait.h"

#include <errno.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/lock.h"
#include "runtime/state.h"

void wf_budget_consume_self(void)
{
    wf_budget_consume(wf_self());
}

int wf_check_cancel_slow(struct wf_task *self)
{
    if (!wf_task_starved(self))
        wf_sim_interrupt(self);
    return wf_cancel_resolve(self);
}

static void arm_wake(struct wf_timer *timer, struct wf_task *task, weft_time deadline)
{
    wf_wait_arm(task, timer, deadline, wf_wait_waker(task));
}

void wf_wait_insist(const struct wf_cell_node *node)
{
    unsigned turns = WF_RELAX_SPINS;

    wf_debug_assert(wf_cell_chosen(node));
    while (!wf_cell_signalled(node))
        wf_relax(&turns);
}

// If a setter has got hold of the node, completion wins: its wake is on its way.
bool wf_wait_leave(struct wf_task *task, struct wf_cell *c, struct wf_cell_node *node, const char *what, intptr_t on)
{
    wf_debug_assert(task == wf_self());
    if (!wf_cell_chosen(node) && wf_cell_leave(c, node) == WF_CELL_OUT)
        return false;
    while (!wf_cell_chosen(node))
        wf_wait_park_shielded(task, what, on);
    wf_wait_released(node);
    return true;
}

// --- Cells ---------------------------------------------------------------------------

enum { CELLS_MAX = 2 };

// One wait: nodes and timer live here, on the waiter's stack.
struct wait {
    struct wf_task *task;
    struct wf_cell *const *cells;
    struct wf_cell_node nodes[CELLS_MAX];
    int pushed; // how many nodes are in their cells
    struct wf_timer timer;
    bool armed;
};

// push enters the cells. Returns: false if one of them is set.
static bool push(struct wait *w, int n)
{
    for (; w->pushed < n; w->pushed++) {
        w->nodes[w->pushed].waker = wf_wait_waker(w->task);
        if (!wf_cell_push(w->cells[w->pushed], &w->nodes[w->pushed]))
            return false;
    }
    return true;
}

static bool any_chosen(const struct wait *w)
{
    for (int i = 0; i < w->pushed; i++)
        if (wf_cell_chosen(&w->nodes[i]))
            return true;
    return false;
}

// leave_cells takes the nodes out of their cells; those that a setter has got hold of
// are waited for.
// Returns: true if a cell was set.
static bool leave_cells(struct wait *w, const char *what, intptr_t on)
{
    bool set = false;

    for (int i = 0; i < w->pushed; i++)
        set |= wf_wait_leave(w->task, w->cells[i], &w->nodes[i], what, on);
    return set;
}

// park_until waits for a signal, the timer, or a cancel. Returns: why: 0, -ETIMEDOUT or
// -ECANCELED.
static int park_until(struct wait *w, const char *what, intptr_t on)
{
    int err = 0;

    while (!any_chosen(w) && !(err = wf_check_cancel(w->task))) {
        if (w->armed && wf_timer_fired(&w->timer))
            return -ETIMEDOUT;
        wf_wait_park(w->task, what, on);
    }
    return err;
}

int wf_wait_cells(struct wf_cell *const *c, int n, weft_time deadline, const char *what, intptr_t on)
{
    struct wait w; // not cleared: most of it is nodes that are not used
    int err = 0;

    w.task = wf_self();
    w.cells = c;
    w.pushed = 0;
    w.armed = false;
    wf_debug_assert(n > 0 && n <= CELLS_MAX && w.task);
    if (push(&w, n)) {
        if (deadline != WEFT_NEVER) {
            if (deadline <= wf_now())
                err = -ETIMEDOUT;
            else {
                arm_wake(&w.timer, w.task, deadline);
                w.armed = true;
            }
        }
        if (!err)
            err = park_until(&w, what, on);
        if (w.armed)
            wf_timer_disarm(&w.timer);
    }
    // Completion wins: whatever ended the wait, a cell that was set meanwhile counts.
    return leave_cells(&w, what, on) ? 0 : err;
}

int wf_wait_cell(struct wf_cell *c, weft_time deadline, const char *what, intptr_t on)
{
    if (wf_cell_value(c)) {
        wf_budget_consume_self();
        return 0;
    }
    return deadline == WEFT_NEVER ? wf_wait_as(wf_self(), c, what, on) : wf_wait_cells(&c, 1, deadline, what, on);
}

void wf_wait_shielded(struct wf_cell *c, const char *what)
{
    struct wf_task *task = wf_self();
    struct wf_cell_node node = { .waker = wf_wait_waker(task) };

    wf_debug_assert(task != NULL);
    if (!wf_cell_push(c, &node))
        return;
    while (!wf_cell_chosen(&node))
        wf_wait_park_shielded(task, what, 0);
    wf_wait_released(&node);
}

// --- Time ----------------------------------------------------------------------------

int wf_wait_sleep(weft_time deadline)
{
    struct wf_task *task = wf_self();
    struct wf_timer timer;
    bool timed = deadline != WEFT_NEVER;
    int err = 0;

    wf_debug_assert(task != NULL);
    if (deadline <= wf_now()) {
        wf_budget_consume_self();
        return 0;
    }
    if (timed)
        arm_wake(&timer, task, deadline);
    while (!(timed && wf_timer_fired(&timer)) && !(err = wf_check_cancel(task)))
        wf_wait_park(task, "sleep", 0);
    bool over = timed && wf_timer_fired(&timer);
    if (timed)
        wf_timer_disarm(&timer);
    return over ? 0 : err;
}
