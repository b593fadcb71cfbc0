// An HTTP/1.1 server: keep-alive, pipelining, chunked bodies, limits on every size and
// time; /plaintext, /json, /echo, /metrics, and the files of a folder.
//
//   http_server --listen 127.0.0.1:8080 --workers 2 --root /usr/share/doc
//   http_server --listen 127.0.0.1:8443 --tls cert.pem key.pem
//
// SIGINT and SIGTERM end it: requests that have begun are answered, and each reply says
// that the connection closes. SIGUSR2 starts the program again with the same listener;
// when the new process accepts, this one ends, and no request is lost. The listener may
// also come from systemd, which is told when the service is ready, reloads and stops.
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef WITH_TLS
#include <weft/tls.h>
#endif

#include "handover.h"
#include "http.h"
#include "notify.h"

enum {
    STOP_SECONDS = 10, // for requests that have begun
    LAST_SECONDS = 2,  // then, for idle connections: each may still have one request
};

static weft_drain connections = WEFT_DRAIN_INIT;
static weft_mutex lock = WEFT_MUTEX_INIT; // guards the list, and the scopes of its connections
static struct conn *all;
static int listener;
static char **arguments;
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

// add_own adds the server's figures to the runtime's.
static int add_own(int to)
{
    // relaxed: each is a figure by itself
    return dprintf(to,
                   "# TYPE http_requests_total counter\nhttp_requests_total %llu\n"
                   "# TYPE http_connections_total counter\nhttp_connections_total %llu\n"
                   "# TYPE http_connections gauge\nhttp_connections %llu\n",
                   (unsigned long long)atomic_load_explicit(&all_requests, memory_order_relaxed),
                   (unsigned long long)atomic_load_explicit(&all_connections, memory_order_relaxed),
                   (unsigned long long)atomic_load_explicit(&open_connections, memory_order_relaxed));
}

static int metrics(struct conn *c)
{
    char text[32 << 10];
    int memory = memfd_create("metrics", MFD_CLOEXEC); // takes all the text at once; a client might not
    ssize_t n = -1;

    if (memory >= 0 && weft_rt_metrics_write(weft_rt_current(), memory) == 0 && add_own(memory) > 0)
        n = pread(memory, text, sizeof(text), 0);
    if (memory >= 0)
        close(memory);
    return n < 0 ? reply_error(c, 503) : reply(c, 200, "text/plain; version=0.0.4", text, (size_t)n);
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

// refuse answers a request that cannot be accepted, and closes. If the client was too
// slow, its scope is cancelled: a new scope allows a moment for the answer.
static int refuse(struct conn *c, int status)
{
    weft_mutex_lock_shielded(&lock);
    weft_scope_close(&c->limit);
    weft_scope_open(&c->limit, WEFT_SCOPE_COLLECT);
    weft_mutex_unlock(&lock);
    conn_limit(c, 1);
    c->closing = true;
    int err = reply_error(c, status);
    return err < 0 ? err : weft_writer_flush(&c->out);
}

// serve_batch answers all requests in the buffer.
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
        c->closing = weft_draining(&connections);
        c->requests++;
        err = answer(c);
    } while (err == 0 && !c->closing && weft_reader_peek(&c->in, &rest, 0) > 0);
    return err < 0 ? err : weft_writer_flush(&c->out);
}

static void add_conn(struct conn *c)
{
    weft_mutex_lock_shielded(&lock);
    c->next = all;
    c->link = &all;
    if (all)
        all->link = &c->next;
    all = c;
    weft_mutex_unlock(&lock);
}

static void remove_conn(struct conn *c)
{
    weft_mutex_lock_shielded(&lock);
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    weft_mutex_unlock(&lock);
}

// hurry_idle gives each idle connection a moment for a last request. A request that
// begins at the same time has that moment, too.
static void hurry_idle(void)
{
    weft_mutex_lock_shielded(&lock);
    for (struct conn *c = all; c; c = c->next)
        if (atomic_load(&c->idle))
            weft_scope_deadline(&c->limit, weft_after(WEFT_S(LAST_SECONDS)));
    weft_mutex_unlock(&lock);
}

// await_request waits for the first byte of a request.
static bool await_request(struct conn *c)
{
    const void *first;

    atomic_store(&c->idle, true); // before the check: otherwise hurry_idle finds it
    if (weft_draining(&connections))
        conn_limit(c, LAST_SECONDS);
    bool came = weft_reader_peek(&c->in, &first, 1) > 0;
    atomic_store(&c->idle, false);
    return came;
}

static void serve_stream(weft_stream s, int fd)
{
    struct conn c;
    int err = 0;

    conn_init(&c, s, fd);
    conn_limit(&c, IDLE_SECONDS);
    add_conn(&c);
    while (err == 0 && !c.closing && await_request(&c)) {
        err = serve_batch(&c);
        atomic_fetch_add_explicit(&all_requests, c.requests, memory_order_relaxed); // relaxed: a figure
        c.requests = 0;
    }
    remove_conn(&c);
    conn_fini(&c);
}

// linger_end lets the client read a last reply: a close with unread bytes of its
// request would reset the connection.
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

// serve_plain serves HTTP, and serve_tls HTTP in TLS. The descriptor is closed.
static void serve_plain(int fd)
{
    serve_stream(weft_fd_stream(fd), fd);
    linger_end(fd);
    weft_close(fd);
}

#ifdef WITH_TLS
static SSL_CTX *tls_ctx;

