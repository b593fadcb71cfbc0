// The driver of the table in docs/cancellation.md: each row is a call that may park, or
// one way to use it, and runs in every mode below. tests/lint/parking.py compares the
// rows' names with the page and with the headers.
//
// Each case has three tasks: the test, which sets up, completes, and checks what the
// call has left; the subject, which makes the call; and, in a race, the canceller.
//
//      set_up --> subject: call --> (it is parked) --> follow --> cancelled and completed, as the mode says --> left
//
//   NOT_STARTED     completed, and the subject cancelled, before it makes the call: it
//                   fails, ready or not
//   PARKED          cancelled while it is parked
//   COMPLETED       completed while it is parked, then cancelled before it may have
//                   run: it succeeds
//   RACING          cancelled and completed at the same time, also while it is about to
//                   park: either, not both
//   SHIELDED        cancelled behind a shield, then completed: it succeeds, and the
//                   next call after the shield fails
//   DEADLINE        as PARKED, by the deadline of a scope around it: -ETIMEDOUT
//   PARENT          as PARKED, in a child of a scope of the task that is cancelled
//   STARVED         as NOT_STARTED, in a task that got no stack of its own, behind a
//                   shield: -ENOMEM. In builds with fault injection
//
// `complete` is called once in every mode, in the end. So `left` knows how often the
// call's effect was available, and checks that it was taken as often: by the subject if
// it succeeded, else by the next caller (conservation).
#ifndef WF_TESTS_CANCEL_TABLE_H
#define WF_TESTS_CANCEL_TABLE_H

#include <weft.h>

#include "base/atomic.h"
#include "tests/support/harness.h"

enum cancel_mode { NOT_STARTED, PARKED, COMPLETED, RACING, SHIELDED, DEADLINE, PARENT, STARVED, CANCEL_MODES };

// One call in one mode. One is under way at a time, so what a row works on may be
// static.
struct cancel_case {
    const struct cancel_row *row;
    enum cancel_mode mode;
    weft_time when;     // for a call that ends by itself: when (cancel_when); else 0
    _Atomic bool begun; // set by a call that is never seen parked, because the dump does not name it
    _Atomic bool ended; // the call has returned
};

struct cancel_row {
    const char *name; // "weft_call" or "weft_call: how"
    const char *what; // what the dump says it waits for; NULL: see `begun`
    const void *arg;  // what rows that share functions differ in

    // set_up prepares: the call would park now.
    void (*set_up)(struct cancel_case *c);

    // call is the subject's. Returns: 0 or more: it has had its effect.
    int (*call)(struct cancel_case *c);

    // complete lets it succeed. If the call has no time limit of its own, that must not
    // depend on its being there.
    void (*complete)(struct cancel_case *c);

    // left checks what `result` says the call has done, that the object works for the
    // next one, and clears all away.
    void (*left)(struct cancel_case *c, int result);

    // follow (may be NULL) queues another task behind the subject, which is parked by
    // then, unless it has not started.
    void (*follow)(struct cancel_case *c);

    // freed (may be NULL) is called when the subject has failed, before anything else
    // happens: a task that waited only behind the subject must continue now.
    void (*freed)(struct cancel_case *c);

    bool at_once;     // what `complete` does ends the wait, without another's doing: COMPLETED makes sense
    bool waits;       // also when it is cancelled: the call ends when it is complete, and may succeed
    bool slow;        // fewer rounds
    bool never_parks; // NOT_STARTED is all there is to it
};

// cancel_comes_first tells whether the subject is cut short, and the call complete,
// before it is made.
static inline bool cancel_comes_first(const struct cancel_case *c)
{
    return c->mode == NOT_STARTED || c->mode == STARVED;
}

// cancel_table_run puts `n` rows through all modes, in a runtime with one thread for
// blocking calls.
void cancel_table_run(const struct cancel_row *rows, size_t n);
#define CANCEL_TABLE_RUN(rows) cancel_table_run(rows, sizeof(rows) / sizeof(*(rows)))

// cancel_table_run_seeds does so in virtual time, each run in another order: for rows
// that no other thread has part in.
void cancel_table_run_seeds(const struct cancel_row *rows, size_t n);
#define CANCEL_TABLE_RUN_SEEDS(rows) cancel_table_run_seeds(rows, sizeof(rows) / sizeof(*(rows)))

// cancel_await_parked returns once `t` is parked in `what`, or has ended.
void cancel_await_parked(weft_task *t, const char *what);

// cancel_when is when a call that ends by itself should: in the past, soon, or never,
// as the mode needs it.
weft_time cancel_when(struct cancel_case *c);

// cancel_nothing is `complete` of a call that ends by itself.
void cancel_nothing(struct cancel_case *c);

// cancel_pool_occupy occupies the only thread for blocking calls, cancel_files_occupy
// the only one for files, until cancel_pool_free: other jobs wait in the queue until
// then. cancel_pool_join is to be called after that.
void cancel_pool_occupy(void);
void cancel_files_occupy(void);
void cancel_pool_free(void);
void cancel_pool_join(void);

#endif
