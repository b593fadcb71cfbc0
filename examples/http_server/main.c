// An HTTP/1.1 server: keep-alive, pipelining, chunked bodies, limits on every size and
// time; /plaintext, /json, /echo, /metrics, and the files of a folder.
//
//   http_server --listen 127.0.0.1:8080 --workers 2 --root /usr/share/doc
//
// SIGINT and SIGTERM end it: requests that have begun are answered.
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "http.h"

static weft_drain batches = WEFT_DRAIN_INIT;
static int listener;
static _Atomic uint64_t all_requests, all_connections, open_connections;

// --- routes --------------------------------------------------------------------------

static int plaintext(struct conn *c)
{
    return reply(c, 200, "text/plain", "Hello, World!", 13);
}

static int json(struct conn *c)
{
    char text[64];
    int n = snprintf(text, sizeof(text), "{\"message\":\"%s\"}", "Hello, World!");
    return reply(c, 200, "application/json", text, (size_t)n);
}

static int metrics(struct conn *c)
{
    char text[512]; // relaxed: each is a figure by itself
    int n = snprintf(text, sizeof(text),
                     "# TYPE http_requests_total counter\nhttp_requests_total %llu\n"
                     "# TYPE http_connections_total counter\nhttp_connections_total %llu\n"
                     "# TYPE http_connections gauge\nhttp_connections %llu\n",
                     (unsigned long long)atomic_load_explicit(&all_requests, memory_order_relaxed),
                     (unsigned long long)atomic_load_explicit(&all_connections, memory_order_relaxed),
                     (unsigned long long)atomic_load_explicit(&open_connections, memory_order_relaxed));
    return reply(c, 200, "text/plain; version=0.0.4", text, (size_t)n);
}

static const struct route {
    const char *path, *allow;
    int (*fn)(struct conn *c);
} routes[] = {
    { "/plaintext", "Allow: GET, HEAD\r\n", plaintext },
    { "/json", "Allow: GET, HEAD\r\n", json },
    { "/echo", "Allow: POST\r\n", reply_echo },
    { "/metrics", "Allow: GET, HEAD\r\n", metrics },
};
static const struct route files = { "", "Allow: GET, HEAD\r\n", file_reply };

static const struct route *find_route(const char *path)
{
    size_t n = strcspn(path, "?");

    for (size_t i = 0; i < sizeof(routes) / sizeof(*routes); i++)
        if (strlen(routes[i].path) == n && memcmp(routes[i].path, path, n) == 0)
            return &routes[i];
    return file_has_root() ? &files : NULL;
}

static int answer(struct conn *c)
{
    const struct route *route = find_route(c->req.path);
    bool reads = c->req.method == HTTP_GET || c->req.method == HTTP_HEAD;

    if (!route)
        return reply_error(c, 404);
    if (route->fn == reply_echo ? c->req.method == HTTP_POST : reads)
        return route->fn(c);
    return reply_head(c, 405, NULL, 0, route->allow);
}

// --- connections ---------------------------------------------------------------------

// refuse answers what cannot be accepted, and closes. A client that was too slow has its
// scope cut short: a new one gives it a moment to hear of it.
static int refuse(struct conn *c, int status)
{
    weft_scope_close(&c->limit);
    weft_scope_open(&c->limit, WEFT_SCOPE_COLLECT);
    conn_limit(c, 1);
    c->closing = true;
    int err = reply_error(c, status);
    return err < 0 ? err : weft_writer_flush(&c->out);
}

// serve_batch answers the requests that have come together.
static int serve_batch(struct conn *c)
{
    const void *rest;
    int err;

    do {
        int status = request_read(c);
        if (status > 0 || (status == -ETIMEDOUT && weft_cancelled()))
            return refuse(c, status > 0 ? status : 408);
        if (status < 0)
            return status;
        conn_allow(c);
        c->closing = weft_draining(&batches);
        c->requests++;
        err = answer(c);
    } while (err == 0 && !c->closing && weft_reader_peek(&c->in, &rest, 0) > 0);
    return err < 0 ? err : weft_writer_flush(&c->out);
}

static void serve_stream(weft_stream s, int fd)
{
    struct conn c;
    const void *first;
    int err = 0;

    conn_init(&c, s, fd);
    conn_limit(&c, IDLE_SECONDS);
    while (err == 0 && !c.closing && weft_reader_peek(&c.in, &first, 1) > 0 && weft_drain_enter(&batches) == 0) {
        err = serve_batch(&c);
        weft_drain_leave(&batches);
        atomic_fetch_add_explicit(&all_requests, c.requests, memory_order_relaxed); // relaxed: a figure
        c.requests = 0;
    }
    conn_fini(&c);
}

// linger_end lets the client read a last reply: a close while bytes of its request are
// unread would reset the connection.
static void linger_end(int fd)
{
    char rest[4096];
    weft_scope moment;

    shutdown(fd, SHUT_WR);
    weft_scope_open(&moment, WEFT_SCOPE_COLLECT);
    weft_scope_deadline(&moment, weft_after(WEFT_S(1)));
    for (int i = 0; i < 256 && weft_read(fd, rest, sizeof(rest)) > 0; i++)
        ;
    weft_scope_close(&moment);
}

static int serve(void *arg)
{
    int fd = (int)(intptr_t)arg;

    atomic_fetch_add_explicit(&all_connections, 1, memory_order_relaxed); // relaxed: figures, here and below
    atomic_fetch_add_explicit(&open_connections, 1, memory_order_relaxed);
    serve_stream(weft_fd_stream(fd), fd);
    linger_end(fd);
    atomic_fetch_sub_explicit(&open_connections, 1, memory_order_relaxed);
    return weft_close(fd);
}

// --- the server ----------------------------------------------------------------------

// accept_all ends when the listener is closed. Other errors pass: no descriptors are
// left, most likely.
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
    int signo, err = weft_spawn(NULL, accept_all, NULL);

    if (err == 0)
        err = weft_chan_recv(signals, &signo);
    weft_close(listener);
    int late = weft_drain_begin(&batches, weft_after(WEFT_S(10)));
    return err < 0 ? err : late < 0 ? late : 0;
}

static int start(const char *from, const weft_config *cfg)
{
    weft_chan *signals;
    char at[64];

    int err = weft_chan_new(&signals, sizeof(int), 1);
    if (err < 0)
        return err;
    if ((err = weft_signal_notify(signals, SIGTERM)) == 0 && (err = weft_signal_notify(signals, SIGINT)) == 0 &&
        (err = listener = weft_tcp_listen(from)) >= 0 && (err = weft_local_addr(listener, at, sizeof(at))) >= 0) {
        dprintf(STDOUT_FILENO, "listening on %s\n", at);
        err = weft_run(cfg, run, signals);
    }
    weft_chan_unref(signals);
    return err;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "listen", required_argument, NULL, 'l' },
        { "workers", required_argument, NULL, 'w' },
        { "root", required_argument, NULL, 'r' },
        { NULL, 0, NULL, 0 },
    };
    const char *from = "127.0.0.1:8080";
    weft_config cfg = WEFT_CONFIG_INIT;
    int err = 0;

    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 'l')
            from = optarg;
        else if (o == 'w')
            cfg.workers = (unsigned)atoi(optarg);
        else if (o == 'r')
            err = file_root(optarg);
        else
            return fprintf(stderr, "http_server [--listen ADDR] [--workers N] [--root DIR]\n") > 0 ? 2 : 2;
    }
    if (err == 0)
        err = start(from, &cfg);
    if (err < 0)
        fprintf(stderr, "http_server: %s\n", weft_strerror(err));
    return err < 0;
}
