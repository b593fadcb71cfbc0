#include "sched/queues/ring.h"

#include "base/assert.h"

_Static_assert(WF_RING_CAP > 0 && (WF_RING_CAP & (WF_RING_CAP - 1)) == 0, "an index is masked, not divided");

enum { WALK_MAX = 16 /* slots that a check looks at */ };

static _Atomic(struct wf_task *) *slot(struct wf_ring *q, uint64_t at)
{
    return &q->slot[at & (WF_RING_CAP - 1)];
}

// It checks only the newest slots, which no other thread writes.
void wf_ring_check(const struct wf_ring *q)
{
    uint64_t head = wf_load_acquire(&q->head); // acquire: head is read first, and only grows
    uint64_t tail = wf_load_relaxed(&q->tail); // relaxed: only the owner writes it

    wf_assert((int64_t)(tail - head) >= 0);
    wf_assert(tail - head <= WF_RING_CAP);
    for (uint64_t at = tail; at - head > 0 && tail - at < WALK_MAX; at--)
        wf_assert(wf_load_relaxed(slot((struct wf_ring *)(uintptr_t)q, at - 1))); // relaxed: the owner wrote it
}

bool wf_ring_push(struct wf_ring *q, struct wf_task *task)
{
    uint64_t tail = wf_load_relaxed(&q->tail); // relaxed: only the owner writes it
    uint64_t head = wf_load_acquire(&q->head); // [R2]

    wf_debug_assert(task != NULL && (int64_t)(tail - head) >= 0);
    wf_debug_check(wf_ring_check(q));
    if (tail - head >= WF_RING_CAP)
        return false;
    wf_store_relaxed(slot(q, tail), task); // relaxed: [R1] publishes it
    wf_store_release(&q->tail, tail + 1);  // [R1]
    return true;
}

struct wf_task *wf_ring_pop(struct wf_ring *q, bool alone)
{
    uint64_t head = wf_load_relaxed(&q->head); // relaxed: the compare-and-swap confirms it
    uint64_t tail = wf_load_relaxed(&q->tail); // relaxed: only the owner writes it

    wf_debug_check(wf_ring_check(q));
    if (alone && head != tail) {
        wf_store_relaxed(&q->head, head + 1);  // relaxed: there are no thieves
        return wf_load_relaxed(slot(q, head)); // relaxed: the owner wrote it
    }
    while (head != tail) {
        struct wf_task *task = wf_load_relaxed(slot(q, head)); // relaxed: the owner wrote it
        if (wf_cas_release(&q->head, &head, head + 1)) {       // [R2]
            wf_debug_assert(task != NULL);
            return task;
        }
    }
    return NULL;
}

struct wf_task *wf_ring_steal(struct wf_ring *q, struct wf_ring *to, uint64_t most, unsigned *moved)
{
    uint64_t at = wf_load_relaxed(&to->tail);  // relaxed: the caller owns it
    uint64_t head = wf_load_acquire(&q->head); // acquire: before tail, so that the difference is not much too large

    *moved = 0;
    wf_debug_assert(q != to && most > 0);
    wf_debug_check(wf_ring_check(to)); // the caller is its owner
    wf_load_acquire(&to->head);        // [R2] thieves have read the slots that this fills
    for (;;) {
        uint64_t tail = wf_load_acquire(&q->tail); // [R1]
        uint64_t n = tail - head;
        n -= n / 2;
        if (tail == head)
            return NULL;
        // head and tail were not read atomically: if they are inconsistent, read again.
        if (n <= WF_RING_CAP / 2) {
            n = n < most ? n : most;
            wf_debug_assert(wf_ring_size(to) + n - 1 <= WF_RING_CAP);
            // relaxed: see R2 above; `to`'s slots are published below
            for (uint64_t i = 0; i + 1 < n; i++)
                wf_store_relaxed(slot(to, at + i), wf_load_relaxed(slot(q, head + i)));
            struct wf_task *last = wf_load_relaxed(slot(q, head + n - 1)); // relaxed: as above
            if (wf_cas_acq_rel(&q->head, &head, head + n)) {               // [R2]
                wf_store_release(&to->tail, at + n - 1);                   // [R1] of the thief's own ring
                *moved = (unsigned)n - 1;
                return last;
            }
        } else {
            head = wf_load_acquire(&q->head); // acquire: as above
        }
    }
}
