#include "base/lock.h"

#include "base/clock.h"
#include "base/futex.h"
#include "base/sys.h"

enum { SLEEP_NS = 50000 };

// nap sleeps on a futex that is never woken: unlike nanosleep, that is not a
// pthread_cancel point.
static void nap(void)
{
    _Atomic uint32_t nobody = 0;
    wf_futex_wait(&nobody, 0, wf_after(wf_now_real(), SLEEP_NS));
}

void wf_relax_long(unsigned *turns)
{
    wf_debug_assert(*turns >= WF_RELAX_SPINS && *turns <= WF_RELAX_SPINS + WF_RELAX_YIELDS);
    if (*turns >= WF_RELAX_SPINS + WF_RELAX_YIELDS) {
        nap();
        return;
    }
    ++*turns;
    wf_sys_sched_yield();
}

void wf_lock_wait(struct wf_lock *l)
{
    unsigned turns = 0;

    do {
        while (ck_spinlock_fas_locked(&l->spin))
            wf_relax(&turns);
    } while (!wf_lock_try(l));
}

void wf_lock_wait_patiently(struct wf_lock *l)
{
    enum { AWAY = 16, AWAY_MAX = 64 };
    unsigned turns = WF_RELAX_SPINS, away = AWAY;

    do {
        for (unsigned i = 0; i < away; i++)
            ck_pr_stall();
        if (away == AWAY_MAX) // the holder may have been preempted
            wf_relax_long(&turns);
        away = away == AWAY_MAX ? 2 * AWAY : 2 * away;
    } while (!wf_lock_try(l));
}
