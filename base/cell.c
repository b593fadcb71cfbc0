#include "base/cell.h"

#include <stddef.h>

#include "base/lock.h"

enum { LOCKED = 1, EPOCH = 2 }; // of `leavers`

_Static_assert(_Alignof(struct wf_cell_node) > WF_CELL_FLAGS, "the flags lie below a node's address");

void wf_cell_check(const struct wf_cell *c)
{
    uintptr_t word = wf_load_relaxed(&c->word); // relaxed: one word, checked by itself

    if (word & WF_CELL_SET)
        return;
    wf_assert(!(word & WF_CELL_AWAY && word & WF_CELL_KNOWN)); // AWAY: a leaver has the stack; KNOWN: it was put back
    wf_assert(!(word & WF_CELL_KNOWN) || wf_cell_nodes(word)); // an empty stack is 0
}

// is_locked tells whether a leaver has the lock: for that leaver's assertions.
static inline bool is_locked(const struct wf_cell *c)
{
    return wf_load_relaxed(&c->leavers) & LOCKED; // relaxed: the caller's own mark
}

// oldest_first turns a stack that the caller has taken into a queue.
static struct wf_cell_node *oldest_first(struct wf_cell_node *stack)
{
    struct wf_cell_node *queue = NULL;

    while (stack) {
        struct wf_cell_node *next = stack->next;
        stack->next = queue;
        queue = stack;
        stack = next;
    }
    return queue;
}

// signal_all wakes the owners of a stack that the caller has taken. After SIGNALLED a
// node may be freed.
static void signal_all(struct wf_cell_node *stack)
{
    for (struct wf_cell_node *node = oldest_first(stack), *next; node; node = next) {
        struct wf_waker waker = node->waker;
        next = node->next;
        wf_debug_assert(waker.wake && !wf_cell_chosen(node)); // it is taken once
        wf_store_release(&node->state, WF_CELL_CHOSEN);       // [C1]
        wf_waker_fire(waker);
        wf_store_release(&node->state, WF_CELL_SIGNALLED); // [C4]
    }
}

bool wf_cell_set(struct wf_cell *c, uintptr_t value, bool again)
{
    uintptr_t word = wf_load_acquire(&c->word); // [C1] the caller may then read what the first setter wrote

    wf_debug_check(wf_cell_check(c));
    do {
        if ((word & WF_CELL_SET) && !again)
            return false;
        // acq_rel: [C1] for a reader that finds it set, [C2] [C3] for the nodes
    } while (!wf_cas_acq_rel(&c->word, &word, value | WF_CELL_SET));
    if (!(word & WF_CELL_SET))
        signal_all(wf_cell_nodes(word));
    return true;
}

// lock_cell excludes other leavers. Returns: the epoch.
static uintptr_t lock_cell(struct wf_cell *c)
{
    uintptr_t seen = wf_load_relaxed(&c->leavers); // relaxed: the compare-and-swap confirms it
    unsigned turns = 0;

    for (;;) {
        if (seen & LOCKED) {
            wf_relax(&turns);
            // relaxed: as above
            seen = wf_load_relaxed(&c->leavers);
        } else if (wf_cas_acquire(&c->leavers, &seen, seen | LOCKED)) { // [C3]
            return seen;
        }
    }
}

static void unlock_cell(struct wf_cell *c, uintptr_t epoch)
{
    wf_debug_assert(!(epoch & LOCKED) && is_locked(c));
    wf_store_release(&c->leavers, epoch); // [C3]
}

// take_stack takes the stack, which may be empty, and leaves AWAY. Returns: false if
// the cell is set.
static bool take_stack(struct wf_cell *c, uintptr_t *word)
{
    *word = wf_load_relaxed(&c->word); // relaxed: the compare-and-swap confirms it
    wf_debug_assert(is_locked(c));
    do {
        if (*word & WF_CELL_SET)
            return false;
        wf_debug_assert(!(*word & WF_CELL_AWAY)); // this is the only leaver, and it has taken no stack
    } while (!wf_cas_acq_rel(&c->word, word, (uintptr_t)WF_CELL_AWAY)); // [C2] [C3]
    return true;
}

// stamp adds the missing prev links and stamps: from the top down to the first node
// that an earlier call has stamped.
static void stamp(struct wf_cell_node *top, uintptr_t epoch)
{
    for (struct wf_cell_node *at = top; at && at->epoch != epoch; at = at->next) {
        wf_debug_assert(at->epoch < epoch && at->next != at);
        at->epoch = epoch;
        if (at->next)
            at->next->prev = at;
    }
}

// cut takes `node` out of a stamped stack. Returns: the new top. The prev of the top is
// wrong until a node above it is stamped.
static struct wf_cell_node *cut(struct wf_cell_node *top, struct wf_cell_node *node)
{
    if (node == top)
        return node->next;
    wf_debug_assert(node->prev && node->prev->next == node);
    node->prev->next = node->next;
    if (node->next)
        node->next->prev = node->prev;
    return top;
}

// put_under puts `rest` under a stack of newer nodes, which have no stamps yet.
static struct wf_cell_node *put_under(struct wf_cell_node *newer, struct wf_cell_node *rest)
{
    struct wf_cell_node *bottom = newer;

    wf_debug_assert(newer && newer != rest);
    while (bottom->next)
        bottom = bottom->next;
    bottom->next = rest;
    return newer;
}

// restore_stack puts `rest` back in place of AWAY. Returns: NULL; or, if the cell has
// been set, the nodes that the caller must signal.
static struct wf_cell_node *restore_stack(struct wf_cell *c, struct wf_cell_node *rest)
{
    uintptr_t word = WF_CELL_AWAY;

    while ((word & (WF_CELL_SET | WF_CELL_AWAY)) == WF_CELL_AWAY) {
        struct wf_cell_node *newer = wf_cell_nodes(word);
        uintptr_t want = newer ? (uintptr_t)WF_CELL_AWAY : rest ? (uintptr_t)rest | WF_CELL_KNOWN : 0;
        // acq_rel: [C3] for the next leaver, [C2] for newer nodes, [C1] if AWAY is gone
        if (!wf_cas_acq_rel(&c->word, &word, want))
            continue;
        if (!newer)
            return NULL;
        rest = put_under(newer, rest);
        word = want;
    }
    return rest;
}

enum wf_cell_left wf_cell_leave(struct wf_cell *c, struct wf_cell_node *node)
{
    uintptr_t epoch, word;

    wf_debug_check(wf_cell_check(c));
    if (wf_cell_value(c)) // take_stack would find that too, but only after a wait for the lock
        return WF_CELL_TAKEN;
    epoch = lock_cell(c);
    if (!take_stack(c, &word)) {
        unlock_cell(c, epoch);
        return WF_CELL_TAKEN;
    }
    if (!(word & WF_CELL_KNOWN))
        epoch += EPOCH;
    stamp(wf_cell_nodes(word), epoch);
    bool here = node->epoch == epoch;
    struct wf_cell_node *rest = here ? cut(wf_cell_nodes(word), node) : wf_cell_nodes(word);
    rest = restore_stack(c, rest);
    unlock_cell(c, epoch);
    signal_all(rest);
    return here ? WF_CELL_OUT : WF_CELL_TAKEN;
}
