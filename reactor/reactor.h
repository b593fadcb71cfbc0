// reactor/: readiness and expiry in, wakers out. One thread owns epoll and the timer wheels, and lends the poll to
// workers that have run dry (DESIGN: the lease, reactor/lease.h).
//
// This is the facade, the only header of reactor/ that other folders include.
#ifndef WF_REACTOR_REACTOR_H
#define WF_REACTOR_REACTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cell.h"
#include "base/idle_source.h"
#include "base/waker.h"
#include "timerwheel/timerwheel.h"

struct wf_reactor;

// What the reactor asks of whoever runs the tasks. It does not know who that is.
struct wf_reactor_hooks {
    void *self;
    void (*batch_begin)(void *self); // the reactor thread is about to fire wakers,
    void (*batch_flush)(void *self); // and has fired them
    unsigned (*watch)(void *self);   // see wf_sched_watch; called about once a millisecond while tasks run
};
enum { WF_REACTOR_ALL_ASLEEP = 1, WF_REACTOR_STUCK = 2 }; // what watch returns

// wf_reactor_new makes a reactor with `wheels` timer wheels; wf_reactor_start starts its thread, named `name`.
// Returns: 0; -ENOMEM; -EMFILE and the like; -EAGAIN if the thread is refused.
WF_MUST_CHECK int wf_reactor_new(struct wf_reactor **out, unsigned wheels);
WF_MUST_CHECK int wf_reactor_start(struct wf_reactor *r, const struct wf_reactor_hooks *hooks, const char *name);

// wf_reactor_stop ends and joins the thread; nobody may use the poll any more. wf_reactor_free releases the rest.
void wf_reactor_stop(struct wf_reactor *r);
void wf_reactor_free(struct wf_reactor *r);

// wf_reactor_idle_source is the poll, on loan.
struct wf_idle_source wf_reactor_idle_source(struct wf_reactor *r);

// --- descriptors -----------------------------------------------------------------------------------------------------

// A source is the reactor's view of one descriptor number. It is never freed while the reactor lives, only used again
// for the next descriptor of that number; `generation` tells them apart.
//
// Each direction is a cell: SET means that a system call may succeed (its value counts the edges, so that a reader who
// found EAGAIN clears only what it saw), EMPTY that it would not; tasks that wait push a node.
enum wf_direction { WF_READ, WF_WRITE };

struct wf_source {
    struct wf_cell ready[2];
    _Atomic uint32_t generation; // odd: registered with epoll; even: not
    uint32_t edges;              // of whoever has the poll: counts events, the value of the next edge
    int fd;                      // fixed
};

// wf_source_get finds the source of `fd`; NULL if it was never registered. One that is not registered any more has an
// even generation.  Context: any thread.
struct wf_source *wf_source_get(struct wf_reactor *r, int fd);

// wf_source_register registers `fd` with epoll, once, edge-triggered, both directions; both begin as ready. Registering
// twice does nothing.
// Returns: 0 and the source in *out; -ENOMEM; -EPERM (a regular file); -EBADF; -ENOSPC (the system's limit of watches).
// Context: any thread.
WF_MUST_CHECK int wf_source_register(struct wf_reactor *r, int fd, struct wf_source **out);

// wf_source_forget takes `fd` out of epoll and wakes all who wait on it: they find another generation.
// Called before close(2). Returns: true if it was registered.
// Context: any thread.
bool wf_source_forget(struct wf_reactor *r, int fd);

// --- timers ----------------------------------------------------------------------------------------------------------

// A timer is the caller's, and fires a waker once. All fields are the reactor's.
struct wf_timer {
    struct wf_wheel_node node;
    struct wf_waker waker;
    struct wf_timers *home; // the wheel it was armed on
    _Atomic bool fired;     // written before the waker is fired
};

// wf_timer_arm arms `t` for `deadline` on wheel `wheel` (take the caller's own: it is contended by nobody).
// Context: any thread. Wakes the poller only if it would sleep past the deadline.
void wf_timer_arm(struct wf_reactor *r, unsigned wheel, struct wf_timer *t, int64_t deadline, struct wf_waker waker);

// wf_timer_disarm: after it the timer is the caller's again. Its waker may still be fired once, late, if it had expired.
// Context: any thread; once for each arm, fired or not.
void wf_timer_disarm(struct wf_timer *t);

static inline bool wf_timer_fired(const struct wf_timer *t)
{
    return wf_load_acquire(&t->fired); // [W1] what was true when it fired is visible
}

// Counters for benchmarks, tests and dumps.
struct wf_reactor_stats {
    uint64_t polls, events, expired, ticks, interrupts;
};
void wf_reactor_stats(struct wf_reactor *r, struct wf_reactor_stats *out);

#endif
