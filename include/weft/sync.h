// Synchronisation between tasks: mutex, readers-writer lock, condition, semaphore,
// barrier, once, event, latch.
//
// All of them park the task, never its thread, and may be shared by tasks of several
// runtimes. The caller provides the storage, on a stack too, and initialises it with
// WEFT_..._INIT or the init function. Do not copy or move an object. Nothing is
// allocated, so destroy is only a check: it aborts the program if a task still waits
// for the object, or holds it.
//
// What a task wrote before it unlocked, released, set, signalled, counted down or
// arrived is visible to the tasks woken by that. A woken waiter may free the object
// even before the waking call has returned, as long as no other call on it is in
// progress: a semaphore or a latch may be a variable on the waiter's stack.
//
// Waiters are served in FIFO order; the exception is the mutex, see there.
//
// Init: any thread, while no other thread uses the object. Destroy: any thread. Neither
// parks.
//
// Common to all calls below that return int and may park:
// Returns: 0; -ECANCELED, or -ETIMEDOUT by a scope's deadline.
// Context: task. May park, so the caller may continue on another thread.
// Cancel:  a cancelled call leaves the object unchanged and loses no wakeup of another
//          waiter. A call that was granted just before the cancel returns 0, and has
//          what it waited for.
#ifndef WEFT_SYNC_H
#define WEFT_SYNC_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

// A queue of waiting tasks. The fields here and below are the runtime's.
typedef struct weft_waiters {
    uintptr_t weft_lock;
    void *weft_links[2];
} weft_waiters;

#ifdef __cplusplus
#define WEFT_WAITERS_INIT { 0, { nullptr, nullptr } }
#else
#define WEFT_WAITERS_INIT { 0, { (void *)0, (void *)0 } }
#endif

// --- Mutex ---------------------------------------------------------------------------
//
// One task at a time holds the mutex. It is not recursive. A running task may take it
// before a waiter that has just been woken. After a waiter has lost a few times in this
// way, unlock hands the mutex to it, so no waiter starves.

typedef struct weft_mutex {
    uintptr_t weft_word; // atomic: the holder, and whether a task waits
    weft_waiters weft_queue;
} weft_mutex;

#define WEFT_MUTEX_INIT { 0, WEFT_WAITERS_INIT }

WEFT_API void weft_mutex_init(weft_mutex *m);
WEFT_API void weft_mutex_destroy(weft_mutex *m);

// weft_mutex_lock takes the mutex. Locking a mutex that the task already holds is
// misuse.
WEFT_API WEFT_MUST_CHECK int weft_mutex_lock(weft_mutex *m);

// weft_mutex_lock_shielded takes the mutex, however long that takes: the call cannot
// fail, also in a task that is cancelled, or whose deadline has passed. It is for short
// critical sections in which no holder calls anything that may park; where a holder may
// park, use weft_mutex_lock, so that a cancelled waiter can leave. A task on the
// reserve stack (weft_spawn) blocks its worker until the mutex is free.
// Context: task. May wait, so the caller may continue on another thread. Not a
//          cancellation point.
WEFT_API void weft_mutex_lock_shielded(weft_mutex *m);

// weft_mutex_try_lock takes the mutex if it is free, even if tasks wait for it.
// Returns: 0; -EBUSY.
// Context: task. Never parks.
WEFT_API WEFT_MUST_CHECK int weft_mutex_try_lock(weft_mutex *m);

// weft_mutex_unlock releases the mutex. Only its holder may call this.
// Context: task. Never parks.
WEFT_API void weft_mutex_unlock(weft_mutex *m);

// --- Readers-writer lock -------------------------------------------------------------
//
// Many readers at a time, or one writer. FIFO: while a task is queued, newcomers queue
// as well, readers included. Adjacent waiting readers get the lock together. So neither
// readers nor writers starve. A reader must not take the read lock again, because a
// writer may be queued in between.

typedef struct weft_rwlock {
    uintptr_t weft_word; // atomic: the number of readers, or the writer; and whether a task waits
    weft_waiters weft_queue;
} weft_rwlock;

#define WEFT_RWLOCK_INIT { 0, WEFT_WAITERS_INIT }

