// One to many: weft_broadcast, whose every receiver sees every message, and weft_watch, which keeps the latest value.
//
// Who sends never waits for who receives. A broadcast keeps the last messages, as many as its capacity; a receiver
// that falls behind further than that has lost the older ones, and is told how many. A watch keeps one value: who
// looks sees the latest, and may miss any before it.
//
// Messages and values are bytes of a fixed size: they are copied in and out. What a sender wrote before it sent is
// visible to who received that message.
#ifndef WEFT_CAST_H
#define WEFT_CAST_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

// --- Broadcast -------------------------------------------------------------------------------------------------------

typedef struct weft_broadcast weft_broadcast;

// weft_receiver is one reader's place in a broadcast. It is for one task or thread at a time.
typedef struct weft_receiver weft_receiver;

// weft_broadcast_new makes a broadcast that keeps the last `capacity` messages, of `elem_size` bytes each (0: signals,
// which are only counted).
//
// Returns: 0, and the broadcast in *out; -EINVAL: a capacity of 0; -ENOMEM, also if the size is beyond all memory.
// Context: any thread, also outside a runtime. Never parks.
// Owns:    the caller has the one reference, and gives it up with weft_broadcast_unref.
WEFT_API WEFT_MUST_CHECK int weft_broadcast_new(weft_broadcast **out, size_t elem_size, size_t capacity);

// weft_broadcast_ref takes one more reference, for somebody else who will unref the broadcast, and returns `b`.
// Context: any thread that has a reference. Never parks.
WEFT_API weft_broadcast *weft_broadcast_ref(weft_broadcast *b);

// weft_broadcast_unref gives a reference up. Giving up the last one closes the broadcast, for nobody is left who could
// send; its memory is freed when its last receiver has gone, too. NULL does nothing.
// Context: any thread. Never parks.
WEFT_API void weft_broadcast_unref(weft_broadcast *b);

// weft_broadcast_send sends the message at `elem` (may be NULL for a signal) to everybody who is subscribed now. All
// receivers see the messages of all senders in the same order.
//
// Returns: how many receivers there are: 0 is no error, the message is gone; -EPIPE once closed.
// Context: any thread, task or not. Never parks. A task that sends a lot lets receivers keep up with weft_yield.
WEFT_API int weft_broadcast_send(weft_broadcast *b, const void *elem);

// weft_broadcast_close says that no message follows. What was sent before can still be received, then receivers get
// -EPIPE. Closing again does nothing.
// Context: any thread. Never parks.
WEFT_API void weft_broadcast_close(weft_broadcast *b);

// weft_broadcast_subscribe makes a receiver of all messages that are sent from now on: of none, if `b` is closed.
//
// Returns: 0, and the receiver in *out; -ENOMEM.
// Context: any thread. Never parks.
// Owns:    the caller has the receiver, and gives it up with weft_broadcast_unsubscribe. It needs no reference to `b`.
WEFT_API WEFT_MUST_CHECK int weft_broadcast_subscribe(weft_broadcast *b, weft_receiver **out);

// weft_broadcast_unsubscribe gives the receiver up, with what it has not received. NULL does nothing.
// Context: any thread, while nobody waits on `r`. Never parks.
WEFT_API void weft_broadcast_unsubscribe(weft_receiver *r);

// weft_broadcast_recv takes the oldest message that this receiver has not had yet into `elem`, and waits for one if
// there is none. If messages were lost since its last call, it takes none, but tells so; the call after that begins
// with the oldest one that was kept. So of all messages that were sent since it subscribed, a receiver gets each one
// once, in order, or counted among the lost.
//
// Returns: 0; -EOVERFLOW, with the number of lost messages in *lost (may be NULL; written for no other result);
//          -EPIPE once closed and drained; -ECANCELED, -ETIMEDOUT.
// Context: task. May park, so the caller may continue on another thread.
// Cancel:  on an error no message was taken. `elem` is untouched, but after -EOVERFLOW, when it may have been written.
WEFT_API WEFT_MUST_CHECK int weft_broadcast_recv(weft_receiver *r, void *elem, uint64_t *lost);

// weft_broadcast_try_recv is weft_broadcast_recv, but does not wait: -EAGAIN if there is no message. No cancellation
// point.
// Context: any thread, task or not. Never parks.
WEFT_API WEFT_MUST_CHECK int weft_broadcast_try_recv(weft_receiver *r, void *elem, uint64_t *lost);

// --- Watch -----------------------------------------------------------------------------------------------------------

typedef struct weft_watch weft_watch;

// weft_watch_new makes a watch whose value is the `elem_size` bytes at `initial` (NULL: all zero), and their version 1.
// Each weft_watch_set makes the next version.
//
// Returns: 0, and the watch in *out; -ENOMEM, also if the size is beyond all memory.
// Context: any thread, also outside a runtime. Never parks.
// Owns:    the caller has the one reference, and gives it up with weft_watch_unref.
WEFT_API WEFT_MUST_CHECK int weft_watch_new(weft_watch **out, size_t elem_size, const void *initial);

// weft_watch_ref takes one more reference, for somebody else who will unref the watch, and returns `w`.
// Context: any thread that has a reference. Never parks.
WEFT_API weft_watch *weft_watch_ref(weft_watch *w);

// weft_watch_unref gives a reference up; the last one frees the watch. Who waits in a call needs a reference that lasts
// as long. NULL does nothing.
// Context: any thread. Never parks.
WEFT_API void weft_watch_unref(weft_watch *w);

// weft_watch_set changes the value to what is at `elem`, and wakes all who wait for a change.
//
// Returns: 0; -EPIPE once closed: then the value stays as it was.
// Context: any thread, task or not. Never parks.
WEFT_API int weft_watch_set(weft_watch *w, const void *elem);

// weft_watch_close says that the value is the last: who waits for another gets -EPIPE. Closing again does nothing.
// Context: any thread. Never parks.
WEFT_API void weft_watch_close(weft_watch *w);

// weft_watch_get copies the latest value to `elem`, and its version to *version (may be NULL). It works on a watch that
// is closed, too.
// Context: any thread, task or not. Never parks.
WEFT_API void weft_watch_get(const weft_watch *w, void *elem, uint64_t *version);

// weft_watch_wait waits until the version is another than *version, then copies value and version as weft_watch_get
// does. Starting at 0, a loop sees the value that there is, then each change, but those that were overtaken by another.
//
// Returns: 0; -EPIPE if it is closed and *version is the last; -ECANCELED, -ETIMEDOUT.
// Context: task. May park, so the caller may continue on another thread.
// Cancel:  on an error `elem` and *version are untouched.
WEFT_API WEFT_MUST_CHECK int weft_watch_wait(weft_watch *w, void *elem, uint64_t *version);

WEFT_END_DECLS

#endif
