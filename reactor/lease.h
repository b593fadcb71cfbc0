// The lease: which worker has the poll. At most one worker at a time polls, or waits in
// epoll; other idle workers sleep on futexes.
//
//                  wf_lease_borrow
//           FREE ------------------> TAKEN
//             ^                        |
//             +--- wf_lease_return ----+
//
// Only the holder may run a worker's turns (turn.c). The reactor thread needs no lease
// for its own turns: it waits in the same epoll set, behind the worker (thread.c). While
// the holder waits, a busy worker may poll beside it; a second lease, `beside`, admits
// one such worker at a time. All three may use sources and wheels at the same time:
// several threads may set a source's cells (source.c), and a wheel has a lock (timer.c).
//
// Edge L1: wf_lease_return's store (release) -> the compare-and-swap that takes it next
// (acquire): all that the last holder did is visible to the next.
#ifndef WF_REACTOR_LEASE_H
#define WF_REACTOR_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/atomic.h"

enum wf_lease_state { WF_LEASE_FREE, WF_LEASE_TAKEN };

struct wf_lease {
    _Atomic uint32_t word; // A
};

// wf_lease_borrow takes the lease. Returns: false if it is taken, or was taken at the
// same moment.
static inline bool wf_lease_borrow(struct wf_lease *l)
{
    uint32_t seen = wf_load_relaxed(&l->word); // relaxed: a failed look does not take the cache line exclusively
    return seen == WF_LEASE_FREE && wf_cas_acquire(&l->word, &seen, (uint32_t)WF_LEASE_TAKEN); // [L1]
}

// wf_lease_is_taken tells whether a worker has it: for assertions of that worker.
static inline bool wf_lease_is_taken(const struct wf_lease *l)
{
    return wf_load_relaxed(&l->word) == WF_LEASE_TAKEN; // relaxed: the caller's own mark
}

// wf_lease_return gives it back.  Context: the holder.
static inline void wf_lease_return(struct wf_lease *l)
{
    wf_debug_assert(wf_lease_is_taken(l));
    wf_store_release(&l->word, (uint32_t)WF_LEASE_FREE); // [L1]
}

#endif
