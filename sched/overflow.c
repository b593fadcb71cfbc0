// Stack overflows are reported by name: a task that runs into the guard below its stack gets one line on stderr, then
// the signal's default action. The handler needs a stack of its own, one a worker; and the compiler must touch every
// page on its way down (-fstack-clash-protection), or a large frame jumps over the guard.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "base/mem.h"
#include "sched/worker.h"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned users;            // under lock: workers that want it
static struct sigaction previous; // fixed while there are users

static size_t signal_stack_size(void)
{
    return 16384 + getauxval(AT_MINSIGSTKSZ);
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

// on_fault reports an overflow, and restores the default action; for any other fault, the previous action. Then the
// instruction faults again, and that decides.
static void on_fault(int sig, siginfo_t *info, void *context)
{
    struct wf_task *task = wf_self();

    (void)context;
    if (task && task->stack && wf_stack_guards(task->stack, info->si_addr)) {
        report(task);
        signal(sig, SIG_DFL);
        return;
    }
    sigaction(sig, &previous, NULL);
}

static void install_handler(void)
{
    struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };

    pthread_mutex_lock(&lock);
    if (users++ == 0)
        sigaction(SIGSEGV, &action, &previous);
    pthread_mutex_unlock(&lock);
}

int wf_overflow_install(struct wf_worker *w)
{
    w->signal_stack = wf_alloc(signal_stack_size());
    if (!w->signal_stack)
        return -ENOMEM;
    install_handler();
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

void wf_overflow_remove(struct wf_worker *w)
{
    pthread_mutex_lock(&lock);
    if (w->signal_stack && --users == 0)
        sigaction(SIGSEGV, &previous, NULL);
    pthread_mutex_unlock(&lock);
    wf_free(w->signal_stack);
    w->signal_stack = NULL;
}
