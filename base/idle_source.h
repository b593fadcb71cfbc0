// The idle source: what an idle worker may do instead of sleeping. The reactor
// implements it (it lends its poll), the scheduler calls it, and runtime/ connects the
// two, so neither knows the other.
#ifndef WF_BASE_IDLE_SOURCE_H
#define WF_BASE_IDLE_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

struct wf_idle_source {
    void *self;

    // borrow takes the poll if it is free. Returns: false if another worker has it.
    bool (*borrow)(void *self);

    // poll waits up to `wait` ns (0: not at all; INT64_MAX: without bound) for events
    // and due timers, and fires their wakers on this thread. Only for a worker that has
    // borrowed it.
    // Returns: how many wakers fired; 0 after `wait`, or when interrupted.
    unsigned (*poll)(void *self, int64_t wait);

    // poll_beside polls without waiting, for a worker that has not borrowed the poll,
    // while the borrower waits in it. NULL: not supported. Returns: as poll; 0 if no
    // worker waits, or another one polls beside it already.
    unsigned (*poll_beside)(void *self);

    // give_back ends the loan.
    void (*give_back)(void *self);

    // notify_awake says that a worker is awake and has a second task queued: the owner
    // of the poll must monitor the workers again. Context: any worker, once it is
    // counted as awake.
    void (*notify_awake)(void *self);

    // interrupt ends the present wait in a poll, or the next one. Context: any thread.
    void (*interrupt)(void *self);
};

#endif
