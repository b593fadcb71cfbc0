// One step of reading or writing, for calls of several steps.
#ifndef WF_RUNTIME_IO_STEP_H
#define WF_RUNTIME_IO_STEP_H

#include <sys/socket.h>

#include "base/sys.h"
#include "runtime/io/ready.h"

// A buffer that a system call fills, or empties.
struct wf_span {
    void *base;
    size_t n;
};

// wf_step_recv and wf_step_send are the system calls of most messages.
static inline ssize_t wf_step_recv(int fd, void *args)
{
    struct wf_span *s = args;
    return WF_RETRY(wf_sys_recv(fd, s->base, s->n, MSG_DONTWAIT));
}

// wf_step_send gets EINPROGRESS for the first bytes on a socket with
// TCP_FASTOPEN_CONNECT that has no cookie of its peer. The socket has taken none of
// them: it makes a connection first, for which the call waits.
static inline ssize_t wf_step_send(int fd, void *args)
{
    struct wf_span *s = args;
    ssize_t put;

    do {
        put = wf_sys_send(fd, s->base, s->n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (wf_likely(put >= 0))
            return put;
    } while (put == -EINTR);
    return put == -EINPROGRESS ? -EAGAIN : put;
}

// wf_step_read and wf_step_write are one step of weft_read and weft_write, on any kind
// of descriptor: the first step, or one after wf_ready_again.
ssize_t wf_step_read(struct wf_ready *r, void *buf, size_t n);
ssize_t wf_step_write(struct wf_ready *r, const void *buf, size_t n);

#endif
