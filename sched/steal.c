// Taking other workers' tasks: by stealing when a worker's own queues are empty, and by
// visits when they are short.
#include "base/assert.h"
#include "sched/state.h"

static bool is_overdue(const struct wf_worker *victim)
{
    return wf_load_relaxed(&victim->overdue); // relaxed: a hint
}

// steal_spawned takes up to half of a victim's spawned tasks, oldest first, into the
// thief's deque, which is empty.
// Returns: one of them.
static struct wf_task *steal_spawned(struct wf_worker *w, struct wf_worker *victim)
{
    wf_debug_assert(victim != w && wf_deque_size(&w->deque) == 0);
    uint64_t most = (wf_deque_size(&victim->deque) + 1) / 2;
    struct wf_task *task = NULL, *more;
    bool again;

    do {
        task = wf_deque_steal(&victim->deque, &again);
    } while (!task && again);
    if (!task)
        return NULL;
    for (unsigned n = 1; n < most && n < WF_STEAL_SPAWNED; n++) {
        more = wf_deque_steal(&victim->deque, &again);
        if (!more)
            break;
        wf_bump(&w->stolen, 1);
        if (!wf_deque_push(&w->deque, task))
            wf_panic("an empty deque is full");
        task = more;
    }
    return task;
}

// steal_woken takes up to `most` of a victim's woken tasks, oldest first, into the
// thief's ring, which has room.
// Returns: one of them.
static struct wf_task *steal_woken(struct wf_worker *w, struct wf_worker *victim, uint64_t most)
{
    unsigned moved;
    wf_debug_assert(victim != w && most > 0 && most <= WF_RING_CAP);
    struct wf_task *task = wf_ring_steal(&victim->ring, &w->ring, most, &moved);

    wf_bump(&w->stolen, moved);
    return task;
}

// steal_next takes the task in a victim's next slot. A thief must not, unless the
// monitor has found that the victim does not take it.
static struct wf_task *steal_next(struct wf_worker *victim)
{
    if (!is_overdue(victim) || !wf_load_relaxed(&victim->next)) // relaxed: a hint
        return NULL;
    return wf_exchange_acquire(&victim->next, NULL); // [N1]
}

static struct wf_task *count_stolen(struct wf_worker *w, const struct wf_worker *victim, struct wf_task *task)
{
    if (task) {
        wf_debug_assert(task->sched == w->sched && !(task->pinned && wf_task_begun(task)));
        wf_bump(&w->steals, 1);
        wf_bump(&w->stolen, 1);
        wf_event_steal(w->index, victim->index, task);
        if (w->recorder)
            wf_record_steal(w, victim, task);
    }
    return task;
}

static struct wf_task *steal_from(struct wf_worker *w, struct wf_worker *victim)
{
    struct wf_task *task = steal_woken(w, victim, WF_RING_CAP / 2);

    if (!task)
        task = steal_spawned(w, victim);
    if (!task)
        task = steal_next(victim);
    return count_stolen(w, victim, task);
}

struct wf_task *wf_worker_steal(struct wf_worker *w)
{
    struct wf_sched *s = w->sched;
    unsigned n = s->cfg.workers;

    wf_debug_assert(wf_worker_is_self(w) && wf_ring_size(&w->ring) == 0);
    unsigned first = wf_rand_below(&w->rng, n);

    for (unsigned i = 0; i < n; i++) {
        struct wf_worker *victim = &s->workers[(first + i) % n];
        struct wf_task *task = victim == w ? NULL : steal_from(w, victim);
        if (task)
            return task;
    }
    return NULL;
}

static uint64_t backlog(const struct wf_worker *w)
{
    return wf_ring_size(&w->ring) + wf_deque_size(&w->deque);
}

// share_of is the number of tasks that balances a victim's and a visitor's queues; from
// a victim whose turn does not end the visitor takes at least one.
static uint64_t share_of(uint64_t mine, uint64_t theirs, bool overdue)
{
    if (theirs > 2 * mine + 1)
        return (theirs - mine) / 2;
    return overdue || (mine == 0 && theirs > 0) ? 1 : 0;
}

struct wf_task *wf_worker_visit(struct wf_worker *w)
{
    wf_debug_assert(wf_worker_is_self(w));
    struct wf_sched *s = w->sched;
    struct wf_worker *victim = &s->workers[wf_rand_below(&w->rng, s->cfg.workers)];
    uint64_t mine = backlog(w), room = WF_RING_CAP - wf_ring_size(&w->ring);
    uint64_t share = victim == w ? 0 : share_of(mine, backlog(victim), is_overdue(victim));
    struct wf_task *task = NULL;

    if (share == 0 || room == 0)
        return NULL;
    task = steal_woken(w, victim, share < room ? share : room);
    if (!task && wf_deque_size(&w->deque) == 0)
        task = steal_spawned(w, victim);
    if (!task)
        task = steal_next(victim);
    return count_stolen(w, victim, task);
}
