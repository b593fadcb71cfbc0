// Simulation: the deterministic scheduler of test runs, on one thread, whose choices all
// come from a seeded random sequence.
//
// All ready tasks are in one set, whichever queue they came through. The ordinary paths
// of run.c lead here without an additional check: the worker's look_at stays 0, so a
// task that parks, yields or ends finds that it is time to look around (pick_in_time)
// on the worker's own stack, which runs this file.
//
// The random choices:
//   - the next task. In some runs all ready tasks have the same probability. In others
//     some tasks are slow: they are passed over repeatedly, for the whole run or for
//     a part: a bug may need one task to be far behind the others. (Five tasks of
//     twenty turns, one of which must still be at its first when the others end: not
//     once in 600 000 even runs; with slow tasks in every hundredth.)
//   - how many calls that may park, but need not, a task makes in a row before it
//     yields (wf_budget): in some runs none. Not all such calls consume the budget.
//     Therefore in half of the runs all tasks have the cancel mark set, which leads
//     each call to the slow path (wf_sim_interrupt). In the other half the mark works
//     as usual.
//
// Tasks from other threads (the injector) are taken when all tasks are parked, else
// only once in LOOK_TURNS turns: so their exact arrival does not matter.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "sched/state.h"

enum {
    READY_MIN = 64,                // tasks
    LOOK_TURNS = 1024,             // without a look at the injector and at the poll
    SPIN_TURNS = 256,              // of each ready task, in which all only yielded: they wait for time to pass
    BUSY_TURNS = 128 * LOOK_TURNS, // and turns in which some task was always ready, whatever they did
    WAIT_TURNS = 16,               // of those; then slow tasks get as many turns as others, which may wait for them
    SLOW_DRAWS = 16,               // how often in a row a slow task must be drawn before it runs
};

// All of the calling thread.
struct wf_sim {
    struct wf_sched *sched;    // fixed
    struct wf_worker *worker;  // fixed
    struct wf_sim_hooks hooks; // fixed
    struct wf_keeper *keeper;  // fixed: the thread's own
    struct wf_task **ready;    // what is ready
    unsigned count, room;
    uint64_t rng;
    uint64_t slow;       // of 16 tasks, how many are slow
    uint64_t salt;       // and which
    unsigned reshuffle;  // other tasks become slow once in this many turns; 0: never
    bool marks;          // all tasks, for wf_sim_interrupt
    unsigned budget_max; // the maximum number of calls in a row that need not park
    uint64_t overflows;  // of the worker, at the last look
    unsigned turns;      // since all tasks were parked
    unsigned spins;      // turns in a row that only yielded
};

// --- The ready set -------------------------------------------------------------------

// has_room makes room for one more. Returns: false if there is no memory: then tasks
// wait in their queues.
static bool has_room(struct wf_sim *d)
{
    wf_debug_assert(d->count <= d->room && d->room >= READY_MIN);
    if (wf_likely(d->count < d->room))
        return true;
    struct wf_task **larger = wf_alloc(2 * d->room * sizeof(*larger));
    if (!larger)
        return false;
    memcpy(larger, d->ready, d->count * sizeof(*larger));
    wf_free(d->ready);
    d->ready = larger;
    d->room *= 2;
    return true;
}

// take_queued takes any task from the worker's own queues.
static struct wf_task *take_queued(struct wf_worker *w)
{
    struct wf_task *task = wf_load_relaxed(&w->next); // relaxed: there are no thieves

    if (task) {
        wf_store_relaxed(&w->next, NULL); // relaxed: as above
        return task;
    }
    if ((task = wf_deque_pop(&w->deque)) || (task = wf_ring_pop(&w->ring, true)))
        return task;
    return wf_worker_take_pinned(w);
}

static void gather_queued(struct wf_sim *d)
{
    struct wf_task *task;

    while (has_room(d) && (task = take_queued(d->worker)))
        d->ready[d->count++] = task;
}

// gather_injected gathers the tasks that other threads have pushed, and the overflow.
static void gather_injected(struct wf_sim *d)
{
    struct wf_task *task;

    while (has_room(d) && (task = wf_worker_take_injected(d->worker))) {
        d->ready[d->count++] = task;
        gather_queued(d);
    }
}

static void gather(struct wf_sim *d)
{
    uint64_t overflows = wf_load_relaxed(&d->worker->overflows); // relaxed: the worker's own

    gather_queued(d);
    if (wf_unlikely(overflows != d->overflows)) {
        d->overflows = overflows;
        gather_injected(d);
    }
}

