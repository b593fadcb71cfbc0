// A context: the point at which a stack of calls was left, from which it can continue.
// The files of sched/arch/ make and switch contexts; this header has the hooks that
// tell the sanitizers about it (empty without them).
#ifndef WF_SCHED_CONTEXT_H
#define WF_SCHED_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

struct wf_context {
    void *sp; // the saved stack pointer: the registers are saved there
#ifdef WF_ASAN
    void *fake;         // ASan's fake stack, while this context is left
    const void *bottom; // of the stack, for ASan
    size_t size;
#endif
#ifdef WF_TSAN
    void *fiber;
#endif
};

// wf_arch_init notes the floating-point modes that tasks begin with: those of the
// calling thread. Context: before the first task.
void wf_arch_init(void);

// wf_arch_switch saves the callee-saved registers and the floating-point control words
// on the stack, stores the stack pointer in *save, and continues where `load` was
// saved: there wf_arch_switch returns `arg`.
void *wf_arch_switch(void **save, void *load, void *arg);

// wf_arch_jump enters wf_arch_switch by a jump, not by a call. The CPU predicts returns
// by its own stack, on which a call that never returns leaves a surplus entry: each
// return after the switch would be mispredicted, on both sides (measured: spawn and
// join 110 ns with a call, 79 with a jump). So the return address is pushed by hand.
#if defined(WF_ARCH_UCONTEXT)
#define wf_arch_jump wf_arch_switch
#elif defined(__x86_64__)
static inline void *wf_arch_jump(void **save, void *load, void *arg)
{
    void *result;
    // All registers that a call clobbers. Compiled with -mno-red-zone, so that the push
    // does not overwrite locals.
    __asm__ volatile("leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "jmp wf_arch_switch\n"
                     "1:"
                     : "=a"(result), "+D"(save), "+S"(load), "+d"(arg)
                     :
                     : "rcx", "r8", "r9", "r10", "r11", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5",
                       "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    return result;
}
#elif defined(__aarch64__)
static inline void *wf_arch_jump(void **save, void *load, void *arg)
{
    register void *x0 __asm__("x0") = save;
    register void *x1 __asm__("x1") = load;
    register void *x2 __asm__("x2") = arg;
    // All registers that a call clobbers; d8 to d15, the lower halves of v8 to v15, are
    // kept.
    __asm__ volatile("adr x30, 1f\n\t"
                     "b wf_arch_switch\n"
                     "1:"
                     : "+r"(x0), "+r"(x1), "+r"(x2)
                     :
                     : "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17",
                       "x30", "memory", "cc", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v16", "v17", "v18",
                       "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31");
    return x0;
}
#endif

// wf_arch_make prepares the stack that ends below `top` so that a switch to the result
// calls entry with the `arg` of the switch. It must not return.
void *wf_arch_make(void *top, void (*entry)(void *arg));

#if defined(WF_ASAN) || defined(WF_TSAN)
#define WF_CONTEXT_HOOKED 1 // sched/arch/context.c tells the sanitizer
void *wf_context_switch(struct wf_context *from, struct wf_context *to, void *arg, bool dying);
void wf_context_arrived(void);
void wf_context_adopt(struct wf_context *c);
#else

// wf_context_switch leaves `from` for `to`. Returns, when another switch comes back to
// `from`: the `arg` of that switch. `dying`: no switch will come back.
static inline void *wf_context_switch(struct wf_context *from, struct wf_context *to, void *arg, bool dying)
{
    (void)dying;
    return wf_arch_jump(&from->sp, to->sp, arg);
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
