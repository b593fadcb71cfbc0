// What weft-top shows: how busy workers and tasks were for some time, and what tasks
// wait for.
#ifndef WF_RUNTIME_SEE_TOP_H
#define WF_RUNTIME_SEE_TOP_H

#include "runtime/state.h"

// The counters and the time at the beginning.
struct wf_top {
    struct wf_sched_stats before;
    int64_t since;
};

void wf_top_begin(struct weft_rt *rt, struct wf_top *top);

// wf_top_write writes the table to `fd`. The recorder must have been on since
// wf_top_begin.
// Returns: 0; -ENOMEM; the errors of write(2).
WF_MUST_CHECK int wf_top_write(struct weft_rt *rt, const struct wf_top *top, int fd);

#endif
