// Channels: queues through which tasks hand each other messages of a fixed size.
//
// Any number of tasks may send, and any number may receive. A message is bytes: it is copied when it is sent and when
// it is received, and belongs to exactly one receiver. Messages that one task sends arrive in the order in which it
// sent them; those who wait are served in the order in which they came. What a sender wrote before it sent is visible
// to who receives that message.
//
// A channel of capacity 0 is a rendezvous: a send ends when a receiver has the message. One of capacity n holds n
// messages that nobody has received yet, then a sender waits for room: what a receiver did before it took the k-th
// message is visible to who has sent the (k + n)-th. An unbounded one never makes a sender wait, so it needs memory for
// all that nobody has received: it takes that in blocks as it grows, and gives it back as it is drained.
//
// Closing says that no message follows: what is in the channel can still be received, then receivers get -EPIPE, and
// senders get it at once.
#ifndef WEFT_CHAN_H
#define WEFT_CHAN_H

#include <weft/base.h>
#include <weft/cast.h>

WEFT_BEGIN_DECLS

typedef struct weft_chan weft_chan;

// WEFT_UNBOUNDED is the capacity of a channel whose senders never wait.
#define WEFT_UNBOUNDED SIZE_MAX

// weft_chan_new makes a channel for messages of `elem_size` bytes (0: signals, which are only counted).
//
// Returns: 0, and the channel in *out; -ENOMEM, also if the messages' size is beyond all memory.
// Context: any thread, also outside a runtime. Never parks.
// Owns:    the caller has the one reference, and gives it up with weft_chan_unref.
WEFT_API WEFT_MUST_CHECK int weft_chan_new(weft_chan **out, size_t elem_size, size_t capacity);

// weft_chan_ref takes one more reference, for somebody else who will unref the channel, and returns `c`.
// Context: any thread that has a reference. Never parks.
WEFT_API weft_chan *weft_chan_ref(weft_chan *c);

// weft_chan_unref gives a reference up; the last one frees the channel, and what nobody has received with it. So who
// uses a channel needs a reference, its own or somebody else's, that lasts until its calls have returned. NULL does
// nothing.
// Context: any thread. Never parks.
WEFT_API void weft_chan_unref(weft_chan *c);

// weft_chan_send sends the message at `elem` (may be NULL for a signal), and waits while the channel is full.
//
// Returns: 0; -EPIPE if the channel is closed, or is closed while the task waits; -ECANCELED, -ETIMEDOUT; -ENOMEM, only
//          from an unbounded channel that cannot grow.
// Context: task. May park, so the caller may continue on another thread.
// Cancel:  on an error the message was not sent, and nobody will receive it.
WEFT_API int weft_chan_send(weft_chan *c, const void *elem);

// weft_chan_recv takes the oldest message into `elem`, and waits while there is none. For a signal, `elem` may be NULL.
//
// Returns: 0; -EPIPE if the channel is closed and drained; -ECANCELED, -ETIMEDOUT.
// Context: task. May park, so the caller may continue on another thread.
// Cancel:  on an error no message was taken, and `elem` is untouched. A message that is handed over while the task is
//          being cancelled is received: 0.
WEFT_API int weft_chan_recv(weft_chan *c, void *elem);

// weft_chan_try_send is weft_chan_send, but does not wait: -EAGAIN if that would have to. weft_chan_try_recv likewise.
// On a rendezvous they succeed only if somebody waits at the other end. No cancellation points.
//
// Context: any thread, task or not. Never parks.
WEFT_API int weft_chan_try_send(weft_chan *c, const void *elem);
WEFT_API int weft_chan_try_recv(weft_chan *c, void *elem);

// weft_chan_close closes the channel and wakes all who wait: senders get -EPIPE, and have not sent; so do receivers,
// for whom nothing is left. Closing again does nothing: any sender, or receiver, may close.
// Context: any thread. Never parks.
WEFT_API void weft_chan_close(weft_chan *c);

// weft_chan_closed tells whether it is closed; messages may be left in it.
// Context: any thread. Never parks.
WEFT_API bool weft_chan_closed(const weft_chan *c);

// weft_chan_len is how many messages the channel holds, as of a moment ago if others use it. Those of senders that wait
// are not in it.
// Context: any thread. Never parks.
WEFT_API size_t weft_chan_len(const weft_chan *c);

WEFT_END_DECLS

#endif
