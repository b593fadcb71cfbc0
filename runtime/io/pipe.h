// The pipes of copies, for splice(2). A runtime keeps some for each worker, so that new
// ones are rare. A copy holds a pipe only while it contains bytes.
#ifndef WF_RUNTIME_IO_PIPE_H
#define WF_RUNTIME_IO_PIPE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

struct weft_rt;
struct wf_service;

// The stock of a runtime (weft_rt.pipes), as a service.
extern const struct wf_service wf_pipes_service;

// A pipe of weft's own. Neither end blocks, and neither is registered with epoll.
struct wf_pipe {
    int in, out; // bytes written to `in` are read from `out`; -1: none
    size_t size; // bytes it takes at most
    size_t n;    // bytes in it: the holder's
};

// wf_pipe_take gets a pipe. Returns: false if the system refuses one.  wf_pipe_give
// gives it back; a pipe that is not empty is closed.
// Context: task; the task may park while it has the pipe.
WF_MUST_CHECK bool wf_pipe_take(struct weft_rt *rt, struct wf_pipe *p);
void wf_pipe_give(struct weft_rt *rt, struct wf_pipe *p);

static inline bool wf_pipe_held(const struct wf_pipe *p)
{
    return p->out >= 0;
}

#endif
