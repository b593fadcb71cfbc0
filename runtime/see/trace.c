// The trace: the flight recorder's events, in the JSON format of Chrome's tracing,
// which Perfetto's UI opens. Workers are tracks; the turns of tasks, polls and sleeps
// are slices on them. A wake is an arrow, from where the task was woken to where it
// runs. The length of a worker's queues is a counter.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/sys.h"
#include "runtime/see/history.h"
#include "runtime/see/text.h"
#include "runtime/state.h"

struct trace {
    struct wf_text text;
    struct wf_history history;
    int pid;
    uint64_t flows; // arrows so far
};

enum { NAME_MAX_BYTES = 6 * 24 }; // escaped

static const char *const lefts[] = { "looks around", "parked", "yielded", "ended", "ended" };

// name_task writes a task's name as the content of a JSON string. It treats bytes that
// are not ASCII as Latin-1, because they need not be valid UTF-8.
static void name_task(const struct wf_history_task *task, char *out)
{
    if (!task->name[0]) {
        snprintf(out, NAME_MAX_BYTES, "task %llu", (unsigned long long)task->id);
        return;
    }
    for (const char *c = task->name; *c; c++) {
        unsigned char byte = (unsigned char)*c;
        if (byte < ' ' || byte > '~' || byte == '"' || byte == '\\')
            out += snprintf(out, 7, "\\u%04x", byte);
        else
            *out++ = *c;
    }
    *out = 0;
}

// begin_event writes the part with which all events begin. `tid` is a ring's number
// plus one.
static void begin_event(struct trace *t, const char *phase, unsigned ring, int64_t ns)
{
    wf_text_put(&t->text, ",\n{\"ph\":\"%s\",\"pid\":%d,\"tid\":%u,\"ts\":%lld.%03lld", phase, t->pid, ring + 1,
                (long long)(ns / 1000), (long long)(ns % 1000));
}

static void put_length(struct trace *t, const char *key, int64_t ns)
{
    ns = ns < 0 ? 0 : ns;
    wf_text_put(&t->text, ",\"%s\":%lld.%03lld", key, (long long)(ns / 1000), (long long)(ns % 1000));
}

static void put_thread(struct trace *t, unsigned ring)
{
    begin_event(t, "M", ring, 0);
    wf_text_put(&t->text, ",\"name\":\"thread_name\",\"args\":{\"name\":\"");
    if (ring + 1 < t->history.rings)
        wf_text_put(&t->text, "worker %u\"}}", ring);
    else
        wf_text_put(&t->text, "other threads\"}}");
}

static void put_arrow(struct trace *t, const struct wf_history_task *task, unsigned ring, int64_t ns)
{
    unsigned long long id = ++t->flows;

    begin_event(t, "s", task->woken_on, task->woken);
    wf_text_put(&t->text, ",\"id\":%llu,\"cat\":\"wake\",\"name\":\"wake\"}", id);
    begin_event(t, "f", ring, ns);
    wf_text_put(&t->text, ",\"id\":%llu,\"cat\":\"wake\",\"name\":\"wake\",\"bp\":\"e\"}", id);
}

// --- Events --------------------------------------------------------------------------

// end_turn writes a turn that has ended. `how` says why it ended, `text` what the task
// waits for.
static void end_turn(struct trace *t, unsigned ring, int64_t ns, const char *how, const char *text)
{
    struct wf_history_track *track = &t->history.track[ring];
    char name[NAME_MAX_BYTES];

    if (!track->running)
        return;
    name_task(wf_history_task(&t->history, track->running), name);
    begin_event(t, "X", ring, track->since);
    put_length(t, "dur", ns - track->since);
    wf_text_put(&t->text, ",\"cat\":\"turn\",\"name\":\"%s\",\"args\":{\"task\":%llu,\"left\":\"%s\"", name,
                (unsigned long long)track->running, how);
    if (text)
        wf_text_put(&t->text, ",\"waits for\":\"%s\"", text);
    if (track->waited > 0)
        put_length(t, "waited_us", track->waited);
    wf_text_put(&t->text, "}}");
    track->running = 0;
}

static void begin_turn(struct trace *t, unsigned ring, int64_t ns, uint64_t id)
{
    struct wf_history_track *track = &t->history.track[ring];
    struct wf_history_task *task = wf_history_task(&t->history, id);

    track->running = id;
    track->since = ns;
    track->waited = task->woken ? ns - task->woken : 0;
    if (task->woken && !task->woken_early && ns > task->woken)
        put_arrow(t, task, ring, ns);
    task->woken = 0;
}

