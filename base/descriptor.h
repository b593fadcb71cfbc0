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

#endif
