// Who searches, who sleeps, whom to wake.
//
//   searching   how many workers look for work (at most half), counting those that were just woken to look
//   asleep      a bit for each worker that sleeps, or waits in the borrowed poll
//
// A worker is in one of three states, each change one function:
//
//               wf_idle_search_begin                     wf_idle_sleep
//      BUSY -------------------------> SEARCHING -------------------------> ASLEEP
//       ^  <--------------------------     ^                                 |  |
//       |       wf_idle_search_end         +--- wf_idle_wake_one (by others) +  |
//       +------------------------- wf_idle_unsleep (by itself) -----------------+
//
// The rule: work pushed to a worker's own queues needs no wake for its safety: the worker is awake and will run it. So
// wf_worker_hint may look without any ordering; a wake missed there costs parallelism until the next hint, or the next
// watch. Work pushed to the injector is nobody's: wf_sched_notify must not miss.
//
// Edges.
//   I1  No work in the injector is left behind while a worker sleeps.
//
//        pusher                                  worker that falls asleep
//        [S] injector.tail   (J2)                [S] asleep |= bit            (wf_idle_sleep)
//        [L] searching == 0?                     [S] searching -= 1, if it searched
//        [L] asleep != 0?                        [L] injector.tail == NULL?   (J2)
//        -> wake one                             -> sleep
//
//      All are seq_cst, so there is one order of them all. If the worker reads NULL, its reading comes before the
//      push, and the pusher sees the bit. The pusher may still wake nobody because it sees searching > 0. Then
//      somebody searches, whose own decrement comes after that look, and who reads the injector after it:
//        - if he falls asleep, in wf_idle_sleep as above; if he then finds work after all, he searches on
//          (wf_idle_search_begin), because there may be more of it than he takes;
//        - if he finds work, wf_idle_search_end's caller looks at the injector and calls wf_sched_notify;
//        - if he is a waker that found no sleeper after all, wf_idle_wake_one looks again.
//      So the last one to stop searching after the push sees it.
//
//   I2  A sleeper is woken by whoever clears its bit, and by him only, by wf_parker_wake. It is a searcher then: the
//      waker has counted it (searching went from 0 to 1 in its name).
#ifndef WF_SCHED_IDLE_H
#define WF_SCHED_IDLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/compiler.h"

enum { WF_IDLE_WORDS = 4 }; // 256 workers

struct wf_idle {
    _Alignas(WF_NO_SHARING) _Atomic uint32_t searching;
    _Atomic int32_t poller; // hint: the worker that waits in the poll, or -1: it is woken last
    _Atomic uint64_t asleep[WF_IDLE_WORDS];
    unsigned workers; // fixed
};

void wf_idle_init(struct wf_idle *i, unsigned workers);

// wf_idle_search_begin: may the caller search? Returns: false if enough do.
bool wf_idle_search_begin(struct wf_idle *i);

// wf_idle_search_end: the caller, a searcher, has found work. Returns: true if nobody searches any more: the caller
// must look at the injector, and call wf_sched_notify if it is not empty ([I1]).
bool wf_idle_search_end(struct wf_idle *i);

// wf_idle_sleep announces that `worker` falls asleep; `searching`: it was a searcher. It must look at the injector
// after.
void wf_idle_sleep(struct wf_idle *i, unsigned worker, bool searching);

// wf_idle_unsleep ends that. Returns: false if somebody is waking the worker ([I2]): it is a searcher now.
bool wf_idle_unsleep(struct wf_idle *i, unsigned worker);

// wf_idle_wake_one chooses a sleeper if nobody searches, and counts it as a searcher.
// Returns: its number: the caller must wake its parker; -1 if there is nobody to wake.
// It takes the worker that waits in the poll last, or first if `poller_first`.
int wf_idle_wake_one(struct wf_idle *i, bool poller_first);

// wf_idle_wake chooses `worker` if it sleeps, and counts it as a searcher.
// Returns: true: the caller must wake its parker. False if it is awake: the caller must look at the injector, and call
// wf_sched_notify if it is not empty, because for a moment a searcher too many was counted ([I1]).
bool wf_idle_wake(struct wf_idle *i, unsigned worker);

// wf_idle_any_asleep tells whether a worker sleeps, wf_idle_all_asleep whether all do; exact if nothing moves.
bool wf_idle_any_asleep(const struct wf_idle *i);
bool wf_idle_all_asleep(const struct wf_idle *i);

// wf_idle_others_awake tells whether any worker but `worker` is awake; a hint.
bool wf_idle_others_awake(const struct wf_idle *i, unsigned worker);

// wf_idle_may_wake is a cheap look before wf_idle_wake_one, without order.
static inline bool wf_idle_may_wake(const struct wf_idle *i)
{
    if (wf_load_relaxed(&i->searching) != 0) // relaxed: a hint, see the rule above
        return false;
    for (unsigned w = 0; w * 64 < i->workers; w++)
        if (wf_load_relaxed(&i->asleep[w]) != 0) // relaxed: as above
            return true;
    return false;
}

#endif
