#include "bench/echo/load.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define MS INT64_C(1000000)
#define S INT64_C(1000000000)

enum {
    EVENTS_MAX = 128,
    IN_SIZE = 256 * 1024,
    HELLOS_AT_ONCE = 256, // below every sane listen backlog
    DESCRIPTORS_SPARE = 32,
    BURST_PAUSE_MS = 50, // the server sees the connections of the last burst end
};

// How long nothing may come back before the run is given up. A stalled server is slow;
// this is dead.
static const int64_t silence_max_ns = 10 * S;
// No further burst is begun after this: a server that answers slowly has shown it by
// then.
static const int64_t bursts_max_ns = 3 * S;

static volatile sig_atomic_t interrupted;

void load_interrupt(int signum)
{
    (void)signum;
    interrupted = 1;
}

int load_fail(struct load *l, const char *format, ...)
{
    if (l->error[0])
        return -1;
    va_list args;
    va_start(args, format);
    vsnprintf(l->error, sizeof(l->error), format, args);
    va_end(args);
    return -1;
}

static unsigned connections_all(const struct load *l)
{
    return l->opt->connections + l->opt->idle;
}

static unsigned slots_all(const struct load *l)
{
    return connections_all(l) + l->opt->burst;
}

// --- setting up ----------------------------------------------------------------------

static int make_room(struct load *l)
{
    struct rlimit limit;
    unsigned long need = slots_all(l) + DESCRIPTORS_SPARE;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return load_fail(l, "descriptor limit: %s", strerror(errno));
    if (limit.rlim_max < need)
        return load_fail(l, "%lu descriptors needed, the hard limit is %lu: raise it (ulimit -Hn) or ask for less",
                         need, (unsigned long)limit.rlim_max);
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? load_fail(l, "descriptor limit: %s", strerror(errno)) : 0;
}

static int find_target(struct load *l)
{
    int err = target_init(&l->target, l->opt->target, slots_all(l));
    if (err == -EADDRNOTAVAIL)
        return load_fail(l, "%u connections are more than this machine has ports for", slots_all(l));
    return err ? load_fail(l, "%s is not a numeric HOST:PORT", l->opt->target) : 0;
}

static int allocate(struct load *l)
{
    unsigned depth = l->opt->depth;
    size_t burst = (size_t)l->opt->size * depth;
    l->in_size = burst > IN_SIZE ? burst : IN_SIZE;
    l->in = malloc(l->in_size);
    l->conns = calloc(slots_all(l), sizeof(*l->conns));
    l->asked = calloc((size_t)slots_all(l) * depth, sizeof(*l->asked));
    if (!l->in || !l->conns || !l->asked || stream_init(&l->stream, l->in_size) < 0 || samples_init(&l->latency) < 0 ||
        samples_init(&l->late) < 0 || samples_init(&l->burst) < 0)
        return load_fail(l, "out of memory");
    for (unsigned i = 0; i < slots_all(l); i++) {
        l->conns[i].fd = -1;
        l->conns[i].asked = l->asked + (size_t)i * depth;
    }
    return 0;
}

static int find_counters(struct load *l)
{
    int err = l->opt->counters ? counters_map(&l->counters, l->opt->counters, 0) : 0;
    return err ? load_fail(l, "%s: %s", l->opt->counters, strerror(-err)) : 0;
}

static void set_policy(int policy, int priority)
{
    const struct sched_param param = { .sched_priority = priority };
    (void)sched_setscheduler(0, policy, &param); // without the right to it: as it is
}

// behave chooses how this thread competes for a CPU, so that it measures the server and
// not the kernel's choice.
//
// With --rate it is an instrument that must send on time, whatever the server does with
// the CPUs: first in, first out.
//
// In a closed loop on one CPU, which it shares with the server, it must not preempt the
// server in the middle of a batch when a reply wakes it. If it does, the faster of the
// two sleeps in between and interrupts the other, whose messages cost up to a half
// more: one would measure that.
static void behave(const struct options *opt)
{
    cpu_set_t mine;

    if (opt->rate > 0)
        set_policy(SCHED_FIFO, 1);
    else if (sched_getaffinity(0, sizeof(mine), &mine) == 0 && CPU_COUNT(&mine) == 1)
        set_policy(SCHED_BATCH, 0);
}

