// Channels: one lock, a buffer, and two queues of waiters.
//
// Invariants whenever the lock is free:
//
//   - The buffer holds messages only while no receiver waits for one, and a sender
//     waits only while it is full. A waiter of a select that another case has won may
//     still be in a queue; it does not count.
//   - A closed channel has no waiters.
//
// So a send copies its message directly into the memory of the first waiting receiver.
// A receive that makes room moves the message of the first waiting sender into the
// buffer; that sender has nothing left to do when it wakes up. A later caller cannot
// overtake a waiting one.
//
// Waiting is by runtime/wait/waiter.h: the taker of a waiter releases the lock, copies the
// message (the waiter cannot return before it is granted), and grants. No wake, no copy
// from task to task, no allocation and no free happens under the lock.
//
// A channel has one lock, not one for each end. Two locks in separate cache lines would
// help if the ends ran on two workers. But a wake puts the woken task on the waker's
// worker, so the two ends of a busy channel mostly alternate on one worker. If they do
// not, or if each end has many tasks, the patient lock (base/lock.h) lets each worker
// do many operations in a row. 8 senders and 8 receivers on two workers: 35 to 48
// million messages a second, 8 to 25 with the plain one; on one worker 50.
#include "runtime/chan/chan.h"

#include <errno.h>

#include "base/assert.h"
#include "base/mem.h"
#include "runtime/chan/state.h"

enum { GROW = 8 }; // the result of a send that needs a block; differs from the choice's results

static struct wf_chan_waiter *waiter_place(struct wf_waiter *w)
{
    return wf_container_of(w, struct wf_chan_waiter, waiter);
}

// take_waiter dequeues the first waiter that can be claimed. Returns: false if there is
// none.
static inline bool take_waiter(struct wf_list *queue, struct wf_chan_waiter **peer)
{
    struct wf_waiter *w = wf_list_empty(queue) ? NULL : wf_waiter_take(queue);

    if (w)
        *peer = waiter_place(w);
    return w != NULL;
}

// --- Checking ------------------------------------------------------------------------

// waits_alone tells whether the queue's first waiter can be granted for certain,
// because it is not a select's.
static bool waits_alone(const struct wf_list *queue)
{
    return !wf_list_empty(queue) && !wf_container_of(queue->next, const struct wf_waiter, link)->choice;
}

// check_locked is wf_chan_check, under the lock.
static void check_locked(const weft_chan *c)
{
    wf_assert(wf_lock_held(&c->lock));
    wf_assert(wf_load_relaxed(&c->refs) > 0); // relaxed: the caller has a reference
    wf_assert(!(wf_chan_marks(c) & WF_CHAN_HAS_BELL) == !c->bell);
    if (c->bell)
        wf_bell_check(c->bell);
    wf_buffer_check(&c->buffer);
    wf_waiters_check(&c->receivers);
    wf_waiters_check(&c->senders);
    if (wf_chan_is_closed(c))
        wf_assert(wf_list_empty(&c->receivers) && wf_list_empty(&c->senders));
    wf_assert(!waits_alone(&c->receivers) || wf_buffer_empty(&c->buffer));
    wf_assert(!waits_alone(&c->senders) || wf_buffer_full(&c->buffer));
    wf_assert(!(waits_alone(&c->receivers) && waits_alone(&c->senders)));
}

void wf_chan_check(weft_chan *c)
{
    wf_chan_lock(c);
    check_locked(c);
    wf_chan_unlock(c);
}

// --- Under the lock ------------------------------------------------------------------

// put sends a message. *peer: its receiver, which the caller grants. Returns: 0;
// -EAGAIN; GROW. Context: the channel is not closed.
static inline int put(weft_chan *c, const void *elem, struct wf_chan_waiter **peer)
{
    wf_debug_check(check_locked(c));
    wf_debug_assert(!wf_chan_is_closed(c));
    if (take_waiter(&c->receivers, peer))
        return 0;
    if (wf_unlikely(wf_buffer_full(&c->buffer)))
        return -EAGAIN;
    return wf_buffer_put(&c->buffer, elem) ? 0 : GROW;
}

// get receives a message. *peer: the sender whose message went into the buffer, or, at
// a rendezvous, is the message to receive. *drained: a block that the caller frees.
// Returns: 0; -EPIPE; -EAGAIN.
static inline int get(weft_chan *c, void *elem, struct wf_chan_waiter **peer, struct wf_block **drained)
{
    wf_debug_check(check_locked(c));
    if (wf_likely(!wf_buffer_empty(&c->buffer))) {
        *drained = wf_buffer_get(&c->buffer, elem);
        if (take_waiter(&c->senders, peer) && !wf_buffer_put(&c->buffer, (*peer)->from))
            wf_panic("a ring with room is full");
        return 0;
    }
    if (take_waiter(&c->senders, peer))
        return 0;
    return wf_chan_is_closed(c) ? -EPIPE : -EAGAIN;
}

