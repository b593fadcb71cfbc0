// Readiness: how a call on a descriptor waits for its turn. Only runtime/io looks at
// the reactor's sources.
//
// Every call in io.h is the same loop around a different system call, which does not
// block:
//
//      wf_ready_open ----> look at the direction's cell
//                            |  ready, or not registered       |  not ready
//                            v                                 |
//                          try the system call                 |
//                            |            | -EAGAIN            |
//                   it counts v           v                    v
//      wf_ready_short (was it less    wf_ready_wait: register it, or clear the cell and park ----> look again
//      than asked for?), and return
//
// A descriptor is registered at its first EAGAIN (a listener, at its first accept), so
// one that never has to wait never costs an epoll call. From then on the cell says in
// advance whether a system call can succeed: one that found the direction drained
// clears it, and the next call parks without asking the kernel. That makes two system
// calls a message of a steady echo.
//
// Clearing. A call reads the cell's word, makes the system call, sees that the number
// has not been closed meanwhile (so that the system call was made on the descriptor of
// this generation), and clears the cell only if the word has not changed: an edge that
// came in between has another count, and is not lost, nor is the end of the generation.
//   - EAGAIN of a read proves that the direction is drained.
//   - EAGAIN of a send does only if poll(2) says the same. A message may be refused
//     though the socket has room: by a Unix socket because its receiver has none, by
//     any socket for want of a local port, or of the system's memory. No edge tells
//     when to try again; a refused datagram may even make one by itself. Such a call
//     sleeps, longer each time. So does a peek that has seen all there is
//     (SO_PEEK_OFF), while others may read it.
//   - A read of fewer bytes than asked for proves it on TCP, if all of the buffer is
//     sure to be memory: an edge-triggered epoll reports everything that comes later.
//     Not on datagram sockets (a short read is a short message), Unix sockets (a read
//     stops at passed descriptors), pipes (at a packet of O_DIRECT); not after MSG_PEEK
//     and its like; not if an end of stream, an error or urgent data lies behind those
//     bytes (WF_EDGE_LAST), for its edge may have come with them; nor with kernel TLS,
//     where a read stops at records that are not data: these calls are not for such a
//     socket.
//     Of a buffer that is not all memory the kernel fills some, whole segments of what was sent, and reports those: the
//     rest stays unread, and no edge will come. Which memory a process has others can change, by truncating a file that
//     is mapped. Sure is the stack of the task; and a page of which the kernel has just written a part. A read into
//     anything else makes one more system call, which says EAGAIN.
//   - A write of fewer bytes than asked for proves it on TCP if poll(2) says the same:
//     the memory may be to blame there, too. That is not a call for each message, but
//     one for each time that the peer is slower.
//   - The end of the stream (0) clears nothing: it can be read any number of times.
//
// Which descriptor. A call is for what the number means when it begins. Until it has
// parked, or moved a byte, it is not known what that was, if others close the number at
// the same time; so it begins anew with what the number means now (wf_ready_anew).
// After that it goes on with the same descriptor only, or ends with -EBADF:
//   - Each wait ends when the generation does. Before a task parks on what weft has not
//     made, wf_ready_confirm asks epoll whether the number still means what is
//     registered (reactor/source.c).
//   - A call of many steps looks at the generation before each further system call,
//     under a hold (wf_hold_begin), so that weft_close cannot come in between; and asks
//     epoll if weft has not made the descriptor. If it was not registered, the call has
//     claimed the number when it began (wf_ready_claim).
//   - A job for the blocking pool makes its system call under a hold, and looks by
//     fstat(2) whether others have put another file in the place of the one that the
//     call was for.
//
// `errno` belongs to a thread, and a task changes threads when it parks: so the system
// calls are those of base/sys.h, which return -errno, and leave it alone.
#ifndef WF_RUNTIME_IO_READY_H
#define WF_RUNTIME_IO_READY_H

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "reactor/reactor.h"
#include "runtime/state.h"
#include "runtime/wait/set.h"

