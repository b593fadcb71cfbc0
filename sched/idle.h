// The idle set: which workers search, which sleep, and which one to wake.
//
//   searching   how many workers look for work (at most half), including those just
//               woken to look
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
// The rule: work pushed to a worker's own queues needs no wake for safety, because the
// worker is awake and will run it. So wf_worker_hint may look without any ordering; a
// missed wake costs parallelism until the next hint, or the monitor's next look. Work
// pushed to the injector belongs to no worker: wf_sched_notify must not miss a sleeper.
//
// Edges.
//   I1  No work stays in the injector while a worker sleeps.
//
//        pusher                                  worker that falls asleep
//        [S] injector.tail   (J2)                [S] asleep |= bit            (wf_idle_sleep)
//        [L] searching == 0?                     [S] searching -= 1, if it searched
//        [L] asleep != 0?                        [L] injector.tail == NULL?   (J2)
//        -> wake one                             -> sleep
//
//      All are seq_cst, so one total order holds them. If the worker reads NULL, its
//      read comes before the push, and the pusher sees the bit. The pusher may still
//      wake no worker, because it sees searching > 0. Then there is a searcher whose
//      decrement comes after that load, and which reads the injector after its
//      decrement:
//        - if it falls asleep, after wf_idle_sleep as above; if it then finds work
//          after all, it continues to search (wf_idle_search_begin), because there may
//          be more than it takes;
//        - if it finds work, wf_idle_search_end's caller looks at the injector and
//          calls wf_sched_notify;
//        - if it is a waker that found no sleeper, wf_idle_wake_one looks again.
//      So the last searcher to stop after the push sees it.
//
//   I2  The thread that clears a sleeper's bit, and only that one, wakes it by
//      wf_parker_wake. The sleeper is a searcher then: the waker has counted it
//      (searching went from 0 to 1 on its behalf).
#ifndef WF_SCHED_IDLE_H
#define WF_SCHED_IDLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/compiler.h"

enum { WF_IDLE_WORDS = 4 }; // 256 workers

struct wf_idle {
    _Alignas(WF_NO_SHARING) _Atomic uint32_t searching;
    _Atomic int32_t poller; // hint: the worker that waits in the poll, or -1; it is woken last
    _Atomic uint64_t asleep[WF_IDLE_WORDS];
    unsigned workers; // fixed
};

void wf_idle_init(struct wf_idle *i, unsigned workers);

// wf_idle_check asserts that the set has no worker that is none, and, for its caller,
// the thread of `worker`, which is awake: that the set does not have that worker, and
// counts it if it searches.
// Context: that worker; others fall asleep and are woken meanwhile.
void wf_idle_check(const struct wf_idle *i, unsigned worker, bool searching);

// wf_idle_search_begin: may the caller search? Returns: false if enough do.
bool wf_idle_search_begin(struct wf_idle *i);

// wf_idle_search_end: the caller, a searcher, has found work. Returns: true if no
// searcher is left: the caller must look at the injector, and call wf_sched_notify if
// it is not empty ([I1]).
bool wf_idle_search_end(struct wf_idle *i);

// wf_idle_sleep announces that `worker` falls asleep; `searching`: it was a searcher.
// It must look at the injector after.
void wf_idle_sleep(struct wf_idle *i, unsigned worker, bool searching);

// wf_idle_unsleep ends that. Returns: false if a waker has chosen the worker ([I2]): it
// is a searcher now.
bool wf_idle_unsleep(struct wf_idle *i, unsigned worker);

// wf_idle_wake_one chooses a sleeper if no worker searches, and counts it as a
// searcher. It takes the worker that waits in the poll last, or first if
// `poller_first`.
// Returns: its number: the caller must wake its parker; -1 if no worker is to be woken.
int wf_idle_wake_one(struct wf_idle *i, bool poller_first);

// wf_idle_wake chooses `worker` if it sleeps, and counts it as a searcher.
// Returns: WF_IDLE_CHOSEN: the caller must wake its parker. WF_IDLE_AWAKE: the caller
// must look at the injector, and call wf_sched_notify if it is not empty, because for a
// moment one searcher too many was counted ([I1]).
enum wf_idle_woken { WF_IDLE_AWAKE, WF_IDLE_CHOSEN };
enum wf_idle_woken wf_idle_wake(struct wf_idle *i, unsigned worker);

// wf_idle_any_asleep tells whether a worker sleeps, wf_idle_all_asleep whether all do;
// exact while no worker changes its state.
bool wf_idle_any_asleep(const struct wf_idle *i);
bool wf_idle_all_asleep(const struct wf_idle *i);
unsigned wf_idle_count_awake(const struct wf_idle *i);

// wf_idle_others_awake tells whether any worker except `worker` is awake; a hint.
bool wf_idle_others_awake(const struct wf_idle *i, unsigned worker);

// wf_idle_may_wake is a cheap check before wf_idle_wake_one, without ordering.
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
