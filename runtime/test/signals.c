// Signals in a test run: SIGABRT, so that a failed assertion tells the seed that it failed under, and SIGPIPE.
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "runtime/test/test.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned users;            // under lock: threads that run tests
static struct sigaction previous; // fixed while there are users

void wf_test_name_seed(const char *what, uint64_t seed)
{
    char line[160];
    int n = snprintf(line, sizeof(line), "weft: %s under seed 0x%" PRIx64 "; WEFT_SEED=0x%" PRIx64 " runs it again\n",
                     what, seed, seed);

    if (write(STDERR_FILENO, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1) < 0)
        return; // nobody reads it
}

// on_abort hands the signal on, to be delivered when it returns.
static void on_abort(int sig)
{
    const struct wf_test *t = wf_test_thread()->now;

    if (t)
        wf_test_name_seed("the program aborts", t->seed);
    sigaction(sig, &previous, NULL);
    raise(sig);
}

static void watch_aborts(void)
{
    struct sigaction action = { .sa_handler = on_abort, .sa_flags = SA_ONSTACK };

    pthread_mutex_lock(&lock);
    if (users++ == 0)
        sigaction(SIGABRT, &action, &previous);
    pthread_mutex_unlock(&lock);
}

static void unwatch_aborts(void)
{
    pthread_mutex_lock(&lock);
    if (--users == 0)
        sigaction(SIGABRT, &previous, NULL);
    pthread_mutex_unlock(&lock);
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
    watch_aborts();
    return block_sigpipe();
}

void wf_test_signals_end(bool unblock)
{
    if (unblock)
        unblock_sigpipe();
    unwatch_aborts();
}
