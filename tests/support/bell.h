// A bell: a waker that counts, and a thread that waits for the count. Unit tests use it
// in place of tasks.
#ifndef WF_TESTS_BELL_H
#define WF_TESTS_BELL_H

#include <stdint.h>

#include "base/futex.h"
#include "base/waker.h"

struct bell {
    _Atomic uint32_t rung;
};

static inline void bell_ring(void *bell)
{
    struct bell *b = bell;
    wf_fetch_add_acq_rel(&b->rung, 1u); // release: to bell_count
    wf_futex_wake(&b->rung, 1);
}

static inline struct wf_waker bell_waker(struct bell *b)
{
    return (struct wf_waker){ bell_ring, b };
}

static inline uint32_t bell_count(const struct bell *b)
{
    return wf_load_acquire(&b->rung); // acquire: from bell_ring
}

// bell_wait waits until it has rung `times` times.
static inline void bell_wait(struct bell *b, uint32_t times)
{
    for (uint32_t seen; (seen = bell_count(b)) < times;)
        wf_futex_wait(&b->rung, seen, INT64_MAX);
}

#endif
