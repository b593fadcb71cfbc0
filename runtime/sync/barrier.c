// The barrier: a queue, and its length. All of it is under the queue's lock, because
// all callers wait for each other anyway.
//
// The last caller to arrive takes all others out of the queue, and does not queue
// itself. A waiter that is cancelled in the queue leaves it and no longer counts; a
// waiter that was taken out returns success.
#include "base/assert.h"
#include "runtime/sync/queue.h"

struct wf_barrier {
    struct wf_queue queue;
    size_t parties; // I
    size_t arrived; // L: how many are in the queue
};

_Static_assert(sizeof(struct wf_barrier) == sizeof(weft_barrier), "the barrier is what the program reserves for it");

static struct wf_barrier *barrier_of(weft_barrier *b)
{
    return (struct wf_barrier *)(void *)b;
}

void weft_barrier_init(weft_barrier *b, size_t n)
{
    struct wf_barrier *barrier = barrier_of(b);

    if (n == 0)
        wf_misuse("weft_barrier_init: a barrier is for 1 task or more");
    wf_queue_init(&barrier->queue);
    barrier->parties = n;
    barrier->arrived = 0;
}

void weft_barrier_destroy(weft_barrier *b)
{
    wf_queue_destroy(&barrier_of(b)->queue, "weft_barrier_destroy");
}

// arrive queues `w`, or takes all others out if `w` is the last one. Returns: true if
// `w` is the last one.
static bool arrive(struct wf_barrier *b, struct wf_waiter *w, struct wf_list *taken)
{
    wf_queue_lock(&b->queue);
    wf_debug_check(wf_queue_check(&b->queue, b->arrived > 0));
    wf_debug_assert(b->arrived < b->parties);
    bool last = b->arrived + 1 >= b->parties;
    if (last) {
        while (!wf_queue_empty(&b->queue))
            wf_queue_take(&b->queue, taken);
        b->arrived = 0;
    } else {
        wf_queue_join(&b->queue, w);
        b->arrived++;
    }
    wf_queue_unlock(&b->queue);
    return last;
}

int weft_barrier_wait(weft_barrier *b)
{
    struct wf_task *self = wf_require_task("weft_barrier_wait");
    struct wf_barrier *barrier = barrier_of(b);
    struct wf_waiter w;
    struct wf_list taken;
    int err = wf_check_cancel(self);

    if (err)
        return err;
    wf_budget_consume(self);
    wf_waiter_init(&w, self);
    wf_list_init(&taken);
    if (arrive(barrier, &w, &taken)) {
        wf_queue_grant(&taken, 0);
        return 1;
    }
    err = wf_queue_wait(&barrier->queue, &w, "barrier", b);
    if (err < 0) {
        wf_debug_assert(barrier->arrived > 0 && wf_lock_held(&barrier->queue.lock));
        barrier->arrived--;
        wf_queue_unlock(&barrier->queue);
    }
    return err;
}
