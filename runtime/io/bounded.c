#include "runtime/io/bounded.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>
#include <weft/time.h>

#include "base/clock.h"
#include "base/handler.h"
#include "base/mem.h"
#include "base/sys.h"

enum { BOUND_MS = 10, TURNS = 64 };

// weft's own threads take turns, from poll(2) to the end of the call, so that one does
// not take the data that poll(2) announced to another. Numbers that are equal modulo
// TURNS share a turn.
static pthread_mutex_t turns[TURNS];

// make_turns makes the locks, and makes them anew in a child of fork, because a thread
// of the parent may have held one.
static void make_turns(void)
{
    for (int i = 0; i < TURNS; i++)
        pthread_mutex_init(&turns[i], NULL); // cannot fail for the default kind
}

static void begin_limits(void)
{
    make_turns();
    pthread_atfork(NULL, NULL, make_turns);
}

static void on_signal(int sig, siginfo_t *info, void *context);

static struct wf_handler handler = { .signal = SIGURG, .fn = on_signal };

static void on_signal(int sig, siginfo_t *info, void *context)
{
    bool ours = info->si_code == SI_TIMER && info->si_value.sival_ptr == &handler;
    (void)sig;

    if (!ours && handler.previous.sa_handler != SIG_DFL) // the default action does nothing, like this handler
        wf_handler_pass_on(&handler, info, context);
}

static int make_timer(timer_t *out)
{
    struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGURG };

    event.sigev_value.sival_ptr = &handler;
    event._sigev_un._tid = wf_sys_gettid();
    return timer_create(CLOCK_MONOTONIC, &event, out);
}

// let_interrupt unblocks the timer's signal. Returns: the mask before in *before.
static void let_interrupt(sigset_t *before)
{
    sigset_t urgent;

    sigemptyset(&urgent);
    sigaddset(&urgent, SIGURG);
    pthread_sigmask(SIG_UNBLOCK, &urgent, before);
}

// end_timer deletes the timer. When it returns, the signals that the timer has sent are
// handled, because the signal is not blocked.
static void end_timer(timer_t timer, const sigset_t *before)
{
    timer_delete(timer);
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

// call_timed uses a timer that fires repeatedly, because it may fire before the call
// has begun.
static ssize_t call_timed(timer_t timer, int fd, wf_ready_try *call, void *args)
{
    struct timespec bound = wf_timespec(WEFT_MS(BOUND_MS));
    sigset_t before;

    let_interrupt(&before);
    timer_settime(timer, 0, &(struct itimerspec){ bound, bound }, NULL);
    ssize_t result = call(fd, args);
    end_timer(timer, &before);
    return result == -EINTR ? -EAGAIN : result;
}

static ssize_t call_ready(int fd, short events, wf_ready_try *call, void *args)
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

ssize_t wf_bounded(int fd, short events, wf_ready_try *call, void *args)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_mutex_t *turn = &turns[(unsigned)fd % TURNS];

    wf_debug_assert(fd >= 0 && !wf_self()); // it would block the worker
    pthread_once(&once, begin_limits);
    pthread_mutex_lock(turn);
    ssize_t result = call_ready(fd, events, call, args);
    pthread_mutex_unlock(turn);
    return result;
}

// --- calls that are cancelled --------------------------------------------------------

// fire makes the timer of an armed call send its signal repeatedly, because the call
// may not have reached its system call yet. Context: under the lock.
static void fire(struct wf_interrupt *i)
{
    struct timespec again = wf_timespec(WEFT_MS(1));
    timer_settime(i->timer, 0, &(struct itimerspec){ again, again }, NULL);
}

void wf_interrupt(struct wf_interrupt *i)
{
    wf_lock_acquire(&i->lock);
    wf_store_relaxed(&i->asked, true); // relaxed: as wf_interrupt_asked
    if (i->armed)
        fire(i);
    wf_lock_release(&i->lock);
}

static void set_armed(struct wf_interrupt *i, bool armed)
{
    wf_lock_acquire(&i->lock);
    i->armed = armed;
    if (armed && wf_interrupt_asked(i))
        fire(i);
    wf_lock_release(&i->lock);
}

static ssize_t call_armed(struct wf_interrupt *i, ssize_t (*call)(void *args), void *args)
{
    sigset_t before;

    let_interrupt(&before);
    set_armed(i, true);
    ssize_t result = call(args);
    set_armed(i, false);
    end_timer(i->timer, &before);
    return result;
}

ssize_t wf_interruptible(struct wf_interrupt *i, ssize_t (*call)(void *args), void *args)
{
    ssize_t result = -ENOMEM;

    wf_handler_use(&handler);
    if (!wf_fault() && make_timer(&i->timer) == 0)
        result = call_armed(i, call, args);
    wf_handler_drop(&handler);
    return result;
}
