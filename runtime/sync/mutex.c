// The mutex: a word with its holder, and a queue.
//
// To hand the mutex to the one who has waited longest, at each unlock, makes a convoy: it is held while the new holder
// is on his way to a processor, everybody else runs into it meanwhile, and from then on each lock costs a switch of
// tasks. So unlock frees it and calls the head of the queue, which competes with whoever runs. If it loses, it goes
// back to the front. Once it has lost LOSSES_MAX times it is handed the mutex.
//
//   The word is the task that holds it, or 0 (FREE), and two marks:
//     QUEUED   somebody is in the queue
//     CALLED   the one who was at the head was taken out and woken, and has not competed yet
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
//                                                       lock, by those who come later (a)
//
//   (a), (c) and (h) are one compare-and-swap, without the queue's lock. All others are under that lock: (b), (d) and
//   (g) with a read-modify-write, because (a), (c) and (h) go on meanwhile; (e) and (f) are stores: QUEUED and not
//   CALLED, the holder himself in here with the lock, so nobody else could write: (a) and (h) need a free mutex, (b),
//   (d) and (g) the lock.
//
//   Exclusion: a holder is written over 0, by (a) and (h), or by the holder before him, by (e).
//
//   No wake is lost. Whenever the mutex is FREE and QUEUED, it is CALLED: for (b) and (g) set QUEUED only over a
//   holder, and he frees it by (f), which sets CALLED, or by (c), which needs CALLED. And the called one competes,
//   cancelled or not: it wins (h), or clears CALLED over a holder (g), whose unlock then is (e) or (f). One that is
//   cancelled in the queue was not called, and leaves (d); which of the two it was it sees under the lock.
//
//   No starvation: the head is overtaken only by those who take the mutex between a call and its turn, at LOSSES_MAX
//   calls; the others are behind it in the order in which they came.
//
//   Who locks the mutex after an unlock may free it. (c) is that unlock's last touch. After (e) and (f) comes the
//   release of the queue's lock; but there is one who was taken out of the queue, and his call cannot end before he
//   has been granted, after that.
//
// A contender does not spin before it queues. It was measured, with two workers and 20 to 100 looks at the word. Eight
// tasks that do nothing else get slower (15 to 18 ns a lock). Where what is done under the mutex is much shorter than
// what is done between, it brings 10 to 30 %. And where the holder does not run at that moment all of it is lost, up to
// some microseconds a lock; no look at whether it runs is safe: it may be a task of another runtime, and gone.
//
// Edges.
//   M1  unlock's compare-and-swap and stores (release) -> the compare-and-swap of lock (acquire): what the holder
//       wrote. What is written in between are read-modify-writes. Who is handed the mutex sees it by Q1
#include "runtime/sync/mutex.h"

#include "base/assert.h"
#include "runtime/sync/queue.h"

enum { QUEUED = 1, CALLED = 2, MARKS = QUEUED | CALLED };
enum { HANDED, COMPETE }; // what a waiter is granted
enum { LOSSES_MAX = 4 };

struct wf_mutex {
    _Atomic uintptr_t word; // A: the diagram above
    struct wf_queue queue;
};

_Static_assert(sizeof(struct wf_mutex) == sizeof(weft_mutex), "the mutex is what the program reserves for it");
_Static_assert(_Alignof(struct wf_task) > MARKS, "the marks lie below a task's address");

// One who waits.
struct contender {
    struct wf_waiter waiter;
    unsigned losses; // L: how many times it was called for nothing
};

static struct wf_mutex *mutex_of(weft_mutex *m)
{
    return (struct wf_mutex *)(void *)m;
}

