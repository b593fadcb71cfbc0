// The scheduler's tables for a debugger (base/layout.h).
#include "base/layout.h"
#include "sched/state.h"

#define OF_SCHED(field) offsetof(struct wf_sched, field)
#define OF_WORKER(field) offsetof(struct wf_worker, field)
#define OF_TASK(field) offsetof(struct wf_task, field)

const struct wf_layout wf_sched_layout[] = {
    { "sched.name", OF_SCHED(name) },
    { "sched.nworkers", OF_SCHED(cfg.workers) },
    { "sched.workers", OF_SCHED(workers) },
    { "sched.slabs", OF_SCHED(headers.slabs) },
    { "sched.header_size", OF_SCHED(headers.size) },
    { "slab.older", offsetof(struct wf_header_slab, older) },
    { "slab.headers", offsetof(struct wf_header_slab, headers) },
    { "slab.memory", offsetof(struct wf_header_slab, memory) },
    { "worker.size", sizeof(struct wf_worker) },
    { "worker.index", OF_WORKER(index) },
    { "worker.thread", OF_WORKER(thread) },
    { "worker.tid", OF_WORKER(tid) },
    { "thread.current", offsetof(struct wf_thread, current) },
    { "task.word", OF_TASK(word) },
    { "task.sp", OF_TASK(context.sp) },
    { "task.stack", OF_TASK(stack) },
    { "task.worker", OF_TASK(worker) },
    { "task.id", OF_TASK(id) },
    { "task.name", OF_TASK(name) },
    { "task.what", OF_TASK(what) },
    { "task.on", OF_TASK(on) },
    { "stack.base", offsetof(struct wf_stack, base) },
    { "stack.top", offsetof(struct wf_stack, top) },
    { "word.active", WF_TASK_ACTIVE },
    { "word.woken", WF_TASK_WOKEN },
    { "word.cancelled", WF_TASK_CANCEL_PENDING },
    { "word.live", WF_TASK_LIVE },
    WF_LAYOUT_END,
};
