// echo-weft: weft's echo server for the benchmark: a task for each connection, written
// as straight-line code.
#include "bench/echo/server.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

__attribute__((noreturn)) static void die(const char *what, int err)
{
    fprintf(stderr, "echo-weft: %s: %s\n", what, weft_strerror(err));
    exit(1);
}

// serve is one connection.
static int serve(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char buf[SERVER_BUFFER];
    ssize_t n;
    while ((n = weft_read(fd, buf, sizeof(buf))) > 0 && weft_write_all(fd, buf, (size_t)n, NULL) == 0)
        ;
    return weft_close(fd);
}

// serve_waiting is the same for a server of many idle connections: it waits first, and
// holds a buffer only while there is something to echo. So an idle connection costs one
// page of its stack instead of two.
static int serve_waiting(void *arg)
{
    int fd = (int)(intptr_t)arg;
    ssize_t n = 1;
    while (n > 0 && (n = weft_poll(fd, POLLIN)) > 0) {
        char *buf = malloc(SERVER_BUFFER);
        n = buf ? weft_read(fd, buf, SERVER_BUFFER) : -ENOMEM;
        if (n > 0 && weft_write_all(fd, buf, (size_t)n, NULL) < 0)
            n = 0;
        free(buf);
    }
    return weft_close(fd);
}

// stall is the bad neighbour: woken by its own timer, it computes for long without
// parking.
static int stall(void *arg)
{
    (void)arg;
    weft_time next = weft_now();
    for (;;) {
        do
            next += WEFT_MS(STALL_PERIOD_MS);
        while (next <= weft_now()); // a period that was missed is left out, as by all the others
        int err = weft_sleep_until(next);
        if (err)
            return err;
        server_compute(STALL_MS);
    }
}

// hog computes all the time, but yields in between.
static int hog(void *arg)
{
    (void)arg;
    int err = 0;
    while (!err) {
        server_compute(HOG_MS);
        err = weft_yield();
    }
    return err;
}

static int sleep_for_an_hour(void *arg)
{
    (void)arg;
    return weft_sleep(WEFT_S(3600));
}

static void spawn_many(weft_fn *fn, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        int err = weft_spawn(NULL, fn, NULL);
        if (err)
            die("weft_spawn", err);
    }
}

static int listen_on(const char *addr)
{
    char text[128];
    int fd = weft_tcp_listen(addr);
    if (fd < 0)
        die(addr, fd);
    int len = weft_local_addr(fd, text, sizeof(text));
    if (len < 0)
        die("weft_local_addr", len);
    printf("listening on %s\n", text);
    fflush(stdout);
    return fd;
}

static int serve_all(void *arg)
{
    const struct server_options *opt = arg;
    int on = 1;
    spawn_many(stall, opt->stall ? 1 : 0);
    spawn_many(hog, opt->hog ? opt->workers : 0);
    spawn_many(sleep_for_an_hour, opt->timers);
    neighbours_start(opt);
    int listener = listen_on(opt->listen);
    for (;;) {
        int fd = weft_accept(listener, NULL, NULL);
        if (fd < 0)
            die("weft_accept", fd); // out of descriptors, say: what was measured from here on would mean nothing
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); // fails if the peer is gone: serve sees that
        int err = weft_spawn(NULL, opt->wait_first ? serve_waiting : serve, (void *)(intptr_t)fd);
        if (err)
            die("weft_spawn", err);
    }
}

int main(int argc, char **argv)
{
    struct server_options opt;
    server_options_parse(&opt, "weft's echo server for the benchmark.", argc, argv);
    neighbours_check(&opt);
    if (opt.workers == 0)
        opt.workers = server_cpus();
    weft_config cfg = WEFT_CONFIG_INIT;
    cfg.workers = opt.workers;
    int err = weft_run(&cfg, serve_all, &opt);
    die("weft_run", err);
}
