// Tasks as the program sees them: a header of the scheduler's, with a body, a future
// for its end, and a handle.
//
// When is the header freed? It belongs to the program as long as there is a handle, and
// to its task as long as it runs.
//   - born detached (there never was a handle): wf_task_ended frees it;
//   - joined: the joiner frees it, once the future is set: to set it is the ended
//     task's last access to its header;
//   - detached later: weft_detach adds a waiter to the future, the reaper, whose waker
//     frees the header; if the future is set already, weft_detach frees it itself. The
//     future decides this, once.
#include <errno.h>
#include <weft/task.h>

#include "base/assert.h"
#include "runtime/state.h"
#include "runtime/task/foreign.h"
#include "runtime/wait/scope.h"
#include "runtime/wait/set.h"

enum { HANDLE_GIVEN_BACK, HANDLE_HELD, HANDLE_NEVER_WAS };

// untidy handles what a returned body has left: it stops a task with an open scope or
// shield, and destroys the values. Their destructors run inside the scopes around the
// task.
static void untidy(struct weft_task *task, const struct wf_cancel_node *outside)
{
    if (task->life.inner != outside)
        wf_misuse("a task's body returned with a scope open: weft_scope_close waits for its children");
    if (task->core.shields > 0)
        wf_misuse("a task's body returned with a shield up: weft_shield_end is missing");
    wf_locals_destroy(task);
}

// run_fn runs the body, which must leave the task as it found it.
__attribute__((always_inline)) static inline int run_fn(struct weft_task *task, const struct wf_cancel_node *outside,
                                                        weft_fn *fn, void *arg)
{
    int result = fn(arg);

    if (wf_unlikely(wf_forked_task != NULL))
        wf_misuse("a task's body returned in a child of fork, which may only exec or _exit");
    if (wf_unlikely(task->life.inner != outside || task->core.shields > 0 || task->life.locals != NULL))
        untidy(task, outside);
    return result;
}

WF_NOINLINE static int run_child(struct weft_task *task, struct wf_scope *home, weft_fn *fn, void *arg)
{
    struct wf_child child;

    wf_scope_enter(home, &child, task);
    int result = run_fn(task, &child.level, fn, arg);
    wf_debug_assert(task->life.inner == &child.level && task->core.shields == 0);
    wf_scope_leave(home, &child, result);
    return result;
}

int wf_task_body(struct wf_task *core)
{
    struct weft_task *task = wf_weft_task(core);
    struct wf_scope *home = task->birth.home;
    weft_fn *fn = task->birth.fn;
    void *arg = task->birth.arg;

    wf_debug_assert(core == wf_self() && fn && !wf_cell_value(wf_future_cell(&task->done)));
    task->life = (struct wf_life){ 0 };
    int result = wf_unlikely(home != NULL) ? run_child(task, home, fn, arg) : run_fn(task, NULL, fn, arg);
    task->done.weft_value = result;
    return result;
}

void wf_task_ended(struct wf_task *core)
{
    struct weft_task *task = wf_weft_task(core);

    wf_debug_assert(core->shields == 0 && !wf_cell_value(wf_future_cell(&task->done)));
    if (wf_load_relaxed(&task->core.handle) == HANDLE_NEVER_WAS) // relaxed: that was so from the start
        wf_sched_task_free(core);
    else
        wf_cell_set(wf_future_cell(&task->done), 0, false); // [C1] the header may be freed after this
}

// apply returns: 0; -ENOMEM.
WF_NOINLINE static int apply(struct wf_task *core, const weft_spawn_opts *o)
{
    core->name = o->name;
    if (o->name)
        (void)*(const volatile char *)o->name; // its page is there when a tracer wants it, which cannot wait for it
    core->pinned = o->pinned;
    if (!o->stack_size)
        return 0;
    core->stack_class = (uint8_t)wf_stack_class(o->stack_size);
    return wf_sched_equip(core);
}

static bool valid(const weft_spawn_opts *o)
{
    return o->size == sizeof(*o) && wf_stack_class(o->stack_size) >= 0;
}

int wf_task_spawn(struct weft_rt *rt, struct weft_task **out, const weft_spawn_opts *opts, struct wf_scope *home,
                  weft_fn *fn, void *arg)
{
    int err;

    wf_debug_assert(fn != NULL);
    if (opts && !valid(opts))
        return -EINVAL;
    struct wf_task *core = wf_sched_task_new(rt->sched, &err);
    if (wf_unlikely(!core))
        return err;
    struct weft_task *task = wf_weft_task(core);
    if (opts && (err = apply(core, opts)) < 0) {
        wf_sched_task_drop(core);
        return err;
    }
    weft_future_init(&task->done);
    task->rt = rt;
    task->birth.fn = fn;
    task->birth.arg = arg;
    task->birth.home = home;
    wf_debug_assert(task->core.shields == 0); // the header's last task has ended all of its shields
    if (wf_unlikely(home != NULL))
        wf_scope_child_add(home);
    wf_store_relaxed(&task->core.handle, out ? HANDLE_HELD : HANDLE_NEVER_WAS); // relaxed: no other thread has it yet
    if (out)
        *out = task; // before the task can run, because it may read its handle there
    wf_sched_submit(core);
    return 0;
}

