// reactor/ turns the readiness of descriptors and the expiry of timers into calls of
// wakers. An idle worker waits in epoll (reactor/lease.h). The reactor thread waits
// behind it, and serves events while all workers compute (reactor/thread.c).
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

// The functions that the reactor calls in the part that runs the tasks. The reactor
// does not know that part.
struct wf_reactor_hooks {
    void *self;
    void (*batch_begin)(void *self); // the reactor thread is about to fire wakers,
    void (*batch_flush)(void *self); // and has fired them
    unsigned (*monitor)(void *self); // see wf_sched_monitor; called about once a tick. Returns: WF_MONITOR_*
    bool one_worker;                 // there is no second worker to run what an event wakes
};

// wf_reactor_new makes a reactor with `wheels` timer wheels; wf_reactor_start starts
// its thread, named `name`.
// Returns: 0; -ENOMEM; -EMFILE and the like; -EAGAIN if the thread is refused.
WF_MUST_CHECK int wf_reactor_new(struct wf_reactor **out, unsigned wheels);
WF_MUST_CHECK int wf_reactor_start(struct wf_reactor *r, const struct wf_reactor_hooks *hooks, const char *name);

// wf_reactor_make_room makes the kernel enlarge its table of descriptors to the
// process's limit, up to 64 Ki. To enlarge it later, when the process has several
// threads, would stall an accept. Context: before threads are made.
void wf_reactor_make_room(const struct wf_reactor *r);

// wf_reactor_stop ends and joins the thread; no thread may use the poll any longer.
// wf_reactor_free releases the rest.
void wf_reactor_stop(struct wf_reactor *r);
void wf_reactor_free(struct wf_reactor *r);

// wf_reactor_idle_source is the poll as an idle source, for workers to borrow.
struct wf_idle_source wf_reactor_idle_source(struct wf_reactor *r);

// --- descriptors ---------------------------------------------------------------------

// A source is the reactor's view of one descriptor number. It is not freed while the
// reactor exists; the next descriptor of that number uses it again. `generation`
// distinguishes the descriptors.
//
// Each direction is a cell. SET means that a system call may succeed, EMPTY that it
// would not; a waiting task pushes a node. The value of a SET cell counts the edges, so
// a reader that got EAGAIN clears only the edge that it saw.
//
// An event with EPOLLRDHUP, HUP, ERR or PRI sets the mark WF_EDGE_LAST of the source
// (wf_source_has_last): after the waiting bytes comes an end, an error or urgent data,
// for which there may be no further edge. So a short read then does not prove that the
// direction is drained.
enum wf_direction { WF_READ, WF_WRITE };
enum {                    // of wf_source.edges, which is part of the word of a ready cell
    WF_EDGE_LAST = 2,     // see above
    WF_EDGE_OWN = 4,      // weft has made the registered descriptor
    WF_EDGE_FRESH = 8,    // weft has made the number's present descriptor
    WF_EDGE_CLAIMED = 16, // the generation ends also by a close while not registered; stays
    WF_EDGE_COUNT = 32,
};

struct wf_source {
    struct wf_cell ready[2];
    struct wf_cell changed;      // SET with each new generation, for a task that waits for neither direction
    _Atomic uint32_t generation; // odd: registered with epoll; even: not
    _Atomic uint32_t kind;       // runtime/io's findings about this generation; 0 when registered
    _Atomic uint32_t edges;      // counts events, in steps of WF_EDGE_COUNT; and the marks
    int fd;                      // fixed
};

// wf_source_has_last tells whether the source has the mark, as of the last edge that
// the caller has seen in a cell.
static inline bool wf_source_has_last(const struct wf_source *s)
{
    return wf_load_relaxed(&s->edges) & WF_EDGE_LAST; // relaxed: [G4] in source.c
}

// wf_source_is_own tells whether weft has made the registered descriptor, so that
// weft_close will close it. A task calls wf_source_confirm before it parks on any other
// source, and trusts a cell of such a source only after that. Context: the source is,
// or was, registered.
static inline bool wf_source_is_own(const struct wf_source *s)
{
    return wf_load_relaxed(&s->edges) & WF_EDGE_OWN; // relaxed: as old as the generation that the caller has found
}

