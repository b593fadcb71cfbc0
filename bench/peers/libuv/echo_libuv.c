// echo-libuv: the echo server of the benchmark on libuv, with one loop per thread.
//
// A loop of libuv belongs to one thread, so several threads are several loops, each
// with a listener of its own on the same port. SO_REUSEPORT lets the kernel deal out
// the connections, by a hash: with few of them the loops may get very different shares,
// which is what this form costs. uv_tcp_bind has no flag for it before libuv 1.49,
// hence setsockopt.
//
// Bytes are written as Node.js does it: uv_try_write first, which allocates nothing,
// and uv_write for what the peer did not take. Until that is gone nothing more is read
// from it. All connections of a loop read into the same buffer.
#include "bench/echo/server.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

enum { READ_BUFFER = 4096, BACKLOG = 65535 };

struct loop {
    uv_loop_t uv;
    uv_tcp_t listener;
    uv_timer_t stall;
    uint64_t stall_due; // in uv_now's milliseconds
    uv_idle_t hog;
    pthread_t thread;
    char buf[READ_BUFFER];
};

struct rest { // of the bytes that a peer did not take yet
    uv_write_t req;
    char bytes[];
};

__attribute__((noreturn)) static void die(const char *what, int err)
{
    fprintf(stderr, "echo-libuv: %s: %s\n", what, uv_strerror(err));
    exit(1);
}

static void check(const char *what, int err)
{
    if (err < 0)
        die(what, err);
}

// --- connections ---------------------------------------------------------------------

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

static void drop(uv_stream_t *conn)
{
    if (!uv_is_closing((uv_handle_t *)conn))
        uv_close((uv_handle_t *)conn, free_handle);
}

static void lend_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    struct loop *l = handle->loop->data;
    *buf = uv_buf_init(l->buf, sizeof(l->buf));
}

static void on_read(uv_stream_t *conn, ssize_t n, const uv_buf_t *buf);

static void on_written(uv_write_t *req, int status)
{
    uv_stream_t *conn = req->handle;
    free(req->data);
    if (status < 0 || uv_read_start(conn, lend_buffer, on_read) < 0)
        drop(conn);
}

// write_rest takes a copy: the buffer is the next reader's.
static int write_rest(uv_stream_t *conn, const char *bytes, size_t n)
{
    struct rest *rest = malloc(sizeof(*rest) + n);
    if (!rest)
        return UV_ENOMEM;
    memcpy(rest->bytes, bytes, n);
    rest->req.data = rest;
    uv_buf_t buf = uv_buf_init(rest->bytes, (unsigned)n);
    int err = uv_write(&rest->req, conn, &buf, 1, on_written);
    if (err < 0)
        free(rest);
    else
        uv_read_stop(conn);
    return err;
}

static int echo(uv_stream_t *conn, char *bytes, size_t n)
{
    uv_buf_t buf = uv_buf_init(bytes, (unsigned)n);
    int gone = uv_try_write(conn, &buf, 1);
    if (gone == (int)n)
        return 0;
    if (gone < 0 && gone != UV_EAGAIN)
        return gone;
    size_t from = gone < 0 ? 0 : (size_t)gone;
    return write_rest(conn, bytes + from, n - from);
}

static void on_read(uv_stream_t *conn, ssize_t n, const uv_buf_t *buf)
{
    if (n < 0 || (n > 0 && echo(conn, buf->base, (size_t)n) < 0))
        drop(conn);
}

// on_connection does not learn of it when descriptors run out: libuv then accepts with
// one kept in reserve, and closes, so that the client notices.
static void on_connection(uv_stream_t *listener, int status)
{
    check("accepting", status); // what was measured from here on would mean nothing
    uv_tcp_t *conn = malloc(sizeof(*conn));
    if (!conn)
        die("malloc", UV_ENOMEM);
    check("uv_tcp_init", uv_tcp_init(listener->loop, conn));
    check("uv_accept", uv_accept(listener, (uv_stream_t *)conn));
    uv_tcp_nodelay(conn, 1); // fails if the peer is gone: reading sees that
    if (uv_read_start((uv_stream_t *)conn, lend_buffer, on_read) < 0)
        drop((uv_stream_t *)conn);
}

