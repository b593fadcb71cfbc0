// The queue of a lock or the like: waiters under a lock. All zero is an empty queue,
// for static initialisers.
//
// Most objects here have the same structure. The uncontended path is one atomic
// operation on a word. A bit of that word says that the queue is not empty, and sends
// all callers to the slow path, under the queue's lock. Under that lock the bit is
// exact, because joining, taking and leaving change it there.
//
// A waker takes the waiter out of the queue, and grants it after releasing the lock. So
// the lock is held for a few instructions, never during a wake; and its release is the
// last access to the object: the woken waiter may free it.
#ifndef WF_RUNTIME_SYNC_QUEUE_H
#define WF_RUNTIME_SYNC_QUEUE_H

#include <weft/sync.h>

#include "runtime/wait/waiter.h"

// L: under the lock
struct wf_queue {
    struct wf_lock lock;
    struct wf_list waiters; // L: its links are NULL until it is locked for the first time
};

_Static_assert(sizeof(struct wf_queue) == sizeof(weft_waiters), "the queue is what the program reserves for it");

static inline void wf_queue_init(struct wf_queue *q)
{
    wf_lock_init(&q->lock);
    wf_list_init(&q->waiters);
}

static inline void wf_queue_lock(struct wf_queue *q)
{
    wf_lock_acquire(&q->lock);
    if (wf_unlikely(!q->waiters.next))
        wf_list_init(&q->waiters);
}

// wf_queue_check asserts that the queue's links are in order, that no waiter is a
// select's, and that the word's mark, `marked`, says whether there are waiters.
// Context: under the lock, where the mark is exact.
void wf_queue_check(const struct wf_queue *q, bool marked);

static inline void wf_queue_unlock(struct wf_queue *q)
{
    wf_lock_release(&q->lock);
}

static inline bool wf_queue_empty(const struct wf_queue *q)
{
    wf_debug_assert(wf_lock_held(&q->lock));
    return wf_list_empty(&q->waiters);
}

// wf_queue_head is the waiter that has waited longest; the queue is not empty.
static inline struct wf_waiter *wf_queue_head(const struct wf_queue *q)
{
    wf_debug_assert(!wf_queue_empty(q));
    return wf_waiter_of(q->waiters.next);
}

static inline void wf_queue_join(struct wf_queue *q, struct wf_waiter *w)
{
    wf_debug_assert(wf_lock_held(&q->lock) && !w->choice);
    wf_waiter_join(&q->waiters, w);
}

// wf_queue_join_front queues `w` before all others.
static inline void wf_queue_join_front(struct wf_queue *q, struct wf_waiter *w)
{
    wf_debug_assert(wf_lock_held(&q->lock) && !w->choice);
    wf_waiter_join(q->waiters.next, w);
}

// wf_queue_take moves the head to the end of `taken`, to be granted; the queue is not
// empty. No waiter in it belongs to a select.
static inline struct wf_waiter *wf_queue_take(struct wf_queue *q, struct wf_list *taken)
{
    struct wf_waiter *w = wf_queue_head(q);
    wf_waiter_drop(w);
    wf_list_append(taken, &w->link);
    return w;
}

// wf_queue_grant grants all of `taken`, in order.  Context: without the lock.
void wf_queue_grant(struct wf_list *taken, int result);

// wf_queue_wait parks the calling task until `w`, which is in `q`, is granted, or the
// task is cancelled. Dumps say that it waits for `what`, and give the address of the
// object.
//
// Returns: the result that it was granted with, 0 or more. A negative error: it has
//          left the queue, and the queue is locked: the caller updates the object, and
//          unlocks the queue.
// Context: the task of `w`, without the lock.
WF_MUST_CHECK int wf_queue_wait(struct wf_queue *q, struct wf_waiter *w, const char *what, const void *object);

// wf_queue_destroy aborts if a task waits (misuse: `call` names the function).
void wf_queue_destroy(struct wf_queue *q, const char *call);

// wf_queue_destroy_cell does the same for an object whose waiters are in a cell.
void wf_queue_destroy_cell(const struct wf_cell *c, const char *call);

#endif