static bool is_slow(const struct wf_sim *d, const struct wf_task *task)
{
    return wf_rand_seed(d->salt, task->id) % 16 < d->slow;
}

static struct wf_task *draw_task(struct wf_sim *d)
{
    wf_debug_assert(d->count > 0);
    unsigned i = wf_rand_below(&d->rng, d->count);
    bool even = d->slow == 0 || d->spins >= WAIT_TURNS * d->count;

    if (d->reshuffle && wf_rand_below(&d->rng, d->reshuffle) == 0)
        d->salt = wf_rand(&d->rng);
    for (int n = 0; n < SLOW_DRAWS && !even && is_slow(d, d->ready[i]); n++)
        i = wf_rand_below(&d->rng, d->count);
    struct wf_task *task = d->ready[i];
    d->hooks.drawn(d->hooks.self, task, i, d->count);
    d->ready[i] = d->ready[--d->count];
    return task;
}

// --- When nothing is ready, or nothing happens ---------------------------------------

// rest_in_source calls the idle source, which may poll, wait, or let time pass.
static void rest_in_source(struct wf_sim *d)
{
    struct wf_worker *w = d->worker;

    d->turns = d->spins = 0;
    wf_worker_idle(w);
    wf_store_relaxed(&w->look_at, (uint64_t)0); // relaxed: no other thread reads it
    if (w->searching) {
        w->searching = false;
        (void)wf_idle_search_end(&d->sched->idle); // [I1] the injector is checked next in any case
    }
}

// look_around is for programs in which some task is always ready.
static void look_around(struct wf_sim *d)
{
    struct wf_worker *w = d->worker;

    wf_debug_assert(!(w->modes & WF_MODE_POLLING) && !w->thread->current);
    w->modes |= WF_MODE_POLLING; // tasks that this wakes go to the ring
    if (d->spins >= SPIN_TURNS * d->count || d->turns % BUSY_TURNS == 0) {
        d->spins = 0;
        d->hooks.pass_time(d->hooks.self);
    } else {
        w->sched->cfg.idle.poll(w->sched->cfg.idle.self, 0);
    }
    w->modes &= (unsigned char)~WF_MODE_POLLING;
    gather_injected(d);
    gather_queued(d);
}

// find_drawn returns the next task, NULL at the end of the run.
static struct wf_task *find_drawn(struct wf_sim *d)
{
    while (d->hooks.go_on(d->hooks.self)) {
        gather(d);
        if (d->count == 0)
            gather_injected(d);
        if (d->count == 0) {
            rest_in_source(d);
            continue;
        }
        if (wf_unlikely(++d->turns % LOOK_TURNS == 0 || d->spins >= SPIN_TURNS * d->count))
            look_around(d);
        return draw_task(d);
    }
    return NULL;
}

// --- Running -------------------------------------------------------------------------

// run_turn runs a task until it parks, yields or ends. Returns: true if its only
// visible effect was to yield.
static bool run_turn(struct wf_sim *d, struct wf_task *task)
{
    struct wf_worker *w = d->worker;
    unsigned others = d->count;

    wf_debug_assert(wf_worker_is_self(w) && !w->thread->current);
    if (d->marks && !wf_task_cancel_pending(task))
        wf_task_set_cancel_pending(task);
    w->turn.spent = false;
    wf_worker_begin_turn(w, task);
    w->turn.budget = 1 + wf_rand_below(&d->rng, d->budget_max);
    wf_context_switch(&w->loop, &task->context, w, false);
    bool yielded = w->prev_reason == WF_SWITCH_YIELDED && !w->turn.spent;
    wf_worker_finish_switch(w);
    if (!yielded)
        return false;
    gather(d);
    return d->count == others + 1;
}

void wf_sim_interrupt(struct wf_task *self)
{
    wf_debug_assert(self == wf_self());
    if (self->worker->draws && !wf_budget(self))
        wf_yield(self);
}

void wf_sim_run(struct wf_sim *d)
{
    // The caller may be in a C++ handler, or be unwinding: that is not for the tasks to
    // see.
    struct wf_exceptions *here = d->worker->cxx, callers = { 0 };
    bool has_any = wf_exceptions_any(here);
    struct wf_task *task;

    if (has_any)
        callers = wf_exceptions_take(here);
    while ((task = find_drawn(d))) {
        wf_worker_ready(d->worker, task);
        d->spins = run_turn(d, task) ? d->spins + 1 : 0;
    }
    if (has_any)
        *here = callers;
}

