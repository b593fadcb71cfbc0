// The task as the scheduler sees it: a header, one atomic word, and a stack while it
// has one.
//
//   The word.
//
//                     wf_sched_submit                        wf_task_end
//            (new) -------------------> ACTIVE --------------------------------> (ended: ACTIVE, not LIVE)
//                                        ^  |
//        wf_task_wake (caller queues it) |  | wf_task_retire
//                                        |  v
//                                       PARKED
//
//            ACTIVE + wf_task_wake = ACTIVE|WOKEN: noted; the next wf_task_consume_wake, or _retire, honours it.
//
//   ACTIVE means that exactly one queue or one worker has the task; PARKED (ACTIVE
//   clear) that none has, and that its registers are saved. wf_task_retire runs in the
//   context that was switched to, so a waker that makes a task ACTIVE again may resume
//   it at once. Waking twice may cost one wait that returns early: every wait checks
//   its condition in a loop.
//
//   A word that distinguishes RUNNING from QUEUED would need one more
//   read-modify-write: when a task is resumed or yields, this word needs none. So a
//   wake, a run and a park cost two, not three.
//
//   Held: a party that is neither a queue nor a worker, a dump, may take a PARKED task
//   as a waker does (wf_task_hold), but does not queue it. While it holds the task it
//   may read the task's stack, because no worker resumes the task: a wake meanwhile
//   finds the task ACTIVE, and is noted. Then the party releases the task as a worker
//   does after a switch (wf_task_retire), and queues the task if a wake was noted
//   (wf_sched_release).
//
//   Headers are type-stable: pooled, and freed only with the scheduler. A wake that
//   comes too late finds an ended task (ACTIVE: noted, without effect) or the header's
//   next user (an early return).
//
// Edges.
//   T1  wf_task_wake's compare-and-swap (release) -> wf_task_retire finding WOKEN, or
//       wf_task_consume_wake (acquire): the task sees what its waker wrote. If the wake
//       queues the task, the queue's own edge makes these writes visible.
//   T2  wf_task_retire's compare-and-swap (release) -> wf_task_wake's (acquire): the
//       saved registers, and all that the task wrote, are visible to the worker that
//       resumes it (the queue passes it on)
//   T3  wf_task_set_cancel_pending's or (release) -> wf_task_cancel_pending (acquire): why it was
//       cancelled
#ifndef WF_SCHED_TASK_H
#define WF_SCHED_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/atomic.h"
#include "sched/arch/context.h"

enum {
    WF_TASK_ACTIVE = 1,
    WF_TASK_WOKEN = 2,
    WF_TASK_CANCEL_PENDING = 4, // it, or a scope it is in, was cancelled: look closer. Cleared by the task itself
    WF_TASK_LIVE = 8,           // from submit to end
    WF_TASK_CANCELLED = 16,     // wf_task_cancel: the task itself was; for good
    WF_TASK_LONG = 32,          // its last turn was long: so may be the next one. Of the party that has the task
    WF_TASK_STARVED = 64, // it got no stack of its own, and runs on its worker's reserve: it must not park; for good
};

// I: fixed at spawn; T: the party that has the task (its queue, its worker, itself); A:
// atomic
struct wf_task {
    _Atomic uint32_t word;          // A
    uint8_t stack_class;            // I: log2 of the stack's size
    bool pinned;                    // I: stays on the worker that first runs it
    uint8_t shields;                // T: of runtime/, here because it is padding: how many shields are up
    _Atomic uint8_t handle;         // of runtime/, as well: what became of the handle (task.c)
    struct wf_context context;      // T
    _Atomic(struct wf_task *) next; // A: link in an injector (its J1), in a chain, or in a list of free headers
    struct wf_stack *stack;         // T: NULL until it first runs (wf_sched_equip: until then), and once it has ended
    struct wf_worker *worker;       // T: that runs it, or ran it last; NULL until it begins
    struct wf_sched *sched;         // I
    uint64_t id;                    // I
    const char *name;               // I: or NULL
    _Atomic(const char *) what;     // A: written by T: what it waits for, NULL while it runs
    _Atomic intptr_t on;            // A: written by T: and on what
};

// Stacks come in powers of two: a class is the log2 of the size.
enum {
    WF_STACK_CLASS_MIN = 14, // 16 KiB
    WF_STACK_CLASS_MAX = 28, // 256 MiB
    WF_STACK_CLASSES = WF_STACK_CLASS_MAX - WF_STACK_CLASS_MIN + 1,
};

// wf_stack_class is the class of the smallest stack of at least `size` bytes. Returns:
// -1 if there is none.
int wf_stack_class(size_t size);

// wf_task_is_live tells whether a task has the header, from submit to end: for
// assertions of the party that has it.
static inline bool wf_task_is_live(const struct wf_task *t)
{
    return wf_load_relaxed(&t->word) & WF_TASK_LIVE; // relaxed: as old as what the caller knows of the header
}

// wf_task_is_active tells whether one queue or one worker has the task, likewise.
static inline bool wf_task_is_active(const struct wf_task *t)
{
    return wf_load_relaxed(&t->word) & WF_TASK_ACTIVE; // relaxed: as above
}

// wf_task_begin makes the word of a new task: ACTIVE, not yet visible to any other
// thread.
static inline void wf_task_begin(struct wf_task *t)
{
    // release: wf_sched_each, which finds LIVE, finds the header filled; a worker that
    // takes it from a queue, by the queue's edge
    wf_store_release(&t->word, WF_TASK_ACTIVE | WF_TASK_LIVE);
}

