// The watchdog reports a task that holds its worker for longer than
// wf_stall_hook.after. It reports the task once, while the task still holds the worker.
// Only the monitor runs this code: it costs a worker nothing.
//
// The watchdog measures one turn: at each look the worker is awake, and has chosen no
// other task since the last look (`ticks`). It measures from the second look that sees
// the turn, so the turn lasts a little longer than the report says. A task that yields
// has many short turns, and is not reported.
//
// The time in which the worker's thread was ready, but got no processor, does not count
// against the task. The kernel tells how long that was (schedstat), but adds a delay
// only when the thread has run again. So if the thread is ready now, only its CPU time
// counts. If the thread is blocked, all time counts except such delays. If the kernel
// does not tell the delay, a blocked thread's time counts only if the thread has used
// no CPU time since the first look.
#include "base/assert.h"
#include "sched/state.h"

// measure tells how long the turn has held the worker.
static void measure(const struct wf_worker *w, int64_t now, struct wf_stall *out)
{
    const struct wf_stall_watch *t = &w->stall;
    char state = wf_worker_thread_state(w);

    out->cpu = wf_worker_cpu_time(w) - t->cpu;
    out->blocked = state && state != 'R';
    out->held = out->cpu;
    if (!out->blocked)
        return;
    int64_t delay = wf_worker_delay(w);
    if (delay >= 0 && t->delay >= 0)
        out->held = now - t->since - (delay - t->delay);
    else if (out->cpu == 0)
        out->held = now - t->since;
}

// name_task_of copies the number and the name from a task's header. ThreadSanitizer is
// disabled here: the header may be another task's by now; the caller checks that
// afterwards.
__attribute__((no_sanitize("thread"))) static void name_task_of(const struct wf_task *task, struct wf_sighting *out)
{
    if (!(wf_load_acquire(&task->word) & WF_TASK_LIVE)) // acquire: the header is filled
        return;
    out->id = task->id;
    out->name = task->name;
}

// look_inside finds out which task holds the worker, and asks the worker's thread for
// the stack. It does not ask a thread that sleeps where no signal wakes it. Returns:
// true if the same turn still lasts afterwards, so that the findings are about that
// turn. Context: between wf_sight_begin and _end.
static bool look_inside(struct wf_worker *w, struct wf_stall *out)
{
    const struct wf_task *task = wf_load_acquire(&w->sighted) ? wf_worker_current(w) : NULL; // [S7]

    wf_debug_assert(!wf_worker_is_self(w));
    if (!task)
        return false;
    if (wf_worker_thread_state(w) != 'D')
        (void)wf_sight_worker(w->sched, w->index, &out->seen);
    if (!out->seen.answered)
        name_task_of(task, &out->seen);
    // relaxed: only its owner writes it; by [S4] the load comes after the answer
    return wf_load_relaxed(&w->ticks) == w->stall.ticks && wf_worker_current(w) == task && out->seen.id != 0;
}

static uint64_t count_behind(struct wf_worker *w)
{
    return wf_ring_size(&w->ring) + wf_deque_size(&w->deque) + (wf_load_relaxed(&w->next) != NULL); // relaxed: a hint
}

// tell reports the stall. If another thread is asking a worker, the next look reports
// the stall.
static void tell(struct wf_worker *w, struct wf_stall *stall)
{
    const struct wf_stall_hook *hook = &w->sched->cfg.stall;

    wf_debug_assert(w->stall.measured && !w->stall.reported);
    stall->worker = w->index;
    stall->call = -1;
    stall->behind = count_behind(w);
    if (stall->blocked)
        stall->call = wf_worker_call(w, &stall->arg); // first: the signal may end it
    if (!wf_sight_begin())
        return;
    bool lasts = look_inside(w, stall);
    wf_sight_end();
    if (!lasts)
        return;
    w->stall.reported = true;
    wf_bump(&w->sched->stalls, 1);
    hook->fn(hook->self, stall);
}

static void begin_measuring(struct wf_worker *w, int64_t now)
{
    w->stall = (struct wf_stall_watch){
        .measured = true,
        .ticks = wf_load_relaxed(&w->ticks), // relaxed: a hint
        .since = now,
        .cpu = wf_worker_cpu_time(w),
        .delay = wf_worker_delay(w),
    };
}

// A worker that has not moved since the last look is in one turn.
void wf_stall_look(struct wf_worker *w, int64_t now)
{
    struct wf_stall stall = { .held = 0 };

    wf_debug_assert(!wf_thread_self()->worker);
    if (w->still == 0) {
        w->stall.measured = false;
        return;
    }
    if (!w->stall.measured || wf_load_relaxed(&w->ticks) != w->stall.ticks) { // relaxed: as above
        begin_measuring(w, now);
        return;
    }
    if (w->stall.reported || now - w->stall.since < w->sched->cfg.stall.after)
        return;
    measure(w, now, &stall);
    if (stall.held >= w->sched->cfg.stall.after)
        tell(w, &stall);
}
