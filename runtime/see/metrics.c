// Metrics: the counters of all parts of a runtime, in one struct, and as text for
// Prometheus. This file counts nothing: each part has its own counters, in words that
// one thread writes.
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "runtime/see/text.h"
#include "runtime/state.h"
#include "runtime/task/blocking.h"

_Static_assert((int)WEFT_HISTOGRAM_BUCKETS == (int)WF_HISTOGRAM_BUCKETS, "one is copied to the other");

// The struct of a program that was compiled when weft_metrics had only its first
// fields.
enum { FIRST_SIZE = sizeof(weft_metrics) };

static void copy_histogram(weft_histogram *to, const struct wf_histogram *from)
{
    to->count = 0;
    to->sum = wf_load_relaxed(&from->sum); // relaxed: a copy, of this thread only
    for (int i = 0; i < WEFT_HISTOGRAM_BUCKETS; i++) {
        to->bucket[i] = wf_load_relaxed(&from->bucket[i]); // relaxed: as above
        to->count += to->bucket[i];
    }
}

static void read_sched(struct wf_sched *sched, weft_metrics *m)
{
    struct wf_sched_stats s;

    wf_sched_stats(sched, &s);
    m->workers = wf_sched_workers(sched);
    m->spawned = s.spawned;
    m->ended = s.ended;
    m->turns = s.turns;
    m->steals = s.steals;
    m->stolen = s.stolen;
    m->sleeps = s.parks;
    m->wakes = s.wakes;
    m->overflows = s.overflows;
    m->stalls = s.stalls;
    m->queued = s.queued;
    copy_histogram(&m->turn_length, &s.turn_length);
    copy_histogram(&m->queue_wait, &s.queue_wait);
}

static void read_tasks(struct wf_sched *sched, weft_metrics *m)
{
    struct wf_sched_census c;
    struct wf_sched_stacks stacks;

    wf_sched_census(sched, &c);
    wf_sched_stacks(sched, &stacks);
    m->running = c.running;
    m->ready = c.ready;
    m->parked = c.parked;
    m->unbegun = c.unbegun;
    m->injected = c.ready > m->queued ? c.ready - m->queued : 0;
    m->stacks = stacks.made;
    m->stacks_stored = stacks.stored;
    m->stack_bytes = stacks.bytes;
}

static void read_reactor(struct wf_reactor *reactor, weft_metrics *m)
{
    struct wf_reactor_stats s;

    wf_reactor_stats(reactor, &s);
    m->polls = s.polls;
    m->events = s.events;
    m->expired = s.expired;
    m->timers = s.timers;
    m->descriptors = s.descriptors;
}

static void read_lane(struct wf_pool *pool, enum wf_lane lane, weft_lane_metrics *m)
{
    struct wf_lane_stats s;

    wf_pool_stats(pool, lane, &s);
    *m = (weft_lane_metrics){ s.jobs, s.queued, s.threads, s.sleeping, s.max };
}

int weft_rt_metrics(weft_rt *rt, weft_metrics *m)
{
    weft_metrics all = { .size = m->size };

    if (m->size < FIRST_SIZE || m->size > sizeof(all))
        return -EINVAL;
    read_sched(rt->sched, &all);
    read_tasks(rt->sched, &all);
    read_reactor(rt->reactor, &all);
    read_lane(rt->blocking, WF_LANE_USER, &all.user);
    read_lane(rt->blocking, WF_LANE_FILE, &all.file);
    read_lane(rt->blocking, WF_LANE_NAME, &all.name);
    memcpy(m, &all, m->size);
    return 0;
}

// --- As text -------------------------------------------------------------------------

static void put_head(struct wf_text *t, const char *name, const char *type, const char *help)
{
    wf_text_put(t, "# HELP weft_%s %s\n", name, help);
    wf_text_put(t, "# TYPE weft_%s %s\n", name, type);
}

static void put_value(struct wf_text *t, const char *name, uint64_t value)
{
    wf_text_put(t, "weft_%s %llu\n", name, (unsigned long long)value);
}

static void put_labelled(struct wf_text *t, const char *name, const char *label, const char *is, uint64_t value)
{
    wf_text_put(t, "weft_%s{%s=\"%s\"} %llu\n", name, label, is, (unsigned long long)value);
}

// Metrics with a single number each.
struct figure {
    const char *name, *type, *help;
    size_t at;
};

#define COUNTER(name, field, help) { name "_total", "counter", help, offsetof(weft_metrics, field) }
#define GAUGE(name, field, help) { name, "gauge", help, offsetof(weft_metrics, field) }

