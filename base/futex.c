#include "base/futex.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"

int wf_futex_wait(_Atomic uint32_t *word, uint32_t seen, int64_t deadline)
{
    struct timespec ts, *limit = NULL;

    wf_debug_assert((uintptr_t)word % sizeof(*word) == 0); // else the kernel returns at once, again and again
    if (deadline != INT64_MAX) {
        ts = wf_timespec(deadline);
        limit = &ts;
    }
    // WAIT_BITSET, unlike WAIT, takes an absolute time.
    long err =
        syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, seen, limit, NULL, FUTEX_BITSET_MATCH_ANY);
    return err < 0 && errno == ETIMEDOUT ? -ETIMEDOUT : 0;
}

void wf_futex_wake(_Atomic uint32_t *word, int n)
{
    wf_debug_assert(n > 0 && (uintptr_t)word % sizeof(*word) == 0);
    syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, n, NULL, NULL, 0);
}

bool wf_futex_faults(const void *word)
{
    return syscall(SYS_futex, word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0) < 0 && errno == EFAULT;
}
