// System calls that cannot be told not to block, on threads of the pool, and how they
// are ended: by a signal, from a timer of the thread's own. The signal is SIGURG, which by
// default does nothing. For the time of the call weft has a handler for it, which passes
// on to the program's what is not the timer's.
//
// wf_bounded is for the few calls that have no flag of their own, on a description that
// is in blocking mode and stays so. poll(2) has said that there is something, so that
// such a call blocks only if another process or thread takes it in the same moment. Then
// the timer interrupts it, after 10 ms: with EINTR, having done nothing.
//
// wf_interruptible is for a call that may block without end, until it is cancelled.
#ifndef WF_RUNTIME_IO_BOUNDED_H
#define WF_RUNTIME_IO_BOUNDED_H

#include <time.h>

#include "base/lock.h"
#include "runtime/io/ready.h"

// wf_bounded makes one system call, once poll(2) has said that one of `events` holds.
// `call` must not retry on EINTR.
// Returns: what it does; -EAGAIN: there is nothing, or not any more; WF_TRY_LATER: the
// system refuses a timer.
// Context: a thread of the blocking pool.
ssize_t wf_bounded(int fd, short events, wf_ready_try *call, void *args);

// What lets another thread end a call that may block without end.  L: under `lock`
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
    return wf_load_relaxed(&i->asked); // relaxed: nothing hangs on it but itself
}

// wf_interruptible makes a call that wf_interrupt can end: every system call in it that
// blocks returns -EINTR then, upon which it looks at wf_interrupt_asked.
// Returns: what it does; -ENOMEM: the system refuses a timer.
// Context: a thread of the blocking pool.
ssize_t wf_interruptible(struct wf_interrupt *i, ssize_t (*call)(void *args), void *args);

#endif
