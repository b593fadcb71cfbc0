// One turn of the poll, by whoever holds the lease: a worker that has run dry, or the reactor thread.
//
// Events go before timers: what arrived in time, as far as we can tell, must not lose against a time-out that is found
// in the same turn. (The waiter looks at its cell first; the event has to be there by then.) It delays the timers by
// some ten microseconds at most, as a batch is 256 events.
//
// The clock is read only if some wheel has a timer: once before the wait, unless it is not to wait, and once after.
//
// The sleep. `until` says when the sleeper means to wake up, 0 while nobody sleeps; `interrupted` that it should not
// have slept. The eventfd is written only when somebody sleeps, and once for each sleep, as long as `interrupted` is
// not taken back: a system call that all but the first interrupter of a sleep are spared.
//
//     interrupted:     false -------- wf_turn_interrupt --------> true
//                        ^                                         |
//                        +------- wf_turn, having waited ----------+      (or instead of having waited)
//
// Edges.
//   E1  no interrupt is slept through:
//
//         interrupter (wf_turn_interrupt)        sleeper (announce)
//         [X] interrupted = true                 [S] until = when it means to wake up
//         [L] until? write the eventfd           [L] interrupted? do not sleep
//
//       All four are seq_cst, so at least one of the two sees the other's. If it is the interrupter, the eventfd ends
//       the wait, also one that has not begun. If both do, the eventfd's edge is left over, and the next wait ends at
//       once for nothing. Whoever finds `interrupted` true already leaves it to him who made it so.
//   E2  wf_turn_interrupt's exchange (release) -> the exchange that takes it back (acquire): what the interrupter did
//       before is visible to the sleeper when it returns
//   The third one, `until` against what the wheels have next, is [W2], in timer.c.
#include "reactor/turn.h"

#include "base/clock.h"
#include "reactor/state.h"

// announce publishes how long the caller is going to sleep.  Returns: that time, or 0 if there is a reason not to.
static int64_t announce(struct wf_reactor *r, int64_t wait)
{
    int64_t next = wf_timers_next(r);
    int64_t now = next == WF_NEVER ? 0 : wf_now();
    int64_t end = next == WF_NEVER ? WF_NEVER : wf_after(now, wait);
    int64_t until = next < end ? next : end;

    if (until <= now)
        return 0;
    wf_store_seq_cst(&r->until, until);                                // [E1] [W2]
    if (wf_load_seq_cst(&r->interrupted) || wf_timers_next(r) < until) // [E1] [W2]
        return 0;
    return next == WF_NEVER ? wait : until - now;
}

static void awake(struct wf_reactor *r)
{
    // relaxed: who still sees the old value writes the eventfd for nothing
    wf_store_relaxed(&r->until, (int64_t)0);
    if (wf_load_relaxed(&r->interrupted))            // relaxed: one that is missed ends the next sleep
        wf_exchange_acq_rel(&r->interrupted, false); // [E2]
}

// look_ahead fetches what the events after the i-th will touch. With a thousand connections neither sources nor
// waiters, which lie on the tasks' stacks, are in any near cache.
static void look_ahead(struct wf_reactor *r, const struct wf_epoll_batch *events, int i)
{
    int far = i + 16, near = i + 8;

    if (far < events->count && wf_epoll_tag(events, far) != WF_EPOLL_WAKE_TAG)
        wf_source_prefetch(r, wf_epoll_tag(events, far));
    if (near < events->count && wf_epoll_tag(events, near) != WF_EPOLL_WAKE_TAG)
        wf_source_prefetch_waiter(r, wf_epoll_tag(events, near));
}

static unsigned dispatch(struct wf_reactor *r, const struct wf_epoll_batch *events)
{
    unsigned n = 0;

    for (int i = 0; i < events->count; i++) {
        look_ahead(r, events, i);
        uint64_t tag = wf_epoll_tag(events, i);
        if (tag != WF_EPOLL_WAKE_TAG)
            n += wf_source_event(r, tag, wf_epoll_readable(events, i), wf_epoll_writable(events, i),
                                 wf_epoll_last(events, i));
    }
    return n;
}

static unsigned expire(struct wf_reactor *r)
{
    int64_t next = wf_timers_next(r);
    int64_t now = next == WF_NEVER ? 0 : wf_now();

    return next <= now ? wf_timers_expire(r, now) : 0;
}

unsigned wf_turn(struct wf_reactor *r, int64_t wait, const struct wf_reactor_hooks *batch)
{
    struct wf_epoll_batch events;

    wf_epoll_wait(&r->epoll, wait > 0 ? announce(r, wait) : 0, &events);
    if (wait > 0)
        awake(r);
    if (batch)
        batch->batch_begin(batch->self);
    unsigned ready = dispatch(r, &events);
    unsigned due = expire(r);
    if (batch)
        batch->batch_flush(batch->self);

    r->full = events.count == WF_EPOLL_BATCH;
    wf_bump(&r->polls, 1u); // relaxed, all three: counters, of whoever holds the lease
    wf_bump(&r->events, ready);
    wf_bump(&r->expired, due);
    return ready + due;
}

unsigned wf_reactor_wait(struct wf_reactor *r, int64_t wait)
{
    struct wf_epoll_batch events;

    wf_store_seq_cst(&r->until, WF_NEVER);               // [E1]
    bool interrupted = wf_load_seq_cst(&r->interrupted); // [E1]
    wf_epoll_wait(&r->epoll, interrupted ? 0 : wait, &events);
    awake(r);
    return dispatch(r, &events);
}

void wf_turn_interrupt(struct wf_reactor *r)
{
    if (wf_exchange_seq_cst(&r->interrupted, true)) // [E1] [E2]
        return;
    if (wf_load_seq_cst(&r->until) == 0) // [E1]
        return;
    wf_epoll_interrupt(&r->epoll);
    wf_fetch_add_relaxed(&r->interrupts, 1u); // relaxed: a counter
}
