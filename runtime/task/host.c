// The scopes of threads that are not workers: a thread opens the scope, tasks run in
// it, and the thread sleeps on a futex until they have ended. runtime/wait/scope.c has
// the rest.
#include <weft/scope.h>

#include "base/assert.h"
#include "runtime/state.h"
#include "runtime/task/foreign.h"
#include "runtime/wait/scope.h"
#include "runtime/wait/wait.h"

static int close_scope(struct wf_scope *s)
{
    wf_rt_not_inherited(s->host, "weft_scope_close");
    wf_assert(!s->level.task); // a thread has opened it
    if (wf_scope_leave_host(s))
        (void)wf_wait_thread(&s->ended, WEFT_NEVER); // fails only at a deadline
    return wf_scope_close_host(s);
}

void weft_rt_scope_open(weft_rt *rt, weft_scope *scope, int policy)
{
    if (wf_self())
        wf_misuse("weft_rt_scope_open: a task opens its scopes by weft_scope_open");
    wf_rt_not_inherited(rt, "weft_rt_scope_open");
    wf_scope_open_host(wf_scope_inside(scope), rt, policy, close_scope);
}
