// Graceful shutdown: at SIGTERM the server leaves clients between two requests at once, and gives the others some time
// (an argument, in ms). A request is lines up to an empty one; the answer says how many bytes they have.
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

static weft_drain busy = WEFT_DRAIN_INIT; // requests, not connections: those may be idle
static weft_future stopping = WEFT_FUTURE_INIT;

static int serve(void *arg)
{
    int len, fd = (int)(intptr_t)arg;
    ssize_t bytes, n = 0;
    char text[64];
    const char *line;
    const void *rest;
    weft_reader r;
    weft_case c[] = { weft_on_future(&stopping), weft_on_fd(fd, POLLIN) };

    weft_reader_init(&r, weft_fd_stream(fd), 1024);
    while (n == 0 && (weft_reader_peek(&r, &rest, 0) > 0 || weft_select(c, 2) == 1) && weft_drain_enter(&busy) == 0) {
        for (bytes = 0; (n = weft_reader_line(&r, &line)) > 0; bytes += n)
            weft_write_all(fd, "go on\n", 6, NULL);
        len = sprintf(text, "%zd bytes%s\n", bytes, weft_cancelled() ? ", and now I must go" : "");
        weft_shield_begin(WEFT_S(1)); // a second for the answer
        weft_write_all(fd, text, (size_t)len, NULL);
        weft_shield_end();
        weft_drain_leave(&busy);
    }
    weft_reader_fini(&r);
    return weft_close(fd);
}

static int run(void *grace)
{
    weft_chan *signals;
    char at[64];
    int signo, fd, listener = weft_tcp_listen("127.0.0.1:0"), err = listener;

    if (err < 0 || (err = weft_chan_new(&signals, sizeof(int), 1)) < 0 ||
        (err = weft_signal_notify(signals, SIGTERM)) < 0 || (err = weft_local_addr(listener, at, sizeof(at))) < 0 ||
        dprintf(1, "listening on %s\n", at) < 0)
        return err;
    weft_case next[] = { weft_on_recv(signals, &signo), weft_on_fd(listener, POLLIN) };
    while (weft_select(next, 2) == 1)
        if ((fd = weft_accept(listener, NULL, NULL)) < 0)
            weft_sleep(WEFT_MS(10)); // no descriptors or no memory left, for the moment
        else if (weft_spawn(NULL, serve, (void *)(intptr_t)fd) < 0)
            weft_close(fd);
    weft_close(listener);
    weft_future_complete(&stopping, 0);
    err = weft_drain_begin(&busy, weft_after(WEFT_MS((intptr_t)grace)));
    return puts(err < 0 ? "some requests were cut off" : "all requests are answered"); // weft_run cancels the rest
}

int main(int argc, char **argv)
{
    return weft_run(NULL, run, (void *)(argc > 1 ? strtol(argv[1], NULL, 10) : 5000)) < 0;
}