// is_open tells whether a waiter may still be granted.
static bool is_open(const struct wf_waiter *w)
{
    return !w->choice || wf_choice_open(w->choice);
}

// claim_both wins the choices of both the select of `own` and the waiter `w`, or of
// neither.
// Returns: as wf_choice_win_both.
static int claim_both(struct wf_waiter *own, struct wf_waiter *w)
{
    wf_debug_assert(own->choice && own->choice != w->choice);
    if (!w->choice)
        return wf_waiter_claim(own) ? 0 : WF_CHOICE_LOST;
    return wf_choice_win_both(own->choice, own->number, w->choice, w->number);
}

// meet finds a peer for the select of `own`, other than the select itself, and wins
// both choices.
// Returns: 0: *peer; -EAGAIN: there is none; WF_CHOICE_LOST.
static int meet(struct wf_list *queue, struct wf_waiter *own, struct wf_chan_waiter **peer)
{
    wf_debug_assert(!own->queued);
    for (struct wf_list *at = queue->next, *next; at != queue; at = next) {
        struct wf_waiter *w = wf_waiter_of(at);
        next = at->next;
        if (w->choice == own->choice)
            continue;
        int err = claim_both(own, w);
        if (err == WF_CHOICE_LOST)
            return WF_CHOICE_LOST;
        wf_waiter_drop(w);
        if (err == 0) {
            *peer = waiter_place(w);
            return 0;
        }
    }
    return -EAGAIN;
}

// put_as is put for a waiter of a select: it sends only if the waiter wins its choice.
// Returns: as put; WF_CHOICE_LOST.
static int put_as(weft_chan *c, struct wf_chan_waiter *w, struct wf_chan_waiter **peer)
{
    if (wf_chan_is_closed(c))
        return wf_waiter_claim(&w->waiter) ? -EPIPE : WF_CHOICE_LOST;
    if (wf_chan_is_rendezvous(c))
        return meet(&c->receivers, &w->waiter, peer);
    if (wf_buffer_full(&c->buffer))
        return -EAGAIN;
    if (!wf_buffer_has_room(&c->buffer))
        return GROW;
    return wf_waiter_claim(&w->waiter) ? put(c, w->from, peer) : WF_CHOICE_LOST;
}

// get_as is get for a waiter of a select: it receives only if the waiter wins its
// choice.
// Returns: as get; WF_CHOICE_LOST.
static int get_as(weft_chan *c, struct wf_chan_waiter *w, struct wf_chan_waiter **peer, struct wf_block **drained)
{
    if (wf_buffer_empty(&c->buffer) && !wf_chan_is_closed(c))
        return wf_chan_is_rendezvous(c) ? meet(&c->senders, &w->waiter, peer) : -EAGAIN;
    return wf_waiter_claim(&w->waiter) ? get(c, w->to, peer, drained) : WF_CHOICE_LOST;
}

// --- Past the lock -------------------------------------------------------------------

// give copies the message to the receiver that was taken, if any, and grants the
// receiver.
static inline void give(weft_chan *c, const void *elem, struct wf_chan_waiter *peer)
{
    if (!peer)
        return;
    wf_debug_assert(!peer->waiter.queued);
    wf_message_copy(peer->to, elem, c->buffer.elem_size);
    wf_waiter_grant(&peer->waiter, 0);
}

// receive ends a receive: it grants the sender whose message it has moved, if any.
static inline void receive(weft_chan *c, void *elem, struct wf_chan_waiter *peer, struct wf_block *drained)
{
    if (wf_unlikely(drained != NULL))
        wf_free(drained);
    if (!peer)
        return;
    wf_debug_assert(!peer->waiter.queued);
    if (wf_chan_is_rendezvous(c))
        wf_message_copy(elem, peer->from, c->buffer.elem_size);
    wf_waiter_grant(&peer->waiter, 0);
}

// grow_buffer adds a block. Another sender may use it up first, so the caller tries
// again. Returns: 0; -ENOMEM.
WF_NOINLINE static int grow_buffer(weft_chan *c)
{
    struct wf_block *block = wf_buffer_block(&c->buffer);

    if (!block)
        return -ENOMEM;
    wf_chan_lock(c);
    block = wf_buffer_grow(&c->buffer, block);
    wf_lock_release(&c->lock);
    wf_free(block);
    return 0;
}

// spend ends a call that did not park.
static inline int spend(struct wf_task *self, int result)
{
    wf_budget_consume(self);
    return result;
}

