// The mutex: a word with its holder, and a queue.
//
// Handing the mutex to the first waiter at each unlock makes a convoy: the new holder
// holds the mutex while it waits for a CPU, so all other tasks queue behind it, and
// from then on each lock costs a switch of tasks. So unlock frees the mutex and calls
// the head of the queue, which competes with running tasks. If it loses, it goes back
// to the front. After it has lost LOSSES_MAX times, unlock hands the mutex to it.
//
//   The word is the task that holds it, or 0 (FREE), and two marks:
//     QUEUED   a waiter is in the queue
//     CALLED   the head was taken out of the queue and woken, and has not competed yet
//
//                 lock (a)                    lock, by u (b)
//        FREE <-------------> HELD by t ------------------------> HELD by t | QUEUED
//              unlock (c)               <------------------------   |           |
//                                         the last one leaves (d)   |           | unlock (f): the head is called
//                                                                   |           v
//        HELD by the head [| QUEUED] <------------------------------+        FREE | CALLED [| QUEUED]
//                  unlock (e): it has lost LOSSES_MAX times                     |    |     |     ^
//                                                                               |    |     |     |
//        HELD by the called [| QUEUED] <--- the called one wins (h) ------------+    |     |     |
//                                                                                    |     |     |
//        HELD by v | CALLED [| QUEUED] <------- lock, by any v (a) ------------------+     |     |
//              |   |                                                                       |     |
//              |   +------------------------- unlock (c): one was called already ----------|-----+
//              v                                                                           |
//        HELD by v | QUEUED   the called one loses, and goes back to the front (g)         v
//                                                       lock, by a later caller (a)
//
//   (a), (c) and (h) are one compare-and-swap, without the queue's lock. All others are
//   under that lock. (b), (d) and (g) are read-modify-writes, because (a), (c) and (h)
//   run concurrently. (e) and (f) are stores: the holder has the lock, and the word is
//   QUEUED and not CALLED, so no other thread can write it: (a) and (h) need a free
//   mutex, (b), (d) and (g) the lock.
//
//   Exclusion: a holder is written over 0, by (a) and (h), or by the previous holder,
//   by (e).
//
//   No wake is lost. Whenever the mutex is FREE and QUEUED, it is CALLED: (b) and (g)
//   set QUEUED only over a holder, which frees the mutex by (f), which sets CALLED, or
//   by (c), which requires CALLED. The called waiter competes, cancelled or not: it
//   wins (h), or clears CALLED over a holder (g), whose unlock then is (e) or (f). A
//   waiter that is cancelled while queued was not called, and leaves (d). Under the
//   lock the waiter sees which of the two it is.
//
//   No starvation: the head is overtaken only by tasks that take the mutex between a
//   call and the head's turn, at LOSSES_MAX calls; the other waiters are behind it in
//   FIFO order.
//
//   The next holder may free the mutex. (c) is the unlock's last access. After (e) and
//   (f) the unlock still releases the queue's lock. But the waiter that it took out of
//   the queue cannot return before its grant, which comes after that release.
//
// Rejected: spinning before queueing. It was measured with two workers and 20 to 100
// reads of the word. Eight tasks that only lock and unlock get slower (15 to 18 ns a
// lock). With critical sections much shorter than the work between them, spinning gains
// 10 to 30 %. If the holder is not running, the spinning is wasted, up to some
// microseconds a lock; and checking whether it runs is not safe: it may be a task of
// another runtime, and freed.
//
// Edges.
//   M1  unlock's compare-and-swap and stores (release) -> the compare-and-swap of lock
//       (acquire): what the holder wrote. All writes in between are read-modify-writes.
//       A waiter that is handed the mutex sees it by Q1
#include "runtime/sync/mutex.h"

#include "base/assert.h"
#include "runtime/sync/queue.h"

enum { QUEUED = 1, CALLED = 2, MARKS = QUEUED | CALLED };
_Static_assert((int)MARKS == (int)WF_MUTEX_MARKS, "what debuggers are told");
enum { HANDED, COMPETE }; // the results of a grant
enum { LOSSES_MAX = 4 };

struct wf_mutex {
    _Atomic uintptr_t word; // A: the diagram above
    struct wf_queue queue;
};

_Static_assert(sizeof(struct wf_mutex) == sizeof(weft_mutex), "the mutex is what the program reserves for it");
_Static_assert(_Alignof(struct wf_task) > MARKS, "the marks lie below a task's address");

// A waiter of the mutex.
struct contender {
    struct wf_waiter waiter;
    unsigned losses; // L: how often it was called and lost
};

static struct wf_mutex *mutex_of(weft_mutex *m)
{
    return (struct wf_mutex *)(void *)m;
}

