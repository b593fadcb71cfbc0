// Scopes: children, a deadline and cancellation in one object on the stack.
//
//     weft_scope s;
//     weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
//     weft_scope_deadline(&s, weft_after(WEFT_S(5)));
//     int err = weft_scope_spawn(&s, fetch, &a);  // runs concurrently with the caller,
//     if (err == 0)                               // and may use the caller's stack: the
//         err = weft_scope_spawn(&s, fetch, &b);  // scope closes only after they ended
//     if (err < 0)
//         weft_scope_cancel(&s);                  // there will be no second one
//     int decided = weft_scope_close(&s);         // 0; the first error; -ETIMEDOUT
//
// Inside a scope are its children, everything that the opening task does until it
// closes the scope, and the scopes that any of these open. Scopes nest: the opening
// task closes the one opened last first. A task started by weft_spawn is in no scope,
// wherever it is started.
//
// A scope is cancelled by weft_scope_cancel, by its deadline, or by its policy. From
// then on, until it is closed, every call inside it that may park fails at once: with
// -ETIMEDOUT if the deadline expired, else with -ECANCELED. Calls that are parked fail
// too, unless they complete first. Nothing outside the scope is affected. Cancelling a
// task (weft_task_cancel) also cancels the scopes it has open, at its next call that
// may park.
//
// If several scopes around a call are cancelled, the innermost one determines the
// error. So the error code does not tell whose deadline expired. Before retrying, close
// your own scope and check weft_cancelled(): if true, an enclosing scope is cancelled
// as well, and every attempt would fail at once.
//
// Errors in the opening task itself do not cancel the scope. If the task gives up, it
// calls weft_scope_cancel; otherwise weft_scope_close waits until the children have
// ended by themselves.
#ifndef WEFT_SCOPE_H
#define WEFT_SCOPE_H

#include <weft/base.h>
#include <weft/task.h>

WEFT_BEGIN_DECLS

// The caller provides the storage of a weft_scope, normally on the stack. Its contents
// are the runtime's.
struct weft_scope {
    uint64_t weft_opaque[64];
};

// The policies: what the end of a child means for the others.
enum {
    WEFT_SCOPE_FAIL_FAST = 0, // the first child that returns < 0 cancels the scope; close returns its error
    WEFT_SCOPE_COLLECT,       // children do not affect each other; close returns the first error seen
    WEFT_SCOPE_RACE,          // the first child that returns >= 0 cancels the scope; close returns its result.
                              // The results of the others are not reported, even if they succeed
};

// weft_scope_open opens a scope in the calling task. It must be closed by the same
// task, before it ends.
// Context: task. Never parks; allowed when the task is cancelled.
WEFT_API void weft_scope_open(weft_scope *s, int policy);

// weft_rt_scope_open opens a scope on a thread that is not a worker, for tasks of `rt`:
// the thread starts children by weft_scope_spawn, or weft_rt_spawn_with, and closes the
// scope by weft_scope_close, which blocks it until they have ended. Until then the
// children may use the thread's stack. The thread itself is not inside the scope: its
// own calls do not fail when the scope is cancelled. Such scopes do not nest: a thread
// may have any number of them open, and may close them in any order. weft_rt_stop
// cancels the children; the thread must still close the scope, before weft_rt_free.
// Context: a thread that is not a worker. Never parks.
WEFT_API void weft_rt_scope_open(weft_rt *rt, weft_scope *s, int policy);

// weft_scope_deadline cancels the scope at `when`, with one timer, however many calls
// are made inside. It replaces the previous deadline, whether it is earlier or later;
// WEFT_NEVER removes it. A time in the past cancels the scope at once. So does the
// previous deadline if its time has passed. The deadlines of enclosing scopes stay in
// force: the earliest one applies.
// Context: any task, any thread, while the scope is open. If several callers set it at
//          the same time, one of them wins. Never parks.
WEFT_API void weft_scope_deadline(weft_scope *s, weft_time when);

// weft_scope_spawn starts fn(arg) as a child: a task that the scope waits for. A child
// of a cancelled scope runs too; its first call that may park fails.
//
// weft_spawn_with does the same with options, and returns a handle if asked for one,
// which is to be joined or detached as usual.
//
// Returns: 0; -ENOMEM; -ECANCELED once weft_rt_stop has begun. A child for which no
//          stack can be allocated runs on a reserve stack, where its calls fail
//          (weft_spawn).
// Context: the task that opened the scope, or any task inside it; for a scope that
//          weft_rt_scope_open has opened, also any thread, while it is open. Never
//          parks.
WEFT_API WEFT_MUST_CHECK int weft_scope_spawn(weft_scope *s, weft_fn *fn, void *arg);

// weft_scope_cancel cancels the scope. It does nothing if the scope is cancelled
// already.
// Context: any task, any thread, while the scope is open. Never parks.
WEFT_API void weft_scope_cancel(weft_scope *s);

// weft_scope_close waits until all children have ended, even if the calling task has
// been cancelled.
//
// Returns: what decided the scope first, one of:
//          - the result of the child that its policy names (see above);
//          - -ETIMEDOUT if its deadline passed, -ECANCELED if weft_scope_cancel was
//            called;
//          if nothing did: RACE: the first error of a child; -ECANCELED or -ETIMEDOUT
//          if an enclosing scope or the task is cancelled; -ENOMEM in a task that runs
//          on the reserve stack; else 0.
// Context: the task that opened it. May park, so the caller may continue on another
//          thread. For a scope that weft_rt_scope_open has opened: a thread that is not
//          a worker; blocks it.
// Cancel:  is propagated to the children, for which the call still waits.
WEFT_API int weft_scope_close(weft_scope *s);

// weft_timeout calls fn(arg), in the calling task, inside a scope that is cancelled
// when `duration` has elapsed: from then on each call in fn that may park fails with
// -ETIMEDOUT. WEFT_NEVER: no limit. With 0 or less fn is called all the same, and its
// calls fail.
//
//     int err = weft_timeout(WEFT_S(5), fetch, &request);
//
// Returns: fn's result; -ETIMEDOUT in place of fn's error if the time had elapsed by
//          then. A fn that succeeds late has succeeded.
// Context: task. May park, where fn does. Not a cancellation point itself: in a
//          cancelled task fn is called, too.
// Cancel:  fn decides what it leaves behind.
WEFT_API int weft_timeout(weft_time duration, weft_fn *fn, void *arg);

// weft_shield_begin protects cleanup that must not be interrupted. Cancellation and
// deadlines of everything around the shield are deferred until weft_shield_end, or
// until `grace` has elapsed since this call (WEFT_NEVER: no limit). After that, calls
// fail as if there were no shield.
//
// Scopes opened inside a shield work as usual, and the shield protects their children
// too. Shields nest; among shields begun in the same scope, the longest grace applies
// to all.
// Context: task. Never parks.
WEFT_API void weft_shield_begin(weft_time grace);

// weft_shield_end ends the latest shield of the innermost open scope.
// Context: task. Never parks: if the task was cancelled inside the shield, its next
//          call fails.
WEFT_API void weft_shield_end(void);

WEFT_END_DECLS

#endif