WEFT_API void weft_rwlock_init(weft_rwlock *l);
WEFT_API void weft_rwlock_destroy(weft_rwlock *l);

WEFT_API WEFT_MUST_CHECK int weft_rwlock_read_lock(weft_rwlock *l);
WEFT_API WEFT_MUST_CHECK int weft_rwlock_write_lock(weft_rwlock *l);

// The two shielded calls cannot fail, as weft_mutex_lock_shielded.
WEFT_API void weft_rwlock_read_lock_shielded(weft_rwlock *l);
WEFT_API void weft_rwlock_write_lock_shielded(weft_rwlock *l);

// The two try_ calls take the lock if no holder and no waiter is in the way.
// Returns: 0; -EBUSY.
// Context: task. Never parks.
WEFT_API WEFT_MUST_CHECK int weft_rwlock_try_read_lock(weft_rwlock *l);
WEFT_API WEFT_MUST_CHECK int weft_rwlock_try_write_lock(weft_rwlock *l);

// The two unlock calls release the lock. Any task may release a read lock; only its
// holder may release a write lock.
// Context: task. Never parks.
WEFT_API void weft_rwlock_read_unlock(weft_rwlock *l);
WEFT_API void weft_rwlock_write_unlock(weft_rwlock *l);

// --- Condition -----------------------------------------------------------------------
//
// A condition variable belongs to data under a mutex: wait in a loop that checks the
// data, signal after changing it.

typedef struct weft_cond {
    weft_waiters weft_queue;
    weft_mutex *weft_with; // the mutex that its waiters released
    size_t weft_waiting;   // atomic: 0 if no task waits
} weft_cond;

#ifdef __cplusplus
#define WEFT_COND_INIT { WEFT_WAITERS_INIT, nullptr, 0 }
#else
#define WEFT_COND_INIT { WEFT_WAITERS_INIT, (weft_mutex *)0, 0 }
#endif

WEFT_API void weft_cond_init(weft_cond *c);
WEFT_API void weft_cond_destroy(weft_cond *c);

// weft_cond_wait releases `m`, waits for a signal, and takes `m` again: the caller
// always holds `m` on return. All tasks that wait at the same time must use the same
// mutex.
//
// Cancel:  the call returns after it has taken the mutex again, so not before the
//          mutex's holder releases it. A later signal goes to another waiter; a signal
//          that this caller already got makes the call return 0.
WEFT_API WEFT_MUST_CHECK int weft_cond_wait(weft_cond *c, weft_mutex *m);

// weft_cond_signal wakes the task that has waited longest, weft_cond_broadcast all
// waiting tasks. A signal without a waiter is not kept.
// Context: any thread, with the mutex or without. Never parks.
WEFT_API void weft_cond_signal(weft_cond *c);
WEFT_API void weft_cond_broadcast(weft_cond *c);

// --- Semaphore -----------------------------------------------------------------------
//
// A semaphore has a number of permits. A call takes any number of them at once. The
// order is strict: while a request waits, later ones queue behind it, even if enough
// permits are available. So small requests do not starve a large one.

typedef struct weft_sem {
    size_t weft_word; // atomic: twice the permits, plus 1 if a task waits
    weft_waiters weft_queue;
} weft_sem;

#define WEFT_SEM_INIT(n) { (size_t)(n)*2, WEFT_WAITERS_INIT }

// The maximum number of permits of a semaphore. Exceeding it by a release is misuse,
// and so is a larger request.
#define WEFT_SEM_MAX (SIZE_MAX / 8)

WEFT_API void weft_sem_init(weft_sem *s, size_t n);
WEFT_API void weft_sem_destroy(weft_sem *s);

// weft_sem_acquire takes `n` permits at once. A request for 0 permits never waits.
WEFT_API WEFT_MUST_CHECK int weft_sem_acquire(weft_sem *s, size_t n);

// weft_sem_try_acquire takes `n` permits if they are available and no task waits.
// Returns: 0; -EAGAIN.
// Context: any thread. Never parks.
WEFT_API WEFT_MUST_CHECK int weft_sem_try_acquire(weft_sem *s, size_t n);

// weft_sem_release adds `n` permits, no matter which task took them.
// Context: any thread. Never parks.
WEFT_API void weft_sem_release(weft_sem *s, size_t n);

