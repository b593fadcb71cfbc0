// A lock for a few instructions: Concurrency Kit's fetch-and-store spinlock (one locked instruction to take, a plain
// store to leave). Never held across a park, a system call that may block, or a waker that is fired; except that a
// thread may nap under it that meets a select's choice whose holder was preempted (runtime/choice.h).
//
// Here is also how every wait goes that should be over in a few instructions: by wf_relax, again and again. It spins;
// then, as the one that is waited for seems to have lost the processor, it offers its own to equals; and then it
// sleeps, for a thread of real-time priority has no equal in an ordinary one that it has preempted.
#ifndef WF_BASE_LOCK_H
#define WF_BASE_LOCK_H

#include <ck_pr.h>
#include <ck_spinlock.h>

#include "base/compiler.h"

struct wf_lock {
    ck_spinlock_fas_t spin;
};

static inline void wf_lock_init(struct wf_lock *l)
{
    ck_spinlock_fas_init(&l->spin);
}

// A wait of that kind counts its turns, from 0 on; from WF_RELAX_SPINS on if to spin would be in vain.
enum { WF_RELAX_SPINS = 64, WF_RELAX_YIELDS = 64 };

// wf_relax_long is one turn past the spins: a yield, or 50 us of sleep.
WF_NOINLINE void wf_relax_long(unsigned *turns);

// wf_relax is one turn.
static inline void wf_relax(unsigned *turns)
{
    if (*turns >= WF_RELAX_SPINS) {
        wf_relax_long(turns);
        return;
    }
    ++*turns;
    ck_pr_stall();
}

static inline bool wf_lock_try(struct wf_lock *l)
{
    return ck_spinlock_fas_trylock(&l->spin);
}

static inline void wf_lock_acquire(struct wf_lock *l)
{
    unsigned turns = 0;
    while (wf_unlikely(!wf_lock_try(l)))
        while (ck_spinlock_fas_locked(&l->spin))
            wf_relax(&turns);
}

// wf_lock_acquire_patiently is for a lock that whoever has it mostly takes again at once, over and over. Who finds it
// taken stays away from its cache line for a while, at first some 20 operations long: so the two do many each with the
// lines in their own caches, where who watches for the moment of release makes them take turns, and miss every time.
static inline void wf_lock_acquire_patiently(struct wf_lock *l)
{
    enum { AWAY = 16, AWAY_MAX = 64 };
    unsigned turns = WF_RELAX_SPINS;

    for (unsigned away = AWAY; wf_unlikely(!wf_lock_try(l)); away *= 2) {
        for (unsigned i = 0; i < away; i++)
            ck_pr_stall();
        if (away == AWAY_MAX) { // the holder may have lost the processor
            wf_relax_long(&turns);
            away = AWAY;
        }
    }
}

static inline void wf_lock_release(struct wf_lock *l)
{
    ck_spinlock_fas_unlock(&l->spin);
}

#endif
