#ifndef WF_RUNTIME_IO_CLOSE_H
#define WF_RUNTIME_IO_CLOSE_H

struct wf_hold;

// wf_close_held frees a number that was closed while it was held, for the caller that
// was told so by wf_hold_end of `hold`.
// Context: any thread.
void wf_close_held(const struct wf_hold *hold);

#endif
