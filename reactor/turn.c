// One turn of the poll: by the worker that holds the lease, by a busy worker beside it,
// or by the reactor thread.
//
// Events are dispatched before timers: an event that arrived in time must win against a
// timeout that expires in the same turn. (The waiter checks its cell first; the event
// has to be there by then.) This delays the timers by about ten microseconds at most,
// because a batch is 256 events.
//
// The clock is read only if some wheel has a timer: once before a wait, and once after.
//
// Two threads may wait in epoll: a worker, and behind it the reactor thread. The kernel
// wakes the newest waiter for an event (its waiters are exclusive, newest first:
// ep_poll in fs/eventpoll.c). So the worker gets the events that arrive while it waits,
// and the reactor thread gets those that arrive while the worker runs tasks. A reactor
// thread that enters while the worker waits restores the order (let_pass). Only speed
// depends on the order.
//
// Other threads can wake each of the two: interrupt.c.
#include "reactor/turn.h"

#include "base/assert.h"
#include "base/clock.h"
#include "reactor/interrupt.h"
#include "reactor/state.h"

enum { TURNS_MAX = 16 /* of the thread, full ones, in a row */, PASSES_MAX = 64 };

// announce publishes how long the calling worker is going to sleep.  Returns: that
// time, or 0 if it must not sleep.
static int64_t announce(struct wf_reactor *r, int64_t wait)
{
    int64_t next = wf_timers_next(r);
    int64_t now = next == WF_NEVER ? 0 : wf_now();
    int64_t end = next == WF_NEVER ? WF_NEVER : wf_after(now, wait);
    int64_t until = next < end ? next : end;

    wf_debug_assert(wait > 0 && wf_lease_is_taken(&r->lease));
    if (until <= now)
        return 0;
    wf_store_seq_cst(&r->until, until);                                // [E1] [W2]
    if (wf_load_seq_cst(&r->interrupted) || wf_timers_next(r) < until) // [E1] [W2]
        return 0;
    return next == WF_NEVER ? wait : until - now;
}

static void awake(struct wf_reactor *r)
{
    // relaxed: an interrupter that still sees the old value writes the eventfd
    // needlessly
    wf_store_relaxed(&r->until, (int64_t)0);
    if (wf_load_relaxed(&r->interrupted))            // relaxed: a missed interrupt ends the next sleep
        wf_exchange_acq_rel(&r->interrupted, false); // [E2]
}

// dispatch fires the wakers of a batch.  Returns: how many events there were; *called:
// the eventfd was among them.
static unsigned dispatch(struct wf_reactor *r, const struct wf_epoll_batch *events, bool *called)
{
    unsigned n = 0;

    wf_debug_assert(events->count >= 0 && events->count <= WF_EPOLL_BATCH);
    *called = false;
    for (int i = 0; i < events->count; i++) {
        uint64_t tag = wf_epoll_tag(events, i);
        if (tag == WF_EPOLL_WAKE_TAG)
            *called = true;
        else
            n += wf_source_event(r, tag, wf_epoll_readable(events, i), wf_epoll_writable(events, i),
                                 wf_epoll_last(events, i));
    }
    return n;
}

static unsigned expire_due(struct wf_reactor *r)
{
    int64_t next = wf_timers_next(r);
    int64_t now = next == WF_NEVER ? 0 : wf_now();

    return next <= now ? wf_timers_expire(r, now) : 0;
}

// finish_turn fires the wakers of a turn, and counts it.
static unsigned finish_turn(struct wf_reactor *r, struct wf_tally *tally, const struct wf_epoll_batch *events,
                            bool *called)
{
    unsigned ready = dispatch(r, events, called);
    unsigned due = expire_due(r);

    wf_bump(&tally->polls, 1u); // relaxed, all three: counters, each written by one thread
    wf_bump(&tally->events, ready);
    wf_bump(&tally->expired, due);
    return ready + due;
}

// thread_is_called tells whether the reactor thread was called through its parker, and
// has not noticed it yet.
static bool thread_is_called(const struct wf_reactor *r)
{
    return wf_load_seq_cst(&r->parker.state) == WF_PARKER_NOTIFIED; // seq_cst: the call came before the eventfd
}

bool wf_turn_is_awaited(const struct wf_reactor *r)
{
    return wf_load_relaxed(&r->until) != 0; // relaxed: a hint
}

unsigned wf_turn(struct wf_reactor *r, int64_t wait)
{
    struct wf_epoll_batch events;
    bool called;

    wf_debug_assert(wait >= 0);
    events.count = 0;
    if (wait > 0) {
        wf_epoll_wait(&r->epoll, announce(r, wait), &events);
        awake(r);
    } else if (wf_load_relaxed(&r->sources.registered) > 0) { // relaxed: a missed registration is seen at the next poll
        wf_epoll_wait(&r->epoll, 0, &events);
    }
    unsigned fired = finish_turn(r, &r->lent, &events, &called);
    if (wf_unlikely(called) && thread_is_called(r))
        wf_epoll_interrupt(&r->epoll); // pass it on
    return fired;
}

