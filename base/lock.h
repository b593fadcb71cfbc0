// A lock for a few instructions: Concurrency Kit's fetch-and-store spinlock (one locked instruction to take, a plain
// store to leave), which gives the processor away when the holder seems to have lost it. Never held across a park, a
// system call that may block, or a waker that is fired.
#ifndef WF_BASE_LOCK_H
#define WF_BASE_LOCK_H

#include <ck_pr.h>
#include <ck_spinlock.h>
#include <sched.h>

#include "base/compiler.h"

struct wf_lock {
    ck_spinlock_fas_t spin;
};

static inline void wf_lock_init(struct wf_lock *l)
{
    ck_spinlock_fas_init(&l->spin);
}

// wf_relax is one turn of a wait for somebody who needs only a few instructions more, unless he was preempted.
static inline void wf_relax(unsigned *turns)
{
    if (++*turns < 64)
        ck_pr_stall();
    else
        sched_yield();
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

    for (unsigned away = AWAY; wf_unlikely(!wf_lock_try(l)); away *= 2) {
        for (unsigned i = 0; i < away; i++)
            ck_pr_stall();
        if (away == AWAY_MAX) { // the holder may have lost the processor
            sched_yield();
            away = AWAY;
        }
    }
}

static inline void wf_lock_release(struct wf_lock *l)
{
    ck_spinlock_fas_unlock(&l->spin);
}

#endif
