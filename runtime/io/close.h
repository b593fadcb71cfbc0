#ifndef WF_RUNTIME_IO_CLOSE_H
#define WF_RUNTIME_IO_CLOSE_H

struct wf_hold;

// wf_close_held frees a number that was closed while `hold` held it. Its caller is the
// one for which wf_hold_end has returned true.
// Context: any thread.
void wf_close_held(const struct wf_hold *hold);

#endif
