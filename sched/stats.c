// The scheduler's counters, for the metrics and the dump. Each worker has its own
// counters, in words that only that worker writes; a reader sums them.
#include <string.h>

#include "base/assert.h"
#include "sched/state.h"

void wf_worker_end_probe(struct wf_worker *w, int64_t now)
{
    wf_debug_assert(w->pace.probing);
    w->pace.probing = false;
    wf_histogram_add(&w->queue_wait, now - w->pace.probed, 1);
}

static uint64_t load_count(const _Atomic uint64_t *count)
{
    return wf_load_relaxed(count); // relaxed: a counter, right by itself
}

static void add_histogram(struct wf_histogram *to, const struct wf_histogram *from)
{
    wf_bump(&to->sum, load_count(&from->sum));
    for (unsigned i = 0; i < WF_HISTOGRAM_BUCKETS; i++)
        wf_bump(&to->bucket[i], load_count(&from->bucket[i]));
}

static void add_worker(struct wf_sched_stats *out, const struct wf_worker *w)
{
    out->spawned += load_count(&w->spawned);
    out->runs += load_count(&w->runs);
    out->turns += load_count(&w->ticks);
    out->steals += load_count(&w->steals);
    out->stolen += load_count(&w->stolen);
    out->parks += load_count(&w->parks);
    out->wakes += load_count(&w->wakes);
    out->polls += load_count(&w->polls);
    out->overflows += load_count(&w->overflows);
    out->queued += wf_ring_size(&w->ring) + wf_deque_size(&w->deque);
    out->queued += wf_load_relaxed(&w->next) != NULL; // relaxed: a hint
    add_histogram(&out->turn_length, &w->turn_length);
    add_histogram(&out->queue_wait, &w->queue_wait);
}

// The function reads `ended` before `spawned`, so that it never finds more ends than
// spawns.
void wf_sched_stats(struct wf_sched *s, struct wf_sched_stats *out)
{
    memset(out, 0, sizeof(*out));
    for (unsigned i = 0; i < s->cfg.workers; i++)
        out->ended += wf_load_acquire(&s->workers[i].ended); // [S2]
    for (unsigned i = 0; i < s->cfg.workers; i++)
        add_worker(out, &s->workers[i]);
    out->spawned += load_count(&s->spawned_outside);
    out->stalls = load_count(&s->stalls);
}

// count_task looks at a header while its task may be running: it may count a task that
// has just ended. ThreadSanitizer is disabled here: wf_task_begun reads a single word.
__attribute__((no_sanitize("thread"))) static void count_task(struct wf_task *task, void *arg)
{
    struct wf_sched_census *c = arg;

    if (!wf_task_is_active(task)) {
        c->parked++;
        return;
    }
    c->ready++;
    c->unbegun += !wf_task_begun(task);
}

void wf_sched_census(struct wf_sched *s, struct wf_sched_census *out)
{
    memset(out, 0, sizeof(*out));
    wf_sched_each(s, count_task, out);
    out->running = wf_idle_count_awake(&s->idle); // each of them runs one, or is about to, while there are any
    if (out->running > out->ready)
        out->running = out->ready;
    out->ready -= out->running;
    if (out->unbegun > out->ready)
        out->unbegun = out->ready;
}

bool wf_sched_has(struct wf_sched *s, const struct wf_task *task)
{
    return wf_headers_has(&s->headers, task);
}

void wf_sched_stacks(struct wf_sched *s, struct wf_sched_stacks *out)
{
    wf_depot_count(&s->depot, &out->made, &out->stored, &out->bytes);
}
