// The idle source: what an idle worker may do instead of sleeping. The reactor implements it (its poll, on loan), the
// scheduler calls it, runtime/ plugs the two together, and neither knows the other.
#ifndef WF_BASE_IDLE_SOURCE_H
#define WF_BASE_IDLE_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

struct wf_idle_source {
    void *self;

    // borrow takes the poll if nobody has it. Returns: false if somebody does.
    bool (*borrow)(void *self);

    // poll waits up to `wait` ns (0: not at all; INT64_MAX: without bound) for events and due timers, and fires their
    // wakers on this thread. Only for a worker that has borrowed.
    // Returns: how many wakers fired; 0 after `wait`, or when interrupted.
    unsigned (*poll)(void *self, int64_t wait);

    // give_back ends the loan.
    void (*give_back)(void *self);

    // attend says that a worker has woken up, and that something waits behind what it runs: the owner must look at the
    // workers again. Called when the worker is counted as awake. Any worker.
    void (*attend)(void *self);

    // interrupt makes a poll that waits, or the next one that would, return at once. Any thread.
    void (*interrupt)(void *self);
};

#endif
