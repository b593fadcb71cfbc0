// The task dump: one line for each living task. It takes no lock and allocates nothing,
// so that it works when the rest is stuck.
#include <stdio.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/sys.h"
#include "runtime/state.h"

struct dump {
    int fd;
    unsigned tasks;
};

// print writes a line that snprintf has made in `room` bytes; a line that did not fit
// is truncated, but still ends with a newline.
static void print(int fd, char *line, int n, size_t room)
{
    wf_debug_assert(n > 0 && room > 1);
    size_t len = (size_t)n < room ? (size_t)n : room - 1;

    line[len - 1] = '\n';
    (void)wf_sys_write(fd, line, len); // the reader may be gone
}

// What a line tells of a task.
struct line {
    uint64_t id;
    uint32_t word;
    const char *name, *what;
    intptr_t on;
    bool begun;
};

// read_header reads a header while its task may be running. Returns: false if the task
// has ended in between: then the header may be another task's, and the values a mixture
// of both. ThreadSanitizer is disabled here: the plain fields are single words.
__attribute__((no_sanitize("thread"))) static bool read_header(const struct wf_task *task, struct line *l)
{
    l->word = wf_load_acquire(&task->word); // acquire: the header is filled
    l->id = task->id;
    l->name = task->name;
    l->begun = wf_task_begun(task);
    l->what = wf_load_relaxed(&task->what); // relaxed: each line is its own snapshot
    l->on = wf_load_relaxed(&task->on);
    bool live = wf_load_acquire(&task->word) & WF_TASK_LIVE; // acquire: and the number once more after it
    return live && *(const volatile uint64_t *)&task->id == l->id;
}

static void dump_task(struct wf_task *task, void *arg)
{
    struct dump *d = arg;
    struct line l;
    char line[192];

    if (!read_header(task, &l))
        return;
    const char *state = l.begun ? "running or queued" : "new";
    if (l.what)
        state = l.word & WF_TASK_ACTIVE ? "woken" : "parked";
    const char *quote = l.name ? "'" : "";
    int n = snprintf(line, sizeof(line), "  task %llu%s%s%s%s: %s%s%s", (unsigned long long)l.id, l.name ? " " : "",
                     quote, l.name ? l.name : "", quote, state, l.what ? ", waits for " : "", l.what ? l.what : "");

    if (l.what && n < (int)sizeof(line)) // a descriptor's number, a task's, or the address of an object
        n += snprintf(line + n, sizeof(line) - (size_t)n, l.on >> 32 ? " %#llx" : " %lld", (long long)l.on);
    if (n < (int)sizeof(line))
        n +=
            snprintf(line + n, sizeof(line) - (size_t)n, "%s\n", l.word & WF_TASK_CANCEL_PENDING ? " (cancelled)" : "");
    print(d->fd, line, n, sizeof(line));
    d->tasks++;
}

void weft_rt_dump(weft_rt *rt, int fd)
{
    struct dump d = { fd, 0 };
    struct wf_sched_stats s;
    char line[192];

    wf_sched_stats(rt->sched, &s);
    int n = snprintf(line, sizeof(line), "weft: %u workers; %llu tasks run, %llu steals, %llu sleeps, %llu polls\n",
                     wf_sched_workers(rt->sched), (unsigned long long)s.runs, (unsigned long long)s.steals,
                     (unsigned long long)s.parks, (unsigned long long)s.polls);
    print(fd, line, n, sizeof(line));
    wf_sched_each(rt->sched, dump_task, &d);
    n = snprintf(line, sizeof(line), "weft: %u tasks alive\n", d.tasks);
    print(fd, line, n, sizeof(line));
}
