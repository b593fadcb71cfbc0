// What the files of reactor/ share: the reactor's state.
//
// Sleepers. Two threads sleep for the reactor: the worker that holds the lease, in
// epoll; and the reactor thread, in epoll behind it, or in its futex. (A busy worker
// that polls beside them does not sleep.) Five words decide whether each of them may
// sleep:
//
//     word               belongs to          what it says
//     `until`            the lease's holder  when it wakes up; 0: it is awake
//     `interrupted`      the lease's holder  true: it must not sleep
//     `parker.state`     the reactor thread  IN_FUTEX, ELSEWHERE: it sleeps; NOTIFIED: it must not
//     `resting`          the reactor thread  a timer before this moment would fire late; 0: it is awake
//     `monitor_paused`   the reactor thread  it does not check the workers
//
// One argument covers all of them. A waker stores a reason to be awake, then loads what
// the sleeper has announced. A sleeper stores its announcement, then loads the reason:
//
//     waker                                     sleeper
//     [S] store the reason                      [S] store the announcement
//     [L] announced? wake the sleeper           [L] is there a reason? do not sleep
//
// All four operations are seq_cst, so they have one order, in which one of the stores
// is first. The other party's load comes after it, and sees it. So the sleeper stays
// awake, or the waker wakes it; never neither. The pairs:
//
//     edge, file           reason                  announcement       the waker calls
//     E1, interrupt.c      `interrupted` = true    `until`            wf_epoll_interrupt
//     W2, timer.c          next[wheel]             `until`            wf_interrupt_worker
//     W2, timer.c          next[wheel]             `resting`          wf_interrupt_thread
//     L2, thread.c         a worker is awake       `monitor_paused`   wf_interrupt_thread
//     P1, base/parker.h    NOTIFIED                ELSEWHERE          wf_epoll_interrupt
//
// In the last row reason and announcement are one word, which both change by a
// read-modify-write: the order of that word takes the place of the argument.
//
// The wake itself is not lost either:
//   - The eventfd ends a wait in epoll, even one that has not begun. A thread that
//     takes the eventfd's edge from the called one passes it on (interrupt.c, turn.c).
//   - NOTIFIED stays until the thread's next sleep, which then ends at once.
//   - A waker that finds `interrupted` true does nothing: the waker that set it calls.
//     So does a worker that finds `monitor_paused` false: the worker that cleared it
//     calls, or the thread itself has cleared it, and checks the workers each tick.
// A sleeper that wakes up takes back its announcement by a relaxed store (`awake`,
// `end_rest`): a waker that still sees the old value wakes a thread that is awake, once.
// The edges E2, P1 and L1 then make visible what the waker, or the lease's last holder,
// did before.
//
// tests/model checks it: lease.pml (E1 E2 L1 P1), deadline.pml (W2), monitor_paused.pml
// and standby.pml (L2 P1), eventfd.pml (the eventfd that the two share).
#ifndef WF_REACTOR_STATE_H
#define WF_REACTOR_STATE_H

#include <pthread.h>

#include "base/parker.h"
#include "reactor/epoll.h"
#include "reactor/lease.h"
#include "reactor/reactor.h"
#include "reactor/source.h"
#include "reactor/timer.h"

// Counters of the turns of one party.
struct wf_tally {
    _Atomic uint64_t polls, events, expired;
};

// Which party may touch which field:
//   I  fixed after wf_reactor_new or _start
//   H  the worker that holds the lease writes; any thread reads (counters)
//   B  the worker that holds `beside` writes; any thread reads (counters)
//   R  the reactor thread writes; any thread reads (counters)
//   A  atomic, edges in the file named
//   G  under the lock of registry.c
struct wf_reactor {
    struct wf_epoll epoll;         // I
    struct wf_sources sources;     // I: source.c
    struct wf_timers *timers;      // I: `wheels` of them; timer.c
    _Atomic int64_t *next;         // I: for each wheel, the moment of its next timer or before; A: timer.c
    unsigned wheels;               // I
    struct wf_reactor *following;  // G: in the registry
    unsigned visitors;             // G: threads that are in wf_registry_forget or _check of this reactor
    bool leaving;                  // G: it leaves the registry when there is no visitor
    bool started;                  // of the thread that starts and stops
    pthread_t thread;              // of the thread that starts and stops
    struct wf_reactor_hooks hooks; // I

    // The sleep of the worker that holds the lease: interrupt.c. Read by each thread
    // that arms the next timer of a wheel.
    _Alignas(WF_CACHE_LINE) _Atomic int64_t until; // A
    _Atomic bool interrupted;                      // A
    _Atomic uint64_t interrupts;                   // A: a counter

    _Alignas(WF_CACHE_LINE) struct wf_lease lease; // A: lease.h
    struct wf_tally lent;                          // H: turns of workers

    _Alignas(WF_CACHE_LINE) struct wf_lease beside; // A: lease.h
    unsigned passed_on;                             // B: how often it has passed on the present call
    struct wf_tally at_side;                        // B: turns of busy workers, beside the worker that waits

    _Alignas(WF_CACHE_LINE) struct wf_parker parker; // A: the thread's sleep: base/parker.h
    _Atomic int64_t resting;                         // A: timer.c, W2: until when the thread rests; 0: it does not
    _Atomic bool monitor_paused;                     // A: thread.c, L2: the thread does not monitor the workers
    _Atomic bool attended;                           // A: a worker has called notify_awake since the last look: a hint
    _Atomic bool quit;                               // A: the parker's [P1]
    struct wf_tally own;                             // R: turns of the thread
    _Atomic uint64_t wakes, ticks;                   // R: how often the thread slept, and checked the workers
};

#endif
