// What the flight recorder holds, copied, and in the order of time: for the trace and for
// weft-top.
#ifndef WF_RUNTIME_SEE_HISTORY_H
#define WF_RUNTIME_SEE_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "sched/sched.h"

// A task that the recorder knows of. The rest is for the reader to use; zero at first.
struct wf_history_task {
    uint64_t id;         // 0: the place is free
    char name[24];       // as far as it is known
    int64_t woken;       // when it was queued last, and has not run since; 0: it was not
    unsigned woken_on;   // the ring of that event
    bool woken_early;    // by whom is not known
    int64_t ran, longest; // of its turns: all of them, and the longest
    uint64_t turns;
};

// What a ring's worker is at: for the reader to use.
struct wf_history_track {
    uint64_t running; // a task's number, 0: none
    int64_t since, waited; // its turn began, and it had been queued for so long
    uint32_t queued;  // in the worker's queues, when it was last told
    int64_t busy;     // all turns together
    uint64_t turns;   // and how many began
    int64_t first;    // the first event
};

struct wf_history {
    unsigned rings;                    // one for each worker; the last one, of all other threads
    size_t size;                       // of what is mapped
    struct wf_record_raw *raw;         // `capacity` of each ring
    size_t capacity;
    size_t *left, *at;                 // of each ring: how many events are left, and the next one
    struct wf_history_track *track;    // of each ring
    bool *full;                        // of each ring: older events were overwritten
    struct wf_history_task *task;      // a table, by number
    uint64_t mask;                     // of its places, less one
    struct wf_moment made, now;        // by which stamps are understood
};

// wf_history_take copies all.  Returns: 0; -ENODATA: the recorder was never on; -ENOMEM.
WF_MUST_CHECK int wf_history_take(struct wf_history *h, struct wf_sched *s);
void wf_history_free(struct wf_history *h);

// wf_history_next tells the next event, the ring that it is from, and when it was.
// Returns: false: there are no more.
bool wf_history_next(struct wf_history *h, struct wf_record *event, unsigned *ring, int64_t *ns);

// wf_history_task finds a task by its number, which occurs in an event.
struct wf_history_task *wf_history_task(struct wf_history *h, uint64_t id);

#endif
