#include "runtime/see/top.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/sys.h"
#include "runtime/see/history.h"
#include "runtime/see/text.h"

enum { WAITS = 32, BUSIEST = 10 }; // rows of two of the tables
enum { TASK_LABEL = 64 };

// How many tasks wait for one kind of event.
struct wait_row {
    const char *what;
    uint64_t tasks;
};

struct census {
    struct wait_row row[WAITS];
    unsigned rows;
    uint64_t others; // the tasks for whose waits there is no row
};

static void label_task(const struct wf_history_task *task, char *out)
{
    int n = snprintf(out, TASK_LABEL, "task %llu", (unsigned long long)task->id);
    if (task->name[0])
        snprintf(out + n, (size_t)(TASK_LABEL - n), " '%s'", task->name);
}

// permille is the share of `part` in `whole`, in thousandths.
static unsigned permille(int64_t part, int64_t whole)
{
    return whole > 0 && part > 0 ? (unsigned)(part * 1000 / whole) : 0;
}

// --- What tasks wait for -------------------------------------------------------------

static void count_wait(struct wf_task *task, void *arg)
{
    struct census *c = arg;
    const char *what = wf_load_relaxed(&task->what); // relaxed: each row is its own snapshot
    unsigned i = 0;

    if (wf_task_is_active(task) || !what)
        return;
    while (i < c->rows && c->row[i].what != what)
        i++;
    if (i == WAITS) {
        c->others++;
        return;
    }
    c->rows += i == c->rows;
    c->row[i].what = what;
    c->row[i].tasks++;
}

static void put_waits(struct wf_text *t, struct wf_sched *s)
{
    struct census c = { .rows = 0 };

    wf_sched_each(s, count_wait, &c);
    wf_text_put(t, "\n%8s  WAIT FOR\n", "TASKS");
    for (unsigned done = 0; done < c.rows; done++) {
        struct wait_row *most = &c.row[0];
        for (unsigned i = 1; i < c.rows; i++)
            if (c.row[i].tasks > most->tasks)
                most = &c.row[i];
        wf_text_put(t, "%8llu  %s\n", (unsigned long long)most->tasks, most->what);
        most->tasks = 0;
    }
    if (c.others > 0)
        wf_text_put(t, "%8llu  other things\n", (unsigned long long)c.others);
}

// --- Who was busy --------------------------------------------------------------------

static void end_turn(struct wf_history *h, struct wf_history_track *track, int64_t ns)
{
    if (!track->running)
        return;
    struct wf_history_task *task = wf_history_task(h, track->running);
    int64_t took = ns - track->since;
    task->ran += took;
    task->turns++;
    if (took > task->longest)
        task->longest = took;
    track->busy += took;
}

// add_up adds up the events since the beginning.
static void add_up(struct wf_history *h, int64_t since)
{
    struct wf_record event;
    unsigned ring;
    int64_t ns;

    while (wf_history_next(h, &event, &ring, &ns)) {
        struct wf_history_track *track = &h->track[ring];
        if (event.kind != WF_RECORD_SWITCH || ns < since)
            continue;
        if (!track->first)
            track->first = ns;
        end_turn(h, track, ns);
        track->running = event.id;
        track->since = ns;
        track->queued = event.n;
        track->turns += event.id != 0;
    }
    for (unsigned i = 0; i < h->rings; i++)
        end_turn(h, &h->track[i], h->now.ns);
}

// recorded is the time for which a ring has events. The time is less than the client
// asked for if older events were overwritten, or if the worker slept at the beginning,
// when it was not busy.
static int64_t recorded(const struct wf_history *h, unsigned ring, int64_t since)
{
    const struct wf_history_track *track = &h->track[ring];
    return h->now.ns - (h->full[ring] && track->first ? track->first : since);
}

