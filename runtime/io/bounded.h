// System calls that have no flag against blocking, on threads of the pool, and how weft
// ends them: each thread has a timer, which sends it a signal. The signal is SIGURG,
// whose default action does nothing. During the call weft has a handler for it, which
// passes signals from other senders on to the program's handler.
//
// wf_bounded is for the few calls without such a flag, on a description that is in
// blocking mode and stays so. poll(2) has reported readiness, so the call blocks only
// if another process or thread takes the data at the same moment. Then the timer
// interrupts the call after 10 ms; it returns EINTR, and has done nothing.
//
// wf_interruptible is for a call that may block without end, until it is cancelled.
#ifndef WF_RUNTIME_IO_BOUNDED_H
#define WF_RUNTIME_IO_BOUNDED_H

#include <time.h>

#include "base/lock.h"
#include "runtime/io/ready.h"

// wf_bounded makes one system call, once poll(2) has said that one of `events` holds.
// `call` must not retry on EINTR.
// Returns: the call's result; -EAGAIN: the descriptor is not ready, or not any more;
// WF_TRY_LATER: the system refuses a timer.
// Context: a thread of the blocking pool.
ssize_t wf_bounded(int fd, short events, wf_ready_try *call, void *args);

// With this another thread can end a call that may block without end. L: under `lock`
struct wf_interrupt {
    struct wf_lock lock;
    timer_t timer;      // L, while armed
    bool armed;         // L
    _Atomic bool asked; // written under L
};

static inline void wf_interrupt_init(struct wf_interrupt *i)
{
    *i = (struct wf_interrupt){ 0 };
    wf_lock_init(&i->lock);
}

// wf_interrupt ends the call, now or when it begins.  Context: any thread.
void wf_interrupt(struct wf_interrupt *i);

static inline bool wf_interrupt_asked(const struct wf_interrupt *i)
{
    return wf_load_relaxed(&i->asked); // relaxed: it publishes no other data
}

// wf_interruptible makes a call that wf_interrupt can end: a blocking system call in
// `call` then returns -EINTR, and `call` checks wf_interrupt_asked. Returns: the result
// of `call`; -ENOMEM: the system refuses a timer.
// Context: a thread of the blocking pool.
ssize_t wf_interruptible(struct wf_interrupt *i, ssize_t (*call)(void *args), void *args);

#endif
