// The readers-writer lock: a word with its holders, and a queue in strict order.
//
//   The word: WRITER and the writing task; or READER times the number of readers.
//   QUEUED is set if the queue is not empty: then only the queue's waiters get the
//   lock.
//
//                 read_lock, read_unlock               write_lock, write_unlock
//        n READERs <------------------> n+1 READERs    0 <--------------------> WRITER t
//             |                                                                   |
//             | lock, which must wait                                             | lock
//             v                                                                   v
//        n READERs | QUEUED                                                     WRITER t | QUEUED
//             |     \     \                                                       |
//             |      \     +-- read_unlock, not the last: n-1                     |
//             |       +------- the head leaves, and readers stand behind it       |
//             |                      (admit)                                      |
//             +------------------------------------+------------------------------+
//                        the last holder's unlock  |  (hand_over)
//                                                  v
//                         the head, if it writes; else all readers in front of the next writer
//
//   While QUEUED is set the lock is held: only the last holder's unlock could change
//   that, and it hands the lock over, under the queue's lock, where it checks that it
//   is still the last. So no wake is lost. Readers that unlock, and are not the last,
//   use a compare-and-swap concurrently.
//
//   No waiter starves: the queue is FIFO, and a batch of readers ends at the next
//   writer.
//
// Edges.
//   U1  unlock's compare-and-swap (release) -> the compare-and-swap of lock, and the
//       last holder's exchange (acquire): what holders did before. The last holder
//       passes it on by Q1
#include "runtime/sync/rwlock.h"

#include "base/assert.h"
#include "runtime/sync/queue.h"

enum { QUEUED = 1, WRITER = 2, MARKS = QUEUED | WRITER, READER = 4 };

struct wf_rwlock {
    _Atomic uintptr_t word; // A: the diagram above
    struct wf_queue queue;
};

_Static_assert(sizeof(struct wf_rwlock) == sizeof(weft_rwlock), "the lock is what the program reserves for it");
_Static_assert(_Alignof(struct wf_task) > MARKS, "the marks lie below a task's address");

// A waiter of the lock.
struct claimant {
    struct wf_waiter waiter;
    bool writes; // I
};

static struct wf_rwlock *rwlock_of(weft_rwlock *l)
{
    return (struct wf_rwlock *)(void *)l;
}

static uintptr_t writer(const struct wf_task *task)
{
    return (uintptr_t)task | WRITER;
}

// check_locked is wf_rwlock_check, under the queue's lock.
static void check_locked(const struct wf_rwlock *l)
{
    uintptr_t word = wf_load_relaxed(&l->word); // relaxed: QUEUED changes only under the lock

    wf_assert(word != QUEUED); // a free lock has no waiters: they would wait without end
    wf_assert(!(word & WRITER) || word & ~(uintptr_t)MARKS);
    wf_queue_check(&l->queue, word & QUEUED);
}

void wf_rwlock_check(weft_rwlock *l)
{
    wf_queue_lock(&rwlock_of(l)->queue);
    check_locked(rwlock_of(l));
    wf_queue_unlock(&rwlock_of(l)->queue);
}

void weft_rwlock_init(weft_rwlock *l)
{
    wf_store_relaxed(&rwlock_of(l)->word, (uintptr_t)0); // relaxed: not shared yet
    wf_queue_init(&rwlock_of(l)->queue);
}

void weft_rwlock_destroy(weft_rwlock *l)
{
    wf_queue_destroy(&rwlock_of(l)->queue, "weft_rwlock_destroy");
    if (wf_load_relaxed(&rwlock_of(l)->word) != 0) // relaxed: a check for misuse
        wf_misuse("weft_rwlock_destroy: somebody holds the lock");
}

// --- Lock ----------------------------------------------------------------------------

// with is the word after `self` has taken the lock; 0 if it must wait.
static uintptr_t with(uintptr_t word, const struct wf_task *self, bool writes)
{
    if (writes)
        return word == 0 ? writer(self) : 0;
    return word & MARKS ? 0 : word + READER;
}

