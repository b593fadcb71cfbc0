// Timers: a wheel for each worker, and one for all other threads, all driven by the
// lease's holder and the reactor thread.
//
// Nearly every timer is cancelled before it is due, by the worker that armed it. So a
// worker arms on its own wheel, under a lock that is usually free and in its cache, and
// writes nothing else: it tells the poller of a timer only if the timer becomes its
// wheel's next one. next[wheel] is a moment before which the wheel has no timer to
// fire. It is
//
//   - never too late: arming lowers it, under the lock
//   - possibly too early: disarming does not change it. At worst the poller wakes up
//     once without need, and corrects it. So arming and cancelling the same timeout
//     repeatedly lowers `next` once, and not again until it has passed.
//
// The entries of `next` are adjacent, apart from the wheels: each turn reads them, and
// they are rarely written.
//
// A timer's life, under the lock of its wheel except for the last arrow:
//
//      wf_timer_arm              wf_timers_expire
//    --------------> in the wheel ---------------> fired = true .....> its waker fires, from a copy
//                         |                            |
//                         +------ wf_timer_disarm -----+-----> the caller's
//
// The store of `fired` is the reactor's last access to a timer. A disarm that sees it
// needs no lock; otherwise it takes the lock, and finds the timer in the wheel, or
// fired. The waker may fire after the disarm: it points to memory that is never
// unmapped, and a spurious wake is harmless (base/waker.h).
//
// Edges.
//   W1  `fired` (release) -> wf_timer_fired, wf_timer_disarm (acquire): the reactor is
//       done with the timer
//   W2  no thread sleeps past a deadline:
//
//         armer (wf_timer_arm)                   sleeper (turn.c)
//         [S] next[wheel] = tick                 [S] until = when it means to wake up
//         [L] until > tick? interrupt            [L] next[]: one before until? do not sleep
//
//       All four are seq_cst, so at least one of the two sees the other's. `until` is 0
//       while no worker sleeps in the poll: an awake poller looks at next[] before it
//       sleeps. An armer whose deadline is not its wheel's next relies on the armer
//       that lowered `next`. The reactor thread (announce_rest) does the same with
//       `resting` in place of `until`: a timer due before `resting` would fire later
//       than the thread intends. 0 while it does not sleep.
#include "reactor/timer.h"

#include <errno.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "reactor/interrupt.h"
#include "reactor/state.h"

enum { HOLD_MAX = 64 /* timers a hold of the lock */, HOLDS_MAX = 16 /* a wheel and turn: I/O must have its turn */ };
enum { AHEAD = 8 /* wakers */ };

int wf_timers_init(struct wf_reactor *r)
{
    r->timers = wf_alloc(r->wheels * sizeof(*r->timers));
    if (!r->timers)
        return -ENOMEM;
    r->next = wf_alloc(r->wheels * sizeof(*r->next));
    if (!r->next) {
        wf_free(r->timers);
        return -ENOMEM;
    }
    for (unsigned i = 0; i < r->wheels; i++) {
        wf_lock_init(&r->timers[i].lock);
        wf_wheel_init(&r->timers[i].wheel, wf_now());
        wf_store_relaxed(&r->next[i], WF_NEVER); // relaxed: not shared yet
    }
    return 0;
}

void wf_timers_fini(struct wf_reactor *r)
{
    wf_free(r->next);
    wf_free(r->timers);
}

// tick_of is when the wheel fires a timer: the first tick that does not begin before
// its deadline.
static int64_t tick_of(int64_t deadline)
{
    int64_t mask = ((int64_t)1 << WF_WHEEL_TICK_BITS) - 1;

    if (deadline > INT64_MAX - mask)
        return WF_NEVER;
    return deadline < 0 ? 0 : (deadline + mask) & ~mask;
}

uint64_t wf_timers_count(struct wf_reactor *r)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < r->wheels; i++) {
        wf_lock_acquire(&r->timers[i].lock);
        count += r->timers[i].wheel.count;
        wf_lock_release(&r->timers[i].lock);
    }
    return count;
}

