// The timers: wheels, each under its own lock. For use in reactor/ only.
#ifndef WF_REACTOR_TIMER_H
#define WF_REACTOR_TIMER_H

#include "base/lock.h"
#include "timerwheel/timerwheel.h"

struct wf_reactor;

//   L  under `lock`
struct wf_timers {
    _Alignas(WF_CACHE_LINE) struct wf_lock lock;
    struct wf_wheel wheel;     // L
    char apart[WF_NO_SHARING]; // the next one's lock is another worker's
};

// wf_timers_init makes r->wheels wheels.  Returns: 0; -ENOMEM.
WF_MUST_CHECK int wf_timers_init(struct wf_reactor *r);
void wf_timers_fini(struct wf_reactor *r);

// wf_timers_check asserts that each wheel is in order, and that r->next is not later
// than the wheel's first timer.
// Context: any thread; takes the locks, one after the other.
void wf_timers_check(struct wf_reactor *r);

// wf_timers_next is the first moment at which any wheel may have a timer to fire, or
// WF_NEVER.  Context: any thread.
int64_t wf_timers_next(const struct wf_reactor *r);

// wf_timers_count is how many are armed.  Context: any thread; takes the locks, one
// after the other.
uint64_t wf_timers_count(struct wf_reactor *r);

// wf_timers_expire fires the timers that are due at `now` on all wheels, up to about
// 1000 a wheel. Returns: how many it fired.
// Context: the holder of the lease, or the reactor thread.
unsigned wf_timers_expire(struct wf_reactor *r, int64_t now);

#endif