static struct wf_task *spawner(const char *call)
{
    struct wf_task *self = wf_self();
    if (wf_unlikely(!self))
        wf_misuse("%s may only be called by a task; weft_rt_spawn by any thread", call);
    return self;
}

int weft_spawn(weft_task **out, weft_fn *fn, void *arg)
{
    struct wf_task *self = spawner("weft_spawn");
    if (wf_unlikely(wf_task_starved(self))) // it could not wait for the child
        return -ENOMEM;
    return wf_task_spawn(wf_weft_task(self)->rt, out, NULL, NULL, fn, arg);
}

int weft_spawn_with(weft_task **out, const weft_spawn_opts *o, weft_fn *fn, void *arg)
{
    struct wf_scope *home = o && o->scope ? wf_scope_inside(o->scope) : NULL;
    struct wf_task *self = spawner("weft_spawn_with");
    if (wf_unlikely(wf_task_starved(self)))
        return -ENOMEM;
    return wf_task_spawn(wf_weft_task(self)->rt, out, o, home, fn, arg);
}

WF_NOINLINE static int spawn_from_thread(struct wf_scope *s, weft_fn *fn, void *arg)
{
    struct weft_rt *rt = wf_scope_host(s);

    if (!rt)
        wf_misuse("weft_scope_spawn: outside a task only a scope that weft_rt_scope_open has opened takes children");
    wf_rt_not_inherited(rt, "weft_scope_spawn");
    return wf_task_spawn(rt, NULL, NULL, s, fn, arg);
}

int weft_scope_spawn(weft_scope *scope, weft_fn *fn, void *arg)
{
    struct wf_scope *s = wf_scope_inside(scope);
    struct wf_task *self = wf_self();

    if (wf_unlikely(!self))
        return spawn_from_thread(s, fn, arg);
    if (wf_unlikely(wf_task_starved(self)))
        return -ENOMEM;
    return wf_task_spawn(wf_weft_task(self)->rt, NULL, NULL, s, fn, arg);
}

// take_handle stops a caller that gives back a handle twice, even while the first call
// still waits, or a handle that it never had. It cannot detect this once the header is
// used again. relaxed: two callers that race for a handle are both wrong.
static void take_handle(weft_task *t, const char *call)
{
    if (wf_unlikely(wf_load_relaxed(&t->core.handle) != HANDLE_HELD))
        wf_misuse("%s: there is no handle: the task was joined or detached before, or born detached", call);
    wf_store_relaxed(&t->core.handle, HANDLE_GIVEN_BACK); // relaxed: as above
}

// give_result ends a join: the task has ended.
static int give_result(weft_task *t, int *result)
{
    if (result)
        *result = (int)t->done.weft_value;
    wf_debug_assert(wf_cell_value(wf_future_cell(&t->done)) && !wf_task_is_live(&t->core));
    wf_sched_task_free(&t->core);
    return 0;
}

WF_NOINLINE static int join_on_thread(weft_task *t, int *result)
{
    wf_rt_not_inherited(t->rt, "weft_join");
    take_handle(t, "weft_join");
    (void)wf_wait_thread(wf_future_cell(&t->done), WEFT_NEVER); // it fails only at a deadline
    return give_result(t, result);
}

int weft_join(weft_task *t, int *result)
{
    struct wf_task *self = wf_self();

    if (wf_unlikely(!self))
        return join_on_thread(t, result);
    if (&t->core == self)
        wf_misuse("weft_join: a task cannot join itself");
    take_handle(t, "weft_join");
    int err = wf_check_cancel(self);
    if (wf_likely(!err) && !wf_cell_value(wf_future_cell(&t->done)))
        err = wf_wait_as(self, wf_future_cell(&t->done), "join task", (intptr_t)t->core.id);
    if (err) {
        wf_store_relaxed(&t->core.handle, HANDLE_HELD); // relaxed: the caller's again
        return err;
    }
    return give_result(t, result);
}

static void free_header(void *arg)
{
    wf_sched_task_free(arg);
}

void weft_detach(weft_task *t)
{
    take_handle(t, "weft_detach");
    t->reaper.waker = (struct wf_waker){ free_header, &t->core };
    if (!wf_cell_push(wf_future_cell(&t->done), &t->reaper))
        wf_sched_task_free(&t->core);
}

void weft_task_cancel(weft_task *t)
{
    wf_task_cancel(&t->core);
}

bool weft_task_done(const weft_task *t)
{
    return weft_future_done(&t->done);
}

int weft_yield(void)
{
    struct wf_task *self = wf_require_task("weft_yield");
    int err = wf_check_cancel_no_preempt(self);
    return wf_unlikely(err) ? err : wf_yield(self);
}

weft_task *weft_self(void)
{
    return (weft_task *)wf_self();
}

uint64_t weft_task_id(const weft_task *t)
{
    return t->core.id;
}

const char *weft_task_name(const weft_task *t)
{
    return t->core.name ? t->core.name : "";
}

WF_NOINLINE int weft_errno(void)
{
    __asm__ volatile("" : : : "memory"); // the compiler must not reuse the result of an earlier call
    return errno;
}

bool weft_cancelled(void)
{
    struct wf_task *self = wf_self();
    return self && wf_check_cancel_no_preempt(self);
}
