#include "runtime/wait/wait.h"

#include <errno.h>

#include "base/assert.h"
#include "base/clock.h"
#include "runtime/state.h"
#include "runtime/wait/set.h"

void wf_budget_consume_self(void)
{
    wf_budget_consume(wf_self());
}

// --- Cells ---------------------------------------------------------------------------

enum { CELLS_MAX = 2 };

// park_until parks until `deadline` at most.
static int park_until(const struct wf_wait_set *s, weft_time deadline)
{
    struct wf_wait_timer timer; // not cleared

    if (deadline <= wf_now())
        return -ETIMEDOUT;
    wf_wait_timer_arm(&timer, s->task, deadline);
    int err = wf_wait_set_park(s, &timer);
    wf_wait_timer_disarm(&timer);
    return err == WF_WAIT_DUE ? -ETIMEDOUT : err;
}

int wf_wait_cells(struct wf_cell *const *c, int n, weft_time deadline, const char *what, intptr_t on)
{
    struct wf_cell_node nodes[CELLS_MAX]; // not cleared
    struct wf_wait_set s = { .task = wf_self(), .cells = c, .nodes = nodes, .n = n, .what = what, .on = on };
    int err = 0;

    wf_debug_assert(n > 0 && n <= CELLS_MAX && s.task);
    if (wf_wait_set_push(&s))
        err = deadline == WEFT_NEVER ? wf_wait_set_park(&s, NULL) : park_until(&s, deadline);
    return wf_wait_set_pull(&s) ? 0 : err; // completion wins
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
    struct wf_cell_node node;

    wf_debug_assert(task != NULL);
    if (wf_wait_push(task, c, &node))
        wf_wait_taken(task, &node, what, 0);
}

// --- Time ----------------------------------------------------------------------------

int wf_wait_sleep(weft_time deadline)
{
    struct wf_wait_set nothing = { .task = wf_self(), .what = "sleep", .on = (intptr_t)&deadline };
    struct wf_wait_timer timer; // not cleared

    wf_debug_assert(nothing.task != NULL);
    if (deadline <= wf_now()) {
        wf_budget_consume_self();
        return 0;
    }
    if (deadline == WEFT_NEVER)
        return wf_wait_set_park(&nothing, NULL);
    wf_wait_timer_arm(&timer, nothing.task, deadline);
    int err = wf_wait_set_park(&nothing, &timer);
    bool over = wf_wait_timer_due(&timer); // completion wins
    wf_wait_timer_disarm(&timer);
    return over ? 0 : err;
}
