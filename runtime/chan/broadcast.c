// Broadcast: a ring (bcast.h) in which each receiver has its own position.
//
// Its memory belongs to its holders: all references together count as one holder, and
// so does each receiver. The last holder frees it.
#include <weft/broadcast.h>

#include <errno.h>
#include <limits.h>

#include "base/assert.h"
#include "base/mem.h"
#include "runtime/chan/bcast.h"

// L: under cast.lock
struct weft_broadcast {
    struct wf_bcast cast; // first
    uint64_t refs;        // L
    uint64_t receivers;   // L
    uint64_t holders;     // L
};

// O: the receiving task or thread, one at a time; A: atomic
struct weft_receiver {
    weft_broadcast *from; // I
    uint64_t next;        // O: the next message
    _Atomic bool waiting; // A: its owner waits, so no other caller may use the receiver
};

// --- Memory --------------------------------------------------------------------------

int weft_broadcast_new(weft_broadcast **out, size_t elem_size, size_t capacity)
{
    if (capacity == 0)
        return -EINVAL;
    weft_broadcast *b = wf_bcast_new(sizeof(*b), elem_size, capacity);
    if (!b)
        return -ENOMEM;
    b->refs = b->holders = 1;
    *out = b;
    return 0;
}

weft_broadcast *weft_broadcast_ref(weft_broadcast *b)
{
    wf_lock_acquire(&b->cast.lock);
    wf_debug_assert(b->refs > 0 && b->holders > 0);
    b->refs++;
    wf_lock_release(&b->cast.lock);
    return b;
}

// drop_holder removes one holder.
static void drop_holder(weft_broadcast *b)
{
    wf_lock_acquire(&b->cast.lock);
    wf_debug_assert(b->holders > b->receivers); // the caller's receiver is no longer counted
    bool last = --b->holders == 0;
    wf_lock_release(&b->cast.lock);
    if (last)
        wf_free(b);
}

void weft_broadcast_unref(weft_broadcast *b)
{
    if (!b)
        return;
    wf_lock_acquire(&b->cast.lock);
    wf_debug_assert(b->refs > 0 && b->holders > b->receivers);
    bool last = --b->refs == 0;
    wf_lock_release(&b->cast.lock);
    if (last) {
        wf_bcast_close(&b->cast);
        drop_holder(b);
    }
}

// --- Sending -------------------------------------------------------------------------

int weft_broadcast_send(weft_broadcast *b, const void *elem)
{
    uint64_t count = 0;

    wf_lock_acquire(&b->cast.lock);
    bool closed = wf_bcast_closed(&b->cast);
    int receivers = b->receivers < INT_MAX ? (int)b->receivers : INT_MAX;
    if (!closed && receivers > 0)
        count = wf_bcast_put(&b->cast, elem);
    wf_lock_release(&b->cast.lock);
    if (count)
        wf_bcast_tell(&b->cast, count);
    return closed ? -EPIPE : receivers;
}

void weft_broadcast_close(weft_broadcast *b)
{
    wf_bcast_close(&b->cast);
}

// --- Receiving -----------------------------------------------------------------------

int weft_broadcast_subscribe(weft_broadcast *b, weft_receiver **out)
{
    weft_receiver *r = wf_alloc(sizeof(*r));
    if (!r)
        return -ENOMEM;

    r->from = b;
    wf_lock_acquire(&b->cast.lock);
    b->holders++;
    b->receivers++;
    r->next = wf_load_relaxed(&b->cast.count); // relaxed: written under the lock only
    wf_lock_release(&b->cast.lock);
    *out = r;
    return 0;
}

// expect_mine aborts a program in which two callers use a receiver at the same time, if
// one of them waits. It does not detect other misuse.
static void expect_mine(const weft_receiver *r, const char *call)
{
    if (wf_unlikely(wf_load_relaxed(&r->waiting))) // relaxed: a best-effort check for misuse
        wf_misuse("%s: somebody else waits for a message with this receiver: each needs its own", call);
}

void weft_broadcast_unsubscribe(weft_receiver *r)
{
    if (!r)
        return;
    expect_mine(r, "weft_broadcast_unsubscribe");
    weft_broadcast *b = r->from;
    wf_lock_acquire(&b->cast.lock);
    wf_debug_assert(b->receivers > 0 && b->holders >= b->receivers);
    b->receivers--;
    wf_lock_release(&b->cast.lock);
    wf_free(r);
    drop_holder(b);
}

// skip advances to the oldest message that was kept.
static int skip(weft_receiver *r, uint64_t *lost)
{
    uint64_t oldest = wf_bcast_oldest(&r->from->cast);

    wf_debug_assert(oldest > r->next); // what is lost is older than the oldest
    if (lost)
        *lost = oldest - r->next;
    r->next = oldest;
    return -EOVERFLOW;
}

static int take_message(weft_receiver *r, void *elem, uint64_t *lost)
{
    bool closed = wf_bcast_closed(&r->from->cast);

    switch (wf_bcast_get(&r->from->cast, r->next, elem)) {
    case WF_BCAST_GOT:
        r->next++;
        return 0;
    case WF_BCAST_LOST:
        return skip(r, lost);
    default:
        return closed ? -EPIPE : -EAGAIN;
    }
}

int weft_broadcast_try_recv(weft_receiver *r, void *elem, uint64_t *lost)
{
    expect_mine(r, "weft_broadcast_try_recv");
    return take_message(r, elem, lost);
}

// wait_and_take is for a receiver that has found no message.
static int wait_and_take(weft_receiver *r, void *elem, uint64_t *lost)
{
    struct wf_task *self = wf_self();
    int got, err = 0;

    wf_store_relaxed(&r->waiting, true); // relaxed: see expect_mine
    do {
        uintptr_t seen = wf_bcast_seen(&r->from->cast);
        got = take_message(r, elem, lost);
        if (got == -EAGAIN)
            err = wf_bcast_wait(&r->from->cast, self, seen, "broadcast");
    } while (got == -EAGAIN && !err);
    wf_store_relaxed(&r->waiting, false); // relaxed: see expect_mine
    return err ? err : got;
}

int weft_broadcast_recv(weft_receiver *r, void *elem, uint64_t *lost)
{
    int err = wf_wait_begin("weft_broadcast_recv");
    if (err)
        return err;
    expect_mine(r, "weft_broadcast_recv");
    err = take_message(r, elem, lost);
    if (err == -EAGAIN)
        return wait_and_take(r, elem, lost);
    wf_budget_consume_self();
    return err;
}