// wf_source_since tells whether the number has not been closed since its generation was
// `began`. The registration of a number does not end the generation in which it was not
// registered.
static inline bool wf_generation_since(uint32_t now, uint32_t began)
{
    return now == began || (now % 2 == 1 && now == began + 1);
}
static inline bool wf_source_since(const struct wf_source *s, uint32_t began)
{
    return wf_generation_since(wf_load_acquire(&s->generation), began); // [G3] in source.c
}

// wf_edge_is_event tells whether an event has set a ready cell to this word, not a
// registration. wf_edge_is_of tells whether the event belongs to that generation of a
// source of weft's own, and not to an older one. wf_edge_is_since tells whether epoll
// has reported the event since wf_source_confirm gave it that stamp: then the direction
// was ready at some moment since. (The stamp is in the word's upper half:
// reactor/source.c.)
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

// wf_source_get finds the source of `fd`; NULL if it was never registered. A source
// that is no longer registered has an even generation. Context: any thread.
struct wf_source *wf_source_get(struct wf_reactor *r, int fd);

// wf_source_register registers `fd` with epoll, once, edge-triggered, both directions;
// both begin as ready. A number that is registered already keeps its registration if
// that is for the number's present file. Otherwise its waiters are woken, and it is
// registered anew.
// Returns: 0, the source in *out and its generation; 1: the same, but another thread is
//          closing the number, so the registration may be for the old file: the next
//          call, too, must call wf_source_register before it waits; -ENOMEM; -EPERM (a
//          regular file); -EBADF; -ENOSPC (the system's limits of watches).
// Context: any thread.
WF_MUST_CHECK int wf_source_register(struct wf_reactor *r, int fd, struct wf_source **out, uint32_t *generation);

// wf_source_confirm is for a task that is about to park on a source which is not weft's
// own, with its node in the cell. Other code may have closed the number, of which epoll
// does not tell. The call also makes epoll report the present readiness anew, with
// *stamp or a later stamp.
// Returns: 0: park; -EBADF: the generation is over (perhaps this call has ended it):
// all waiters are woken.
// Context: any thread.
WF_MUST_CHECK int wf_source_confirm(struct wf_reactor *r, struct wf_source *s, uint32_t generation, uint32_t *stamp);

// wf_source_recognise is for a task that a source which is not weft's own has woken.
// The number may mean another file by now: if the old file has a duplicate, epoll still
// reports events of the old file.
// Returns: 0: the number still means the file of the generation; -EBADF: as
//          wf_source_confirm.
// Context: any thread.
WF_MUST_CHECK int wf_source_recognise(struct wf_reactor *r, struct wf_source *s, uint32_t generation);

// wf_source_fresh marks a descriptor that the kernel has just made for weft as weft's
// own, until it is closed. If an older descriptor of its number is still registered,
// other code has closed that: the call forgets it.
// Context: any thread that has not yet told others of the descriptor.
void wf_source_fresh(struct wf_reactor *r, int fd);

// wf_source_claim finds the source of a number, registered or not, for a caller that
// checks later, by wf_source_since, whether it was closed. A close also sets the
// source's cell `changed`.
// Returns: the source, and its generation now; NULL if there is no memory.
// Context: any thread.
struct wf_source *wf_source_claim(struct wf_reactor *r, int fd, uint32_t *generation);

// wf_source_closed tells whether wf_source_forget has ended that generation of a
// number, or a later one.  Context: the number was registered.
bool wf_source_closed(struct wf_reactor *r, int fd, uint32_t generation);

// wf_source_forget removes `fd` from epoll and wakes all tasks that wait on it; they
// find another generation.
// Returns: true if it was registered.
// Context: any thread.
bool wf_source_forget(struct wf_reactor *r, int fd);

// wf_source_check is wf_source_forget if the registration is for a file that the number
// no longer means.
// Returns: true if it is registered, and stays so.
// Context: any thread.
bool wf_source_check(struct wf_reactor *r, int fd);

// The thread that closes a number calls, without a lock, wf_closing_begin,
// wf_registry_forget, wf_hold_defer, close(2), and then wf_closing_end. If the last
// returns false, another thread may have registered the old file after
// wf_registry_forget: the closer then calls wf_registry_check, and wf_closing_end
// again, with `checked`. (source.c has the argument.)
// Context: any thread. No thread waits for the closer.
void wf_closing_begin(int fd);
bool wf_closing_end(int fd, bool checked);

// wf_closing_now tells whether a thread may be closing the number. If so, it notes that
// it was asked, so that the closer checks the registration. Context: any thread.
bool wf_closing_now(int fd);

