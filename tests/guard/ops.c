// guard-ops repeats one operation of weft on one worker, so that tests/guard/run can
// count its instructions and system calls.
//
//   guard-ops --list    the operations, each with how often it is done; before them, what compiled this
//   guard-ops NAME      warms up, then does it that often between guard_begin and guard_end
//
// The counts cover the worker's thread between the two. So in these operations only one
// worker decides what happens next, and time has no effect: the worker's clock stands
// still unless an operation moves it. (A worker looks around after a number of turns
// that depends on their duration; under callgrind, or on a slow machine, that would be
// after each turn.)
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <weft.h>

#include "base/clock.h"
#include "bench/micro/bodies.h"
#include "tests/support/monitor_paused.h"

// callgrind sets its counters to zero where the one begins, and writes them down where
// the other does. In strace's log a system call that no other code makes marks the two
// places.
void guard_begin(void);
void guard_end(void);

__attribute__((noinline)) void guard_begin(void)
{
    (void)getppid();
}

__attribute__((noinline)) void guard_end(void)
{
    (void)getppid();
}

static struct wf_clock still;

enum { CROWD = 1000, PARTIES = 8, CONNECTIONS = 128, MESSAGE = 64, LINE = 100, LINES = 40 };

// --- tasks: the rest is in bench/micro/bodies.c --------------------------------------

// slower is not an operation to be guarded: it is `yield` with something planted, which
// the guard must find.
static void slower(long n)
{
    for (long i = 0; i < n; i++) {
        micro_ok(weft_yield(), "yield");
        (void)getuid();
        for (int planted = 0; planted < 10; planted++)
            __asm__ volatile("" ::: "memory");
    }
}

enum { FIB_N = 18, FIB_SPAWNS = 4180 };

// --- channels, futures, select -------------------------------------------------------

struct pair {
    weft_chan *there, *back;
    long n;
};

static int produces(void *arg)
{
    const struct pair *p = arg;
    for (long i = 0; i < p->n; i++)
        micro_ok(weft_chan_send(p->there, &i), "send");
    return 0;
}

static void mpsc(long n)
{
    struct pair p = { .there = micro_chan(64), .n = n };
    weft_task *producers[PARTIES];

    for (int i = 0; i < PARTIES; i++)
        producers[i] = micro_spawn(produces, &p);
    for (long i = 0, message; i < PARTIES * n; i++)
        micro_ok(weft_chan_recv(p.there, &message), "receive");
    for (int i = 0; i < PARTIES; i++)
        micro_join(producers[i]);
    weft_chan_unref(p.there);
}

struct futures {
    weft_future there, back;
    long n;
};

// Each makes the future that it has awaited anew before the other one can know.
static int completes(void *arg)
{
    struct futures *f = arg;
    for (long i = 0; i < f->n; i++) {
        micro_ok(weft_await(&f->there, NULL), "await");
        weft_future_init(&f->there);
        weft_future_complete(&f->back, i);
    }
    return 0;
}

static void future(long n)
{
    struct futures f = { WEFT_FUTURE_INIT, WEFT_FUTURE_INIT, n };
    weft_task *other = micro_spawn(completes, &f);

    for (long i = 0; i < n; i++) {
        weft_future_complete(&f.there, i);
        micro_ok(weft_await(&f.back, NULL), "await");
        weft_future_init(&f.back);
    }
    micro_join(other);
}

static int sends_in_turn(void *arg)
{
    const struct pair *p = arg;
    for (long i = 0; i < p->n; i++)
        micro_ok(weft_chan_send(i % 2 ? p->there : p->back, &i), "send");
    return 0;
}

// Nothing is there: the select waits until a message is brought.
static void select_wait(long n)
{
    long got[2];
    struct pair p = { micro_chan(0), micro_chan(0), n };
    weft_case c[2] = { weft_on_recv(p.there, &got[0]), weft_on_recv(p.back, &got[1]) };
    weft_task *sender = micro_spawn(sends_in_turn, &p);

    for (long i = 0; i < n; i++)
        micro_ok(weft_select(c, 2), "select");
    micro_join(sender);
    weft_chan_unref(p.there);
    weft_chan_unref(p.back);
}

// --- locks and scopes ----------------------------------------------------------------

