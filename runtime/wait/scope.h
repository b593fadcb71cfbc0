// The scope, as runtime/ sees it. The head of scope.c explains scopes, the head of
// cancel.c the propagation of cancels.
#ifndef WF_RUNTIME_SCOPE_H
#define WF_RUNTIME_SCOPE_H

#include <weft/scope.h>

#include "base/list.h"
#include "base/lock.h"
#include "reactor/reactor.h"
#include "runtime/wait/cancel.h"
#include "sched/sched.h"

enum { WF_SCOPE_SHARDS = 4 };

// A part of the running children: those that began on every fourth worker. A cancel
// moves each child that it marks to `told`.
//
// With one part for all children, an empty scope costs 375 instructions to open and
// close, not 394, and each of many children 807, not 831. But 100 000 children take 6 %
// more CPU time with two workers (medians of nine interleaved runs), and 27 % with
// eight workers on two CPUs (of five runs).
struct wf_shard {
    struct wf_lock lock;
    struct wf_list fresh, told; // L: of struct wf_child
    char apart[WF_CACHE_LINE - 2 * sizeof(struct wf_list) - sizeof(struct wf_lock)];
};

// I: fixed by weft_scope_open; T: the task that opened it; A: atomic; D: under `moving`
// until it is closed
struct wf_scope {
    struct wf_cancel_node level;     // I: first: its `outer` is the task's level before; a thread's scope: no task
    int policy;                      // I
    uint8_t shields_before;          // I: the task's, when it opened the scope,
    int64_t shielded_until;          // I: and until when they defer cancels from around the scope
    bool propagated;                 // T: a scope around it is cancelled, and the children were marked
    uint8_t timing;                  // D: of scope.c: whether the timer is armed, or has fired
    struct wf_lock moving;           // guards moves of the deadline
    _Atomic bool expired;            // A: [K3] the timer has fired, and expire_scope() is done with the scope
    _Atomic int cut;                 // A: [K1] 0, or the error with which calls inside fail
    _Atomic int first_error;         // A: of a child, for a race
    _Atomic uint64_t outcome;        // A: 0, or DECIDED | what close returns
    _Atomic uint32_t alive;          // A: [K2] children that have not ended, and 1 until it is closed
    struct wf_timer timer;           // D, and the reactor's while it is armed
    struct weft_rt *host;            // I: of a thread's scope: the runtime of its children; NULL: a task has opened it
    int (*close)(struct wf_scope *); // I: of a thread's scope: weft_scope_close of it
    struct wf_cell ended;            // A: of a thread's scope: the last child has ended
    struct wf_shard shards[WF_SCOPE_SHARDS];
};

_Static_assert(sizeof(struct wf_scope) <= sizeof(struct weft_scope), "the scope must fit in its public storage");

static inline struct wf_scope *wf_scope_inside(struct weft_scope *s)
{
    return (struct wf_scope *)(void *)s;
}

static inline struct wf_scope *wf_scope_of(struct wf_cancel_node *level)
{
    return wf_container_of(level, struct wf_scope, level);
}

// A running child, on its own stack.
struct wf_child {
    struct wf_cancel_node level; // first: the next level up is the scope
    struct wf_list link;         // L: of the shard
    struct wf_shard *shard;
};

// wf_scope_check asserts that a scope is open, that its outcome is possible, and that
// its shards are linked, each under its lock.
// Context: the task that opened it, before it closes it, or a child in it.
void wf_scope_check(struct wf_scope *s);

// wf_scope_enter adds the running task, which was spawned into `s`, to its children.
// wf_scope_leave removes it; after that the scope may be gone.
void wf_scope_enter(struct wf_scope *s, struct wf_child *child, struct weft_task *task);
void wf_scope_leave(struct wf_scope *s, struct wf_child *child, int result);

// wf_scope_host is the runtime of a scope that a thread has opened; NULL: a task has
// opened it, or it is not open.
static inline struct weft_rt *wf_scope_host(const struct wf_scope *s)
{
    return s->level.task ? NULL : s->host;
}

// The parts of runtime/task/host.c's calls. wf_scope_open_host opens a scope for a
// thread, which weft_scope_close closes by `close`. wf_scope_leave_host gives up the
// thread's count; true: children are left, so wait for `ended`. wf_scope_close_host
// does the rest of the close.
void wf_scope_open_host(struct wf_scope *s, struct weft_rt *rt, int policy, int (*close)(struct wf_scope *));
bool wf_scope_leave_host(struct wf_scope *s);
int wf_scope_close_host(struct wf_scope *s);

// For dumps: wf_scope_children is the number of children of a scope that is being
// closed; wf_scope_when is the deadline of an open scope, WEFT_NEVER without one.
// Context: any thread, while the task that opened it is held (wf_task_hold).
uint32_t wf_scope_children(const struct wf_scope *s);
int64_t wf_scope_when(const struct wf_scope *s);

// wf_scope_child_add counts a child that is about to be submitted.
void wf_scope_child_add(struct wf_scope *s);

#endif
