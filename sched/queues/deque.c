#include "sched/queues/deque.h"

static _Atomic(struct wf_task *) *slot(struct wf_deque *q, uint64_t at)
{
    return &q->slot[at & (WF_QUEUE_CAP - 1)];
}

bool wf_deque_push(struct wf_deque *q, struct wf_task *task)
{
    uint64_t tail = wf_load_relaxed(&q->tail); // relaxed: only the owner writes it
    uint64_t head = wf_load_acquire(&q->head); // [D3]

    if (tail - head >= WF_QUEUE_CAP)
        return false;
    wf_store_relaxed(slot(q, tail), task); // relaxed: [D1] publishes it
    wf_store_release(&q->tail, tail + 1);  // [D1] [D4]
    return true;
}

struct wf_task *wf_deque_pop(struct wf_deque *q)
{
    uint64_t tail = wf_load_relaxed(&q->tail); // relaxed: only the owner writes it

    // Empty, as seen by the owner; only the owner adds, so it stays empty. Saves the
    // store below. relaxed: no slot is read.
    if (wf_load_relaxed(&q->head) == tail)
        return NULL;

    wf_store_seq_cst(&q->tail, --tail);        // [D2] [D1]
    uint64_t head = wf_load_seq_cst(&q->head); // [D2]

    if ((int64_t)(tail - head) > 0)
        return wf_load_relaxed(slot(q, tail)); // relaxed: the owner wrote it
    struct wf_task *task = NULL;
    if (tail == head) {
        // The last one: a thief may be taking it. relaxed: the owner wrote it; seq_cst:
        // one winner, in D2's order.
        task = wf_load_relaxed(slot(q, tail));
        if (!wf_cas_seq_cst(&q->head, &head, head + 1))
            task = NULL;
    }
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
    // relaxed: may read a slot that is being filled again; then the compare-and-swap
    // fails and the value is dropped. It must come before the compare-and-swap, which
    // gives the slot away.
    struct wf_task *task = wf_load_relaxed(slot(q, head));
    // seq_cst: one winner among thieves and owner, in D2's order; [D3] to push
    if (!wf_cas_seq_cst(&q->head, &head, head + 1)) {
        *again = true;
        return NULL;
    }
    return task;
}
