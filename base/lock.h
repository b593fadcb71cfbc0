// A lock for a few instructions: Concurrency Kit's fetch-and-store spinlock (one locked
// instruction to take, a plain store to leave). A thread never holds it across a park,
// a system call that may block, or the firing of a waker. One exception: a thread may
// nap under it when the holder of a select's choice was preempted
// (runtime/wait/choice.h).
//
// wf_relax is the back-off of every wait that should be over in a few instructions. It
// spins first. Then the awaited thread has probably been preempted, so wf_relax yields
// the processor. At last it sleeps, because a thread of real-time priority does not
// yield to the ordinary thread that it has preempted.
#ifndef WF_BASE_LOCK_H
#define WF_BASE_LOCK_H

#include <ck_pr.h>
#include <ck_spinlock.h>

#include "base/assert.h"
#include "base/compiler.h"

struct wf_lock {
    ck_spinlock_fas_t spin;
};

static inline void wf_lock_init(struct wf_lock *l)
{
    ck_spinlock_fas_init(&l->spin);
}

// Such a wait counts its turns, from 0, or from WF_RELAX_SPINS if spinning would be
// useless.
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

// The wait for a taken lock. It is not inline: a counter on the stack, set before the
// exchange, would have to leave the store buffer first (lock and unlock: 10.9 ns
// inline, 7.5 so).
WF_NOINLINE void wf_lock_wait(struct wf_lock *l);
WF_NOINLINE void wf_lock_wait_patiently(struct wf_lock *l);

// wf_lock_held tells whether any thread has the lock: for assertions of its holder.
static inline bool wf_lock_held(const struct wf_lock *l)
{
    return ck_spinlock_fas_locked((ck_spinlock_fas_t *)(uintptr_t)&l->spin); // it only reads the lock
}

static inline void wf_lock_acquire(struct wf_lock *l)
{
    if (wf_unlikely(!wf_lock_try(l)))
        wf_lock_wait(l);
}

// wf_lock_acquire_patiently is for a lock that its holder usually takes again at once,
// many times. A thread that finds it taken does not access the lock's cache line for a
// while, at first for about 20 operations. So each of two such threads does many
// operations with the lines in its own cache. If a thread polled for the release
// instead, the two would alternate, with a cache miss each time.
static inline void wf_lock_acquire_patiently(struct wf_lock *l)
{
    if (wf_unlikely(!wf_lock_try(l)))
        wf_lock_wait_patiently(l);
}

static inline void wf_lock_release(struct wf_lock *l)
{
    wf_debug_assert(wf_lock_held(l));
    ck_spinlock_fas_unlock(&l->spin);
}

#endif
