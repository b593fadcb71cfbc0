// The portable fallback over ucontext(3): correct, and some fifty times slower (each
// switch makes two system calls).
#include <stdint.h>
#include <ucontext.h>

#include "sched/arch/context.h"
#include "sched/arch/unwind.h"

// What `sp` points to: it lies on the stack that was left.
struct saved {
    ucontext_t context;
    void *arg; // of the switch that comes back
    void (*entry)(void *);
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

// makecontext passes ints: the pointer comes in two halves.
static void enter_context(unsigned high, unsigned low)
{
    struct saved *s = (struct saved *)(((uintptr_t)high << 16 << 16) | low);
#ifndef __arm__                                                      // which has no such tables
    __asm__ volatile(".cfi_personality 0x1b, wf_exceptions_escape"); // names the task that an exception leaves
#endif
    s->entry(s->arg);
    __builtin_trap(); // it does not return; nor is the call a jump, which would take this frame off the stack
}

void *wf_arch_make(void *top, void (*entry)(void *arg))
{
    // The stack's other end is not known here, and makecontext only needs the upper
    // one: it is told 4 KiB below it.
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

// The C library's switch leaves no frame that an unwinder could follow: there is nothing
// to be seen of a stack that was left.
void wf_arch_walk(const void *sp, void (*fn)(void *arg), void *arg)
{
    (void)sp;
    (void)fn;
    (void)arg;
}
