// The parker: one thread sleeps, and any thread wakes it. A wake that comes before the
// sleep is kept (an event count of one).
//
//                 wf_parker_prepare               wf_parker_wake
//        RUNNING -------------------> ASLEEP_how -----------------> NOTIFIED
//           ^ ^                           |                            |
//           | +------ wf_parker_finish ---+                            |
//           +---------------- wf_parker_finish, _prepare --------------+
//
// `how` says where the thread sleeps: in the parker's own futex; or elsewhere (in
// epoll), where the waker must end the sleep by other means. wf_parker_wake tells the
// waker which.
//
// Edge P1: wf_parker_wake's exchange (release) -> wf_parker_finish's or _prepare's
// exchange (acquire): the woken thread sees what the waker did before. Both are seq_cst
// because the argument [I1] in idle.h needs that.
#ifndef WF_BASE_PARKER_H
#define WF_BASE_PARKER_H

#include "base/assert.h"
#include "base/futex.h"

enum { WF_PARKER_RUNNING, WF_PARKER_NOTIFIED, WF_PARKER_IN_FUTEX, WF_PARKER_ELSEWHERE };

struct wf_parker {
    _Atomic uint32_t state;
};

// wf_parker_prepare announces the sleep. Returns: false if a wake was pending: it is
// consumed, and the caller must not sleep.
static inline bool wf_parker_prepare(struct wf_parker *p, uint32_t how)
{
    uint32_t seen = WF_PARKER_RUNNING;
    wf_debug_assert(how == WF_PARKER_IN_FUTEX || how == WF_PARKER_ELSEWHERE);
    if (wf_cas_seq_cst(&p->state, &seen, how)) // [I1]
        return true;
    wf_debug_assert(seen == WF_PARKER_NOTIFIED);       // only one thread sleeps here, and it is awake
    wf_exchange_seq_cst(&p->state, WF_PARKER_RUNNING); // [P1]
    return false;
}

// wf_parker_sleep sleeps until woken or `deadline`; only after
// wf_parker_prepare(WF_PARKER_IN_FUTEX).
static inline void wf_parker_sleep(struct wf_parker *p, int64_t deadline)
{
    // relaxed: only decides whether to sleep once more; _finish synchronises
    while (wf_load_relaxed(&p->state) == WF_PARKER_IN_FUTEX)
        if (wf_futex_wait(&p->state, WF_PARKER_IN_FUTEX, deadline) < 0)
            return;
}

// wf_parker_finish ends the sleep. Returns: true if a wake arrived, which is consumed.
static inline bool wf_parker_finish(struct wf_parker *p)
{
    uint32_t old = wf_exchange_seq_cst(&p->state, WF_PARKER_RUNNING); // [P1]
    wf_debug_assert(old != WF_PARKER_RUNNING); // wf_parker_prepare came before, and no other thread ends the sleep
    return old == WF_PARKER_NOTIFIED;
}

// wf_parker_wake wakes the thread, or makes its next sleep end at once.
// Returns: true if the thread sleeps elsewhere, and the caller must end that sleep.
// Context: any thread.
static inline bool wf_parker_wake(struct wf_parker *p)
{
    uint32_t old = wf_exchange_seq_cst(&p->state, WF_PARKER_NOTIFIED); // [P1] [I1]
    if (old == WF_PARKER_IN_FUTEX)
        wf_futex_wake(&p->state, 1);
    return old == WF_PARKER_ELSEWHERE;
}

#endif