static const struct figure figures[] = {
    GAUGE("workers", workers, "Threads that run tasks."),
    COUNTER("tasks_spawned", spawned, "Tasks that were spawned."),
    COUNTER("tasks_ended", ended, "Tasks that have ended."),
    GAUGE("tasks_unbegun", unbegun, "Tasks that have not run yet."),
    COUNTER("turns", turns, "How often a worker chose among the tasks in its own queues."),
    COUNTER("steals", steals, "How often a worker took tasks of another one."),
    COUNTER("stolen_tasks", stolen, "Tasks that were taken from another worker."),
    COUNTER("worker_sleeps", sleeps, "How often a worker slept."),
    COUNTER("worker_wakes", wakes, "How often a sleeping worker was woken."),
    COUNTER("queue_overflows", overflows, "Tasks for which a worker's queue had no room."),
    COUNTER("polls", polls, "Turns of the poll."),
    COUNTER("poll_events", events, "Events that came of them."),
    GAUGE("timers", timers, "Timers that are armed."),
    COUNTER("timers_expired", expired, "Timers that have expired."),
    GAUGE("descriptors", descriptors, "Descriptors that are registered with epoll."),
    GAUGE("stacks", stacks, "Stacks that there are."),
    GAUGE("stacks_stored", stacks_stored, "Stacks that no worker has."),
    GAUGE("stack_bytes", stack_bytes, "Address space of the stacks."),
    COUNTER("stalls", stalls, "Tasks that held their worker for longer than stall_after."),
};

static void put_figures(struct wf_text *t, const weft_metrics *m)
{
    for (size_t i = 0; i < wf_countof(figures); i++) {
        const struct figure *f = &figures[i];
        uint64_t value;
        memcpy(&value, (const char *)m + f->at, sizeof(value));
        put_head(t, f->name, f->type, f->help);
        put_value(t, f->name, value);
    }
}

static void put_states(struct wf_text *t, const weft_metrics *m)
{
    put_head(t, "tasks", "gauge", "Tasks by state.");
    put_labelled(t, "tasks", "state", "running", m->running);
    put_labelled(t, "tasks", "state", "ready", m->ready);
    put_labelled(t, "tasks", "state", "parked", m->parked);
    put_head(t, "queued_tasks", "gauge", "Tasks that are ready, by queue.");
    put_labelled(t, "queued_tasks", "queue", "worker", m->queued);
    put_labelled(t, "queued_tasks", "queue", "common", m->injected);
}

// put_seconds writes nanoseconds as seconds, exactly, whatever the locale is.
static void put_seconds(struct wf_text *t, const char *before, uint64_t ns, const char *after)
{
    wf_text_put(t, "%s%llu.%09llu%s", before, (unsigned long long)(ns / 1000000000),
                (unsigned long long)(ns % 1000000000), after);
}

static void put_histogram(struct wf_text *t, const char *name, const char *help, const weft_histogram *h)
{
    uint64_t below = 0;

    put_head(t, name, "histogram", help);
    for (int i = 0; i < WEFT_HISTOGRAM_BUCKETS - 1; i++) {
        below += h->bucket[i];
        wf_text_put(t, "weft_%s_bucket{le=\"", name);
        put_seconds(t, "", UINT64_C(1024) << i, "\"} ");
        wf_text_put(t, "%llu\n", (unsigned long long)below);
    }
    wf_text_put(t, "weft_%s_bucket{le=\"+Inf\"} %llu\n", name, (unsigned long long)h->count);
    wf_text_put(t, "weft_%s_sum", name);
    put_seconds(t, " ", h->sum, "\n");
    wf_text_put(t, "weft_%s_count %llu\n", name, (unsigned long long)h->count);
}

// put_lanes writes one metric for each lane: the counter at the offset `at`.
static void put_lanes(struct wf_text *t, const weft_metrics *m, const char *name, const char *type, const char *help,
                      size_t at)
{
    const weft_lane_metrics *lanes[] = { &m->user, &m->file, &m->name };
    static const char *const names[] = { "user", "file", "name" };

    put_head(t, name, type, help);
    for (size_t i = 0; i < wf_countof(lanes); i++) {
        uint64_t value;
        memcpy(&value, (const char *)lanes[i] + at, sizeof(value));
        put_labelled(t, name, "lane", names[i], value);
    }
}

static void put_pool(struct wf_text *t, const weft_metrics *m)
{
    put_lanes(t, m, "pool_jobs_total", "counter", "Jobs of the blocking pool that have begun.",
              offsetof(weft_lane_metrics, jobs));
    put_lanes(t, m, "pool_queued_jobs", "gauge", "Jobs that wait for a thread.", offsetof(weft_lane_metrics, queued));
    put_lanes(t, m, "pool_threads", "gauge", "Threads of the blocking pool.", offsetof(weft_lane_metrics, threads));
    put_lanes(t, m, "pool_sleeping_threads", "gauge", "Threads without a job.", offsetof(weft_lane_metrics, sleeping));
    put_lanes(t, m, "pool_threads_max", "gauge", "How many threads there may be.", offsetof(weft_lane_metrics, limit));
}

int weft_rt_metrics_write(weft_rt *rt, int fd)
{
    weft_metrics m = WEFT_METRICS_INIT;
    struct wf_text t = { .fd = fd };

    int err = weft_rt_metrics(rt, &m);
    if (err)
        return err;
    put_states(&t, &m);
    put_figures(&t, &m);
    put_histogram(&t, "turn_seconds", "How long a task runs before it parks, yields or ends (sampled).",
                  &m.turn_length);
    put_histogram(&t, "queue_wait_seconds", "How long a task waits in its worker's queue (sampled).", &m.queue_wait);
    put_pool(&t, &m);
    wf_text_flush(&t);
    return t.err;
}
