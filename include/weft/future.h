// The future: a value that tasks and threads can wait for. It is empty, then completed
// once, with a value or an error.
//
// The caller provides the storage of a future: embed it anywhere, on a stack too. It
// must live until no task or thread waits for it and no other caller will try to
// complete it. The completing call does not access the future any more once a waiter
// can see that it is complete. Any number of tasks and threads may wait for the same
// future.
#ifndef WEFT_FUTURE_H
#define WEFT_FUTURE_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

// weft_future's fields are the runtime's own.
typedef struct weft_future {
    uintptr_t weft_word[2]; // atomic: the waiters, or "done" (base/cell.h)
    intptr_t weft_value;    // written before "done"
    int weft_error;         // written before "done"
    unsigned weft_claim;    // atomic: a caller is completing it
} weft_future;

#define WEFT_FUTURE_INIT { { 0, 0 }, 0, 0, 0 }

// weft_future_init makes `f` empty. WEFT_FUTURE_INIT does the same for a static one.
// Context: any thread, while no other thread uses it. Never parks.
WEFT_API void weft_future_init(weft_future *f);

// weft_future_complete sets the value and wakes all waiters. They see all earlier
// writes of the caller.
//
// Returns: true; false if the future was completed before: the first one wins.
// Context: any thread, also outside a runtime. Never parks.
WEFT_API bool weft_future_complete(weft_future *f, intptr_t value);

// weft_future_fail completes `f` with an error, err < 0, which every await returns.
// Otherwise it is as weft_future_complete.
WEFT_API bool weft_future_fail(weft_future *f, int err);

// weft_future_done tells whether it is completed. If so, everything written before the
// completion is visible.
// Context: any thread. Never parks.
WEFT_API bool weft_future_done(const weft_future *f);

// weft_await waits until `f` is completed; the value goes to *value (may be NULL).
//
// Returns: 0; the future's error; -ECANCELED, or -ETIMEDOUT by a scope's deadline, if
//          the calling task was cancelled before the future completed.
// Context: task. May park, so the caller may continue on another thread.
// Cancel:  the future is untouched; await it again later if you like.
WEFT_API int weft_await(weft_future *f, intptr_t *value);

// weft_await_until is weft_await with a deadline: -ETIMEDOUT when it has passed and the
// future is not completed.
WEFT_API int weft_await_until(weft_future *f, intptr_t *value, weft_time deadline);

// weft_future_wait_thread waits on a thread that is not a worker: it sleeps on a futex.
// Otherwise it is as weft_await_until.
// Context: foreign thread. Blocks it.
WEFT_API int weft_future_wait_thread(weft_future *f, intptr_t *value, weft_time deadline);

// weft_task_future completes with the result of the task's body (as its value, even if
// the result is negative).
// Owns: the task owns the future, which is valid as long as the handle.
WEFT_API weft_future *weft_task_future(weft_task *t);

WEFT_END_DECLS

#endif