// --- Life ----------------------------------------------------------------------------

int weft_chan_new(weft_chan **out, size_t elem_size, size_t capacity)
{
    weft_chan *c = wf_alloc(sizeof(*c));

    if (!c)
        return -ENOMEM;
    int err = wf_buffer_init(&c->buffer, elem_size, capacity);
    if (err < 0) {
        wf_free(c);
        return err;
    }
    wf_lock_init(&c->lock);
    wf_list_init(&c->receivers);
    wf_list_init(&c->senders);
    c->bell = NULL;
    wf_store_relaxed(&c->refs, 1u); // relaxed: not shared yet
    *out = c;
    return 0;
}

weft_chan *weft_chan_ref(weft_chan *c)
{
    uint32_t before = wf_fetch_add_relaxed(&c->refs, 1u); // relaxed: the caller's reference keeps it alive
    wf_debug_assert(before > 0 && before < UINT32_MAX);
    (void)before;
    return c;
}

void weft_chan_unref(weft_chan *c)
{
    // acq_rel: all other uses are over before the last reference frees it
    if (!c || wf_fetch_add_acq_rel(&c->refs, UINT32_MAX) != 1)
        return;
    if (!wf_list_empty(&c->receivers) || !wf_list_empty(&c->senders))
        wf_misuse("weft_chan_unref: the last reference to a channel is given up while tasks wait in it");
    wf_buffer_fini(&c->buffer);
    wf_bell_free(c->bell);
    wf_free(c);
}

bool weft_chan_closed(const weft_chan *c)
{
    return wf_chan_is_closed(c);
}

size_t weft_chan_len(const weft_chan *c)
{
    return wf_buffer_count(&c->buffer);
}

size_t wf_chan_elem_size(const weft_chan *c)
{
    return c->buffer.elem_size;
}

// close_queue moves all waiters of a queue to `taken`. Context: under the lock.
static void close_queue(struct wf_list *queue, struct wf_list *taken)
{
    for (struct wf_waiter *w; (w = wf_waiter_take(queue));)
        wf_list_append(taken, &w->link);
}

void weft_chan_close(weft_chan *c)
{
    struct wf_list taken;

    wf_list_init(&taken);
    wf_chan_lock(c);
    wf_chan_set_mark(c, WF_CHAN_CLOSED);
    close_queue(&c->receivers, &taken);
    close_queue(&c->senders, &taken);
    wf_chan_unlock(c);

    while (!wf_list_empty(&taken)) {
        struct wf_waiter *w = wf_waiter_of(taken.next);
        wf_list_remove(&w->link);
        wf_waiter_grant(w, -EPIPE);
    }
}

// --- Sending and receiving -----------------------------------------------------------

// wait_in queues a waiter of the calling task, releases the lock, and parks.
WF_NOINLINE static int wait_in(weft_chan *c, struct wf_list *queue, struct wf_chan_waiter *w, const char *call)
{
    wf_debug_assert(!wf_chan_is_closed(c));
    wf_waiter_init(&w->waiter, wf_self());
    wf_waiter_join(queue, &w->waiter);
    wf_chan_unlock(c);
    int err = wf_waiter_await(&w->waiter, &c->lock, call, (intptr_t)c);
    if (!err)
        return w->waiter.result;
    wf_chan_unlock(c);
    return err;
}

// send_with_block sends to a chain that needs a block. It is a separate function,
// because its loop would cost every send some instructions.
WF_NOINLINE static int send_with_block(weft_chan *c, const void *elem)
{
    struct wf_chan_waiter *peer = NULL;
    int err;

    do {
        if ((err = grow_buffer(c)) < 0)
            return err;
        wf_chan_lock(c);
        err = wf_chan_is_closed(c) ? -EPIPE : put(c, elem, &peer);
        wf_chan_unlock(c);
    } while (err == GROW);
    give(c, elem, peer);
    return err;
}

// send_marked is a send of `self`, or a try (NULL), to a channel that is closed or has
// a bell. Context: under the lock, which it releases.
WF_NOINLINE static int send_marked(weft_chan *c, const void *elem, struct wf_task *self)
{
    struct wf_chan_waiter *peer = NULL;
    int err = wf_chan_is_closed(c) ? -EPIPE : put(c, elem, &peer);

    if (err == -EAGAIN && self)
        return wait_in(c, &c->senders, &(struct wf_chan_waiter){ .from = elem }, "weft_chan_send");
    wf_chan_unlock(c);
    if (err == GROW)
        err = send_with_block(c, elem);
    else
        give(c, elem, peer);
    return self ? spend(self, err) : err;
}