static void mutex(long n)
{
    weft_mutex m = WEFT_MUTEX_INIT;
    for (long i = 0; i < n; i++) {
        micro_ok(weft_mutex_lock(&m), "lock");
        weft_mutex_unlock(&m);
    }
    weft_mutex_destroy(&m);
}

struct lockers {
    weft_mutex mutex;
    long n;
};

static int locks_and_yields(void *arg)
{
    struct lockers *l = arg;
    for (long i = 0; i < l->n; i++) {
        micro_ok(weft_mutex_lock(&l->mutex), "lock");
        micro_ok(weft_yield(), "yield");
        weft_mutex_unlock(&l->mutex);
    }
    return 0;
}

// The holder of the lock lets the others run, so that they wait for it.
static void mutex_wait(long n)
{
    struct lockers l = { WEFT_MUTEX_INIT, n };
    micro_together(PARTIES, locks_and_yields, &l);
    weft_mutex_destroy(&l.mutex);
}

static void sem(long n)
{
    weft_sem s = WEFT_SEM_INIT(1);
    for (long i = 0; i < n; i++) {
        micro_ok(weft_sem_acquire(&s, 1), "acquire");
        weft_sem_release(&s, 1);
    }
    weft_sem_destroy(&s);
}

// --- time, descriptors ---------------------------------------------------------------

struct night {
    weft_time end;
    int awake;
};

// The last one to lie down moves the clock past the end of the night: the wheel fires
// at its next tick.
static int sleeps(void *arg)
{
    struct night *night = arg;

    if (--night->awake == 0)
        wf_store_relaxed(&still.now, night->end + WEFT_MS(1)); // relaxed: of this thread alone
    micro_ok(weft_sleep_until(night->end), "sleep");
    return 0;
}

static void sleep_crowd(long n)
{
    for (long i = 0; i < n; i++) {
        struct night night = { .end = weft_after(WEFT_MS(200)), .awake = CROWD };
        micro_together(CROWD, sleeps, &night);
    }
}

static int echoes(void *arg)
{
    char buf[4096];
    const int fd = (int)(intptr_t)arg;
    ssize_t n;

    while ((n = weft_read(fd, buf, sizeof(buf))) > 0)
        micro_ok(weft_write_all(fd, buf, (size_t)n, NULL), "echo");
    return weft_close(fd);
}

// The same for servers with many idle connections: the task waits first, and has a
// buffer only while there are bytes to read.
static int echoes_when_told(void *arg)
{
    char buf[MESSAGE + 1];
    const int fd = (int)(intptr_t)arg;
    ssize_t n = 1;

    while (n > 0 && weft_poll(fd, POLLIN) > 0)
        if ((n = weft_read(fd, buf, sizeof(buf))) > 0)
            micro_ok(weft_write_all(fd, buf, (size_t)n, NULL), "echo");
    return weft_close(fd);
}

// The same in lines, by a reader and a writer: they cost no call to the system.
static int echoes_lines(void *arg)
{
    const int fd = (int)(intptr_t)arg;
    const char *line;
    weft_reader r;
    weft_writer w;
    ssize_t n;

    micro_ok(weft_reader_init(&r, weft_fd_stream(fd), 0), "a reader");
    micro_ok(weft_writer_init(&w, weft_fd_stream(fd), 0), "a writer");
    while ((n = weft_reader_line(&r, &line)) >= 0) {
        micro_ok(weft_writer_write(&w, line, (size_t)n), "write");
        micro_ok(weft_writer_write(&w, "\n", 1), "write");
        micro_ok(weft_writer_flush(&w), "flush");
    }
    return weft_close(fd);
}

// A server on a free port of this machine, and the address to dial.
struct server {
    int fd;
    char addr[64];
    long n; // how many connections it takes
};

static struct server listens(long n)
{
    struct server s = { .fd = weft_tcp_listen("127.0.0.1:0"), .n = n };
    micro_ok(s.fd, "listen");
    micro_ok(weft_local_addr(s.fd, s.addr, sizeof(s.addr)), "find out the address");
    return s;
}

// A client of the echo server, and how many messages it sends.
struct client {
    int fd;
    long n;
};

