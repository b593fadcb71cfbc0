#include "base/compiler.h"
#include "runtime/sim/sim.h"

// Tasks of a test never leave their thread. But a task of another runtime may call
// this, too, and may move to another thread. So the address is not kept, and the
// function is not inlined.
static _Thread_local struct wf_test_thread of_this_thread;

WF_NOINLINE struct wf_test_thread *wf_test_thread(void)
{
    struct wf_test_thread *p = &of_this_thread;
    __asm__ volatile("" : "+r"(p) : : "memory");
    return p;
}
