// The reactor thread: keeps the poll while nobody else wants it, and sees to it that somebody polls.
//
//                  a turn fired something: the workers may have the poll
//       KEEP ----------------------------------------------------------------> TICK <---------------------+
//    holds the     handed over by a worker, or all workers are asleep     does not hold the lease,        |
//    lease, sleeps <----------------------------------------------------- sleeps on its futex             |
//    in epoll                                                                  |                          |
//       ^                                                                      | a worker waits in epoll  |
//       |                                                                      | for 3 ticks              | that worker
//     start                                                                    +-----------> DOZE --------+ gives back
//                                                                                  sleeps on its futex
//
// KEEP sleeps without bound if all workers are asleep, and `watch` has nothing left to do: then all that can happen is
// an event, a timer, or a push from another thread, which should interrupt the poll if it wakes the first worker. While
// some worker is awake, it sleeps a tick at most, to call `watch` as TICK does.
//
// TICK is there for the workers that poll by themselves. Each tick it calls `watch`. If the lease is free and nobody
// has polled for a tick although a task hogs its worker, or for 64 ticks in any case, it runs a turn, and what is ready
// goes to a worker that can take it: so a task that computes for long delays nobody else's I/O. If the lease is free
// and a timer is due, it runs a turn, too. For this it wakes between ticks; but it is told of a timer that is armed
// meanwhile only if that would be late by more than a millisecond (timer.c, W2).
//
// DOZE, because a worker that waits in epoll runs no task, and sees every event and timer; if the others sleep, too,
// there is nothing to tick for. A wait that outlasts LINGER is ended by this thread. The first worker that wakes up
// ends the doze. The workers' side of this is in lease.h, L2 and L3.
//
// Rejected: a timerfd in the set, for ticks while in KEEP (a system call for each change of the next deadline, where
// epoll_pwait2 takes it for nothing); ticking by epoll's own time-out while a worker has the poll (two threads in
// epoll_wait on one set wake each other).
#include "reactor/thread.h"

#include <sys/prctl.h>

#include "base/clock.h"
#include "base/slice.h"
#include "reactor/state.h"
#include "reactor/turn.h"

// A tick lasts TICK; longer and longer, up to TICK_MAX, while the workers run many short tasks: they tend to themselves
// then, and a thread that wakes on a busy processor costs more than its own time (2000 wakes a second took a seventh of
// a server that shared one CPU with its client). The same, up to TICK_STUCK, while one is stuck but another waits in
// epoll: that one misses nothing, and each tick may come just in its way.
#define TICK INT64_C(500000)
#define TICK_MAX INT64_C(8000000)
#define TICK_STUCK INT64_C(2000000)
#define LINGER INT64_C(20000000)
#define AGAIN INT64_C(25000000) // how long KEEP sleeps if `watch` wants to be called again

enum { QUIET_MAX = 64 /* ticks */, QUIET_BEFORE_DOZE = 3 /* ticks */, TURNS_MAX = 16 /* full ones, in a row */ };

// ask_for_promptness: this thread, which seldom runs and never for long, wants to be let on a CPU at once when others
// compute there (measured, a neighbour that computes 20 ms at a time: p99 of the others 3.4 ms without, 1.0 with).
static void ask_for_promptness(void)
{
    wf_slice_ask(WF_SLICE_SHORT);
    (void)prctl(PR_SET_TIMERSLACK, 1ul); // ns: the kernel's default is 50 us, three times what the wheel resolves
}

// What the thread remembers from tick to tick.
struct beat {
    int64_t next;       // when the next tick is
    int64_t tick;       // and how long it lasts
    uint64_t polls;     // r->polls at the last one
    unsigned quiet;     // for how many ticks nobody has polled
    bool asleep, stuck; // what `watch` said, no more than a tick ago
    int64_t nap;        // how long to sleep if all are asleep
};

static bool quitting(const struct wf_reactor *r)
{
    return wf_load_seq_cst(&r->quit); // seq_cst: seldom read, so the strongest will do; [E2] or [P1] came before
}

// next_tick is how long the next tick lasts, given what `watch` has seen, and whether a worker waits in epoll.
static int64_t next_tick(const struct beat *b, unsigned seen, bool polled)
{
    bool stuck = seen & WF_REACTOR_STUCK, brisk = seen & WF_REACTOR_BRISK;
    int64_t most = stuck ? TICK_STUCK : TICK_MAX;

    if (stuck ? !polled : !brisk)
        return TICK;
    return 2 * b->tick < most ? 2 * b->tick : most;
}

static void look(struct wf_reactor *r, struct beat *b, int64_t now)
{
    unsigned seen = r->hooks.watch(r->hooks.self);

    b->asleep = seen & WF_REACTOR_ALL_ASLEEP;
    b->stuck = seen & WF_REACTOR_STUCK;
    b->nap = seen & WF_REACTOR_AGAIN ? AGAIN : WF_NEVER;
    b->tick = next_tick(b, seen, wf_lease_state(&r->lease) == WF_LEASE_WORKER);
    b->next = now + b->tick;
    wf_bump(&r->ticks, 1u); // relaxed: a counter, of this thread
}

// harvest is a turn, and more without waiting as long as there are more events.
static unsigned harvest(struct wf_reactor *r, int64_t wait)
{
    unsigned fired = wf_turn(r, wait, &r->hooks);

    for (int i = 1; i < TURNS_MAX && r->full; i++)
        fired += wf_turn(r, 0, &r->hooks);
    return fired;
}

