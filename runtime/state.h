// What the files of runtime/ share: the runtime, assembled from the two engines, and
// the task that users see.
#ifndef WF_RUNTIME_STATE_H
#define WF_RUNTIME_STATE_H

#include <weft/future.h>
#include <weft/runtime.h>
#include <weft/task.h>

#include "base/cell.h"
#include "reactor/reactor.h"
#include "sched/sched.h"

struct wf_origin;      // base/origin.h
struct wf_inspect;     // runtime/see/inspect.c
struct wf_pipes;       // runtime/io/pipe.c
struct wf_pool;        // runtime/task/lane.h
struct wf_shelves;     // runtime/io/buffer.c
struct wf_scope;       // runtime/wait/scope.h
struct wf_cancel_node; // runtime/wait/cancel.h

// I: fixed after weft_rt_new; A: atomic
struct weft_rt {
    struct wf_sched *sched;     // I
    struct wf_reactor *reactor; // I
    struct wf_pool *blocking;   // I
    struct wf_pipes *pipes;     // I
    struct wf_shelves *shelves; // I
    unsigned forks;             // I: the number of forks before it was made (wf_rt_forks)
    _Atomic uint32_t end;       // A: RUNNING, ENDING or ENDED, a futex; [F1]
    _Atomic uint32_t stoppers;  // A: calls of weft_rt_stop that have not returned; [F1]
    bool started;               // I: its threads run, and it uses SIGPIPE's handler
    struct wf_inspect *inspect; // I: NULL: none
    weft_time stop_after;       // I: how long weft_rt_free may take; 0: as long as it takes
    unsigned deadlocks;         // of the reactor thread: how many it has reported,
    uint64_t deadlock[16];      // and which (runtime/see/deadlock.c)
    bool triggered;             // I: it is in the list of runtime/see/trigger.c,
    _Atomic(weft_rt *) next;    // A: and the next one there
    struct wf_origin *origin;   // I: the settings of the thread that made it
    struct weft_rt *following;  // of runtime/see/layout.c: in its list, under its lock
};

// What a task needs to begin; unused once it has begun.
struct wf_birth {
    weft_fn *fn;
    void *arg;
    struct wf_scope *home; // the scope it is spawned into, or NULL
};

// What a task needs while it runs.
struct wf_life {
    struct wf_cancel_node *inner; // the first level that may cancel it; NULL: only the task itself
    int64_t shielded_until;       // if core.shields > 0
    void **locals;                // NULL until the first weft_local_set; locals[0] is their number
};

// T: the task itself (its spawner before, its joiner after); H: the holder of the
// handle; A: atomic
struct weft_task {
    struct wf_task core; // the scheduler's part; first
    weft_future done;    // A: completes with the result
    struct weft_rt *rt;  // I
    union {
        struct wf_birth birth; // T: until it begins
        struct wf_life life;   // T: from then on
    };
    struct wf_cell_node reaper; // of weft_detach: waits for the end, to free the header
};

_Static_assert(sizeof(struct weft_task) <= 192 || sizeof(struct wf_context) > sizeof(void *),
               "three cache lines a header: a million spawned tasks are a million of them");

static inline struct weft_task *wf_weft_task(struct wf_task *core)
{
    return (struct weft_task *)core;
}

static inline struct wf_cell *wf_future_cell(weft_future *f)
{
    return (struct wf_cell *)(void *)f->weft_word;
}

// wf_rt_current is the calling task's runtime; the caller has called wf_wait_begin.
static inline struct weft_rt *wf_rt_current(void)
{
    return wf_weft_task(wf_self())->rt;
}

// wf_rt_make makes a runtime whose threads do not run yet, from a configuration that
// wf_config_read has filled in. An idle worker calls `idle`; NULL: the reactor's poll.
// weft_rt_free ends it.
// Returns: 0; -ENOMEM; -EMFILE and the like.
WF_MUST_CHECK int wf_rt_make(weft_rt **out, const weft_config *full, const struct wf_idle_source *idle);

// The two calls of the scheduler into runtime/task/task.c: `run` and `ended` of its
// configuration.
int wf_task_body(struct wf_task *core);
void wf_task_ended(struct wf_task *core);

// wf_task_spawn makes and submits a task of `rt`, in the scope `home` unless that is
// NULL. `out` NULL: detached. `opts` may be NULL; its scope is ignored. A starved task
// must not call it, because it could not wait for its child.
WF_MUST_CHECK int wf_task_spawn(struct weft_rt *rt, struct weft_task **out, const weft_spawn_opts *opts,
                                struct wf_scope *home, weft_fn *fn, void *arg);

// wf_locals_destroy runs the destructors of the ending task's values, on it.
void wf_locals_destroy(struct weft_task *task);

// wf_config_read fills in the defaults, from the environment or else the machine.
// Returns: 0; WEFT_BAD_CONFIG, after a line on stderr that names the setting.
WF_MUST_CHECK int wf_config_read(weft_config *out, const weft_config *given);

// wf_config_seed is a seed from the system, not 0.
uint64_t wf_config_seed(void);

#endif
