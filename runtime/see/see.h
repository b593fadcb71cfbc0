// What runtime.c and config.c use of runtime/see: the inspect socket, to which weft-top
// connects, and the reports that a runtime writes by itself.
#ifndef WF_RUNTIME_SEE_SEE_H
#define WF_RUNTIME_SEE_SEE_H

#include "runtime/state.h"

// wf_inspect_start starts a thread that listens at `address` (weft_config.inspect;
// NULL: no thread). If the socket cannot listen there, one line on stderr says so.
// Returns: 0; -ENOMEM; -EAGAIN if the system refuses a thread. wf_inspect_stop ends the
// thread. The caller must do that before the workers end, because the thread looks at
// them. wf_inspect_abandon releases what a child of fork has inherited.
WF_MUST_CHECK int wf_inspect_start(struct weft_rt *rt, const char *address);
void wf_inspect_stop(struct weft_rt *rt);
void wf_inspect_abandon(struct weft_rt *rt);

// wf_stall_report reports a task that holds its worker on stderr, unless that would
// block. It is the function of wf_stall_hook.
void wf_stall_report(void *unused, const struct wf_stall *stall);

// wf_deadlock_look looks for deadlocks in `rt`, and reports those that it has not
// reported before. It is the function of wf_search_hook.
void wf_deadlock_look(void *rt);

// wf_trigger_read reads WEFT_DUMP_SIGNAL. Returns: 0, and the signal in *signal (0:
// none); WEFT_BAD_CONFIG, after one line on stderr says why.
WF_MUST_CHECK int wf_trigger_read(int *signal);

// wf_trigger_add makes `signal`, unless it is 0, dump `rt`, which is running. If an
// earlier call named another signal, that signal dumps `rt` instead. wf_trigger_remove
// ends that; it is called before the threads of `rt` end.
void wf_trigger_add(weft_rt *rt, int signal);
void wf_trigger_remove(weft_rt *rt);

// wf_trigger_in_child empties the list in a child of fork, which has no runtime.
void wf_trigger_in_child(void);

#endif
