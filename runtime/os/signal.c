// From a signal handler to channels.
//
//      any thread                       weft's thread                     a test run, when all are parked
//
//      count_signal                     send_messages                     wf_signal_deliver
//        count the arrival  --[Y1]-->     read `arrivals`
//        count in `arrivals`              send what has been counted        send what has been counted
//        wake the thread                  fire the test runs' wakers
//                                         sleep while `arrivals` is the same
//
// The handler may interrupt any instruction of the program, so it takes no lock and only
// counts. A separate thread of weft turns the counts into messages. It serves all
// runtimes, and programs without one; it ends with the last channel, and load on the
// workers does not delay it. (With the reactor's eventfd instead, each runtime would
// have to know its channels, and a channel that a foreign thread reads would have no
// runtime.) Each receiver (a channel and a signal) remembers up to which count it has
// been served, so no arrival is sent twice or merged with another.
//
//   Y1  count_signal adds to the signal's count, then to `arrivals`; the thread reads
//       `arrivals`, then the counts. If it reads an older count, then `arrivals` has
//       changed since, and it does not sleep.
//
// Receivers that a task of a test run has made belong to that run's manual clock. The
// thread leaves them to the run: otherwise the seed would not fix the moment of their
// messages.
//
// The end. weft_signal_stop restores the disposition, takes the receiver off the count
// in `listening`, sends the counted signals, and drops the receivers. A handler that
// the kernel called before that, on another thread, may still be running:
//
//   Y2  count_signal adds to the count, then checks for receivers; weft_signal_stop
//       removes the last one, then reads the count. All four are seq_cst, so at least
//       one of the two sees the other: the arrival is sent, or the handler finds no
//       receiver, and the signal is raised again and has its old effect.
#include "runtime/os/os.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>

#include "base/assert.h"
#include "base/atomic.h"
#include "base/compiler.h"
#include "base/futex.h"
#include "base/handler.h"
#include "base/mem.h"
#include "base/thread.h"
#include "runtime/chan/chan.h"

enum { SIGNALS = 65 }; // of Linux: 1 to 64