// What is known of a registered descriptor.
enum wf_kind {
    WF_KIND_UNKNOWN,  // nothing, yet: register it before waiting
    WF_KIND_SOCKET,   // a socket: needs MSG_DONTWAIT
    WF_KIND_TCP,      // and a short read or write means drained
    WF_KIND_LISTENER, // a socket to accept from
    WF_KIND_OTHER,    // no socket
    // A listener, or what is not a socket, that was found in blocking mode where it
    // could block: whatever its mode is now, it is not believed again, for other code
    // changes it.
    WF_KIND_LISTENER_BLOCKS,
    WF_KIND_OTHER_BLOCKS,
};

static inline bool wf_kind_blocks(enum wf_kind kind)
{
    return kind == WF_KIND_LISTENER_BLOCKS || kind == WF_KIND_OTHER_BLOCKS;
}

// One call on one direction of a descriptor.
struct wf_ready {
    struct wf_task *self;     // the caller
    struct wf_source *source; // NULL: not registered
    uint32_t generation;      // the source's when the call began
    enum wf_kind kind;
    uintptr_t edge; // the cell's word before the system call, 0 if it was empty, or is not registered
    int fd;
    enum wf_direction direction;
    const char *call;
    uint32_t stamp; // of a descriptor that is not weft's own: what events bear since it was confirmed last
    bool parked;
    bool sure;              // what is found out of it may be remembered
    short asks;             // what to ask poll(2) for when a socket says EAGAIN; 0: its word is enough
    uint8_t pause;          // how many milliseconds to sleep when it is refused the next time
    bool fixed;             // it must go on with the descriptor that it has begun with
    bool later;             // it has, at least, one step behind it
    bool claimed;           // `slot` and `began` are valid
    uint32_t began;         // the number's generation when the call began
    struct wf_source *slot; // where that is
};

// wf_ready_try is one system call: what it returned, or -errno. -EAGAIN: wait and try
// again.
typedef ssize_t wf_ready_try(int fd, void *args);

// What a system call says besides, where wf_ready_calls makes it.
enum {
    WF_TRY_POOL = INT_MIN, // it could block here: make it on the blocking pool
    WF_TRY_LATER,          // it was refused, but the descriptor is ready: sleep, and try again
};

// wf_kind_of reads what is known of this generation. A word of an older one may be
// found, from a call that was late.
static inline enum wf_kind wf_kind_of(struct wf_source *s, uint32_t generation)
{
    uint32_t word = wf_load_relaxed(&s->kind); // relaxed: nothing hangs on it but itself
    return word >> 3 == (generation & UINT32_MAX >> 3) ? (enum wf_kind)(word & 7) : WF_KIND_UNKNOWN;
}

// wf_ready_find looks for the descriptor among the registered ones.
static inline void wf_ready_find(struct wf_ready *r)
{
    struct wf_source *s = wf_source_get(wf_weft_task(r->self)->rt->reactor, r->fd);
    if (!s)
        return;
    r->generation = wf_load_acquire(&s->generation); // acquire: the cells are as registering it left them, or newer
    if (!(r->generation & 1))
        return;
    wf_debug_assert(s->fd == r->fd);
    r->kind = wf_kind_of(s, r->generation);
    r->source = s;
}

// wf_ready_open begins a call.
// Returns: 0; -ECANCELED.
static inline int wf_ready_open(struct wf_ready *r, int fd, enum wf_direction direction, const char *call)
{
    *r = (struct wf_ready){ .self = wf_require_task(call),
                            .fd = fd,
                            .direction = direction,
                            .call = call,
                            .asks = direction == WF_WRITE ? POLLOUT : 0 };
    int err = wf_check_cancel(r->self);
    if (wf_likely(err == 0))
        wf_ready_find(r);
    return err;
}

// wf_ready_same tells whether the descriptor is still the one that the call was made
// for. Returns: 0; -EBADF.
static inline int wf_ready_same(const struct wf_ready *r)
{
    wf_debug_assert(r->source && r->generation % 2 == 1);
    // acquire: pairs with the reactor's new generation, which it makes before it wakes
    // the waiters
    return wf_load_acquire(&r->source->generation) == r->generation ? 0 : -EBADF;
}