int load_init(struct load *l, const struct options *opt)
{
    memset(l, 0, sizeof(*l));
    l->opt = opt;
    l->epoll = -1;
    behave(opt);
    prctl(PR_SET_TIMERSLACK, 1); // messages that are due by the clock must not go out 50 us late
    if (make_room(l) < 0 || find_target(l) < 0 || allocate(l) < 0 || find_counters(l) < 0)
        return -1;
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    return l->epoll < 0 ? load_fail(l, "epoll_create1: %s", strerror(errno)) : 0;
}

void load_fini(struct load *l)
{
    for (unsigned i = 0; l->conns && i < slots_all(l); i++) {
        if (l->conns[i].fd >= 0)
            close(l->conns[i].fd);
    }
    if (l->epoll >= 0)
        close(l->epoll);
    syscalls_close(&l->counter);
    samples_fini(&l->latency);
    counters_close(&l->counters);
    samples_fini(&l->late);
    samples_fini(&l->burst);
    stream_fini(&l->stream);
    free(l->asked);
    free(l->conns);
    free(l->in);
}

// --- one round of events -------------------------------------------------------------

static int wait_events(struct load *l, struct epoll_event *events, int64_t timeout_ns)
{
    if (timeout_ns < 0)
        timeout_ns = 0;
    if (!l->coarse) {
        struct timespec ts = { .tv_sec = timeout_ns / S, .tv_nsec = timeout_ns % S };
        int n = epoll_pwait2(l->epoll, events, EVENTS_MAX, &ts, NULL);
        if (n >= 0 || errno != ENOSYS)
            return n;
        l->coarse = true;
    }
    return epoll_wait(l->epoll, events, EVENTS_MAX, (int)((timeout_ns + MS - 1) / MS));
}

static int turn(struct load *l, int64_t timeout_ns)
{
    struct epoll_event events[EVENTS_MAX];
    int n = wait_events(l, events, timeout_ns);
    if (n < 0)
        return errno == EINTR ? 0 : load_fail(l, "epoll_wait: %s", strerror(errno));
    l->waits += l->phase == PHASE_MEASURE;
    for (int i = 0; i < n; i++) {
        if (conn_event(l, events[i].data.ptr, events[i].events) < 0)
            return -1;
    }
    return 0;
}

static int check_alive(struct load *l, int64_t now)
{
    if (l->pending > 0 && now - l->last_reply_ns > silence_max_ns)
        return load_fail(l, "no reply for %d s, %llu messages under way", (int)(silence_max_ns / S),
                         (unsigned long long)l->pending);
    return 0;
}

// --- phases --------------------------------------------------------------------------

static int sample_memory(struct load *l, int moment)
{
    int err = l->opt->server ? watch_memory((pid_t)l->opt->server, &l->memory[moment]) : 0;
    return err ? load_fail(l, "process %d: %s", (int)l->opt->server, strerror(-err)) : 0;
}

static int sample_usage(struct load *l, int moment)
{
    int err = watch_usage(getpid(), &l->self[moment]);
    if (!err && l->opt->server)
        err = watch_usage((pid_t)l->opt->server, &l->server[moment]);
    if (!err && l->opt->count_syscalls)
        err = syscalls_read(&l->counter, l->syscalls[moment]);
    l->counted[moment] = counters_sum(&l->counters);
    return err ? load_fail(l, "process %d: %s", (int)l->opt->server, strerror(-err)) : 0;
}

// wait_replies waits until nothing is under way.
static int wait_replies(struct load *l)
{
    l->last_reply_ns = clock_ns();
    while (l->pending > 0 && !interrupted) {
        if (turn(l, S) < 0 || check_alive(l, clock_ns()) < 0)
            return -1;
    }
    return 0;
}

static int connect_some(struct load *l)
{
    for (int i = 0; i < HELLOS_AT_ONCE && l->opened < connections_all(l); i++) {
        if (conn_open(l, l->opened++) < 0)
            return -1;
    }
    return wait_replies(l);
}

static int connect_all(struct load *l)
{
    if (sample_memory(l, 0) < 0)
        return -1;
    while (l->opened < connections_all(l) && !interrupted) {
        if (connect_some(l) < 0)
            return -1;
    }
    return sample_memory(l, 1);
}

static void pause_ms(int64_t ms)
{
    const struct timespec pause = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * MS };
    nanosleep(&pause, NULL); // a signal only shortens it
}

static int run_burst(struct load *l)
{
    struct conn *first = l->conns + connections_all(l);
    int64_t from = clock_ns();
    for (unsigned i = 0; i < l->opt->burst; i++) {
        if (conn_open(l, connections_all(l) + i) < 0)
            return -1;
    }
    if (wait_replies(l) < 0)
        return -1;
    samples_add(&l->burst, (double)(l->last_reply_ns - from));
    if (l->burst.count == 1)
        l->first_burst_ns = l->last_reply_ns - from;
    for (struct conn *c = first; c < first + l->opt->burst; c++) {
        close(c->fd);
        c->fd = -1;
    }
    return 0;
}

