// Whom to wake, and when: for work in a worker's own queues, in the injector, in an
// inbox; and, for a batch of events, once for all of them.
#include "base/assert.h"
#include "sched/state.h"

void wf_sched_wake_worker(struct wf_sched *s, int worker)
{
    wf_debug_assert(worker >= 0 && (unsigned)worker < s->cfg.workers);
    struct wf_worker *sleeper = &s->workers[worker];
    if (wf_parker_wake(&sleeper->parker))
        s->cfg.idle.interrupt(s->cfg.idle.self);
}

static void wake_one(struct wf_sched *s, bool poller_first)
{
    int worker = wf_idle_wake_one(&s->idle, poller_first);
    if (worker >= 0)
        wf_sched_wake_worker(s, worker);
}

void wf_worker_hint(struct wf_worker *w)
{
    if (wf_unlikely(wf_idle_may_wake(&w->sched->idle))) {
        wf_bump(&w->wakes, 1);
        wake_one(w->sched, false);
    }
}

static void notify(struct wf_sched *s, bool poller_first)
{
    if (wf_load_seq_cst(&s->idle.searching) == 0 && wf_idle_any_asleep(&s->idle)) // [I1]
        wake_one(s, poller_first);
}

void wf_sched_notify(struct wf_sched *s)
{
    notify(s, false);
}

void wf_sched_notify_poller(struct wf_sched *s)
{
    notify(s, true);
}

// As [I1], with the inbox for the injector.
void wf_worker_wake_pinned(struct wf_worker *home)
{
    struct wf_sched *s = home->sched;

    if (wf_idle_wake(&s->idle, home->index) == WF_IDLE_CHOSEN)
        wf_sched_wake_worker(s, (int)home->index);
    else if (!wf_injector_empty(&s->injector)) // a pusher may have taken this call for a search
        wf_sched_notify(s);
}

void wf_worker_notify_monitor(struct wf_worker *w)
{
    const struct wf_idle_source *source = &w->sched->cfg.idle;

    wf_debug_assert(wf_worker_is_self(w));
    w->monitor_unaware = false;
    if (source->notify_awake)
        source->notify_awake(source->self);
}

void wf_sched_batch_begin(struct wf_sched *s)
{
    struct wf_thread *thread = wf_thread_self();
    wf_assert(!thread->worker && !thread->batching);
    thread->batching = s;
    thread->batch = (struct wf_chain){ 0 };
}

void wf_sched_batch_flush(struct wf_sched *s)
{
    struct wf_thread *thread = wf_thread_self();
    wf_debug_assert(thread->batching == s);
    thread->batching = NULL;
    if (thread->batch.count == 0)
        return;
    wf_injector_push(&s->injector, &thread->batch);
    wf_sched_notify_poller(s);
}
