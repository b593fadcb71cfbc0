// The lease: who may run a turn (wait in epoll, dispatch what is ready, expire what is due: turn.c).
//
// One word. Holding it is the right to run turns, so what only turns touch (`edges` of a source, the counters) has one
// owner at a time and needs no lock.
//
//                    wf_lease_borrow                       wf_lease_take
//           +-----------------------------> WORKER    +-----------------> REACTOR
//           |                                 |       |                      |
//         FREE <--- wf_lease_return(false) ---+-------|----------------------+
//           |                                 |       |
//           +---- wf_lease_take --------------|-------+
//           .                                 |       |
//         HANDED <-- wf_lease_return(true) ---+       |
//           |                                         |
//           +---- wf_lease_take ----------------------+
//           +---- wf_lease_borrow ---> WORKER
//
// HANDED is free, and says that the reactor thread should keep the poll: nobody else is going to. It is a state of this
// word, and no flag beside it, so that a worker who borrows again takes the request back with it.
//
// Edges.
//   L1  wf_lease_return's exchange (release) -> the compare-and-swap that takes it next (acquire):
//       all that the last holder did is visible to the next
//   L2  no doze without somebody to end it. The reactor thread stops ticking while a worker waits in epoll (thread.c):
//
//         reactor thread (tick_once, doze)    worker (give_back)
//         [S] unwatched = true                [X] lease = FREE or HANDED
//         [L] lease: still WORKER? sleep      [L] unwatched? wake the reactor thread
//
//       All four are seq_cst, so at least one of the two sees the other's. If the word is WORKER only again (the loan
//       ended, another began) the same holds for the end of that one.
//   L3  no doze, and no unbounded sleep in epoll, while something waits behind what an awake worker runs:
//
//         reactor thread (tick_once, keep)    worker that wakes up (attend, when something waits)
//         [S] unwatched = true                [X] it counts as awake
//         [L] watch: all asleep? sleep        [L] unwatched? wake the reactor thread: from its futex, or,
//                                                 if it has the lease, from epoll (E1)
//
//       All are seq_cst, so at least one of the two sees the other's.
#ifndef WF_REACTOR_LEASE_H
#define WF_REACTOR_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"

enum wf_lease_state { WF_LEASE_FREE, WF_LEASE_HANDED, WF_LEASE_WORKER, WF_LEASE_REACTOR };

struct wf_lease {
    _Atomic uint32_t word; // A
};

static inline bool wf_lease_claim(struct wf_lease *l, uint32_t who)
{
    uint32_t seen = wf_load_relaxed(&l->word); // relaxed: saves the exclusive cache line while it is taken
    return seen <= WF_LEASE_HANDED && wf_cas_seq_cst(&l->word, &seen, who); // [L1] [L3]
}

// wf_lease_borrow takes the lease for a worker, wf_lease_take for the reactor thread.
// Returns: false if it is taken, or was just then.
static inline bool wf_lease_borrow(struct wf_lease *l)
{
    return wf_lease_claim(l, WF_LEASE_WORKER);
}

static inline bool wf_lease_take(struct wf_lease *l)
{
    return wf_lease_claim(l, WF_LEASE_REACTOR);
}

// wf_lease_return gives it back.  Context: the holder.
static inline void wf_lease_return(struct wf_lease *l, bool handover)
{
    wf_exchange_seq_cst(&l->word, (uint32_t)(handover ? WF_LEASE_HANDED : WF_LEASE_FREE)); // [L1] [L2]
}

// wf_lease_state tells who has it, or had it just now.
static inline enum wf_lease_state wf_lease_state(const struct wf_lease *l)
{
    return (enum wf_lease_state)wf_load_seq_cst(&l->word); // [L2]
}

#endif