int weft_chan_send(weft_chan *c, const void *elem)
{
    struct wf_task *self = wf_require_task("weft_chan_send");
    struct wf_chan_waiter *peer = NULL;
    int err = wf_check_cancel(self);

    if (wf_unlikely(err != 0))
        return err;
    wf_chan_lock(c);
    if (wf_unlikely(wf_chan_marks(c) != 0))
        return send_marked(c, elem, self);
    err = put(c, elem, &peer);
    if (wf_unlikely(err == -EAGAIN))
        return wait_in(c, &c->senders, &(struct wf_chan_waiter){ .from = elem }, "weft_chan_send");
    wf_lock_release(&c->lock);
    if (wf_unlikely(err == GROW))
        return spend(self, send_with_block(c, elem));
    give(c, elem, peer);
    return spend(self, err);
}

int weft_chan_recv(weft_chan *c, void *elem)
{
    struct wf_task *self = wf_require_task("weft_chan_recv");
    struct wf_chan_waiter *peer = NULL;
    struct wf_block *drained = NULL;
    int err = wf_check_cancel(self);

    if (wf_unlikely(err != 0))
        return err;
    wf_chan_lock(c);
    err = get(c, elem, &peer, &drained);
    if (wf_unlikely(err == -EAGAIN))
        return wait_in(c, &c->receivers, &(struct wf_chan_waiter){ .to = elem }, "weft_chan_recv");
    wf_chan_unlock(c);
    receive(c, elem, peer, drained);
    return spend(self, err);
}

int weft_chan_try_send(weft_chan *c, const void *elem)
{
    struct wf_chan_waiter *peer = NULL;

    wf_chan_lock(c);
    if (wf_unlikely(wf_chan_marks(c) != 0))
        return send_marked(c, elem, NULL);
    int err = put(c, elem, &peer);
    wf_lock_release(&c->lock);
    if (wf_unlikely(err == GROW))
        return send_with_block(c, elem);
    give(c, elem, peer);
    return err;
}

int weft_chan_try_recv(weft_chan *c, void *elem)
{
    struct wf_chan_waiter *peer = NULL;
    struct wf_block *drained = NULL;

    wf_chan_lock(c);
    int err = get(c, elem, &peer, &drained);
    wf_chan_unlock(c);
    receive(c, elem, peer, drained);
    return err;
}

// --- Select --------------------------------------------------------------------------

// A function that tells whether a waiter of the queue could be granted.
static bool somebody(weft_chan *c, const struct wf_list *queue)
{
    bool found = false;

    wf_chan_lock(c);
    for (struct wf_list *at = queue->next; at != queue && !found; at = at->next)
        found = is_open(wf_waiter_of(at));
    wf_lock_release(&c->lock);
    return found;
}

bool wf_chan_may_send(weft_chan *c)
{
    if (wf_chan_is_closed(c))
        return true;
    return wf_chan_is_rendezvous(c) ? somebody(c, &c->receivers) : !wf_buffer_full(&c->buffer);
}

bool wf_chan_may_recv(weft_chan *c)
{
    if (!wf_buffer_empty(&c->buffer) || wf_chan_is_closed(c))
        return true;
    return wf_chan_is_rendezvous(c) && somebody(c, &c->senders);
}

bool wf_chan_awaited(weft_chan *c)
{
    return somebody(c, &c->receivers);
}

int wf_chan_join_send(weft_chan *c, struct wf_chan_waiter *w)
{
    struct wf_chan_waiter *peer = NULL;
    int err;

    do {
        wf_chan_lock(c);
        err = put_as(c, w, &peer);
        if (err == -EAGAIN)
            wf_waiter_join(&c->senders, &w->waiter);
        wf_chan_unlock(c);
    } while (err == GROW && (err = grow_buffer(c)) == 0);
    if (err == -ENOMEM && !wf_waiter_claim(&w->waiter))
        return WF_CHOICE_LOST;
    give(c, w->from, peer);
    return err;
}

int wf_chan_join_recv(weft_chan *c, struct wf_chan_waiter *w)
{
    struct wf_chan_waiter *peer = NULL;
    struct wf_block *drained = NULL;

    wf_chan_lock(c);
    int err = get_as(c, w, &peer, &drained);
    if (err == -EAGAIN)
        wf_waiter_join(&c->receivers, &w->waiter);
    wf_chan_unlock(c);
    receive(c, w->to, peer, drained);
    return err;
}

void wf_chan_leave(weft_chan *c, struct wf_chan_waiter *w)
{
    wf_chan_lock(c);
    if (w->waiter.queued)
        wf_waiter_drop(&w->waiter);
    wf_chan_unlock(c);
}