// wf_task_end: the body has returned. Late wakes are noted, and ignored.
static inline void wf_task_end(struct wf_task *t)
{
    wf_debug_assert(wf_task_is_live(t) && wf_task_is_active(t));
    wf_store_relaxed(&t->word, WF_TASK_ACTIVE); // relaxed: only dumps look; stale wakes may be lost
}

// wf_task_consume_wake: called by the running task before it parks. Returns: true if a
// wake was noted: do not park.
static inline bool wf_task_consume_wake(struct wf_task *t)
{
    if (!(wf_load_relaxed(&t->word) & WF_TASK_WOKEN)) // relaxed: wf_task_retire looks again
        return false;
    wf_fetch_and_acq_rel(&t->word, ~(uint32_t)WF_TASK_WOKEN); // [T1]
    return true;
}

// wf_task_retire: called after the switch away from a task that parks. Returns: whether
// it is PARKED now; or a wake was noted, so that it is still ACTIVE, and the caller
// must queue it.
enum wf_retired { WF_RETIRED_WOKEN, WF_RETIRED_PARKED };
static inline enum wf_retired wf_task_retire(struct wf_task *t)
{
    uint32_t word = wf_load_relaxed(&t->word); // relaxed: the compare-and-swap confirms it
    uint32_t want;

    wf_debug_assert(word & WF_TASK_ACTIVE);
    do {
        want = word & WF_TASK_WOKEN ? word & ~(uint32_t)WF_TASK_WOKEN : word & ~(uint32_t)WF_TASK_ACTIVE;
    } while (!wf_cas_acq_rel(&t->word, &word, want)); // [T1] [T2]
    return word & WF_TASK_WOKEN ? WF_RETIRED_WOKEN : WF_RETIRED_PARKED;
}

// wf_task_hold takes a PARKED task, so that it can be read. Returns: false if it is none.
// wf_sched_release lets it go: soon, for it may have been woken.
static inline bool wf_task_hold(struct wf_task *t)
{
    uint32_t word = wf_load_relaxed(&t->word); // relaxed: the compare-and-swap confirms it

    do {
        if ((word & (WF_TASK_ACTIVE | WF_TASK_LIVE)) != WF_TASK_LIVE)
            return false;
    } while (!wf_cas_acq_rel(&t->word, &word, word | WF_TASK_ACTIVE)); // [T1] [T2]
    return true;
}

// wf_task_note_wake: the word's part of wf_task_wake. Returns: whether the wake was
// only noted; or the task was PARKED, and the caller must queue it.
enum wf_noted { WF_NOTED_FOR_LATER, WF_NOTED_PARKED };
static inline enum wf_noted wf_task_note_wake(struct wf_task *t)
{
    uint32_t word = wf_load_relaxed(&t->word); // relaxed: the compare-and-swap confirms it
    uint32_t add;

    // Even if WOKEN is set already: the release must reach the task ([T1]), or it could
    // consume the earlier wake, miss what this waker wrote, and park for good.
    do {
        add = word & WF_TASK_ACTIVE ? WF_TASK_WOKEN : WF_TASK_ACTIVE;
    } while (!wf_cas_acq_rel(&t->word, &word, word | add)); // [T1] [T2]
    return word & WF_TASK_ACTIVE ? WF_NOTED_FOR_LATER : WF_NOTED_PARKED;
}

// wf_task_set_cancel_pending tells a task to look whether it was cancelled, when it
// looks next: wake it after that. wf_task_clear_cancel_pending takes that back: called
// by the running task, which then looks itself.
static inline void wf_task_set_cancel_pending(struct wf_task *t)
{
    wf_fetch_or_acq_rel(&t->word, (uint32_t)WF_TASK_CANCEL_PENDING); // [T3]
}

static inline void wf_task_clear_cancel_pending(struct wf_task *t)
{
    wf_fetch_and_acq_rel(&t->word, ~(uint32_t)WF_TASK_CANCEL_PENDING); // [T3] whose mark is gone, its reason is seen
}

static inline bool wf_task_cancel_pending(const struct wf_task *t)
{
    return wf_load_acquire(&t->word) & WF_TASK_CANCEL_PENDING; // [T3]
}

// wf_task_note_long remembers that the running task has computed for long in this turn.
// wf_task_was_long tells whether the one that is about to run did so in its last turn,
// and forgets it: one bit, as the simplest branch predictor.
static inline void wf_task_note_long(struct wf_task *t)
{
    wf_fetch_or_relaxed(&t->word, (uint32_t)WF_TASK_LONG); // relaxed: the task's own bit, moved with it by [T2]
}

static inline bool wf_task_was_long(struct wf_task *t)
{
    if (wf_likely(!(wf_load_relaxed(&t->word) & WF_TASK_LONG))) // relaxed: as above
        return false;
    wf_fetch_and_relaxed(&t->word, ~(uint32_t)WF_TASK_LONG); // relaxed: as above
    return true;
}

// wf_task_starve marks a task that is about to begin on the reserve stack, as a cancel
// would. wf_task_starved tells whether it is one.
static inline void wf_task_starve(struct wf_task *t)
{
    wf_fetch_or_acq_rel(&t->word, (uint32_t)(WF_TASK_CANCEL_PENDING | WF_TASK_STARVED)); // [T3]
}

static inline bool wf_task_starved(const struct wf_task *t)
{
    return wf_load_relaxed(&t->word) & WF_TASK_STARVED; // relaxed: the task's own, from its beginning on
}

// wf_task_begun tells whether it has run. It may have a stack before.
static inline bool wf_task_begun(const struct wf_task *t)
{
    return t->worker != NULL;
}

// wf_task_is_cancelled tells whether the task itself was cancelled.
static inline bool wf_task_is_cancelled(const struct wf_task *t)
{
    return wf_load_acquire(&t->word) & WF_TASK_CANCELLED; // [T3]
}

#endif
