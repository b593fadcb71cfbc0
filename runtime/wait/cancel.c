// Cancellation: level-triggered, cooperative, by return value (as Trio's cancel
// scopes).
//
// A task finds what may cancel it by walking up, level by level:
//
//        life.inner --> scope it opened last --> scope it opened before --> its place as a child --> the scope it was
//        spawned into --> what is around that in the task that opened it --> ... --> the outermost task itself
//
// The levels are on the stacks of the tasks that opened them, and exist while a task is
// inside. So a task may read the levels around it at any time, without a lock. Only
// these change:
//   - `cut` of a scope: 0, then permanently the error of calls inside;
//   - WF_TASK_CANCELLED of a task: set by weft_task_cancel, permanently;
//   - the clock, which ends a shield's grace.
// A task that runs on the reserve stack (WF_TASK_STARVED) is cancelled from its first
// call to its last, shield or not: it cannot park. It has no children, because it
// cannot wait for them. Once cancelled, any other task stays cancelled until it closes
// the scope that caused it. The first cancelled level on the way up determines the
// error; a shield hides all levels outside it.
//
// The mark in the task word (wf_task_set_cancel_pending) makes a task walk up; without
// the mark a call costs one load. The canceller first sets `cut` or WF_TASK_CANCELLED,
// then marks and wakes the nearest tasks:
//
//        weft_scope_cancel,     +--> the task that opened the scope
//        a deadline, a policy --+--> the scope's running children (tell_children); a later one checks itself
//        weft_task_cancel ---------> the task
//
// A task that finds itself cancelled propagates that to the children of its open scopes
// (propagate). So a cancel of a whole tree costs each task the work for its own children,
// and no thread needs to know, or lock, the tree. A parked task checks when it is
// woken; even a shielded wait checks, and then continues. A computing task checks at
// its next call.
//
// The mark is only a hint. When the task has closed a scope, it clears the mark and
// walks up again: if no level is cancelled, later calls cost one load again
// (wf_cancel_refresh).
//
// Edges.
//   K1  the compare-and-swap of `cut` (release), then the mark ([T3]) -> the look at
//       `cut` (acquire). A mark that wf_cancel_refresh clears was set after `cut`, so
//       its walk after that sees `cut`; a mark that is set later stays.
#include "runtime/wait/cancel.h"

#include <errno.h>
#include <weft/scope.h>

#include "base/assert.h"
#include "base/clock.h"
#include "runtime/state.h"
#include "runtime/wait/scope.h"
#include "runtime/wait/self.h"

enum { TELL_AT_ONCE = 64 /* children a hold of the lock */ };

// --- Looking -------------------------------------------------------------------------

static int is_cancelled(const struct weft_task *task)
{
    return wf_task_is_cancelled(&task->core) ? -ECANCELED : 0;
}

// resolve_from walks up from `level` (NULL: from outside any scope of `task`).
static int resolve_from(const struct wf_cancel_node *level, const struct weft_task *task, int64_t now)
{
    if (wf_unlikely(wf_task_starved(&task->core)))
        return -ENOMEM;
    for (; level; level = level->outer) {
        task = level->task;
        wf_debug_assert(level->outer != level);
        if (!level->is_scope) {
            if (is_cancelled(task))
                return -ECANCELED;
            continue;
        }
        const struct wf_scope *s = wf_container_of(level, const struct wf_scope, level);
        int cut = wf_load_acquire(&s->cut); // [K1]
        if (cut)
            return cut;
        if (now < s->shielded_until)
            return 0;
    }
    return task ? is_cancelled(task) : 0; // NULL: a thread has opened the outermost scope
}

int wf_cancel_outside(const struct wf_cancel_node *from, const struct weft_task *task)
{
    return resolve_from(from, task, wf_now());
}

// mark_some marks children that were not marked yet, and collects them for the caller
// to wake. It sets the mark under the lock, where the child is still in the list. After
// that a child may leave and end, and its header may become another task's; the
// spurious wake of such a task is harmless.
static unsigned mark_some(struct wf_shard *shard, struct wf_task **woken)
{
    unsigned n = 0;

    wf_lock_acquire(&shard->lock);
    while (n < TELL_AT_ONCE && !wf_list_empty(&shard->fresh)) {
        struct wf_child *child = wf_container_of(shard->fresh.next, struct wf_child, link);
        wf_debug_assert(child->shard == shard && wf_task_is_live(&child->level.task->core));
        wf_list_remove(&child->link);
        wf_list_append(&shard->told, &child->link);
        woken[n] = &child->level.task->core;
        wf_task_set_cancel_pending(woken[n++]);
    }
    wf_lock_release(&shard->lock);
    return n;
}

