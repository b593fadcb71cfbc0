// The condition variable: a queue, and a word that saves a signal the queue's lock.
//
// `waiting` is written under the queue's lock: 1 by a waiter that joins, 0 by a thread
// that finds the queue empty. A signal that reads 0 has missed no waiter: a waiter
// joins before it releases the mutex, and so before the signaller took the mutex to
// change the data.
//
// A cancelled waiter that is still in the queue leaves it; a signal finds the next one.
// A waiter that a signal has taken out of the queue returns 0.
#include "base/assert.h"
#include "runtime/sync/mutex.h"
#include "runtime/sync/queue.h"

struct wf_cond {
    struct wf_queue queue;
    weft_mutex *with;       // L: the mutex of the waiters in the queue
    _Atomic size_t waiting; // A: written under the lock
};

_Static_assert(sizeof(struct wf_cond) == sizeof(weft_cond), "the condition is what the program reserves for it");

static struct wf_cond *cond_of(weft_cond *c)
{
    return (struct wf_cond *)(void *)c;
}

void weft_cond_init(weft_cond *c)
{
    wf_queue_init(&cond_of(c)->queue);
    wf_store_relaxed(&cond_of(c)->waiting, (size_t)0); // relaxed: not shared yet
}

void weft_cond_destroy(weft_cond *c)
{
    wf_queue_destroy(&cond_of(c)->queue, "weft_cond_destroy");
}

static void join_cond(struct wf_cond *c, struct wf_waiter *w, weft_mutex *m)
{
    wf_queue_lock(&c->queue);
    // relaxed: written under the lock
    wf_debug_assert(wf_queue_empty(&c->queue) || wf_load_relaxed(&c->waiting));
    if (wf_unlikely(!wf_queue_empty(&c->queue) && c->with != m))
        wf_misuse("weft_cond_wait: others wait with another mutex");
    c->with = m;
    wf_store_relaxed(&c->waiting, (size_t)1); // relaxed: the mutex makes it visible to signallers
    wf_queue_join(&c->queue, w);
    wf_queue_unlock(&c->queue);
}

int weft_cond_wait(weft_cond *c, weft_mutex *m)
{
    struct wf_task *self = wf_require_task("weft_cond_wait");
    struct wf_cond *cond = cond_of(c);
    struct wf_waiter w;
    int err = wf_check_cancel(self);

    if (wf_unlikely(!wf_mutex_held(m, self)))
        wf_misuse("weft_cond_wait: the task does not hold the mutex");
    if (err)
        return err;
    wf_waiter_init(&w, self);
    join_cond(cond, &w, m);
    weft_mutex_unlock(m);
    err = wf_queue_wait(&cond->queue, &w, "condition", c);
    if (err < 0)
        wf_queue_unlock(&cond->queue);
    wf_mutex_lock_shielded(m, self);
    wf_debug_assert(wf_mutex_held(m, self));
    return err;
}

static void signal(weft_cond *c, bool all)
{
    struct wf_cond *cond = cond_of(c);
    struct wf_list taken;

    if (!wf_load_relaxed(&cond->waiting)) // relaxed: see above
        return;
    wf_list_init(&taken);
    wf_queue_lock(&cond->queue);
    while (!wf_queue_empty(&cond->queue) && (all || wf_list_empty(&taken)))
        wf_queue_take(&cond->queue, &taken);
    if (wf_queue_empty(&cond->queue))
        wf_store_relaxed(&cond->waiting, (size_t)0); // relaxed: under the lock
    wf_queue_unlock(&cond->queue);
    wf_queue_grant(&taken, 0);
}

void weft_cond_signal(weft_cond *c)
{
    signal(c, false);
}

void weft_cond_broadcast(weft_cond *c)
{
    signal(c, true);
}
