// The trigger: a signal that the environment names (WEFT_DUMP_SIGNAL). The thread that
// gets the signal dumps all runtimes of the process to stderr. The program goes on.
//
// The runtimes are in a list, which the handler reads without the lock: it may have
// interrupted the thread that holds it. A thread that takes a runtime out of the list
// waits until the handlers that may have found it there have finished:
//
//         handler                                 wf_trigger_remove
//         [S] readers++                           [S] take it out of the list
//         [L] read the list                       [L] readers == 0?
//
// The handler never waits for the remover, which may be the thread that it has
// interrupted.
//
// Edges.
//   F2  the handler's readers-- (release) -> the remover's load (acquire): the handler
//       no longer accesses the runtime
//   F3  above: all are seq_cst, so the handler does not find the runtime, or the
//       remover waits
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <weft/error.h>

#include "base/assert.h"
#include "base/handler.h"
#include "base/lock.h"
#include "runtime/see/see.h"
#include "runtime/state.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(weft_rt *) all;   // A: written under the lock
static _Atomic unsigned readers; // A: how many handlers read it
static _Atomic bool dumping;     // A: one of them writes a dump

// --- Which signal --------------------------------------------------------------------

struct known {
    const char *name;
    int number;
};

static const struct known usable[] = {
    { "HUP", SIGHUP },   { "INT", SIGINT },   { "QUIT", SIGQUIT }, { "USR1", SIGUSR1 },
    { "USR2", SIGUSR2 }, { "ALRM", SIGALRM }, { "TERM", SIGTERM },
};

static bool is_usable(unsigned long number)
{
    for (size_t i = 0; i < wf_countof(usable); i++)
        if (number == (unsigned long)usable[i].number)
            return true;
    return number >= (unsigned long)SIGRTMIN && number <= (unsigned long)SIGRTMAX;
}

// parse_signal returns 0 if the text does not name a suitable signal.
static int parse_signal(const char *text)
{
    const char *name = strncmp(text, "SIG", 3) == 0 ? text + 3 : text;
    char *end;

    for (size_t i = 0; i < wf_countof(usable); i++)
        if (strcmp(name, usable[i].name) == 0)
            return usable[i].number;
    unsigned long number = text[0] >= '1' && text[0] <= '9' ? strtoul(text, &end, 10) : 0;
    return number > 0 && !*end && is_usable(number) ? (int)number : 0;
}

int wf_trigger_read(int *signal)
{
    const char *text = getenv("WEFT_DUMP_SIGNAL");

    *signal = text ? parse_signal(text) : 0;
    if (!text || *signal > 0)
        return 0;
    fprintf(stderr,
            "weft: WEFT_DUMP_SIGNAL is '%s': it must be HUP, INT, QUIT, USR1, USR2, ALRM or TERM, the number of one of "
            "these, or that of a real-time signal (%d to %d)\n",
            text, SIGRTMIN, SIGRTMAX);
    return WEFT_BAD_CONFIG;
}

// --- The handler ---------------------------------------------------------------------

static void on_trigger(int sig, siginfo_t *info, void *context);

// `signal` is set once, under the lock.
static struct wf_handler handler = { .fn = on_trigger, .flags = SA_RESTART };

// dump_all dumps the runtimes of a list, unless another thread is doing so.
static void dump_all(weft_rt *rt)
{
    if (wf_exchange_acq_rel(&dumping, true)) // acq_rel: one after the other
        return;
    for (; rt; rt = wf_load_seq_cst(&rt->next)) // [F3]
        weft_rt_dump(rt, STDERR_FILENO);
    wf_store_release(&dumping, false); // release: as above
}

static bool is_function(const struct sigaction *a)
{
    return a->sa_handler != SIG_DFL && a->sa_handler != SIG_IGN;
}

// pass_on is for a process without a runtime: a child of fork, or a process whose last
// runtime was freed before the signal was delivered.
static void pass_on(siginfo_t *info, void *context)
{
    if (wf_handler_installed(&handler))
        wf_handler_pass_on(&handler, info, context);
    else
        wf_handler_again(&handler, info);
}

// A handler that the program has installed before also gets the signal. The default
// action does not happen.
static void on_trigger(int sig, siginfo_t *info, void *context)
{
    int before = errno;
    (void)sig;

    wf_fetch_add_seq_cst(&readers, 1u);  // [F3]
    weft_rt *rt = wf_load_seq_cst(&all); // [F3]
    if (rt)
        dump_all(rt);
    bool also = rt && is_function(&handler.previous);
    wf_fetch_sub_acq_rel(&readers, 1u); // [F2]
    if (also)
        wf_handler_pass_on(&handler, info, context);
    else if (!rt)
        pass_on(info, context);
    errno = before;
}

// --- The list ------------------------------------------------------------------------

void wf_trigger_add(weft_rt *rt, int signal)
{
    wf_debug_assert(!rt->triggered);
    if (!signal)
        return;
    wf_debug_assert(rt->started);
    pthread_mutex_lock(&lock);
    if (!handler.signal)
        handler.signal = signal;
    rt->triggered = true;
    wf_handler_use(&handler);
    wf_store_relaxed(&rt->next, wf_load_relaxed(&all)); // relaxed: written under the lock
    wf_store_seq_cst(&all, rt); // [F3]
    pthread_mutex_unlock(&lock);
}

void wf_trigger_remove(weft_rt *rt)
{
    unsigned turns = 0;

    if (!rt->triggered)
        return;
    pthread_mutex_lock(&lock);
    _Atomic(weft_rt *) *at = &all;
    while (wf_load_relaxed(at) != rt) // relaxed: as above
        at = &wf_load_relaxed(at)->next;
    wf_store_seq_cst(at, wf_load_relaxed(&rt->next)); // [F3]
    wf_handler_drop(&handler);
    while (wf_load_seq_cst(&readers) > 0) // [F2] [F3]
        wf_relax(&turns);
    pthread_mutex_unlock(&lock);
}

void wf_trigger_in_child(void)
{
    pthread_mutex_init(&lock, NULL);
    wf_store_relaxed(&all, NULL); // relaxed: there is one thread
    wf_store_relaxed(&readers, 0u);
    wf_store_relaxed(&dumping, false); // relaxed: as above
}
