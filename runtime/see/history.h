// A copy of the flight recorder's events, in the order of time, for the trace and for
// weft-top.
#ifndef WF_RUNTIME_SEE_HISTORY_H
#define WF_RUNTIME_SEE_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "sched/sched.h"

// A task that occurs in an event. The reader uses the fields after `name`, which are
// zero at first.
struct wf_history_task {
    uint64_t id;         // 0: the place is free
    char name[24];       // up to 23 bytes of it; empty: unknown
    int64_t woken;       // when it was queued, if it has not run since; 0: it is not queued
    unsigned woken_on;   // the ring of that event
    bool woken_early;    // its waker is unknown
    int64_t ran, longest; // the time of all its turns, and of the longest one
    uint64_t turns;
};

// What a ring's worker is doing. The reader uses it.
struct wf_history_track {
    uint64_t running; // a task's number, 0: none
    int64_t since, waited; // when its turn began, and how long it had been queued then
    uint32_t queued;  // how many tasks the worker's queues had at its last event
    int64_t busy;     // the time of all turns
    uint64_t turns;   // how many turns began
    int64_t first;    // when its first event was
};

struct wf_history {
    unsigned rings;                    // one for each worker; the last one is for all other threads
    size_t size;                       // bytes of the mapping
    struct wf_record_raw *raw;         // `capacity` events for each ring
    size_t capacity;
    size_t *left, *at;                 // for each ring: how many events are left, and the next one
    struct wf_history_track *track;    // for each ring
    bool *full;                        // for each ring: older events were overwritten
    struct wf_history_task *task;      // a table, by number
    uint64_t mask;                     // the number of its places, less one
    struct wf_moment made, now;        // to convert stamps
};

// wf_history_take copies all rings. Returns: 0; -ENODATA: the recorder was never on;
// -ENOMEM.
WF_MUST_CHECK int wf_history_take(struct wf_history *h, struct wf_sched *s);
void wf_history_free(struct wf_history *h);

// wf_history_next returns the next event, its ring and its time.
// Returns: false if there are no more events.
bool wf_history_next(struct wf_history *h, struct wf_record *event, unsigned *ring, int64_t *ns);

// wf_history_task finds a task by its number, which occurs in an event.
struct wf_history_task *wf_history_task(struct wf_history *h, uint64_t id);

#endif
