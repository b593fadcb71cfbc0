// The code that runs on the worker's own stack, when its queues are empty: look at the
// injector, steal, borrow the poll, sleep.
#include "sched/state.h"

#include <fcntl.h>
#include <sys/prctl.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/cpus.h"
#include "base/descriptor.h"

// --- Searching -----------------------------------------------------------------------

static struct wf_task *search(struct wf_worker *w)
{
    wf_debug_check(wf_idle_check(&w->sched->idle, w->index, w->searching));
    if (!w->searching) {
        // A sleeping worker has no task to steal.
        if (!wf_idle_others_awake(&w->sched->idle, w->index) || !wf_idle_search_begin(&w->sched->idle))
            return NULL;
        w->searching = true;
    }
    return wf_worker_steal(w);
}

// found ends the search of a worker that is about to run a task. The last searcher
// wakes another worker if work is left.
static void found(struct wf_worker *w)
{
    wf_debug_check(wf_idle_check(&w->sched->idle, w->index, w->searching));
    if (w->monitor_unaware && (wf_ring_size(&w->ring) > 0 || wf_deque_size(&w->deque) > 0))
        wf_worker_notify_monitor(w);
    if (!w->searching)
        return;
    w->searching = false;
    if (!wf_idle_search_end(&w->sched->idle))
        return;
    if (!wf_injector_empty(&w->sched->injector))
        wf_sched_notify(w->sched); // [I1]
    else if (wf_deque_size(&w->deque) > 0 || wf_ring_size(&w->ring) >= WF_WAKE_BACKLOG)
        wf_worker_hint(w);
}

// --- Sleeping ------------------------------------------------------------

// nothing_queued is the last check before sleep, after the sleep was announced.
static bool nothing_queued(struct wf_worker *w)
{
    // relaxed: only foreign pushes matter for [I1], and those go to the injector or the
    // inbox
    return wf_injector_empty(&w->sched->injector) && wf_injector_empty(&w->inbox) && !wf_load_relaxed(&w->next) &&
           wf_ring_size(&w->ring) == 0 && wf_deque_size(&w->deque) == 0 &&
           !wf_load_seq_cst(&w->sched->quitting); // seq_cst: against wf_sched_stop's store
}

static void sleep_in_futex(struct wf_worker *w)
{
    uint64_t from = w->recorder ? wf_stamp(w->recorder->counts) : 0;

    wf_parker_sleep(&w->parker, WF_NEVER);
    if (w->recorder)
        wf_record_sleep(w, from);
}

// rest_until_woken sleeps, in the borrowed poll if `polling`, else in the futex, until
// another thread or an event wakes the worker.
static void rest_until_woken(struct wf_worker *w, bool polling)
{
    struct wf_idle *idle = &w->sched->idle;

    wf_debug_assert(wf_worker_is_self(w) && !w->thread->current);
    if (polling)
        wf_store_relaxed(&idle->poller, (int32_t)w->index); // relaxed: a hint which worker to wake last
    wf_idle_sleep(idle, w->index, w->searching);            // [I1]
    w->searching = false;
    bool dry = nothing_queued(w);
    if (dry && polling)
        wf_worker_poll_borrowed(w, WF_NEVER);
    else if (dry)
        sleep_in_futex(w);
    if (polling)
        wf_store_relaxed(&idle->poller, -1); // relaxed: as above
    if (!wf_idle_unsleep(idle, w->index))
        w->searching = true; // [I2]
    else if (!dry)
        w->searching = wf_idle_search_begin(idle); // [I1] there may be more work: found() wakes another worker for it
    wf_parker_finish(&w->parker);
    wf_worker_set_out(w);
}

