#include "runtime/wait/waiter.h"

void wf_waiters_check(const struct wf_list *queue)
{
    enum { WALK_MAX = 32 };
    const struct wf_list *at = queue->next;

    wf_assert(wf_list_linked(queue));
    for (unsigned n = 0; at != queue && n < WALK_MAX; at = at->next, n++) {
        const struct wf_waiter *w = wf_container_of(at, const struct wf_waiter, link);
        wf_assert(wf_list_linked(at));
        wf_assert(w->queued && w->task);
        wf_assert(!wf_waiter_chosen(w));
    }
}

void wf_waiter_grant(struct wf_waiter *w, int result)
{
    struct wf_task *task = w->task;

    wf_debug_assert(!w->queued && !wf_waiter_chosen(w)); // taken by this granter, once
    w->result = result;
    wf_store_release(&w->state, WF_WAITER_CHOSEN); // [Q1]
    wf_task_wake(task);
    wf_store_release(&w->state, WF_WAITER_SIGNALLED); // [Q2]
}

// await_granter waits until the granter of a CHOSEN waiter is done with it: a few
// instructions, as in wf_wait_released.
static void await_granter(const struct wf_waiter *w)
{
    unsigned turns = WF_RELAX_SPINS;

    wf_debug_assert(wf_waiter_chosen(w));
    while (wf_unlikely(wf_load_acquire(&w->state) != WF_WAITER_SIGNALLED)) // [Q2]
        wf_relax(&turns);
}

int wf_waiter_wait_shielded(struct wf_waiter *w, const char *what, intptr_t on)
{
    while (!wf_waiter_chosen(w))
        wf_wait_park_shielded(w->task, what, on);
    await_granter(w);
    return w->result;
}

// leave_locked takes `w` out of its queue, and keeps the lock.
// Returns: false, without the lock: a granter has taken it, and the grant follows.
static bool leave_locked(struct wf_waiter *w, struct wf_lock *lock)
{
    wf_lock_acquire(lock);
    bool out = w->queued;
    if (out)
        wf_waiter_drop(w);
    else
        wf_lock_release(lock);
    return out;
}

int wf_waiter_await(struct wf_waiter *w, struct wf_lock *lock, const char *what, intptr_t on)
{
    int err = 0;

    wf_debug_assert(w->task == wf_self());
    while (!wf_waiter_chosen(w) && !(err = wf_check_cancel(w->task)))
        wf_wait_park(w->task, what, on);
    if (err && leave_locked(w, lock))
        return err;
    wf_waiter_wait_shielded(w, what, on);
    return 0;
}

int wf_waiter_wait(struct wf_waiter *w, struct wf_lock *lock, const char *what, intptr_t on)
{
    int err = wf_waiter_await(w, lock, what, on);

    if (!err)
        return w->result;
    wf_lock_release(lock);
    return err;
}
