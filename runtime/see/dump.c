// The task dump: a line for each living task, and its stack. It takes no lock that a
// task or a worker may hold, and allocates nothing but a mapping, so that it works when
// all other threads are stuck, and in a signal handler.
//
// The dump holds a parked task while it looks at it (sched/task.h): a wake that comes
// meanwhile is noted, and takes effect some microseconds later. The dump makes and
// writes the text after it has released the task. It asks a worker by a signal which
// task the worker runs (sched/sight.c). A task that is ready, in a queue, shows no
// stack: it may begin to run at any moment.
//
// Tasks with the same stack that wait in the same call are one group. The first
// LINES_EACH have a line each; the others are counted.
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "runtime/see/cycle.h"
#include "runtime/see/line.h"
#include "runtime/see/symbol.h"
#include "runtime/state.h"
#include "runtime/sync/mutex.h"
#include "runtime/wait/scope.h"

enum { LINES_EACH = 256, GROUPS = 256 };

// What the dump knows about a task.
struct seen {
    uint64_t id;
    uint32_t word;
    const char *name, *what;
    intptr_t on;
    bool begun;
    bool parked;                  // it was held: the fields below are from one moment
    int64_t until;                // when a sleep ends
    uint32_t children;            // of the scope that it closes
    const struct wf_task *holder; // of the mutex that it waits for
    unsigned scopes;              // how many it has open
    int64_t deadline;             // the earliest deadline of these
    struct wf_trace trace;
};

struct group {
    const char *what;
    bool parked;
    uint64_t first; // the number of one of its tasks
    uint64_t tasks;
    struct wf_trace trace;
};

// The dump's memory, which is too large for a task's stack, or a signal stack.
struct room {
    unsigned groups;
    struct group group[GROUPS];
    struct wf_sighting sighting[WF_WORKERS_MAX]; // by worker
};

struct dump {
    struct wf_sched *sched;
    int fd;
    unsigned tasks;
    int64_t now;
    struct room *room; // NULL: no memory, so the dump forms no groups
    struct seen seen;
    struct wf_symbols symbols;
};

// --- Looking -------------------------------------------------------------------------

// read_header reads a header while its task may be running. Returns: false if the task
// has ended in between: then the header may be another task's, and the values a mixture
// of both. ThreadSanitizer is disabled here: the plain fields are single words.
__attribute__((no_sanitize("thread"))) static bool read_header(const struct wf_task *task, struct seen *s)
{
    s->word = wf_load_acquire(&task->word); // acquire: the header is filled
    s->id = task->id;
    s->name = task->name;
    s->begun = wf_task_begun(task);
    s->what = wf_load_relaxed(&task->what); // relaxed: each line is its own snapshot
    s->on = wf_load_relaxed(&task->on);
    bool live = wf_load_acquire(&task->word) & WF_TASK_LIVE; // acquire: the number is read again after it
    return live && *(const volatile uint64_t *)&task->id == s->id;
}

// read_scopes counts the scopes that a held task has open.
static void read_scopes(const struct weft_task *task, struct seen *s)
{
    const struct wf_cancel_node *at = s->begun ? task->life.inner : NULL;

    for (; at && at->is_scope && at->task == task; at = at->outer) {
        int64_t when = wf_scope_when(wf_container_of(at, const struct wf_scope, level));
        s->scopes++;
        if (when < s->deadline)
            s->deadline = when;
    }
}

// read_wait reads what `on` points to: an object on the held task's stack, or the
// object that the task waits for.
static void read_wait(struct seen *s)
{
    if (strcmp(s->what, "sleep") == 0)
        s->until = *(const int64_t *)s->on;
    else if (strcmp(s->what, "scope") == 0)
        s->children = wf_scope_children((const struct wf_scope *)s->on);
    else if (strcmp(s->what, "mutex") == 0)
        s->holder = wf_mutex_holder(s->on);
}

static bool look_at(struct wf_task *task, struct seen *s)
{
    memset(s, 0, offsetof(struct seen, trace));
    s->trace.depth = 0;
    s->deadline = WEFT_NEVER;
    s->parked = wf_task_hold(task);
    bool there = read_header(task, s);
    if (s->parked) {
        wf_trace_held(task, &s->trace);
        read_scopes(wf_weft_task(task), s);
        if (s->what)
            read_wait(s);
        wf_sched_release(task);
    }
    return there;
}

