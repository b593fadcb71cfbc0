// splice(2), with neither end blocking.
//
// SPLICE_F_NONBLOCK is for pipes. Whether splice(2) waits for a TCP socket depends on
// the socket's O_NONBLOCK alone, which other processes may change. So the flag is
// checked right before each call, and on a socket in blocking mode weft uses calls with
// a flag against blocking (recv, send). splice(2) to a socket raises SIGPIPE:
// base/sigpipe.h.
#ifndef WF_RUNTIME_IO_SPLICE_H
#define WF_RUNTIME_IO_SPLICE_H

#include <fcntl.h>

#include "base/sys.h"
#include "runtime/io/ready.h"

enum { WF_SPLICE_FROM = 1 << 15 }; // for a piece of this many bytes splicing is cheaper than a buffer

// wf_splice_waits tells whether a call on `fd` without such a flag may block.
static inline bool wf_splice_waits(int fd)
{
    int flags = wf_sys_fcntl(fd, F_GETFL, 0);
    return flags >= 0 && !(flags & O_NONBLOCK);
}

static inline ssize_t wf_splice(int from, int to, size_t n)
{
    return WF_RETRY(wf_sys_splice(from, to, n, SPLICE_F_NONBLOCK | SPLICE_F_MOVE));
}

// wf_is_unsupported tells whether an error means that another call may succeed instead:
// the error is about the kind of file, or from a filter of system calls.
static inline bool wf_is_unsupported(ssize_t err)
{
    return err == -EINVAL || err == -ENOSYS || err == -EXDEV || err == -EOPNOTSUPP || err == -EPERM;
}

#endif
