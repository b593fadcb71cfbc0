// reactor/: readiness and expiry in, wakers out. A worker that has run dry waits in
// epoll (reactor/lease.h); one thread waits behind it, for the time when all workers
// compute (reactor/thread.c).
//
// This is the facade, the only header of reactor/ that other folders include.
#ifndef WF_REACTOR_REACTOR_H
#define WF_REACTOR_REACTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cell.h"
#include "base/idle_source.h"
#include "base/monitor.h"
#include "base/waker.h"
#include "timerwheel/timerwheel.h"

struct wf_reactor;

// What the reactor asks of the party that runs the tasks. The reactor does not know
// which that is.
struct wf_reactor_hooks {
    void *self;
    void (*batch_begin)(void *self); // the reactor thread is about to fire wakers,
    void (*batch_flush)(void *self); // and has fired them
    unsigned (*monitor)(void *self); // see wf_sched_monitor; called about once a tick. Returns: WF_MONITOR_*
};

// wf_reactor_new makes a reactor with `wheels` timer wheels; wf_reactor_start starts
// its thread, named `name`.
// Returns: 0; -ENOMEM; -EMFILE and the like; -EAGAIN if the thread is refused.
WF_MUST_CHECK int wf_reactor_new(struct wf_reactor **out, unsigned wheels);
WF_MUST_CHECK int wf_reactor_start(struct wf_reactor *r, const struct wf_reactor_hooks *hooks, const char *name);

// wf_reactor_make_room has the kernel make room for as many descriptors as the process
// may have, up to 64 Ki. Later, when the process has several threads, that would stall
// an accept.  Context: before threads are made.
void wf_reactor_make_room(const struct wf_reactor *r);

// wf_reactor_stop ends and joins the thread; no thread may use the poll any longer.
// wf_reactor_free releases the rest.
void wf_reactor_stop(struct wf_reactor *r);
void wf_reactor_free(struct wf_reactor *r);

// wf_reactor_idle_source is the poll, on loan.
struct wf_idle_source wf_reactor_idle_source(struct wf_reactor *r);

// --- descriptors ---------------------------------------------------------------------

// A source is the reactor's view of one descriptor number. It is never freed while the
// reactor lives, only used again for the next descriptor of that number; `generation`
// tells them apart.
//
// Each direction is a cell: SET means that a system call may succeed (its value counts
// the edges, so that a reader that found EAGAIN clears only what it saw), EMPTY that it
// would not; tasks that wait push a node.
//
// An event with EPOLLRDHUP, HUP, ERR or PRI leaves the mark WF_EDGE_LAST on the source
// (wf_source_has_last): behind the bytes that wait lies an end, an error or urgent
// data, which may announce itself by no further edge. So a short read then does not
// prove that the direction is drained.
enum wf_direction { WF_READ, WF_WRITE };
enum {                    // of wf_source.edges, which is part of the word of a ready cell
    WF_EDGE_LAST = 2,     // see above
    WF_EDGE_OWN = 4,      // what is registered was made by weft
    WF_EDGE_FRESH = 8,    // weft has made what the number means, if it is not closed by others
    WF_EDGE_CLAIMED = 16, // the generation ends also when a number that is not registered is closed; stays
    WF_EDGE_COUNT = 32,
};

struct wf_source {
    struct wf_cell ready[2];
    struct wf_cell changed;      // SET with each new generation, for a task that waits for neither direction
    _Atomic uint32_t generation; // odd: registered with epoll; even: not
    _Atomic uint32_t kind;       // runtime/io's: what it has found out about this generation; 0 when registered
    _Atomic uint32_t edges;      // counts events, in steps of WF_EDGE_COUNT: the value of the next edge; and the marks
    int fd;                      // fixed
};

// wf_source_has_last tells whether the source bears the mark, as of the last edge that
// the caller has seen in a cell.
static inline bool wf_source_has_last(const struct wf_source *s)
{
    return wf_load_relaxed(&s->edges) & WF_EDGE_LAST; // relaxed: [G4] in source.c
}

// wf_source_is_own tells whether weft has made what is registered, and will be told
// when it is closed. A task that parks on any other source calls wf_source_confirm
// before, and trusts no cell without.  Context: it is, or was, registered.
static inline bool wf_source_is_own(const struct wf_source *s)
{
    return wf_load_relaxed(&s->edges) & WF_EDGE_OWN; // relaxed: as old as the generation that the caller has found
}

// wf_source_since tells whether the number has not been closed since its generation was
// `began`. To be registered, of a number that was not, does not end it.
static inline bool wf_generation_since(uint32_t now, uint32_t began)
{
    return now == began || (now % 2 == 1 && now == began + 1);
}
static inline bool wf_source_since(const struct wf_source *s, uint32_t began)
{
    return wf_generation_since(wf_load_acquire(&s->generation), began); // [G3] in source.c
}

