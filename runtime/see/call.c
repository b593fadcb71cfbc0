#include "runtime/see/call.h"

#include <stddef.h>
#include <sys/syscall.h>

#include "base/assert.h"

struct call {
    long number;
    const char *name;
    bool on_descriptor;
};

#define CALL(name) { SYS_##name, #name, false }
#define CALL_ON(name) { SYS_##name, #name, true }

// The system calls that may take long.
static const struct call calls[] = {
    { SYS_pread64, "pread", true },
    { SYS_pwrite64, "pwrite", true },
    CALL_ON(read),
    CALL_ON(write),
    CALL_ON(readv),
    CALL_ON(writev),
    CALL_ON(preadv),
    CALL_ON(pwritev),
    CALL_ON(recvfrom),
    CALL_ON(recvmsg),
    CALL_ON(recvmmsg),
    CALL_ON(sendto),
    CALL_ON(sendmsg),
    CALL_ON(sendmmsg),
    CALL_ON(accept),
    CALL_ON(accept4),
    CALL_ON(connect),
    CALL_ON(sendfile),
    CALL_ON(splice),
    CALL_ON(copy_file_range),
    CALL_ON(fsync),
    CALL_ON(fdatasync),
    CALL_ON(fallocate),
    CALL_ON(ftruncate),
    CALL_ON(flock),
    CALL_ON(fcntl),
    CALL_ON(ioctl),
    CALL_ON(getdents64),
    CALL_ON(close),
    CALL_ON(epoll_pwait),
    CALL(openat),
    CALL(unlinkat),
    CALL(ppoll),
    CALL(pselect6),
    CALL(nanosleep),
    CALL(clock_nanosleep),
    CALL(restart_syscall),
    CALL(rt_sigtimedwait),
    CALL(futex),
    CALL(wait4),
    CALL(waitid),
    CALL(msgrcv),
    CALL(msgsnd),
    CALL(semtimedop),
    CALL(munmap),
    CALL(msync),
    CALL(getrandom),
#ifdef SYS_epoll_wait // only older architectures have these calls
    CALL_ON(epoll_wait),
    CALL(open),
    CALL(poll),
    CALL(select),
    CALL(pause),
#endif
};

const char *wf_call_name(long number, bool *on_descriptor)
{
    wf_debug_assert(on_descriptor != NULL);
    for (size_t i = 0; i < wf_countof(calls); i++)
        if (calls[i].number == number) {
            *on_descriptor = calls[i].on_descriptor;
            return calls[i].name;
        }
    *on_descriptor = false;
    return NULL;
}
