// A channel's state, as chan.c and bell.c share it.
#ifndef WF_RUNTIME_CHAN_STATE_H
#define WF_RUNTIME_CHAN_STATE_H

#include "base/assert.h"
#include "base/lock.h"
#include "runtime/chan/buffer.h"
#include "runtime/chan/chan.h"

struct bell;

// I: fixed by weft_chan_new; L: under the lock; A: atomic
struct weft_chan {
    struct wf_buffer buffer; // L; first: its address costs nothing
    struct wf_lock lock;
    _Atomic uint8_t marks;    // L; read by any thread: WF_CHAN_CLOSED, WF_CHAN_HAS_BELL
    _Atomic uint32_t refs;    // A
    struct bell *bell;        // L: NULL before weft_chan_fd
    struct wf_list receivers; // L
    struct wf_list senders;   // L
};

enum { WF_CHAN_CLOSED = 1, WF_CHAN_HAS_BELL = 2 };

static inline unsigned wf_chan_marks(const weft_chan *c)
{
    return wf_load_relaxed(&c->marks); // relaxed: they change under the lock; to others they are a hint
}

static inline bool wf_chan_is_closed(const weft_chan *c)
{
    return wf_chan_marks(c) & WF_CHAN_CLOSED;
}

// wf_chan_set_mark sets a mark.  Context: under the lock.
static inline void wf_chan_set_mark(weft_chan *c, unsigned which)
{
    wf_debug_assert(wf_lock_held(&c->lock));
    wf_store_relaxed(&c->marks, (uint8_t)(wf_chan_marks(c) | which)); // relaxed: as above
}

static inline bool wf_chan_is_rendezvous(const weft_chan *c)
{
    return c->buffer.capacity == 0;
}

WF_NOINLINE static void wf_chan_lock_slowly(weft_chan *c)
{
    wf_lock_acquire_patiently(&c->lock);
}

static inline void wf_chan_lock(weft_chan *c)
{
    if (wf_unlikely(!wf_lock_try(&c->lock)))
        wf_chan_lock_slowly(c);
}

// wf_chan_has_message tells whether a receive would not have to wait. It may be wrong
// while a select that is already decided has not left the queue of senders.
static inline bool wf_chan_has_message(const weft_chan *c)
{
    return wf_chan_is_closed(c) || !wf_buffer_empty(&c->buffer) ||
           (wf_chan_is_rendezvous(c) && !wf_list_empty(&c->senders));
}

// wf_bell_settle makes the bell agree with the channel's present state. Context: without
// the lock; the channel has a bell.
void wf_bell_settle(weft_chan *c);

// wf_bell_free frees a bell; NULL does nothing.
void wf_bell_free(struct bell *b);

// wf_bell_check asserts that a bell has its eventfd.  Context: under the channel's lock.
void wf_bell_check(const struct bell *b);

// wf_chan_unlock ends a change of the channel; without a change wf_lock_release does.
static inline void wf_chan_unlock(weft_chan *c)
{
    bool has_bell = c->bell != NULL; // another thread may add one once the lock is released

    wf_lock_release(&c->lock);
    if (wf_unlikely(has_bell))
        wf_bell_settle(c);
}

#endif