// was_called tells whether one of the two threads that wait in epoll was called, and
// has not noticed it yet: then the eventfd's edge is for that thread.
static bool was_called(const struct wf_reactor *r)
{
    return wf_load_seq_cst(&r->interrupted) || thread_is_called(r); // [E1] seq_cst: both came before the eventfd
}

// The holder of the lease sleeps in epoll, perhaps on a processor that sleeps as well:
// then it takes 30 us and more until it sees an event. A busy worker sees the event when
// it looks around next. (100 connections at once, beside one pair that chats: 2.0 ms
// without this, 1.2 with.) If it takes the eventfd's edge of a call, it passes that on.
// The called thread may wake up in between, find nothing, and sleep on until the edge is
// written again. So after PASSES_MAX edges of one call this worker does not poll until
// the called thread has heard it.
unsigned wf_turn_beside(struct wf_reactor *r)
{
    struct wf_epoll_batch events;
    bool called;

    wf_debug_assert(wf_lease_is_taken(&r->beside));
    if (!was_called(r))
        r->passed_on = 0;
    if (r->passed_on >= PASSES_MAX || wf_load_relaxed(&r->sources.registered) == 0) // relaxed: as in wf_turn
        return 0;
    wf_epoll_wait(&r->epoll, 0, &events);
    unsigned fired = finish_turn(r, &r->at_side, &events, &called);
    if (wf_unlikely(called) && was_called(r)) {
        r->passed_on++;
        wf_epoll_interrupt(&r->epoll);
    }
    return fired;
}

// let_pass makes the worker, which already waits in epoll, the newest waiter. The
// eventfd wakes the worker, but the reactor thread takes that event back at once. So
// when the worker runs it finds no event, and the kernel queues it anew: in front of
// the reactor thread, which is in the queue by then.
// Returns: true if there was anything else: an event, which is in `events`, or a write
// of the eventfd for the worker or for the reactor thread.
static bool let_pass(struct wf_reactor *r, struct wf_epoll_batch *events)
{
    // relaxed: the thread's own state; another thread may only set NOTIFIED
    wf_debug_assert(wf_load_relaxed(&r->parker.state) != WF_PARKER_RUNNING);
    wf_epoll_interrupt(&r->epoll);
    wf_epoll_wait(&r->epoll, 0, events);
    return events->count > 1 || (events->count == 1 && wf_epoll_tag(events, 0) != WF_EPOLL_WAKE_TAG) ||
           wf_load_seq_cst(&r->interrupted) || thread_is_called(r); // [E1] [P1]
}

// wait_behind is the reactor thread's wait in epoll. Returns: whether it was called.
static bool wait_behind(struct wf_reactor *r, int64_t until, struct wf_epoll_batch *events)
{
    int64_t now = until == WF_NEVER ? 0 : wf_now();

    if (until <= now) {
        wf_epoll_wait(&r->epoll, 0, events);
        return false;
    }
    if (!wf_parker_prepare(&r->parker, WF_PARKER_ELSEWHERE)) {
        events->count = 0;
        return true;
    }
    if (!wf_turn_is_awaited(r) || !let_pass(r, events))
        wf_epoll_wait(&r->epoll, until == WF_NEVER ? WF_NEVER : until - now, events);
    return wf_parker_finish(&r->parker);
}

struct wf_turn_result wf_turn_of_thread(struct wf_reactor *r, int64_t until)
{
    struct wf_epoll_batch events;
    struct wf_turn_result result = { .called = wait_behind(r, until, &events) };
    bool woken;

    r->hooks.batch_begin(r->hooks.self);
    result.fired = finish_turn(r, &r->own, &events, &woken);
    for (int i = 1; i < TURNS_MAX && events.count == WF_EPOLL_BATCH; i++) {
        bool more;
        wf_epoll_wait(&r->epoll, 0, &events);
        result.fired += finish_turn(r, &r->own, &events, &more);
        woken |= more;
    }
    r->hooks.batch_flush(r->hooks.self);
    result.propagated = woken && wf_load_seq_cst(&r->interrupted) && wf_load_seq_cst(&r->until) != 0; // [E1]
    if (result.propagated)
        wf_epoll_interrupt(&r->epoll);
    return result;
}

unsigned wf_reactor_wait(struct wf_reactor *r, int64_t wait)
{
    struct wf_epoll_batch events;
    bool called;

    wf_debug_assert(!r->started);
    wf_store_seq_cst(&r->until, WF_NEVER);               // [E1]
    bool interrupted = wf_load_seq_cst(&r->interrupted); // [E1]
    wf_epoll_wait(&r->epoll, interrupted ? 0 : wait, &events);
    awake(r);
    return dispatch(r, &events, &called);
}