void wf_worker_idle(struct wf_worker *w)
{
    wf_debug_assert(wf_worker_is_self(w) && !w->thread->current);
    wf_debug_assert(!(w->modes & WF_MODE_POLLING) && w->prev_reason == WF_SWITCH_NOTHING);
    // Only the monitor trims the depot, and looks for deadlocks. relaxed: a hint
    if (w->monitor_unaware && (wf_depot_needs_trim(&w->sched->depot) || wf_load_relaxed(&w->sched->search_paused))) {
        wf_store_relaxed(&w->sched->search_paused, false); // relaxed: as above
        wf_worker_notify_monitor(w);
    }
    int32_t others = wf_load_relaxed(&w->sched->long_turns) - (w->slice == WF_SLICE_LONG); // relaxed: a hint
    wf_worker_set_slice(w, others > 0 ? WF_SLICE_SHORT : WF_SLICE_USUAL);
    bool polling = wf_worker_borrow(w);

    if (wf_parker_prepare(&w->parker, polling ? WF_PARKER_ELSEWHERE : WF_PARKER_IN_FUTEX))
        rest_until_woken(w, polling);
    w->monitor_unaware = true;
    wf_bump(&w->parks, 1);
    if (!polling)
        return;
    w->sched->cfg.idle.give_back(w->sched->cfg.idle.self);
    if (wf_ring_size(&w->ring) >= WF_WAKE_BACKLOG)
        wf_worker_hint(w);
}

// --- The loop ------------------------------------------------------------------------

// find_now returns a task that can run at once, NULL if there is none.
static struct wf_task *find_now(struct wf_worker *w)
{
    struct wf_task *task = wf_worker_must_look(w) ? wf_worker_look_around(w) : NULL;

    if (!task && !(task = wf_worker_pick(w)) && !(task = wf_worker_take_pinned(w)) &&
        !(task = wf_worker_take_injected(w)))
        task = search(w);
    return task;
}

// find_task returns the next task, waiting for one; NULL when the scheduler stops.
static struct wf_task *find_task(struct wf_worker *w)
{
    for (;;) {
        struct wf_task *task = find_now(w);
        if (task) {
            found(w);
            return task;
        }
        if (wf_load_seq_cst(&w->sched->quitting)) // seq_cst: against wf_sched_stop's store
            return NULL;
        wf_worker_idle(w);
    }
}

static void lost_thread(struct wf_keeper *k)
{
    (void)k;
    wf_misuse("pthread_exit must not be called by a task: its body returns instead");
}

struct wf_keeper wf_worker_keeper = { lost_thread };

// enter_thread makes the calling thread the worker's own, and tells that it has arrived.
static void enter_thread(struct wf_worker *w)
{
    w->thread = wf_thread_self();
    w->thread->worker = w;
    w->cxx = w->sched->cxx();
    wf_keeper_set(&wf_worker_keeper);
    wf_context_adopt(&w->loop);
    wf_overflow_enter(w);
    // One descriptor a worker, kept open, which the monitor reads (sched.c). Without it
    // the monitor cannot tell that the thread is blocked, and assumes that it is not.
    w->tid = wf_sys_gettid();
    w->stat = wf_above_standard(wf_sys_openat(AT_FDCWD, "/proc/thread-self/stat", O_RDONLY | O_CLOEXEC, 0));
    (void)wf_sys_prctl(PR_SET_TIMERSLACK, 1UL); // sleeps in the poll end on time
    if (w->sched->cfg.pin)
        wf_cpus_pin(w->index);
    wf_sight_enter(w);
    wf_fetch_add_acq_rel(&w->sched->arrived, 1u); // [S3]
    wf_futex_wake(&w->sched->arrived, 1);
    wf_worker_set_out(w);
}

static void leave_thread(struct wf_worker *w)
{
    // relaxed: no other thread pushes to it
    wf_debug_assert(!wf_load_relaxed(&w->next) && wf_ring_size(&w->ring) == 0 && wf_deque_size(&w->deque) == 0);
    wf_sight_leave(w);
    w->thread->worker = NULL;
    wf_overflow_leave(w);
    wf_keeper_set(NULL);
}

void *wf_worker_main(void *arg)
{
    struct wf_worker *w = arg;
    struct wf_task *task;

    enter_thread(w);
    for (task = NULL; task || (task = find_task(w));) {
        wf_worker_ready(w, task);
        if (wf_unlikely(w->recorder != NULL))
            wf_record_switch(w, WF_SWITCH_NOTHING, task);
        wf_worker_begin_turn(w, task);
        wf_context_switch(&w->loop, &task->context, w, false);
        wf_debug_assert(wf_worker_is_self(w) && !w->thread->current);
        // A yielding task is queued after the events that arrived while it ran, so it
        // is not queued before them.
        task = w->prev_reason == WF_SWITCH_YIELDED && wf_worker_must_look(w) ? wf_worker_look_around(w) : NULL;
        wf_worker_finish_switch(w);
    }
    leave_thread(w);
    return NULL;
}
