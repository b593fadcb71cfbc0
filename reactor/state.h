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

// Who may touch what:
//   I  fixed after wf_reactor_new or _start
//   H  whoever holds the lease writes; any thread reads (counters)
//   A  atomic, edges in the file named
//   R  of the reactor thread
struct wf_reactor {
    struct wf_epoll epoll;         // I
    struct wf_sources sources;     // I: source.c
    struct wf_timers *timers;      // I: `wheels` of them; timer.c
    _Atomic int64_t *next;         // I: for each wheel, when it wants to be looked at; A: timer.c
    unsigned wheels;               // I
    bool started;                  // of whoever starts and stops
    pthread_t thread;              // of whoever starts and stops
    struct wf_reactor_hooks hooks; // I
    char name[16];                 // I

    // The sleep of whoever holds the lease: turn.c. Read by all who arm the next timer of a wheel.
    _Alignas(WF_CACHE_LINE) _Atomic int64_t until; // A
    _Atomic bool interrupted;                      // A
    _Atomic uint64_t interrupts;                   // A: a counter

    _Alignas(WF_CACHE_LINE) struct wf_lease lease; // A: lease.h
    bool full;                                     // H: the last turn's batch was full, there may be more
    _Atomic uint64_t polls, events, expired;       // H

    _Alignas(WF_CACHE_LINE) struct wf_parker parker; // A: base/parker.h
    _Atomic int64_t resting;                         // A: timer.c, W2: until when the thread rests; 0: it does not
    _Atomic bool unwatched;                          // A: lease.h, L2 L3: nobody looks at the workers until it is false
    _Atomic bool quit;                               // A: [E2], and the parker's [P1]
    _Atomic uint64_t ticks;                          // R
};

#endif