// wf_edge_is_event tells whether the word of a ready cell is an event, not what
// registering set it to. wf_edge_is_of: of that generation of a source that is weft's
// own, not of an older one that came late. wf_edge_is_since: one that epoll has reported
// since it was given that stamp (wf_source_confirm), so the direction was ready at a
// moment since then. (The stamp is in the word's upper half: reactor/source.c.)
enum { WF_STAMPS = 1 << 27 };
static inline bool wf_edge_is_event(uintptr_t word)
{
    wf_debug_assert(word == 0 || word & WF_CELL_SET);
    return (uint32_t)word >= WF_EDGE_COUNT;
}
static inline bool wf_edge_is_of(uintptr_t word, uint32_t generation)
{
    return wf_edge_is_event(word) && (uint64_t)word >> 32 == generation;
}
static inline bool wf_edge_is_since(uintptr_t word, uint32_t stamp)
{
    uint32_t step = (uint32_t)((uint64_t)word >> 32) - stamp;
    return wf_edge_is_event(word) && step % WF_STAMPS < WF_STAMPS / 2;
}

// wf_source_get finds the source of `fd`; NULL if it was never registered. One that is
// not registered any more has an even generation.  Context: any thread.
struct wf_source *wf_source_get(struct wf_reactor *r, int fd);

// wf_source_register registers `fd` with epoll, once, edge-triggered, both directions;
// both begin as ready. What is registered already stays so, if it is what the number
// means now; else its waiters are woken, and it is registered anew.
// Returns: 0, the source in *out and its generation; 1: the same, but a closer is at the number, so this may be of
//          a file that is going: the next call must call wf_source_register, too, before it waits;
//          -ENOMEM; -EPERM (a regular file); -EBADF; -ENOSPC (the system's limits of watches).
// Context: any thread.
WF_MUST_CHECK int wf_source_register(struct wf_reactor *r, int fd, struct wf_source **out, uint32_t *generation);

// wf_source_confirm is for a task that is about to park on a source which is not weft's
// own, with its node in the cell: others may have closed the number, and epoll does not
// tell. It also makes epoll report anew what is ready, by *stamp or a later one.
// Returns: 0: park; -EBADF: the generation is over (by this call, perhaps): all waiters
// are woken.
// Context: any thread.
WF_MUST_CHECK int wf_source_confirm(struct wf_reactor *r, struct wf_source *s, uint32_t generation, uint32_t *stamp);

// wf_source_recognise is for a task that was woken by a source which is not weft's own:
// the number may mean another file by now, though the old one, of which there is a
// duplicate, has reported something.
// Returns: 0: it means what the generation does; -EBADF: as wf_source_confirm.
// Context: any thread.
WF_MUST_CHECK int wf_source_recognise(struct wf_reactor *r, struct wf_source *s, uint32_t generation);

// wf_source_fresh is told of every descriptor that the kernel has just made for weft:
// it is weft's own until it is closed. If one of its number is registered still, others
// have closed that one: it is forgotten.
// Context: any thread that has not yet told others of the descriptor.
void wf_source_fresh(struct wf_reactor *r, int fd);

// wf_source_claim finds the source of a number, registered or not, for a caller that
// wants to see later, by wf_source_since, whether it was closed; its cell `changed` is
// set then, too.
// Returns: the source, and its generation now; NULL for want of memory.
// Context: any thread.
struct wf_source *wf_source_claim(struct wf_reactor *r, int fd, uint32_t *generation);

// wf_source_closed tells whether wf_source_forget has ended that generation of a
// number, or a later one.  Context: the number was registered.
bool wf_source_closed(struct wf_reactor *r, int fd, uint32_t generation);

// wf_source_forget takes `fd` out of epoll and wakes all tasks that wait on it: they
// find another generation.
// Returns: true if it was registered.
// Context: any thread.
bool wf_source_forget(struct wf_reactor *r, int fd);

// wf_source_check is wf_source_forget if the registration is of a file that the number
// does not mean any more.
// Returns: true if it is registered, and stays so.
// Context: any thread.
bool wf_source_check(struct wf_reactor *r, int fd);

// The closer of a number, in whatever reactors it is registered, calls
// wf_closing_begin, wf_registry_forget, wf_hold_defer, and close(2), with
// no lock held; and then wf_closing_end. If that returns false, the number may have
// been registered too late to be forgotten, and too early to be a successor's:
// wf_registry_check, and wf_closing_end again, with `checked`. (Why:
// source.c.)
// Context: any thread. No thread waits for the closer.
void wf_closing_begin(int fd);
bool wf_closing_end(int fd, bool checked);

// wf_closing_now tells whether the number may be about to be closed, and leaves word
// that it was asked: the closer then checks what is registered.  Context: any thread.
bool wf_closing_now(int fd);