static uintptr_t holder(uintptr_t word)
{
    return word & ~(uintptr_t)MARKS;
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

// holds tells whether `self` does. relaxed: nobody else writes `self` there.
static bool holds(const struct wf_mutex *m, const struct wf_task *self)
{
    return holder(wf_load_relaxed(&m->word)) == (uintptr_t)self; // relaxed: as above
}

bool wf_mutex_held(weft_mutex *m, const struct wf_task *self)
{
    return holds(mutex_of(m), self);
}

// --- Lock ------------------------------------------------------------------------------------------------------------

// take takes the mutex if it is free, and clears a mark with the same stroke. Returns: false if somebody holds it.
static bool take(struct wf_mutex *m, struct wf_task *self, uintptr_t clear)
{
    uintptr_t word = wf_load_relaxed(&m->word); // relaxed: the compare-and-swap confirms it

    while (!holder(word))
        if (wf_cas_acquire(&m->word, &word, (uintptr_t)self | (word & ~clear))) // [M1] (a) (h)
            return true;
    return false;
}

// take_or_mark is take, but over a holder it sets QUEUED.  Context: under the queue's lock.
static bool take_or_mark(struct wf_mutex *m, struct wf_task *self, uintptr_t clear)
{
    uintptr_t word = wf_load_relaxed(&m->word), want; // relaxed: the compare-and-swap confirms it

    do {
        want = holder(word) ? (word & ~clear) | QUEUED : (uintptr_t)self | (word & ~clear);
    } while (!wf_cas_acquire(&m->word, &word, want)); // [M1] (a) (h) (b) (g)
    return !holder(word);
}

// enter takes the mutex after all, or queues: who was called before all others, else last.
// Returns: true if it has it.
static bool enter(struct wf_mutex *m, struct contender *c, bool was_called)
{
    wf_queue_lock(&m->queue);
    bool has = take_or_mark(m, c->waiter.task, was_called ? CALLED : 0);
    if (!has && was_called)
        wf_queue_join_front(&m->queue, &c->waiter);
    else if (!has)
        wf_queue_join(&m->queue, &c->waiter);
    wf_queue_unlock(&m->queue);
    return has;
}

// leave is what a waiter that has left the queue still has to do there.  Context: under the queue's lock: releases it.
static void leave(struct wf_mutex *m)
{
    if (wf_queue_empty(&m->queue))
        wf_fetch_and_acq_rel(&m->word, ~(uintptr_t)QUEUED); // (d) acq_rel: no order is needed
    wf_queue_unlock(&m->queue);
}

static WF_NOINLINE int lock_slowly(struct wf_mutex *m, struct wf_task *self, bool shielded)
{
    struct contender c = { .losses = 0 };
    bool was_called = false;

    if (wf_unlikely(holds(m, self)))
        wf_misuse("weft_mutex_lock: the task holds the mutex already");
    do {
        wf_waiter_init(&c.waiter, self);
        if (enter(m, &c, was_called))
            return 0;
        int got = shielded ? wf_waiter_wait_shielded(&c.waiter, "mutex", (intptr_t)m)
                           : wf_queue_wait(&m->queue, &c.waiter, "mutex", m);
        if (got < 0)
            leave(m);
        if (got != COMPETE)
            return got;
        was_called = true;
        c.losses++;
    } while (!take(m, self, CALLED));
    return 0;
}

int weft_mutex_lock(weft_mutex *m)
{
    struct wf_task *self = wf_wait_self("weft_mutex_lock");
    int err = wf_wait_cut(self);

    if (wf_unlikely(err))
        return err;
    wf_wait_spend(self);
    return wf_likely(take(mutex_of(m), self, 0)) ? 0 : lock_slowly(mutex_of(m), self, false);
}

void wf_mutex_lock_shielded(weft_mutex *m, struct wf_task *self)
{
    if (!take(mutex_of(m), self, 0))
        (void)lock_slowly(mutex_of(m), self, true);
}

int weft_mutex_try_lock(weft_mutex *m)
{
    return take(mutex_of(m), wf_wait_self("weft_mutex_try_lock"), 0) ? 0 : -EBUSY;
}

// --- Unlock ----------------------------------------------------------------------------------------------------------

// pass_on frees the mutex and calls the head of the queue, or hands it over.
// Returns: false if nobody is in the queue any more: nothing has happened.  Context: the holder; CALLED is not set.
static WF_NOINLINE bool pass_on(struct wf_mutex *m)
{
    struct wf_list taken;

    wf_queue_lock(&m->queue);
    if (wf_queue_empty(&m->queue)) {
        // Not here: who locks it may free it, before the queue's lock is released.
        wf_queue_unlock(&m->queue);
        return false;
    }
    wf_list_init(&taken);
    struct contender *c = wf_container_of(wf_queue_take(&m->queue, &taken), struct contender, waiter);
    bool hand = c->losses >= LOSSES_MAX;
    uintptr_t queued = wf_queue_empty(&m->queue) ? 0 : QUEUED;
    wf_store_release(&m->word, queued | (hand ? (uintptr_t)c->waiter.task : CALLED)); // [M1] (e) (f)
    wf_queue_unlock(&m->queue);
    wf_queue_grant(&taken, hand ? HANDED : COMPETE);
    return true;
}

void weft_mutex_unlock(weft_mutex *m)
{
    struct wf_task *self = wf_wait_self("weft_mutex_unlock");
    struct wf_mutex *mutex = mutex_of(m);
    uintptr_t word = wf_load_relaxed(&mutex->word); // relaxed: the compare-and-swap confirms it

    for (;;) {
        if (wf_unlikely(holder(word) != (uintptr_t)self))
            wf_misuse("weft_mutex_unlock: the task does not hold the mutex");
        if (wf_unlikely((word & MARKS) == QUEUED)) {
            if (pass_on(mutex))
                return;
            word = wf_load_relaxed(&mutex->word);                                  // relaxed: as above
        } else if (wf_likely(wf_cas_release(&mutex->word, &word, word & MARKS))) { // [M1] (c)
            return;
        }
    }
}
