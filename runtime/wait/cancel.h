// Cancellation: whether a task is cancelled, and by what. The head of cancel.c explains
// the model.
#ifndef WF_RUNTIME_CANCEL_H
#define WF_RUNTIME_CANCEL_H

#include <stdbool.h>
#include <stdint.h>
#include <weft/base.h>

struct wf_scope;
struct wf_task;

// A level is a step on the way up from a task: a scope that it has open, or its place
// as a child in another task's scope. Each may cancel it.
struct wf_cancel_node {
    struct wf_cancel_node *outer; // I: the next one up; NULL: the task was spawned outside any scope
    struct weft_task *task;       // I: the task of this level; NULL: a thread that is not a worker has opened the scope
    bool is_scope;                // I: a struct wf_scope (runtime/wait/scope.h), else a child's place in one
};

// wf_cancel_resolve is the slow path of wf_check_cancel, for a marked task
// (wf_task_set_cancel_pending): it tells whether the task is cancelled now. It
// propagates a cancel to the children of the task's open scopes.
// Returns: 0: no, or a shield is active; -ECANCELED; -ETIMEDOUT; -ENOMEM: the task runs
// on the reserve stack, so it cannot park.
// Context: the running task. A result other than 0 stays until the task closes a scope
// or begins a shield.
__attribute__((cold)) int wf_cancel_resolve(struct wf_task *self);

// wf_check_cancel_slow is the slow part of wf_check_cancel, for a task with the mark.
// In a test run it may let other tasks run first, so every call that may park may do
// so; other runtimes pay nothing for it.
__attribute__((cold)) int wf_check_cancel_slow(struct wf_task *self);

// wf_cancel_park is wf_park for a marked task: it also returns when a shield's grace
// ends, and at once if the task is cancelled, unless the wait is `shielded`.
__attribute__((cold)) void wf_cancel_park(struct wf_task *self, bool shielded, const char *what, intptr_t on);

// wf_cancel_refresh sets or clears the mark when the task has closed a scope, or has
// cancelled one.
void wf_cancel_refresh(struct weft_task *self);

// wf_cancel_scope makes calls inside the scope fail with `err`, and marks its task and
// its running children. A scope that was cancelled before keeps its first error.
// Context: any thread, while the scope is open.
void wf_cancel_scope(struct wf_scope *s, int err);

// wf_cancel_outside tells whether `from`, or a level outside it, cancels `task`.
// Returns: as wf_cancel_resolve.
int wf_cancel_outside(const struct wf_cancel_node *from, const struct weft_task *task);

#endif
