// The reactor thread: waits in epoll, behind the worker that waits there, and monitors
// the workers while that is needed.
//
//                         woken too often: the workers are busy
//      STANDBY ---------------------------------------------------> BUSY
//   waits in epoll    <----------------------------------------    sleeps on its futex, looks at
//      ^                  all workers asleep, several ticks         the workers each tick
//      |
//    start
//
// STANDBY. An idle worker waits in epoll, in front of this thread, and gets the events
// (turn.c). While that worker runs a task, this thread gets them: it fires the wakers,
// and the tasks go through the injector to a sleeping worker. So a CPU-bound task
// delays no other task's events, not even the first event. On an idle server the worker
// is back in epoll before the next event, so this thread never wakes up.
//   While all workers sleep, this thread does not monitor them (`monitor_paused`), until a
//   worker says that it is awake and has a second task queued
//   (wf_worker_notify_monitor). From then on the thread checks the workers once a tick,
//   until it finds all of them asleep and no worker has called again. The thread also
//   wakes up for timers, but a little late, because a worker that sleeps in the poll or
//   runs short turns fires them in time.
//
// With one worker, this thread stays in STANDBY, and out of epoll: it sleeps in its
// futex. While the worker runs a task, there is no other one to run what an event wakes.
// (3000 TLS handshakes on one processor: 385 us of CPU time each with this thread in
// epoll, where each event cost two switches and up to six system calls; 309 without.)
// It still fires timers, so that a task that computes sees its deadline.
//
// BUSY. Workers that run short turns poll by themselves (sched/look.c), and to wake
// this thread for each event would cost more. So the thread leaves epoll when events
// have woken it BUSY_WAKES times within BUSY_SPAN. Then it only ticks. At each tick it
// checks the workers. It runs a turn if a timer is due, if a worker is stuck in a task
// and none has polled for a tick, or if none has polled for QUIET_MAX ticks. It returns
// to STANDBY when all workers slept at CALM_MIN ticks in a row; at up to CALM_MAX ticks
// if its last stay in STANDBY was short.
//
// Edge L2: while this thread does not monitor the workers, no task waits unnoticed
// behind a task that an awake worker runs:
//
//         reactor thread (plan)                  worker that has woken up (notify_awake, when something waits)
//         [S] monitor_paused = true                   [X] it counts as awake
//         [L] monitor: all asleep?                [L] monitor_paused? call the thread
//             then sleep without a tick
//
//   All are seq_cst, so at least one of the two sees the other's. A worker that wakes
//   up later finds `monitor_paused` true.
//
// Rejected: one lease for both, so that only one thread waits in epoll. Then this
// thread must tick while a worker polls, and must be woken whenever that worker leaves:
// 59 of 77 us a message, at 1000 messages a second. A timerfd in the set, for ticks in
// epoll: it costs a system call for each change of the next deadline, which is a mere
// argument of epoll_pwait2.
#include "reactor/thread.h"

#include <sys/prctl.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/sys.h"
#include "base/timeslice.h"
#include "reactor/state.h"
#include "reactor/turn.h"

// A tick lasts TICK at first, then doubles: up to TICK_STUCK while a worker is stuck in
// a task and another worker waits in epoll; else up to TICK_MAX, in BUSY only if the
// workers run many short turns.
#define TICK INT64_C(500000)
#define TICK_MAX INT64_C(8000000)
#define TICK_STUCK INT64_C(2000000)
#define AGAIN INT64_C(25000000)   // how long STANDBY sleeps if `monitor` asks to be called again
#define LATER INT64_C(2000000000) // the same, if it asks to be called later
#define LATE INT64_C(1000000)     // how much later than a timer this thread wakes up for it; doubled, up to
#define LATE_MAX INT64_C(8000000) // LATE_MAX, while it wakes up without an event
#define ASIDE INT64_C(100000)     // how long the thread stays out of epoll, so that the worker gets its own events
#define BUSY_SPAN INT64_C(32000000)

enum { QUIET_MAX = 8 /* ticks */, BUSY_WAKES = 32, CALM_MIN = 3 /* ticks */, CALM_MAX = 48 };

// ask_for_promptness asks for a short time slice, because this thread runs rarely and
// briefly, and must preempt computing threads at once. Beside a neighbour that computes
// 20 ms at a time, p99 of the other tasks is 3.4 ms without, 1.0 with.
static void ask_for_promptness(void)
{
    wf_slice_ask(WF_SLICE_SHORT);
    (void)wf_sys_prctl(PR_SET_TIMERSLACK, 1); // ns: the kernel's default is 50 us, three times the wheel's tick
}

