// The cell: a manual-reset event with a value and intrusive waiters, in one word (the
// kernel's struct completion, Tokio's Notify). The word is empty, holds waiters, or is
// set. A future is a cell, and so is each direction of a descriptor.
//
//                      wf_cell_push                     wf_cell_set
//        EMPTY (0) --------------------> WAITERS (p) -----------------> SET (value | 1)
//          ^  ^  \                          |    ^                        ^    |
//          |  |   \------- wf_cell_set -----|----|------------------------/    |
//          |  +--- wf_cell_leave (last) ----+    | wf_cell_push                |
//          +------------------------ wf_cell_clear ---------------------------+
//
// WAITERS points to the newest node of a stack. A taker takes the stack out of the word
// with a compare-and-swap, and then owns it. No other thread accesses a node that is in
// the word or taken. There are two kinds of takers:
//
//   - A setter stores its value with the same compare-and-swap, and wakes the owners of
//     the nodes.
//   - A leaver (cancel, deadline) stores the mark AWAY instead. It unlinks its own node
//     and puts the rest back under the nodes that were pushed in between. If AWAY is
//     gone by then, a setter has taken only those newer nodes; the leaver then wakes
//     the owners of the rest on the setter's behalf.
//
// So set and push never wait: they act on the word alone. Leavers exclude each other
// (`leavers`, a spinlock), so there is one AWAY at a time, and a leaver that finds AWAY
// knows that it is its own.
//
// The hard case is a leaver whose node a setter has taken. The node is not in the
// stack. Since then the cell may have been cleared, and other waiters may have pushed
// nodes and freed them. The leaver must not free its node before the setter has stored
// SIGNALLED. wf_cell_leave distinguishes the two cases in amortised O(1), and reads
// only nodes that it took:
//
//   - Leavers count epochs. A stack that a leaver has put back has the mark KNOWN until
//     a setter takes it; pushes keep the mark. A leaver that takes a stack without
//     KNOWN begins a new epoch.
//   - A leaver walks down its stack, links each node backwards and stamps it with the
//     epoch, until it finds a stamp of this epoch: all nodes below were linked and
//     stamped before. So each node is visited once.
//   - Its own node is then in the stack if and only if it has this epoch's stamp: if a
//     setter has taken the node, its stamp (if any) is older, because the first leaver
//     after the setter found no KNOWN and began a newer epoch.
//
// A taker marks a node CHOSEN, fires its waker, and marks it SIGNALLED, its last
// access. A woken waiter sees CHOSEN; it must not return before SIGNALLED, which
// follows soon. Because SIGNALLED comes after the wake, everything that the wake
// accesses stays valid: the waiting task cannot end before it. So its runtime cannot be
// freed during a foreign thread's wake.
//
// Rejected: a mark in the word under which a leaver relinks a stack that stays in
// place, while setters store their value in a second word. Two setters raced for that
// word, a value could be lost, and set could return before the cell was seen to be set.
//
// Edges. Every write of the word is a read-modify-write, so each release in it reaches
// all later acquires, even across other writes.
//   C1  wf_cell_set's compare-and-swap (release) -> wf_cell_value, _set and _push
//       finding it set, the leaver finding AWAY gone, and from both takers CHOSEN
//       (release) -> wf_cell_chosen (acquire): what the setter wrote before is visible
//       to the waiters, and to a reader that finds the cell set
//   C2  wf_cell_push's compare-and-swap (release) -> the one that takes the stack
//       (acquire): the nodes' contents
//   C3  a leaver's unlock, and the compare-and-swap that puts the rest back (release)
//       -> the next leaver's lock, and the one that takes (acquire): the links and
//       stamps
//   C4  SIGNALLED (release) -> wf_cell_signalled (acquire): the setter does not access
//       the node and its waker any more
#ifndef WF_BASE_CELL_H
#define WF_BASE_CELL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/atomic.h"
#include "base/waker.h"

enum { WF_CELL_WAITING, WF_CELL_CHOSEN, WF_CELL_SIGNALLED };

// An all-zero cell is empty.
struct wf_cell {
    _Atomic uintptr_t word;    // A: the diagram above
    _Atomic uintptr_t leavers; // A: bit 0: locked by a leaver; above: the epoch, written by the holder
};

// A node is on its waiter's stack. While it is in the word no thread may access it. T:
// only the taker of the stack accesses it.
struct wf_cell_node {
    struct wf_cell_node *next; // T
    struct wf_cell_node *prev; // T: right if stamped, and not the newest
    uintptr_t epoch;           // written by leavers under the lock, T
    struct wf_waker waker;     // I: from the push on
    _Atomic uint8_t state;     // A: WF_CELL_WAITING and so on; [C1] [C4]
};