static int asks(void *arg)
{
    char buf[MESSAGE] = { [MESSAGE - 1] = '\n' };
    const struct client *c = arg;

    for (long i = 0; i < c->n; i++) {
        micro_ok(weft_write_all(c->fd, buf, sizeof(buf), NULL), "ask");
        micro_ok(weft_read_full(c->fd, buf, sizeof(buf), NULL), "read the answer");
    }
    return 0;
}

static void connect_all(struct client *clients, weft_fn *serve)
{
    const struct server s = listens(CONNECTIONS);
    for (int i = 0; i < CONNECTIONS; i++) {
        clients[i].fd = weft_tcp_dial(s.addr);
        micro_ok(clients[i].fd, "dial");
        const int fd = weft_accept(s.fd, NULL, NULL);
        micro_ok(fd, "accept");
        micro_ok(weft_spawn(NULL, serve, (void *)(intptr_t)fd), "spawn");
    }
    weft_close(s.fd);
}

// The connections are made by the warm-up, and stay: what is counted is messages, of
// both sides.
static void talk(struct client *clients, weft_fn *serve, long n)
{
    weft_task *tasks[CONNECTIONS];

    if (clients[0].n == 0)
        connect_all(clients, serve);
    for (int i = 0; i < CONNECTIONS; i++) {
        clients[i].n = n;
        tasks[i] = micro_spawn(asks, &clients[i]);
    }
    for (int i = 0; i < CONNECTIONS; i++)
        micro_join(tasks[i]);
}

static void echo(long n)
{
    static struct client clients[CONNECTIONS];
    talk(clients, echoes, n);
}

static void echo_when_told(long n)
{
    static struct client clients[CONNECTIONS];
    talk(clients, echoes_when_told, n);
}

static void echo_lines(long n)
{
    static struct client clients[CONNECTIONS];
    talk(clients, echoes_lines, n);
}

// A library's connections: it has made them, and makes its own calls; a task waits in
// between. A message takes one write and two reads of each side, of which the first
// finds nothing, and what the two waits cost.
struct library {
    int fd[2];
    long n; // of messages
};

static void await_library(int fd, char *buf)
{
    while (read(fd, buf, MESSAGE) < 0)
        micro_ok(weft_poll(fd, POLLIN), "wait for a library");
}

static int library_asks(void *arg)
{
    char buf[MESSAGE] = { 0 };
    const struct library *l = arg;

    for (long i = 0; i < l->n; i++) {
        micro_ok((int)write(l->fd[0], buf, sizeof(buf)), "ask");
        await_library(l->fd[0], buf);
    }
    return 0;
}

static int library_answers(void *arg)
{
    char buf[MESSAGE];
    const struct library *l = arg;

    for (long i = 0; i < l->n; i++) {
        await_library(l->fd[1], buf);
        micro_ok((int)write(l->fd[1], buf, sizeof(buf)), "answer");
    }
    return 0;
}

static void library(long n)
{
    static struct library libraries[CONNECTIONS];
    weft_task *tasks[CONNECTIONS][2];

    for (int i = 0; i < CONNECTIONS; i++) {
        struct library *l = &libraries[i];
        if (l->n == 0)
            micro_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, l->fd), "make a pair");
        l->n = n;
        tasks[i][1] = micro_spawn(library_answers, l);
        tasks[i][0] = micro_spawn(library_asks, l);
    }
    for (int i = 0; i < CONNECTIONS; i++)
        for (int side = 0; side < 2; side++)
            micro_join(tasks[i][side]);
}

// A stream of lines, in memory.
static ssize_t read_lines(void *lines, void *buf, size_t n)
{
    return (ssize_t)(n < LINES * LINE ? n : (memcpy(buf, lines, LINES * LINE), LINES * LINE));
}

static void line(long n)
{
    static const weft_stream_ops ops = { .size = sizeof(ops), .read = read_lines };
    static char lines[LINES * LINE];
    const char *text;
    weft_reader r;

    for (int i = 0; i < LINES; i++)
        lines[i * LINE + LINE - 1] = '\n';
    micro_ok(weft_reader_init(&r, (weft_stream){ &ops, lines }, LINE), "a reader");
    for (long i = 0; i < n; i++)
        micro_ok(weft_reader_line(&r, &text), "a line");
    weft_reader_fini(&r);
}

