// A reverse proxy for TCP. Each connection goes to the next of several backends, given
// by name; if that backend refuses, or does not answer in time, to the one after it.
// The proxy ends a connection without traffic after some time. After SIGTERM it accepts
// no new connections, gives the present ones time to finish, and ends.
//
//   reverse_proxy [-l ADDR] [-d DIAL-MS] [-i IDLE-MS] [-g GRACE-MS] BACKEND...
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <weft.h>

static const char *address = "127.0.0.1:7000";
static weft_time dial_time = WEFT_S(1), grace = WEFT_S(5);
static weft_relay_opts opts = WEFT_RELAY_OPTS_INIT;
static weft_drain clients = WEFT_DRAIN_INIT;
static atomic_uint turn;
static char **backends;
static unsigned count;
static int listener;

static int dial(void *backend)
{
    return weft_tcp_dial(backend);
}

static int dial_next(void)
{
    unsigned first = atomic_fetch_add(&turn, 1);
    int fd = -1;

    for (unsigned i = 0; i < count && fd < 0 && !weft_cancelled(); i++) {
        char *backend = backends[(first + i) % count];
        if ((fd = weft_timeout(dial_time, dial, backend)) < 0)
            fprintf(stderr, "reverse_proxy: %s: %s\n", backend, weft_strerror(fd));
    }
    return fd;
}

// hang_up closes a connection. It resets a failed one, so that the peer does not see an
// orderly end.
static void hang_up(int fd, bool failed)
{
    if (failed)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1 }, sizeof(struct linger));
    weft_close(fd);
}

static int serve(void *arg)
{
    int client = (int)(intptr_t)arg, server, err;

    if (weft_drain_enter(&clients) < 0)
        return weft_close(client);
    err = server = dial_next();
    if (server >= 0) {
        err = weft_relay(client, server, &opts, NULL);
        hang_up(server, err < 0);
    }
    hang_up(client, err < 0);
    weft_drain_leave(&clients);
    return err;
}

static int run(void *signals)
{
    int signo;
    weft_case next[] = { weft_on_recv(signals, &signo), weft_on_fd(listener, POLLIN) };

    while (weft_select(next, 2) == 1) {
        int fd = weft_accept(listener, NULL, NULL);
        if (fd < 0)
            weft_sleep(WEFT_MS(10)); // no descriptors or no memory left, for the moment
        else if (weft_spawn(NULL, serve, (void *)(intptr_t)fd) < 0)
            hang_up(fd, true);
    }
    weft_close(listener);
    return weft_drain_begin(&clients, weft_after(grace)) < 0; // weft_run cancels the rest
}

int main(int argc, char **argv)
{
    weft_chan *signals;
    char at[64];

    for (int c; (c = getopt(argc, argv, "l:d:i:g:")) != -1;) {
        if (c == 'l')
            address = optarg;
        else if (c == '?')
            return 2;
        else
            *(c == 'd' ? &dial_time : c == 'i' ? &opts.idle : &grace) = WEFT_MS(atol(optarg));
    }
    backends = argv + optind;
    count = (unsigned)(argc - optind);
    int err = weft_chan_new(&signals, sizeof(int), 1);
    if (err < 0 || (err = weft_signal_notify(signals, SIGTERM)) < 0 ||
        (err = listener = weft_tcp_listen(address)) < 0 || (err = weft_local_addr(listener, at, sizeof(at))) < 0)
        return fprintf(stderr, "reverse_proxy: %s\n", weft_strerror(err)) > 0;
    dprintf(1, "listening on %s\n", at);
    err = weft_run(NULL, run, signals);
    weft_chan_unref(signals);
    return err != 0;
}
