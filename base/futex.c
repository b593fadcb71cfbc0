#include "base/futex.h"

#include <errno.h>
#include <linux/futex.h>
#include <time.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/sys.h"

#ifdef WF_TSAN
#define SIGNAL_MAX_NS INT64_C(20000000) // how long ThreadSanitizer may delay a signal
#endif

static int sleep_on(_Atomic uint32_t *word, uint32_t seen, int64_t deadline)
{
    struct timespec ts, *limit = NULL;

    if (deadline != INT64_MAX) {
        ts = wf_timespec(deadline);
        limit = &ts;
    }
    // WAIT_BITSET, unlike WAIT, takes an absolute time.
    int err = wf_sys_futex(word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, seen, limit, FUTEX_BITSET_MATCH_ANY);
    return err == -ETIMEDOUT ? err : 0;
}

int wf_futex_wait(_Atomic uint32_t *word, uint32_t seen, int64_t deadline)
{
    wf_debug_assert((uintptr_t)word % sizeof(*word) == 0); // otherwise the kernel returns EINVAL at once, every time
#ifdef WF_TSAN
    // ThreadSanitizer delays a signal until its thread makes a call that it intercepts,
    // and it does not intercept weft's own system calls.
    for (int64_t end; (end = wf_after(wf_now_real(), SIGNAL_MAX_NS)) < deadline;) {
        int err = sleep_on(word, seen, end);
        usleep(0);
        if (err == 0)
            return 0;
    }
#endif
    return sleep_on(word, seen, deadline);
}

void wf_futex_wake(_Atomic uint32_t *word, int n)
{
    wf_debug_assert(n > 0 && (uintptr_t)word % sizeof(*word) == 0);
    (void)wf_sys_futex(word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, (uint32_t)n, NULL, 0);
}

bool wf_futex_faults(const void *word)
{
    return wf_sys_futex((_Atomic uint32_t *)word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 1, NULL, 0) == -EFAULT;
}
