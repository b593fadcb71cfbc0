// The poll, lent by the idle source (the reactor) to one worker at a time.
#include "base/assert.h"
#include "sched/state.h"

void wf_worker_poll_borrowed(struct wf_worker *w, int64_t wait)
{
    struct wf_idle_source *idle = &w->sched->cfg.idle;

    wf_debug_assert(wf_worker_is_self(w) && !w->polling && !w->thread->current);
    w->polling = true;
    unsigned fired = idle->poll(idle->self, wait);
    w->polling = false;
    w->pace.polled = w->pace.looked;
    if (fired > 0)
        w->batch_end = wf_load_relaxed(&w->ring.tail); // relaxed: the worker's own
    wf_bump(&w->polls, 1);
}

bool wf_worker_borrow(struct wf_worker *w)
{
    struct wf_idle_source *idle = &w->sched->cfg.idle;
    return idle->borrow && idle->borrow(idle->self);
}

void wf_worker_poll(struct wf_worker *w)
{
    if (!wf_worker_borrow(w))
        return;
    wf_worker_poll_borrowed(w, 0);
    w->sched->cfg.idle.give_back(w->sched->cfg.idle.self);
}
