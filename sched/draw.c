// The draw: the deterministic scheduler of test runs, on one thread, whose choices all
// come from a seeded random sequence.
//
// All ready tasks lie in one set, the urn, whichever queue they came through. The
// ordinary paths of run.c lead here without an additional check: the worker's look_at
// stays 0, so a task that parks, yields or ends finds that it is time to look around
// (pick_in_time) on the worker's own stack, which runs this file.
//
// The random choices:
//   - the next task. In some runs all ready tasks have the same probability. In others
//     some tasks are sloths, which are passed over repeatedly, for the whole run or for
//     a part: a bug may need one task to be far behind the others. (Five tasks of
//     twenty turns, one of which must still be at its first when the others end: not
//     once in 600 000 even runs; with sloths in every hundredth.)
//   - how many calls that may park, but need not, a task makes in a row before it
//     yields (wf_budget): in some runs none. Not all such calls consume the budget.
//     Therefore in half of the runs all tasks have the cancel mark set, which leads
//     each call to the slow path (wf_draw_interrupt). In the other half the mark works
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
    URN_MIN = 64,                  // tasks
    LOOK_TURNS = 1024,             // without a look at the injector and at the poll
    SPIN_TURNS = 256,              // of each ready task, in which all only yielded: they wait for time to pass
    BUSY_TURNS = 128 * LOOK_TURNS, // and turns in which some task was always ready, whatever they did
    WAIT_TURNS = 16,               // of those; then sloths get as many turns as others, which may wait for them
    SLOTH = 16,                    // how often in a row a sloth must be drawn before it runs
};

// All of the calling thread.
struct wf_draw {
    struct wf_sched *sched;     // fixed
    struct wf_worker *worker;   // fixed
    struct wf_draw_hooks hooks; // fixed
    struct wf_keeper *keeper;   // fixed: the thread's own
    struct wf_task **urn;       // what is ready
    unsigned count, room;
    uint64_t rng;
    uint64_t sloths;    // of 16 tasks, how many are sloths
    uint64_t salt;      // and which
    unsigned fickle;    // other tasks become sloths once in this many turns; 0: never
    bool marks;         // all tasks, for wf_draw_interrupt
    unsigned patience;  // the maximum number of calls in a row that need not park
    uint64_t overflows; // of the worker, at the last look
    unsigned turns;     // since all tasks were parked
    unsigned spins;     // turns in a row that only yielded
};

// --- The urn -------------------------------------------------------------------------

