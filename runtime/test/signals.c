// Signals in a test run: SIGABRT, so that a failed assertion tells the seed that it failed under, and SIGPIPE.
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/handler.h"
#include "runtime/test/test.h"

void wf_test_name_seed(const char *what, uint64_t seed)
{
    char line[160];
    int n = snprintf(line, sizeof(line), "weft: %s under seed 0x%" PRIx64 "; WEFT_SEED=0x%" PRIx64 " runs it again\n",
                     what, seed, seed);

    if (write(STDERR_FILENO, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1) < 0)
        return; // nobody reads it
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

// block_sigpipe lets a write to a closed pipe fail with -EPIPE, as on weft's own threads. Returns: whether it was not
// blocked before. unblock_sigpipe takes one that has come meanwhile with it.
static bool block_sigpipe(void)
{
    sigset_t pipe, before;

    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    return !sigismember(&before, SIGPIPE);
}

static void unblock_sigpipe(void)
{
    sigset_t pipe;

    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    while (sigtimedwait(&pipe, NULL, &(struct timespec){ 0 }) > 0)
        ;
    pthread_sigmask(SIG_UNBLOCK, &pipe, NULL);
}

bool wf_test_signals_begin(void)
{
    wf_handler_use(&handler);
    return block_sigpipe();
}

void wf_test_signals_end(bool unblock)
{
    if (unblock)
        unblock_sigpipe();
    wf_handler_drop(&handler);
}