// visit harvests what is there, if nobody else has the poll.
static void visit(struct wf_reactor *r)
{
    if (!wf_lease_take(&r->lease))
        return;
    harvest(r, 0);
    wf_lease_return(&r->lease, false);
}

// keep is the state KEEP.  Context: holds the lease, and has given it back when it returns.
static void keep(struct wf_reactor *r, struct beat *b)
{
    unsigned fired = 0;

    b->next = 0; // look first: what was seen before the lease was taken may not be true any more
    while (!fired && !quitting(r)) {
        int64_t now = wf_now();
        if (now >= b->next) {
            wf_store_seq_cst(&r->unwatched, true); // [L3]
            look(r, b, now);
        }
        if (!b->asleep)
            wf_store_relaxed(&r->unwatched, false); // relaxed: who still sees it wakes a thread that is awake
        fired = harvest(r, b->asleep ? b->nap : b->next - now);
        b->asleep = false; // no longer known
    }
    wf_store_relaxed(&r->unwatched, false); // relaxed: who still sees it wakes a thread that is awake
    wf_lease_return(&r->lease, false);
}

// rest sleeps until the next tick, a timer that nobody else would see to, or a wake.  Returns: the time.
static int64_t rest(struct wf_reactor *r, const struct beat *b)
{
    int64_t until = b->next;

    wf_store_seq_cst(&r->resting, until); // [W2]
    if (wf_lease_state(&r->lease) <= WF_LEASE_HANDED) {
        int64_t timer = wf_timers_next(r); // [W2]
        until = timer < until ? timer : until;
    }
    if (wf_parker_prepare(&r->parker, WF_PARKER_IN_FUTEX)) {
        wf_parker_sleep(&r->parker, until);
        wf_parker_finish(&r->parker);
    }
    wf_store_relaxed(&r->resting, (int64_t)0); // relaxed: who still sees the old value wakes a thread that is awake
    return wf_now();
}

// doze is the state DOZE, entered when `unwatched` is set. wf_reactor_stop ends it, too. A poll that has lasted LINGER
// is ended: it is the worker that lingers, but this thread that looks at the time, because to set a timer for each wait
// costs the worker more than all else in it (a virtual machine has to leave to its host for that: 1 us of 8 a message
// with one connection).
static void doze(struct wf_reactor *r, struct beat *b)
{
    bool woken = true;

    if (wf_lease_state(&r->lease) == WF_LEASE_WORKER && wf_parker_prepare(&r->parker, WF_PARKER_IN_FUTEX)) {
        wf_parker_sleep(&r->parker, wf_after(wf_now(), LINGER));
        woken = wf_parker_finish(&r->parker);
    }
    if (!woken && wf_lease_state(&r->lease) == WF_LEASE_WORKER)
        wf_turn_interrupt(r);
    b->next = wf_now() + TICK;
    b->quiet = 0;
}

// tick_once does what a tick is for.  Returns: true if the thread holds the lease now, for KEEP.
static bool tick_once(struct wf_reactor *r, struct beat *b, int64_t now)
{
    bool may_doze = wf_lease_state(&r->lease) == WF_LEASE_WORKER && b->quiet + 1 >= QUIET_BEFORE_DOZE;

    if (may_doze)
        wf_store_seq_cst(&r->unwatched, true); // [L3]
    look(r, b, now);
    uint64_t polls = wf_load_relaxed(&r->polls); // relaxed: only its movement matters, and a tick late is early enough
    b->quiet = polls == b->polls ? b->quiet + 1 : 0;
    b->polls = polls;

    if (may_doze && b->asleep && b->quiet >= QUIET_BEFORE_DOZE)
        doze(r, b);
    if (may_doze)
        wf_store_relaxed(&r->unwatched, false); // relaxed: as in keep
    if (wf_lease_state(&r->lease) == WF_LEASE_WORKER)
        return false;
    if (b->asleep)
        return wf_lease_take(&r->lease);
    if (b->quiet >= (b->stuck ? 1 : QUIET_MAX)) {
        visit(r);
        b->quiet = 0;
        b->polls = wf_load_relaxed(&r->polls); // relaxed: as above
    }
    return false;
}

// tick is the state TICK.  Returns: true if the thread holds the lease now, for KEEP; false if it should end.
static bool tick(struct wf_reactor *r, struct beat *b)
{
    b->quiet = 0;
    b->next = wf_now() + TICK;
    for (;;) {
        int64_t now = rest(r, b);
        if (quitting(r))
            return false;
        enum wf_lease_state lease = wf_lease_state(&r->lease);
        if (lease == WF_LEASE_HANDED && wf_lease_take(&r->lease))
            return true;
        if (lease == WF_LEASE_FREE && wf_timers_next(r) <= now)
            visit(r);
        if (now >= b->next && tick_once(r, b, now))
            return true;
    }
}

void *wf_reactor_thread(void *reactor)
{
    struct wf_reactor *r = reactor;
    struct beat beat = { .next = 0, .tick = TICK };

    prctl(PR_SET_NAME, r->name);
    ask_for_promptness();
    if (wf_lease_take(&r->lease))
        keep(r, &beat);
    while (tick(r, &beat))
        keep(r, &beat);
    return NULL;
}
