// The mutex, as condition variables use it.
#ifndef WF_RUNTIME_SYNC_MUTEX_H
#define WF_RUNTIME_SYNC_MUTEX_H

#include <weft/sync.h>

#include "runtime/wait/wait.h"

// The word of a mutex is the task that holds it, but for these bits.
enum { WF_MUTEX_MARKS = 3 };

// wf_mutex_held tells whether `self`, the calling task, holds `m`.
bool wf_mutex_held(weft_mutex *m, const struct wf_task *self);

// wf_mutex_holder is the task that holds the mutex at `m`, a weft_mutex; NULL: it is free.
// The header may belong to another task by now, or to a runtime that was freed.
// Context: any thread, while a task that waits for the mutex is held (wf_task_hold).
const struct wf_task *wf_mutex_holder(intptr_t m);

// wf_mutex_check asserts that the word and the queue are in a state of mutex.c's
// diagram.
// Context: any thread; takes the queue's lock.
void wf_mutex_check(weft_mutex *m);

// wf_mutex_lock_shielded takes the mutex even if the task is cancelled.
void wf_mutex_lock_shielded(weft_mutex *m, struct wf_task *self);

#endif
