// Scopes: their children, what decides them, and why close leaves no child behind.
//
// Children. weft_scope_spawn counts the child in `alive`. When the child begins to run,
// it puts a link, which is on its own stack, into one of the scope's shards, chosen by
// its worker. So a child that has not begun costs only its header, and 100 000 children
// do not contend for one lock. A cancel finds the running children in the shards. A
// child that begins later finds `cut` itself: the child enters the shard under the lock
// and then checks `cut`, whereas the canceller first sets `cut` and then takes the
// lock. A cancel from farther out reaches the child through the scope's task, which
// propagates it.
//
// Close gives up its own count and waits until `alive` is 0. Counting itself out is a
// child's last access to the scope. The child that brings `alive` to 0 wakes the
// opening task through its header, because the scope may be gone by then.
//
// A thread has no header. The close of a scope that a thread has opened
// (weft_rt_scope_open) waits for the cell `ended`. The child that brings `alive` to 0
// sets that cell, which is its last access ([C1], [C4]). If close itself brings `alive`
// to 0, no child sets the cell, and close does not wait.
//
// The result of close is decided once, by the first compare-and-swap of `outcome`: a
// child's result that the policy names, a cancel, or the deadline. The consequences of
// that decision (children that fail because they were cancelled) come too late to
// decide.
//
// The deadline's timer is in the scope. Any thread may move it, under the lock `moving`:
//
//        UNARMED <-----------------> ARMED ------------------> FIRED
//                   move_deadline           move_deadline
//                                           finds it fired
//
// A timer that has fired is never armed again: the deadline has passed, and the mover
// cancels the scope itself, as expire_scope() is about to do. So at most one call of
// expire_scope() can be in progress when the scope is closed: if the timer has fired,
// close waits for the end of that call, which accesses the scope ([K3]). No thread
// moves the deadline any more by then: a child's calls are over by K2, all others' by
// the rule that the scope is open. expire_scope() does not take the lock.
//
// Edges.
//   K2  a child's decrement of `alive` (release) -> close finding 0 (acquire): what the
//       children did
//   K3  expire's store of `expired` (release) -> disarm's look (acquire):
//       expire_scope() does not access the scope any more
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

enum { UNARMED, ARMED, FIRED }; // of wf_scope.timing

// --- Checking ------------------------------------------------------------------------

// check_children checks the links of a list of children, up to a limit.
static void check_children(const struct wf_scope *s, const struct wf_shard *shard, const struct wf_list *list)
{
    enum { WALK_MAX = 32 };
    const struct wf_list *at = list->next;

    wf_assert(wf_list_linked(list));
    for (unsigned n = 0; at != list && n < WALK_MAX; at = at->next, n++) {
        const struct wf_child *child = wf_container_of(at, const struct wf_child, link);
        wf_assert(wf_list_linked(at));
        wf_assert(child->shard == shard && child->level.outer == &s->level);
        wf_assert(!child->level.is_scope);
    }
}

void wf_scope_check(struct wf_scope *s)
{
    int cut = wf_load_relaxed(&s->cut);              // relaxed, all: each is true of itself
    uint64_t outcome = wf_load_relaxed(&s->outcome); // relaxed: as above

    wf_assert(s->level.is_scope);
    wf_assert(s->policy >= WEFT_SCOPE_FAIL_FAST && s->policy <= WEFT_SCOPE_RACE);
    wf_assert(cut == 0 || cut == -ECANCELED || cut == -ETIMEDOUT);
    wf_assert(outcome == 0 || outcome & DECIDED);
    wf_assert(wf_load_relaxed(&s->first_error) <= 0); // relaxed: as above
    wf_assert(wf_load_relaxed(&s->alive) > 0);        // relaxed: the caller is one of those
    for (unsigned i = 0; i < WF_SCOPE_SHARDS; i++) {
        wf_lock_acquire(&s->shards[i].lock);
        check_children(s, &s->shards[i], &s->shards[i].fresh);
        check_children(s, &s->shards[i], &s->shards[i].told);
        wf_lock_release(&s->shards[i].lock);
    }
}

// --- Cancelling ----------------------------------------------------------------------

// decide_result makes `result` the result of close, if nothing was decided before.
static bool decide_result(struct wf_scope *s, int result)
{
    uint64_t open = 0;
    wf_debug_assert(s->level.is_scope);
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
    struct weft_task *opener = s->level.task;

    time_out(s);
    wf_store_release(&s->expired, true); // [K3] from here on the scope may be gone
    if (opener)
        wf_task_wake(&opener->core);
}

uint32_t wf_scope_children(const struct wf_scope *s)
{
    return wf_load_relaxed(&s->alive); // relaxed: for dumps
}

// ThreadSanitizer is disabled here: others may be moving the deadline, a single word.
__attribute__((no_sanitize("thread"))) int64_t wf_scope_when(const struct wf_scope *s)
{
    return s->timing == ARMED ? s->timer.node.deadline : WEFT_NEVER;
}

