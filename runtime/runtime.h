// What the files of runtime/ share: the runtime, assembled from the two engines, and the task that users see.
#ifndef WF_RUNTIME_RUNTIME_H
#define WF_RUNTIME_RUNTIME_H

#include <weft/runtime.h>
#include <weft/task.h>

#include "base/cell.h"
#include "reactor/reactor.h"
#include "sched/sched.h"

struct wf_pool; // runtime/blocking.c

// I: fixed after weft_rt_new
struct weft_rt {
    struct wf_sched *sched;     // I
    struct wf_reactor *reactor; // I
    struct wf_pool *blocking;   // I
    struct weft_rt *next;       // in the list of all runtimes, under its lock
    bool stopped;               // of whoever stops it
};

// wf_rt_current is the calling task's runtime; the caller has called wf_wait_begin.
struct weft_rt *wf_rt_current(void);

#endif