// wf_registry_forget removes `fd` from every reactor of the process, and wakes the
// tasks that wait on it there. wf_registry_check does so where the registration is not
// for the number's present file. Context: any thread.
void wf_registry_forget(int fd);
void wf_registry_check(int fd);

// wf_registry_in_child empties the registry in a child of fork, which has no reactor.
void wf_registry_in_child(void);

// wf_closing_reset empties the table in a child of fork, where no thread closes a
// number.
void wf_closing_reset(void);

// A hold prevents the kernel from giving the number to another file during a system
// call that must reach the file of generation `began`. It is on the stack of the
// caller, which does not park while it holds.
struct wf_hold {
    struct wf_hold *next; // under the lock of closing.c, all of it
    int fd;
    bool closes;  // the end of this hold frees the number
    bool covered; // the number means no file any more
};

// wf_hold_begin returns false, and takes no hold, if the number has been closed since
// `began`. wf_hold_end ends a hold. Returns: true if a closer came during the hold:
// then the caller frees the number, and does what follows close(2). wf_hold_defer is
// for the closer, after wf_registry_forget. Returns: 0: no hold, go on; 1: others hold
// the number, and now the caller, too: it closes the file but keeps the number taken,
// sets `covered`, and ends its hold; -EBADF: another thread has closed the number.
// Context: any thread; does not wait.
WF_MUST_CHECK bool wf_hold_begin(struct wf_hold *h, int fd, const struct wf_source *s, uint32_t began);
WF_MUST_CHECK bool wf_hold_end(struct wf_hold *h);
WF_MUST_CHECK int wf_hold_defer(struct wf_hold *h, int fd);

// wf_source_alone makes a separate epoll set for `fd`, which polls as readable while
// one of `events` (of poll(2), 0: only errors) holds: for a task that waits for a
// subset of a direction's events. The caller closes it.
// Returns: its descriptor; -EMFILE, -ENFILE, -ENOMEM, -ENOSPC, -EBADF.
// Context: any thread.
WF_MUST_CHECK int wf_source_alone(int fd, short events);

// --- timers --------------------------------------------------------------------------

// The caller provides the storage of a timer, which fires a waker once. Only the
// reactor uses the fields.
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

// wf_timer_disarm gives the timer back to the caller. If the timer had expired, its
// waker may still fire once, later.
// Context: any thread; once for each arm, fired or not.
void wf_timer_disarm(struct wf_timer *t);

static inline bool wf_timer_fired(const struct wf_timer *t)
{
    return wf_load_acquire(&t->fired); // [W1] what was true when it fired is visible
}

// --- by hand -------------------------------------------------------------------------

// For one thread that has its own clock (wf_clock_use) and moves it by hand. That
// thread makes the reactor and runs the turns, without wf_reactor_start. The idle
// source's poll, without a wait, finds the events so far.

// wf_reactor_rewind sets the wheels to the present of the clock, which may be earlier
// than theirs. No timer is armed.
void wf_reactor_rewind(struct wf_reactor *r);

// wf_reactor_next_timer is the earliest deadline of all timers, to the nanosecond;
// WF_NEVER if none is armed. wf_reactor_expire fires the timers whose deadline has
// passed, also to the nanosecond. Returns: how many.
int64_t wf_reactor_next_timer(struct wf_reactor *r);
unsigned wf_reactor_expire(struct wf_reactor *r);

// wf_reactor_wait waits up to `wait` ns of real time (WF_NEVER: without bound) for
// events or the idle source's interrupt, without regard to timers, and fires the wakers
// of the events. Only where no reactor thread was started.
// Returns: how many events.
unsigned wf_reactor_wait(struct wf_reactor *r, int64_t wait);

// wf_reactor_awaited tells whether a task waits for a descriptor. O(descriptors that
// were ever registered).
bool wf_reactor_awaited(const struct wf_reactor *r);

// Counters for benchmarks, tests and dumps.
struct wf_reactor_stats {
    uint64_t polls, events, expired, interrupts;
    uint64_t wakes, ticks; // of the reactor thread: how often it slept, and checked the workers
    uint64_t timers;       // that are armed
    uint64_t descriptors;  // that are registered
};
void wf_reactor_stats(struct wf_reactor *r, struct wf_reactor_stats *out);

#endif