// check_wheel asserts what wf_timers_check does, of one wheel.  Context: under its lock.
static void check_wheel(const struct wf_timers *t, const _Atomic int64_t *next)
{
    int64_t due = tick_of(wf_wheel_first(&t->wheel)), present = t->wheel.now << WF_WHEEL_TICK_BITS;

    wf_assert(wf_lock_held(&t->lock));
    wf_wheel_check(&t->wheel);
    // A timer that was armed after its deadline is due at the wheel's present tick.
    // relaxed: lowered only under the lock
    wf_assert(wf_load_relaxed(next) <= (due > present ? due : present));
}

void wf_timers_check(struct wf_reactor *r)
{
    wf_assert(r->wheels > 0);
    for (unsigned i = 0; i < r->wheels; i++) {
        wf_lock_acquire(&r->timers[i].lock);
        check_wheel(&r->timers[i], &r->next[i]);
        wf_lock_release(&r->timers[i].lock);
    }
}

// catch_up moves an empty wheel to the present, so that a timer's level fits its
// distance.  Context: under the lock.
static void catch_up(struct wf_wheel *w)
{
    struct wf_list none;

    if (w->count > 0)
        return;
    wf_list_init(&none);
    wf_wheel_advance(w, wf_now(), 1, &none);
    wf_debug_assert(wf_list_empty(&none));
}

// check_small is check_wheel for a wheel with few timers.
static inline void check_small(const struct wf_timers *t, const _Atomic int64_t *next)
{
    enum { SMALL = 256 };

    if (t->wheel.count <= SMALL)
        check_wheel(t, next);
}

// tell_sleepers wakes the threads that would sleep past `tick`.
static void tell_sleepers(struct wf_reactor *r, int64_t tick)
{
    if (tick < wf_load_seq_cst(&r->until)) // [W2]
        wf_interrupt_worker(r);
    if (tick < wf_load_seq_cst(&r->resting)) // [W2]
        wf_interrupt_thread(r);
}

void wf_timer_arm(struct wf_reactor *r, unsigned wheel, struct wf_timer *t, int64_t deadline, struct wf_waker waker)
{
    wf_debug_assert(wheel < r->wheels && waker.wake);
    struct wf_timers *home = &r->timers[wheel];
    int64_t tick = tick_of(deadline);

    t->waker = waker;
    t->home = home;
    wf_store_relaxed(&t->fired, false); // relaxed: the timer is not shared yet; the lock publishes it

    wf_lock_acquire(&home->lock);
    bool is_next = tick < wf_load_relaxed(&r->next[wheel]); // relaxed: changes only under the lock
    if (wf_unlikely(is_next)) {
        catch_up(&home->wheel);
        wf_store_seq_cst(&r->next[wheel], tick); // [W2]
    }
    wf_wheel_insert(&home->wheel, &t->node, deadline);
    wf_debug_check(check_small(home, &r->next[wheel]));
    wf_lock_release(&home->lock);

    if (wf_unlikely(is_next))
        tell_sleepers(r, tick);
}

void wf_timer_disarm(struct wf_timer *t)
{
    if (wf_timer_fired(t)) // [W1]
        return;
    wf_debug_assert(t->home != NULL);
    wf_lock_acquire(&t->home->lock);
    if (t->node.armed)
        wf_wheel_remove(&t->home->wheel, &t->node);
    wf_lock_release(&t->home->lock);
}

int64_t wf_timers_next(const struct wf_reactor *r)
{
    int64_t next = WF_NEVER;

    for (unsigned i = 0; i < r->wheels; i++) {
        int64_t at = wf_load_seq_cst(&r->next[i]); // [W2]
        if (at < next)
            next = at;
    }
    return next;
}

