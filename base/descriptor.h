// Descriptors that weft keeps for itself.
#ifndef WF_BASE_DESCRIPTOR_H
#define WF_BASE_DESCRIPTOR_H

#include <fcntl.h>
#include <unistd.h>

#include "base/sys.h"

// wf_above_standard moves a new descriptor away from the numbers 0 to 2, which the
// kernel uses if they are free: printf writes to them, and a daemon replaces them by
// /dev/null. Returns: the new number; a negative error, which may be `fd` itself.
static inline int wf_above_standard(int fd)
{
    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    int moved = wf_sys_fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    (void)wf_sys_close(fd);
    return moved;
}

// wf_pipe_above_standard makes a pipe, by pipe2(2), whose ends have numbers above 2.
// Returns: 0; -errno.
static inline int wf_pipe_above_standard(int fd[2], int flags)
{
    int err = wf_sys_pipe2(fd, flags);

    if (err < 0)
        return err;
    fd[0] = wf_above_standard(fd[0]);
    fd[1] = wf_above_standard(fd[1]);
    if (fd[0] >= 0 && fd[1] >= 0)
        return 0;
    err = fd[0] < 0 ? fd[0] : fd[1];
    (void)wf_sys_close(fd[0] < 0 ? fd[1] : fd[0]);
    return err;
}

#endif
