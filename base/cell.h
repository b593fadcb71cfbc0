// The cell: one word that is empty, holds waiters, or is set. A future is made of it, and so is either direction of a
// descriptor.
//
//                      wf_cell_push                     wf_cell_set
//        EMPTY (0) --------------------> WAITERS (p) -----------------> SET (value | 1)
//          ^  ^  \                          |    ^                        ^    |
//          |  |   \------- wf_cell_set -----|----|------------------------/    |
//          |  +--- wf_cell_leave (last) ----+    | wf_cell_push                |
//          +------------------------ wf_cell_clear ---------------------------+
//
// WAITERS points to the newest of a stack of nodes. A stack belongs to whoever takes it out of the word with a
// compare-and-swap; nobody else reads or writes a node that is in the word, or taken. There are two takers:
//
//   - A setter puts its value in the same stroke. It wakes the owners of the nodes.
//   - A leaver (cancel, deadline) leaves the mark AWAY instead. It unlinks its own node and puts the rest back under
//     the nodes that were pushed meanwhile. If AWAY is gone by then, somebody has set the cell and found only those; so
//     the leaver wakes the owners of the rest on the setter's behalf.
//
// So set and push never wait for anybody: what they find in the word is what there is to do. Only leavers wait for each
// other (`leavers`, a spinlock); so there is one AWAY at a time, and what a leaver finds of it is its own.
//
// The hard case is a leaver whose node somebody has taken: it is not in the stack, the cell may have been cleared
// since, other waiters pushed, even their nodes freed; and its own must not go away before the taker has stored
// SIGNALLED. wf_cell_leave tells the two apart, in O(1) amortised, without looking at anybody's node but those that
// it took:
//
//   - Leavers count epochs. A stack that a leaver has put back carries the mark KNOWN, which lasts until a setter takes
//     it: pushes keep the mark. To take a stack without it begins a new epoch.
//   - A leaver goes down its stack, links each node backwards and stamps it with the epoch, until it meets a stamp of
//     this epoch: from there on down all was linked and stamped before. So each node is walked over once.
//   - Now its own node is in the stack if and only if it bears this epoch. For if a setter has taken it, its stamp (if
//     any) is from before that, and the first leaver after that found no KNOWN and began a newer epoch.
//
// A taker marks a node CHOSEN, fires its waker, and marks it SIGNALLED: its last touch. A waiter that is woken sees
// CHOSEN; it must not go before SIGNALLED, which comes soon. That the second mark comes after the wake, and not before,
// keeps everything alive that the wake touches on its way: the waiting task cannot end, so its runtime cannot be freed
// under a foreign thread that has just completed a future.
//
// Rejected: a mark in the word under which a leaver relinks a stack that stays where it is, with setters leaving it
// their value in a second word. Two setters raced for that word, a value could be lost, and set was not seen to have
// happened when it returned.
//
// Edges. Every write of the word is a read-modify-write, so each release in it reaches all later acquires, whatever was
// written in between.
//   C1  wf_cell_set's compare-and-swap (release) -> wf_cell_value, _set and _push finding it set, the leaver finding
//       AWAY gone, and from both takers CHOSEN (release) -> wf_cell_chosen (acquire): what the setter wrote
//       before is visible to who waited, and to who found it set
//   C2  wf_cell_push's compare-and-swap (release) -> the one that takes the stack (acquire): the nodes' contents
//   C3  a leaver's unlock, and the compare-and-swap that puts the rest back (release) -> the next leaver's lock, and
//       the one that takes (acquire): the links and stamps
//   C4  SIGNALLED (release) -> wf_cell_signalled (acquire): the setter is done with the node, and with its waker
#ifndef WF_BASE_CELL_H
#define WF_BASE_CELL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/waker.h"

enum { WF_CELL_WAITING, WF_CELL_CHOSEN, WF_CELL_SIGNALLED };

// All zero is an empty cell.
struct wf_cell {
    _Atomic uintptr_t word;    // A: the diagram above
    _Atomic uintptr_t leavers; // A: bit 0: locked by a leaver; above: the epoch, written by who holds it
};

// A node lives on its waiter's stack. In the word it is nobody's; T: whoever took the stack.
struct wf_cell_node {
    struct wf_cell_node *next; // T
    struct wf_cell_node *prev; // T: right if stamped, and not the newest
    uintptr_t epoch;           // written by leavers under the lock, T
    struct wf_waker waker;     // I: from the push on
    _Atomic uint8_t state;     // A: WF_CELL_WAITING and so on; [C1] [C4]
};

