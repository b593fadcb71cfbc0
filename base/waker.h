// The waker: a callback by which the source of an event wakes a waiter without knowing
// what kind of waiter it is. The reactor and the futures fire wakers; a task's waker
// makes the task runnable, a foreign thread's waker wakes its futex.
//
// A waker may fire on any thread, any number of times, and after the wait has ended. So
// the memory of `arg` must outlive every possible firing (task headers are
// type-stable), and a waiter must expect spurious wakes.
#ifndef WF_BASE_WAKER_H
#define WF_BASE_WAKER_H

#include "base/assert.h"

struct wf_waker {
    void (*wake)(void *arg);
    void *arg;
};

static inline void wf_waker_fire(struct wf_waker waker)
{
    wf_debug_assert(waker.wake != NULL);
    waker.wake(waker.arg);
}

#endif
