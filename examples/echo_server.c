// An echo server with a task for each connection, which reads and writes as if it had
// its own thread.
//
//   echo_server --listen 127.0.0.1:7000 --workers 2
//
// SIGINT and SIGTERM end it: it stops accepting, gives the connections some time to
// finish, and cancels the rest.
#include <argp.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <weft.h>

static struct {
    const char *listen;
    unsigned workers;
    weft_time grace;

    int signals;         // a signalfd
    int listener;        // the socket
    weft_future stop;    // completed by the first signal
    weft_future drained; // by the last connection that ends, or by a second signal
    atomic_long open;    // connections, and one for the server itself
} server = { .listen = "127.0.0.1:7000", .grace = WEFT_S(5), .stop = WEFT_FUTURE_INIT, .drained = WEFT_FUTURE_INIT };

// --- a connection --------------------------------------------------------------------

// echo sends back what it receives. Returns: 0 at the end of the stream; an error; 1
// once a read has filled the buffer.
static int echo(int fd, char *buf, size_t size)
{
    ssize_t n;

    while ((n = weft_read(fd, buf, size)) > 0) {
        int err = weft_write_all(fd, buf, (size_t)n, NULL);
        if (err < 0 || (size_t)n == size)
            return err < 0 ? err : 1;
    }
    return (int)n;
}

// echo_much has a larger buffer, for fewer system calls. It is a separate function, so
// that only busy connections use the memory for it.
__attribute__((noinline)) static int echo_much(int fd)
{
    char buf[16384];
    int more;

    while ((more = echo(fd, buf, sizeof(buf))) > 0)
        ;
    return more;
}

// A task's stack is memory only where it has been touched. With the small buffer, an
// idle connection touches only the topmost page, so it costs 4 KiB. (With echo_much's
// buffer in this function it would cost five pages, because the compiler probes each
// page of a large frame, so that it cannot jump over the guard.)
static int serve(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char buf[1024];

    if (echo(fd, buf, sizeof(buf)) > 0)
        echo_much(fd);
    weft_close(fd); // after the end of the stream, a reset, or a cancel
    if (atomic_fetch_sub(&server.open, 1) == 1)
        weft_future_complete(&server.drained, 0);
    return 0;
}

// --- the server ----------------------------------------------------------------------

static void start(int fd)
{
    int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); // do not delay small answers
    atomic_fetch_add(&server.open, 1);
    if (weft_spawn(NULL, serve, (void *)(intptr_t)fd) == 0)
        return;
    atomic_fetch_sub(&server.open, 1); // never the last: the server's own count remains
    weft_close(fd);
}

// accept_all ends when the listener is closed. Other errors are temporary (most likely
// no descriptors or no memory are left), and the clients still wait. So the server
// waits a little and tries again.
static int accept_all(void *arg)
{
    bool said = false;
    (void)arg;

    for (;;) {
        int fd = weft_accept(server.listener, NULL, NULL);
        if (fd == -EBADF || fd == -ECANCELED)
            return 0;
        if (fd >= 0)
            start(fd);
        else if (weft_sleep(WEFT_MS(10)) == 0 && !said)
            fprintf(stderr, "echo_server: accept: %s; retrying\n", weft_strerror(fd));
        said = fd < 0;
    }
}

static int watch_signals(void *arg)
{
    struct signalfd_siginfo info;
    (void)arg;

    if (weft_read(server.signals, &info, sizeof(info)) > 0)
        weft_future_complete(&server.stop, 0);
    if (weft_read(server.signals, &info, sizeof(info)) > 0)
        weft_future_complete(&server.drained, 0);
    return 0;
}

static int announce(void)
{
    char at[64];

    int err = weft_local_addr(server.listener, at, sizeof(at));
    if (err < 0)
        return err;
    printf("listening on %s\n", at);
    return fflush(stdout) == 0 ? 0 : -EIO;
}

// run is the first task. When it returns, weft_run cancels the tasks that still run.
static int run(void *arg)
{
    weft_task *acceptor;
    (void)arg;

    int err = announce();
    if (err == 0)
        err = weft_spawn(NULL, watch_signals, NULL);
    if (err == 0)
        err = weft_spawn(&acceptor, accept_all, NULL);
    if (err < 0)
        return err;

    weft_await(&server.stop, NULL);
    weft_close(server.listener);
    weft_join(acceptor, NULL);
    if (atomic_fetch_sub(&server.open, 1) > 1)
        weft_await_until(&server.drained, NULL, weft_after(server.grace));
    return 0;
}

// --- the process ---------------------------------------------------------------------

static long number(const char *text, long max, struct argp_state *state, const char *option)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (*text == 0 || *end || n < 0 || n > max)
        argp_error(state, "--%s: '%s' is no number from 0 to %ld", option, text, max);
    return n;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    if (key == 'l')
        server.listen = arg;
    else if (key == 'w')
        server.workers = (unsigned)number(arg, 256, state, "workers");
    else if (key == 'g')
        server.grace = WEFT_S(number(arg, 86400, state, "grace"));
    else if (key == ARGP_KEY_ARG)
        argp_error(state, "'%s': no such argument", arg);
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static const struct argp_option options[] = {
    { "listen", 'l', "ADDR", 0, "Address to serve, 127.0.0.1:7000 by default; :PORT: all; port 0: a free one", 0 },
    { "workers", 'w', "N", 0, "Threads that run tasks; 0 (the default): one for each usable CPU", 0 },
    { "grace", 'g', "SECONDS", 0, "Time for connections to finish after SIGINT or SIGTERM; 5 by default", 0 },
    { 0 },
};
static const struct argp syntax = { options, parse, NULL, "Sends back whatever it receives.", NULL, NULL, NULL };

// Each connection needs a descriptor, and the usual limit of 1024 is only for
// select(2).
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

// take_signals blocks the signals in all later threads; the program reads them from the
// descriptor instead.
static int take_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

int main(int argc, char **argv)
{
    weft_config cfg = WEFT_CONFIG_INIT;

    argp_err_exit_status = 2;
    argp_parse(&syntax, argc, argv, 0, NULL, NULL);
    raise_descriptor_limit();
    atomic_init(&server.open, 1);
    server.signals = take_signals();
    if (server.signals < 0) {
        perror("echo_server: signalfd");
        return 1;
    }
    server.listener = weft_tcp_listen(server.listen);
    if (server.listener < 0) {
        fprintf(stderr, "echo_server: cannot listen on '%s': %s\n", server.listen, weft_strerror(server.listener));
        return server.listener <= WEFT_ADDR_FORM ? 2 : 1;
    }
    cfg.workers = server.workers;
    int err = weft_run(&cfg, run, NULL);
    if (err < 0)
        fprintf(stderr, "echo_server: %s\n", weft_strerror(err));
    return err < 0;
}
