#include "base/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/sigpipe.h"

// The argument of a new thread, which frees it.
struct start {
    struct wf_thread_spec spec;
    char name[16]; // the kernel's limit
    sigset_t mask; // the thread's mask
};

static void *run_thread(void *arg)
{
    struct start *s = arg;
    struct wf_thread_spec spec = s->spec;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    pthread_setname_np(pthread_self(), s->name);
    wf_sigpipe_spare(true);
    wf_origin_take(spec.origin);
    pthread_sigmask(SIG_SETMASK, &s->mask, NULL);
    wf_free(s);
    return spec.fn(spec.arg);
}

// fill_mask blocks all signals except those that a thread's own instructions cause: the
// kernel kills the process if one of these is blocked.
static void fill_mask(sigset_t *m)
{
    static const int own[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS };

    sigfillset(m);
    for (size_t i = 0; i < wf_countof(own); i++)
        sigdelset(m, own[i]);
}

// create makes a thread that begins with signals blocked; s->mask is the mask that it
// sets later.
static int create(pthread_t *out, struct start *s)
{
    sigset_t most, before;

    fill_mask(&most);
    sigemptyset(&before);
    pthread_sigmask(SIG_SETMASK, &most, &before);
    s->mask = s->spec.deaf ? most : s->spec.origin ? s->spec.origin->mask : before;
    int err = wf_fault() ? EAGAIN : pthread_create(out, NULL, run_thread, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -err;
}

int wf_thread_start(pthread_t *out, const struct wf_thread_spec *spec)
{
    wf_debug_assert(spec->name && spec->fn);
    struct start *s = wf_alloc(sizeof(*s));

    if (!s)
        return -ENOMEM;
    s->spec = *spec;
    snprintf(s->name, sizeof(s->name), "%s", spec->name);
    int err = create(out, s);
    if (err)
        wf_free(s);
    return err;
}
