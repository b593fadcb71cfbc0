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

// renew_lock makes anew what another thread of the parent's may have been at. A handler
// that is installed stays so; the next user asks the kernel whether it is. But what has
// the default action in the program should have it in its child, and an exclusive one
// has no users there that it would serve.
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

// leaves_alone: what the program has stays. A handler of the program's that covered
// this one when it had users before may pass signals on to this one, which would pass
// them back.
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
    h->previous = now; // first: the handler may be called before sigaction has returned
    sigaction(h->signal, &action, NULL);
}

// add_user: under the lock.
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

// call calls the program's handler as the kernel would, but that it runs on the
// thread's alternate stack in any case.
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

// requeue_signal queues the same signal, for when the handler has returned.
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

    if (!wf_load_relaxed(&h->covered)) // relaxed: a handler of the program's that calls this one was installed before
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
    bool sent = info->si_code <= 0; // else the instruction that caused it comes once more
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
