#include "runtime/wait/set.h"

#include "base/assert.h"
#include "base/lock.h"

void wf_wait_insist(const struct wf_cell_node *node)
{
    unsigned turns = WF_RELAX_SPINS;

    wf_debug_assert(wf_cell_chosen(node));
    while (!wf_cell_signalled(node))
        wf_relax(&turns);
}

void wf_wait_taken(struct wf_task *task, const struct wf_cell_node *node, const char *what, intptr_t on)
{
    while (!wf_cell_chosen(node))
        wf_wait_park_shielded(task, what, on);
    wf_wait_released(node);
}

bool wf_wait_pull(struct wf_task *task, struct wf_cell *c, struct wf_cell_node *node, const char *what, intptr_t on)
{
    wf_debug_assert(task == wf_self());
    if (!wf_cell_chosen(node) && wf_cell_leave(c, node) == WF_CELL_OUT)
        return false;
    wf_wait_taken(task, node, what, on);
    return true;
}
