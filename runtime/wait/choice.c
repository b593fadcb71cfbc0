#include "runtime/wait/choice.h"

#include "base/assert.h"
#include "base/lock.h"

// try_win is one attempt. Returns: the previous state of the choice; OPEN if this call
// has won it.
static uint32_t try_win(struct wf_choice *c, uint32_t number)
{
    uint32_t seen = WF_CHOICE_OPEN;

    wf_debug_assert(number + 1 != WF_CHOICE_OPEN && number + 1 != WF_CHOICE_HELD);
    wf_cas_acq_rel(&c->won, &seen, number + 1); // [Q3]
    return seen;
}

bool wf_choice_win(struct wf_choice *c, uint32_t number)
{
    unsigned turns = 0;
    uint32_t seen;

    while ((seen = try_win(c, number)) == WF_CHOICE_HELD)
        wf_relax(&turns);
    return seen == WF_CHOICE_OPEN;
}

static bool hold_choice(struct wf_choice *c)
{
    uint32_t seen = WF_CHOICE_OPEN;
    return wf_cas_acq_rel(&c->won, &seen, WF_CHOICE_HELD); // [Q3]
}

static void end_hold(struct wf_choice *c, uint32_t won)
{
    // relaxed: the holder's own mark
    wf_debug_assert(won != WF_CHOICE_HELD && wf_load_relaxed(&c->won) == WF_CHOICE_HELD);
    wf_store_release(&c->won, won); // [Q3] only the holder writes it while it is held
}

int wf_choice_win_both(struct wf_choice *mine, uint32_t number, struct wf_choice *other, uint32_t other_number)
{
    unsigned turns = 0;

    wf_debug_assert(mine != other); // a select would wait for itself
    while (hold_choice(mine)) {
        uint32_t seen;
        while ((seen = try_win(other, other_number)) == WF_CHOICE_HELD && (uintptr_t)mine < (uintptr_t)other)
            wf_relax(&turns);
        end_hold(mine, seen == WF_CHOICE_OPEN ? number + 1 : WF_CHOICE_OPEN);
        if (seen != WF_CHOICE_HELD)
            return seen == WF_CHOICE_OPEN ? 0 : WF_CHOICE_GONE;
        wf_relax(&turns);
    }
    return WF_CHOICE_LOST;
}
