// The waiter: a task's entry in the queue of a channel, a lock or the like. An object
// that gives a thing to one of many waiters (a message, a permit) queues them under its
// own lock; a state that all may see at once is a cell.
//
//                  wf_waiter_join           wf_waiter_take             wf_waiter_grant
//        (made) ------------------> QUEUED ---------------> TAKEN -----------------------> CHOSEN --> SIGNALLED
//                                     |
//                                     +--- wf_waiter_await: cancelled --> (out: as if
//                                     it had never joined)
//
// Joining, taking and leaving happen under the object's lock, so a cancelled waiter
// knows whether it was taken. If it was, it gets what it waited for: completion wins.
// The grant comes after the lock is released.
//
// A select has waiters in many queues at a time. Its choice (runtime/wait/choice.h) decides
// between them: wf_waiter_take returns only a waiter whose choice it has won, and drops
// a waiter whose choice another queue has won.
//
// A granter marks the waiter CHOSEN, wakes its task, and marks it SIGNALLED, its last
// access. base/cell.h explains why SIGNALLED comes after the wake.
//
// Edges.
//   Q1  wf_waiter_grant's CHOSEN (release) -> wf_waiter_chosen (acquire): the thing
//       that was given, and what the giver did before
//   Q2  wf_waiter_grant's SIGNALLED (release) -> let_go (acquire): the granter does not
//       access the waiter any more
#ifndef WF_RUNTIME_WAITER_H
#define WF_RUNTIME_WAITER_H

#include "base/assert.h"
#include "base/list.h"
#include "base/lock.h"
#include "runtime/wait/choice.h"
#include "runtime/wait/wait.h"

enum { WF_WAITER_WAITING, WF_WAITER_CHOSEN, WF_WAITER_SIGNALLED };

// L: under the lock of the object it is queued on; I: from wf_waiter_init on
struct wf_waiter {
    struct wf_list link;      // L; once taken: the taker's, for its list of waiters to grant
    struct wf_task *task;     // I
    struct wf_choice *choice; // I: NULL except in a select
    uint32_t number;          // I: of the case
    bool queued;              // L
    _Atomic uint8_t state;    // A: [Q1] [Q2]
    int result;               // the granter's until CHOSEN; then the result of wf_waiter_wait
};

// wf_waiter_init makes a waiter of the calling task.
static inline void wf_waiter_init(struct wf_waiter *w, struct wf_task *self)
{
    wf_debug_assert(self != NULL);
    w->task = self;
    w->choice = NULL;
    w->queued = false;
    wf_store_relaxed(&w->state, WF_WAITER_WAITING); // relaxed: the object's lock publishes it
}

// wf_waiter_join queues `w` last.  Context: under the object's lock.
static inline void wf_waiter_join(struct wf_list *queue, struct wf_waiter *w)
{
    wf_debug_assert(!w->queued && w->task);
    wf_list_append(queue, &w->link);
    w->queued = true;
}

static inline struct wf_waiter *wf_waiter_of(struct wf_list *link)
{
    return wf_container_of(link, struct wf_waiter, link);
}

// wf_waiters_check asserts that a queue is linked both ways, and that its waiters (the
// first ones, if there are many) are marked as queued and have not been granted.
// Context: under the object's lock.
void wf_waiters_check(const struct wf_list *queue);

// wf_waiter_drop takes `w` out of its queue.  Context: under the object's lock.
static inline void wf_waiter_drop(struct wf_waiter *w)
{
    wf_debug_assert(w->queued);
    wf_list_remove(&w->link);
    w->queued = false;
}

// wf_waiter_claim tells whether `w` may be granted: a select takes one thing only. It
// returns true at most once; then the caller must take and grant the waiter. Context:
// under the object's lock.
static inline bool wf_waiter_claim(struct wf_waiter *w)
{
    return !w->choice || wf_choice_win(w->choice, w->number);
}

// wf_waiter_take dequeues the first waiter that can be claimed.
// Returns: NULL if there is none.  Context: under the object's lock; grant it after
// that.
static inline struct wf_waiter *wf_waiter_take(struct wf_list *queue)
{
    while (!wf_list_empty(queue)) {
        struct wf_waiter *w = wf_waiter_of(queue->next);
        wf_waiter_drop(w);
        if (wf_waiter_claim(w))
            return w;
    }
    return NULL;
}

// wf_waiter_grant ends the wait of a taken waiter, which may be freed after that.
// Context: any thread, without the lock.
void wf_waiter_grant(struct wf_waiter *w, int result);

// wf_waiter_chosen tells whether `w` was granted.
static inline bool wf_waiter_chosen(const struct wf_waiter *w)
{
    return wf_load_acquire(&w->state) != WF_WAITER_WAITING; // [Q1]
}

// wf_waiter_wait parks the calling task until `w`, which is queued under `lock`, is
// granted.
//
// Returns: the result that it was granted with; -ECANCELED, -ETIMEDOUT: `w` has left
// the queue, and was given nothing.
// Context: its task, without the lock. Not for a select.
int wf_waiter_wait(struct wf_waiter *w, struct wf_lock *lock, const char *what, intptr_t on);

// wf_waiter_await is the same for callers that must update the object if the waiter
// leaves.
// Returns: 0: granted, with w->result; -ECANCELED, -ETIMEDOUT: `w` has left, and `lock`
// is held: the caller releases it.
int wf_waiter_await(struct wf_waiter *w, struct wf_lock *lock, const char *what, intptr_t on);

// wf_waiter_wait_shielded waits for the grant, even if the task is cancelled.
int wf_waiter_wait_shielded(struct wf_waiter *w, const char *what, intptr_t on);

#endif
