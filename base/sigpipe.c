#include "base/sigpipe.h"

#include "base/compiler.h"
#include "base/handler.h"
#include "base/sys.h"

static _Thread_local bool spared;

static void on_pipe(int sig, siginfo_t *info, void *context);

// SA_RESTART, because a SIGPIPE sent to the process may interrupt a thread in any other
// call.
static struct wf_handler handler = { .signal = SIGPIPE, .fn = on_pipe, .flags = SA_RESTART, .only_default = true };

// is_from_a_write: for a write the kernel reports the signal as sent by the process to
// itself, as by kill(2).
static bool is_from_a_write(const siginfo_t *info)
{
    return info->si_code == SI_USER && info->si_pid == wf_sys_getpid();
}

static void on_pipe(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    if (!spared || !is_from_a_write(info))
        wf_handler_pass_on(&handler, info, context);
}

void wf_sigpipe_use(void)
{
    wf_handler_use(&handler);
}

void wf_sigpipe_drop(void)
{
    wf_handler_drop(&handler);
}

// not inlined, so that the compiler does not keep the address of the thread-local
WF_NOINLINE bool wf_sigpipe_spare(bool spare)
{
    bool before = spared;
    spared = spare;
    return before;
}
