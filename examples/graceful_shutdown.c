// Graceful shutdown. This server counts the bytes that a client sends, and tells the
// sum when the client has finished. SIGTERM (or Ctrl-C) ends it well: there are no new
// clients, the present ones have a period of grace, and a client that is not done by
// then is told how far it got, so that it can go on elsewhere.
//
//   graceful_shutdown 127.0.0.1:7000 5000               (milliseconds of grace), and beside it:
//   head -c 1000000 /dev/zero | nc -N 127.0.0.1 7000
//   nc 127.0.0.1 7000                                   then press Ctrl-C in the server's window
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <weft.h>

static int listener, signals;
static weft_time grace;

// The last word is said behind a shield, for then the scope's deadline may have passed.
// After that it waits for the client to hang up: to close while bytes come in would
// reset the connection, and the last word with it.
static void last_word(int fd, size_t bytes)
{
    char text[128];

    int n = snprintf(text, sizeof(text), "%zu bytes%s\n", bytes, weft_cancelled() ? ", and now I must go" : "");
    weft_shield_begin(WEFT_S(1)); // for a second at most: no client shall hold up the end
    if (weft_write_all(fd, text, (size_t)n, NULL) == 0 && shutdown(fd, SHUT_WR) == 0)
        while (weft_read(fd, text, sizeof(text)) > 0)
            ;
    weft_shield_end();
}

static int serve(void *arg)
{
    int fd = (int)(intptr_t)arg;
    size_t bytes = 0;
    char buf[2048];
    ssize_t n;

    weft_write_all(fd, "ready\n", 6, NULL);
    while ((n = weft_read(fd, buf, sizeof(buf))) > 0)
        bytes += (size_t)n;
    last_word(fd, bytes);
    return weft_close(fd);
}

// accept_all ends when the listener is closed, or the grace is over: a task that tries
// again must look whether it may.
static int accept_all(void *scope)
{
    for (;;) {
        int fd = weft_accept(listener, NULL, NULL);
        if (fd == -EBADF || (fd < 0 && weft_cancelled()))
            return 0;
        if (fd < 0)
            weft_sleep(WEFT_MS(10)); // no descriptors or no memory are left: only for a while
        else if (weft_scope_spawn(scope, serve, (void *)(intptr_t)fd) < 0)
            weft_close(fd);
    }
}

// run is the whole life of the server. It stops accepting first, so that the scope has
// an end.
static int run(void *arg)
{
    struct signalfd_siginfo signal;
    weft_scope scope;
    (void)arg;

    weft_scope_open(&scope, WEFT_SCOPE_COLLECT);
    int err = weft_scope_spawn(&scope, accept_all, &scope);
    ssize_t n = err < 0 ? err : weft_read(signals, &signal, sizeof(signal)); // parks until one comes
    weft_close(listener);
    weft_scope_deadline(&scope, weft_after(grace));
    puts(weft_scope_close(&scope) == -ETIMEDOUT ? "some clients were cut off" : "all clients have finished");
    return n < 0 ? (int)n : 0;
}

int main(int argc, char **argv)
{
    char at[64];
    sigset_t set;

    sigemptyset(&set); // blocked in this thread and all to come: signals are read from a descriptor
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    grace = WEFT_MS(argc > 2 ? strtol(argv[2], NULL, 10) : 5000);
    listener = weft_tcp_listen(argc > 1 ? argv[1] : "127.0.0.1:7000");
    int err = listener < 0 ? listener : weft_local_addr(listener, at, sizeof(at));
    if (err > 0 && dprintf(1, "listening on %s\n", at) > 0)
        err = weft_run(NULL, run, NULL);
    return err < 0 ? fprintf(stderr, "graceful_shutdown: %s\n", weft_strerror(err)) > 0 : 0;
}