// wf_registry_forget takes `fd` out of every reactor of the process, and wakes the
// tasks that wait on it there. wf_registry_check does so where what is registered is
// not what the number means now.  Context: any thread.
void wf_registry_forget(int fd);
void wf_registry_check(int fd);

// wf_registry_in_child: a child of fork has no reactor.
void wf_registry_in_child(void);

// wf_closing_reset: in a child of fork no number is being closed.
void wf_closing_reset(void);

// A hold keeps a number from being closed, and so from being used again, while a system
// call is made on it that must reach the file of generation `began` and no other. It
// lies on the stack of the caller, which does not park meanwhile.
struct wf_hold {
    struct wf_hold *next; // under the lock of closing.c, all of it
    int fd;
    bool closes;  // the number is to be freed when the hold ends
    bool covered; // and means no file any more
};

// wf_hold_begin returns false, and there is no hold, if the number has been closed
// since. wf_hold_end ends a hold. Returns: true if the number was to be closed
// meanwhile: now the caller frees it, and does what comes after close(2). wf_hold_defer
// is for the closer of a number, when it has been forgotten. Returns: 0: it is not
// held, go on; 1: others hold it, and so does the caller, which closes the file but
// leaves the number taken, sets `covered`, and ends the hold; -EBADF: another closer
// has been here.
// Context: any thread; does not wait.
WF_MUST_CHECK bool wf_hold_begin(struct wf_hold *h, int fd, const struct wf_source *s, uint32_t began);
WF_MUST_CHECK bool wf_hold_end(struct wf_hold *h);
WF_MUST_CHECK int wf_hold_defer(struct wf_hold *h, int fd);

// wf_source_alone makes an epoll set of its own for `fd`, which polls as readable while
// one of `events` (of poll(2), 0: only errors) holds: for a task that waits for less
// than what makes a direction ready. The caller closes it.
// Returns: its descriptor; -EMFILE, -ENFILE, -ENOMEM, -ENOSPC, -EBADF.
// Context: any thread.
WF_MUST_CHECK int wf_source_alone(int fd, short events);

// --- timers --------------------------------------------------------------------------

// A timer is the caller's, and fires a waker once. All fields are the reactor's.
struct wf_timer {
    struct wf_wheel_node node;
    struct wf_waker waker;
    struct wf_timers *home; // the wheel it was armed on
    _Atomic bool fired;     // written before the waker is fired
};

// wf_timer_arm arms `t` for `deadline` on wheel `wheel` (take the caller's own: no
// other thread contends for it).
// Context: any thread. Wakes the poller only if it would sleep past the deadline.
void wf_timer_arm(struct wf_reactor *r, unsigned wheel, struct wf_timer *t, int64_t deadline, struct wf_waker waker);

// wf_timer_disarm: after it the timer is the caller's again. If it had expired, its
// waker may still fire once, late.
// Context: any thread; once for each arm, fired or not.
void wf_timer_disarm(struct wf_timer *t);

static inline bool wf_timer_fired(const struct wf_timer *t)
{
    return wf_load_acquire(&t->fired); // [W1] what was true when it fired is visible
}

// --- by hand -------------------------------------------------------------------------

// For one thread that has a clock of its own (wf_clock_use) and moves it by hand: it
// makes the reactor and runs the turns; wf_reactor_start is not called. The idle
// source's poll, without waiting, finds what has happened so far.

// wf_reactor_rewind makes the wheels, on which no timer is armed, stand where the clock
// stands, which may be earlier.
void wf_reactor_rewind(struct wf_reactor *r);

// wf_reactor_next_timer is the earliest deadline of all timers, to the nanosecond;
// WF_NEVER if none is armed. wf_reactor_expire fires those whose deadline has come, to
// the nanosecond, too.  Returns: how many.
int64_t wf_reactor_next_timer(struct wf_reactor *r);
unsigned wf_reactor_expire(struct wf_reactor *r);

// wf_reactor_wait waits up to `wait` ns of real time (WF_NEVER: without bound),
// whatever timers there are, for events or the idle source's interrupt, and fires the
// wakers of the events. Only where no reactor thread was started.
// Returns: how many events.
unsigned wf_reactor_wait(struct wf_reactor *r, int64_t wait);

// wf_reactor_awaited tells whether a task waits for a descriptor. O(descriptors that
// were ever registered).
bool wf_reactor_awaited(const struct wf_reactor *r);

// Counters for benchmarks, tests and dumps.
struct wf_reactor_stats {
    uint64_t polls, events, expired, interrupts;
    uint64_t wakes, ticks; // of the thread: how often it slept, and looked at the workers
    uint64_t timers;       // that are armed
    uint64_t descriptors;  // that are registered
};
void wf_reactor_stats(struct wf_reactor *r, struct wf_reactor_stats *out);

#endif