// I: fixed; L: under `lock`
struct receiver {
    struct wf_list link;       // L
    weft_chan *chan;           // I: a reference
    const struct wf_clock *of; // I: of the test run whose task has made it, or NULL
    int signo;                 // I
    uint32_t sent;             // L: the count up to which it has been served
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct wf_list receivers = { &receivers, &receivers }; // L: of struct receiver, oldest first
static struct wf_list watches = { &watches, &watches };       // L: of struct wf_signal_watch
static pthread_t thread;                                      // L: valid while there are receivers
static uint32_t epoch;                                        // L: of `thread`

static struct wf_handler handlers[SIGNALS]; // fields as base/handler.h says
static _Atomic uint32_t listening[SIGNALS]; // A: receivers of the signal
static _Atomic uint32_t counts[SIGNALS];    // A: arrivals of it, [Y1]
static _Atomic uint32_t arrivals;           // A: of all, and changes of `epoch`; a futex, [Y1]
static _Atomic unsigned of_test_runs;       // A: receivers; written under the lock

static struct receiver *receiver_of(struct wf_list *link)
{
    return wf_container_of(link, struct receiver, link);
}

// --- Checking ------------------------------------------------------------------------

// check_receivers asserts that the counts agree with the list. Context: under the lock.
static void check_receivers(void)
{
    enum { WALK_MAX = 64 };
    unsigned n = 0, runs = 0, heard = 0;

    for (const struct wf_list *at = receivers.next; at != &receivers && n < WALK_MAX; at = at->next, n++) {
        const struct receiver *r = wf_container_of(at, const struct receiver, link);
        wf_assert(wf_list_linked(at) && r->signo > 0 && r->signo < SIGNALS && r->chan);
        wf_assert(wf_load_relaxed(&listening[r->signo]) > 0); // relaxed: it changes under the lock
        runs += r->of != NULL;
    }
    for (int sig = 1; sig < SIGNALS; sig++)
        heard += wf_load_relaxed(&listening[sig]); // relaxed: as above
    wf_assert(n == WALK_MAX ? heard >= n : heard == n);
    wf_assert(n == WALK_MAX || wf_load_relaxed(&of_test_runs) == runs); // relaxed: as above
}

// --- The handler ---------------------------------------------------------------------

static void wake_sender(void)
{
    wf_fetch_add_acq_rel(&arrivals, 1u); // release: [Y1]
    wf_futex_wake(&arrivals, INT_MAX);   // an ending thread may sleep beside its successor
}

// is_timer recognises the SIGURG by which runtime/io/bounded.c interrupts a call, and
// which has no receiver.
static bool is_timer(int sig, const siginfo_t *info)
{
    return sig == SIGURG && info->si_code == SI_TIMER;
}

// find_no_receiver handles a signal without a receiver. weft_signal_stop has restored
// the disposition; so if weft's handler is installed, there is a receiver again, or the
// program has reinstalled it.
static void find_no_receiver(struct wf_handler *h, siginfo_t *info, void *context)
{
    if (!wf_handler_installed(h))
        wf_handler_again(h, info);
    else if (wf_load_seq_cst(&listening[h->signal]) > 0) // [Y2]
        wake_sender();
    else
        wf_handler_stand_aside(h, info, context);
}

static void count_signal(int sig, siginfo_t *info, void *context)
{
    int before = errno;

    if (is_timer(sig, info))
        return;
    wf_fetch_add_seq_cst(&counts[sig], 1u);    // [Y2]
    if (wf_load_seq_cst(&listening[sig]) == 0) // [Y2]
        find_no_receiver(&handlers[sig], info, context);
    else
        wake_sender();
    errno = before;
}

// --- Sending -------------------------------------------------------------------------

static unsigned send_one(struct receiver *r)
{
    uint32_t count = wf_load_seq_cst(&counts[r->signo]); // [Y2]
    unsigned n = 0;

    for (; r->sent != count; r->sent++)
        if (weft_chan_try_send(r->chan, &r->signo) == 0)
            n++;
    return n;
}

// send_counted sends the counted signals to the receivers of one clock.
// Context: under the lock.
static unsigned send_counted(const struct wf_clock *of)
{
    unsigned n = 0;

    for (struct wf_list *at = receivers.next; at != &receivers; at = at->next)
        if (receiver_of(at)->of == of)
            n += send_one(receiver_of(at));
    return n;
}

static void wake_test_runs(void)
{
    for (struct wf_list *at = watches.next; at != &watches; at = at->next)
        wf_waker_fire(wf_container_of(at, struct wf_signal_watch, link)->waker);
}

static void *send_messages(void *arg)
{
    uint32_t mine = (uint32_t)(uintptr_t)arg;

    for (;;) {
        uint32_t seen = wf_load_acquire(&arrivals); // acquire: [Y1]
        pthread_mutex_lock(&lock);
        bool over = epoch != mine;
        if (!over) {
            send_counted(NULL);
            wake_test_runs();
        }
        pthread_mutex_unlock(&lock);
        if (over)
            return NULL;
        wf_futex_wait(&arrivals, seen, INT64_MAX);
    }
}

// start_thread makes the thread, with all signals blocked: the program's handlers run
// on the program's own threads and on the workers.
static int start_thread(void)
{
    struct wf_thread_spec spec = { .name = "weft-signals", .fn = send_messages, .deaf = true };

    spec.arg = (void *)(uintptr_t)++epoch;
    return wf_thread_start(&thread, &spec) < 0 ? -EAGAIN : 0;
}

// --- Receivers -----------------------------------------------------------------------

// clear_in_child resets the state in a child of fork: the thread does not exist there,
// and another thread may have held the lock.
static void clear_in_child(void)
{
    pthread_mutex_init(&lock, NULL);
    wf_list_init(&receivers);
    wf_list_init(&watches);
    wf_store_relaxed(&of_test_runs, 0u); // relaxed, both: the child has one thread
    for (int sig = 1; sig < SIGNALS; sig++)
        wf_store_relaxed(&listening[sig], 0u);
}

static void init_handlers(void)
{
    pthread_atfork(NULL, NULL, clear_in_child);
    for (int sig = 1; sig < SIGNALS; sig++)
        handlers[sig] = (struct wf_handler){ .signal = sig,
                                             .fn = count_signal,
                                             .flags = sig == SIGURG ? 0 : SA_RESTART, // see is_timer
                                             .exclusive = true };
}

static bool may_be_had(int sig)
{
    static const int not_these[] = { SIGKILL, SIGSTOP, SIGCHLD, SIGSEGV, SIGBUS,
                                     SIGFPE,  SIGILL,  SIGTRAP, SIGSYS,  SIGABRT };

    for (size_t i = 0; i < wf_countof(not_these); i++)
        if (sig == not_these[i])
            return false;
    // The C library uses some signals below SIGRTMIN itself.
    return (sig > 0 && sig <= SIGSYS) || (sig >= SIGRTMIN && sig <= SIGRTMAX);
}

static struct receiver *find_receiver(const weft_chan *c, int signo)
{
    for (struct wf_list *at = receivers.next; at != &receivers; at = at->next)
        if (receiver_of(at)->chan == c && receiver_of(at)->signo == signo)
            return receiver_of(at);
    return NULL;
}

// add_receiver makes `r` a receiver. Context: under the lock.
static int add_receiver(struct receiver *r)
{
    int err = wf_list_empty(&receivers) ? start_thread() : 0;
    if (err)
        return err;
    r->sent = wf_load_relaxed(&counts[r->signo]); // relaxed: earlier arrivals are not for this receiver
    wf_list_append(&receivers, &r->link);
    wf_fetch_add_relaxed(&of_test_runs, r->of ? 1u : 0u); // relaxed: see has_receivers
    wf_fetch_add_relaxed(&listening[r->signo], 1u);       // relaxed: before the handler is installed
    wf_handler_use(&handlers[r->signo]);
    return 0;
}

int weft_signal_notify(weft_chan *c, int signo)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    int err = 0;

