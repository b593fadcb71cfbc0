// Descriptors that weft keeps for itself.
#ifndef WF_BASE_DESCRIPTOR_H
#define WF_BASE_DESCRIPTOR_H

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

// wf_above_standard moves what the kernel has just made away from the numbers 0 to 2,
// should these be free: they mean standard input, output and error to printf, and to a
// daemon that points them to /dev/null.
// Returns: the number; -errno, also of the call that has made it (-1).
static inline int wf_above_standard(int fd)
{
    if (fd < 0)
        return -errno;
    if (fd > STDERR_FILENO)
        return fd;
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1), err = -errno;
    close(fd);
    return moved < 0 ? err : moved;
}

// wf_pipe_above_standard makes a pipe, by pipe2(2), of which neither end has one of these
// numbers.
// Returns: 0; -errno.
static inline int wf_pipe_above_standard(int fd[2], int flags)
{
    if (pipe2(fd, flags) < 0)
        return -errno;
    fd[0] = wf_above_standard(fd[0]);
    fd[1] = wf_above_standard(fd[1]);
    if (fd[0] >= 0 && fd[1] >= 0)
        return 0;
    int err = fd[0] < 0 ? fd[0] : fd[1];
    close(fd[0] < 0 ? fd[1] : fd[0]);
    return err;
}

#endif