// draw_parameters draws the parameters of this run.
static void draw_parameters(struct wf_sim *d)
{
    static const unsigned slow[] = { 0, 0, 2, 8 }, reshuffle[] = { 0, 4, 16, 64 };
    static const unsigned budget_max[] = { 1, 4, 16, WF_BUDGET };

    d->slow = slow[wf_rand_below(&d->rng, wf_countof(slow))];
    d->reshuffle = d->slow ? reshuffle[wf_rand_below(&d->rng, wf_countof(reshuffle))] : 0;
    d->marks = wf_rand_below(&d->rng, 2);
    d->budget_max = budget_max[wf_rand_below(&d->rng, wf_countof(budget_max))];
    d->salt = wf_rand(&d->rng);
}

void wf_sim_begin(struct wf_sim *d, uint64_t seed)
{
    struct wf_worker *w = d->worker;

    wf_assert(d->count == 0 && wf_sched_living(d->sched) == 0);
    wf_headers_reclaim(&d->sched->headers, &w->headers);
    wf_store_relaxed(&d->sched->draining, false); // relaxed: other threads may not know of the new run yet
    w->ids = 1;
    w->ids_end = UINT64_MAX;
    d->turns = d->spins = 0;
    d->rng = wf_rand_seed(seed, 0);
    w->rng = wf_rand_seed(seed, 1); // of wf_random
    draw_parameters(d);
}

int wf_sim_new(struct wf_sim **out, struct wf_sched *s, const struct wf_sim_hooks *hooks)
{
    struct wf_worker *w = &s->workers[0];
    struct wf_sim *d = wf_alloc(sizeof(*d));

    wf_assert(s->cfg.workers == 1 && s->started == 0);
    if (!d)
        return -ENOMEM;
    d->ready = wf_alloc(READY_MIN * sizeof(*d->ready));
    if (!d->ready || wf_worker_make_reserve(w) || wf_overflow_install(w)) {
        wf_free(d->ready);
        wf_free(d);
        return -ENOMEM;
    }
    d->room = READY_MIN;
    d->sched = s;
    d->worker = w;
    d->hooks = *hooks;
    w->draws = true;
    wf_store_relaxed(&w->look_at, (uint64_t)0); // relaxed: no other thread reads it
    w->thread = wf_thread_self();
    w->thread->worker = w;
    w->cxx = s->cxx();
    d->keeper = wf_keeper_set(&wf_worker_keeper);
    wf_context_adopt(&w->loop);
    wf_overflow_enter(w);
    *out = d;
    return 0;
}

void wf_sim_free(struct wf_sim *d)
{
    wf_assert(wf_worker_is_self(d->worker)); // the thread that has made it
    d->worker->thread->worker = NULL;
    wf_keeper_set(d->keeper);
    wf_overflow_leave(d->worker);
    wf_overflow_remove(d->worker);
    wf_free(d->ready);
    wf_free(d);
}

// --- Dismissing ----------------------------------------------------------------------

struct list {
    struct wf_task **tasks;
    uint64_t count, room;
};

static void cancel_drawn(struct wf_task *task)
{
    if (!wf_task_is_cancelled(task))
        wf_task_cancel(task);
}

static void note(struct wf_task *task, void *arg)
{
    struct list *l = arg;

    if (l->count < l->room)
        l->tasks[l->count++] = task;
    else
        cancel_drawn(task); // there is no memory, or another thread has just spawned it: then in any order
}

static int by_birth(const void *a, const void *b)
{
    uint64_t x = (*(struct wf_task *const *)a)->id, y = (*(struct wf_task *const *)b)->id;
    return (x > y) - (x < y);
}

// In the order in which they were spawned: the order of the headers depends on earlier
// runs.
void wf_sim_dismiss(struct wf_sim *d)
{
    struct list l = { .room = wf_sched_living(d->sched) };

    wf_store_seq_cst(&d->sched->draining, true); // [S1]
    l.tasks = wf_alloc((l.room + 1) * sizeof(struct wf_task *));
    if (!l.tasks)
        l.room = 0;
    wf_sched_each(d->sched, note, &l);
    if (l.count > 1)
        qsort(l.tasks, l.count, sizeof(struct wf_task *), by_birth);
    for (uint64_t i = 0; i < l.count; i++)
        cancel_drawn(l.tasks[i]);
    wf_free(l.tasks);
}
