// Signals in a test run: SIGABRT, so that a failed assertion prints its seed, and
// SIGPIPE.
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#include "base/handler.h"
#include "base/sigpipe.h"
#include "base/sys.h"
#include "runtime/sim/sim.h"

void wf_test_name_seed(const char *what, uint64_t seed)
{
    char line[160];
    int n = snprintf(line, sizeof(line), "weft: %s under seed 0x%" PRIx64 "; WEFT_SEED=0x%" PRIx64 " runs it again\n",
                     what, seed, seed);

    (void)wf_sys_write(STDERR_FILENO, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

static void on_abort(int sig, siginfo_t *info, void *context);

static struct wf_handler handler = { .signal = SIGABRT, .fn = on_abort };

static void on_abort(int sig, siginfo_t *info, void *context)
{
    const struct wf_test *t = wf_test_thread()->now;

    (void)sig;
    if (t)
        wf_test_name_seed("the program aborts", t->seed);
    wf_handler_pass_on(&handler, info, context);
}

bool wf_test_signals_begin(void)
{
    wf_handler_use(&handler);
    wf_sigpipe_use();
    return wf_sigpipe_spare(true);
}

void wf_test_signals_end(bool spared)
{
    wf_sigpipe_spare(spared);
    wf_sigpipe_drop();
    wf_handler_drop(&handler);
}
