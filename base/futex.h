// Linux futexes, private to the process, with absolute deadlines on the monotonic
// clock.
#ifndef WF_BASE_FUTEX_H
#define WF_BASE_FUTEX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"

// wf_futex_wait sleeps while *word == seen, until woken or `deadline` (ns; INT64_MAX:
// none). The call may return early.
// Returns: 0, or -ETIMEDOUT.
int wf_futex_wait(_Atomic uint32_t *word, uint32_t seen, int64_t deadline);

// wf_futex_wake wakes up to `n` sleepers.
void wf_futex_wake(_Atomic uint32_t *word, int n);

// wf_futex_faults tells whether the kernel cannot read an aligned word, which must not
// hold 1: a futex wait reads the word first, and returns at once if it differs.
bool wf_futex_faults(const void *word);

#endif
