#include "sched/queues/injector.h"

enum { WALK_MAX = 32 /* tasks that a check looks at */ };

// Only takers clear `tail`, after they have cleared `head`.
void wf_injector_check(const struct wf_injector *q)
{
    const struct wf_task *first = wf_load_acquire(&q->head), *at = first; // acquire: [J1]; head before tail

    wf_assert(wf_lock_held(&q->taking));
    wf_assert(!first || wf_load_acquire(&q->tail)); // acquire: as above
    for (unsigned n = 0; at && n < WALK_MAX; n++) {
        const struct wf_task *next = wf_load_acquire(&at->next); // [J1]
        wf_assert(next != at && next != first);
        wf_assert(at->sched == first->sched);
        at = next;
    }
}

void wf_injector_push(struct wf_injector *q, const struct wf_chain *chain)
{
    wf_debug_assert(chain->count > 0 && chain->first && chain->last);
    wf_debug_assert(!wf_load_relaxed(&chain->last->next)); // relaxed: the chain is the caller's until the exchange
    struct wf_task *before = wf_exchange_seq_cst(&q->tail, chain->last); // [J2] [J3]

    wf_debug_assert(before != chain->last); // otherwise it is queued twice
    if (before)
        wf_store_release(&before->next, chain->first); // [J1]
    else
        wf_store_release(&q->head, chain->first); // [J1]
}

// take_first takes `task`, the first, out of the queue; *after is the next. Returns:
// false if its successor is not linked yet: then it stays in the queue.
static bool take_first(struct wf_injector *q, struct wf_task *task, struct wf_task **after)
{
    wf_debug_assert(wf_lock_held(&q->taking));
    *after = wf_load_acquire(&task->next); // [J1]
    if (*after)
        return true;
    // It seems to be the last. A push that finds NULL writes head, so head is cleared
    // before tail.
    struct wf_task *last = task;
    wf_store_relaxed(&q->head, NULL);          // relaxed: [J3]
    if (wf_cas_acq_rel(&q->tail, &last, NULL)) // [J3]
        return true;
    // Another thread has pushed behind it, and will not write head.
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
    wf_debug_check(wf_injector_check(q));
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