// await_expiry waits for the end of expire_scope(), as the task `self`, or as a thread
// (NULL); expire_scope() ends after a few instructions.
WF_NOINLINE static void await_expiry(struct wf_scope *s, struct wf_task *self)
{
    unsigned turns = 0;

    while (!wf_load_acquire(&s->expired)) { // [K3]
        if (self)
            wf_wait_park_shielded(self, "scope deadline", (intptr_t)s);
        else
            wf_relax(&turns);
    }
}

// disarm takes the timer back, if it is armed.  Returns: false if it has fired.
static inline bool disarm(struct wf_scope *s)
{
    if (s->timing == ARMED) {
        wf_timer_disarm(&s->timer);
        s->timing = wf_timer_fired(&s->timer) ? FIRED : UNARMED;
    }
    return s->timing != FIRED;
}

// arm_deadline sets the timer. A task on the reserve stack arms no timer: it could not
// wait for a timer that fires, and its calls fail already.
static inline void arm_deadline(struct wf_scope *s, weft_time when)
{
    const struct weft_task *opener = s->level.task;
    struct weft_rt *rt = opener ? opener->rt : s->host;

    if (opener && wf_task_starved(&opener->core))
        return;
    wf_timer_arm(rt->reactor, wf_sched_worker_index(rt->sched), &s->timer, when, (struct wf_waker){ expire_scope, s });
    s->timing = ARMED;
}

// lock_deadline is a separate function, because its loop would cost every caller some
// instructions.
WF_NOINLINE static void lock_deadline(struct wf_scope *s)
{
    wf_lock_acquire(&s->moving);
}

// move_deadline replaces the deadline.  Returns: false if the old deadline has passed.
static inline bool move_deadline(struct wf_scope *s, weft_time when)
{
    if (wf_unlikely(!wf_lock_try(&s->moving)))
        lock_deadline(s);
    bool in_time = disarm(s);
    if (in_time && when != WEFT_NEVER)
        arm_deadline(s, when);
    wf_lock_release(&s->moving);
    return in_time;
}

// time_out_here is time_out for a caller that expects to find itself cancelled if it is
// inside the scope: another thread may have timed the scope out, but not yet have
// marked this task.
WF_NOINLINE static void time_out_here(struct wf_scope *s)
{
    struct wf_task *self = wf_self();

    time_out(s);
    if (self)
        wf_cancel_refresh(wf_weft_task(self));
}

// A time in the past leaves the old timer to close.
void weft_scope_deadline(weft_scope *scope, weft_time when)
{
    struct wf_scope *s = wf_scope_inside(scope);

    if (wf_unlikely(!s->level.task && !s->host))
        wf_misuse("weft_scope_deadline: the scope is not open");
    if (wf_unlikely(when <= wf_now()) || wf_unlikely(!move_deadline(s, when)))
        time_out_here(s);
}

// --- Children ------------------------------------------------------------------------

void wf_scope_child_add(struct wf_scope *s)
{
    wf_debug_assert(s->level.is_scope);  // it is open
    wf_fetch_add_relaxed(&s->alive, 1u); // relaxed: the caller's own count keeps it above 0
}

