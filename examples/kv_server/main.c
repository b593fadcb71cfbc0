// A key-value server with Redis's protocol, RESP, on all cores.
//
//   kv_server --listen 127.0.0.1:6379 --workers 2 --snapshot kv.dump
//   redis-benchmark -P 16 -q
//
// SIGINT and SIGTERM end it: requests that have begun are answered, and the snapshot is
// written. As GLib's data structures do, the program ends when memory is exhausted.
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "server.h"

static const char *snapshot;
static weft_drain batches = WEFT_DRAIN_INIT;
static int listener;

// serve_batch answers all requests in the buffer.
static int serve_batch(struct conn *c)
{
    const void *rest;
    ssize_t size;

    do {
        size = request_read(c);
        if (size < 0)
            break;
        command_run(c);
        request_done(c, size);
        atomic_store_explicit(&c->commands, atomic_load_explicit(&c->commands, memory_order_relaxed) + 1,
                              memory_order_relaxed); // relaxed: only this task writes the figure
    } while (!c->closing && c->out->len < OUT_MAX && weft_reader_peek(&c->in, &rest, 0) > 0 &&
             !weft_draining(&batches));
    int err = conn_flush(c);
    return size < 0 ? (int)size : err < 0 ? err : c->closing ? -ESHUTDOWN : 0;
}

static int serve(void *arg)
{
    int fd = (int)(intptr_t)arg, err = 0;
    const void *first;
    struct conn c;

    conn_init(&c, weft_fd_stream(fd), fd);
    clients_add(&c);
    while (err == 0 && weft_reader_peek(&c.in, &first, 1) > 0 && weft_drain_enter(&batches) == 0) {
        err = serve_batch(&c);
        weft_drain_leave(&batches);
    }
    clients_remove(&c);
    conn_fini(&c);
    return weft_close(fd);
}

// accept_all ends when the listener is closed. Other errors are temporary: most likely
// no descriptors are left.
static int accept_all(void *arg)
{
    (void)arg;

    for (;;) {
        int fd = weft_accept(listener, NULL, NULL);
        if (fd == -EBADF || (fd < 0 && weft_cancelled()))
            return 0;
        if (fd < 0)
            weft_sleep(WEFT_MS(10));
        else if (weft_spawn(NULL, serve, (void *)(intptr_t)fd) < 0)
            weft_close(fd);
    }
}

static int run(void *signals)
{
    int signo, err = snapshot ? snapshot_load(snapshot) : 0;

    if (err == 0)
        err = weft_spawn(NULL, table_sweep, NULL);
    if (err == 0)
        err = weft_spawn(NULL, accept_all, NULL);
    if (err == 0)
        err = weft_chan_recv(signals, &signo);
    weft_close(listener);
    int late = weft_drain_begin(&batches, weft_after(WEFT_S(5)));
    if (err == 0 && snapshot)
        err = snapshot_save(snapshot);
    return err < 0 ? err : late < 0 ? late : 0;
}

static int start(const char *from, weft_config *cfg)
{
    weft_chan *signals;
    char at[64];

    int err = weft_chan_new(&signals, sizeof(int), 1);
    if (err < 0)
        return err;
    if ((err = weft_signal_notify(signals, SIGTERM)) == 0 && (err = weft_signal_notify(signals, SIGINT)) == 0 &&
        (err = listener = weft_tcp_listen(from)) >= 0 && (err = weft_local_addr(listener, at, sizeof(at))) >= 0) {
        server_settings(at, cfg->workers, snapshot);
        table_init();
        commands_init();
        dprintf(STDOUT_FILENO, "listening on %s\n", at);
        err = weft_run(cfg, run, signals);
        commands_fini();
        table_fini();
    }
    weft_chan_unref(signals);
    return err;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "listen", required_argument, NULL, 'l' },
        { "workers", required_argument, NULL, 'w' },
        { "snapshot", required_argument, NULL, 's' },
        { NULL, 0, NULL, 0 },
    };
    const char *from = "127.0.0.1:6379";
    weft_config cfg = WEFT_CONFIG_INIT;

    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 'l')
            from = optarg;
        else if (o == 'w')
            cfg.workers = atoi(optarg);
        else if (o == 's')
            snapshot = optarg;
        else
            return fprintf(stderr, "kv_server [--listen ADDR] [--workers N] [--snapshot FILE]\n") > 0 ? 2 : 2;
    }
    int err = start(from, &cfg);
    if (err < 0)
        fprintf(stderr, "kv_server: %s\n", weft_strerror(err));
    return err < 0;
}
