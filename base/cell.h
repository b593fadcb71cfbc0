// The cell: one word that is empty, holds waiters, or is set. Futures are made of it, and each direction of a descriptor.
//
//                      wf_cell_push                     wf_cell_set
//        EMPTY (0) --------------------> WAITERS (p) -----------------> SET (value | 1)
//          ^  ^  \                          |    ^                        ^    |
//          |  |   \------- wf_cell_set -----|----|------------------------/    |
//          |  +--- wf_cell_leave (last) ----+    | wf_cell_push                |
//          +------------------------ wf_cell_clear ---------------------------+
//
//   WAITERS carries a pointer to the newest node of a stack of nodes (8-aligned), and two flags:
//     LOCK   a waiter is leaving and may relink the nodes (wf_cell_leave)
//     HELD   somebody has set the cell meanwhile; the leaver finishes it (wf_cell_set returned at once)
//
// So set and push never wait for anybody. Only leavers wait for each other.
//
// The hard case is a waiter that leaves (cancel, deadline) while a setter already has its node. Whose is a node?
//   - in the stack, LOCK clear: nobody may touch it but to read `next` under the rules below
//   - in the stack, LOCK set: the leaver may write next and prev of every node in it. Nodes pushed meanwhile lie above;
//     their pushers write only their own node, before the push.
//   - stack taken (SET seen by compare-and-swap from WAITERS): the setter's, until it has stored `signalled`
// The setter reads all it needs of a node, then stores `signalled` (release): that is its last touch. A leaver that
// finds the cell SET or HELD may not go away before it reads `signalled` (acquire): wf_cell_leave returns false then.
// That wait is bounded: whoever took the stack is walking it.
//
// Leaving is O(1) amortised: `prev` links are only made by leavers, each node's once (after the queued locks of
// std::sync::RwLock, Rust 1.79).
//
// Edges.
//   C1  wf_cell_set's compare-and-swap (release) -> wf_cell_is_set, _push finding SET, or `signalled` (acquire):
//       what the setter wrote before is visible to who waited, and to who found it set
//   C2  wf_cell_push's compare-and-swap (release) -> the compare-and-swap that takes the stack, or LOCK (acquire):
//       the node's contents are visible to setter and leaver
//   C3  wf_cell_leave's unlock (release) -> the next LOCK or take (acquire): so is the relinking
//   C4  `signalled` (release) -> wf_cell_signalled (acquire): the node may be reused
#ifndef WF_BASE_CELL_H
#define WF_BASE_CELL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/waker.h"

struct wf_cell {
    _Atomic uintptr_t word;
    _Atomic uintptr_t held; // the value that the cell is to be set to, for the leaver, while HELD
};

// A node lives on its waiter's stack.
struct wf_cell_node {
    struct wf_cell_node *next;
    struct wf_cell_node *prev;
    struct wf_waker waker;
    _Atomic bool signalled;
};

enum { WF_CELL_SET = 1, WF_CELL_LOCK = 2, WF_CELL_HELD = 4, WF_CELL_FLAGS = 7 };

static inline void wf_cell_init(struct wf_cell *c)
{
    wf_store_relaxed(&c->word, (uintptr_t)0); // relaxed: not shared yet
}

// wf_cell_set sets the cell to `value` (its lowest bit is free) and fires the wakers of all who wait, oldest first.
// A cell that is set already gets the new value if `again`.
// Returns: false if it was set already and not `again`.
// Context: any thread.
bool wf_cell_set(struct wf_cell *c, uintptr_t value, bool again);

// wf_cell_value returns the word if the cell is set (its lowest bit is 1 then), else 0.
static inline uintptr_t wf_cell_value(const struct wf_cell *c)
{
    uintptr_t word = wf_load_acquire(&c->word); // [C1]
    return word & WF_CELL_SET ? word : 0;
}

// wf_cell_clear empties the cell if its word is still `seen`, a value that wf_cell_value returned.
static inline bool wf_cell_clear(struct wf_cell *c, uintptr_t seen)
{
    return wf_cas_acquire(&c->word, &seen, (uintptr_t)0); // acquire: no later read may move before the check
}

// wf_cell_push adds `node`, whose waker is set, to those who wait.
// Returns: false if the cell is set: then the node was not used.
bool wf_cell_push(struct wf_cell *c, struct wf_cell_node *node);

// wf_cell_leave takes `node` out again.
// Returns: true when it is out: its waker will not fire. False if somebody has set the cell: wait for wf_cell_signalled.
bool wf_cell_leave(struct wf_cell *c, struct wf_cell_node *node);

static inline bool wf_cell_signalled(const struct wf_cell_node *node)
{
    return wf_load_acquire(&node->signalled); // [C1] [C4]
}

#endif
