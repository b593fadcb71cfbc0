// Looking around: a worker's periodic check between two turns, for tasks that are not
// in its queues (Tokio: maintenance).
//
// Without it, a worker whose queues are never empty would never poll, never take from
// the injector and never help another worker. The worker looks around after as many
// turns as last about WF_LOOK_NS. It reads the clock once a look, and computes the
// number of turns until the next look from the duration of those since the last one.
// The number doubles at most, so when turns become longer only one look is late. After
// a sleep it begins at one.
//
// The monitor, on the reactor thread, handles one case: a turn that does not end. It
// sets look_at to 0, so that the worker looks around when that turn ends.
//
// A look does the following:
//   - begin the deque's oldest task, if it has been the oldest for AGE_NS: newer tasks
//     could delay it indefinitely. The tasks after it begin at the next looks, until
//     one of them has spawned others in its first turn. That one is the root of a tree,
//     whose stacks live beside those of the current tree (fib32 carved 170 000 stacks
//     instead of 60 when every 64th task was the oldest). So the next task must have
//     been the oldest for twice as long, and so on, until the worker sleeps.
//   - poll without waiting, if the last batch of events is processed: new events must
//     not overtake it (with 1000 connections that decides the p99.9). If the batch is
//     not processed within BATCH_NS, poll anyway. If another worker waits in the poll,
//     look beside it (poll.c).
//   - take a share of the injector
//   - every VISIT_LOOKS looks, visit another worker, whose queues may be longer
//     (steal.c)
//   - wake a second worker if the queued tasks will take SPREAD_NS or longer
//   - every SAMPLE_LOOKS looks, count for the metrics: the turns since the last look, each
//     as long as they were on average; and how long a task waits in the ring. For that
//     it notes the ring's end, and the time; the measurement ends when all before it
//     have been taken (an empty ring: at once), to within WF_TURN_TICKS turns. All are
//     samples, because to read the clock each turn would cost more than the switch.
#include "base/assert.h"
#include "base/clock.h"
#include "sched/state.h"

#define AGE_NS INT64_C(8000000)
#define AGE_MAX INT64_C(1000000000)
#define BATCH_NS INT64_C(8000000)
#define SPREAD_NS INT64_C(200000)

enum { VISIT_LOOKS = 4, SAMPLE_LOOKS = 8 * VISIT_LOOKS };

// look_in sets the tick of the next look.
static void look_in(struct wf_worker *w, uint64_t ticks, uint64_t stride)
{
    wf_debug_assert(stride <= WF_STRIDE_MAX);
    w->pace.stride = stride;
    wf_store_relaxed(&w->look_at, ticks + stride); // relaxed: if the monitor's 0 is lost, its next look repeats it
}

// look_for_recorder comes after each look_in. That the recorder is off a worker finds when
// it is about to write.
static inline void look_for_recorder(struct wf_worker *w)
{
    if (wf_unlikely(wf_load_relaxed(&w->sched->recorder) != NULL)) // relaxed: looked at once more, [R5]
        wf_record_adopt(w);
}

void wf_worker_set_out(struct wf_worker *w)
{
    wf_debug_assert(wf_worker_is_self(w));
    w->pace.ticks = wf_load_relaxed(&w->ticks); // relaxed: the worker's own
    w->pace.looked = wf_now();
    w->pace.polled = w->pace.looked; // it comes from the poll, or another thread has the poll
    w->pace.age = w->pace.tree_age = AGE_NS;
    look_in(w, w->pace.ticks, 1);
    look_for_recorder(w);
}

// set_pace plans the next look.
static void set_pace(struct wf_worker *w, int64_t now)
{
    struct wf_pace *p = &w->pace;
    uint64_t ticks = wf_load_relaxed(&w->ticks); // relaxed: the worker's own
    int64_t turns = ticks > p->ticks ? (int64_t)(ticks - p->ticks) : 1;
    int64_t took = now > p->looked ? now - p->looked : 1;
    uint64_t most = p->stride == 0 ? 1 : 2 * p->stride < WF_STRIDE_MAX ? 2 * p->stride : WF_STRIDE_MAX;
    uint64_t fit = (uint64_t)(turns * WF_LOOK_NS / took);

    wf_debug_assert(turns > 0 && took > 0 && most > 0);
    p->turn = took / turns;
    p->turns = (uint64_t)turns;
    p->looked = now;
    p->ticks = ticks;
    look_in(w, ticks, fit < 1 ? 1 : fit < most ? fit : most);
}

