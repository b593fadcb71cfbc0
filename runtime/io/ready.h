// Readiness: how a call on a descriptor waits. Only runtime/io and runtime/select use
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
// A descriptor is registered at its first EAGAIN (a listener at its first accept), so
// one that never has to wait never costs an epoll call. From then on the cell says in
// advance whether a system call can succeed: a call that finds the direction drained
// clears the cell, and the next call parks without a system call. So a message of a
// steady echo costs two system calls.
//
// Clearing. A call reads the cell's word, makes the system call, and checks that the
// number has not been closed since (so that the system call was made on the descriptor
// of this generation). Then it clears the cell, but only if the word has not changed:
// an edge in between has another count, so neither it nor the end of the generation is
// lost.
//   - EAGAIN of a read proves that the direction is drained.
//   - EAGAIN of a send proves it only if poll(2) says the same. A socket with room may
//     refuse a message: a Unix socket because its receiver has no room, any socket
//     because there is no local port, or no memory in the kernel. No edge tells when to
//     try again; a refused datagram may even cause an edge. Such a call sleeps, longer
//     each time. So does a peek at the end of the data (SO_PEEK_OFF).
//   - A read of fewer bytes than asked for proves it on TCP, if all of the buffer is
//     certain to be memory: an edge-triggered epoll reports everything that arrives
//     later. It proves nothing on datagram sockets (a short read is a short message),
//     on Unix sockets (a read stops at passed descriptors), on pipes (at a packet of
//     O_DIRECT); after MSG_PEEK and similar flags; or if an end of stream, an error or
//     urgent data follows those bytes (WF_EDGE_LAST), because its edge may have come
//     with them. With kernel TLS a read stops at records that are not data: these calls
//     are not for such a socket. If only a part of a buffer is memory, the kernel fills
//     it with whole segments, and reports those: the rest stays unread, and no edge
//     will come. Other processes can take memory away, by truncating a file that is
//     mapped. Certain are the task's stack, and a page of which the kernel has just
//     written a part. A read into any other memory makes one more system call, which
//     returns EAGAIN.
//   - A write of fewer bytes than asked for proves it on TCP if poll(2) says the same,
//     because the memory may be the reason here, too. poll(2) is not called for each
//     message, but only when the peer is slower.
//   - The end of the stream (0) clears nothing, because it can be read any number of
//     times.
//
// Which descriptor. A call is for the file that the number means when the call begins.
// If other code closes the number at the same time, that file is not known until the
// call has parked or moved a byte; until then it may begin anew with the number's
// present file (wf_ready_anew). After that it stays with the same descriptor, or ends
// with -EBADF:
//   - Each wait ends when the generation ends. Before a task parks on a descriptor that
//     weft has not made, wf_ready_confirm asks epoll whether the number still means the
//     registered file (reactor/source.c).
//   - A call of several steps checks the generation before each further system call,
//     under a hold (wf_hold_begin), so that no weft_close can come in between. It also
//     asks epoll if weft has not made the descriptor. If the descriptor was not
//     registered, the call has claimed the number at its beginning (wf_ready_claim).
//   - A job for the blocking pool makes its system call under a hold, and checks by
//     statx(2) that the number still has the call's file.
//
// `errno` belongs to a thread, and a task changes threads when it parks: so the system
// calls are those of base/sys.h, which return -errno and do not set `errno`.
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

// The kind of a registered descriptor, as far as it is known.
enum wf_kind {
    WF_KIND_UNKNOWN,  // not known yet: register it before waiting
    WF_KIND_SOCKET,   // a socket: needs MSG_DONTWAIT
    WF_KIND_TCP,      // a socket on which a short read or write means drained
    WF_KIND_LISTENER, // a socket to accept from
    WF_KIND_OTHER,    // not a socket
    // A listener, or a descriptor that is not a socket, that was once found in blocking
    // mode. Its O_NONBLOCK is not trusted again, because other code changes it.
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
    uint32_t stamp; // of a descriptor that is not weft's own: the stamp of events since the last confirm
    bool parked;
    bool sure;              // facts found out about it may be remembered
    short asks;             // the events to ask poll(2) for after EAGAIN; 0: do not ask
    uint8_t pause;          // how many milliseconds to sleep at the next refusal
    bool fixed;             // the call must stay with the descriptor that it began with
    bool later;             // the call has made at least one step
    bool claimed;           // `slot` and `began` are valid
    uint32_t began;         // the number's generation when the call began
    struct wf_source *slot; // the source of that generation
};

