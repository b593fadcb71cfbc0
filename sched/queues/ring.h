// The run ring: a worker's queue of tasks that were woken or have yielded, first in,
// first out. One producer, the owner; owner and thieves take from the same end, thieves
// half of it at once (as Go's and Tokio's run queues).
//
// Parties: the owner (push, pop) and any number of thieves (steal). Indices are 64 bits
// and never wrap: no ABA. Slots [head, tail) are full.
//
// Edges.
//   R1  push's store of tail (release) -> steal loads tail (acquire): slots and task
//       headers are filled
//   R2  the compare-and-swap on head (release), pop's and steal's -> push loads head
//       (acquire): the taker of tasks has read their slots before the owner may fill
//       them again
//   A thief reads its slots before the compare-and-swap. If head is unchanged, no
//   thread has taken them, so the owner has not filled them again, and the values are
//   right. Otherwise the thief drops them.
#ifndef WF_SCHED_RING_H
#define WF_SCHED_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "sched/queues/deque.h"

// Larger than the deque: the surplus goes to the injector, for which all workers
// contend, and a thousand ready tasks are not unusual (yield_1000 took twice as long
// with 256).
#ifndef WF_RING_CAP
#define WF_RING_CAP (WF_QUEUE_CAP == 1024 ? 2048 : WF_QUEUE_CAP)
#endif

struct wf_ring {
    _Alignas(WF_NO_SHARING) _Atomic uint64_t head; // A: next to take
    _Alignas(WF_NO_SHARING) _Atomic uint64_t tail; // A: next to push; written by the owner only
    _Atomic(struct wf_task *) slot[WF_RING_CAP];   // A: [R1] and [R2]
};

// wf_ring_check asserts that the indices fit the array, and that no slot between them
// is empty.  Context: owner; thieves may steal at the same time.
void wf_ring_check(const struct wf_ring *q);

// wf_ring_push adds a task behind all others. Returns: false if the ring is full.
// Context: owner.
bool wf_ring_push(struct wf_ring *q, struct wf_task *task);

// wf_ring_pop takes the oldest, NULL if there is none. `alone`: there are no thieves,
// so no locked instruction is needed. With one, a thousand tasks that yield in turn
// take twice the CPU time (one worker, medians of four interleaved runs).
// Context: owner.
struct wf_task *wf_ring_pop(struct wf_ring *q, bool alone);

// wf_ring_peek is the task `ahead` places behind the oldest, NULL if there is none. A
// thief may be taking it, so the caller may only prefetch it. Context: owner.
static inline struct wf_task *wf_ring_peek(const struct wf_ring *q, uint64_t ahead)
{
    uint64_t at = wf_load_relaxed(&q->head) + ahead;    // relaxed: a hint
    if ((int64_t)(wf_load_relaxed(&q->tail) - at) <= 0) // relaxed: as above
        return NULL;
    return wf_load_relaxed(&q->slot[at & (WF_RING_CAP - 1)]); // relaxed: the owner wrote it
}

// wf_ring_steal takes the older half of `q`, rounded up, `most` tasks at most. It
// appends them to `to`, except the last one, which it returns; *moved is how many it
// has appended.
// Returns: NULL if `q` was empty.
// Context: the owner of `to`, which must have room for `most`.
struct wf_task *wf_ring_steal(struct wf_ring *q, struct wf_ring *to, uint64_t most, unsigned *moved);

// wf_ring_size is the number of tasks: never too low for the owner, a hint for others.
static inline uint64_t wf_ring_size(const struct wf_ring *q)
{
    uint64_t head = wf_load_relaxed(&q->head); // relaxed: a hint; head first, so that it is not negative for the owner
    uint64_t tail = wf_load_relaxed(&q->tail); // relaxed: as above
    return (int64_t)(tail - head) > 0 ? tail - head : 0;
}

#endif
