#include "base/cell.h"

#include <stddef.h>

#include "base/assert.h"
#include "base/lock.h"

static struct wf_cell_node *nodes(uintptr_t word)
{
    return (struct wf_cell_node *)(word & ~(uintptr_t)WF_CELL_FLAGS);
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

// signal_all wakes the owners of a stack that the caller has taken. After `signalled` a node may be gone.
static void signal_all(struct wf_cell_node *stack)
{
    for (struct wf_cell_node *node = oldest_first(stack), *next; node; node = next) {
        struct wf_waker waker = node->waker;
        next = node->next;
        wf_store_release(&node->signalled, true); // [C1] [C4]
        wf_waker_fire(waker);
    }
}

bool wf_cell_set(struct wf_cell *c, uintptr_t value, bool again)
{
    uintptr_t word = wf_load_relaxed(&c->word); // relaxed: the compare-and-swap confirms it

    for (;;) {
        uintptr_t want = value | WF_CELL_SET;
        if ((word & (WF_CELL_SET | WF_CELL_HELD)) && !again)
            return false;
        if (word & WF_CELL_LOCK) {
            // The nodes are the leaver's just now: leave it the value, and the work.
            wf_store_relaxed(&c->held, want); // relaxed: [C1] by the compare-and-swap below
            want = word | WF_CELL_HELD;
        }
        // acq_rel: [C1] for who finds it set, [C2] [C3] for the nodes
        if (wf_cas_acq_rel(&c->word, &word, want))
            break;
    }
    if (!(word & (WF_CELL_SET | WF_CELL_LOCK)))
        signal_all(nodes(word));
    return true;
}

bool wf_cell_push(struct wf_cell *c, struct wf_cell_node *node)
{
    uintptr_t word = wf_load_relaxed(&c->word); // relaxed: the compare-and-swap confirms it

    wf_store_relaxed(&node->signalled, false); // relaxed: published by the compare-and-swap
    node->prev = NULL;
    do {
        if (word & (WF_CELL_SET | WF_CELL_HELD)) {
            wf_load_acquire(&c->word); // [C1] the caller goes on to read what the setter wrote
            return false;
        }
        node->next = nodes(word);
    } while (!wf_cas_acq_rel(&c->word, &word, (uintptr_t)node | (word & WF_CELL_LOCK))); // [C2]
    return true;
}

// lock takes the right to relink. Returns: false if the cell is set, or about to be: then all nodes get signalled.
static bool lock(struct wf_cell *c, uintptr_t *word)
{
    unsigned turns = 0;

    *word = wf_load_relaxed(&c->word); // relaxed: the compare-and-swap confirms it
    for (;;) {
        if (*word & (WF_CELL_SET | WF_CELL_HELD))
            return false;
        if (*word & WF_CELL_LOCK) {
            wf_relax(&turns);
            *word = wf_load_relaxed(&c->word); // relaxed: as above
        } else if (wf_cas_acq_rel(&c->word, word, *word | WF_CELL_LOCK)) { // [C2] [C3]
            *word |= WF_CELL_LOCK;
            return true;
        }
    }
}

// link_back makes the prev links that are missing. They are missing from the top down to where an earlier call began:
// below a node that has its link, all have theirs.
static void link_back(struct wf_cell_node *top)
{
    for (struct wf_cell_node *at = top; at->next && !at->next->prev; at = at->next)
        at->next->prev = at;
}

static void unlink_inner(struct wf_cell_node *top, struct wf_cell_node *node)
{
    link_back(top);
    node->prev->next = node->next;
    if (node->next)
        node->next->prev = node->prev;
}

// unlink takes `node` out of the stack. Returns: what is the top then.
static struct wf_cell_node *unlink(struct wf_cell_node *top, struct wf_cell_node *node)
{
    if (top != node) {
        unlink_inner(top, node);
        return top;
    }
    if (node->next)
        node->next->prev = NULL; // it becomes the top: who is pushed above it is not known yet
    return node->next;
}

// unlock gives the right back, with `node` unlinked. If the cell was set meanwhile, it finishes that.
static void unlock(struct wf_cell *c, struct wf_cell_node *node, uintptr_t word)
{
    bool out = false; // is it out for good? As the top it is only out once the word says so.

    for (;;) {
        struct wf_cell_node *top = nodes(word);
        struct wf_cell_node *rest = out ? top : unlink(top, node);
        uintptr_t want = (uintptr_t)rest;
        out |= top != node;
        if (word & WF_CELL_HELD)
            want = wf_load_relaxed(&c->held); // relaxed: HELD was loaded with acquire, after the setter's [C1]
        if (wf_cas_acq_rel(&c->word, &word, want)) { // [C3], or [C1] on the setter's behalf
            if (want & WF_CELL_SET)
                signal_all(rest);
            return;
        }
    }
}

bool wf_cell_leave(struct wf_cell *c, struct wf_cell_node *node)
{
    uintptr_t word;

    if (!lock(c, &word))
        return false;
    unlock(c, node, word);
    return true;
}
