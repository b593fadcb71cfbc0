// The choice: one word of a select that decides which of its cases happens.
//
//                    wf_choice_win
//            OPEN ------------------------------> 1 + the number of the case: final
//            |  ^                                          ^
//            |  | (the other has gone elsewhere)           | (the other is won too)
//            v  |                                          |
//            HELD -----------------------------------------+          both by wf_choice_win_both
//
// A giver first wins the select's choice, by one compare-and-swap, and then must
// deliver. That suffices if the other side is a buffer, or a task that waits for one
// thing only. At a rendezvous of two selects both choices must be won, or neither: a
// won choice cannot be reopened, because other givers may have been refused. So when a
// select finds another select in a queue, it holds its own choice first, and then wins
// the choice of the other. Other threads wait while a choice is held.
//
// Two selects that each hold their own choice and wait for the other's would deadlock.
// So the one at the higher address releases and retries. So a select waits only for a
// choice at a higher address, and there is no circle of waits. A holder never takes a
// lock or parks, so a hold lasts a few instructions.
//
// Edges.
//   Q3  the compare-and-swap of `won` (acq_rel), and the store that ends a hold
//       (release) -> the next compare-and-swap, and the select's load (acquire): one
//       winner
#ifndef WF_RUNTIME_CHOICE_H
#define WF_RUNTIME_CHOICE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/atomic.h"

enum { WF_CHOICE_OPEN };
#define WF_CHOICE_HELD UINT32_MAX

struct wf_choice {
    _Atomic uint32_t won; // A: [Q3]
};

static inline void wf_choice_init(struct wf_choice *c)
{
    wf_store_relaxed(&c->won, WF_CHOICE_OPEN); // relaxed: the lock of the first queue publishes it
}

// wf_choice_win tries to win the choice for the case `number`. It waits while the
// choice is held. Returns: true if it has won; false is final.
// Context: any thread that may access the choice, except its holder.
bool wf_choice_win(struct wf_choice *c, uint32_t number);

// wf_choice_win_both tries to decide `mine` for the case `number`, and `other` for its
// case `other_number`.
// Returns: 0: both; WF_CHOICE_LOST: `mine` was decided already; WF_CHOICE_GONE: `other`
// was, and `mine` is still open.
// Context: the task of `mine`. The two must differ.
enum { WF_CHOICE_LOST = 1, WF_CHOICE_GONE };
int wf_choice_win_both(struct wf_choice *mine, uint32_t number, struct wf_choice *other, uint32_t other_number);

// wf_choice_open tells whether the choice may still be won; a hint. Context: any thread
// that may access it.
static inline bool wf_choice_open(const struct wf_choice *c)
{
    uint32_t won = wf_load_relaxed(&c->won); // relaxed: a hint; winning checks again
    return won == WF_CHOICE_OPEN || won == WF_CHOICE_HELD;
}

// wf_choice_won tells which case has been decided.
// Returns: true, and the case in *number; false if it is open.
// Context: the choice's task.
static inline bool wf_choice_won(const struct wf_choice *c, uint32_t *number)
{
    uint32_t won = wf_load_acquire(&c->won); // [Q3]

    wf_debug_assert(won != WF_CHOICE_HELD); // only the choice's task holds it
    *number = won - 1;
    return won != WF_CHOICE_OPEN;
}

#endif
