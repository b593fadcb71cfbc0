// Scopes: their children, what decides them, and why close leaves no child behind.
//
// Children. weft_scope_spawn counts the child in `alive`. When it begins to run, it
// puts a link, which lies on its own stack, into one of the scope's shards, by the
// worker it runs on; so a child without a stack costs only its header, and 100 000 of
// them do not contend for one lock. A cancel finds the running children in the shards.
// A child that begins later finds `cut` itself, or its scope's task propagates a cancel
// from farther out: the child enters the shard under the lock and looks at `cut` after
// that, while the canceller sets `cut` first and takes the lock after that.
//
// Close gives up its own count and waits until `alive` is 0. Counting itself out is a
// child's last access to the scope. The child that brings `alive` to 0 wakes the
// opening task through its header, because the scope may be gone by then.
//
// The result of close is decided once, by the first compare-and-swap of `outcome`: a
// child's result that the policy names, a cancel, or the deadline. Its consequences
// (children that fail because they were cancelled) come too late to decide.
//
// The deadline's timer is in the scope, and its waker must not fire after the scope is
// gone: if the timer has fired when the scope is closed, close waits for the end of
// expire_scope() ([K3]).
//
// Edges.
//   K2  a child's decrement of `alive` (release) -> close finding 0 (acquire): what the
//       children did
//   K3  expire's store of `expired` (release) -> disarm's look (acquire): it does not
//       access the scope any more
//   K4  the compare-and-swap of `outcome`, or `first_error` (release) -> close
//       (acquire): what the decider did
#include "runtime/wait/scope.h"

#include <errno.h>

#include "base/assert.h"
#include "base/clock.h"
#include "runtime/state.h"
#include "runtime/wait/cancel.h"
#include "runtime/wait/wait.h"

#define DECIDED (UINT64_C(1) << 32)

// --- Cancelling ----------------------------------------------------------------------

// decide_result makes `result` the result of close, if nothing was decided before.
static bool decide_result(struct wf_scope *s, int result)
{
    uint64_t open = 0;
    return wf_cas_acq_rel(&s->outcome, &open, DECIDED | (uint32_t)result); // [K4]
}

void weft_scope_cancel(weft_scope *scope)
{
    struct wf_scope *s = wf_scope_inside(scope);

    decide_result(s, -ECANCELED);
    wf_cancel_scope(s, -ECANCELED);
}

// --- The deadline --------------------------------------------------------------------

static void time_out(struct wf_scope *s)
{
    decide_result(s, -ETIMEDOUT);
    wf_cancel_scope(s, -ETIMEDOUT);
}

// expire_scope is the timer's waker.
static void expire_scope(void *arg)
{
    struct wf_scope *s = arg;
    struct wf_task *opener = &s->level.task->core;

    time_out(s);
    wf_store_release(&s->expired, true); // [K3] from here on the scope may be gone
    wf_task_wake(opener);
}

static void disarm(struct wf_scope *s, struct wf_task *self)
{
    if (!s->armed)
        return;
    s->armed = false;
    wf_timer_disarm(&s->timer);
    if (!wf_timer_fired(&s->timer))
        return;
    while (!wf_load_acquire(&s->expired)) // [K3]
        wf_wait_park_shielded(self, "scope deadline", (intptr_t)s);
}

// require_owner aborts if the caller is not the task that opened the scope.
static struct weft_task *require_owner(struct wf_scope *s, const char *call)
{
    struct weft_task *self = wf_weft_task(wf_require_task(call));
    if (s->level.task != self)
        wf_misuse("%s: the scope belongs to another task, or is not open", call);
    return self;
}

void weft_scope_deadline(weft_scope *scope, weft_time when)
{
    struct wf_scope *s = wf_scope_inside(scope);
    struct weft_task *self = require_owner(s, "weft_scope_deadline");

    disarm(s, &self->core);
    if (when == WEFT_NEVER)
        return;
    if (when <= wf_now()) {
        time_out(s);
        return;
    }
    if (wf_task_starved(&self->core)) // all that it calls fails already; and it could not wait for a timer that fires
        return;
    wf_store_relaxed(&s->expired, false); // relaxed: the wheel's lock publishes it
    wf_wait_arm(&self->core, &s->timer, when, (struct wf_waker){ expire_scope, s });
    s->armed = true;
}

// --- Children ------------------------------------------------------------------------

void wf_scope_child_add(struct wf_scope *s)
{
    wf_fetch_add_relaxed(&s->alive, 1u); // relaxed: the caller's own count keeps it above 0
}

