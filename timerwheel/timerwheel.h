// A hierarchical timing wheel (Varghese and Lauck 1987) as a pure data structure: time
// is an argument; it has no clock, lock, thread or allocation. The caller provides the
// nodes.
//
// Time counts in ticks of 16.4 us. A deadline is rounded up to a tick, so no timer is
// early, and none is a whole tick late. Read a tick as a number in base 64: a timer
// goes to the level of the highest digit in which its deadline differs from now, and to
// the slot of that digit. So every slot of a level comes up before any slot of the next
// level, and each level's slots come up from left to right. When an upper slot comes
// up, its timers move to lower levels (a cascade), each at most once a level. Most
// timers are cancelled before that, and never move.
//
//      level   a slot lasts   the level reaches
//        0        16.4 us          1.05 ms
//        1        1.05 ms          67.1 ms
//        2        67.1 ms           4.29 s
//        3         4.29 s          4.58 min
//        4       4.58 min          4.89 h
//        5         4.89 h          13.0 days
//        6       13.0 days         2.28 years
//        7      2.28 years         146 years, half of the range of weft_time
//        (a later timer waits in the farthest slot of level 7, and is put back; only
//        in that level do the slots go round)
//
// Level 0 is finer than a millisecond, so that deadlines are met within about 16 us,
// like the kernel's own timers. A level has 64 slots, so that its occupancy is one word
// and the next expiry is found by counting zeros.
#ifndef WF_TIMERWHEEL_H
#define WF_TIMERWHEEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

enum { WF_WHEEL_LEVELS = 8, WF_WHEEL_SLOTS = 64, WF_WHEEL_SLOT_BITS = 6, WF_WHEEL_TICK_BITS = 14, WF_WHEEL_AHEAD = 12 };

struct wf_wheel_node {
    struct wf_list link;         // in a slot, or in the list that wf_wheel_advance made
    struct wf_wheel_node *ahead; // to prefetch: the node inserted WF_WHEEL_AHEAD later, or a later one
    int64_t deadline;            // ns
    uint8_t level, slot; // where it is, while it is in the wheel
    bool armed;          // it is in the wheel
};

// A slot's timers are anywhere in memory, so a walk of the list takes one cache miss
// after the other. Therefore each node points to a node inserted WF_WHEEL_AHEAD later,
// and the walk prefetches it. (A million tasks that each sleep a second, on two
// workers: all have returned after 1.86 s without this, 1.32 with it.)
struct wf_wheel_slot {
    struct wf_list timers;
    struct wf_wheel_node *untold; // the first node without its `ahead`, NULL if there is none
    unsigned behind;              // how far `untold` is from the last node; less after removals
};

struct wf_wheel {
    int64_t now;                        // ticks: up to where wf_wheel_advance has come
    uint64_t count;                     // timers in the wheel
    uint64_t occupied[WF_WHEEL_LEVELS]; // bit s: slot s of the level is not empty
    struct wf_wheel_slot slots[WF_WHEEL_LEVELS][WF_WHEEL_SLOTS];
};

// wf_wheel_init makes an empty wheel at time `now` (ns, 0 or more).
void wf_wheel_init(struct wf_wheel *w, int64_t now);

// wf_wheel_insert arms `node` for `deadline` (ns); its fields need not be initialised.
// A deadline in the past expires at the next advance. O(1).
void wf_wheel_insert(struct wf_wheel *w, struct wf_wheel_node *node, int64_t deadline);

// wf_wheel_remove disarms a node that is armed. O(1).
void wf_wheel_remove(struct wf_wheel *w, struct wf_wheel_node *node);

// wf_wheel_advance moves the wheel to `now` (ns; never back) and appends the expired
// timers to `expired`, in order of deadline to within a tick; their `armed` is false.
// It touches at most `most` timers (1 or more): those it takes out, and those it
// cascades. So a caller that holds a lock holds it for a bounded time. Between calls
// the wheel may be used in any way. Returns: true if it is done; false if there is more
// to do (`expired` may be empty): call again with the same now.
bool wf_wheel_advance(struct wf_wheel *w, int64_t now, unsigned most, struct wf_list *expired);

// wf_wheel_next is a moment (ns) before which no timer expires, and at which
// wf_wheel_advance has something to do; INT64_MAX if the wheel is empty. It is the
// exact tick of the next expiry if that timer is in level 0, or alone in its slot; so
// one sleeper costs one wake-up. O(levels).
int64_t wf_wheel_next(const struct wf_wheel *w);

// wf_wheel_first is the earliest deadline of all timers, to the nanosecond; INT64_MAX
// if the wheel is empty. wf_wheel_early takes out, like wf_wheel_advance, up to `most`
// timers whose deadline has passed at `now` although their tick has not. Both are for a
// clock that a test moves by hand from one deadline to the next, and only valid right
// after wf_wheel_advance to the same moment has returned true. O(timers of one slot).
int64_t wf_wheel_first(const struct wf_wheel *w);
void wf_wheel_early(struct wf_wheel *w, int64_t now, unsigned most, struct wf_list *expired);

// wf_wheel_check asserts the invariants: every node is in the slot of its deadline;
// `occupied`, `count` and the links agree; no slot is in the past.
void wf_wheel_check(const struct wf_wheel *w);

#endif
