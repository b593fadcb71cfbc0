#include "base/compiler.h"
#include "runtime/sim/sim.h"

static _Thread_local struct wf_test_thread of_this_thread;

WF_NOINLINE struct wf_test_thread *wf_test_thread(void)
{
    struct wf_test_thread *p = &of_this_thread;
    __asm__ volatile("" : "+r"(p) : : "memory");
    return p;
}
