// A filter of system calls, of the calling process and of the threads that it makes from
// now on.
#ifndef WF_TESTS_FILTER_H
#define WF_TESTS_FILTER_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/compiler.h"
#include "tests/support/child.h"

// filter_call has the kernel do `what` in place of one system call of this process.
// Returns: false if it may not.
static inline bool filter_call(long number, unsigned what)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, what),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = { .len = wf_countof(code), .filter = code };

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

enum { MAY_NOT_FILTER = 77 }; // what a child ends with that may not

// filter_or_exit is filter_call in a child.
static inline void filter_or_exit(long number, unsigned what)
{
    if (!filter_call(number, what))
        _exit(MAY_NOT_FILTER);
}

// refuse_call has one system call of a child fail.
static inline void refuse_call(long number, int error)
{
    filter_or_exit(number, SECCOMP_RET_ERRNO | (unsigned)error);
}

static inline void try_filter(void *arg)
{
    (void)arg;
    refuse_call(SYS_membarrier, EPERM);
    _exit(0);
}

// skip_without_filters skips the test where a process may not set any.
static inline void skip_without_filters(void)
{
    struct child c;

    child_run(&c, try_filter, NULL);
    if (WIFEXITED(c.status) && WEXITSTATUS(c.status) == MAY_NOT_FILTER)
        wf_test_skip("the process may not set a filter of system calls");
}

#endif
