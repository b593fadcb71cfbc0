// Once: a word, and a queue of the callers that arrived while fn was running.
//
//                   once_do                      fn returns >= 0
//        0 (open) ----------> the task that runs fn --------------> DONE
//           ^                  |      ^    |
//           +------------------+      +----+ fn fails, and the queue is not empty: its head runs its own fn
//             fn fails, the queue is empty
//
// All accesses except the check for DONE are under the queue's lock.
//
// Edges.
//   O1  the store of DONE (release) -> the check for it (acquire): what fn did. Waiters
//       see that by Q1
#include "base/assert.h"
#include "runtime/sync/queue.h"

enum { OPEN = 0, DONE = 1 };
enum { IS_DONE, YOUR_TURN }; // the results of a grant

struct wf_once {
    _Atomic uintptr_t word; // A: [O1], written under the queue's lock
    struct wf_queue queue;
};

_Static_assert(sizeof(struct wf_once) == sizeof(weft_once), "once is what the program reserves for it");

static struct wf_once *once_of(weft_once *o)
{
    return (struct wf_once *)(void *)o;
}

void weft_once_init(weft_once *o)
{
    wf_store_relaxed(&once_of(o)->word, (uintptr_t)OPEN); // relaxed: not shared yet
    wf_queue_init(&once_of(o)->queue);
}

void weft_once_destroy(weft_once *o)
{
    uintptr_t word = wf_load_relaxed(&once_of(o)->word); // relaxed: a check for misuse

    wf_queue_destroy(&once_of(o)->queue, "weft_once_destroy");
    if (word != OPEN && word != DONE)
        wf_misuse("weft_once_destroy: a task is at it");
}

// finish_once records fn's result, and grants all waiters, or the next one its turn.
static int finish_once(struct wf_once *o, int result)
{
    bool done = result >= 0;
    struct wf_list taken;

    wf_list_init(&taken);
    wf_queue_lock(&o->queue);
    // relaxed: the caller's own, under the lock
    wf_debug_assert(wf_load_relaxed(&o->word) == (uintptr_t)wf_self());
    uintptr_t word = done ? DONE : OPEN;
    while (!wf_queue_empty(&o->queue) && (done || wf_list_empty(&taken))) {
        struct wf_waiter *w = wf_queue_take(&o->queue, &taken);
        if (!done)
            word = (uintptr_t)w->task;
    }
    wf_store_release(&o->word, word); // [O1]
    wf_queue_unlock(&o->queue);
    wf_queue_grant(&taken, done ? IS_DONE : YOUR_TURN);
    return done ? 0 : result;
}

// enter_once takes the turn if it is free, or queues `w`. Returns: the result of a grant;
// -1: it is queued.
static int enter_once(struct wf_once *o, struct wf_waiter *w)
{
    int entered = -1;

    wf_queue_lock(&o->queue);
    uintptr_t word = wf_load_relaxed(&o->word); // relaxed: written under the lock
    wf_debug_assert((word != OPEN && word != DONE) || wf_queue_empty(&o->queue));
    if (word == DONE) {
        entered = IS_DONE;
    } else if (word == OPEN) {
        entered = YOUR_TURN;
        wf_store_relaxed(&o->word, (uintptr_t)w->task); // relaxed: as above
    } else {
        wf_queue_join(&o->queue, w);
    }
    wf_queue_unlock(&o->queue);
    return entered;
}

static int do_slowly(struct wf_once *o, struct wf_task *self, weft_fn *fn, void *arg)
{
    struct wf_waiter w;

    if (wf_load_relaxed(&o->word) == (uintptr_t)self) // relaxed: only `self` writes itself there
        wf_misuse("weft_once_do: fn waits for itself");
    wf_waiter_init(&w, self);
    int got = enter_once(o, &w);
    if (got < 0)
        got = wf_queue_wait(&o->queue, &w, "once", o);
    if (got < 0)
        wf_queue_unlock(&o->queue);
    return got == YOUR_TURN ? finish_once(o, fn(arg)) : got;
}

int weft_once_do(weft_once *o, weft_fn *fn, void *arg)
{
    struct wf_task *self = wf_require_task("weft_once_do");
    int err = wf_check_cancel(self);

    if (wf_unlikely(err))
        return err;
    wf_budget_consume(self);
    if (wf_likely(wf_load_acquire(&once_of(o)->word) == DONE)) // [O1]
        return 0;
    return do_slowly(once_of(o), self, fn, arg);
}
