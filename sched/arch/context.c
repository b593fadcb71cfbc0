// The sanitizers' side of a context switch; without them context.h has it all inline.
#include "sched/arch/context.h"

#ifdef WF_CONTEXT_HOOKED

#include <pthread.h>
#include <stdbool.h>

#ifdef WF_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef WF_TSAN
#include <sanitizer/tsan_interface.h>
#endif

void *wf_context_switch(struct wf_context *from, struct wf_context *to, void *arg, bool dying)
{
#ifdef WF_ASAN
    __sanitizer_start_switch_fiber(dying ? NULL : &from->fake, to->bottom, to->size);
#endif
#ifdef WF_TSAN
    // Flag 0 makes each switch an edge. Without it every access of the scheduler to its
    // worker would need an annotation. With it, races between tasks are found when they
    // run on two workers, but not when one worker runs both.
    __tsan_switch_to_fiber(to->fiber, 0);
#endif
    (void)dying;
    arg = wf_arch_jump(&from->sp, to->sp, arg);
#ifdef WF_ASAN
    __sanitizer_finish_switch_fiber(from->fake, NULL, NULL);
#endif
    return arg;
}

void wf_context_arrived(void)
{
#ifdef WF_ASAN
    __sanitizer_finish_switch_fiber(NULL, NULL, NULL);
#endif
}

void wf_context_adopt(struct wf_context *c)
{
#ifdef WF_ASAN
    pthread_attr_t attr;
    void *bottom = NULL;
    if (pthread_getattr_np(pthread_self(), &attr) == 0) {
        pthread_attr_getstack(&attr, &bottom, &c->size);
        pthread_attr_destroy(&attr);
    }
    c->bottom = bottom;
#endif
#ifdef WF_TSAN
    c->fiber = __tsan_get_current_fiber();
#endif
    (void)c;
}

#else
typedef int wf_context_is_inline; // a translation unit must not be empty
#endif