static void put_workers(struct wf_text *t, struct wf_history *h, int64_t since)
{
    char label[TASK_LABEL];

    wf_text_put(t, "\n%8s  %6s  %9s  %6s  RUNS\n", "WORKER", "BUSY", "TURNS/S", "QUEUED");
    for (unsigned i = 0; i + 1 < h->rings; i++) {
        const struct wf_history_track *track = &h->track[i];
        int64_t span = recorded(h, i, since);
        unsigned busy = permille(track->busy, span);
        unsigned long long turns = span > 0 ? track->turns * UINT64_C(1000000000) / (uint64_t)span : 0;
        snprintf(label, sizeof(label), "-");
        if (track->running)
            label_task(wf_history_task(h, track->running), label);
        wf_text_put(t, "%8u  %3u.%u%%  %9llu  %6u  %s\n", i, busy / 10, busy % 10, turns, track->queued, label);
    }
}

static void put_task(struct wf_text *t, const struct wf_history_task *task, int64_t span)
{
    unsigned busy = permille(task->ran, span);
    char label[TASK_LABEL];

    label_task(task, label);
    wf_text_put(t, "  %3u.%u%%  %8llu  %9lld us  %s\n", busy / 10, busy % 10, (unsigned long long)task->turns,
                (long long)(task->longest / 1000), label);
}

// put_busiest writes the tasks that ran for longest, or that had the longest turns.
static void put_busiest(struct wf_text *t, struct wf_history *h, int64_t span, bool by_turn)
{
    int64_t below = INT64_MAX;

    wf_text_put(t, "\n%8s  %8s  %12s  %s\n", "BUSY", "TURNS", "LONGEST", by_turn ? "LONGEST TURNS" : "BUSIEST");
    for (int row = 0; row < BUSIEST; row++) {
        const struct wf_history_task *most = NULL;
        int64_t best = 0;
        for (uint64_t i = 0; i <= h->mask; i++) {
            int64_t value = by_turn ? h->task[i].longest : h->task[i].ran;
            if (value > best && value < below) {
                best = value;
                most = &h->task[i];
            }
        }
        if (!most)
            return;
        put_task(t, most, span);
        below = best;
    }
}

static void put_head(struct wf_text *t, struct weft_rt *rt, const struct wf_top *top, int64_t now)
{
    struct wf_sched_stats s;
    struct wf_sched_census c;
    double seconds = (double)(now - top->since) / 1e9;

    wf_sched_stats(rt->sched, &s);
    wf_sched_census(rt->sched, &c);
    wf_text_put(t, "weft: process %d, %u workers; tasks: %llu running, %llu ready, %llu parked\n", wf_sys_getpid(),
                wf_sched_workers(rt->sched), (unsigned long long)c.running, (unsigned long long)c.ready,
                (unsigned long long)c.parked);
    wf_text_put(t, "a second: %.0f tasks spawned, %.0f steals, %.0f polls, %.0f sleeps\n",
                (double)(s.spawned - top->before.spawned) / seconds,
                (double)(s.steals - top->before.steals) / seconds, (double)(s.polls - top->before.polls) / seconds,
                (double)(s.parks - top->before.parks) / seconds);
}

void wf_top_begin(struct weft_rt *rt, struct wf_top *top)
{
    wf_sched_stats(rt->sched, &top->before);
    top->since = wf_now();
}

int wf_top_write(struct weft_rt *rt, const struct wf_top *top, int fd)
{
    struct wf_text t = { .fd = fd };
    struct wf_history h;
    int err = wf_history_take(&h, rt->sched);

    if (err)
        return err;
    add_up(&h, top->since);
    put_head(&t, rt, top, h.now.ns);
    put_workers(&t, &h, top->since);
    put_waits(&t, rt->sched);
    put_busiest(&t, &h, h.now.ns - top->since, false);
    put_busiest(&t, &h, h.now.ns - top->since, true);
    wf_history_free(&h);
    wf_text_flush(&t);
    return t.err;
}