// wf_ready_wait is for a call that got EAGAIN, or found the cell empty.
// Returns: 0: look again; -ECANCELED; -EBADF if the descriptor was closed; what
//          wf_source_register returns.
int wf_ready_wait(struct wf_ready *r);

// wf_ready_confirm is for a task that is about to park, with its node in the cell.
// Returns: 0: park; -EBADF: the generation is over.
__attribute__((cold, noinline)) int wf_ready_confirm_foreign(struct wf_ready *r);
static inline int wf_ready_confirm(struct wf_ready *r)
{
    return wf_likely(wf_source_is_own(r->source)) ? wf_ready_same(r) : wf_ready_confirm_foreign(r);
}

// wf_ready_anew is for a call whose generation is over. Returns: true: it begins again,
// with what the number means now, of which nothing is known; false: it is too late for
// that: -EBADF.
bool wf_ready_anew(struct wf_ready *r);

// wf_ready_claim notes what the number means, for a call of many steps whose descriptor
// is not registered. wf_ready_fix: from now on the call goes on with what it began with
// only. (If others have closed the registered file, and the call has moved something
// but not waited, it may have begun with the next one as well as with that one: it goes
// on with the next one.) wf_ready_again does that, too, and begins a further step.
// Returns: 0; -ENOMEM; -EBADF; of _again also -ECANCELED; what wf_source_register
// returns.
int wf_ready_claim(struct wf_ready *r);
int wf_ready_fix(struct wf_ready *r);
int wf_ready_again(struct wf_ready *r);

// wf_ready_open_all is wf_ready_open for a call of many steps.
static inline int wf_ready_open_all(struct wf_ready *r, int fd, enum wf_direction direction, const char *call)
{
    int err = wf_ready_open(r, fd, direction, call);
    return wf_likely(r->source != NULL) || err < 0 ? err : wf_ready_claim(r);
}

// wf_ready_hold makes a system call on the descriptor that the call began with, or
// none: -EBADF.  Context: claimed.
ssize_t wf_ready_hold(struct wf_ready *r, wf_ready_try *fn, void *args);

// wf_ready_pause sleeps until `deadline`, or until the descriptor is closed. What
// others have closed it finds at the end.
// Returns: 0; -EBADF; -ECANCELED.  Context: it is registered.
int wf_ready_pause(struct wf_ready *r, weft_time deadline);

// wf_ready_back_off sleeps for longer than the last time, in this call; not at all the
// first time.
// Returns: as wf_ready_pause.
int wf_ready_back_off(struct wf_ready *r);

// wf_ready_short notes that a call moved fewer bytes than asked for.
void wf_ready_short(struct wf_ready *r);

// wf_ready_look tells whether to try the system call.
static inline bool wf_ready_look(struct wf_ready *r)
{
    if (!r->source)
        return true;
    wf_debug_assert(r->self == wf_self() || !wf_self()); // the task, or a thread of the pool for it
    r->edge = wf_cell_value(&r->source->ready[r->direction]);
    return r->edge != 0;
}

// wf_ready_holds tells whether a read that begins to fill these bytes cannot stop for
// want of memory.
static inline bool wf_ready_holds(const struct wf_ready *r, const void *base, size_t n)
{
    enum { PAGE = 4096 }; // at least
    return n <= PAGE - (uintptr_t)base % PAGE || wf_on_stack(r->self, base, n);
}

// wf_ready_call makes one system call.
static inline ssize_t wf_ready_call(struct wf_ready *r, wf_ready_try *fn, void *args)
{
    return wf_likely(!r->later) ? fn(r->fd, args) : wf_ready_hold(r, fn, args);
}

// wf_ready_run is the loop. `full`: what a call that does not drain the direction
// returns; 0 if one cannot tell. `into`: the buffer of so many bytes that a read fills;
// NULL: none, or one of which that need not be asked.
__attribute__((always_inline)) static inline ssize_t wf_ready_run(struct wf_ready *r, wf_ready_try *fn, void *args,
                                                                  const void *into, size_t full)
{
    ssize_t result;

    while ((result = wf_ready_look(r) ? wf_ready_call(r, fn, args) : -EAGAIN) == -EAGAIN) {
        int err = wf_ready_wait(r);
        if (err < 0)
            return err;
    }
    if (result > 0 && (size_t)result < full && (!into || wf_ready_holds(r, into, full)))
        wf_ready_short(r);
    if (!r->parked)
        wf_budget_consume(r->self);
    return result;
}