void wf_scope_enter(struct wf_scope *s, struct wf_child *child, struct weft_task *task)
{
    struct weft_rt *rt = task->rt;

    wf_debug_assert(&task->core == wf_self() && s->level.is_scope && !task->life.inner);
    wf_debug_check(wf_scope_check(s));
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

// child_done gives up a child's count; after that the scope may be gone.
static void child_done(struct wf_scope *s)
{
    struct weft_task *opener = s->level.task;

    if (wf_fetch_sub_acq_rel(&s->alive, 1u) != 1) // [K2]
        return;
    if (wf_likely(opener != NULL))
        wf_task_wake(&opener->core);
    else
        wf_cell_set(&s->ended, 0, false); // [C1] the thread that closes it waits for this
}

void wf_scope_leave(struct wf_scope *s, struct wf_child *child, int result)
{
    wf_debug_assert(child->level.outer == &s->level && child->level.task->life.inner == &child->level);
    wf_debug_check(wf_scope_check(s));
    wf_lock_acquire(&child->shard->lock);
    wf_list_remove(&child->link);
    wf_lock_release(&child->shard->lock);
    apply_policy(s, result);
    child_done(s);
}

// --- Opening and closing -------------------------------------------------------------

// begin_scope makes the scope empty; the opener then fills in its level.
static inline void begin_scope(struct wf_scope *s, int policy, const char *call)
{
    if (policy < WEFT_SCOPE_FAIL_FAST || policy > WEFT_SCOPE_RACE)
        wf_misuse("%s: there is no policy %d", call, policy);
    s->policy = policy;
    s->propagated = false;
    s->timing = UNARMED;
    wf_lock_init(&s->moving);
    wf_store_relaxed(&s->expired, false); // relaxed: the scope is not shared yet
    wf_store_relaxed(&s->cut, 0);
    wf_store_relaxed(&s->first_error, 0); // relaxed: as above
    wf_store_relaxed(&s->outcome, (uint64_t)0);
    wf_store_relaxed(&s->alive, 1u); // relaxed: as above
    for (unsigned i = 0; i < WF_SCOPE_SHARDS; i++) {
        wf_lock_init(&s->shards[i].lock);
        wf_list_init(&s->shards[i].fresh);
        wf_list_init(&s->shards[i].told);
    }
}

void weft_scope_open(weft_scope *scope, int policy)
{
    struct weft_task *self = wf_weft_task(wf_require_task("weft_scope_open"));
    struct wf_scope *s = wf_scope_inside(scope);

    if (self->life.inner == &s->level)
        wf_misuse("weft_scope_open: the scope is open already, or one that lay in its place was never closed");
    begin_scope(s, policy, "weft_scope_open");
    s->level = (struct wf_cancel_node){ .outer = self->life.inner, .task = self, .is_scope = true };
    s->shields_before = self->core.shields;
    s->shielded_until = self->core.shields > 0 ? self->life.shielded_until : INT64_MIN;
    s->host = NULL;
    self->life.inner = &s->level;
    self->core.shields = 0;
}

void wf_scope_open_host(struct wf_scope *s, struct weft_rt *rt, int policy, int (*close)(struct wf_scope *))
{
    begin_scope(s, policy, "weft_rt_scope_open");
    s->level = (struct wf_cancel_node){ .outer = NULL, .task = NULL, .is_scope = true };
    s->shields_before = 0;
    s->shielded_until = INT64_MIN;
    s->host = rt;
    s->close = close;
    wf_cell_init(&s->ended);
}

// leave_scope restores the task's innermost level from before the scope was opened.
static void leave_scope(struct wf_scope *s, struct weft_task *self)
{
    wf_debug_assert(self->life.inner == &s->level);
    for (unsigned i = 0; i < WF_SCOPE_SHARDS; i++)
        wf_debug_assert(wf_list_empty(&s->shards[i].fresh) && wf_list_empty(&s->shards[i].told));
    self->life.inner = s->level.outer;
    self->life.shielded_until = s->shielded_until;
    self->core.shields = s->shields_before;
    s->level.task = NULL; // if the scope is closed again
    if (wf_unlikely(wf_task_cancel_pending(&self->core)))
        wf_cancel_refresh(self);
}

// close_result is the result of close. Called while the task is still inside the scope.
// A thread has no task, and no level around it that could cancel it.
static int close_result(struct wf_scope *s, struct weft_task *self)
{
    uint64_t outcome = wf_load_acquire(&s->outcome); // [K4]
    int err = wf_load_acquire(&s->first_error);      // [K4]

    if (outcome)
        return (int)(uint32_t)outcome;
    if (err || !self)
        return err;
    return wf_task_cancel_pending(&self->core) ? wf_cancel_outside(&s->level, self) : 0;
}

bool wf_scope_leave_host(struct wf_scope *s)
{
    return wf_fetch_sub_acq_rel(&s->alive, 1u) != 1; // [K2]
}

int wf_scope_close_host(struct wf_scope *s)
{
    if (!disarm(s))
        await_expiry(s, NULL);
    s->host = NULL; // if the scope is closed again
    return close_result(s, NULL);
}

// close_elsewhere is weft_scope_close by a caller that is not the task that has opened
// the scope.
WF_NOINLINE static int close_elsewhere(struct wf_scope *s)
{
    if (wf_self())
        wf_misuse(wf_scope_host(s) ? "weft_scope_close: a task must not close a thread's scope, which blocks its thread"
                                   : "weft_scope_close: the scope belongs to another task, or is not open");
    if (!wf_scope_host(s))
        wf_refuse_no_task("weft_scope_close");
    return s->close(s);
}

int weft_scope_close(weft_scope *scope)
{
    struct wf_scope *s = wf_scope_inside(scope);
    struct weft_task *self = wf_weft_task(wf_self());

    if (wf_unlikely(!self || s->level.task != self))
        return close_elsewhere(s);
    if (self->life.inner != &s->level)
        wf_misuse("weft_scope_close: a scope that was opened inside it is still open");
    if (self->core.shields > 0)
        wf_misuse("weft_scope_close: a shield that was begun inside it is still up");
    wf_debug_check(wf_scope_check(s));
    wf_fetch_sub_acq_rel(&s->alive, 1u);   // [K2]
    while (wf_load_acquire(&s->alive) > 0) // [K2]
        wf_wait_park_shielded(&self->core, "scope", (intptr_t)s);
    if (wf_unlikely(!disarm(s)))
        await_expiry(s, &self->core);
    int result = close_result(s, self);
    leave_scope(s, self);
    return result;
}
