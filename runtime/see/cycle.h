// Deadlocks: tasks that wait for each other in a circle. Each task waits for a mutex
// that the next task holds, for the end of the next task (weft_join), or for the
// children of a scope, of which the next task is one.
#ifndef WF_RUNTIME_CYCLE_H
#define WF_RUNTIME_CYCLE_H

#include <stdint.h>

#include "runtime/see/line.h"
#include "sched/sched.h"

enum { WF_CYCLE_MAX = 32 }; // tasks; longer cycles are not reported

// A task of a cycle. It waits for the next one.
struct wf_cycle_task {
    uint64_t id;
    const char *name, *what;
    intptr_t on;
    struct wf_trace trace;
};

// wf_cycles_find calls fn for each cycle that existed at one moment, and whose tasks
// wait until one of them is cancelled. `tasks` is valid only during the call.
// Context: any thread; also a signal handler. The function allocates only a mapping.
void wf_cycles_find(struct wf_sched *sched, void (*fn)(const struct wf_cycle_task *tasks, unsigned n, void *arg),
                    void *arg);

// wf_cycle_line adds the line that says what the task at `i` waits for.
void wf_cycle_line(struct wf_line *l, const struct wf_cycle_task *tasks, unsigned n, unsigned i);

#endif
