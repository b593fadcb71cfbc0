// weft_broadcast: a queue from which each receiver gets each message.
//
// Sending never blocks. A broadcast of capacity n keeps the n latest messages. A
// receiver that falls further behind loses the older ones, and is told how many it
// lost.
//
// Messages are bytes of a fixed size: they are copied in and out. What a sender wrote
// before it sent is visible to a receiver of that message.
#ifndef WEFT_BROADCAST_H
#define WEFT_BROADCAST_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

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

// weft_broadcast_ref takes one more reference, for another user of the broadcast, and
// returns `b`.
// Context: any thread that has a reference. Never parks.
WEFT_API weft_broadcast *weft_broadcast_ref(weft_broadcast *b);

// weft_broadcast_unref gives up a reference. The last one closes the broadcast, because
// no sender is left. The memory is freed when the last receiver has unsubscribed as
// well. NULL does nothing.
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

// weft_broadcast_subscribe makes a receiver, which gets all messages sent from now on;
// none if `b` is closed.
//
// Returns: 0, and the receiver in *out; -ENOMEM.
// Context: any thread. Never parks.
// Owns:    the receiver is the caller's until weft_broadcast_unsubscribe. It needs no reference to `b`.
WEFT_API WEFT_MUST_CHECK int weft_broadcast_subscribe(weft_broadcast *b, weft_receiver **out);

// weft_broadcast_unsubscribe frees the receiver, and drops the messages that it has not
// received. NULL does nothing.
// Context: any thread, while no task waits on `r`. Never parks.
WEFT_API void weft_broadcast_unsubscribe(weft_receiver *r);

// weft_broadcast_recv copies the oldest message that this receiver has not had yet to
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

WEFT_END_DECLS

#endif
