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
//
// The bell is the eventfd of weft_chan_fd, readable while a receive would find a
// message. `rung` is its state, or the state that it is about to get. A call that has
// changed the channel then checks `rung`. If it is wrong, the call takes the bell's
// mutex, because no system call may be made under the channel's lock. Under both locks
// it checks again, and corrects `rung`; under the mutex alone it makes the eventfd
// agree. So the system calls are in the order of the changes of `rung`, and when no
// call is in progress, the eventfd is right. A call that finds `rung` right may return
// before the system call of the call that has set it.
#include "runtime/chan/chan.h"

#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/descriptor.h"
#include "base/mem.h"
#include "base/sys.h"
#include "runtime/chan/buffer.h"

struct bell {
    pthread_mutex_t ringing; // of the caller that makes the eventfd agree with `rung`
    int fd;                  // fixed
    bool rung;               // under the mutex and the channel's lock; read under the lock
};

// I: fixed by weft_chan_new; L: under the lock; A: atomic
struct weft_chan {
    struct wf_buffer buffer; // L; first: its address costs nothing
    struct wf_lock lock;
    _Atomic uint8_t marks;    // L; read by any thread: CLOSED, HAS_BELL
    _Atomic uint32_t refs;    // A
    struct bell *bell;        // L: NULL before weft_chan_fd
    struct wf_list receivers; // L
    struct wf_list senders;   // L
};

enum { CLOSED = 1, HAS_BELL = 2 };
enum { GROW = 8 }; // the result of a send that needs a block; differs from the choice's results

static inline unsigned marks_of(const weft_chan *c)
{
    return wf_load_relaxed(&c->marks); // relaxed: they change under the lock; to others they are a hint
}

static inline bool is_closed(const weft_chan *c)
{
    return marks_of(c) & CLOSED;
}

// set_mark sets a mark.  Context: under the lock.
static void set_mark(weft_chan *c, unsigned which)
{
    wf_debug_assert(wf_lock_held(&c->lock));
    wf_store_relaxed(&c->marks, (uint8_t)(marks_of(c) | which)); // relaxed: as above
}

static inline bool is_rendezvous(const weft_chan *c)
{
    return c->buffer.capacity == 0;
}

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

WF_NOINLINE static void lock_chan_slowly(weft_chan *c)
{
    wf_lock_acquire_patiently(&c->lock);
}

static inline void lock_chan(weft_chan *c)
{
    if (wf_unlikely(!wf_lock_try(&c->lock)))
        lock_chan_slowly(c);
}

// has_something tells whether a receive would not have to wait. It may be wrong while a
// select that is already decided has not left the queue of senders.
static bool has_something(const weft_chan *c)
{
    return is_closed(c) || !wf_buffer_empty(&c->buffer) || (is_rendezvous(c) && !wf_list_empty(&c->senders));
}

static void ring_bell(weft_chan *c, struct bell *b)
{
    pthread_mutex_lock(&b->ringing);
    lock_chan(c);
    bool was = b->rung, rung = has_something(c);
    b->rung = rung;
    wf_lock_release(&c->lock);
    if (rung && !was)
        (void)wf_sys_write(b->fd, &(uint64_t){ 1 }, sizeof(uint64_t));
    else if (was && !rung)
        (void)wf_sys_read(b->fd, &(uint64_t){ 0 }, sizeof(uint64_t));
    pthread_mutex_unlock(&b->ringing);
}

// settle_bell makes the bell agree with the channel's present state.
WF_NOINLINE static void settle_bell(weft_chan *c)
{
    lock_chan(c);
    struct bell *b = c->bell; // fixed by now
    bool wrong = b->rung != has_something(c);
    wf_lock_release(&c->lock);
    if (wrong)
        ring_bell(c, b);
}

// unlock_chan ends a change of the channel; without a change wf_lock_release does.
static inline void unlock_chan(weft_chan *c)
{
    bool has_bell = c->bell != NULL; // another thread may add one once the lock is released

    wf_lock_release(&c->lock);
    if (wf_unlikely(has_bell))
        settle_bell(c);
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
    wf_assert(!(marks_of(c) & HAS_BELL) == !c->bell);
    wf_assert(!c->bell || c->bell->fd >= 0);
    wf_buffer_check(&c->buffer);
    wf_waiters_check(&c->receivers);
    wf_waiters_check(&c->senders);
    if (is_closed(c))
        wf_assert(wf_list_empty(&c->receivers) && wf_list_empty(&c->senders));
    wf_assert(!waits_alone(&c->receivers) || wf_buffer_empty(&c->buffer));
    wf_assert(!waits_alone(&c->senders) || wf_buffer_full(&c->buffer));
    wf_assert(!(waits_alone(&c->receivers) && waits_alone(&c->senders)));
}

void wf_chan_check(weft_chan *c)
{
    lock_chan(c);
    check_locked(c);
    unlock_chan(c);
}

// --- Under the lock ------------------------------------------------------------------