static bool try_lock(struct wf_rwlock *l, struct wf_task *self, bool writes)
{
    uintptr_t word = wf_load_relaxed(&l->word), want; // relaxed: the compare-and-swap confirms it

    while ((want = with(word, self, writes)))
        if (wf_likely(wf_cas_acquire(&l->word, &word, want))) // [U1]
            return true;
    return false;
}

// enter_rwlock takes the lock if that is possible by now, or queues the caller.
// Returns: true if it has the lock.
static bool enter_rwlock(struct wf_rwlock *l, struct claimant *c)
{
    wf_queue_lock(&l->queue);
    wf_debug_check(check_locked(l));
    uintptr_t word = wf_load_relaxed(&l->word), want; // relaxed: the compare-and-swap confirms it
    do {
        want = with(word, c->waiter.task, c->writes);
    } while (!wf_cas_acquire(&l->word, &word, want ? want : word | QUEUED)); // [U1]
    if (!want)
        wf_queue_join(&l->queue, &c->waiter);
    wf_queue_unlock(&l->queue);
    return want;
}

// take_readers takes the readers before the first writer out of the queue.
// Returns: their part of the word. Context: under the queue's lock.
static uintptr_t take_readers(struct wf_rwlock *l, struct wf_list *taken)
{
    uintptr_t readers = 0;

    wf_debug_assert(wf_list_empty(taken));
    while (!wf_queue_empty(&l->queue)) {
        if (wf_container_of(wf_queue_head(&l->queue), struct claimant, waiter)->writes)
            break;
        wf_queue_take(&l->queue, taken);
        readers += READER;
    }
    return readers;
}

// admit admits the readers behind a queued writer that has left, while other readers
// may hold the lock.
// Context: under the queue's lock: releases it.
static void admit(struct wf_rwlock *l)
{
    uintptr_t word = wf_load_relaxed(&l->word), want; // relaxed: the compare-and-swap confirms it
    struct wf_list taken;

    wf_debug_assert(wf_lock_held(&l->queue.lock));
    wf_list_init(&taken);
    uintptr_t readers = word & WRITER ? 0 : take_readers(l, &taken);
    do {
        want = wf_queue_empty(&l->queue) ? (word & ~(uintptr_t)QUEUED) + readers : word + readers;
    } while (!wf_cas_acq_rel(&l->word, &word, want)); // [U1] the word passes on what earlier readers did
    wf_queue_unlock(&l->queue);
    wf_queue_grant(&taken, 0);
}

static WF_NOINLINE int lock_rwlock_slowly(struct wf_rwlock *l, struct wf_task *self, bool writes, bool shielded)
{
    const char *what = writes ? "write lock" : "read lock";
    struct claimant c = { .writes = writes };

    // relaxed: only `self` writes itself there
    if ((wf_load_relaxed(&l->word) & ~(uintptr_t)QUEUED) == writer(self))
        wf_misuse("weft_rwlock_%s_lock: the task holds the lock for writing", writes ? "write" : "read");
    wf_waiter_init(&c.waiter, self);
    if (enter_rwlock(l, &c))
        return 0;
    int err =
        shielded ? wf_waiter_wait_shielded(&c.waiter, what, (intptr_t)l) : wf_queue_wait(&l->queue, &c.waiter, what, l);
    if (err < 0)
        admit(l);
    return err;
}

static inline int lock_as(weft_rwlock *l, bool writes, const char *call)
{
    struct wf_task *self = wf_require_task(call);
    int err = wf_check_cancel(self);

    if (wf_unlikely(err))
        return err;
    wf_budget_consume(self);
    return wf_likely(try_lock(rwlock_of(l), self, writes)) ? 0 : lock_rwlock_slowly(rwlock_of(l), self, writes, false);
}

// lock_starved is for a task on the reserve stack, which cannot park: it blocks its
// thread until the holders, on other threads, have unlocked.
static WF_NOINLINE void lock_starved(struct wf_rwlock *l, struct wf_task *self, bool writes)
{
    unsigned turns = 0;

    while (!try_lock(l, self, writes))
        wf_relax(&turns);
}

