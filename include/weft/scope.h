// Scopes: children, a deadline and cancellation in one object on the stack.
//
//     weft_scope s;
//     weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
//     weft_scope_deadline(&s, weft_after(WEFT_S(5)));
//     int err = weft_scope_spawn(&s, fetch, &a);  // runs beside the caller, and may use its stack:
//     if (err == 0)
//         err = weft_scope_spawn(&s, fetch, &b);  // the scope does not close before they have ended
//     if (err < 0)
//         weft_scope_cancel(&s);                  // there will be no second one
//     int decided = weft_scope_close(&s);         // 0; the first error; -ETIMEDOUT
//
// What is inside a scope: its children, and all that the task that opened it does until it closes it; scopes that any
// of these open are inside as well. Scopes nest: the one opened last is closed first, by the task that opened it. A
// task that weft_spawn starts is in no scope, wherever it is started.
//
// A scope is cut short by weft_scope_cancel, by its deadline, or by its policy. From then on, and until it is closed,
// every call inside it that may park fails at once: with -ETIMEDOUT if the deadline did it, else with -ECANCELED. Calls
// that are parked then fail too, unless they complete first. What is outside goes on. A task that is cancelled
// (weft_task_cancel) takes the scopes that it has open with it, as soon as it makes a call that may park.
//
// If several scopes around a call have been cut short, the innermost of them says which of the two errors it is. So the
// error does not tell whose deadline it was. Who wants to try again closes its own scope, and asks weft_cancelled():
// if that is true, what is around has been cut short too, and every further try would fail at once.
//
// What the task that opened the scope does itself is no child: its errors cut nothing short. If it gives up, it calls
// weft_scope_cancel, or close waits until the children have ended by themselves.
#ifndef WEFT_SCOPE_H
#define WEFT_SCOPE_H

#include <weft/base.h>
#include <weft/task.h>

WEFT_BEGIN_DECLS

// weft_scope is storage of the caller's, normally on the stack; its contents are the runtime's own.
struct weft_scope {
    uint64_t weft_opaque[64];
};

// The policies: what the end of a child means for the others.
enum {
    WEFT_SCOPE_FAIL_FAST = 0, // the first child that returns < 0 cuts the scope short; close returns its error
    WEFT_SCOPE_COLLECT,       // children do not disturb each other; close returns the first error seen
    WEFT_SCOPE_RACE,          // the first child that returns >= 0 cuts the scope short; close returns its result. What
                              // the others return after that is not reported, also if they have succeeded
};

// weft_scope_open opens a scope in the calling task. It must be closed by the same task, before it ends.
// Context: task. Never parks; allowed when the task is cancelled.
WEFT_API void weft_scope_open(weft_scope *s, int policy);

// weft_scope_deadline cuts the scope short at `when`: one timer, however many calls are made inside. It replaces the
// deadline set before; WEFT_NEVER takes it back. A moment in the past cuts it short at once. The deadline of a scope
// around it stays in force: the nearest one wins.
// Context: the task that opened the scope, before it closes it. Parks only if the deadline that it replaces passes at
//          that very moment, and briefly; not a cancellation point.
WEFT_API void weft_scope_deadline(weft_scope *s, weft_time when);

// weft_scope_spawn starts fn(arg) as a child: a task that the scope waits for. A child of a scope that has been cut
// short runs too; its first call that may park fails.
//
// weft_spawn_with does the same with options, and gives a handle if asked for one: to be joined or detached as any.
//
// Returns: 0; -ENOMEM; -ECANCELED once weft_rt_stop has begun. A child that gets no stack runs on one in reserve, where
//          its calls fail (weft_spawn).
// Context: task: the one that opened the scope, or any that runs inside it. Never parks.
WEFT_API WEFT_MUST_CHECK int weft_scope_spawn(weft_scope *s, weft_fn *fn, void *arg);

// weft_scope_cancel cuts the scope short. Doing so twice, or when it was cut short before, does nothing.
// Context: any task, any thread, while the scope is open. Never parks.
WEFT_API void weft_scope_cancel(weft_scope *s);

// weft_scope_close waits until all children have ended, always: also when the calling task has been cancelled.
//
// Returns: what decided the scope first:
//          - the result of the child that its policy is about (see above);
//          - -ETIMEDOUT if its deadline passed, -ECANCELED if weft_scope_cancel was called;
//          if nothing did: RACE: the first error of a child; -ECANCELED or -ETIMEDOUT if what is around the scope has
//          been cut short; -ENOMEM in a task that got no stack of its own; else 0.
// Context: the task that opened it. May park, so the caller may continue on another thread.
// Cancel:  is passed on to the children, who are waited for.
WEFT_API int weft_scope_close(weft_scope *s);

// weft_shield_begin protects what the calling task does from here to weft_shield_end: clean-up that must not be cut
// short. A cancel, or a deadline, of what is around the shield waits until it ends, or until `grace` (a duration, which
// begins here, not with the cancel) is over: from then on calls fail as if there were no shield. WEFT_NEVER: however
// long it takes.
//
// Scopes that are opened behind a shield work as ever, and their children are behind it too. Shields nest; the longest
// grace of those begun in the same scope holds for all.
// Context: task. Never parks.
WEFT_API void weft_shield_begin(weft_time grace);

// weft_shield_end ends the shield that was begun last in the scope that was opened last.
// Context: task. Never parks: it is the next call that fails, if the task was cancelled meanwhile.
WEFT_API void weft_shield_end(void);

WEFT_END_DECLS

#endif
