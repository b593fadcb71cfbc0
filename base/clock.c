#include "base/clock.h"

#include <stdbool.h>

#include "base/atomic.h"
#include "base/compiler.h"

static _Atomic bool manual;
static _Atomic int64_t manual_now;

int64_t wf_now(void)
{
    struct timespec ts;

    // relaxed: set before other threads start
    if (wf_unlikely(wf_load_relaxed(&manual)))
        return wf_load_relaxed(&manual_now);
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

void wf_clock_set_manual(int64_t now)
{
    wf_store_relaxed(&manual_now, now); // relaxed: as above
    wf_store_relaxed(&manual, true);
}

void wf_clock_advance(int64_t by)
{
    wf_fetch_add_relaxed(&manual_now, by); // relaxed: as above
}

void wf_clock_set_real(void)
{
    wf_store_relaxed(&manual, false); // relaxed: as above
}
