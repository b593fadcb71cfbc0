// The injector: the queue that all threads share. Foreign threads, the reactor and
// workers with full queues push chains of tasks; workers take shares. First in, first
// out, unbounded, intrusive: a push never waits and never fails.
//
// The push side is one exchange that links a whole chain (as in the queue lock of
// Mellor-Crummey and Scott, and Vyukov's intrusive queue). One worker at a time takes,
// under a try-lock. A worker that finds the lock taken does not wait, because another
// worker is taking; it searches elsewhere. A worker takes a batch of tasks under one
// lock.
//
//   tail  NULL: empty. Else the last task pushed.
//   head  the first task; NULL while the queue is empty, or while the pusher that found
//         it empty has not linked yet.
//
// Between a pusher's exchange and its linking store the new chain is unreachable:
// wf_injector_take ends early. No task is lost: the pusher links, and then checks for a
// sleeper to wake ([I1] in idle.h). Until then wf_injector_empty is false, so no worker
// falls asleep.
//
// Edges.
//   J1  push's store of `next` or head (release) -> take's load of it (acquire): header
//       and chain are filled
//   J2  push's exchange of tail (seq_cst) comes before its check for sleepers; a worker
//       calls wf_injector_empty (seq_cst) after it has announced its sleep: half of
//       [I1]
//   J3  take's compare-and-swap of tail to NULL (release) -> a push that finds NULL
//       (acquire): take's store of NULL to head comes before the push's store
#ifndef WF_SCHED_INJECTOR_H
#define WF_SCHED_INJECTOR_H

#include "base/assert.h"
#include "base/lock.h"
#include "sched/task.h"

struct wf_injector {
    _Alignas(WF_NO_SHARING) _Atomic(struct wf_task *) tail; // A: [J2] [J3]
    _Alignas(WF_NO_SHARING) _Atomic(struct wf_task *) head; // A: [J1]; written by takers under the lock
    struct wf_lock taking;
};

// A chain of tasks, linked by `next`, that is not shared yet.
struct wf_chain {
    struct wf_task *first, *last;
    unsigned count;
};

static inline void wf_chain_append(struct wf_chain *c, struct wf_task *task)
{
    wf_debug_assert(!c->last == !c->first && task != c->last);
    wf_store_relaxed(&task->next, NULL); // relaxed: the chain is not shared yet
    if (c->last)
        wf_store_relaxed(&c->last->next, task); // relaxed: as above
    else
        c->first = task;
    c->last = task;
    c->count++;
}

// wf_injector_check asserts that the chain from `head` ends, and that an empty queue
// has no head. Context: the holder of `taking`; other threads may push at the same
// time.
void wf_injector_check(const struct wf_injector *q);

// wf_injector_push adds a chain that is not empty.  Context: any thread.
void wf_injector_push(struct wf_injector *q, const struct wf_chain *chain);

// wf_injector_take takes up to `most` tasks, oldest first.
// Returns: how many; 0 also if another worker is taking.  Context: any worker.
unsigned wf_injector_take(struct wf_injector *q, struct wf_task **out, unsigned most);

// wf_injector_empty tells whether no task is queued, or about to be.
static inline bool wf_injector_empty(const struct wf_injector *q)
{
    return wf_load_seq_cst(&q->tail) == NULL; // [J2]
}

#endif