// wf_ready_try is one system call: what it returned, or -errno. -EAGAIN: wait and try
// again.
typedef ssize_t wf_ready_try(int fd, void *args);

// Further results of a system call, where wf_ready_calls makes it.
enum {
    WF_TRY_POOL = INT_MIN, // it could block here: make it on the blocking pool
    WF_TRY_LATER,          // refused, although the descriptor is ready: sleep, and try again
};

// wf_kind_of reads the kind for this generation. A late call may have left the word of
// an older generation.
static inline enum wf_kind wf_kind_of(struct wf_source *s, uint32_t generation)
{
    uint32_t word = wf_load_relaxed(&s->kind); // relaxed: it publishes no other data
    return word >> 3 == (generation & UINT32_MAX >> 3) ? (enum wf_kind)(word & 7) : WF_KIND_UNKNOWN;
}

// wf_ready_find finds the source of the descriptor, if it is registered.
static inline void wf_ready_find(struct wf_ready *r)
{
    struct wf_source *s = wf_source_get(wf_weft_task(r->self)->rt->reactor, r->fd);
    if (!s)
        return;
    r->generation = wf_load_acquire(&s->generation); // acquire: the cells are as the registration left them, or newer
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

// wf_ready_same tells whether the generation is still the call's. Returns: 0; -EBADF.
static inline int wf_ready_same(const struct wf_ready *r)
{
    wf_debug_assert(r->source && r->generation % 2 == 1);
    // acquire: pairs with the store of the new generation, which comes before the wake
    // of the waiters
    return wf_load_acquire(&r->source->generation) == r->generation ? 0 : -EBADF;
}

// wf_ready_wait is for a call that got EAGAIN, or found the cell empty.
// Returns: 0: check again; -ECANCELED; -EBADF if the descriptor was closed; errors of
//          wf_source_register.
int wf_ready_wait(struct wf_ready *r);

// wf_ready_confirm is for a task that is about to park, with its node in the cell.
// Returns: 0: park; -EBADF: the generation is over.
__attribute__((cold, noinline)) int wf_ready_confirm_foreign(struct wf_ready *r);
static inline int wf_ready_confirm(struct wf_ready *r)
{
    return wf_likely(wf_source_is_own(r->source)) ? wf_ready_same(r) : wf_ready_confirm_foreign(r);
}

// wf_ready_anew is for a call whose generation is over. Returns: true: the call begins
// again, with the number's present file, about which nothing is known; false: it is too
// late for that, return -EBADF.
bool wf_ready_anew(struct wf_ready *r);

// wf_ready_claim notes the number's generation, for a call of several steps whose
// descriptor is not registered. After wf_ready_fix the call stays with the file that it
// began with. (If other code has closed the registered file, and the call has moved
// bytes but not waited, its file may be the next one of the number: it stays with that
// one.) wf_ready_again does the same, and begins a further step. Returns: 0; -ENOMEM;
// -EBADF; _again also -ECANCELED; errors of wf_source_register.
int wf_ready_claim(struct wf_ready *r);
int wf_ready_fix(struct wf_ready *r);
int wf_ready_again(struct wf_ready *r);

// wf_ready_open_all is wf_ready_open for a call of several steps.
static inline int wf_ready_open_all(struct wf_ready *r, int fd, enum wf_direction direction, const char *call)
{
    int err = wf_ready_open(r, fd, direction, call);
    return wf_likely(r->source != NULL) || err < 0 ? err : wf_ready_claim(r);
}

// wf_ready_hold makes a system call on the descriptor that the call began with; if that
// is closed, it returns -EBADF instead. Context: claimed.
ssize_t wf_ready_hold(struct wf_ready *r, wf_ready_try *fn, void *args);

// wf_ready_pause sleeps until `deadline`, or until weft_close closes the descriptor. It
// notices other closes at the end. Returns: 0; -EBADF; -ECANCELED. Context: the
// descriptor is registered.
int wf_ready_pause(struct wf_ready *r, weft_time deadline);

// wf_ready_back_off does not sleep the first time in a call, and then longer each time.
// Returns: as wf_ready_pause.
int wf_ready_back_off(struct wf_ready *r);

// wf_ready_short notes that a call moved fewer bytes than asked for.
void wf_ready_short(struct wf_ready *r);

// wf_ready_look tells whether to try the system call, and notes the cell's word.
static inline bool wf_ready_look(struct wf_ready *r)
{
    if (!r->source)
        return true;
    wf_debug_assert(r->self == wf_self() || !wf_self()); // the task, or a thread of the pool on its behalf
    r->edge = wf_cell_value(&r->source->ready[r->direction]);
    return r->edge != 0;
}

// wf_ready_holds tells whether these bytes are certain to be memory, so that a read
// cannot stop early because they are not.
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

// wf_ready_run is the loop. `full`: the result of a call that does not drain the
// direction; 0 if that cannot be told. `into`: the buffer of `full` bytes that a read
// fills; NULL: none, or one that is certain to be memory.
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
// of wf_ready_run's loop, with the same arguments. After its -EAGAIN, wf_ready_settle
// prepares the wait for the next edge, in the direction's cell.
// Returns: _settle: 0: push a node, call wf_ready_confirm, and park; 1: try again;
// errors of wf_ready_wait.
static inline ssize_t wf_ready_attempt(struct wf_ready *r, wf_ready_try *fn, void *args, const void *into, size_t full)
{
    ssize_t result = wf_ready_look(r) ? wf_ready_call(r, fn, args) : -EAGAIN;
    if (result > 0 && (size_t)result < full && (!into || wf_ready_holds(r, into, full)))
        wf_ready_short(r);
    return result;
}
int wf_ready_settle(struct wf_ready *r);

// wf_ready_pool makes a system call on the blocking pool: fn(r->fd, args), under holds
// of both descriptors, if both numbers still mean the files of the call. `other` may be
// NULL. Returns: the result of `fn`; WF_TRY_POOL if there is no thread and the system
// refuses one; -EBADF; -ECANCELED.
// Context: both are claimed.
ssize_t wf_ready_pool(struct wf_ready *r, struct wf_ready *other, wf_ready_try *fn, void *args);

// wf_ready_attach registers the descriptor, and finds out its kind after that.
// wf_ready_remember is for a call that finds out the kind itself, after the
// registration: facts found before may be about an older file of the number.
// wf_ready_attach_as does both, for a kind that any descriptor may have. Returns: 0;
// -EPERM if it cannot be polled; -ENOTSOCK (_attach: it is registered nevertheless);
// other errors of wf_source_register; -EBADF if it was closed in between.
int wf_ready_attach(struct wf_ready *r);
int wf_ready_attach_as(struct wf_ready *r, enum wf_kind kind);
int wf_ready_remember(struct wf_ready *r, enum wf_kind kind);

// wf_ready_calls is wf_ready_run for calls without a flag against blocking. It makes
// the call `now`, which does not block; once that has returned WF_TRY_POOL, the call
// `bounded` on the blocking pool, which does not block for long. wf_ready_file is the
// same for descriptors that are not sockets; for a file that cannot be polled it makes
// the call `block` on the blocking pool.
struct wf_file_calls {
    wf_ready_try *now, *bounded, *block;
};
// Returns: also WF_READY_OTHER: begin again, with the number's present file, which may
//          have another kind.
#define WF_READY_OTHER (-ERESTART)
ssize_t wf_ready_calls(struct wf_ready *r, const struct wf_file_calls *calls, void *args);
ssize_t wf_ready_file(struct wf_ready *r, const struct wf_file_calls *calls, void *args);

// wf_ready_stored makes a call on the blocking pool that is for files on a disk, and
// fails at once on others.
// Returns: what `fn` returns; -ECANCELED; -EBADF; -ENOMEM.
ssize_t wf_ready_stored(struct wf_ready *r, wf_ready_try *fn, void *args);

// wf_poll_now is poll(2) for one descriptor, without a wait. Returns: its revents;
// -errno.
int wf_poll_now(int fd, short events);

// wf_ready_socket_type returns the socket's type (SOCK_STREAM and so on), or -errno.
int wf_ready_socket_type(int fd);

// wf_ready_once is for a call that must not park: it makes the system call once.
static inline ssize_t wf_ready_once(int fd, wf_ready_try *fn, void *args)
{
    ssize_t result = fn(fd, args);
    wf_budget_consume_self();
    return result;
}

// wf_ready_fresh marks a descriptor that the kernel has just made for weft
// (wf_source_fresh). weft calls it for each.
// Context: any thread.
void wf_ready_fresh(int fd);

#endif
