#include "base/handler.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>

#include "base/assert.h"
#include "base/atomic.h"
#include "base/sys.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct wf_handler *all; // L

static bool is_installed(const struct wf_handler *h, struct sigaction *now)
{
    return sigaction(h->signal, NULL, now) == 0 && now->sa_flags & SA_SIGINFO && now->sa_sigaction == h->fn;
}

static bool is_covered(const struct wf_handler *h)
{
    return wf_load_relaxed(&h->covered); // relaxed: under the lock
}

static void set_covered(struct wf_handler *h, bool covered)
{
    wf_store_relaxed(&h->covered, covered || (h->exclusive && is_covered(h))); // relaxed: wf_handler_again says why
}

static void restore_action(struct wf_handler *h)
{
    struct sigaction now;

    bool covered = !is_installed(h, &now);
    set_covered(h, covered);
    if (!covered)
        sigaction(h->signal, &h->previous, NULL);
}

// renew_lock resets the lock in a child of fork, because another thread of the parent
// may have held it. An installed handler stays; the next user asks the kernel whether
// it is installed. But signals with the default action in the program get it again in
// the child, and an exclusive handler, which has no users there, is removed.
static void renew_lock(void)
{
    pthread_mutex_init(&lock, NULL);
    for (struct wf_handler *h = all; h; h = h->next) {
        if (h->users > 0 && (h->only_default || h->exclusive))
            restore_action(h);
        h->users = 0;
    }
}

static void watch_handler_forks(void)
{
    pthread_atfork(NULL, NULL, renew_lock);
}

static bool is_function(const struct sigaction *a)
{
    return a->sa_handler != SIG_DFL && a->sa_handler != SIG_IGN;
}

// leaves_alone tells whether the program's disposition must stay. A handler of the
// program that covered this one earlier may pass signals on to it, and this one would
// pass them back.
static bool leaves_alone(const struct wf_handler *h, const struct sigaction *now)
{
    if (h->exclusive)
        return false;
    if (is_covered(h) && is_function(now) && now->sa_handler != h->previous.sa_handler)
        return true;
    return h->only_default && now->sa_handler != SIG_DFL;
}

static void install(struct wf_handler *h)
{
    struct sigaction action = { .sa_sigaction = h->fn, .sa_flags = SA_SIGINFO | SA_ONSTACK | h->flags };
    struct sigaction now = { .sa_handler = SIG_DFL };

    if (is_installed(h, &now) || leaves_alone(h, &now))
        return;
    set_covered(h, false);
    h->previous = now; // before the call: the handler may run before sigaction returns
    sigaction(h->signal, &action, NULL);
}

// add_user counts a user. Context: under the lock.
static void add_user(struct wf_handler *h)
{
    if (!h->known) {
        h->known = true;
        h->next = all;
        all = h;
    }
    if (h->users++ == 0)
        install(h);
}

void wf_handler_use(struct wf_handler *h)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, watch_handler_forks);
    pthread_mutex_lock(&lock);
    add_user(h);
    pthread_mutex_unlock(&lock);
}

bool wf_handler_try_use(struct wf_handler *h)
{
    if (pthread_mutex_trylock(&lock) != 0)
        return false;
    add_user(h);
    pthread_mutex_unlock(&lock);
    return true;
}

void wf_handler_drop(struct wf_handler *h)
{
    pthread_mutex_lock(&lock);
    wf_debug_assert(h->known);
    if (h->users > 0 && --h->users == 0) // 0: of the parent process
        restore_action(h);
    pthread_mutex_unlock(&lock);
}

// --- Passing on ----------------------------------------------------------------------

// call calls the program's handler as the kernel would, except that it always runs on
// the thread's alternate stack.
static void call(const struct sigaction *to, int sig, siginfo_t *info, void *context)
{
    sigset_t own;

    pthread_sigmask(SIG_BLOCK, &to->sa_mask, NULL); // until the return from the signal
    if (to->sa_flags & SA_NODEFER) {
        sigemptyset(&own);
        sigaddset(&own, sig);
        pthread_sigmask(SIG_UNBLOCK, &own, NULL);
    }
    if (to->sa_flags & SA_SIGINFO)
        to->sa_sigaction(sig, info, context);
    else
        to->sa_handler(sig);
}

// requeue_signal queues the same signal again; it arrives after the handler has
// returned.
static void requeue_signal(int sig, siginfo_t *info)
{
    if (wf_sys_tgsigqueueinfo(wf_sys_getpid(), wf_sys_gettid(), sig, info) < 0)
        raise(sig);
}

bool wf_handler_installed(const struct wf_handler *h)
{
    struct sigaction now;
    return is_installed(h, &now);
}

void wf_handler_again(const struct wf_handler *h, siginfo_t *info)
{
    int before = errno;

    if (!wf_load_relaxed(&h->covered)) // relaxed: the program's handler that calls this one was installed earlier
        requeue_signal(h->signal, info);
    errno = before;
}

void wf_handler_stand_aside(struct wf_handler *h, siginfo_t *info, void *context)
{
    if (!is_function(&h->previous))
        wf_handler_pass_on(h, info, context);
}

void wf_handler_pass_on(struct wf_handler *h, siginfo_t *info, void *context)
{
    const struct sigaction *to = &h->previous;
    wf_debug_assert(h->known && info->si_signo == h->signal);
    bool sent = info->si_code <= 0; // otherwise the faulting instruction runs again
    int before = errno;

    if (is_function(to) && !(to->sa_flags & SA_RESETHAND)) {
        call(to, h->signal, info, context);
        return;
    }
    if (sent && to->sa_handler == SIG_IGN)
        return;
    sigaction(h->signal, to, NULL);
    if (sent)
        requeue_signal(h->signal, info);
    errno = before;
}
