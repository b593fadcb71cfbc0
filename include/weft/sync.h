// Synchronisation between tasks: mutex, readers-writer lock, condition, semaphore, barrier, once, event, latch.
//
// All of them park the task, never its thread; they are for tasks of one runtime or of several. Each is storage of the
// caller's, on a stack too, made by its WEFT_..._INIT or its init function; do not copy or move it. Nothing is
// allocated, so destroy is only a check: it stops the program if somebody still waits, or holds a lock.
//
// What one task wrote before it unlocked, released, set, signalled, counted down or arrived, is visible to the tasks
// that were let go on by it. Whoever was let go on may free the object, even if the call that let it go has not
// returned yet, as long as no other call on it is under way: a semaphore or a latch may lie on the waiter's stack.
//
// Waiters are served in the order in which they came (FIFO); the mutex bends that a little, see there.
//
// Init: any thread, while nobody else uses the object. Destroy: any thread. Neither parks.
//
// Common to all calls below that return int and may park:
// Returns: 0; -ECANCELED, or -ETIMEDOUT by a scope's deadline.
// Context: task. May park, so the caller may continue on another thread.
// Cancel:  the object is as if the caller had not come: it holds nothing, and no wake that another could have had is
//          lost with it. Who was served just before the cancel reports 0, and has what it waited for.
#ifndef WEFT_SYNC_H
#define WEFT_SYNC_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

// The tasks that wait for something. The fields here and below are the runtime's own.
typedef struct weft_waiters {
    uintptr_t weft_lock;
    void *weft_links[2];
} weft_waiters;

#ifdef __cplusplus
#define WEFT_WAITERS_INIT { 0, { nullptr, nullptr } }
#else
#define WEFT_WAITERS_INIT { 0, { (void *)0, (void *)0 } }
#endif

// --- Mutex -----------------------------------------------------------------------------------------------------------
//
// One task at a time holds it. It is not recursive. A task that runs may take it before a waiter that has just been
// woken does; but when that has happened to a waiter a few times, it is handed the mutex, so nobody starves.

typedef struct weft_mutex {
    uintptr_t weft_word; // atomic: who holds it, and whether somebody waits
    weft_waiters weft_queue;
} weft_mutex;

#define WEFT_MUTEX_INIT { 0, WEFT_WAITERS_INIT }

WEFT_API void weft_mutex_init(weft_mutex *m);
WEFT_API void weft_mutex_destroy(weft_mutex *m);

// weft_mutex_lock takes the mutex. Locking one that the task holds already is misuse.
WEFT_API WEFT_MUST_CHECK int weft_mutex_lock(weft_mutex *m);

// weft_mutex_try_lock takes it if nobody holds it, without regard to those who wait.
// Returns: 0; -EBUSY.
// Context: task. Never parks.
WEFT_API WEFT_MUST_CHECK int weft_mutex_try_lock(weft_mutex *m);

// weft_mutex_unlock gives it back. Only the task that holds it may.
// Context: task. Never parks.
WEFT_API void weft_mutex_unlock(weft_mutex *m);

// --- Readers-writer lock ---------------------------------------------------------------------------------------------
//
// Many readers at a time, or one writer. In the queue neither overtakes the other: who comes while somebody waits waits
// too, a writer goes when its turn has come, and readers that wait next to each other go together. So neither starves;
// and a task that reads must not ask for the read lock once more, because a writer may wait in between.

typedef struct weft_rwlock {
    uintptr_t weft_word; // atomic: how many read, or who writes; and whether somebody waits
    weft_waiters weft_queue;
} weft_rwlock;

#define WEFT_RWLOCK_INIT { 0, WEFT_WAITERS_INIT }

WEFT_API void weft_rwlock_init(weft_rwlock *l);
WEFT_API void weft_rwlock_destroy(weft_rwlock *l);

WEFT_API WEFT_MUST_CHECK int weft_rwlock_read_lock(weft_rwlock *l);
WEFT_API WEFT_MUST_CHECK int weft_rwlock_write_lock(weft_rwlock *l);

// The two try_ calls take it if nobody is in the way, waiters included.
// Returns: 0; -EBUSY.
// Context: task. Never parks.
WEFT_API WEFT_MUST_CHECK int weft_rwlock_try_read_lock(weft_rwlock *l);
WEFT_API WEFT_MUST_CHECK int weft_rwlock_try_write_lock(weft_rwlock *l);

// The two unlock calls give it back: a read lock any task for the reader, a write lock only the task that holds it.
// Context: task. Never parks.
WEFT_API void weft_rwlock_read_unlock(weft_rwlock *l);
WEFT_API void weft_rwlock_write_unlock(weft_rwlock *l);

// --- Condition -------------------------------------------------------------------------------------------------------
//
// A condition is about data under a mutex: wait in a loop that looks at the data, signal after changing it.

typedef struct weft_cond {
    weft_waiters weft_queue;
    weft_mutex *weft_with; // that its waiters gave back
    size_t weft_waiting;   // atomic: 0 if nobody waits
} weft_cond;

#ifdef __cplusplus
#define WEFT_COND_INIT { WEFT_WAITERS_INIT, nullptr, 0 }
#else
#define WEFT_COND_INIT { WEFT_WAITERS_INIT, (weft_mutex *)0, 0 }
#endif

WEFT_API void weft_cond_init(weft_cond *c);
WEFT_API void weft_cond_destroy(weft_cond *c);

