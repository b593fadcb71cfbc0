// Channels as weft_select uses them: each case is a waiter that may join a channel's
// queue, or be served at once.
#ifndef WF_RUNTIME_CHAN_CHAN_H
#define WF_RUNTIME_CHAN_CHAN_H

#include <weft/chan.h>

#include "runtime/wait/waiter.h"

// A task's entry in a channel's queue, and its message: the one to send, or room for
// the one to receive.
struct wf_chan_waiter {
    struct wf_waiter waiter;
    union {
        const void *from; // I
        void *to;         // I
    };
};

// wf_chan_check asserts the invariants at the head of chan.c.
// Context: any thread that has a reference; takes the lock.
void wf_chan_check(weft_chan *c);

// wf_chan_may_send tells whether a send might be done now, wf_chan_may_recv a receive:
// a hint, which is right if no other task uses the channel at the same time.
bool wf_chan_may_send(weft_chan *c);
bool wf_chan_may_recv(weft_chan *c);

// wf_chan_join_send does the send of a select's waiter, if it is possible and the
// waiter wins its choice; else it queues the waiter. wf_chan_join_recv likewise.
// Returns: 0, -EPIPE, -ENOMEM: the send has ended; -EAGAIN: the waiter is queued;
// WF_CHOICE_LOST: another case has happened.
// Context: the waiter's task, before it parks.
int wf_chan_join_send(weft_chan *c, struct wf_chan_waiter *w);
int wf_chan_join_recv(weft_chan *c, struct wf_chan_waiter *w);

// wf_chan_leave takes the waiter out of its queue, if it is in there.
void wf_chan_leave(weft_chan *c, struct wf_chan_waiter *w);

// wf_chan_elem_size is the size of the channel's messages.
size_t wf_chan_elem_size(const weft_chan *c);

// wf_chan_awaited tells whether a task waits to receive: a hint, unless no task of
// another thread uses the channel.
bool wf_chan_awaited(weft_chan *c);

#endif