static void put_switch(struct trace *t, unsigned ring, int64_t ns, const struct wf_record *event)
{
    struct wf_history_track *track = &t->history.track[ring];

    end_turn(t, ring, ns, event->how < wf_countof(lefts) ? lefts[event->how] : "?", event->text);
    if (event->id)
        begin_turn(t, ring, ns, event->id);
    if (event->n == track->queued)
        return;
    track->queued = event->n;
    begin_event(t, "C", ring, ns);
    wf_text_put(&t->text, ",\"name\":\"queue of worker %u\",\"args\":{\"tasks\":%u}}", ring, event->n);
}

// note_wake remembers a wake, or a spawn, until the task runs. If the waker is a thread
// without slices, the wake gets a slice, because an arrow must begin at one.
static void note_wake(struct trace *t, unsigned ring, int64_t ns, const struct wf_record *event)
{
    struct wf_history_task *task = wf_history_task(&t->history, event->id);

    task->woken = ns;
    task->woken_on = ring;
    task->woken_early = event->how == WF_BY_EARLY;
    if (event->how != WF_BY_OTHER)
        return;
    begin_event(t, "X", ring, ns);
    wf_text_put(&t->text, ",\"dur\":0.001,\"cat\":\"wake\",\"name\":\"%s\",\"args\":{\"task\":%llu}}",
                event->kind == WF_RECORD_SPAWN ? "spawn" : "wake", (unsigned long long)event->id);
}

// put_pause writes a poll or a sleep of a worker, which ends now.
static void put_pause(struct trace *t, unsigned ring, int64_t ns, const struct wf_record *event)
{
    int64_t from = wf_stamp_ns(event->more, &t->history.made, &t->history.now);

    end_turn(t, ring, from, "unknown", NULL); // if a turn is open: it ended while the recorder was off
    begin_event(t, "X", ring, from);
    put_length(t, "dur", ns - from);
    if (event->kind == WF_RECORD_SLEEP)
        wf_text_put(&t->text, ",\"cat\":\"worker\",\"name\":\"sleep\"}");
    else
        wf_text_put(&t->text, ",\"cat\":\"worker\",\"name\":\"poll\",\"args\":{\"wakers\":%u}}", event->n);
}

static void put_steal(struct trace *t, unsigned ring, int64_t ns, const struct wf_record *event)
{
    begin_event(t, "i", ring, ns);
    wf_text_put(&t->text, ",\"s\":\"t\",\"cat\":\"worker\",\"name\":\"steal\",\"args\":{\"worker\":%u,\"task\":%llu}}",
                event->n, (unsigned long long)event->id);
}

static void put_event(struct trace *t, unsigned ring, int64_t ns, const struct wf_record *event)
{
    if (event->kind == WF_RECORD_SWITCH)
        put_switch(t, ring, ns, event);
    else if (event->kind == WF_RECORD_WAKE || event->kind == WF_RECORD_SPAWN)
        note_wake(t, ring, ns, event);
    else if (event->kind == WF_RECORD_STEAL)
        put_steal(t, ring, ns, event);
    else
        put_pause(t, ring, ns, event);
}

static void put_all(struct trace *t)
{
    struct wf_record event;
    unsigned ring;
    int64_t ns;

    wf_text_put(&t->text, "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n");
    wf_text_put(&t->text, "{\"ph\":\"M\",\"pid\":%d,\"tid\":0,\"ts\":0,\"name\":\"process_name\",", t->pid);
    wf_text_put(&t->text, "\"args\":{\"name\":\"weft\"}}");
    for (unsigned i = 0; i < t->history.rings; i++)
        put_thread(t, i);
    while (wf_history_next(&t->history, &event, &ring, &ns))
        put_event(t, ring, ns, &event);
    for (unsigned i = 0; i < t->history.rings; i++)
        end_turn(t, i, t->history.now.ns, "runs on", NULL);
    wf_text_put(&t->text, "\n]}\n");
    wf_text_flush(&t->text);
}

int weft_rt_trace_write(weft_rt *rt, int fd)
{
    struct trace t = { .text = { .fd = fd }, .pid = wf_sys_getpid() };
    int err = wf_history_take(&t.history, rt->sched);

    if (err)
        return err;
    put_all(&t);
    wf_history_free(&t.history);
    return t.text.err;
}