static uintptr_t holder_of(uintptr_t word)
{
    return word & ~(uintptr_t)MARKS;
}

const struct wf_task *wf_mutex_holder(intptr_t m)
{
    struct wf_mutex *mutex = (struct wf_mutex *)m;
    return (const struct wf_task *)holder_of(wf_load_relaxed(&mutex->word)); // relaxed: for dumps
}

// check_locked is wf_mutex_check, under the queue's lock. If a mutex is free and has
// waiters, one of them was called; otherwise they would wait without end.
static void check_locked(const struct wf_mutex *m)
{
    uintptr_t word = wf_load_relaxed(&m->word); // relaxed: QUEUED changes only under the lock

    wf_assert(holder_of(word) || (word & MARKS) != QUEUED);
    wf_queue_check(&m->queue, word & QUEUED);
}

void wf_mutex_check(weft_mutex *m)
{
    wf_queue_lock(&mutex_of(m)->queue);
    check_locked(mutex_of(m));
    wf_queue_unlock(&mutex_of(m)->queue);
}

void weft_mutex_init(weft_mutex *m)
{
    wf_store_relaxed(&mutex_of(m)->word, (uintptr_t)0); // relaxed: not shared yet
    wf_queue_init(&mutex_of(m)->queue);
}

void weft_mutex_destroy(weft_mutex *m)
{
    wf_queue_destroy(&mutex_of(m)->queue, "weft_mutex_destroy");
    if (wf_load_relaxed(&mutex_of(m)->word) != 0) // relaxed: a check for misuse
        wf_misuse("weft_mutex_destroy: somebody holds the mutex");
}

// holds_mutex tells whether `self` holds it. relaxed: only `self` writes itself there.
static bool holds_mutex(const struct wf_mutex *m, const struct wf_task *self)
{
    return holder_of(wf_load_relaxed(&m->word)) == (uintptr_t)self; // relaxed: as above
}

bool wf_mutex_held(weft_mutex *m, const struct wf_task *self)
{
    return holds_mutex(mutex_of(m), self);
}

// --- Lock ----------------------------------------------------------------------------

// take_mutex takes the mutex if it is free, and clears a mark with the same
// compare-and-swap.
// Returns: false if it is held.
static bool take_mutex(struct wf_mutex *m, struct wf_task *self, uintptr_t clear)
{
    uintptr_t word = wf_load_relaxed(&m->word); // relaxed: the compare-and-swap confirms it

    while (!holder_of(word))
        if (wf_cas_acquire(&m->word, &word, (uintptr_t)self | (word & ~clear))) // [M1] (a) (h)
            return true;
    return false;
}

// take_or_mark is take_mutex, but over a holder it sets QUEUED.  Context: under the
// queue's lock.
static bool take_or_mark(struct wf_mutex *m, struct wf_task *self, uintptr_t clear)
{
    uintptr_t word = wf_load_relaxed(&m->word), want; // relaxed: the compare-and-swap confirms it

    wf_debug_assert(wf_lock_held(&m->queue.lock));
    do {
        want = holder_of(word) ? (word & ~clear) | QUEUED : (uintptr_t)self | (word & ~clear);
    } while (!wf_cas_acquire(&m->word, &word, want)); // [M1] (a) (h) (b) (g)
    return !holder_of(word);
}

// enter_mutex takes the mutex if it is free by now, or queues the caller: at the front
// if it was called, else at the end. Returns: true if the caller has the mutex.
static bool enter_mutex(struct wf_mutex *m, struct contender *c, bool was_called)
{
    wf_queue_lock(&m->queue);
    wf_debug_check(check_locked(m));
    bool has = take_or_mark(m, c->waiter.task, was_called ? CALLED : 0);
    if (!has && was_called)
        wf_queue_join_front(&m->queue, &c->waiter);
    else if (!has)
        wf_queue_join(&m->queue, &c->waiter);
    wf_queue_unlock(&m->queue);
    return has;
}

// settle_word updates the word after a waiter has left the queue. Context: under the
// queue's lock, which it releases.
static void settle_word(struct wf_mutex *m)
{
    wf_debug_assert(wf_lock_held(&m->queue.lock));
    if (wf_queue_empty(&m->queue))
        wf_fetch_and_acq_rel(&m->word, ~(uintptr_t)QUEUED); // (d) acq_rel: no order is needed
    wf_queue_unlock(&m->queue);
}

