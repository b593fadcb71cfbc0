#include <unistd.h>
#include <weft/io.h>

#include "runtime/io/ready.h"

// sys_close: an interrupted close(2) has closed, on Linux.
WF_NOINLINE static int sys_close(int fd)
{
    return close(fd) < 0 && errno != EINTR ? -errno : 0;
}

int weft_close(int fd)
{
    wf_rt_forget_fd(fd); // in every runtime: the host program may have more than one
    weft_rt *rt = weft_rt_current();
    return rt ? wf_source_close(rt->reactor, fd) : sys_close(fd);
}
