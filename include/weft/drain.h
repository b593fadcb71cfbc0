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
// Idle connections. The drain waits for whatever has entered it. So a connection that
// stays open between requests enters anew for each request, when the request's first
// byte has arrived. An idle connection does not delay the stop. To end idle connections
// at once, and not only after the busy ones, let each wait for a future as well. The
// task that stops the server completes the future right before weft_drain_begin:
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
// that arrives while the server closes the connection is lost. Protocols that keep
// connections open must allow for that (HTTP does: the client asks again).
//
// The drain waits for each weft_drain_enter that succeeded. Every weft_drain_enter
// fails once an earlier one has failed, weft_draining is true, or a weft_drain_begin
// has returned (except one whose task was cancelled before the call). What a task did
// before it left is visible to the caller of weft_drain_begin that returns 0.
//
// A drain is used once. It must stay valid until every call on it has returned. A
// caller whose weft_drain_begin has returned 0 may free it, if no task will call
// weft_drain_enter again.
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

// weft_drain_enter counts one unit that the drain waits for: a connection, a request.
//
// Returns: 0: some task or thread must call weft_drain_leave later; -ESHUTDOWN once the
//          draining has begun.
// Context: any thread. Never parks.
WEFT_API WEFT_MUST_CHECK int weft_drain_enter(weft_drain *d);

// weft_drain_leave undoes one weft_drain_enter.
// Context: any thread. Never parks.
WEFT_API void weft_drain_leave(weft_drain *d);

// weft_draining tells whether the draining has begun: a handler then answers what it has
// read, says that the connection will close, and leaves.
// Context: any thread. Never parks.
WEFT_API bool weft_draining(const weft_drain *d);

// weft_drain_begin makes every later weft_drain_enter fail, and waits until all have
// left. Several tasks may call it, each with its own deadline, and again after a
// time-out.
//
// Returns: 0: all have left; -ETIMEDOUT if some have not by `deadline` (WEFT_NEVER
//          means no limit; one in the past only checks); -ECANCELED, -ETIMEDOUT by a
//          scope's deadline.
// Context: task. May park, so the caller may continue on another thread. Also a thread
//          that is not a worker; blocks it.
// Cancel:  in a task that was cancelled before, the call has no effect (unless the task
//          is behind a shield). A call that is cancelled while it waits has begun the
//          draining, which goes on; call it again to wait for the rest.
WEFT_API int weft_drain_begin(weft_drain *d, weft_time deadline);

WEFT_END_DECLS

#endif