// weft_sem_available tells how many permits are available now. While tasks wait, that
// is less than the first one's request.
// Context: any thread. Never parks.
WEFT_API size_t weft_sem_available(const weft_sem *s);

// --- Barrier -------------------------------------------------------------------------
//
// `n` tasks wait for each other. When the last one arrives, all continue, and the
// barrier is ready for the next round.

typedef struct weft_barrier {
    weft_waiters weft_queue;
    size_t weft_parties;
    size_t weft_arrived; // in this round
} weft_barrier;

#define WEFT_BARRIER_INIT(n) { WEFT_WAITERS_INIT, (n), 0 }

// weft_barrier_init: `n` is 1 or more.
WEFT_API void weft_barrier_init(weft_barrier *b, size_t n);
WEFT_API void weft_barrier_destroy(weft_barrier *b);

// weft_barrier_wait arrives, and waits for the others.
//
// Returns: 1 in one of them, 0 in the others; a negative error as above.
// Cancel:  the caller no longer counts as arrived.
WEFT_API WEFT_MUST_CHECK int weft_barrier_wait(weft_barrier *b);

// --- Once ----------------------------------------------------------------------------
//
// A function that is run once. The object must outlive all calls on it.

typedef struct weft_once {
    uintptr_t weft_word; // atomic: not done, the task that runs fn, or done
    weft_waiters weft_queue;
} weft_once;

#define WEFT_ONCE_INIT { 0, WEFT_WAITERS_INIT }

WEFT_API void weft_once_init(weft_once *o);
WEFT_API void weft_once_destroy(weft_once *o);

// weft_once_do calls fn(arg) if no call has succeeded yet, and waits while another task
// runs its fn. fn may park. If fn returns a negative error, its caller gets that error,
// and the next waiting task calls its own fn.
//
// Returns: 0 once a call has succeeded, now or before; fn's error; a negative error as
//          above.
// Cancel:  a caller that is cancelled while it waits for another caller's fn gets the
//          error; a caller that is cancelled inside fn gets fn's result.
WEFT_API WEFT_MUST_CHECK int weft_once_do(weft_once *o, weft_fn *fn, void *arg);

// --- Event ---------------------------------------------------------------------------
//
// An event is set or not. Waiting for a set event returns at once; it stays set until
// it is reset.

typedef struct weft_event {
    uintptr_t weft_word[2]; // atomic: set, or the waiters (base/cell.h)
} weft_event;

#define WEFT_EVENT_INIT { { 0, 0 } }

WEFT_API void weft_event_init(weft_event *e);
WEFT_API void weft_event_destroy(weft_event *e);

// weft_event_set sets the event and wakes all waiters, which return even if the event
// is reset before they run. weft_event_reset makes later callers wait again.
// weft_event_is_set tells.
// Context: any thread. Never parks.
WEFT_API void weft_event_set(weft_event *e);
WEFT_API void weft_event_reset(weft_event *e);
WEFT_API bool weft_event_is_set(const weft_event *e);

// weft_event_wait waits until it is set.
WEFT_API WEFT_MUST_CHECK int weft_event_wait(weft_event *e);

// --- Latch ---------------------------------------------------------------------------
//
// A latch counts down from `n`, once; at zero all waiters continue.

typedef struct weft_latch {
    uintptr_t weft_word[2]; // atomic: done, or the waiters (base/cell.h)
    size_t weft_count;      // atomic: the remaining count
} weft_latch;

#define WEFT_LATCH_INIT(n) { { (n) == 0, 0 }, (n) }

WEFT_API void weft_latch_init(weft_latch *l, size_t n);
WEFT_API void weft_latch_destroy(weft_latch *l);

// weft_latch_count_down counts down by `n`. Counting below zero is misuse.
// Context: any thread. Never parks.
WEFT_API void weft_latch_count_down(weft_latch *l, size_t n);

// weft_latch_wait waits until zero is reached, weft_latch_done tells whether it is (any
// thread; never parks).
WEFT_API WEFT_MUST_CHECK int weft_latch_wait(weft_latch *l);
WEFT_API bool weft_latch_done(const weft_latch *l);

WEFT_END_DECLS

#endif
