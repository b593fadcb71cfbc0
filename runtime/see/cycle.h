// Deadlocks: tasks that wait for each other in a circle, for a mutex that the next one
// holds, for its end (weft_join), or for the children of a scope, of which it is one.
#ifndef WF_RUNTIME_CYCLE_H
#define WF_RUNTIME_CYCLE_H

#include <stdint.h>

#include "runtime/see/line.h"
#include "sched/sched.h"

enum { WF_CYCLE_MAX = 32 }; // tasks; longer ones are not found

// A task of a cycle; the next one is what it waits for.
struct wf_cycle_task {
    uint64_t id;
    const char *name, *what;
    intptr_t on;
    struct wf_trace trace;
};

// wf_cycles_find calls fn for each cycle that there was at one moment, and that none of its
// tasks will leave unless it is cancelled. `tasks` is fn's during the call.
// Context: any thread; also a signal handler. Allocates nothing but a mapping.
void wf_cycles_find(struct wf_sched *sched, void (*fn)(const struct wf_cycle_task *tasks, unsigned n, void *arg),
                    void *arg);

// wf_cycle_line adds what the task at `i` waits for: a line of several.
void wf_cycle_line(struct wf_line *l, const struct wf_cycle_task *tasks, unsigned n, unsigned i);

#endif