// weft_cond_wait gives `m` back, waits for a signal, and takes `m` again, whatever happens: the caller holds it in any
// case. All who wait at the same time must do so with the same mutex.
//
// Cancel:  returns when the mutex could be taken, so not before its holder gives it back. A signal goes to another
//          waiter: one that was given to this caller is reported by 0.
WEFT_API WEFT_MUST_CHECK int weft_cond_wait(weft_cond *c, weft_mutex *m);

// weft_cond_signal lets the one who has waited longest go on, weft_cond_broadcast all who wait now. A signal that
// nobody waits for is not kept.
// Context: any thread, with the mutex or without. Never parks.
WEFT_API void weft_cond_signal(weft_cond *c);
WEFT_API void weft_cond_broadcast(weft_cond *c);

// --- Semaphore -------------------------------------------------------------------------------------------------------
//
// A number of permits. Any number of them may be taken at once. The order is strict: while somebody waits, those who
// come later wait behind him, even if what they ask for is there; so a large request is not starved by small ones.

typedef struct weft_sem {
    size_t weft_word; // atomic: twice the permits, and 1 if somebody waits
    weft_waiters weft_queue;
} weft_sem;

#define WEFT_SEM_INIT(n) { (size_t)(n)*2, WEFT_WAITERS_INIT }

// A semaphore holds at most so many permits: to release more is misuse, and so is asking for more.
#define WEFT_SEM_MAX (SIZE_MAX / 8)

WEFT_API void weft_sem_init(weft_sem *s, size_t n);
WEFT_API void weft_sem_destroy(weft_sem *s);

// weft_sem_acquire takes `n` permits, all at the same moment; 0 permits can always be had.
WEFT_API WEFT_MUST_CHECK int weft_sem_acquire(weft_sem *s, size_t n);

// weft_sem_try_acquire takes them if they are there and nobody waits.
// Returns: 0; -EAGAIN.
// Context: any thread. Never parks.
WEFT_API WEFT_MUST_CHECK int weft_sem_try_acquire(weft_sem *s, size_t n);

// weft_sem_release adds `n` permits, whoever took them.
// Context: any thread. Never parks.
WEFT_API void weft_sem_release(weft_sem *s, size_t n);

// weft_sem_available tells how many permits are there now. While somebody waits that is less than he asks for.
// Context: any thread. Never parks.
WEFT_API size_t weft_sem_available(const weft_sem *s);

// --- Barrier ---------------------------------------------------------------------------------------------------------
//
// `n` tasks wait for each other; when the last one has come all go on, and the barrier is ready for the next round.

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
// Cancel:  the others wait for one more to come.
WEFT_API WEFT_MUST_CHECK int weft_barrier_wait(weft_barrier *b);

// --- Once ------------------------------------------------------------------------------------------------------------
//
// It outlives all calls on it.

typedef struct weft_once {
    uintptr_t weft_word; // atomic: not done, who is doing it, or done
    weft_waiters weft_queue;
} weft_once;

#define WEFT_ONCE_INIT { 0, WEFT_WAITERS_INIT }

WEFT_API void weft_once_init(weft_once *o);
WEFT_API void weft_once_destroy(weft_once *o);

// weft_once_do calls fn(arg) if no call has succeeded yet, and waits if another task is at it. fn may park. If it
// returns a negative error, that goes to its caller, and the next one that waits calls its own fn.
//
// Returns: 0 once a call has succeeded, now or before; fn's error; a negative error as above.
// Cancel:  of a task that waits: the caller has left. Of one in fn: fn decides, as anywhere.
WEFT_API WEFT_MUST_CHECK int weft_once_do(weft_once *o, weft_fn *fn, void *arg);

// --- Event -----------------------------------------------------------------------------------------------------------
//
// Set or not set. While it is set nobody waits; it stays so until it is reset.

typedef struct weft_event {
    uintptr_t weft_word[2]; // atomic: set, or those who wait (base/cell.h)
} weft_event;

#define WEFT_EVENT_INIT { { 0, 0 } }

WEFT_API void weft_event_init(weft_event *e);
WEFT_API void weft_event_destroy(weft_event *e);

// weft_event_set sets it and wakes all who wait: they go on even if it is reset before they run. weft_event_reset takes
// that back for those who come later. weft_event_is_set tells.
// Context: any thread. Never parks.
WEFT_API void weft_event_set(weft_event *e);
WEFT_API void weft_event_reset(weft_event *e);
WEFT_API bool weft_event_is_set(const weft_event *e);

// weft_event_wait waits until it is set.
WEFT_API WEFT_MUST_CHECK int weft_event_wait(weft_event *e);

// --- Latch -----------------------------------------------------------------------------------------------------------
//
// Counts down from `n`, once; at zero all go on.

typedef struct weft_latch {
    uintptr_t weft_word[2]; // atomic: done, or those who wait (base/cell.h)
    size_t weft_count;      // atomic: what is left
} weft_latch;

#define WEFT_LATCH_INIT(n) { { (n) == 0, 0 }, (n) }

WEFT_API void weft_latch_init(weft_latch *l, size_t n);
WEFT_API void weft_latch_destroy(weft_latch *l);

// weft_latch_count_down counts down by `n`. To go below zero is misuse.
// Context: any thread. Never parks.
WEFT_API void weft_latch_count_down(weft_latch *l, size_t n);

// weft_latch_wait waits until zero is reached, weft_latch_done tells whether it is (any thread; never parks).
WEFT_API WEFT_MUST_CHECK int weft_latch_wait(weft_latch *l);
WEFT_API bool weft_latch_done(const weft_latch *l);

WEFT_END_DECLS

#endif
