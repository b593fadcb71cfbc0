// echo-epoll: the floor that weft is measured against: a bare edge-triggered epoll loop
// a thread, and nothing else.
//
// Thread 0 accepts, and gives the connections to the threads in turn. SO_REUSEPORT
// would spread them by a hash: of 16 connections one thread of two may get 11, and the
// figure would depend on luck. In turn, the load is as even as it can be, which is the
// best a loop per thread can do.
//
// A connection is registered once, IN|OUT|RDHUP, edge-triggered, and stays with its
// thread. A read that did not fill the buffer has emptied the socket, and later bytes
// raise a new edge. So the loop does not read a second time to see EAGAIN; with --drain
// it does, for comparison. An end of stream that was there already shows as RDHUP in the event;
// then reading goes on until it is reached. What a peer does not take is kept aside,
// and nothing more is read from it until that is gone.
#include "bench/echo/server.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { EVENTS_MAX = 256 };

struct conn {
    int fd;
    size_t kept_from; // of the bytes that the peer did not take yet
    size_t kept_to;
    char *kept; // NULL: there are none
};

struct loop {
    const struct server_options *opt;
    struct loop *all;
    unsigned count;
    unsigned turn; // loop 0 only: the loop that gets the next connection
    int listener;  // loop 0 only, else -1; so is the next
    int stall;     // timerfd, or -1
    int epoll;
    pthread_t thread;
    char buf[SERVER_BUFFER];
};

__attribute__((noreturn)) static void die(const char *what)
{
    perror(what);
    exit(1);
}

// --- connections ---------------------------------------------------------------------

static void drop(struct conn *c)
{
    close(c->fd);
    free(c->kept);
    free(c);
}

static int keep(struct conn *c, const char *bytes, size_t n)
{
    c->kept = malloc(n);
    if (!c->kept)
        return -ENOMEM;
    memcpy(c->kept, bytes, n);
    c->kept_from = 0;
    c->kept_to = n;
    return 0;
}

// flush writes what was kept.  Returns: 0 all gone; -EAGAIN; another error.
static int flush(struct conn *c)
{
    while (c->kept_from < c->kept_to) {
        ssize_t n = send(c->fd, c->kept + c->kept_from, c->kept_to - c->kept_from, MSG_NOSIGNAL);
        if (n < 0)
            return -errno;
        c->kept_from += (size_t)n;
    }
    free(c->kept);
    c->kept = NULL;
    return 0;
}

// echo writes `n` bytes back.  Returns: 0 all gone; -EAGAIN if some had to be kept;
// another error.
static int echo(struct conn *c, const char *bytes, size_t n)
{
    ssize_t m = send(c->fd, bytes, n, MSG_NOSIGNAL);
    if (m == (ssize_t)n)
        return 0;
    if (m < 0 && errno != EAGAIN)
        return -errno;
    size_t gone = m < 0 ? 0 : (size_t)m;
    int err = keep(c, bytes + gone, n - gone);
    return err ? err : flush(c); // tried until EAGAIN: only then is there an edge to come
}

// serve handles one event.  Returns: 0, or -EAGAIN, if the connection goes on; another
// error, or -ENODATA, at its end.
static int serve(struct loop *l, struct conn *c, uint32_t events)
{
    bool until_empty = l->opt->drain || c->kept || (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
    if (!until_empty && !(events & EPOLLIN))
        return 0;
    int err = c->kept ? flush(c) : 0;
    while (!err) {
        ssize_t n = recv(c->fd, l->buf, sizeof(l->buf), 0);
        if (n <= 0)
            return n == 0 ? -ENODATA : -errno;
        err = echo(c, l->buf, (size_t)n);
        if (!until_empty && (size_t)n < sizeof(l->buf))
            break;
    }
    return err;
}

static int take(struct loop *l, int fd)
{
    int on = 1;
    struct conn *c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    c->fd = fd;
    struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c };
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
        epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) < 0) {
        free(c);
        return -errno;
    }
    return 0;
}

static void accept_all(struct loop *l)
{
    for (;;) {
        int fd = accept4(l->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && errno == EAGAIN)
            return;
        if (fd < 0 && errno == ECONNABORTED)
            continue;
        if (fd < 0)
            die("accept4"); // out of descriptors, say: what was measured from here on would mean nothing
        if (take(&l->all[l->turn++ % l->count], fd) < 0)
            die("taking a connection");
    }
}

// --- loops ---------------------------------------------------------------------------

static void handle(struct loop *l, const struct epoll_event *ev)
{
    if (ev->data.ptr == &l->listener) {
        accept_all(l);
    } else if (ev->data.ptr == &l->stall) {
        uint64_t ticks;
        if (read(l->stall, &ticks, sizeof(ticks)) == sizeof(ticks))
            server_compute(STALL_MS);
    } else {
        struct conn *c = ev->data.ptr;
        int err = serve(l, c, ev->events);
        if (err && err != -EAGAIN)
            drop(c);
    }
}

static void *run(void *arg)
{
    struct loop *l = arg;
    struct epoll_event events[EVENTS_MAX];
    for (;;) {
        int n = epoll_wait(l->epoll, events, EVENTS_MAX, l->opt->hog ? 0 : -1);
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < n; i++)
            handle(l, &events[i]);
        if (l->opt->hog)
            server_compute(HOG_MS);
    }
    return NULL;
}

static void watch(struct loop *l, int *fd)
{
    struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.ptr = fd };
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, *fd, &ev) < 0)
        die("epoll_ctl");
}

static int start_stalls(void)
{
    const struct timespec period = { .tv_nsec = STALL_PERIOD_MS * 1000000 };
    const struct itimerspec timer = { .it_interval = period, .it_value = period };
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (fd < 0 || timerfd_settime(fd, 0, &timer, NULL) < 0)
        die("timerfd");
    return fd;
}

// --- the threads ---------------------------------------------------------------------

static void start(struct loop *loops, unsigned count, const struct server_options *opt)
{
    for (unsigned i = 0; i < count; i++) {
        loops[i] = (struct loop){ .opt = opt, .all = loops, .count = count, .listener = -1, .stall = -1 };
        loops[i].epoll = epoll_create1(EPOLL_CLOEXEC);
        if (loops[i].epoll < 0)
            die("epoll_create1");
    }
    for (unsigned i = 1; i < count; i++) {
        errno = pthread_create(&loops[i].thread, NULL, run, &loops[i]);
        if (errno)
            die("pthread_create");
    }
}

int main(int argc, char **argv)
{
    struct server_options opt;
    server_options_parse(&opt, "The echo server that is nothing but epoll: what weft is measured against.", argc, argv);

    unsigned count = opt.workers ? opt.workers : server_cpus();
    struct loop *loops = calloc(count, sizeof(*loops));
    if (!loops)
        die("calloc");
    start(loops, count, &opt);
    loops[0].listener = server_listen(opt.listen, SOCK_NONBLOCK);
    watch(&loops[0], &loops[0].listener);
    if (opt.stall) {
        loops[0].stall = start_stalls();
        watch(&loops[0], &loops[0].stall);
    }
    server_announce(loops[0].listener);
    run(&loops[0]);
}
