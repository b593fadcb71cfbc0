// One turn of the poll: by the worker that holds the lease, or by the reactor thread.
//
// Events go before timers: what arrived in time, as far as weft can tell, must not lose against a time-out that is
// found in the same turn. (The waiter looks at its cell first; the event has to be there by then.) It delays the timers
// by some ten microseconds at most, as a batch is 256 events.
//
// The clock is read only if some wheel has a timer: once before the wait, unless it is not to wait, and once after.
//
// Two may wait in epoll: a worker, and behind it the reactor thread. The kernel wakes one of them for an event, the
// newest (its waiters are exclusive, and the newest comes first: ep_poll in fs/eventpoll.c). So as long as the worker
// comes and goes, it gets what happens while it waits, and the thread gets what happens while it runs tasks. A thread
// that comes while the worker waits lets it pass (let_pass). Only speed hangs on that order.
//
// Each of the two can be woken by another thread:
//   - the worker: `until` says when it means to wake up, 0 while it does not sleep; `interrupted` that it should not
//     have slept.
//   - the reactor thread: by its parker, whose state says that it sleeps ELSEWHERE while it is in epoll.
// For both the eventfd is written, once for a sleep. It wakes one of the two, perhaps the wrong one. That one has left
// epoll then, and writes the eventfd again if the other one has been called and sleeps. That wakes the other one: the
// worker writes it while it still holds the lease, and the thread sleeps elsewhere for a moment after that. A worker
// that is back in epoll before the thread has looked takes it again, and passes it on again: nothing is lost.
// tests/model/eventfd.pml has all of this, and standby.pml the thread's side.
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
//       the wait, also one that has not begun. If both do, the eventfd's edge is left over, and a later wait ends at
//       once for nothing. An interrupter that finds `interrupted` true already leaves it to the one that made it so.
//   E2  wf_turn_interrupt's exchange (release) -> the exchange that takes it back (acquire): what the interrupter did
//       before is visible to the sleeper when it returns
//   The third one, `until` and `resting` against what the wheels have next, is [W2], in timer.c.
#include "reactor/turn.h"

#include "base/clock.h"
#include "reactor/state.h"

enum { TURNS_MAX = 16 /* of the thread, full ones, in a row */ };

// announce publishes how long the calling worker is going to sleep.  Returns: that time, or 0 if there is a reason not
// to.
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
    // relaxed: an interrupter that still sees the old value writes the eventfd for nothing
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

// dispatch fires the wakers of a batch.  Returns: how many events there were; *called: the eventfd was among them.
static unsigned dispatch(struct wf_reactor *r, const struct wf_epoll_batch *events, bool *called)
{
    unsigned n = 0;

    *called = false;
    for (int i = 0; i < events->count; i++) {
        look_ahead(r, events, i);
        uint64_t tag = wf_epoll_tag(events, i);
        if (tag == WF_EPOLL_WAKE_TAG)
            *called = true;
        else
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

// finish fires the wakers of a turn, and counts it.
static unsigned finish(struct wf_reactor *r, struct wf_tally *tally, const struct wf_epoll_batch *events, bool *called)
{
    unsigned ready = dispatch(r, events, called);
    unsigned due = expire(r);

    wf_bump(&tally->polls, 1u); // relaxed, all three: counters, of the calling party
    wf_bump(&tally->events, ready);
    wf_bump(&tally->expired, due);
    return ready + due;
}

// thread_is_called tells whether the reactor thread was called, and has not woken up yet.
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

    events.count = 0;
    if (wait > 0) {
        wf_epoll_wait(&r->epoll, announce(r, wait), &events);
        awake(r);
    } else if (wf_load_relaxed(&r->sources.registered) > 0) { // relaxed: one that is missed is seen at the next look
        wf_epoll_wait(&r->epoll, 0, &events);
    }
    unsigned fired = finish(r, &r->lent, &events, &called);
    if (wf_unlikely(called) && thread_is_called(r))
        wf_epoll_interrupt(&r->epoll); // pass it on
    return fired;
}

// let_pass makes the worker, which waits in epoll already, the newest that waits there. The eventfd wakes it, but the
// thread takes that event back at once. So when the worker gets a CPU it finds nothing, and queues anew, in the kernel:
// in front of the thread, which is in the queue by then.
// Returns: whether that has brought something else, which is in `events`: an event, or an eventfd that was written for
// the worker, or for the thread.
static bool let_pass(struct wf_reactor *r, struct wf_epoll_batch *events)
{
    wf_epoll_interrupt(&r->epoll);
    wf_epoll_wait(&r->epoll, 0, events);
    return events->count > 1 || (events->count == 1 && wf_epoll_tag(events, 0) != WF_EPOLL_WAKE_TAG) ||
           wf_load_seq_cst(&r->interrupted) || thread_is_called(r); // [E1] [P1]
}

// wait_behind is the thread's wait in epoll.  Returns: whether it was called.
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
    result.fired = finish(r, &r->own, &events, &woken);
    for (int i = 1; i < TURNS_MAX && events.count == WF_EPOLL_BATCH; i++) {
        bool more;
        wf_epoll_wait(&r->epoll, 0, &events);
        result.fired += finish(r, &r->own, &events, &more);
        woken |= more;
    }
    r->hooks.batch_flush(r->hooks.self);
    result.passed_on = woken && wf_load_seq_cst(&r->interrupted) && wf_load_seq_cst(&r->until) != 0; // [E1]
    if (result.passed_on)
        wf_epoll_interrupt(&r->epoll);
    return result;
}

unsigned wf_reactor_wait(struct wf_reactor *r, int64_t wait)
{
    struct wf_epoll_batch events;
    bool called;

    wf_store_seq_cst(&r->until, WF_NEVER);               // [E1]
    bool interrupted = wf_load_seq_cst(&r->interrupted); // [E1]
    wf_epoll_wait(&r->epoll, interrupted ? 0 : wait, &events);
    awake(r);
    return dispatch(r, &events, &called);
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

void wf_turn_call_thread(struct wf_reactor *r)
{
    if (!wf_parker_wake(&r->parker)) // [P1]
        return;
    wf_epoll_interrupt(&r->epoll);
    wf_fetch_add_relaxed(&r->interrupts, 1u); // relaxed: a counter
}
