// One to many: weft_broadcast, in which each receiver gets each message, and
// weft_watch, which keeps the latest value.
//
// Sending never blocks. A broadcast keeps as many of the latest messages as its
// capacity; a receiver that falls further behind loses the older ones, and is told how
// many. A watch keeps one value: a reader sees the latest one, and may miss earlier
// ones.
//
// Messages and values are bytes of a fixed size: they are copied in and out. What a
// sender wrote before it sent is visible to a receiver of that message.
#ifndef WEFT_CAST_H
#define WEFT_CAST_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

// --- Broadcast -----------------------------------------------------------------------

typedef struct weft_broadcast weft_broadcast;

// weft_receiver is one reader's place in a broadcast. It is for one task or thread at a
// time.
typedef struct weft_receiver weft_receiver;

// weft_broadcast_new makes a broadcast that keeps the last `capacity` messages, of
// `elem_size` bytes each (0: signals, which are only counted).
//
// Returns: 0, and the broadcast in *out; -EINVAL: a capacity of 0; -ENOMEM, also if the
//          size is beyond all memory.
// Context: any thread, also outside a runtime. Never parks.
// Owns:    the caller has the one reference, and gives it up with weft_broadcast_unref.
WEFT_API WEFT_MUST_CHECK int weft_broadcast_new(weft_broadcast **out, size_t elem_size, size_t capacity);

// weft_broadcast_ref takes one more reference, for another user that will unref the
// broadcast, and returns `b`.
// Context: any thread that has a reference. Never parks.
WEFT_API weft_broadcast *weft_broadcast_ref(weft_broadcast *b);

// weft_broadcast_unref gives a reference up. Giving up the last one closes the
// broadcast, because no sender is left. Its memory is freed once its last receiver has
// unsubscribed, too. NULL does nothing.
// Context: any thread. Never parks.
WEFT_API void weft_broadcast_unref(weft_broadcast *b);

// weft_broadcast_send sends the message at `elem` (may be NULL for a signal) to all
// current receivers. All receivers see the messages of all senders in the same order.
//
// Returns: the number of receivers (0 is not an error; the message is dropped); -EPIPE
//          once closed.
// Context: any thread, task or not. Never parks. A task that sends a lot lets receivers
//          keep up with weft_yield.
WEFT_API int weft_broadcast_send(weft_broadcast *b, const void *elem);

// weft_broadcast_close ends the stream of messages. Messages sent before can still be
// received, then receivers get -EPIPE. Closing again does nothing.
// Context: any thread. Never parks.
WEFT_API void weft_broadcast_close(weft_broadcast *b);

// weft_broadcast_subscribe makes a receiver of all messages sent from now on, of none
// if `b` is closed.
//
// Returns: 0, and the receiver in *out; -ENOMEM.
// Context: any thread. Never parks.
// Owns:    the receiver is the caller's until weft_broadcast_unsubscribe. It needs no reference to `b`.
WEFT_API WEFT_MUST_CHECK int weft_broadcast_subscribe(weft_broadcast *b, weft_receiver **out);

// weft_broadcast_unsubscribe frees the receiver, and drops the messages that it has not
// received. NULL does nothing.
// Context: any thread, while no task waits on `r`. Never parks.
WEFT_API void weft_broadcast_unsubscribe(weft_receiver *r);

// weft_broadcast_recv takes the oldest message that this receiver has not had yet into
// `elem`, and waits for one if there is none. If messages were lost since the
// receiver's last call, this call only reports their number; the next call takes the
// oldest one that was kept. So each message sent since the subscription is either
// received, once and in order, or counted as lost.
//
// Returns: 0; -EOVERFLOW, with the number of lost messages in *lost (may be NULL;
//          written for no other result); -EPIPE once closed and drained; -ECANCELED,
//          -ETIMEDOUT.
// Context: task. May park, so the caller may continue on another thread.
// Cancel:  on an error no message was taken. `elem` is untouched, except that
//          -EOVERFLOW may have written to it.
WEFT_API WEFT_MUST_CHECK int weft_broadcast_recv(weft_receiver *r, void *elem, uint64_t *lost);

// weft_broadcast_try_recv is weft_broadcast_recv, but does not wait: -EAGAIN if there
// is no message. It is not a cancellation point.
// Context: any thread, task or not. Never parks.
WEFT_API WEFT_MUST_CHECK int weft_broadcast_try_recv(weft_receiver *r, void *elem, uint64_t *lost);

// --- Watch ---------------------------------------------------------------------------

typedef struct weft_watch weft_watch;

// weft_watch_new makes a watch whose value is the `elem_size` bytes at `initial` (NULL:
// all zero), and their version 1. Each weft_watch_set makes the next version.
//
// Returns: 0, and the watch in *out; -ENOMEM, also if the size is beyond all memory.
// Context: any thread, also outside a runtime. Never parks.
// Owns:    the caller has the one reference, and gives it up with weft_watch_unref.
WEFT_API WEFT_MUST_CHECK int weft_watch_new(weft_watch **out, size_t elem_size, const void *initial);

// weft_watch_ref takes one more reference, for another user that will unref the watch,
// and returns `w`.
// Context: any thread that has a reference. Never parks.
WEFT_API weft_watch *weft_watch_ref(weft_watch *w);

// weft_watch_unref gives a reference up; the last one frees the watch. A waiting caller
// needs a reference until its call returns. NULL does nothing.
// Context: any thread. Never parks.
WEFT_API void weft_watch_unref(weft_watch *w);

// weft_watch_set sets the value to the bytes at `elem`, and wakes all tasks that wait
// for a change.
//
// Returns: 0; -EPIPE once closed: then the value stays as it was.
// Context: any thread, task or not. Never parks.
WEFT_API int weft_watch_set(weft_watch *w, const void *elem);

// weft_watch_close makes the current value the last one: tasks that wait for another
// one get -EPIPE. Closing again does nothing.
// Context: any thread. Never parks.
WEFT_API void weft_watch_close(weft_watch *w);

// weft_watch_get copies the latest value to `elem`, and its version to *version (may be
// NULL). It works on a closed watch, too.
// Context: any thread, task or not. Never parks.
WEFT_API void weft_watch_get(const weft_watch *w, void *elem, uint64_t *version);

// weft_watch_wait waits until the version differs from *version, then copies value and
// version as weft_watch_get does. Start with *version = 0 to get the current value,
// then every change except those already overwritten.
//
// Returns: 0; -EPIPE if it is closed and *version is the last; -ECANCELED, -ETIMEDOUT.
// Context: task. May park, so the caller may continue on another thread.
// Cancel:  on an error `elem` and *version are untouched.
WEFT_API WEFT_MUST_CHECK int weft_watch_wait(weft_watch *w, void *elem, uint64_t *version);

WEFT_END_DECLS

#endif
