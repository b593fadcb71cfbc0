// A report of several lines, written to stderr by one call. So other output cannot come
// between the lines. If the write would block, the report is dropped.
#ifndef WF_RUNTIME_PAGE_H
#define WF_RUNTIME_PAGE_H

#include "runtime/see/line.h"
#include "sched/sched.h"

// What a pipe accepts as a whole, or not at all (PIPE_BUF).
enum { WF_PAGE_BYTES = 4096 };

struct wf_page {
    size_t n;
    char text[WF_PAGE_BYTES];
};

// wf_page_line adds the line `l` to the report, and empties `l`. wf_page_stack adds a
// line for each frame. Both leave out what does not fit.
void wf_page_line(struct wf_page *p, struct wf_line *l);
void wf_page_stack(struct wf_page *p, const struct wf_trace *t);

// wf_page_report writes the report to stderr, unless that would block.
void wf_page_report(const struct wf_page *p);

#endif
