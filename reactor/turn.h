// The turn: wait for events and due timers, and fire their wakers.
#ifndef WF_REACTOR_TURN_H
#define WF_REACTOR_TURN_H

#include <stdbool.h>
#include <stdint.h>

struct wf_reactor;

// wf_turn is a worker's turn. It waits up to `wait` ns (0: not at all; WF_NEVER:
// without bound), but not past the next timer; dispatches up to 256 events, then fires
// the timers that are due.
// Returns: the number of events and timers, each of which may have fired wakers; 0: no
// waker has fired.
// Context: the worker that holds the lease.
unsigned wf_turn(struct wf_reactor *r, int64_t wait);

// wf_turn_beside is a turn of a busy worker, while another worker waits in epoll or is
// about to. It does not wait.
// Returns: as wf_turn.
// Context: the worker that holds the lease `beside`.
unsigned wf_turn_beside(struct wf_reactor *r);

// The result of a turn of the reactor thread.
struct wf_turn_result {
    unsigned fired;  // as wf_turn returns
    bool called;     // by wf_interrupt_thread
    bool propagated; // the thread took an interrupt of the worker, and passed it on
};

// wf_turn_of_thread is a turn of the reactor thread, which waits until `until` at most
// (0: not at all). It calls the hooks before and after it fires wakers. As long as a
// batch is full, it polls again, without waiting.
// Context: the reactor thread.
struct wf_turn_result wf_turn_of_thread(struct wf_reactor *r, int64_t until);

// wf_turn_is_awaited tells whether a worker waits in epoll; a hint.
bool wf_turn_is_awaited(const struct wf_reactor *r);

#endif