// --- In words ------------------------------------------------------------------------

// add_left adds the time that is left until `when`.
static void add_left(struct wf_line *l, int64_t now, int64_t when)
{
    int64_t ms = (when - now) / 1000000;

    if (when <= now)
        wf_line_add(l, ", due");
    else
        wf_line_add(l, ", %lld.%03lld s left", (long long)(ms / 1000), (long long)(ms % 1000));
}

static void add_mutex(struct wf_line *l, struct dump *d, const struct seen *s)
{
    struct seen holder = { 0 };

    wf_line_add(l, " %#llx", (unsigned long long)s->on);
    if (!s->holder)
        wf_line_add(l, ", free by now");
    else if (!wf_sched_has(d->sched, s->holder))
        wf_line_add(l, " held by a task of another runtime");
    else if (read_header(s->holder, &holder)) {
        wf_line_add(l, " held by ");
        wf_line_name(l, holder.id, holder.name);
    }
}

static void add_wait(struct wf_line *l, struct dump *d, const struct seen *s)
{
    bool call = strncmp(s->what, "weft_", 5) == 0;

    wf_line_add(l, ", waits for %s", s->what);
    if (s->parked && strcmp(s->what, "sleep") == 0) {
        if (s->until == WEFT_NEVER)
            wf_line_add(l, ", without end");
        else
            add_left(l, d->now, s->until);
    } else if (s->parked && strcmp(s->what, "scope") == 0) {
        wf_line_add(l, " %#llx, %u children left", (unsigned long long)s->on, s->children);
    } else if (s->parked && strcmp(s->what, "mutex") == 0) {
        add_mutex(l, d, s);
    } else if (s->on >> 32) {
        wf_line_add(l, " %#llx", (long long)s->on);
    } else if (call) {
        wf_line_add(l, " of descriptor %d", (int)s->on);
        wf_line_socket(l, (int)s->on);
    } else {
        wf_line_add(l, " %lld", (long long)s->on);
    }
}

// worker_of is the worker that runs a task; -1 if no worker was seen to run it.
static int worker_of(const struct dump *d, uint64_t id)
{
    for (unsigned i = 0; d->room && i < wf_sched_workers(d->sched); i++)
        if (d->room->sighting[i].id == id)
            return (int)i;
    return -1;
}

static void add_state(struct wf_line *l, struct dump *d, const struct seen *s, int worker)
{
    if (worker >= 0)
        wf_line_add(l, ": running on worker %d", worker);
    else if (s->parked)
        wf_line_add(l, ": parked");
    else
        wf_line_add(l, s->what ? ": woken" : s->begun ? ": running or queued" : ": new");
    if (s->what && worker < 0)
        add_wait(l, d, s);
    if (s->scopes > 0)
        wf_line_add(l, ", in %u scope%s", s->scopes, s->scopes > 1 ? "s" : "");
    if (s->deadline != WEFT_NEVER)
        add_left(l, d->now, s->deadline);
    if (s->word & WF_TASK_CANCEL_PENDING)
        wf_line_add(l, " (cancelled)");
}

static void print_stack(struct dump *d, const struct wf_trace *t)
{
    struct wf_line l = { .n = 0 };
    char name[WF_SYMBOL_NAME];

    for (unsigned i = 0; i < t->depth; i++) {
        wf_symbols_name(&d->symbols, t->pc[i], name, sizeof(name));
        wf_line_add(&l, "    %s", name);
        wf_line_print(d->fd, &l);
    }
}

// --- Groups --------------------------------------------------------------------------

static bool belongs(const struct group *g, const struct seen *s)
{
    return g->what == s->what && g->parked == s->parked && g->trace.depth == s->trace.depth &&
           memcmp(g->trace.pc, s->trace.pc, s->trace.depth * sizeof(s->trace.pc[0])) == 0;
}

// group_of finds the group of a task, or makes it. Returns: NULL if there is no room.
static struct group *group_of(struct room *room, const struct seen *s)
{
    for (unsigned i = 0; i < room->groups; i++)
        if (belongs(&room->group[i], s))
            return &room->group[i];
    if (room->groups == GROUPS)
        return NULL;
    struct group *g = &room->group[room->groups++];
    g->what = s->what;
    g->parked = s->parked;
    g->first = s->id;
    g->tasks = 0;
    g->trace = s->trace;
    return g;
}

