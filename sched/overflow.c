// Stack overflows are reported by name: a task that runs into the guard below its stack
// gets one line on stderr, then the signal's default action. The handler needs a stack
// of its own, one per worker; and a frame that is larger than the guard must touch
// every page on its way down (-fstack-clash-protection), or it may jump over it.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/handler.h"
#include "base/mem.h"
#include "base/sys.h"
#include "sched/state.h"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

// frame_size is what the kernel puts on a stack before a handler begins, at most:
// registers, AMX's included.
static size_t frame_size(void)
{
    size_t size = getauxval(AT_MINSIGSTKSZ);
    return size > 4096 ? size : 4096; // 0: an old kernel does not tell
}

// As large as a task's usual stack: the program's own handlers may run there, too. One
// that needs more runs into a guard below, and ends the program: two workers' stacks
// lie side by side.
static size_t signal_stack_size(void)
{
    return ((size_t)64 << 10) + frame_size();
}

static size_t signal_guard_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static void report_overflow(const struct wf_task *task)
{
    char line[160];
    const char *name = task->name ? task->name : "";
    int n = snprintf(line, sizeof(line), "weft: task %llu%s%s%s overflowed its %zu KiB stack\n",
                     (unsigned long long)task->id, *name ? " '" : "", name, *name ? "'" : "",
                     wf_stack_size(task->stack) >> 10);
    (void)wf_sys_write(STDERR_FILENO, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

// frame_below is where the stack was when the kernel found no room on it for the frame
// of some other signal, whose handler does not ask for the alternate stack; NULL if it
// was not that. The kernel makes of it a SIGSEGV without an address, and no instruction
// will cause it again. An access to what can be no address looks the same on x86-64,
// but that it is a trap of its own.
static const char *frame_below(const siginfo_t *info, const void *context)
{
    const ucontext_t *u = context;

    if (info->si_code != SI_KERNEL || info->si_addr)
        return NULL;
#if defined(__x86_64__)
    enum { GENERAL_PROTECTION = 13 };
    return u->uc_mcontext.gregs[REG_TRAPNO] == GENERAL_PROTECTION ? NULL : (const char *)u->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    return (const char *)u->uc_mcontext.sp;
#else
    (void)u;
    return NULL;
#endif
}

static bool had_no_room(const struct wf_stack *stack, const siginfo_t *info, const void *context)
{
    enum { PAGE = 4096 }; // or less: than the guard is large
    const char *sp = frame_below(info, context);

    if (sp <= stack->base || sp > (const char *)stack->top)
        return false;
    for (size_t below = 0; below < frame_size() + PAGE; below += PAGE)
        if (wf_stack_guards(stack, sp - below))
            return true;
    return false;
}

static void on_fault(int sig, siginfo_t *info, void *context);

static struct wf_handler handler = { .signal = SIGSEGV, .fn = on_fault };

// on_fault reports an overflow, and restores the default action, which then ends the
// process: the instruction faults again, or the signal that this handler sends arrives.
// All other signals are not weft's: other faults, and signals that a process has sent
// (their code is not above 0).
static void on_fault(int sig, siginfo_t *info, void *context)
{
    struct wf_task *task = wf_self();

    if (info->si_code > 0 && task && task->stack && wf_stack_guards(task->stack, info->si_addr)) {
        report_overflow(task);
        signal(sig, SIG_DFL);
        return;
    }
    if (task && task->stack && had_no_room(task->stack, info, context)) {
        report_overflow(task);
        signal(sig, SIG_DFL);
        raise(sig); // for when this handler has returned
        return;
    }
    wf_handler_pass_on(&handler, info, context);
}

int wf_overflow_install(struct wf_worker *w)
{
    w->signal_stack = wf_map(signal_guard_size() + signal_stack_size());
    if (!w->signal_stack)
        return -ENOMEM;
    (void)wf_sys_mprotect(w->signal_stack, signal_guard_size(), PROT_NONE); // best effort: it is for bad days only
    wf_handler_use(&handler);
    return 0;
}

void wf_overflow_enter(struct wf_worker *w)
{
    stack_t stack = { .ss_sp = (char *)w->signal_stack + signal_guard_size(), .ss_size = signal_stack_size() };
    wf_debug_assert(w->signal_stack);
    sigaltstack(&stack, &w->signal_stack_before);
}

void wf_overflow_leave(struct wf_worker *w)
{
    wf_debug_assert(w->signal_stack);
    sigaltstack(&w->signal_stack_before, NULL);
}

void wf_overflow_abandon(struct wf_worker *w)
{
    void *stack = w->signal_stack;

    w->signal_stack = NULL;
    if (stack)
        wf_unmap(stack, signal_guard_size() + signal_stack_size());
}

void wf_overflow_remove(struct wf_worker *w)
{
    wf_handler_drop(&handler);
    wf_overflow_abandon(w);
}
