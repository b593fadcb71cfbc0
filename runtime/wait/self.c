#include "runtime/wait/self.h"

#include "base/assert.h"
#include "base/atomic.h"

static _Atomic unsigned forks; // children born between the first process and this one

void wf_rt_note_fork(void)
{
    wf_fetch_add_relaxed(&forks, 1u); // relaxed: the child has one thread
}

unsigned wf_rt_forks(void)
{
    return wf_load_relaxed(&forks); // relaxed: changes only in a child
}

void wf_rt_not_inherited(const struct weft_rt *rt, const char *call)
{
    if (rt->forks != wf_rt_forks())
        wf_misuse("%s: the runtime's threads are in the parent process: a child of fork may only free it", call);
}

void wf_refuse_no_task(const char *call)
{
    wf_misuse("%s may only be called by a task (nor in a child of fork)", call);
}
