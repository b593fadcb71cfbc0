#include "sched/queues/deque.h"

#include "base/assert.h"

_Static_assert(WF_QUEUE_CAP > 0 && (WF_QUEUE_CAP & (WF_QUEUE_CAP - 1)) == 0, "an index is masked, not divided");

enum { WALK_MAX = 16 /* slots that a check looks at */ };

static _Atomic(struct wf_task *) *slot(struct wf_deque *q, uint64_t at)
{
    return &q->slot[at & (WF_QUEUE_CAP - 1)];
}

// It checks only the newest slots, at most WALK_MAX. Only the owner writes slots.
void wf_deque_check(const struct wf_deque *q)
{
    uint64_t head = wf_load_acquire(&q->head); // acquire: head is read first, and only grows
    uint64_t tail = wf_load_relaxed(&q->tail); // relaxed: only the owner writes it

    wf_assert((int64_t)(tail - head) >= 0);
    wf_assert(tail - head <= WF_QUEUE_CAP);
    for (uint64_t at = tail; at - head > 0 && tail - at < WALK_MAX; at--)
        wf_assert(wf_load_relaxed(slot((struct wf_deque *)(uintptr_t)q, at - 1))); // relaxed: the owner wrote it
}

bool wf_deque_push(struct wf_deque *q, struct wf_task *task)
{
    uint64_t tail = wf_load_relaxed(&q->tail); // relaxed: only the owner writes it
    uint64_t head = wf_load_acquire(&q->head); // [D3]

    wf_debug_assert(task != NULL && (int64_t)(tail - head) >= 0);
    wf_debug_check(wf_deque_check(q));
    if (tail - head >= WF_QUEUE_CAP)
        return false;
    wf_store_relaxed(slot(q, tail), task); // relaxed: [D1] publishes it
    wf_store_release(&q->tail, tail + 1);  // [D1] [D4]
    return true;
}

struct wf_task *wf_deque_pop(struct wf_deque *q)
{
    uint64_t tail = wf_load_relaxed(&q->tail); // relaxed: only the owner writes it

    // The owner sees an empty deque, which stays empty, because only the owner adds.
    // This saves the store below. relaxed: no slot is read.
    if (wf_load_relaxed(&q->head) == tail)
        return NULL;

    wf_debug_check(wf_deque_check(q));
    wf_store_seq_cst(&q->tail, --tail);        // [D2] [D1]
    uint64_t head = wf_load_seq_cst(&q->head); // [D2]

    if ((int64_t)(tail - head) > 0)
        return wf_load_relaxed(slot(q, tail)); // relaxed: the owner wrote it
    struct wf_task *task = NULL;
    if (tail == head) {
        // The last task: a thief may be taking it. relaxed: the owner wrote it;
        // seq_cst: one winner, in D2's order.
        task = wf_load_relaxed(slot(q, tail));
        if (!wf_cas_seq_cst(&q->head, &head, head + 1))
            task = NULL;
    }
    // A thief may have taken the last task since the first look at head. Then head is
    // one place above the lowered tail; it is never further ahead.
    wf_debug_assert((int64_t)(tail - head) >= -1);
    wf_store_release(&q->tail, tail + 1); // [D1]
    return task;
}

struct wf_task *wf_deque_steal(struct wf_deque *q, bool *again)
{
    uint64_t head = wf_load_seq_cst(&q->head); // [D2]
    uint64_t tail = wf_load_seq_cst(&q->tail); // [D2] [D1]

    *again = false;
    if ((int64_t)(tail - head) <= 0)
        return NULL;
    // relaxed: may read a slot that the owner is filling again; then the
    // compare-and-swap fails, and the value is dropped. It must come before the
    // compare-and-swap, which releases the slot.
    struct wf_task *task = wf_load_relaxed(slot(q, head));
    // seq_cst: one winner among thieves and owner, in D2's order; [D3] to push
    if (!wf_cas_seq_cst(&q->head, &head, head + 1)) {
        *again = true;
        return NULL;
    }
    wf_debug_assert(task != NULL);
    return task;
}