// put sends a message. *peer: its receiver, which the caller grants. Returns: 0;
// -EAGAIN; GROW. Context: the channel is not closed.
static inline int put(weft_chan *c, const void *elem, struct wf_chan_waiter **peer)
{
    wf_debug_check(check_locked(c));
    wf_debug_assert(!is_closed(c));
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
    return is_closed(c) ? -EPIPE : -EAGAIN;
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
    if (is_closed(c))
        return wf_waiter_claim(&w->waiter) ? -EPIPE : WF_CHOICE_LOST;
    if (is_rendezvous(c))
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
    if (wf_buffer_empty(&c->buffer) && !is_closed(c))
        return is_rendezvous(c) ? meet(&c->senders, &w->waiter, peer) : -EAGAIN;
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
    if (is_rendezvous(c))
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
    lock_chan(c);
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

// make_bell returns: 0; -EMFILE, -ENFILE, -ENOMEM.
static int make_bell(struct bell **out)
{
    struct bell *b = wf_alloc(sizeof(*b));

    if (!b)
        return -ENOMEM;
    int fd = wf_fault() ? -EMFILE : wf_above_standard(wf_sys_eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (fd < 0) {
        wf_free(b);
        return fd;
    }
    pthread_mutex_init(&b->ringing, NULL);
    b->fd = fd;
    b->rung = false;
    *out = b;
    return 0;
}

// bell_of gives the channel the bell `made`, unless it has one. Returns: the channel's
// bell; NULL: it has none, and `made` is NULL.
static struct bell *bell_of(weft_chan *c, struct bell *made)
{
    lock_chan(c);
    if (!c->bell && made) {
        c->bell = made;
        set_mark(c, HAS_BELL);
    }
    struct bell *b = c->bell;
    unlock_chan(c); // rings a new bell if necessary
    return b;
}

static void free_bell(struct bell *b)
{
    if (!b)
        return;
    (void)wf_sys_close(b->fd);
    pthread_mutex_destroy(&b->ringing);
    wf_free(b);
}

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
    free_bell(c->bell);
    wf_free(c);
}

int weft_chan_fd(weft_chan *c)
{
    struct bell *made, *b = bell_of(c, NULL);

    if (b)
        return b->fd;
    int err = make_bell(&made);
    if (err)
        return err;
    b = bell_of(c, made);
    if (b != made)
        free_bell(made); // another caller was faster
    return b->fd;
}

bool weft_chan_closed(const weft_chan *c)
{
    return is_closed(c);
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
    lock_chan(c);
    set_mark(c, CLOSED);
    close_queue(&c->receivers, &taken);
    close_queue(&c->senders, &taken);
    unlock_chan(c);

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
    wf_debug_assert(!is_closed(c));
    wf_waiter_init(&w->waiter, wf_self());
    wf_waiter_join(queue, &w->waiter);
    unlock_chan(c);
    int err = wf_waiter_await(&w->waiter, &c->lock, call, (intptr_t)c);
    if (!err)
        return w->waiter.result;
    unlock_chan(c);
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
        lock_chan(c);
        err = is_closed(c) ? -EPIPE : put(c, elem, &peer);
        unlock_chan(c);
    } while (err == GROW);
    give(c, elem, peer);
    return err;
}

// send_marked is a send of `self`, or a try (NULL), to a channel that is closed or has
// a bell. Context: under the lock, which it releases.
WF_NOINLINE static int send_marked(weft_chan *c, const void *elem, struct wf_task *self)
{
    struct wf_chan_waiter *peer = NULL;
    int err = is_closed(c) ? -EPIPE : put(c, elem, &peer);

    if (err == -EAGAIN && self)
        return wait_in(c, &c->senders, &(struct wf_chan_waiter){ .from = elem }, "weft_chan_send");
    unlock_chan(c);
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
    lock_chan(c);
    if (wf_unlikely(marks_of(c) != 0))
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
    lock_chan(c);
    err = get(c, elem, &peer, &drained);
    if (wf_unlikely(err == -EAGAIN))
        return wait_in(c, &c->receivers, &(struct wf_chan_waiter){ .to = elem }, "weft_chan_recv");
    unlock_chan(c);
    receive(c, elem, peer, drained);
    return spend(self, err);
}

int weft_chan_try_send(weft_chan *c, const void *elem)
{
    struct wf_chan_waiter *peer = NULL;

    lock_chan(c);
    if (wf_unlikely(marks_of(c) != 0))
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

    lock_chan(c);
    int err = get(c, elem, &peer, &drained);
    unlock_chan(c);
    receive(c, elem, peer, drained);
    return err;
}

// --- Select --------------------------------------------------------------------------

// Tells whether a waiter of the queue could be granted.
static bool somebody(weft_chan *c, const struct wf_list *queue)
{
    bool found = false;

    lock_chan(c);
    for (struct wf_list *at = queue->next; at != queue && !found; at = at->next)
        found = is_open(wf_waiter_of(at));
    wf_lock_release(&c->lock);
    return found;
}

bool wf_chan_may_send(weft_chan *c)
{
    if (is_closed(c))
        return true;
    return is_rendezvous(c) ? somebody(c, &c->receivers) : !wf_buffer_full(&c->buffer);
}

bool wf_chan_may_recv(weft_chan *c)
{
    if (!wf_buffer_empty(&c->buffer) || is_closed(c))
        return true;
    return is_rendezvous(c) && somebody(c, &c->senders);
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
        lock_chan(c);
        err = put_as(c, w, &peer);
        if (err == -EAGAIN)
            wf_waiter_join(&c->senders, &w->waiter);
        unlock_chan(c);
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

    lock_chan(c);
    int err = get_as(c, w, &peer, &drained);
    if (err == -EAGAIN)
        wf_waiter_join(&c->receivers, &w->waiter);
    unlock_chan(c);
    receive(c, w->to, peer, drained);
    return err;
}

void wf_chan_leave(weft_chan *c, struct wf_chan_waiter *w)
{
    lock_chan(c);
    if (w->waiter.queued)
        wf_waiter_drop(&w->waiter);
    unlock_chan(c);
}
