// Cancellation: who is cancelled, and by what. The model is explained at the head of cancel.c.
#ifndef WF_RUNTIME_CANCEL_H
#define WF_RUNTIME_CANCEL_H

#include <stdbool.h>
#include <stdint.h>
#include <weft/base.h>

struct wf_task;

// A level is a step on the way from a task up to what it may be cancelled by: a scope that it has open, or its place
// as a child in a scope of another task.
struct wf_level {
    struct wf_level *outer; // I: the next one up; NULL: the task was born outside any scope
    struct weft_task *task; // I: whose level it is
    bool is_scope;          // I: a struct wf_scope (runtime/scope.h), else a child's place in one
};

// wf_cancel_look is the slow part of wf_wait_cut, for a task that bears the mark (wf_task_mark): is it cancelled, as
// things are now? It carries a cancel that it meets down to the children of the scopes that the task has open.
// Returns: 0: no, or a shield is up; -ECANCELED; -ETIMEDOUT; -ENOMEM: it has no stack of its own, so it cannot park.
// Context: the running task. Once not 0, it stays so until the task closes a scope or begins a shield.
__attribute__((cold)) int wf_cancel_look(struct wf_task *self);

// wf_cancel_park is wf_park for a task that bears the mark: it also returns when a shield's grace ends; and at once if
// the task is cancelled, unless the wait is `shielded`.
__attribute__((cold)) void wf_cancel_park(struct wf_task *self, bool shielded, const char *what, intptr_t on);

// wf_cancel_refresh is called when the task has closed a scope, or entered one: it sets the mark, or takes it back.
void wf_cancel_refresh(struct weft_task *self);

// wf_cancel_outside is what the levels from `from` on, outwards, say of `task`.  Returns: as wf_cancel_look.
int wf_cancel_outside(const struct wf_level *from, const struct weft_task *task);

#endif
