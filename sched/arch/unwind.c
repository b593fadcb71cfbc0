#include "sched/arch/unwind.h"

#include <stdbool.h>
#include <unwind.h>

enum { OUTSIDE_MAX = 32 }; // frames of the asking thread before the first wanted one

struct walk {
    uintptr_t low, high;
    uintptr_t *pc;
    unsigned n, max, outside;
};

// see_frame is called for each frame. It ends the walk before the unwinder would leave
// the stack, because the memory beyond may not be a stack.
static _Unwind_Reason_Code see_frame(struct _Unwind_Context *context, void *arg)
{
    struct walk *w = arg;
    uintptr_t sp = _Unwind_GetCFA(context);
    bool inside = sp >= w->low && sp <= w->high;
    int exact = 0;

    if (!inside)
        return w->n > 0 || ++w->outside > OUTSIDE_MAX ? _URC_END_OF_STACK : _URC_NO_REASON;
    uintptr_t pc = _Unwind_GetIPInfo(context, &exact);
    if (pc == 0 || w->n == w->max)
        return _URC_END_OF_STACK;
    w->pc[w->n++] = exact ? pc : pc - 1; // the return address may be in the next function
    return _URC_NO_REASON;
}

static void walk(void *arg)
{
    _Unwind_Backtrace(see_frame, arg);
}

unsigned wf_unwind(const void *sp, const char *low, const char *high, uintptr_t *pc, unsigned max)
{
    struct walk w = { .low = (uintptr_t)low, .high = (uintptr_t)high, .pc = pc, .max = max };

    if (sp)
        wf_arch_walk(sp, walk, &w);
    else
        walk(&w);
    return w.n;
}
