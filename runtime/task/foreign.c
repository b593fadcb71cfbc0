#include "runtime/task/foreign.h"

#include <errno.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/parker.h"
#include "runtime/task/blocking.h"
#include "sched/sched.h"

static void wake_thread(void *parker)
{
    // The sleeper is always in its futex.
    (void)wf_parker_wake(parker);
}

// sleep_until_chosen waits for `node`, which the caller has pushed.  Returns: 0;
// -ETIMEDOUT: the node was taken out again.
static int sleep_until_chosen(struct wf_cell *c, struct wf_cell_node *node, struct wf_parker *parker,
                              weft_time deadline)
{
    unsigned turns = 0;

    wf_debug_assert(!wf_self());
    while (!wf_cell_chosen(node)) {
        if (wf_parker_prepare(parker, WF_PARKER_IN_FUTEX)) {
            wf_parker_sleep(parker, deadline);
            wf_parker_finish(parker);
        }
        if (!wf_cell_chosen(node) && deadline != WEFT_NEVER && wf_now() >= deadline) {
            if (wf_cell_leave(c, node) == WF_CELL_OUT)
                return -ETIMEDOUT;
            deadline = WEFT_NEVER; // it is set: the wake is on its way
        }
    }
    while (!wf_cell_signalled(node)) // the parker and the node are on the caller's stack
        wf_relax(&turns);
    return 0;
}

int wf_wait_thread(struct wf_cell *c, weft_time deadline)
{
    struct wf_parker parker = { WF_PARKER_RUNNING };
    struct wf_cell_node node = { .waker = { wake_thread, &parker } };

    if (wf_self())
        wf_misuse("a task must not block its thread: await instead");
    if (!wf_cell_push(c, &node))
        return 0;
    wf_pool_wait_begin();
    int err = sleep_until_chosen(c, &node, &parker, deadline);
    wf_pool_wait_end();
    return err;
}