static WF_NOINLINE int lock_mutex_slowly(struct wf_mutex *m, struct wf_task *self, bool shielded)
{
    struct contender c = { .losses = 0 };
    bool was_called = false;

    if (wf_unlikely(holds_mutex(m, self)))
        wf_misuse("weft_mutex_lock: the task holds the mutex already");
    do {
        wf_waiter_init(&c.waiter, self);
        if (enter_mutex(m, &c, was_called))
            return 0;
        int got = shielded ? wf_waiter_wait_shielded(&c.waiter, "mutex", (intptr_t)m)
                           : wf_queue_wait(&m->queue, &c.waiter, "mutex", m);
        if (got < 0)
            settle_word(m);
        if (got != COMPETE)
            return got;
        was_called = true;
        c.losses++;
    } while (!take_mutex(m, self, CALLED));
    return 0;
}

int weft_mutex_lock(weft_mutex *m)
{
    struct wf_task *self = wf_require_task("weft_mutex_lock");
    int err = wf_check_cancel(self);

    if (wf_unlikely(err))
        return err;
    wf_budget_consume(self);
    return wf_likely(take_mutex(mutex_of(m), self, 0)) ? 0 : lock_mutex_slowly(mutex_of(m), self, false);
}

// lock_mutex_starved is for a task on the reserve stack, which cannot park: it blocks
// its thread until the holder, on another thread, has unlocked.
static WF_NOINLINE void lock_mutex_starved(struct wf_mutex *m, struct wf_task *self)
{
    unsigned turns = 0;

    if (holds_mutex(m, self))
        wf_misuse("weft_mutex_lock_shielded: the task holds the mutex already");
    while (!take_mutex(m, self, 0))
        wf_relax(&turns);
}

void wf_mutex_lock_shielded(weft_mutex *m, struct wf_task *self)
{
    if (wf_likely(take_mutex(mutex_of(m), self, 0)))
        return;
    if (wf_unlikely(wf_task_starved(self)))
        lock_mutex_starved(mutex_of(m), self);
    else
        (void)lock_mutex_slowly(mutex_of(m), self, true);
}

void weft_mutex_lock_shielded(weft_mutex *m)
{
    struct wf_task *self = wf_require_task("weft_mutex_lock_shielded");

    (void)wf_check_cancel(self); // in a test run other tasks may run first here, as in weft_mutex_lock
    if (wf_likely(!wf_task_starved(self)))
        wf_budget_consume(self);
    wf_mutex_lock_shielded(m, self);
}

int weft_mutex_try_lock(weft_mutex *m)
{
    return take_mutex(mutex_of(m), wf_require_task("weft_mutex_try_lock"), 0) ? 0 : -EBUSY;
}

// --- Unlock --------------------------------------------------------------------------

// pass_mutex_on frees the mutex and calls the head of the queue, or hands the mutex to
// it.
// Returns: false if the queue is empty by now: nothing has changed. Context: the
// holder; CALLED is not set.
static WF_NOINLINE bool pass_mutex_on(struct wf_mutex *m)
{
    struct wf_list taken;

    wf_queue_lock(&m->queue);
    wf_debug_assert(holds_mutex(m, wf_self()));
    wf_debug_check(check_locked(m));
    if (wf_queue_empty(&m->queue)) {
        // Do not free the mutex here: the next holder may destroy it before the queue's
        // lock is released.
        wf_queue_unlock(&m->queue);
        return false;
    }
    wf_list_init(&taken);
    struct contender *c = wf_container_of(wf_queue_take(&m->queue, &taken), struct contender, waiter);
    bool hand = c->losses >= LOSSES_MAX;
    wf_debug_assert(c->losses <= LOSSES_MAX);
    uintptr_t queued = wf_queue_empty(&m->queue) ? 0 : QUEUED;
    wf_store_release(&m->word, queued | (hand ? (uintptr_t)c->waiter.task : CALLED)); // [M1] (e) (f)
    wf_queue_unlock(&m->queue);
    wf_queue_grant(&taken, hand ? HANDED : COMPETE);
    return true;
}

void weft_mutex_unlock(weft_mutex *m)
{
    struct wf_task *self = wf_require_task("weft_mutex_unlock");
    struct wf_mutex *mutex = mutex_of(m);
    uintptr_t word = wf_load_relaxed(&mutex->word); // relaxed: the compare-and-swap confirms it

    for (;;) {
        if (wf_unlikely(holder_of(word) != (uintptr_t)self))
            wf_misuse("weft_mutex_unlock: the task does not hold the mutex");
        if (wf_unlikely((word & MARKS) == QUEUED)) {
            if (pass_mutex_on(mutex))
                return;
            word = wf_load_relaxed(&mutex->word);                                  // relaxed: as above
        } else if (wf_likely(wf_cas_release(&mutex->word, &word, word & MARKS))) { // [M1] (c)
            return;
        }
    }
}