// print_group says how many tasks had no line, and in which function they are: the
// innermost function that is not weft's.
static void print_group(struct dump *d, const struct group *g)
{
    struct wf_line l = { .n = 0 };
    char name[WF_SYMBOL_NAME] = "";

    for (unsigned i = 0; i < g->trace.depth; i++) {
        wf_symbols_name(&d->symbols, g->trace.pc[i], name, sizeof(name));
        if (strncmp(name, "task_main+", 10) == 0) // the body made its last call by a jump (a tail call)
            break;
        if (strncmp(name, "wf_", 3) != 0 && strncmp(name, "weft_", 5) != 0)
            break;
    }
    wf_line_add(&l, "  and %llu more tasks", (unsigned long long)(g->tasks - LINES_EACH));
    if (name[0])
        wf_line_add(&l, " at %s", name);
    if (g->what)
        wf_line_add(&l, ", %s %s", g->parked ? "parked, wait for" : "woken, waited for", g->what);
    wf_line_add(&l, ": like task %llu", (unsigned long long)g->first);
    wf_line_print(d->fd, &l);
}

static void dump_task(struct wf_task *task, void *arg)
{
    struct dump *d = arg;
    struct seen *s = &d->seen;
    struct wf_line l = { .n = 0 };

    if (!look_at(task, s))
        return;
    d->tasks++;
    int worker = worker_of(d, s->id);
    if (s->parked)
        worker = -1; // the task has left its worker by now
    struct group *g = d->room && worker < 0 ? group_of(d->room, s) : NULL;
    if (g && g->tasks++ >= LINES_EACH)
        return;
    wf_line_add(&l, "  ");
    wf_line_name(&l, s->id, s->name);
    add_state(&l, d, s, worker);
    if (g && g->tasks > 1 && s->trace.depth > 0)
        wf_line_add(&l, "; stack as task %llu", (unsigned long long)g->first);
    wf_line_print(d->fd, &l);
    if (worker >= 0)
        print_stack(d, &d->room->sighting[worker].trace);
    else if (!g || g->tasks == 1)
        print_stack(d, &s->trace);
}

// look_at_workers asks each worker which task it runs.
static void look_at_workers(struct dump *d)
{
    if (!d->room || !wf_sight_begin())
        return;
    for (unsigned i = 0; i < wf_sched_workers(d->sched); i++)
        (void)wf_sight_worker(d->sched, i, &d->room->sighting[i]);
    wf_sight_end();
}

static void print_head(struct dump *d)
{
    struct wf_line l = { .n = 0 };
    struct wf_sched_stats s;

    wf_sched_stats(d->sched, &s);
    wf_line_add(&l, "weft: %u workers; %llu tasks run, %llu steals, %llu sleeps, %llu polls",
                wf_sched_workers(d->sched), (unsigned long long)s.runs, (unsigned long long)s.steals,
                (unsigned long long)s.parks, (unsigned long long)s.polls);
    wf_line_print(d->fd, &l);
}

// print_cycle is for wf_cycles_find.
static void print_cycle(const struct wf_cycle_task *tasks, unsigned n, void *arg)
{
    const struct dump *d = arg;
    struct wf_line l = { .n = 0 };

    for (unsigned i = 0; i < n; i++) {
        wf_cycle_line(&l, tasks, n, i);
        wf_line_print(d->fd, &l);
    }
}

void weft_rt_dump(weft_rt *rt, int fd)
{
    struct dump d = { .sched = rt->sched, .fd = fd, .now = wf_now() };
    struct wf_line l = { .n = 0 };

    d.room = wf_map(sizeof(*d.room));
    look_at_workers(&d);
    print_head(&d);
    wf_sched_each(rt->sched, dump_task, &d);
    for (unsigned i = 0; d.room && i < d.room->groups; i++)
        if (d.room->group[i].tasks > LINES_EACH)
            print_group(&d, &d.room->group[i]);
    wf_cycles_find(rt->sched, print_cycle, &d);
    wf_line_add(&l, "weft: %u tasks alive", d.tasks);
    wf_line_print(fd, &l);
    wf_symbols_fini(&d.symbols);
    if (d.room)
        wf_unmap(d.room, sizeof(*d.room));
}
