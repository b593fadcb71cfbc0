// Channels: queues that pass messages of a fixed size between tasks.
//
// Any number of tasks may send, and any number may receive. A message is bytes: it is
// copied when it is sent and when it is received, and belongs to exactly one receiver.
// Messages of one sender arrive in the order in which it sent them. Waiting tasks are
// served first come, first served. What a sender wrote before it sent is visible to the
// receiver of that message.
//
// A channel of capacity 0 is a rendezvous: a send ends when a receiver has the message.
// A channel of capacity n holds n messages; when it is full, a sender waits for room.
// The k-th receive happens before the (k + n)-th send completes. An unbounded channel
// never makes a sender wait. It allocates memory in blocks as it grows, and frees the
// blocks as it is drained.
//
// After closing, the messages in the channel can still be received; then receivers get
// -EPIPE. Senders get -EPIPE at once.
#ifndef WEFT_CHAN_H
#define WEFT_CHAN_H

#include <weft/base.h>
#include <weft/broadcast.h>
#include <weft/watch.h>

WEFT_BEGIN_DECLS

typedef struct weft_chan weft_chan;

// WEFT_UNBOUNDED is the capacity of a channel whose senders never wait.
#define WEFT_UNBOUNDED SIZE_MAX

// weft_chan_new makes a channel for messages of `elem_size` bytes (0: they are
// empty, and only counted).
//
// Returns: 0, and the channel in *out; -ENOMEM, also if the messages' size is beyond
//          all memory.
// Context: any thread, also outside a runtime. Never parks.
// Owns:    the caller has the one reference, and gives it up with weft_chan_unref.
WEFT_API WEFT_MUST_CHECK int weft_chan_new(weft_chan **out, size_t elem_size, size_t capacity);

// weft_chan_ref takes one more reference, for another user that will unref the channel,
// and returns `c`.
// Context: any thread that has a reference. Never parks.
WEFT_API weft_chan *weft_chan_ref(weft_chan *c);

// weft_chan_unref gives a reference up; the last one frees the channel, and the
// messages left in it. A reference, of the caller or of another task, must last until
// each call on the channel has returned. NULL does nothing.
// Context: any thread. Never parks.
WEFT_API void weft_chan_unref(weft_chan *c);

// weft_chan_send sends the message at `elem` (may be NULL if it is empty), and
// waits while the channel is full.
//
// Returns: 0; -EPIPE if the channel is closed, or is closed while the task waits;
//          -ECANCELED, -ETIMEDOUT; -ENOMEM, only from an unbounded channel that cannot
//          grow.
// Context: task. May park, so the caller may continue on another thread.
// Cancel:  on an error the message was not sent: no receiver will get it.
WEFT_API int weft_chan_send(weft_chan *c, const void *elem);

// weft_chan_recv takes the oldest message into `elem`, and waits while there is none.
// `elem` may be NULL if elem_size is 0.
//
// Returns: 0; -EPIPE if the channel is closed and drained; -ECANCELED, -ETIMEDOUT.
// Context: task. May park, so the caller may continue on another thread.
// Cancel:  on an error no message was taken, and `elem` is untouched. A message that is
//          handed over while the task is being cancelled is received: 0.
WEFT_API int weft_chan_recv(weft_chan *c, void *elem);

// weft_chan_try_send is weft_chan_send, but does not wait: -EAGAIN if it would have to.
// weft_chan_try_recv likewise. On a rendezvous they succeed only if a task waits at the
// other end. They are not cancellation points.
//
// Context: any thread, task or not. Never parks.
WEFT_API int weft_chan_try_send(weft_chan *c, const void *elem);
WEFT_API int weft_chan_try_recv(weft_chan *c, void *elem);

// weft_chan_close closes the channel and wakes all waiting tasks: senders get -EPIPE,
// and their messages were not sent; receivers get -EPIPE once no message is left.
// Closing again does nothing, so any sender or receiver may close.
// Context: any thread. Never parks.
WEFT_API void weft_chan_close(weft_chan *c);

// weft_chan_closed tells whether the channel is closed; it may still hold messages.
// Context: any thread. Never parks.
WEFT_API bool weft_chan_closed(const weft_chan *c);

// weft_chan_len is how many messages the channel holds. The number may be out of date
// if other tasks use the channel. It does not include the messages of waiting senders.
// Context: any thread. Never parks.
WEFT_API size_t weft_chan_len(const weft_chan *c);

// weft_chan_fd is a descriptor for an event loop of the program, which waits in
// poll(2), epoll or the like. It polls as readable (POLLIN) while the channel holds a
// message, or is closed. The loop takes messages by weft_chan_try_recv, one at a time
// or until the call returns -EAGAIN. The descriptor of a rendezvous is readable while a
// sender waits. If other threads use the channel at the same time, readability is a
// hint: another receiver may be faster. A send to an empty channel makes the descriptor
// readable before the send returns if no other call is in progress, and shortly after
// in any case.
//
// A channel without such a descriptor pays nothing for this. On a channel with a
// descriptor, each send to an empty channel, and each receive of the last message,
// makes one system call.
//
// Returns: the descriptor, the same one each time; -ENOMEM, -EMFILE, -ENFILE.
// Context: any thread, also outside a runtime. Never parks.
// Owns:    the channel owns the descriptor, and closes it with the last reference. The
//          caller may only wait for it: it must not read, write or close it.
WEFT_API int weft_chan_fd(weft_chan *c);

WEFT_END_DECLS

#endif