// take_sample counts the turns since the last look, and begins the next measurement of
// how long a task waits in the ring.
WF_NOINLINE static void take_sample(struct wf_worker *w, int64_t now)
{
    wf_histogram_add(&w->turn_length, w->pace.turn, w->pace.turns);
    if (w->pace.probing && !wf_worker_probe_is_over(w))
        return;
    if (w->pace.probing)
        wf_worker_end_probe(w, now);
    w->pace.probing = true;
    w->pace.probed = now;
    w->pace.probe = wf_load_relaxed(&w->ring.tail); // relaxed: the worker's own
    if (wf_worker_probe_is_over(w))
        wf_worker_end_probe(w, now);
}

static void queue_in_ring(struct wf_worker *w, struct wf_task *task)
{
    if (task && !wf_ring_push(&w->ring, task))
        wf_panic("a ring with room is full");
}

static bool ring_has_room(const struct wf_worker *w)
{
    return wf_ring_size(&w->ring) < WF_RING_CAP;
}

// judge_aged is the look after the first turn of a task that age has begun.
static void judge_aged(struct wf_worker *w)
{
    struct wf_pace *p = &w->pace;
    bool has_spawned = wf_load_relaxed(&w->spawned) != p->spawned; // relaxed: the worker's own

    wf_debug_assert(p->has_aged && p->tree_age >= AGE_NS);
    p->has_aged = false;
    if (has_spawned && p->tree_age < AGE_MAX)
        p->tree_age *= 2;
    p->age = has_spawned ? p->tree_age : 0;
}

// age begins the deque's oldest task, if it has been the oldest for long enough.
// Returns: it, or NULL.
static struct wf_task *age(struct wf_worker *w, int64_t now)
{
    struct wf_pace *p = &w->pace;
    uint64_t head = wf_load_relaxed(&w->deque.head); // relaxed: a hint
    bool empty = wf_deque_size(&w->deque) == 0, again;

    if (p->has_aged)
        judge_aged(w);
    if (empty || head != p->oldest) {
        p->oldest = head;
        p->oldest_since = now;
    }
    if (empty || now - p->oldest_since < p->age)
        return NULL;
    struct wf_task *task = wf_deque_steal(&w->deque, &again);
    p->has_aged = task != NULL;
    p->spawned = wf_load_relaxed(&w->spawned); // relaxed: the worker's own
    if (task)
        look_in(w, p->ticks, 0);
    return task;
}

static void poll_in_time(struct wf_worker *w, int64_t now)
{
    bool worked_off = (int64_t)(wf_load_relaxed(&w->ring.head) - w->batch_end) >= 0; // relaxed: approximate
    int64_t since = now - w->pace.polled;

    if (since >= (worked_off ? WF_LOOK_NS / 2 : BATCH_NS))
        wf_worker_poll(w);
}

// do_seldom does what not every look does.
static void do_seldom(struct wf_worker *w, int64_t now)
{
    if (++w->pace.looks % VISIT_LOOKS != 0)
        return;
    queue_in_ring(w, wf_worker_visit(w));
    if (w->pace.looks % SAMPLE_LOOKS == 0)
        take_sample(w, now);
}

struct wf_task *wf_worker_look_around(struct wf_worker *w)
{
    int64_t now = wf_now();

    wf_debug_assert(wf_worker_is_self(w) && !w->thread->current); // it runs on the worker's own stack
    set_pace(w, now);
    poll_in_time(w, now);
    if (!wf_injector_empty(&w->sched->injector) && ring_has_room(w))
        queue_in_ring(w, wf_worker_take_injected(w));
    do_seldom(w, now);
    if ((int64_t)wf_ring_size(&w->ring) * w->pace.turn >= SPREAD_NS)
        wf_worker_hint(w);
    struct wf_task *task = age(w, now);
    look_for_recorder(w);
    return task;
}
