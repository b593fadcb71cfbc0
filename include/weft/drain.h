// The drain: stopping a server without losing a request.
//
//     if (weft_drain_enter(&drain) < 0)      // -ESHUTDOWN: the server is stopping
//         return refuse(connection);
//     serve(connection);                     // asks weft_draining() between two requests
//     weft_drain_leave(&drain);
//
// and in the task that stops the server:
//
//     weft_close(listener);
//     int err = weft_drain_begin(&drain, weft_after(WEFT_S(10)));
//     if (err < 0)
//         weft_scope_cancel(&connections);   // -ETIMEDOUT: some have not left
//
// Idle connections. The drain waits for what has entered: so a connection that is kept
// open between requests enters for each request, when its first byte is there, and an
// idle one holds up no stop. To end the idle ones at once, and not only when the busy
// ones are done, they wait for a future as well, which the task that stops the server
// completes right before weft_drain_begin:
//
//     weft_case next[] = { weft_on_future(&stopping), weft_on_fd(fd, POLLIN) };
//     while (weft_select(next, 2) == 1 && weft_drain_enter(&drain) == 0) {
//         serve_request(fd);                 // to its end: it is waited for
//         weft_drain_leave(&drain);
//     }
//     weft_close(fd);
//
// With a weft_reader, ask weft_reader_peek for 0 bytes before the select: a request may
// be in the buffer already. examples/graceful_shutdown.c is a whole server. A request
// that comes while the server closes the connection is lost, as the protocol must allow
// for connections that are kept open (HTTP does: the client asks again).
//
// Each weft_drain_enter that succeeds is waited for; once one has failed, or
// weft_draining is true, or a weft_drain_begin has returned (unless because its task
// had been cancelled before), every later one fails. What a task did before it left is
// visible to the caller of weft_drain_begin that finds all gone.
//
// A drain is used once. It must live until every call on it has returned; the caller of
// weft_drain_begin that finds all gone may free it, if no task will enter it any more.
#ifndef WEFT_DRAIN_H
#define WEFT_DRAIN_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

// The caller provides the storage of a weft_drain. Its contents are the runtime's.
typedef struct weft_drain {
    uint64_t weft_opaque[136];
} weft_drain;

#define WEFT_DRAIN_INIT { { 0 } }

// weft_drain_init makes `d` empty. WEFT_DRAIN_INIT does the same for a static one.
// Context: any thread, while no other thread uses it. Never parks.
WEFT_API void weft_drain_init(weft_drain *d);

// weft_drain_enter counts a connection, a request or whatever shall be waited for.
//
// Returns: 0: weft_drain_leave is to follow, by any task or thread; -ESHUTDOWN once the
//          draining has begun.
// Context: any thread. Never parks.
WEFT_API WEFT_MUST_CHECK int weft_drain_enter(weft_drain *d);

// weft_drain_leave ends what weft_drain_enter has begun.
// Context: any thread. Never parks.
WEFT_API void weft_drain_leave(weft_drain *d);

// weft_draining tells whether the draining has begun: a handler then answers what it has
// read, says that the connection will close, and leaves.
// Context: any thread. Never parks.
WEFT_API bool weft_draining(const weft_drain *d);

// weft_drain_begin lets no task enter any more, and waits until all have left. Several
// tasks may call it, each with a deadline of its own, and any of them again.
//
// Returns: 0: all have left; -ETIMEDOUT if some have not by `deadline` (WEFT_NEVER
//          waits without end; one in the past only looks); -ECANCELED, -ETIMEDOUT by a
//          scope's deadline.
// Context: task. May park, so the caller may continue on another thread. Also a thread
//          that is not a worker; blocks it.
// Cancel:  in a task that is cancelled already the call has no effect: behind a shield
//          it has. A call that is cut short while it waits has begun the draining,
//          which goes on; call it again to wait for the rest.
WEFT_API int weft_drain_begin(weft_drain *d, weft_time deadline);

WEFT_END_DECLS

#endif