enum { WF_CELL_SET = 1, WF_CELL_AWAY = 2, WF_CELL_KNOWN = 4, WF_CELL_FLAGS = 7 }; // nodes are 8-aligned

// wf_cell_check asserts that the word is in a state of the diagram.
// Context: any thread, at any time; it reads the word, and no node.
void wf_cell_check(const struct wf_cell *c);

static inline void wf_cell_init(struct wf_cell *c)
{
    wf_store_relaxed(&c->word, (uintptr_t)0); // relaxed: not shared yet
    wf_store_relaxed(&c->leavers, (uintptr_t)0);
}

// wf_cell_set sets the cell to `value` (its lowest bit is free) and fires the wakers of
// all waiters, oldest first (by two threads, each a part of them, if a waiter leaves at
// the same time). A cell that is set already gets the new value if `again`. The setter
// does not access the cell afterwards, but still accesses the nodes.
// Returns: false if it was set already and not `again`.
// Context: any thread.
bool wf_cell_set(struct wf_cell *c, uintptr_t value, bool again);

// wf_cell_value returns the word if the cell is set (its lowest bit is 1 then), else 0.
static inline uintptr_t wf_cell_value(const struct wf_cell *c)
{
    uintptr_t word = wf_load_acquire(&c->word); // [C1]
    return word & WF_CELL_SET ? word : 0;
}

// wf_cell_awaited tells whether the cell has waiters; a hint if other threads push or
// set concurrently.
static inline bool wf_cell_awaited(const struct wf_cell *c)
{
    uintptr_t word = wf_load_relaxed(&c->word); // relaxed: a hint
    return !(word & WF_CELL_SET) && (word & ~(uintptr_t)WF_CELL_FLAGS) != 0;
}

// wf_cell_wanted tells whether a task may be waiting. It is certainly true if a node
// was pushed before, and neither a setter nor its own waiter has taken it out. (A
// leaver may have taken all nodes for a moment.)
static inline bool wf_cell_wanted(const struct wf_cell *c)
{
    uintptr_t word = wf_load_relaxed(&c->word); // relaxed: another edge makes earlier pushes visible
    return word != 0 && !(word & WF_CELL_SET);
}

// wf_cell_clear empties the cell if its word is still `seen`, a value that
// wf_cell_value returned.
static inline bool wf_cell_clear(struct wf_cell *c, uintptr_t seen)
{
    wf_debug_assert(seen & WF_CELL_SET);                  // to clear another word would drop waiters
    return wf_cas_acquire(&c->word, &seen, (uintptr_t)0); // acquire: no later read may move before the check
}

// wf_cell_nodes is the stack in a word that is not SET.
static inline struct wf_cell_node *wf_cell_nodes(uintptr_t word)
{
    wf_debug_assert(!(word & WF_CELL_SET));
    return (struct wf_cell_node *)(word & ~(uintptr_t)WF_CELL_FLAGS);
}

// wf_cell_push adds `node`, whose waker is set, to the waiters.
// Returns: false if the cell is set: then the node was not used.
static inline bool wf_cell_push(struct wf_cell *c, struct wf_cell_node *node)
{
    uintptr_t word = wf_load_acquire(&c->word); // [C1] the caller may then read what the setter wrote

    wf_debug_assert(((uintptr_t)node & WF_CELL_FLAGS) == 0);
    wf_debug_check(wf_cell_check(c));
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
// Returns: WF_CELL_OUT: its waker will not fire. WF_CELL_TAKEN, by a setter: await
// wf_cell_chosen, then wf_cell_signalled.
// Context: the thread or task that pushed `node`. May fire other waiters' wakers.
enum wf_cell_left { WF_CELL_TAKEN, WF_CELL_OUT };
enum wf_cell_left wf_cell_leave(struct wf_cell *c, struct wf_cell_node *node);

// wf_cell_chosen tells whether the wait is over: the cell was set while `node` was in
// it.
static inline bool wf_cell_chosen(const struct wf_cell_node *node)
{
    return wf_load_acquire(&node->state) != WF_CELL_WAITING; // [C1]
}

// wf_cell_signalled tells whether the node may be freed. It follows wf_cell_chosen
// soon.
static inline bool wf_cell_signalled(const struct wf_cell_node *node)
{
    return wf_load_acquire(&node->state) == WF_CELL_SIGNALLED; // [C4]
}

#endif
