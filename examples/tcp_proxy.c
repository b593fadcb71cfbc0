// A TCP proxy: each connection is relayed to another server.
//
//   tcp_proxy --listen 127.0.0.1:7000 --to 127.0.0.1:8000 --idle 60
//
// SIGINT and SIGTERM end it: it stops accepting, gives the connections five seconds to
// finish, and cancels the rest.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <weft.h>

static const char *from = "127.0.0.1:7000", *to;
static weft_relay_opts opts = WEFT_RELAY_OPTS_INIT;
static int listener, signals;

// hang_up closes a connection. It resets a failed one, so that the peer does not see an
// orderly end.
static void hang_up(int fd, bool failed)
{
    struct linger now = { .l_onoff = 1 };

    if (failed)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    weft_close(fd);
}

static int serve(void *arg)
{
    int client = (int)(intptr_t)arg, server = weft_tcp_dial(to);

    if (server < 0)
        fprintf(stderr, "tcp_proxy: cannot connect to %s: %s\n", to, weft_strerror(server));
    int err = server < 0 ? server : weft_relay(client, server, &opts, NULL);
    hang_up(client, err < 0);
    hang_up(server, err < 0);
    return 0;
}

// accept_all ends when the listener is closed. Other errors are temporary (most likely
// no descriptors are left), and the clients still wait.
static int accept_all(void *scope)
{
    for (;;) {
        int client = weft_accept(listener, NULL, NULL);
        if (client == -EBADF || (client < 0 && weft_cancelled()))
            return 0;
        if (client < 0)
            weft_sleep(WEFT_MS(10));
        else if (weft_scope_spawn(scope, serve, (void *)(intptr_t)client) < 0)
            hang_up(client, true);
    }
}

static int run(void *arg)
{
    struct signalfd_siginfo info;
    weft_scope scope;
    (void)arg;

    weft_scope_open(&scope, WEFT_SCOPE_COLLECT);
    int err = weft_scope_spawn(&scope, accept_all, &scope);
    if (err == 0)
        weft_read(signals, &info, sizeof(info)); // parks until a signal arrives
    weft_close(listener);
    weft_scope_deadline(&scope, weft_after(WEFT_S(5)));
    weft_scope_close(&scope);
    return err;
}

int main(int argc, char **argv)
{
    char at[64];
    sigset_t set;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--listen") == 0)
            from = argv[i + 1];
        else if (strcmp(argv[i], "--to") == 0)
            to = argv[i + 1];
        else if (strcmp(argv[i], "--idle") == 0)
            opts.idle = WEFT_S(atol(argv[i + 1]));
    }
    listener = to ? weft_tcp_listen(from) : -EDESTADDRREQ;
    if (listener < 0)
        return fprintf(stderr, "tcp_proxy --listen ADDR --to ADDR [--idle SECONDS]: %s\n", weft_strerror(listener)) > 0;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    int err = weft_local_addr(listener, at, sizeof(at));
    if (err > 0 && dprintf(STDOUT_FILENO, "listening on %s\n", at) > 0)
        err = weft_run(NULL, run, NULL);
    return err < 0;
}
