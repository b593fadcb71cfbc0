#include "sched/thread.h"

#include "sched/sched.h"

static _Thread_local struct wf_thread self;

WF_NOINLINE struct wf_task *wf_self(void)
{
    __asm__ volatile("" : : : "memory"); // nor can its value be known from an earlier call
    return self.current;
}

WF_NOINLINE struct wf_thread *wf_thread_self(void)
{
    struct wf_thread *p = &self;
    __asm__ volatile("" : "+r"(p) : : "memory"); // the compiler cannot know what p is now
    return p;
}
