// The turn: wait for events and due timers, and fire their wakers.
#ifndef WF_REACTOR_TURN_H
#define WF_REACTOR_TURN_H

#include <stdint.h>

struct wf_reactor;
struct wf_reactor_hooks;

// wf_turn waits up to `wait` ns (0: not at all; WF_NEVER: without bound), but not past the next timer; dispatches up to
// 256 events (r->full says that there may be more), then fires the timers that are due. `batch` (may be NULL) is told
// when wakers are about to fire, and have fired.
//
// Returns: how many events and timers there were, each of which may have fired wakers; 0: none has fired.
// Context: whoever holds the lease.
unsigned wf_turn(struct wf_reactor *r, int64_t wait, const struct wf_reactor_hooks *batch);

// wf_turn_interrupt ends the wait of a turn; if none waits, the next one that would does not.  Context: any thread.
void wf_turn_interrupt(struct wf_reactor *r);

#endif
