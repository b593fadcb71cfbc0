// What the roof has of runtime/see: the inspect socket, which weft-top talks to, and what
// a runtime tells of itself unasked.
#ifndef WF_RUNTIME_SEE_SEE_H
#define WF_RUNTIME_SEE_SEE_H

#include "runtime/state.h"

// wf_inspect_start has a thread of its own listen at `address` (weft_config.inspect;
// NULL: none does). If nothing can listen there, one line on stderr says so.
// Returns: 0; -ENOMEM; -EAGAIN: the system refuses a thread.
// wf_inspect_stop ends it: before the workers end, as it looks at them.
// wf_inspect_abandon releases what a child of fork has inherited.
WF_MUST_CHECK int wf_inspect_start(struct weft_rt *rt, const char *address);
void wf_inspect_stop(struct weft_rt *rt);
void wf_inspect_abandon(struct weft_rt *rt);

// wf_stall_report writes of a task that holds its worker to stderr, unless that would
// block: for wf_stall_hook.
void wf_stall_report(void *unused, const struct wf_stall *stall);

// wf_deadlock_look looks for deadlocks in `rt`, and reports those that it has not reported
// before: for wf_search_hook.
void wf_deadlock_look(void *rt);

// wf_trigger_read reads WEFT_DUMP_SIGNAL.  Returns: 0, and the signal, 0: none;
// WEFT_BAD_CONFIG, having said why on stderr.
WF_MUST_CHECK int wf_trigger_read(int *signal);

// wf_trigger_add has `signal`, unless it is 0, dump `rt`, which runs; if another signal was
// named before, then that one. wf_trigger_remove ends that, before the
// threads of `rt` do.
void wf_trigger_add(weft_rt *rt, int signal);
void wf_trigger_remove(weft_rt *rt);

// wf_trigger_in_child: a child of fork has no runtime.
void wf_trigger_in_child(void);

#endif
