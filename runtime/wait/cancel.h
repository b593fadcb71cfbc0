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
// (wf_task_set_cancel_pending): is it cancelled at this moment? It propagates a cancel
// to the children of the scopes that the task has open.
// Returns: 0: no, or a shield is up; -ECANCELED; -ETIMEDOUT; -ENOMEM: the task runs on
// the reserve stack, so it cannot park.
// Context: the running task. Once not 0, it stays so until the task closes a scope or
// begins a shield.
__attribute__((cold)) int wf_cancel_resolve(struct wf_task *self);

// wf_check_cancel_slow is the slow part of wf_check_cancel, for a task that bears the
// mark. In a test run it may let others run first: so each call that may park is a
// place to do that, and elsewhere it costs nothing.
__attribute__((cold)) int wf_check_cancel_slow(struct wf_task *self);

// wf_cancel_park is wf_park for a marked task: it also returns when a shield's grace
// ends, and at once if the task is cancelled, unless the wait is `shielded`.
__attribute__((cold)) void wf_cancel_park(struct wf_task *self, bool shielded, const char *what, intptr_t on);

// wf_cancel_refresh is called when the task has closed a scope, or has cut one short:
// it sets or clears the mark.
void wf_cancel_refresh(struct weft_task *self);

// wf_cancel_scope makes calls inside the scope fail with `err`, and tells its task and
// its running children. What was cut short before stays so.  Context: any thread, while
// the scope is open.
void wf_cancel_scope(struct wf_scope *s, int err);

// wf_cancel_outside tells whether a level from `from` on, outwards, cancels `task`.
// Returns: as wf_cancel_resolve.
int wf_cancel_outside(const struct wf_cancel_node *from, const struct weft_task *task);

#endif
