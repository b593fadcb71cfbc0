// Stack overflows are reported by name: a task that runs into the guard below its stack gets one line on stderr, then
// the signal's default action. The handler needs a stack of its own, one a worker; and a frame that is larger than the
// guard must touch every page on its way down (-fstack-clash-protection), or it may jump over it.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "base/handler.h"
#include "base/mem.h"
#include "sched/worker.h"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

// As large as a task's usual stack: the program's own handler may run there, too.
static size_t signal_stack_size(void)
{
    return ((size_t)64 << 10) + getauxval(AT_MINSIGSTKSZ);
}

static void report(const struct wf_task *task)
{
    char line[160];
    const char *name = task->name ? task->name : "";
    int n = snprintf(line, sizeof(line), "weft: task %llu%s%s%s overflowed its %zu KiB stack\n",
                     (unsigned long long)task->id, *name ? " '" : "", name, *name ? "'" : "",
                     wf_stack_size(task->stack) >> 10);
    if (write(STDERR_FILENO, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1) < 0)
        return; // there is nobody left to tell
}

static void on_fault(int sig, siginfo_t *info, void *context);

static struct wf_handler handler = { .signal = SIGSEGV, .fn = on_fault };

// on_fault reports an overflow, and restores the default action: then the instruction faults again, and that decides.
// The rest is not weft's: other faults, and signals that somebody has sent (their code is not above 0).
static void on_fault(int sig, siginfo_t *info, void *context)
{
    struct wf_task *task = wf_self();

    if (info->si_code > 0 && task && task->stack && wf_stack_guards(task->stack, info->si_addr)) {
        report(task);
        signal(sig, SIG_DFL);
        return;
    }
    wf_handler_pass_on(&handler, info, context);
}

int wf_overflow_install(struct wf_worker *w)
{
    w->signal_stack = wf_map(signal_stack_size());
    if (!w->signal_stack)
        return -ENOMEM;
    wf_handler_use(&handler);
    return 0;
}

void wf_overflow_enter(struct wf_worker *w)
{
    stack_t stack = { .ss_sp = w->signal_stack, .ss_size = signal_stack_size() };
    sigaltstack(&stack, &w->signal_stack_before);
}

void wf_overflow_leave(struct wf_worker *w)
{
    sigaltstack(&w->signal_stack_before, NULL);
}

void wf_overflow_abandon(struct wf_worker *w)
{
    void *stack = w->signal_stack;

    w->signal_stack = NULL;
    if (stack)
        wf_unmap(stack, signal_stack_size());
}

void wf_overflow_remove(struct wf_worker *w)
{
    wf_handler_drop(&handler);
    wf_overflow_abandon(w);
}
