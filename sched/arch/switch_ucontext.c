// The portable fallback with ucontext(3): correct, but about fifty times slower (each
// switch makes two system calls).
#include <stdint.h>
#include <ucontext.h>

#include "base/layout.h"
#include "sched/arch/context.h"
#include "sched/arch/unwind.h"

// `sp` points to this struct, on the stack that was left.
struct saved {
    ucontext_t context;
    void *arg; // of the switch that returns here
    void (*entry)(void *);
};

const struct wf_layout wf_arch_layout[] = {
#if defined(__x86_64__)
#define REGISTER(number) offsetof(struct saved, context.uc_mcontext.gregs[number])
    { "frame.rip", REGISTER(REG_RIP) },
    { "frame.rsp", REGISTER(REG_RSP) },
    { "frame.rbp", REGISTER(REG_RBP) },
    { "frame.rbx", REGISTER(REG_RBX) },
    { "frame.r12", REGISTER(REG_R12) },
    { "frame.r13", REGISTER(REG_R13) },
    { "frame.r14", REGISTER(REG_R14) },
    { "frame.r15", REGISTER(REG_R15) },
#endif
    WF_LAYOUT_END,
};

void wf_arch_init(void)
{
}

void *wf_arch_switch(void **save, void *load, void *arg)
{
    struct saved self, *to = load;

    *save = &self;
    to->arg = arg;
    swapcontext(&self.context, &to->context);
    return self.arg;
}

// makecontext passes ints, so the pointer is passed in two halves.
static void enter_context(unsigned high, unsigned low)
{
    struct saved *s = (struct saved *)(((uintptr_t)high << 16 << 16) | low);
#ifndef __arm__                                                      // it has no such tables
    __asm__ volatile(".cfi_personality 0x1b, wf_exceptions_escape"); // names the task that an exception leaves
#endif
    s->entry(s->arg);
    __builtin_trap(); // not reached; it keeps the compiler from making the call a jump, which would remove this frame
}

void *wf_arch_make(void *top, void (*entry)(void *arg))
{
    // The lower end of the stack is not known here, and makecontext only needs the
    // upper one: it gets a stack of 4 KiB below that.
    struct saved *s = (struct saved *)(((uintptr_t)top - sizeof(struct saved)) & ~(uintptr_t)63);
    uintptr_t at = (uintptr_t)s;

    getcontext(&s->context);
    s->entry = entry;
    s->context.uc_stack.ss_sp = (char *)s - 4096;
    s->context.uc_stack.ss_size = 4096;
    s->context.uc_link = NULL;
    makecontext(&s->context, (void (*)(void))enter_context, 2, (unsigned)(at >> 16 >> 16), (unsigned)at);
    return s;
}

// The C library's switch leaves no frame that an unwinder could follow: so this shows
// nothing of a stack that was left.
void wf_arch_walk(const void *sp, void (*fn)(void *arg), void *arg)
{
    (void)sp;
    (void)fn;
    (void)arg;
}
