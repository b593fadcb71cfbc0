#include "base/sigpipe.h"

#include "base/compiler.h"
#include "base/handler.h"
#include "base/sys.h"

static _Thread_local bool spared;

static void on_pipe(int sig, siginfo_t *info, void *context);

// Restarting: one that is sent to the process may come to a thread that is in some
// other call.
static struct wf_handler handler = { .signal = SIGPIPE, .fn = on_pipe, .flags = SA_RESTART, .only_default = true };

// is_from_a_write: the kernel says of it that the process has sent it to itself, as by
// kill(2).
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

// not inlined: the address of a thread-local must not be kept
WF_NOINLINE bool wf_sigpipe_spare(bool spare)
{
    bool before = spared;
    spared = spare;
    return before;
}