enum { WF_CELL_SET = 1, WF_CELL_AWAY = 2, WF_CELL_KNOWN = 4, WF_CELL_FLAGS = 7 }; // nodes are 8-aligned

static inline void wf_cell_init(struct wf_cell *c)
{
    wf_store_relaxed(&c->word, (uintptr_t)0); // relaxed: not shared yet
    wf_store_relaxed(&c->leavers, (uintptr_t)0);
}

// wf_cell_set sets the cell to `value` (its lowest bit is free) and fires the wakers of all who wait, oldest first (but
// while one of them leaves, that may be in two parts, by two threads). A cell that is set already gets the new value if
// `again`. It is the setter's last touch of the cell, but not of the nodes.
// Returns: false if it was set already and not `again`.
// Context: any thread.
bool wf_cell_set(struct wf_cell *c, uintptr_t value, bool again);

// wf_cell_value returns the word if the cell is set (its lowest bit is 1 then), else 0.
static inline uintptr_t wf_cell_value(const struct wf_cell *c)
{
    uintptr_t word = wf_load_acquire(&c->word); // [C1]
    return word & WF_CELL_SET ? word : 0;
}

// wf_cell_awaited tells whether anybody waits; a hint if others push and set meanwhile.
static inline bool wf_cell_awaited(const struct wf_cell *c)
{
    uintptr_t word = wf_load_relaxed(&c->word); // relaxed: a hint
    return !(word & WF_CELL_SET) && (word & ~(uintptr_t)WF_CELL_FLAGS) != 0;
}

// wf_cell_wanted tells whether anybody may wait: true for sure if a node was pushed before, neither taken by a setter
// nor out again. (A leaver may have taken all nodes for a moment.)
static inline bool wf_cell_wanted(const struct wf_cell *c)
{
    uintptr_t word = wf_load_relaxed(&c->word); // relaxed: whoever must be seen has pushed before, by another edge
    return word != 0 && !(word & WF_CELL_SET);
}

// wf_cell_prefetch fetches the node of who waits, if anybody, into the cache: a set is to come soon.
static inline void wf_cell_prefetch(const struct wf_cell *c)
{
    uintptr_t word = wf_load_relaxed(&c->word); // relaxed: a hint
    if (!(word & WF_CELL_SET))
        __builtin_prefetch((const void *)(word & ~(uintptr_t)WF_CELL_FLAGS));
}

// wf_cell_clear empties the cell if its word is still `seen`, a value that wf_cell_value returned.
static inline bool wf_cell_clear(struct wf_cell *c, uintptr_t seen)
{
    return wf_cas_acquire(&c->word, &seen, (uintptr_t)0); // acquire: no later read may move before the check
}

// wf_cell_nodes is the stack in a word that is not SET.
static inline struct wf_cell_node *wf_cell_nodes(uintptr_t word)
{
    return (struct wf_cell_node *)(word & ~(uintptr_t)WF_CELL_FLAGS);
}

// wf_cell_push adds `node`, whose waker is set, to those who wait.
// Returns: false if the cell is set: then the node was not used.
static inline bool wf_cell_push(struct wf_cell *c, struct wf_cell_node *node)
{
    uintptr_t word = wf_load_acquire(&c->word); // [C1] the caller may go on to read what the setter wrote

    wf_store_relaxed(&node->state, WF_CELL_WAITING); // relaxed: published by the compare-and-swap
    node->epoch = 0;
    do {
        if (word & WF_CELL_SET)
            return false;
        node->next = wf_cell_nodes(word);
    } while (!wf_cas_acq_rel(&c->word, &word, (uintptr_t)node | (word & WF_CELL_FLAGS))); // [C1] [C2]
    return true;
}

// wf_cell_leave takes `node`, which was pushed, out again.
// Returns: true when it is out: its waker will not fire. False if somebody has set the cell: await wf_cell_chosen, then
// wf_cell_signalled.
// Context: who pushed it. May fire wakers of others.
bool wf_cell_leave(struct wf_cell *c, struct wf_cell_node *node);

// wf_cell_chosen tells whether the wait is over: the cell was set, and `node` was there.
static inline bool wf_cell_chosen(const struct wf_cell_node *node)
{
    return wf_load_acquire(&node->state) != WF_CELL_WAITING; // [C1]
}

// wf_cell_signalled tells whether the node may go: soon after it was chosen.
static inline bool wf_cell_signalled(const struct wf_cell_node *node)
{
    return wf_load_acquire(&node->state) == WF_CELL_SIGNALLED; // [C4]
}

#endif
