// A report of several lines that is one write to stderr: it stays in one piece, and is
// left out rather than waited for.
#ifndef WF_RUNTIME_PAGE_H
#define WF_RUNTIME_PAGE_H

#include "runtime/see/line.h"
#include "sched/sched.h"

// What a pipe takes without a pause, if it takes anything (PIPE_BUF).
enum { WF_PAGE_BYTES = 4096 };

struct wf_page {
    size_t n;
    char text[WF_PAGE_BYTES];
};

// wf_page_line adds a line, and makes it empty; wf_page_stack, a line for each frame. What
// does not fit is left out.
void wf_page_line(struct wf_page *p, struct wf_line *l);
void wf_page_stack(struct wf_page *p, const struct wf_trace *t);

// wf_page_report writes it to stderr, unless that would block.
void wf_page_report(const struct wf_page *p);

#endif