// --- bad neighbours ------------------------------------------------------------------

// on_stall goes by the clock, not by when it was last served; moments that have passed
// meanwhile are left out.
static void on_stall(uv_timer_t *timer)
{
    struct loop *l = timer->data;
    server_compute(STALL_MS);
    uv_update_time(&l->uv);
    uint64_t now = uv_now(&l->uv);
    do {
        l->stall_due += STALL_PERIOD_MS;
    } while (l->stall_due <= now);
    uv_timer_start(timer, on_stall, l->stall_due - now, 0);
}

static void start_stall(struct loop *l)
{
    check("uv_timer_init", uv_timer_init(&l->uv, &l->stall));
    l->stall.data = l;
    l->stall_due = uv_now(&l->uv) + STALL_PERIOD_MS;
    check("uv_timer_start", uv_timer_start(&l->stall, on_stall, STALL_PERIOD_MS, 0));
}

// on_hog is called once each turn, and the turns do not wait for anything as long as
// there is an idle handle.
static void on_hog(uv_idle_t *idle)
{
    (void)idle;
    server_compute(HOG_MS);
}

static void start_hog(struct loop *l)
{
    check("uv_idle_init", uv_idle_init(&l->uv, &l->hog));
    check("uv_idle_start", uv_idle_start(&l->hog, on_hog));
}

// --- listeners and loops -------------------------------------------------------------

static int descriptor(const struct loop *l)
{
    uv_os_fd_t fd;
    check("uv_fileno", uv_fileno((const uv_handle_t *)&l->listener, &fd));
    return fd;
}

// listen_on puts the address that it got into `addr`, so that the next one takes the
// same port.
static void listen_on(struct loop *l, struct sockaddr_storage *addr)
{
    int on = 1;
    int len = sizeof(*addr);
    check("uv_tcp_init_ex", uv_tcp_init_ex(&l->uv, &l->listener, addr->ss_family));
    if (setsockopt(descriptor(l), SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
        die("SO_REUSEPORT", -errno);
    check("uv_tcp_bind", uv_tcp_bind(&l->listener, (const struct sockaddr *)addr, 0));
    check("uv_listen", uv_listen((uv_stream_t *)&l->listener, BACKLOG, on_connection));
    check("uv_tcp_getsockname", uv_tcp_getsockname(&l->listener, (struct sockaddr *)addr, &len));
}

static void prepare(struct loop *l, const struct server_options *opt, struct sockaddr_storage *addr)
{
    check("uv_loop_init", uv_loop_init(&l->uv));
    l->uv.data = l;
    listen_on(l, addr);
    if (opt->hog)
        start_hog(l);
}

static void *run(void *arg)
{
    struct loop *l = arg;
    uv_run(&l->uv, UV_RUN_DEFAULT);
    return NULL;
}

int main(int argc, char **argv)
{
    struct server_options opt;
    server_options_parse(&opt, "The echo server on libuv, a loop a thread.", argc, argv);
    signal(SIGPIPE, SIG_IGN); // libuv writes with write()

    unsigned count = opt.workers ? opt.workers : server_cpus();
    struct sockaddr_storage addr;
    server_address(opt.listen, &addr);
    struct loop *loops = calloc(count, sizeof(*loops));
    if (!loops)
        die("calloc", UV_ENOMEM);
    for (unsigned i = 0; i < count; i++)
        prepare(&loops[i], &opt, &addr);
    if (opt.stall)
        start_stall(&loops[0]);
    for (unsigned i = 1; i < count; i++)
        check("pthread_create", -pthread_create(&loops[i].thread, NULL, run, &loops[i]));
    server_announce(descriptor(&loops[0]));
    run(&loops[0]);
}
