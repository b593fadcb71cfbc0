#include "runtime/io/bounded.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>
#include <weft/time.h>

#include "base/clock.h"
#include "base/handler.h"

enum { BOUND_MS = 10 };

static void on_signal(int sig, siginfo_t *info, void *context);

static struct wf_handler handler = { .signal = SIGURG, .fn = on_signal };

static void on_signal(int sig, siginfo_t *info, void *context)
{
    bool ours = info->si_code == SI_TIMER && info->si_value.sival_ptr == &handler;
    (void)sig;

    if (!ours && handler.previous.sa_handler != SIG_DFL) // the default is to do nothing, as this does
        wf_handler_pass_on(&handler, info, context);
}

static int make_timer(timer_t *out)
{
    struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGURG };

    event.sigev_value.sival_ptr = &handler;
    event._sigev_un._tid = gettid();
    return timer_create(CLOCK_MONOTONIC, &event, out);
}

// call_timed: the timer fires again and again, for it may have fired before the call had begun.
static ssize_t call_timed(timer_t timer, int fd, wf_ready_try *call, void *args)
{
    struct timespec bound = wf_timespec(WEFT_MS(BOUND_MS));
    sigset_t urgent, before;

    sigemptyset(&urgent);
    sigaddset(&urgent, SIGURG);
    pthread_sigmask(SIG_UNBLOCK, &urgent, &before);
    timer_settime(timer, 0, &(struct itimerspec){ bound, bound }, NULL);
    ssize_t result = call(fd, args);
    timer_delete(timer); // what it has sent is handled by now, as the signal is not blocked
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result == -EINTR ? -EAGAIN : result;
}

ssize_t wf_bounded(int fd, short events, wf_ready_try *call, void *args)
{
    ssize_t result = WF_TRY_LATER;
    timer_t timer;

    int ready = wf_poll_now(fd, events);
    if (ready <= 0)
        return ready < 0 ? ready : -EAGAIN;
    wf_handler_use(&handler);
    if (make_timer(&timer) == 0)
        result = call_timed(timer, fd, call, args);
    wf_handler_drop(&handler);
    return result;
}
