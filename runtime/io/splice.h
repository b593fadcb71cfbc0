// splice(2), of which neither end blocks.
//
// SPLICE_F_NONBLOCK is for pipes. Whether splice(2) waits for a TCP socket depends on
// the socket's O_NONBLOCK alone, which other processes may change. So it is looked at
// right before each call, and a socket in blocking mode is left to calls that have a
// flag of their own (recv, send). splice(2) to a socket raises SIGPIPE: base/sigpipe.h.
#ifndef WF_RUNTIME_IO_SPLICE_H
#define WF_RUNTIME_IO_SPLICE_H

#include <fcntl.h>

#include "base/sys.h"
#include "runtime/io/ready.h"

enum { WF_SPLICE_FROM = 1 << 15 }; // bytes of a piece from which on splicing is cheaper than a buffer

// wf_splice_waits tells whether a call on `fd` without a flag of its own may wait.
static inline bool wf_splice_waits(int fd)
{
    int flags = wf_sys_fcntl(fd, F_GETFL, 0);
    return flags >= 0 && !(flags & O_NONBLOCK);
}

static inline ssize_t wf_splice(int from, int to, size_t n)
{
    return WF_RETRY(wf_sys_splice(from, to, n, SPLICE_F_NONBLOCK | SPLICE_F_MOVE));
}

// wf_is_unsupported tells whether an error says that a call cannot do this here, and
// another one may: of the kind of file, or of a filter of system calls.
static inline bool wf_is_unsupported(ssize_t err)
{
    return err == -EINVAL || err == -ENOSYS || err == -EXDEV || err == -EOPNOTSUPP || err == -EPERM;
}

#endif
