// The monitor: the reactor thread checks the workers periodically. It looks for turns
// that do not end, and for tasks that no worker takes.
#include "base/assert.h"
#include "base/clock.h"
#include "sched/state.h"

enum {
    STILL_LOOKS = 4,
    PROGRESS_EACH_NS = 62500, // a worker is progressing if it runs a task at least so often,
    PROGRESS_CPU_NS = 50000,  // and each task uses at most so much CPU time
};

static bool has_backlog(struct wf_worker *w)
{
    return wf_load_relaxed(&w->next) || wf_ring_size(&w->ring) > 0 || wf_deque_size(&w->deque) > 0; // relaxed: a hint
}

static bool asleep(struct wf_sched *s, const struct wf_worker *w)
{
    return wf_load_relaxed(&s->idle.asleep[w->index / 64]) >> (w->index % 64) & 1; // relaxed: a hint
}

// blocked tells whether the worker's thread waits in the kernel. A thread that waits
// for a processor is not blocked.
static bool blocked(const struct wf_worker *w)
{
    char state = wf_worker_thread_state(w);
    return state && state != 'R';
}

// look_at_worker tells how the worker has done since the last look, `elapsed` ns ago:
// WF_MONITOR_STUCK, WF_MONITOR_PROGRESSING, or 0. A worker is stuck if it has computed,
// or was blocked, in the same task all that time. A worker that got no processor does
// not count as stuck at first: its tasks are not more urgent than those of other
// workers, and the events that other workers would poll in its place would overtake the
// tasks that are queued. But after STILL_LOOKS looks it counts as stuck. On a machine
// with ten times as many threads as processors, or at nice 19, a worker may never get a
// quarter of a processor, and without this rule the task in its next slot had to wait
// all that time.
static unsigned look_at_worker(struct wf_sched *s, struct wf_worker *w, int64_t elapsed)
{
    uint64_t ticks = wf_load_relaxed(&w->ticks); // relaxed: a hint
    int64_t ran = (int64_t)(ticks - w->ticks_seen);
    int64_t cpu = wf_worker_cpu_time(w), used = cpu - w->cpu_seen;
    bool still = ran == 0 && !asleep(s, w);

    w->still = still ? w->still + 1 : 0;
    bool stuck = still && (used >= elapsed / 4 || w->still >= STILL_LOOKS || blocked(w));
    w->ticks_seen = ticks;
    w->cpu_seen = cpu;
    wf_store_relaxed(&w->overdue, stuck); // relaxed: a hint for thieves
    if (stuck) {
        wf_store_relaxed(&w->look_at, (uint64_t)0); // relaxed: a hint, when that turn has ended
        return WF_MONITOR_STUCK;
    }
    return ran * PROGRESS_EACH_NS >= elapsed && ran * PROGRESS_CPU_NS >= used ? WF_MONITOR_PROGRESSING : 0;
}

enum { FEW = 10000 }; // tasks: it takes less than a millisecond to look at them

static uint64_t sum_ticks(struct wf_sched *s)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < s->cfg.workers; i++)
        sum += wf_load_relaxed(&s->workers[i].ticks); // relaxed: a hint
    return sum;
}

// search_in_time calls the search hook, which looks at all tasks, when it is due. If no
// worker has run a task since the last call, this call is the last one, until a worker
// that goes to sleep clears `search_paused`: no thread of an idle program must wake up.
// Returns: true if the monitor must call it again later.
static bool search_in_time(struct wf_sched *s, int64_t now)
{
    if (!s->cfg.search.fn || now < s->search_at)
        return s->cfg.search.fn && !wf_load_relaxed(&s->search_paused); // relaxed: the monitor's own, except for a call
    wf_store_relaxed(&s->search_paused, true); // relaxed: a worker that misses it calls when it sleeps next
    uint64_t sum = sum_ticks(s);
    bool still = sum == s->moved;
    if (s->moved > 0 && (still || wf_sched_living(s) <= FEW))
        s->cfg.search.fn(s->cfg.search.self);
    s->moved = sum;
    s->search_at = now + WF_SEARCH_NS;
    if (!still)
        wf_store_relaxed(&s->search_paused, false); // relaxed: as above
    return !still;
}

unsigned wf_sched_monitor(struct wf_sched *s)
{
    bool waiting = !wf_injector_empty(&s->injector);
    int64_t now = wf_now();
    unsigned seen = 0;

    wf_debug_assert(!wf_thread_self()->worker); // a worker that hangs could not detect that itself
    for (unsigned i = 0; i < s->cfg.workers; i++) {
        struct wf_worker *w = &s->workers[i];
        unsigned how = look_at_worker(s, w, now - s->watched);
        seen |= how;
        if (wf_unlikely(s->cfg.stall.after > 0))
            wf_stall_look(w, now);
        waiting |= has_backlog(w) && (how == WF_MONITOR_STUCK || wf_ring_size(&w->ring) >= WF_WAKE_BACKLOG);
    }
    s->watched = now;
    if (waiting)
        wf_sched_notify(s);
    if (wf_idle_all_asleep(&s->idle)) // before wf_depot_trim, which then sees what the sleeping workers gave back
        seen |= WF_MONITOR_ASLEEP;
    // A worker that wakes up for one task does not notify the monitor, so the watchdog
    // needs periodic checks.
    bool again = wf_depot_trim(&s->depot, now) || s->cfg.stall.after > 0;
    return seen | (again ? WF_MONITOR_AGAIN : 0) | (search_in_time(s, now) ? WF_MONITOR_LATER : 0);
}