// collect releases the timers in `due`, and keeps their wakers.  Context: under the
// lock. Returns: how many.
static unsigned collect(struct wf_list *due, struct wf_waker *wakers)
{
    unsigned n = 0;

    for (struct wf_list *at = due->next, *next; at != due; at = next) {
        struct wf_timer *t = wf_container_of(at, struct wf_timer, node.link);
        next = at->next;
        wf_debug_assert(n < HOLD_MAX && !t->node.armed && t->waker.wake);
        wakers[n++] = t->waker;
        wf_store_release(&t->fired, true); // [W1] from here on the timer may be freed
    }
    return n;
}

// expire_some fires up to HOLD_MAX timers of a wheel, and adds their number to *fired.
// Returns: true if no due timer is left.
static bool expire_some(struct wf_timers *t, _Atomic int64_t *next, int64_t now, unsigned *fired)
{
    struct wf_waker wakers[HOLD_MAX];
    struct wf_list due;

    wf_list_init(&due);
    wf_lock_acquire(&t->lock);
    bool done = wf_wheel_advance(&t->wheel, now, HOLD_MAX, &due);
    if (done)
        wf_store_relaxed(next, wf_wheel_next(&t->wheel)); // relaxed: [W2] needs no raising of it to be seen
    unsigned n = collect(&due, wakers);
    wf_debug_check(check_small(t, next));
    wf_lock_release(&t->lock);

    for (unsigned i = 0; i < n; i++) {
        __builtin_prefetch(wakers[i + AHEAD < n ? i + AHEAD : i].arg, 1); // the waker writes there
        wf_waker_fire(wakers[i]);
    }
    *fired += n;
    return done;
}

unsigned wf_timers_expire(struct wf_reactor *r, int64_t now)
{
    unsigned fired = 0;

    for (unsigned i = 0; i < r->wheels; i++) {
        // relaxed: a concurrent lowering is seen on the next turn, before a thread
        // sleeps
        for (unsigned holds = 0; holds < HOLDS_MAX && wf_load_relaxed(&r->next[i]) <= now; holds++)
            if (expire_some(&r->timers[i], &r->next[i], now, &fired))
                break;
    }
    return fired;
}

// --- By hand -------------------------------------------------------------------------

void wf_reactor_rewind(struct wf_reactor *r)
{
    for (unsigned i = 0; i < r->wheels; i++) {
        struct wf_wheel *wheel = &r->timers[i].wheel;
        wf_assert(wheel->count == 0);
        if (wheel->now > wf_now() >> WF_WHEEL_TICK_BITS)
            wf_wheel_init(wheel, wf_now());
        wf_store_relaxed(&r->next[i], WF_NEVER); // relaxed: no other thread reads it
    }
}

int64_t wf_reactor_next_timer(struct wf_reactor *r)
{
    int64_t next = WF_NEVER;

    for (unsigned i = 0; i < r->wheels; i++) {
        wf_lock_acquire(&r->timers[i].lock);
        int64_t first = wf_wheel_first(&r->timers[i].wheel);
        wf_lock_release(&r->timers[i].lock);
        if (first < next)
            next = first;
    }
    return next;
}

// expire_early fires up to HOLD_MAX of the timers of a wheel whose deadline has come
// before its tick.
static unsigned expire_early(struct wf_timers *t, int64_t now)
{
    struct wf_waker wakers[HOLD_MAX];
    struct wf_list due;

    wf_list_init(&due);
    wf_lock_acquire(&t->lock);
    wf_wheel_early(&t->wheel, now, HOLD_MAX, &due);
    unsigned n = collect(&due, wakers);
    wf_lock_release(&t->lock);

    for (unsigned i = 0; i < n; i++)
        wf_waker_fire(wakers[i]);
    return n;
}

unsigned wf_reactor_expire(struct wf_reactor *r)
{
    int64_t now = wf_now();
    unsigned fired = 0, more;

    for (unsigned i = 0; i < r->wheels; i++) {
        while (!expire_some(&r->timers[i], &r->next[i], now, &fired))
            ;
        while ((more = expire_early(&r->timers[i], now)) > 0)
            fired += more;
    }
    wf_bump(&r->lent.expired, fired); // relaxed: a counter
    return fired;
}
