// The reactor, put together: its life, and the poll as an idle source.
//
// The end, in order. wf_sched_stop has ended the workers, so no worker borrows the poll
// or waits. wf_reactor_stop sets `quit`, wakes the thread wherever it sleeps, and joins
// it. Foreign threads may still arm and disarm timers, and register descriptors; when
// they are done, wf_reactor_free releases the memory. A child of fork has no reactor
// thread, and calls wf_reactor_free without wf_reactor_stop.
#include "reactor/reactor.h"

#include <errno.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/thread.h"
#include "reactor/interrupt.h"
#include "reactor/registry.h"
#include "reactor/state.h"
#include "reactor/thread.h"
#include "reactor/turn.h"

int wf_reactor_new(struct wf_reactor **out, unsigned wheels)
{
    int err = -ENOMEM;
    struct wf_reactor *r = wf_alloc(sizeof(*r));

    wf_assert(wheels > 0);
    if (!r)
        return err;
    r->wheels = wheels;
    err = wf_timers_init(r);
    if (err < 0)
        goto free_reactor;
    err = wf_sources_init(&r->sources);
    if (err < 0)
        goto free_timers;
    err = wf_epoll_init(&r->epoll);
    if (err < 0)
        goto free_sources;
    wf_registry_enter(r);
    *out = r;
    return 0;

free_sources:
    wf_sources_fini(&r->sources);
free_timers:
    wf_timers_fini(r);
free_reactor:
    wf_free(r);
    return err;
}

void wf_reactor_free(struct wf_reactor *r)
{
    wf_registry_leave(r);
    wf_epoll_fini(&r->epoll);
    wf_sources_fini(&r->sources);
    wf_timers_fini(r);
    wf_free(r);
}

void wf_reactor_make_room(const struct wf_reactor *r)
{
    wf_epoll_make_room(&r->epoll);
}

int wf_reactor_start(struct wf_reactor *r, const struct wf_reactor_hooks *hooks, const char *name)
{
    wf_assert(!r->started && hooks->batch_begin && hooks->batch_flush && hooks->monitor);
    r->hooks = *hooks;
    int err = wf_thread_start(&r->thread, &(struct wf_thread_spec){ .name = name, .fn = wf_reactor_thread, .arg = r });
    r->started = err == 0;
    return err;
}

void wf_reactor_stop(struct wf_reactor *r)
{
    if (!r->started)
        return;
    wf_debug_check(wf_timers_check(r));
    wf_debug_check(wf_sources_check(r));
    wf_store_seq_cst(&r->quit, true); // [P1]
    wf_interrupt_thread(r);
    pthread_join(r->thread, NULL);
    r->started = false;
}

static bool borrow_poll(void *self)
{
    struct wf_reactor *r = self;
    return wf_lease_borrow(&r->lease);
}

static unsigned poll_for(void *self, int64_t wait)
{
    return wf_turn(self, wait);
}

static unsigned poll_beside(void *self)
{
    struct wf_reactor *r = self;

    if (!wf_turn_is_awaited(r) || !wf_lease_borrow(&r->beside))
        return 0;
    unsigned fired = wf_turn_beside(r);
    wf_lease_return(&r->beside); // [L1]
    return fired;
}

static void return_poll(void *self)
{
    struct wf_reactor *r = self;
    wf_debug_assert(wf_load_relaxed(&r->until) == 0); // relaxed: only the holder writes it, and it is awake
    wf_lease_return(&r->lease);                       // [L1]
}

static void notify_awake(void *self)
{
    struct wf_reactor *r = self;
    wf_store_relaxed(&r->attended, true); // relaxed: a hint
    if (wf_load_seq_cst(&r->monitor_paused) &&
        wf_exchange_seq_cst(&r->monitor_paused, false)) // [L2] one call is enough
        wf_interrupt_thread(r);
}

static void interrupt_poller(void *self)
{
    wf_interrupt_worker(self);
}

struct wf_idle_source wf_reactor_idle_source(struct wf_reactor *r)
{
    return (struct wf_idle_source){ .self = r,
                                    .borrow = borrow_poll,
                                    .poll = poll_for,
                                    .poll_beside = poll_beside,
                                    .give_back = return_poll,
                                    .notify_awake = notify_awake,
                                    .interrupt = interrupt_poller };
}

static uint64_t sum_counters(const _Atomic uint64_t *a, const _Atomic uint64_t *b, const _Atomic uint64_t *c)
{
    return wf_load_relaxed(a) + wf_load_relaxed(b) + wf_load_relaxed(c); // relaxed: counters, each right by itself
}

void wf_reactor_stats(struct wf_reactor *r, struct wf_reactor_stats *out)
{
    // relaxed, all of them: counters, each right by itself
    out->polls = sum_counters(&r->lent.polls, &r->at_side.polls, &r->own.polls);
    out->events = sum_counters(&r->lent.events, &r->at_side.events, &r->own.events);
    out->expired = sum_counters(&r->lent.expired, &r->at_side.expired, &r->own.expired);
    out->wakes = wf_load_relaxed(&r->wakes); // relaxed, this load and the next ones: as above
    out->ticks = wf_load_relaxed(&r->ticks);
    out->interrupts = wf_load_relaxed(&r->interrupts);
    out->descriptors = wf_load_relaxed(&r->sources.registered);
    out->timers = wf_timers_count(r);
}
