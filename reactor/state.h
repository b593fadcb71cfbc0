// What the files of reactor/ share: the reactor's state.
#ifndef WF_REACTOR_STATE_H
#define WF_REACTOR_STATE_H

#include <pthread.h>

#include "base/parker.h"
#include "reactor/epoll.h"
#include "reactor/lease.h"
#include "reactor/reactor.h"
#include "reactor/source.h"
#include "reactor/timer.h"

// What one party's turns have done.
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
    _Atomic int64_t *next;         // I: for each wheel, when it wants to be looked at; A: timer.c
    unsigned wheels;               // I
    struct wf_reactor *following;  // G: in the registry
    unsigned visitors;             // G: threads that make it look at a descriptor
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
    struct wf_tally at_side;                        // B: turns of busy workers, beside the one that waits

    _Alignas(WF_CACHE_LINE) struct wf_parker parker; // A: the thread's sleep: base/parker.h
    _Atomic int64_t resting;                         // A: timer.c, W2: until when the thread rests; 0: it does not
    _Atomic bool monitor_paused;                     // A: thread.c, L2: the thread does not look at the workers
    _Atomic bool attended;                           // A: a worker has asked it to, since it looked last: a hint
    _Atomic bool quit;                               // A: the parker's [P1]
    struct wf_tally own;                             // R: turns of the thread
    _Atomic uint64_t wakes, ticks;                   // R: how often it slept, and looked at the workers
};

#endif
