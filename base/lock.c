#include "base/lock.h"

#include <sched.h>

#include "base/clock.h"
#include "base/futex.h"

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
    if (*turns >= WF_RELAX_SPINS + WF_RELAX_YIELDS) {
        nap();
        return;
    }
    ++*turns;
    sched_yield();
}
