// The poll: lent by the idle source (the reactor) to one worker at a time; and looks
// beside that worker while it waits.
#include "base/assert.h"
#include "sched/state.h"

// begin_poll tells the stamp for end_poll, 0 while the recorder is off.
static uint64_t begin_poll(struct wf_worker *w)
{
    wf_debug_assert(wf_worker_is_self(w) && !(w->modes & WF_MODE_POLLING) && !w->thread->current);
    w->modes |= WF_MODE_POLLING;
    w->woken_at = 0;
    return wf_unlikely(w->recorder != NULL) ? wf_stamp(w->recorder->counts) : 0;
}

static void end_poll(struct wf_worker *w, uint64_t from, unsigned fired)
{
    w->modes &= (unsigned char)~WF_MODE_POLLING;
    if (wf_unlikely(from != 0))
        wf_record_poll(w, from, fired);
    wf_event_poll(w->index, fired);
    w->pace.polled = w->pace.looked;
    if (fired > 0)
        w->batch_end = wf_load_relaxed(&w->ring.tail); // relaxed: the worker's own
    wf_bump(&w->polls, 1);
}

void wf_worker_poll_borrowed(struct wf_worker *w, int64_t wait)
{
    struct wf_idle_source *idle = &w->sched->cfg.idle;

    uint64_t from = begin_poll(w);
    end_poll(w, from, idle->poll(idle->self, wait));
}

bool wf_worker_borrow(struct wf_worker *w)
{
    struct wf_idle_source *idle = &w->sched->cfg.idle;
    return idle->borrow && idle->borrow(idle->self);
}

// poll_beside polls while another worker waits in the poll. All workers together do so
// once in half of the time between two looks, however many are busy.
static void poll_beside(struct wf_worker *w)
{
    struct wf_idle_source *idle = &w->sched->cfg.idle;
    int64_t now = w->pace.looked;

    if (!idle->poll_beside || now - wf_load_relaxed(&w->sched->polled_beside) < WF_LOOK_NS / 2) // relaxed: a hint
        return;
    wf_store_relaxed(&w->sched->polled_beside, now); // relaxed: as above
    uint64_t from = begin_poll(w);
    end_poll(w, from, idle->poll_beside(idle->self));
}

void wf_worker_poll(struct wf_worker *w)
{
    if (!wf_worker_borrow(w)) {
        poll_beside(w);
        return;
    }
    wf_worker_poll_borrowed(w, 0);
    w->sched->cfg.idle.give_back(w->sched->cfg.idle.self);
}
