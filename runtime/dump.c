// The task dump: one line for each living task. No lock and no allocation, so that it works when all else is stuck.
#include <stdio.h>
#include <unistd.h>

#include "runtime/runtime.h"

struct dump {
    int fd;
    unsigned tasks;
};

// print writes a line that snprintf has made in `room` bytes; one that did not fit is cut off, but ends as a line.
static void print(int fd, char *line, int n, size_t room)
{
    size_t len = (size_t)n < room ? (size_t)n : room - 1;

    line[len - 1] = '\n';
    if (write(fd, line, len) < 0)
        return; // nobody reads it
}

static void dump_task(struct wf_task *task, void *arg)
{
    struct dump *d = arg;
    char line[192];
    uint32_t word = wf_load_acquire(&task->word);     // acquire: the header is filled
    const char *what = wf_load_relaxed(&task->what); // relaxed: each line is a snapshot of its own
    const char *name = task->name;
    const char *state = !(word & WF_TASK_ACTIVE) ? "parked" : what ? "woken" : task->stack ? "running or queued" : "new";
    int n = snprintf(line, sizeof(line), "  task %llu%s%s%s: %s%s%s", (unsigned long long)task->id, name ? " '" : "",
                     name ? name : "", name ? "'" : "", state, what ? ", waits for " : "", what ? what : "");

    if (what && n < (int)sizeof(line))
        n += snprintf(line + n, sizeof(line) - (size_t)n, " %lld", (long long)wf_load_relaxed(&task->on)); // relaxed: same
    if (n < (int)sizeof(line))
        n += snprintf(line + n, sizeof(line) - (size_t)n, "%s\n", word & WF_TASK_CANCEL ? " (cancelled)" : "");
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
