// The waker: how one who knows that something happened tells one who waits, without knowing who that is.
// The reactor and the futures fire wakers; a task's waker makes it runnable, a foreign thread's one wakes its futex.
//
// Firing is allowed from any thread, any number of times, also too late: `arg` must point to memory that never goes
// away while somebody may fire (task headers are type-stable), and a wake may be spurious.
#ifndef WF_BASE_WAKER_H
#define WF_BASE_WAKER_H

struct wf_waker {
    void (*wake)(void *arg);
    void *arg;
};

static inline void wf_waker_fire(struct wf_waker waker)
{
    waker.wake(waker.arg);
}

#endif
