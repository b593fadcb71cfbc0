// One step of reading or writing, for the calls that make many.
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

// wf_step_recv and wf_step_send are what every message comes through.
static inline ssize_t wf_step_recv(int fd, void *args)
{
    struct wf_span *s = args;
    return WF_RETRY(wf_sys_recv(fd, s->base, s->n, MSG_DONTWAIT));
}

// wf_step_send: EINPROGRESS is the answer to the first bytes on a socket that opens fast
// (TCP_FASTOPEN_CONNECT) but has no cookie of its peer. None was taken: a connection is
// being made first, and to be waited for.
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

// wf_step_read and wf_step_write are one step of weft_read and weft_write, on whatever
// the descriptor is: of the first call, or behind wf_ready_again.
ssize_t wf_step_read(struct wf_ready *r, void *buf, size_t n);
ssize_t wf_step_write(struct wf_ready *r, const void *buf, size_t n);

#endif
