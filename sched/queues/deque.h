// The work-stealing deque of Chase and Lev (2005), in a fixed array, for tasks that a
// worker has spawned and that have not begun: the owner takes the newest (so it walks a
// tree of tasks depth first, in little memory), thieves take the oldest (the biggest
// subtree). One call takes one task; a thief calls several times (sched/steal.c).
//
// A model checker has verified the memory orders (GenMC under RC11 and IMM: two
// thieves, 42 118 executions). They are those of Le, Pop, Cohen and Zappa Nardelli
// (2013), but with sequentially consistent operations in place of fences: these cost
// the same on x86-64, and ThreadSanitizer understands them.
//
// Parties: the owner (push and pop; it also calls steal, to move its oldest tasks to
// the injector) and any number of thieves (steal). An index is 64 bits and never wraps,
// so a compare-and-swap on `head` cannot suffer ABA. Slots [head, tail) are full.
//
// Edges.
//   D1  every store of tail (release) -> steal loads tail (acquire): all slots below
//       that tail are filled. Pop's stores must be releases, too, because a thief may
//       read the tail from one of them instead of from push's
//   D2  no task is both popped without a compare-and-swap and stolen:
//
//         owner (pop)                     thief (steal)
//         [S] tail = t - 1   seq_cst      [L] head   seq_cst
//         [L] head           seq_cst      [L] tail   seq_cst
//
//       Consider a thief that has loaded head = t - 1, so that it wants task t - 1. If
//       the owner's store comes first in the total order, the thief sees the lowered
//       tail, and takes nothing. If the thief's load of tail comes first, its load of
//       head came first, too. The owner then sees a head of at least t - 1, so it does
//       not pop without the compare-and-swap. Both compete for task t - 1 by the
//       compare-and-swap on head, which one of them wins.
//   D3  steal's compare-and-swap on head -> push loads head (acquire): the thief has
//       read the slot before the owner may fill it again
//   D4  push's store of the slot, by D1 -> the thief: the task's header is initialised
#ifndef WF_SCHED_DEQUE_H
#define WF_SCHED_DEQUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/compiler.h"

#ifndef WF_QUEUE_CAP
#define WF_QUEUE_CAP 1024 // a power of two; tests use 4
#endif

struct wf_task;

struct wf_deque {
    _Alignas(WF_NO_SHARING) _Atomic uint64_t head; // A: next to steal
    _Alignas(WF_NO_SHARING) _Atomic uint64_t tail; // A: next to push; written by the owner only
    _Atomic(struct wf_task *) slot[WF_QUEUE_CAP];  // A: [D1] and [D3]
};

// wf_deque_check asserts that the indices fit the array, and that no slot between them
// is empty.  Context: owner; thieves may steal at the same time.
void wf_deque_check(const struct wf_deque *q);

// wf_deque_push adds the newest. Returns: false if the deque is full.  Context: owner.
bool wf_deque_push(struct wf_deque *q, struct wf_task *task);

// wf_deque_pop takes the newest, NULL if there is none.  Context: owner.
struct wf_task *wf_deque_pop(struct wf_deque *q);

// wf_deque_steal takes the oldest, NULL if there is none, or if another thread took it
// first (*again is true then).
// Context: any thread, the owner too.
struct wf_task *wf_deque_steal(struct wf_deque *q, bool *again);

// wf_deque_size is the number of tasks: exact for the owner if no thread steals, else a
// hint.
static inline uint64_t wf_deque_size(const struct wf_deque *q)
{
    // relaxed: a hint. head is read first, so that the owner's difference is not
    // negative.
    uint64_t head = wf_load_relaxed(&q->head);
    uint64_t tail = wf_load_relaxed(&q->tail);
    return (int64_t)(tail - head) > 0 ? tail - head : 0;
}

#endif
