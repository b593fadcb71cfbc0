#include "base/clock.h"

#include "base/atomic.h"
#include "base/assert.h"
#include "base/compiler.h"

// A task on a thread with its own clock never leaves that thread (sched/sim.c). All
// other tasks find NULL on every thread. Nothing here is inlined, so the compiler does
// not keep the address across a change of threads.
static _Thread_local struct wf_clock *used;

static struct wf_clock manual;

WF_NOINLINE int64_t wf_now_real(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

WF_NOINLINE int64_t wf_now(void)
{
    if (wf_unlikely(used != NULL))
        return wf_load_relaxed(&used->now); // relaxed: a clock, see its field
    return wf_now_real();
}

WF_NOINLINE struct wf_clock *wf_clock_use(struct wf_clock *c)
{
    struct wf_clock *before = used;
    used = c;
    return before;
}

WF_NOINLINE struct wf_clock *wf_clock_used(void)
{
    return used;
}

void wf_clock_set_manual(int64_t now)
{
    wf_store_relaxed(&manual.now, now); // relaxed: a clock, see its field
    wf_clock_use(&manual);
}

void wf_clock_advance(int64_t by)
{
    wf_debug_assert(used == &manual && by >= 0);
    wf_fetch_add_relaxed(&manual.now, by); // relaxed: as above
}

void wf_clock_set_real(void)
{
    wf_clock_use(NULL);
}
