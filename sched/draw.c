// The draw: a scheduler for tests, on one thread, whose every choice is drawn by lot, by a sequence that a seed fixes.
//
// All that is ready lies in one urn, whichever queue it came by. The ordinary paths of run.c lead here without a check
// of theirs: the worker's look_at is 0 for good, so a task that leaves finds that it is time to look around
// (pick_in_time), on the worker's own stack, and that is here.
//
// What is drawn:
//   - who is next. In some runs all have the same chance; in others some tasks are sloths, passed over again and again,
//     for the whole run or for a part: a mistake may need that one task is far behind the others. (Five tasks of twenty
//     turns, one of which is to be still at its first when the others end: not once in 600 000 even runs; with sloths
//     in every hundredth.)
//   - how many calls that may park, but need not, a task makes in a row before it yields (wf_budget): in some runs
//     none. Not all such calls ask for the budget; but in half of the runs all tasks bear the mark of the cancelled, so
//     that they look closer in each (wf_draw_interrupt). In the other half those who are cancelled must be told.
//
// What other threads push (the injector) is taken when all else is parked, and else only once in LOOK_TURNS turns: so
// it does not matter when exactly it comes.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "sched/worker.h"

enum {
    URN_MIN = 64,      // tasks
    LOOK_TURNS = 1024, // without a look at what other threads push, and at the poll
    SPIN_TURNS = 256,  // of each task that is ready, in which all did nothing but yield: they wait for time to pass
    BUSY_TURNS = 128 * LOOK_TURNS, // and so many turns in which somebody was always ready, whatever they did
    WAIT_TURNS = 16, // as many of those, and sloths get as many turns as others: they may be what is waited for
    SLOTH = 16,      // how often the lot must fall on a sloth in a row
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
    unsigned fickle;    // others become sloths once in so many turns; 0: never
    bool marks;         // all tasks, for wf_draw_interrupt
    unsigned patience;  // a task makes up to so many calls that need not park in a row
    uint64_t overflows; // of the worker, at the last look
    unsigned turns;     // since all was parked
    unsigned spins;     // turns in a row in which nothing but a yield happened
};

// --- The urn ---------------------------------------------------------------------------------------------------------

// has_room makes room for one more. Returns: false if there is none to be had: then tasks wait in their queues.
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

// gather_injected gathers what other threads have pushed, and what overflowed.
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

static struct wf_task *draw(struct wf_draw *d)
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

// --- When nothing is ready, or nothing happens -----------------------------------------------------------------------

// rest lets the idle source find something to do: it may poll, wait, or let time pass.
static void rest(struct wf_draw *d)
{
    struct wf_worker *w = d->worker;

    d->turns = d->spins = 0;
    wf_worker_idle(w);
    wf_store_relaxed(&w->look_at, (uint64_t)0); // relaxed: nobody else is there
    if (w->searching) {
        w->searching = false;
        (void)wf_idle_search_end(&d->sched->idle); // [I1] the injector is looked at next, in any case
    }
}

// look_around is for programs in which something is always ready.
static void look_around(struct wf_draw *d)
{
    struct wf_worker *w = d->worker;

    w->polling = true; // whom this wakes, goes to the ring
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

// find returns the next task, NULL if there shall be none.
static struct wf_task *find(struct wf_draw *d)
{
    while (d->hooks.go_on(d->hooks.self)) {
        gather(d);
        if (d->count == 0)
            gather_injected(d);
        if (d->count == 0) {
            rest(d);
            continue;
        }
        if (wf_unlikely(++d->turns % LOOK_TURNS == 0 || d->spins >= SPIN_TURNS * d->count))
            look_around(d);
        return draw(d);
    }
    return NULL;
}

// --- Running ---------------------------------------------------------------------------------------------------------

// run_turn lets a task run until it parks, yields or ends. Returns: true if all it has done that shows is to yield.
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
    // The caller may be in a C++ handler, or be unwinding: that is not for the tasks to see.
    struct wf_exceptions *here = d->worker->cxx, callers = { 0 };
    bool has_any = wf_exceptions_any(here);
    struct wf_task *task;

    if (has_any)
        callers = wf_exceptions_take(here);
    while ((task = find(d))) {
        wf_worker_ready(d->worker, task);
        d->spins = run_turn(d, task) ? d->spins + 1 : 0;
    }
    if (has_any)
        *here = callers;
}

// temper draws what kind of run this one is.
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
    wf_store_relaxed(&w->look_at, (uint64_t)0); // relaxed: nobody else is there
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

// --- Dismissing ------------------------------------------------------------------------------------------------------

struct list {
    struct wf_task **tasks;
    uint64_t count, room;
};

static void cancel(struct wf_task *task)
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
        cancel(task); // there is no memory, or another thread has just spawned it: in any order, then
}

static int by_birth(const void *a, const void *b)
{
    uint64_t x = (*(struct wf_task *const *)a)->id, y = (*(struct wf_task *const *)b)->id;
    return (x > y) - (x < y);
}

// In the order of their birth, because the order of the headers depends on earlier runs.
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
        cancel(l.tasks[i]);
    wf_free(l.tasks);
}
