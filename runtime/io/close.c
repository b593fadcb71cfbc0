#include <unistd.h>
#include <weft/io.h>

#include "runtime/io/ready.h"

// sys_close: an interrupted close(2) has closed, on Linux.
WF_NOINLINE static int sys_close(int fd)
{
    return close(fd) < 0 && errno != EINTR ? -errno : 0;
}

// In every runtime: the host program may have more than one. close(2) may take its time, so nothing is held meanwhile;
// why nobody is lost all the same says reactor/source.c.
int weft_close(int fd)
{
    if (fd < 0)
        return -EBADF;
    wf_closing_begin(fd);
    wf_rt_forget_fd(fd);
    int err = sys_close(fd);
    if (!wf_closing_end(fd, false)) {
        wf_rt_check_fd(fd);
        wf_closing_end(fd, true);
    }
    return err;
}
