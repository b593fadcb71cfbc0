#include "runtime/sync/queue.h"

#include "base/assert.h"

void wf_queue_check(const struct wf_queue *q, bool marked)
{
    wf_assert(wf_lock_held(&q->lock));
    wf_assert(marked == !wf_queue_empty(q));
    wf_waiters_check(&q->waiters);
    wf_assert(wf_queue_empty(q) || !wf_queue_head(q)->choice);
}

void wf_queue_grant(struct wf_list *taken, int result)
{
    while (!wf_list_empty(taken)) {
        struct wf_waiter *w = wf_waiter_of(taken->next);
        wf_list_remove(&w->link);
        wf_waiter_grant(w, result);
    }
}

int wf_queue_wait(struct wf_queue *q, struct wf_waiter *w, const char *what, const void *object)
{
    int err = wf_waiter_await(w, &q->lock, what, (intptr_t)object);
    return err ? err : w->result;
}

static void expect_nobody(bool waits, const char *call)
{
    if (waits)
        wf_misuse("%s: somebody waits for it", call);
}

void wf_queue_destroy(struct wf_queue *q, const char *call)
{
    wf_queue_lock(q);
    bool waits = !wf_queue_empty(q);
    wf_queue_unlock(q);
    expect_nobody(waits, call);
}

void wf_queue_destroy_cell(const struct wf_cell *c, const char *call)
{
    uintptr_t word = wf_load_relaxed(&c->word); // relaxed: a check for misuse
    expect_nobody(word != 0 && !(word & WF_CELL_SET), call);
}
