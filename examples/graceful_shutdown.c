// Graceful shutdown. This server counts the bytes that a client sends. SIGTERM (or
// Ctrl-C) ends it well: there are no new clients, the present ones have some time (an
// argument, in milliseconds), and one that is not done by then is told how far it got.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

static weft_drain clients = WEFT_DRAIN_INIT;
static int listener;

static int serve(void *arg)
{
    int n, fd = (int)(intptr_t)arg;
    size_t bytes = 0;
    char buf[2048];

    if (weft_drain_enter(&clients) < 0)
        return weft_close(fd);
    weft_write_all(fd, "ready\n", 6, NULL);
    while ((n = (int)weft_read(fd, buf, sizeof(buf))) > 0)
        bytes += (size_t)n;
    n = snprintf(buf, sizeof(buf), "%zu bytes%s\n", bytes, weft_cancelled() ? ", and now I must go" : "");
    weft_shield_begin(WEFT_S(1)); // a second to say it, and to hear the rest: a close before that may undo it
    if (weft_write_all(fd, buf, (size_t)n, NULL) == 0 && shutdown(fd, SHUT_WR) == 0)
        while (weft_read(fd, buf, sizeof(buf)) > 0)
            ;
    weft_shield_end();
    weft_drain_leave(&clients);
    return weft_close(fd);
}

static int run(void *grace)
{
    weft_chan *signals;
    char at[64];
    int signo, fd, err = weft_chan_new(&signals, sizeof(signo), 2);

    if (err < 0 || (err = weft_signal_notify(signals, SIGTERM)) < 0 ||
        (err = weft_signal_notify(signals, SIGINT)) < 0 || (err = weft_local_addr(listener, at, sizeof(at))) < 0 ||
        dprintf(1, "listening on %s\n", at) < 0)
        return err;
    weft_case next[] = { weft_on_recv(signals, &signo), weft_on_fd(listener, POLLIN) };
    while (weft_select(next, 2) == 1)
        if ((fd = weft_accept(listener, NULL, NULL)) < 0)
            weft_sleep(WEFT_MS(10)); // no descriptors or no memory are left: only for a while
        else if (weft_spawn(NULL, serve, (void *)(intptr_t)fd) < 0)
            weft_close(fd);
    weft_close(listener);
    bool late = weft_drain_begin(&clients, weft_after(WEFT_MS((intptr_t)grace))) < 0;
    return puts(late ? "some clients were cut off" : "all clients have finished"); // weft_run cancels what is left
}

int main(int argc, char **argv)
{
    listener = weft_tcp_listen(argc > 1 ? argv[1] : "127.0.0.1:7000");
    int err = listener < 0 ? listener : weft_run(NULL, run, (void *)(argc > 2 ? strtol(argv[2], NULL, 10) : 5000));
    return err < 0 ? fprintf(stderr, "graceful_shutdown: %s\n", weft_strerror(err)) > 0 : 0;
}