static int run_bursts(struct load *l)
{
    int64_t until = clock_ns() + bursts_max_ns;
    for (unsigned i = 0; l->opt->burst > 0 && i < l->opt->bursts && !interrupted && clock_ns() < until; i++) {
        pause_ms(BURST_PAUSE_MS);
        if (run_burst(l) < 0)
            return -1;
    }
    return 0;
}

static int begin_warmup(struct load *l)
{
    int err = l->opt->count_syscalls ? syscalls_open(&l->counter, (pid_t)l->opt->server) : 0;
    if (err)
        return load_fail(l, "counting system calls: %s", strerror(-err));

    l->phase = PHASE_WARMUP;
    l->started_ns = l->last_reply_ns = clock_ns();
    l->due_from_ns = l->started_ns + (int64_t)(l->opt->warmup_s * 1e9);
    l->due_to_ns = l->due_from_ns + (int64_t)(l->opt->seconds * 1e9);
    for (unsigned i = 0; l->opt->rate == 0 && i < l->opt->connections; i++) {
        if (conn_start(l, &l->conns[i], clock_ns()) < 0)
            return -1;
    }
    return 0;
}

static int begin_measure(struct load *l)
{
    if (sample_usage(l, 0) < 0)
        return -1;
    l->phase = PHASE_MEASURE;
    l->window_from_ns = clock_ns();
    return 0;
}

static int end_measure(struct load *l)
{
    l->phase = PHASE_DRAIN;
    l->window_to_ns = clock_ns();
    return sample_usage(l, 1) < 0 ? -1 : sample_memory(l, 2);
}

// send_due lets go what is due by now; in the end what was due before the end, even if
// its time passed unnoticed.
static int send_due(struct load *l, int64_t now)
{
    if (l->opt->rate == 0)
        return 0;
    for (int64_t due; (due = turn_due(l, l->scheduled)) <= now && due < l->due_to_ns; l->scheduled++) {
        if (conn_due(l, &l->conns[l->scheduled % l->opt->connections], now) < 0)
            return -1;
    }
    return 0;
}

static int advance(struct load *l, int64_t now)
{
    int64_t measure_end_ns = l->window_from_ns + (int64_t)(l->opt->seconds * 1e9);
    if (interrupted && l->phase < PHASE_DRAIN) {
        l->due_to_ns = now;
        return l->phase == PHASE_MEASURE || begin_measure(l) == 0 ? end_measure(l) : -1;
    }
    if (l->phase == PHASE_WARMUP && now >= l->due_from_ns)
        return begin_measure(l);
    if (l->phase == PHASE_MEASURE && now >= measure_end_ns)
        return end_measure(l);
    if (l->phase == PHASE_DRAIN && l->pending == 0)
        l->phase = PHASE_DONE;
    return check_alive(l, now);
}

static int64_t next_deadline(const struct load *l, int64_t now)
{
    int64_t next = now + S; // look at the world once a second in any case
    if (l->phase == PHASE_WARMUP && l->due_from_ns < next)
        next = l->due_from_ns;
    if (l->phase == PHASE_MEASURE && l->due_to_ns < next)
        next = l->due_to_ns > now ? l->due_to_ns : now + MS;
    if (l->opt->rate > 0 && l->phase < PHASE_DRAIN && turn_due(l, l->scheduled) < next)
        next = turn_due(l, l->scheduled);
    return next;
}

// settle lets the server accept what is connected before the first message. Else, on
// one CPU, it starts with a backlog that a closed loop never works off: the client
// sleeps, and each reply wakes it to preempt the server.
static void settle(void)
{
    pause_ms(200);
}

int load_run(struct load *l)
{
    if (connect_all(l) < 0)
        return -1;
    settle();
    if (run_bursts(l) < 0)
        return -1;
    if (l->opt->burst > 0)
        settle();
    if (begin_warmup(l) < 0)
        return -1;
    while (l->phase != PHASE_DONE) {
        int64_t now = clock_ns();
        if (send_due(l, now) < 0 || advance(l, now) < 0)
            return -1;
        if (l->phase != PHASE_DONE && turn(l, next_deadline(l, now) - now) < 0)
            return -1;
    }
    l->interrupted = interrupted;
    return 0;
}