void wf_scope_enter(struct wf_scope *s, struct wf_child *child, struct weft_task *task)
{
    struct weft_rt *rt = task->rt;

    child->level = (struct wf_cancel_node){ .outer = &s->level, .task = task };
    child->shard = &s->shards[wf_sched_worker_index(rt->sched) % WF_SCOPE_SHARDS];
    task->life.inner = &child->level;
    wf_lock_acquire(&child->shard->lock);
    wf_list_append(&child->shard->fresh, &child->link);
    wf_lock_release(&child->shard->lock);
    if (wf_unlikely(wf_cancel_outside(&child->level, task)))
        wf_task_set_cancel_pending(&task->core);
}

// apply_policy applies the policy to a child that ended with `result`.
static void apply_policy(struct wf_scope *s, int result)
{
    int none = 0;

    if ((result < 0) == (s->policy == WEFT_SCOPE_RACE)) {
        if (result < 0)
            wf_cas_acq_rel(&s->first_error, &none, result); // [K4]
        return;
    }
    if (decide_result(s, result) && s->policy != WEFT_SCOPE_COLLECT)
        wf_cancel_scope(s, -ECANCELED);
}

// child_done counts a child out, after which the scope may be gone.
static void child_done(struct wf_scope *s)
{
    struct wf_task *opener = &s->level.task->core;

    if (wf_fetch_sub_acq_rel(&s->alive, 1u) == 1) // [K2]
        wf_task_wake(opener);
}

void wf_scope_leave(struct wf_scope *s, struct wf_child *child, int result)
{
    wf_lock_acquire(&child->shard->lock);
    wf_list_remove(&child->link);
    wf_lock_release(&child->shard->lock);
    apply_policy(s, result);
    child_done(s);
}

// --- Opening and closing -------------------------------------------------------------

void weft_scope_open(weft_scope *scope, int policy)
{
    struct weft_task *self = wf_weft_task(wf_require_task("weft_scope_open"));
    struct wf_scope *s = wf_scope_inside(scope);

    if (policy < WEFT_SCOPE_FAIL_FAST || policy > WEFT_SCOPE_RACE)
        wf_misuse("weft_scope_open: there is no policy %d", policy);
    if (self->life.inner == &s->level)
        wf_misuse("weft_scope_open: the scope is open already, or one that lay in its place was never closed");
    s->level = (struct wf_cancel_node){ .outer = self->life.inner, .task = self, .is_scope = true };
    s->policy = policy;
    s->shields_before = self->core.shields;
    s->shielded_until = self->core.shields > 0 ? self->life.shielded_until : INT64_MIN;
    s->propagated = s->armed = false;
    wf_store_relaxed(&s->cut, 0); // relaxed: the scope is not shared yet
    wf_store_relaxed(&s->first_error, 0);
    wf_store_relaxed(&s->outcome, (uint64_t)0); // relaxed: as above
    wf_store_relaxed(&s->alive, 1u);
    for (unsigned i = 0; i < WF_SCOPE_SHARDS; i++) {
        wf_lock_init(&s->shards[i].lock);
        wf_list_init(&s->shards[i].fresh);
        wf_list_init(&s->shards[i].told);
    }
    self->life.inner = &s->level;
    self->core.shields = 0;
}

// leave_scope restores the task's innermost level from before the scope was opened.
static void leave_scope(struct wf_scope *s, struct weft_task *self)
{
    self->life.inner = s->level.outer;
    self->life.shielded_until = s->shielded_until;
    self->core.shields = s->shields_before;
    s->level.task = NULL; // for require_owner(), if the scope is closed again
    if (wf_unlikely(wf_task_cancel_pending(&self->core)))
        wf_cancel_refresh(self);
}

// close_result is the result of close. Called while the task is still inside the scope.
static int close_result(struct wf_scope *s, struct weft_task *self)
{
    uint64_t outcome = wf_load_acquire(&s->outcome); // [K4]
    int err = wf_load_acquire(&s->first_error);      // [K4]

    if (outcome)
        return (int)(uint32_t)outcome;
    if (err)
        return err;
    return wf_task_cancel_pending(&self->core) ? wf_cancel_outside(&s->level, self) : 0;
}

int weft_scope_close(weft_scope *scope)
{
    struct wf_scope *s = wf_scope_inside(scope);
    struct weft_task *self = require_owner(s, "weft_scope_close");

    if (self->life.inner != &s->level)
        wf_misuse("weft_scope_close: a scope that was opened inside it is still open");
    if (self->core.shields > 0)
        wf_misuse("weft_scope_close: a shield that was begun inside it is still up");
    wf_fetch_sub_acq_rel(&s->alive, 1u);   // [K2]
    while (wf_load_acquire(&s->alive) > 0) // [K2]
        wf_wait_park_shielded(&self->core, "scope", (intptr_t)s);
    disarm(s, &self->core);
    int result = close_result(s, self);
    leave_scope(s, self);
    return result;
}
