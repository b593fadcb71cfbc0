// A context: where a stack of calls was left, so that it can be gone on with. Made and switched in sched/arch/; here are
// the hooks that tell the sanitizers about it (empty without them).
#ifndef WF_SCHED_CONTEXT_H
#define WF_SCHED_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

struct wf_context {
    void *sp; // the saved stack pointer: the registers lie there
#ifdef WF_ASAN
    void *fake;         // ASan's fake stack, while this context is left
    const void *bottom; // of the stack, for ASan
    size_t size;
#endif
#ifdef WF_TSAN
    void *fiber;
#endif
};

// wf_arch_init notes the floating-point modes that tasks begin with: the calling thread's. Before the first task.
void wf_arch_init(void);

// wf_arch_switch saves the callee-saved registers and the floating-point control words on the stack, stores the stack
// pointer in *save, and goes on where `load` was saved, where its wf_arch_switch returns `arg`.
void *wf_arch_switch(void **save, void *load, void *arg);

// wf_arch_make prepares the stack that ends below `top` so that a switch to the result calls entry(arg of the switch),
// which must not return.
void *wf_arch_make(void *top, void (*entry)(void *arg));

#if defined(WF_ASAN) || defined(WF_TSAN)
#define WF_CONTEXT_HOOKED 1 // sched/context.c tells the sanitizer
void *wf_context_switch(struct wf_context *from, struct wf_context *to, void *arg, bool dying);
void wf_context_arrived(void);
void wf_context_adopt(struct wf_context *c);
#else

// wf_context_switch leaves `from` for `to`. Returns, when somebody comes back to `from`: the `arg` he gave.
// `dying`: nobody will come back.
static inline void *wf_context_switch(struct wf_context *from, struct wf_context *to, void *arg, bool dying)
{
    (void)dying;
    return wf_arch_switch(&from->sp, to->sp, arg);
}

// wf_context_arrived must be the first thing on a fresh stack.
static inline void wf_context_arrived(void)
{
}

// wf_context_adopt fills in the context of the calling thread's own stack.
static inline void wf_context_adopt(struct wf_context *c)
{
    (void)c;
}

#endif

#endif