static int shake_hands(int fd, weft_tls **tls)
{
    weft_scope limit;

    weft_scope_open(&limit, WEFT_SCOPE_COLLECT);
    weft_scope_deadline(&limit, weft_after(WEFT_S(HEAD_SECONDS)));
    int err = weft_tls_server(tls, fd, tls_ctx);
    weft_scope_close(&limit);
    return err;
}

static void serve_tls(int fd)
{
    weft_tls *tls;

    if (shake_hands(fd, &tls) < 0) {
        weft_close(fd);
        return;
    }
    serve_stream(weft_tls_stream(tls), -1);
    weft_tls_close(tls); // sends close_notify
}

static int use_tls(const char *cert, const char *key)
{
    return weft_tls_server_ctx(&tls_ctx, cert, key);
}
#else
static void *const tls_ctx;

static void serve_tls(int fd)
{
    weft_close(fd);
}

static int use_tls(const char *cert, const char *key)
{
    (void)cert, (void)key;
    return -EPROTONOSUPPORT; // built without OpenSSL
}
#endif

static int serve(void *arg)
{
    int fd = (int)(intptr_t)arg;

    atomic_fetch_add_explicit(&all_connections, 1, memory_order_relaxed); // relaxed: figures, here and below
    atomic_fetch_add_explicit(&open_connections, 1, memory_order_relaxed);
    (tls_ctx ? serve_tls : serve_plain)(fd);
    atomic_fetch_sub_explicit(&open_connections, 1, memory_order_relaxed);
    weft_drain_leave(&connections);
    return 0;
}

// --- the server ----------------------------------------------------------------------

// accept_all ends when the listener is closed; only then the drain begins, so each
// connection enters. Other errors are temporary: most likely no descriptors are left.
static int accept_all(void *arg)
{
    (void)arg;

    for (;;) {
        int fd = weft_accept(listener, NULL, NULL);
        if (fd == -EBADF || (fd < 0 && weft_cancelled()))
            return 0;
        if (fd < 0) {
            weft_sleep(WEFT_MS(10));
            continue;
        }
        int err = weft_drain_enter(&connections);
        if (err == 0 && (err = weft_spawn(NULL, serve, (void *)(intptr_t)fd)) < 0)
            weft_drain_leave(&connections);
        if (err < 0)
            weft_close(fd);
    }
}

// await_stop waits for a signal to stop, or until a new program has taken over. systemd
// is told of the former only: to it, the new process is the same service.
static int await_stop(weft_chan *signals)
{
    int signo, err;

    while ((err = weft_chan_recv(signals, &signo)) == 0 && signo == SIGUSR2) {
        err = handover_start(listener, arguments);
        if (err == 0)
            return 0;
        fprintf(stderr, "http_server: the new program did not take over: %s\n", weft_strerror(err));
    }
    notify_stopping();
    return err;
}

static int run(void *signals)
{
    weft_task *acceptor;
    int err = weft_spawn(&acceptor, accept_all, NULL);

    if (err < 0)
        return err;
    handover_ready();
    err = await_stop(signals);
    weft_close(listener);
    weft_join(acceptor, NULL);
    (void)!weft_drain_begin(&connections, 0); // only begins the drain: from now on each reply is the last one
    hurry_idle();
    int late = weft_drain_begin(&connections, weft_after(WEFT_S(STOP_SECONDS)));
    return err < 0 ? err : late < 0 ? late : 0;
}

static int start(const char *from, const weft_config *cfg)
{
    static const int signals_of_interest[] = { SIGTERM, SIGINT, SIGUSR2 };
    weft_chan *signals;
    char at[64];

    int err = weft_chan_new(&signals, sizeof(int), 4);
    if (err < 0)
        return err;
    for (size_t i = 0; err == 0 && i < sizeof(signals_of_interest) / sizeof(*signals_of_interest); i++)
        err = weft_signal_notify(signals, signals_of_interest[i]);
    if (err == 0 && (err = listener = weft_listen_inherited(NULL)) == -ENOENT)
        err = listener = weft_tcp_listen(from);
    if (err >= 0 && (err = weft_local_addr(listener, at, sizeof(at))) >= 0) {
        dprintf(STDOUT_FILENO, "listening on %s\n", at);
        err = weft_run(cfg, run, signals);
    }
    weft_chan_unref(signals);
    return err;
}

static int usage(void)
{
    fprintf(stderr, "http_server [--listen ADDR] [--workers N] [--root DIR] [--tls CERT KEY]\n");
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "listen", required_argument, NULL, 'l' },
        { "workers", required_argument, NULL, 'w' },
        { "root", required_argument, NULL, 'r' },
        { "tls", required_argument, NULL, 't' },
        { NULL, 0, NULL, 0 },
    };
    const char *from = "127.0.0.1:8080";
    weft_config cfg = WEFT_CONFIG_INIT;
    int err = 0;

    arguments = argv;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 'l')
            from = optarg;
        else if (o == 'w')
            cfg.workers = (unsigned)atoi(optarg);
        else if (o == 'r')
            err = file_root(optarg);
        else if (o == 't' && optind < argc)
            err = use_tls(optarg, argv[optind++]);
        else
            return usage();
        if (err < 0)
            break;
    }
    if (err == 0)
        err = start(from, &cfg);
    if (err < 0)
        fprintf(stderr, "http_server: %s\n", weft_strerror(err));
    return err < 0;
}