// For a call that waits for several descriptors at once. wf_ready_attempt is one turn
// of wf_ready_run's loop, with the same arguments. When it has said -EAGAIN,
// wf_ready_settle prepares the wait for the next edge, in the direction's cell.
// Returns: of _settle: 0: push a node, wf_ready_confirm, and park; 1: try again; as
// wf_ready_wait.
static inline ssize_t wf_ready_attempt(struct wf_ready *r, wf_ready_try *fn, void *args, const void *into, size_t full)
{
    ssize_t result = wf_ready_look(r) ? wf_ready_call(r, fn, args) : -EAGAIN;
    if (result > 0 && (size_t)result < full && (!into || wf_ready_holds(r, into, full)))
        wf_ready_short(r);
    return result;
}
int wf_ready_settle(struct wf_ready *r);

// wf_ready_pool makes a system call on the blocking pool: fn(r->fd, args), under holds
// of both descriptors, if both mean what they did when the call began. `other` may be
// NULL.
// Returns: what it says; WF_TRY_POOL if there is no thread, and none to be had; -EBADF;
// -ECANCELED.
// Context: both are claimed.
ssize_t wf_ready_pool(struct wf_ready *r, struct wf_ready *other, wf_ready_try *fn, void *args);

// wf_ready_attach registers the descriptor, and finds out its kind by what it is then.
// wf_ready_remember is for a call that finds that out by itself, after registering:
// nothing that was known of the number before need be true any more. wf_ready_attach_as
// is both, for a kind that any descriptor may have.
// Returns: 0; -EPERM if it cannot be polled; -ENOTSOCK (_attach: it is registered all
//          the same); what else wf_source_register returns; -EBADF if it is closed
//          meanwhile.
int wf_ready_attach(struct wf_ready *r);
int wf_ready_attach_as(struct wf_ready *r, enum wf_kind kind);
int wf_ready_remember(struct wf_ready *r, enum wf_kind kind);

// wf_ready_calls is wf_ready_run for calls that have no flag which keeps them from
// blocking: `now`, which does not block, or, once that has said WF_TRY_POOL, `bounded`
// on the blocking pool, which does not block for long. wf_ready_file is the same for
// what is not a socket, and for what cannot be polled: `block` on the blocking pool.
struct wf_file_calls {
    wf_ready_try *now, *bounded, *block;
};
// Returns: also WF_READY_OTHER: begin again, with what the number means now, which may be
//          of another kind.
#define WF_READY_OTHER (-ERESTART)
ssize_t wf_ready_calls(struct wf_ready *r, const struct wf_file_calls *calls, void *args);
ssize_t wf_ready_file(struct wf_ready *r, const struct wf_file_calls *calls, void *args);

// wf_ready_stored makes a call on the blocking pool that is for files that lie on a
// disk, and fails at once on others.
// Returns: what `fn` returns; -ECANCELED; -EBADF; -ENOMEM.
ssize_t wf_ready_stored(struct wf_ready *r, wf_ready_try *fn, void *args);

// wf_poll_now is poll(2) of one descriptor, without waiting.  Returns: its revents;
// -errno.
int wf_poll_now(int fd, short events);

// wf_ready_socket_type is what kind of socket it is: SOCK_STREAM and so on.  Returns:
// that; -errno.
int wf_ready_socket_type(int fd);

// wf_ready_once is for a call that shall not park: the system call as it is.
static inline ssize_t wf_ready_once(int fd, wf_ready_try *fn, void *args)
{
    ssize_t result = fn(fd, args);
    wf_budget_consume_self();
    return result;
}

// wf_ready_fresh is told of every descriptor that the kernel has just made for weft
// (wf_source_fresh).
// Context: any thread.
void wf_ready_fresh(int fd);

#endif