// has_room makes room for one more. Returns: false if there is no memory: then tasks
// wait in their queues.
static bool has_room(struct wf_draw *d)
{
    if (wf_likely(d->count < d->room))
        return true;
    struct wf_task **larger = wf_alloc(2 * d->room * sizeof(*larger));
    if (!larger)
        return false;
    memcpy(larger, d->urn, d->count * sizeof(*larger));
    wf_free(d->urn);
    d->urn = larger;
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

static void gather_queued(struct wf_draw *d)
{
    struct wf_task *task;

    while (has_room(d) && (task = take_queued(d->worker)))
        d->urn[d->count++] = task;
}

// gather_injected gathers the tasks that other threads have pushed, and the overflow.
static void gather_injected(struct wf_draw *d)
{
    struct wf_task *task;

    while (has_room(d) && (task = wf_worker_take_share(d->worker))) {
        d->urn[d->count++] = task;
        gather_queued(d);
    }
}

static void gather(struct wf_draw *d)
{
    uint64_t overflows = wf_load_relaxed(&d->worker->overflows); // relaxed: the worker's own

    gather_queued(d);
    if (wf_unlikely(overflows != d->overflows)) {
        d->overflows = overflows;
        gather_injected(d);
    }
}

static bool is_sloth(const struct wf_draw *d, const struct wf_task *task)
{
    return wf_rand_seed(d->salt, task->id) % 16 < d->sloths;
}

static struct wf_task *draw_task(struct wf_draw *d)
{
    unsigned i = wf_rand_below(&d->rng, d->count);
    bool even = d->sloths == 0 || d->spins >= WAIT_TURNS * d->count;

    if (d->fickle && wf_rand_below(&d->rng, d->fickle) == 0)
        d->salt = wf_rand(&d->rng);
    for (int n = 0; n < SLOTH && !even && is_sloth(d, d->urn[i]); n++)
        i = wf_rand_below(&d->rng, d->count);
    struct wf_task *task = d->urn[i];
    d->hooks.drawn(d->hooks.self, task, i, d->count);
    d->urn[i] = d->urn[--d->count];
    return task;
}

// --- When nothing is ready, or nothing happens ---------------------------------------

// rest_in_source calls the idle source, which may poll, wait, or let time pass.
static void rest_in_source(struct wf_draw *d)
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
static void look_around(struct wf_draw *d)
{
    struct wf_worker *w = d->worker;

    w->polling = true; // tasks that this wakes go to the ring
    if (d->spins >= SPIN_TURNS * d->count || d->turns % BUSY_TURNS == 0) {
        d->spins = 0;
        d->hooks.pass_time(d->hooks.self);
    } else {
        w->sched->cfg.idle.poll(w->sched->cfg.idle.self, 0);
    }
    w->polling = false;
    gather_injected(d);
    gather_queued(d);
}

// find_drawn returns the next task, NULL at the end of the run.
static struct wf_task *find_drawn(struct wf_draw *d)
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
static bool run_turn(struct wf_draw *d, struct wf_task *task)
{
    struct wf_worker *w = d->worker;
    unsigned others = d->count;

    if (d->marks && !wf_task_cancelled(task))
        wf_task_mark(task);
    w->turn.spent = false;
    wf_worker_begin_turn(w, task);
    w->turn.budget = 1 + wf_rand_below(&d->rng, d->patience);
    wf_context_switch(&w->loop, &task->context, w, false);
    bool yielded = w->how == WF_LEFT_YIELDED && !w->turn.spent;
    wf_worker_arrive(w);
    if (!yielded)
        return false;
    gather(d);
    return d->count == others + 1;
}

void wf_draw_interrupt(struct wf_task *self)
{
    if (self->worker->draws && !wf_budget(self))
        wf_yield(self);
}

void wf_draw_run(struct wf_draw *d)
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

// temper draws the parameters of this run.
static void temper(struct wf_draw *d)
{
    static const unsigned sloths[] = { 0, 0, 2, 8 }, fickle[] = { 0, 4, 16, 64 };
    static const unsigned patience[] = { 1, 4, 16, WF_BUDGET };

    d->sloths = sloths[wf_rand_below(&d->rng, wf_countof(sloths))];
    d->fickle = d->sloths ? fickle[wf_rand_below(&d->rng, wf_countof(fickle))] : 0;
    d->marks = wf_rand_below(&d->rng, 2);
    d->patience = patience[wf_rand_below(&d->rng, wf_countof(patience))];
    d->salt = wf_rand(&d->rng);
}

void wf_draw_begin(struct wf_draw *d, uint64_t seed)
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
    temper(d);
}

int wf_draw_new(struct wf_draw **out, struct wf_sched *s, const struct wf_draw_hooks *hooks)
{
    struct wf_worker *w = &s->workers[0];
    struct wf_draw *d = wf_alloc(sizeof(*d));

    wf_assert(s->cfg.workers == 1 && s->started == 0);
    if (!d)
        return -ENOMEM;
    d->urn = wf_alloc(URN_MIN * sizeof(*d->urn));
    if (!d->urn || wf_worker_make_reserve(w) || wf_overflow_install(w)) {
        wf_free(d->urn);
        wf_free(d);
        return -ENOMEM;
    }
    d->room = URN_MIN;
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

void wf_draw_free(struct wf_draw *d)
{
    d->worker->thread->worker = NULL;
    wf_keeper_set(d->keeper);
    wf_overflow_leave(d->worker);
    wf_overflow_remove(d->worker);
    wf_free(d->urn);
    wf_free(d);
}

// --- Dismissing ----------------------------------------------------------------------

struct list {
    struct wf_task **tasks;
    uint64_t count, room;
};

static void cancel_drawn(struct wf_task *task)
{
    if (!wf_task_doomed(task))
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
void wf_draw_dismiss(struct wf_draw *d)
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