static void lock_shielded(weft_rwlock *l, bool writes, const char *call)
{
    struct wf_task *self = wf_require_task(call);

    (void)wf_check_cancel(self); // in a test run other tasks may run first here, as in lock_as
    if (wf_unlikely(wf_task_starved(self))) {
        lock_starved(rwlock_of(l), self, writes);
        return;
    }
    wf_budget_consume(self);
    if (!try_lock(rwlock_of(l), self, writes))
        (void)lock_rwlock_slowly(rwlock_of(l), self, writes, true);
}

int weft_rwlock_read_lock(weft_rwlock *l)
{
    return lock_as(l, false, "weft_rwlock_read_lock");
}

int weft_rwlock_write_lock(weft_rwlock *l)
{
    return lock_as(l, true, "weft_rwlock_write_lock");
}

void weft_rwlock_read_lock_shielded(weft_rwlock *l)
{
    lock_shielded(l, false, "weft_rwlock_read_lock_shielded");
}

void weft_rwlock_write_lock_shielded(weft_rwlock *l)
{
    lock_shielded(l, true, "weft_rwlock_write_lock_shielded");
}

int weft_rwlock_try_read_lock(weft_rwlock *l)
{
    return try_lock(rwlock_of(l), wf_require_task("weft_rwlock_try_read_lock"), false) ? 0 : -EBUSY;
}

int weft_rwlock_try_write_lock(weft_rwlock *l)
{
    return try_lock(rwlock_of(l), wf_require_task("weft_rwlock_try_write_lock"), true) ? 0 : -EBUSY;
}

// --- Unlock --------------------------------------------------------------------------

// hand_over gives the lock, of which the caller has the last `share`, to the next
// waiters.
// Returns: false if `share` is not the last one any more, or the queue is empty: a
//          queued writer has left, and readers behind it may have been admitted. Then
//          nothing has changed.
static WF_NOINLINE bool hand_over(struct wf_rwlock *l, uintptr_t share)
{
    struct wf_list taken;

    wf_list_init(&taken);
    wf_queue_lock(&l->queue);
    if (wf_load_relaxed(&l->word) != share + QUEUED) { // relaxed: with this value, no other thread writes it
        // The lock is not released here: its next holder may free it before the queue's
        // lock is released.
        wf_queue_unlock(&l->queue);
        return false;
    }
    wf_debug_assert(!wf_queue_empty(&l->queue)); // QUEUED says so
    uintptr_t word = take_readers(l, &taken);
    if (!word)
        word = writer(wf_queue_take(&l->queue, &taken)->task);
    // [U1] acquire: what other readers did. It is an exchange only for that: no other
    //      thread writes now
    wf_exchange_acq_rel(&l->word, word | (wf_queue_empty(&l->queue) ? 0 : QUEUED));
    wf_queue_unlock(&l->queue);
    wf_queue_grant(&taken, 0);
    return true;
}

// unlock_as gives back `share`: READER, or the writer's word.
static inline void unlock_as(struct wf_rwlock *l, uintptr_t share)
{
    uintptr_t word = wf_load_relaxed(&l->word); // relaxed: the compare-and-swap confirms it
    bool reads = share == READER;

    wf_debug_assert(share == READER || share == writer(wf_self()));
    for (;;) {
        if (wf_unlikely(reads ? word & WRITER || word < READER : (word & ~(uintptr_t)QUEUED) != share))
            wf_misuse(reads ? "weft_rwlock_read_unlock: nobody holds the lock for reading"
                            : "weft_rwlock_write_unlock: the task does not hold the lock for writing");
        if (wf_likely(word - share != QUEUED)) {
            if (wf_likely(wf_cas_release(&l->word, &word, word - share))) // [U1]
                return;
        } else if (hand_over(l, share)) {
            return;
        } else {
            word = wf_load_relaxed(&l->word); // relaxed: as above
        }
    }
}

void weft_rwlock_read_unlock(weft_rwlock *l)
{
    wf_require_task("weft_rwlock_read_unlock");
    unlock_as(rwlock_of(l), READER);
}

void weft_rwlock_write_unlock(weft_rwlock *l)
{
    unlock_as(rwlock_of(l), writer(wf_require_task("weft_rwlock_write_unlock")));
}