// The thread's state between looks.
struct monitor {
    int64_t next;       // when the next look is due
    bool watching;      // a look is due without a worker's call: `monitor_paused` is false
    int64_t tick;       // the length of the tick until then
    uint64_t polls;     // of the workers, at the last tick
    unsigned quiet;     // for how many ticks no worker has polled
    unsigned calm;      // at how many ticks in a row all workers slept
    unsigned calm_want; // at how many they have to sleep before STANDBY
    bool asleep, stuck; // the last result of `monitor`:
    bool progressing;   // as well
    bool again, later;  // `monitor` asks to be called again
    int64_t late;       // how much later than a timer the thread wakes up
    unsigned woken;     // how often events have woken the thread,
    int64_t since;      // since this time
};

static bool quitting(const struct wf_reactor *r)
{
    return wf_load_seq_cst(&r->quit); // seq_cst: rarely read, so the strongest order costs nothing; [P1] came before
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void look_at_workers(struct wf_reactor *r, struct monitor *b)
{
    unsigned seen = r->hooks.monitor(r->hooks.self);

    b->asleep = seen & WF_MONITOR_ASLEEP;
    b->stuck = seen & WF_MONITOR_STUCK;
    b->progressing = seen & WF_MONITOR_PROGRESSING;
    b->again = seen & WF_MONITOR_AGAIN;
    b->later = seen & WF_MONITOR_LATER;
    wf_bump(&r->ticks, 1u); // relaxed: a counter, of this thread
}

// set_tick plans the next look at the workers; `longer` doubles the tick. While a
// worker is stuck in a task, the tick doubles only if a worker waits in epoll.
static void set_tick(struct wf_reactor *r, struct monitor *b, bool longer, int64_t now)
{
    if (b->stuck)
        longer = wf_turn_is_awaited(r);
    b->tick = longer ? earlier(2 * b->tick, b->stuck ? TICK_STUCK : TICK_MAX) : TICK;
    wf_debug_assert(b->tick >= TICK && b->tick <= TICK_MAX);
    b->next = now + b->tick;
}

static void begin_ticks(struct monitor *b, int64_t now)
{
    b->watching = true;
    b->tick = TICK;
    b->next = now + TICK;
}

// announce_rest publishes the thread's sleep, which ends at `until`, or `late` after
// the next timer. An armer must wake the thread for a timer due before `resting`.
// Returns: the end of the sleep.
static int64_t announce_rest(struct wf_reactor *r, int64_t until, int64_t late)
{
    int64_t first;

    do {
        first = earlier(wf_after(until, -late), wf_timers_next(r));
        wf_store_seq_cst(&r->resting, first); // [W2]
    } while (wf_timers_next(r) < first); // [W2]
    return earlier(until, wf_after(first, late));
}

static void end_rest(struct wf_reactor *r)
{
    wf_store_relaxed(&r->resting, (int64_t)0); // relaxed: an armer that sees the old value wakes the awake thread
    wf_bump(&r->wakes, 1u);                    // relaxed: a counter, of this thread
}

// sleep_in_futex sleeps until `until`, a due timer, or a call.
static void sleep_in_futex(struct wf_reactor *r, int64_t until, int64_t late)
{
    int64_t rest = announce_rest(r, until, late);

    wf_debug_assert(rest <= until);
    if (wf_parker_prepare(&r->parker, WF_PARKER_IN_FUTEX)) {
        wf_parker_sleep(&r->parker, rest);
        wf_parker_finish(&r->parker);
    }
    end_rest(r);
}

// run_turn_now runs a turn without waiting.
static void run_turn_now(struct wf_reactor *r)
{
    (void)wf_turn_of_thread(r, 0);
}

// --- STANDBY -------------------------------------------------------------------------

// plan looks at the workers, and decides when to look again.
static void plan(struct wf_reactor *r, struct monitor *b, int64_t now)
{
    bool attended = wf_exchange_acquire(&r->attended, false); // acquire: a hint, so any order would do

    if (!attended)
        wf_store_seq_cst(&r->monitor_paused, true); // [L2]
    look_at_workers(r, b);
    b->watching = attended || !b->asleep;
    if (!b->watching) {
        b->next = b->again ? now + AGAIN : b->later ? now + LATER : WF_NEVER;
        return;
    }
    wf_store_relaxed(&r->monitor_paused, false); // relaxed: a worker that still sees true calls the awake thread
    set_tick(r, b, true, now);
}

// is_busy counts a wake for events.  Returns: true if there are too many.
static bool is_busy(struct monitor *b)
{
    if (++b->woken < BUSY_WAKES)
        return false;
    int64_t now = wf_now(), span = now - b->since;
    b->woken = 0;
    b->since = now;
    return span < BUSY_SPAN;
}

// wait_once waits in epoll, and fires the wakers of the events. Returns: false if the
// workers are busy.
static bool wait_once(struct wf_reactor *r, struct monitor *b)
{
    int64_t until = announce_rest(r, b->next, b->late);
    struct wf_turn_result turn = wf_turn_of_thread(r, until);

    end_rest(r);
    if (turn.propagated || (turn.fired > 0 && wf_turn_is_awaited(r)))
        sleep_in_futex(r, wf_now() + ASIDE, 0);
    if (!b->watching && !wf_load_seq_cst(&r->monitor_paused)) // [L2] the call may have ended either of the two sleeps
        begin_ticks(b, wf_now());
    if (!turn.called)
        b->late = turn.fired > 0 ? LATE : earlier(2 * b->late, LATE_MAX);
    return turn.fired == 0 || !is_busy(b);
}

// rest_once is wait_once for a runtime with one worker: it waits in the futex.
static void rest_once(struct wf_reactor *r, struct monitor *b)
{
    sleep_in_futex(r, b->next, b->late);
    bool due = wf_timers_next(r) <= wf_now();
    if (due)
        run_turn_now(r);
    b->late = due ? LATE : earlier(2 * b->late, LATE_MAX);
    if (!b->watching && !wf_load_seq_cst(&r->monitor_paused)) // [L2]
        begin_ticks(b, wf_now());
}

static void stand_by(struct wf_reactor *r, struct monitor *b)
{
    bool calm = true;

    wf_debug_assert(b->calm_want >= CALM_MIN && b->calm_want <= 2 * CALM_MAX);
    b->tick = TICK / 2;
    b->next = 0;
    b->late = LATE;
    b->woken = 0;
    b->since = wf_now();
    while (calm && !quitting(r)) {
        if (b->next != WF_NEVER && wf_now() >= b->next)
            plan(r, b, wf_now());
        if (r->hooks.one_worker)
            rest_once(r, b);
        else
            calm = wait_once(r, b);
    }
    wf_store_relaxed(&r->monitor_paused, false); // relaxed: as in plan
}

// --- BUSY ----------------------------------------------------------------------------

// tick_once looks at the workers, and polls if no worker does.
static void tick_once(struct wf_reactor *r, struct monitor *b, int64_t now)
{
    uint64_t polls = wf_load_relaxed(&r->lent.polls); // relaxed: only a change matters, even a tick late

    look_at_workers(r, b);
    set_tick(r, b, b->progressing, now);
    b->calm = b->asleep ? b->calm + 1 : 0;
    b->quiet = polls == b->polls && !wf_turn_is_awaited(r) ? b->quiet + 1 : 0;
    b->polls = polls;
    if (b->quiet >= (b->stuck ? 1 : QUIET_MAX)) {
        run_turn_now(r);
        b->quiet = 0;
    }
}

// be_busy ticks until all workers sleep.
static void be_busy(struct wf_reactor *r, struct monitor *b)
{
    b->quiet = b->calm = 0;
    begin_ticks(b, wf_now());
    while (b->calm < b->calm_want && !quitting(r)) {
        sleep_in_futex(r, b->next, b->stuck ? 0 : LATE);
        int64_t now = wf_now();
        if (wf_timers_next(r) <= now)
            run_turn_now(r);
        if (now >= b->next)
            tick_once(r, b, now);
    }
}

// change_calm makes the return to STANDBY take longer if the last stay there was short.
static void change_calm(struct monitor *b, int64_t stay)
{
    if (stay > 4 * BUSY_SPAN)
        b->calm_want = CALM_MIN;
    else if (b->calm_want < CALM_MAX)
        b->calm_want *= 2;
}

void *wf_reactor_thread(void *reactor)
{
    struct wf_reactor *r = reactor;
    struct monitor beat = { .calm_want = CALM_MIN };

    ask_for_promptness();
    while (!quitting(r)) {
        int64_t began = wf_now();
        stand_by(r, &beat);
        change_calm(&beat, wf_now() - began);
        be_busy(r, &beat);
    }
    return NULL;
}