    if (wf_chan_elem_size(c) != sizeof(int) || !may_be_had(signo))
        return -EINVAL;
    pthread_once(&once, init_handlers);
    struct receiver *r = wf_alloc(sizeof(*r));
    if (!r)
        return -ENOMEM;
    *r = (struct receiver){ .chan = c, .of = wf_clock_used(), .signo = signo };
    pthread_mutex_lock(&lock);
    wf_debug_check(check_receivers());
    bool twice = find_receiver(c, signo) != NULL;
    if (!twice)
        err = add_receiver(r);
    pthread_mutex_unlock(&lock);
    if (twice || err)
        wf_free(r);
    else
        weft_chan_ref(c);
    return err;
}

// restore_dispositions restores dispositions, for a channel that is about to leave.
static void restore_dispositions(const weft_chan *c)
{
    for (struct wf_list *at = receivers.next; at != &receivers; at = at->next) {
        const struct receiver *r = receiver_of(at);
        if (r->chan != c)
            continue;
        wf_handler_drop(&handlers[r->signo]);
        wf_fetch_sub_seq_cst(&listening[r->signo], 1u); // [Y2]
    }
}

// remove_receivers moves the channel's receivers to `gone`.
static void remove_receivers(const weft_chan *c, struct wf_list *gone)
{
    struct wf_list *next;

    for (struct wf_list *at = receivers.next; at != &receivers; at = next) {
        struct receiver *r = receiver_of(at);
        next = at->next;
        if (r->chan != c)
            continue;
        send_one(r);
        wf_fetch_sub_relaxed(&of_test_runs, r->of ? 1u : 0u); // relaxed: see has_receivers
        wf_list_remove(&r->link);
        wf_list_append(gone, &r->link);
    }
}

static void free_receivers(struct wf_list *gone)
{
    while (!wf_list_empty(gone)) {
        struct receiver *r = receiver_of(gone->next);
        wf_list_remove(&r->link);
        weft_chan_unref(r->chan);
        wf_free(r);
    }
}

int weft_signal_stop(weft_chan *c)
{
    struct wf_list gone;

    wf_list_init(&gone);
    pthread_mutex_lock(&lock);
    wf_debug_check(check_receivers());
    restore_dispositions(c);
    remove_receivers(c, &gone);
    bool last = wf_list_empty(&receivers) && !wf_list_empty(&gone);
    pthread_t ended = thread;
    epoch += last;
    pthread_mutex_unlock(&lock);
    free_receivers(&gone);
    if (last) {
        wake_sender();
        pthread_join(ended, NULL);
    }
    return 0;
}

// --- Test runs -----------------------------------------------------------------------

// has_receivers is a quick check: a run asks often, and rarely has receivers.
static bool has_receivers(void)
{
    return wf_load_relaxed(&of_test_runs) > 0; // relaxed: only the run's thread, or its jobs, make its receivers
}

unsigned wf_signal_deliver(const struct wf_clock *of)
{
    if (!has_receivers())
        return 0;
    pthread_mutex_lock(&lock);
    unsigned n = send_counted(of);
    pthread_mutex_unlock(&lock);
    return n;
}

bool wf_signal_awaited(const struct wf_clock *of)
{
    bool found = false;

    if (!has_receivers())
        return false;
    pthread_mutex_lock(&lock);
    for (struct wf_list *at = receivers.next; at != &receivers && !found; at = at->next)
        found = receiver_of(at)->of == of && wf_chan_awaited(receiver_of(at)->chan);
    pthread_mutex_unlock(&lock);
    return found;
}

void wf_signal_watch(struct wf_signal_watch *w)
{
    pthread_mutex_lock(&lock);
    wf_list_append(&watches, &w->link);
    pthread_mutex_unlock(&lock);
}

void wf_signal_unwatch(struct wf_signal_watch *w)
{
    pthread_mutex_lock(&lock);
    wf_list_remove(&w->link);
    pthread_mutex_unlock(&lock);
}
