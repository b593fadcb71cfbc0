#include "sched/queues/injector.h"

void wf_injector_push(struct wf_injector *q, const struct wf_chain *chain)
{
    struct wf_task *before = wf_exchange_seq_cst(&q->tail, chain->last); // [J2] [J3]

    if (before)
        wf_store_release(&before->next, chain->first); // [J1]
    else
        wf_store_release(&q->head, chain->first); // [J1]
}

// take_first takes `task`, the first, out of the queue; *after is the next. Returns:
// false if its successor is not linked yet: then it stays.
static bool take_first(struct wf_injector *q, struct wf_task *task, struct wf_task **after)
{
    *after = wf_load_acquire(&task->next); // [J1]
    if (*after)
        return true;
    // It seems to be the last. A push that finds NULL writes head, so head is cleared
    // before the tail is.
    struct wf_task *last = task;
    wf_store_relaxed(&q->head, NULL);          // relaxed: [J3]
    if (wf_cas_acq_rel(&q->tail, &last, NULL)) // [J3]
        return true;
    // Another thread has pushed behind it, and does not write head.
    *after = wf_load_acquire(&task->next); // [J1]
    if (*after)
        return true;
    wf_store_relaxed(&q->head, task); // relaxed: only takers read it, under the lock
    return false;
}

unsigned wf_injector_take(struct wf_injector *q, struct wf_task **out, unsigned most)
{
    unsigned n = 0;

    if (!wf_lock_try(&q->taking))
        return 0;
    struct wf_task *task = wf_load_acquire(&q->head), *after = NULL; // [J1]
    while (task && n < most && take_first(q, task, &after)) {
        out[n++] = task;
        task = after;
    }
    if (n > 0 && task)
        wf_store_relaxed(&q->head, task); // relaxed: only takers read it, under the lock
    wf_lock_release(&q->taking);
    return n;
}