// tell_children marks and wakes the running children of `s` that were not marked
// before.
static void tell_children(struct wf_scope *s)
{
    struct wf_task *woken[TELL_AT_ONCE];

    for (unsigned i = 0; i < WF_SCOPE_SHARDS; i++) {
        unsigned n;
        do {
            n = mark_some(&s->shards[i], woken);
            for (unsigned k = 0; k < n; k++)
                wf_task_wake(woken[k]);
        } while (n == TELL_AT_ONCE);
    }
}

void wf_cancel_scope(struct wf_scope *s, int err)
{
    struct weft_task *opener = s->level.task;
    int whole = 0;

    wf_debug_assert(s->level.is_scope && (err == -ECANCELED || err == -ETIMEDOUT));
    if (!wf_cas_acq_rel(&s->cut, &whole, err)) // [K1]
        return;
    if (opener)
        wf_task_set_cancel_pending(&opener->core);
    tell_children(s);
    if (opener)
        wf_task_wake(&opener->core);
}

// propagate marks the children of each open scope inside a cancelled level.
static void propagate(struct weft_task *task, int64_t now)
{
    for (struct wf_cancel_node *at = task->life.inner; at && at->is_scope; at = at->outer) {
        struct wf_scope *s = wf_scope_of(at);
        if (s->propagated || !resolve_from(at, task, now))
            continue;
        s->propagated = true;
        tell_children(s);
    }
}

static bool is_shielded(const struct weft_task *task, int64_t now)
{
    return task->core.shields > 0 && now < task->life.shielded_until;
}

static int resolve(struct weft_task *task, int64_t now)
{
    propagate(task, now);
    return is_shielded(task, now) && !wf_task_starved(&task->core) ? 0 : resolve_from(task->life.inner, task, now);
}

int wf_cancel_resolve(struct wf_task *self)
{
    return resolve(wf_weft_task(self), wf_now());
}

void wf_cancel_refresh(struct weft_task *self)
{
    wf_debug_assert(!self->life.inner || self->life.inner->task == self);
    wf_task_clear_cancel_pending(&self->core);
    // A shield defers a cancel only until its grace ends, so this ignores shields.
    if (resolve_from(self->life.inner, self, INT64_MAX))
        wf_task_set_cancel_pending(&self->core);
}

// --- Shields -------------------------------------------------------------------------

static void sooner(int64_t *first, int64_t until, int64_t now)
{
    if (until > now && until < *first)
        *first = until;
}

// grace_ends is the next end of a shield's grace, of the task itself or of one of its
// open scopes' children.
static int64_t grace_ends(const struct weft_task *task, int64_t now)
{
    int64_t first = WEFT_NEVER;

    if (task->core.shields > 0)
        sooner(&first, task->life.shielded_until, now);
    for (const struct wf_cancel_node *at = task->life.inner; at && at->is_scope; at = at->outer)
        sooner(&first, wf_container_of(at, const struct wf_scope, level)->shielded_until, now);
    return first;
}

int wf_check_cancel_slow(struct wf_task *self)
{
    if (!wf_task_starved(self))
        wf_sim_interrupt(self);
    return wf_cancel_resolve(self);
}

// A grace may have ended since the caller's check. So this checks once more, and
// computes the timer from the same moment: the check sees a grace that has ended by
// then, the timer reports a later end.
void wf_cancel_park(struct wf_task *self, bool shielded, const char *what, intptr_t on)
{
    struct weft_task *task = wf_weft_task(self);
    int64_t now = wf_now();
    struct wf_timer timer;

    wf_debug_assert(self == wf_self());
    if (resolve(task, now) && !shielded)
        return;
    if (wf_unlikely(wf_task_starved(self)))
        wf_panic("a task on its worker's reserve stack is to park: %s", what);
    int64_t until = grace_ends(task, now);
    if (until != WEFT_NEVER)
        wf_wait_arm(self, &timer, until, (struct wf_waker){ wf_task_wake, self });
    wf_park(self, what, on);
    if (until != WEFT_NEVER)
        wf_timer_disarm(&timer);
}

void weft_shield_begin(weft_time grace)
{
    struct weft_task *task = wf_weft_task(wf_require_task("weft_shield_begin"));
    int64_t until = wf_after(wf_now(), grace);

    if (task->core.shields == UINT8_MAX)
        wf_misuse("weft_shield_begin: %d shields are up already: is there a weft_shield_end for each?", UINT8_MAX);
    if (task->core.shields++ == 0 || until > task->life.shielded_until)
        task->life.shielded_until = until;
}

void weft_shield_end(void)
{
    struct weft_task *task = wf_weft_task(wf_require_task("weft_shield_end"));

    if (task->core.shields == 0)
        wf_misuse("weft_shield_end: no shield was begun in the scope that was opened last");
    task->core.shields--;
}