static int accepts(void *arg)
{
    const struct server *s = arg;
    for (long i = 0; i < s->n; i++) {
        const int fd = weft_accept(s->fd, NULL, NULL);
        micro_ok(fd, "accept");
        weft_close(fd);
    }
    return 0;
}

// The client resets its connection: no port is left in TIME_WAIT.
static void connect_close(long n)
{
    const struct linger at_once = { .l_onoff = 1 };
    struct server s = listens(n);
    weft_task *server = micro_spawn(accepts, &s);

    for (long i = 0; i < n; i++) {
        const int fd = weft_tcp_dial(s.addr);
        micro_ok(fd, "dial");
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        weft_close(fd);
    }
    micro_join(server);
    weft_close(s.fd);
}

// --- the program ---------------------------------------------------------------------

static const struct op {
    const char *name;
    void (*run)(long n);
    micro_body *body; // instead of `run`, with so many parties
    long parties;
    long n;    // enough for the worker's looks at the clock to be lost in it, no more: callgrind is fifty times slower
    long each; // the number of these in one `run(1)`
} ops[] = {
    { "yield", NULL, micro_yield, 1, 100000, 1 },
    { "yield-crowd", NULL, micro_yield_crowd, CROWD, 100, CROWD },
    { "slower", slower, NULL, 0, 10000, 1 },
    { "spawn-join", NULL, micro_spawn_join, 1, 20000, 1 },
    { "spawn-crowd", NULL, micro_spawn_crowd, CROWD, 20, CROWD },
    { "spawn-chain", NULL, micro_spawn_chain, 1, 20000, 1 },
    { "fib", NULL, micro_fib, FIB_N, 5, FIB_SPAWNS },
    { "pingpong", NULL, micro_pingpong, 1, 20000, 1 },
    { "mpsc", mpsc, NULL, 0, 5000, PARTIES },
    { "future", future, NULL, 0, 20000, 1 },
    { "select-ready", NULL, micro_select, 2, 20000, 1 },
    { "select-wait", select_wait, NULL, 0, 20000, 1 },
    { "mutex", mutex, NULL, 0, 100000, 1 },
    { "mutex-wait", mutex_wait, NULL, 0, 2000, PARTIES },
    { "sem", sem, NULL, 0, 100000, 1 },
    { "scope", NULL, micro_deadline, 1, 50000, 1 },
    { "scope-crowd", NULL, micro_scope, CROWD, 20, CROWD },
    { "sleep-crowd", sleep_crowd, NULL, 0, 5, CROWD },
    { "echo", echo, NULL, 0, 40, CONNECTIONS },
    { "echo-told", echo_when_told, NULL, 0, 40, CONNECTIONS },
    { "echo-lines", echo_lines, NULL, 0, 40, CONNECTIONS },
    { "library", library, NULL, 0, 40, CONNECTIONS },
    { "line", line, NULL, 0, 100000, 1 },
    { "connect", connect_close, NULL, 0, 500, 1 },
};

static void run_op(const struct op *op, long n)
{
    if (op->body)
        (void)op->body(n, op->parties);
    else
        op->run(n);
}

static int measure(void *arg)
{
    const struct op *op = arg;

    stop_reactor_thread();                  // else its thread fires what the worker, on a busy machine, is late for
    wf_store_relaxed(&still.now, wf_now()); // relaxed: of this thread alone, the one worker's
    wf_clock_use(&still);
    run_op(op, op->n / 5 + 1);
    guard_begin();
    run_op(op, op->n);
    guard_end();
    wf_clock_use(NULL);
    return 0;
}

static int list(void)
{
    printf("%s\n", GUARD_BUILT_BY);
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
        printf("%s %ld\n", ops[i].name, ops[i].n * ops[i].each);
    return 0;
}

static int run(const struct op *op)
{
    weft_config cfg = WEFT_CONFIG_INIT;
    cfg.workers = 1;
    cfg.seed = 1;
    return weft_run(&cfg, measure, (void *)op);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--list") == 0)
        return list();
    for (size_t i = 0; argc == 2 && i < sizeof(ops) / sizeof(ops[0]); i++)
        if (strcmp(argv[1], ops[i].name) == 0)
            return run(&ops[i]);
    fprintf(stderr, "usage: guard-ops --list | NAME\n");
    return 2;
}
