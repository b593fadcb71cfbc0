// Counting the system calls of another process, by the kernel's tracepoints: about 0.1
// us a call, where strace takes some 20 us and so changes what it measures.
#ifndef BENCH_ECHO_SYSCALLS_H
#define BENCH_ECHO_SYSCALLS_H

#include <stdint.h>
#include <sys/types.h>

enum { SYSCALL_KINDS = 16 };

struct syscall_counter {
    unsigned kinds;
    const char *name[SYSCALL_KINDS]; // "total" first
    unsigned count;
    int *fds; // of one thread all kinds, then of the next
};

// syscalls_open attaches to every thread of `pid`; threads that these start are counted
// too.
//
// Returns: 0; -ENOSYS: no tracepoints here; -EACCES, -EPERM: not allowed to; -ESRCH;
// -EMFILE; -ENOMEM.
int syscalls_open(struct syscall_counter *c, pid_t pid);
void syscalls_close(struct syscall_counter *c);

// syscalls_read stores the count of each kind since syscalls_open.  Returns: 0, or a
// negative errno value.
int syscalls_read(const struct syscall_counter *c, int64_t counts[SYSCALL_KINDS]);

#endif
