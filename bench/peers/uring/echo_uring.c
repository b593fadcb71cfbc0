// echo-uring: another floor, beside bench/peers/epoll: a bare io_uring loop per thread,
// and nothing else. Build it at the top of the tree:
//
//   cc -std=gnu11 -D_GNU_SOURCE -O2 -I. -o build/peers/uring/echo-uring
//   bench/peers/uring/echo_uring.c
//       bench/echo/server.c $(pkg-config --cflags --libs liburing) -pthread
//
// Loop 0 accepts, and gives the connections to the loops in turn, by a message to the
// other's ring: SO_REUSEPORT would spread them by a hash, an accept on each ring by
// which loop happens to be waiting. Connections are registered ("direct") descriptors
// from the beginning, and never in the table of the process.
//
// A connection has a multishot receive, which takes a buffer from the loop's ring of
// them when there are bytes, and not before. The bytes are sent from that buffer, then
// it goes back. At most one send of a connection is under way, the kernel completes it
// (MSG_WAITALL), and what comes meanwhile queues behind it. A connection whose queue is
// long has its receive cancelled until the peer has taken everything; one that found no
// buffer waits for one.
//
// The plain form, a buffer a connection and each send linked to the next receive, is
// shorter and slower. CPU time of the server for a message, with its client on the same
// CPU, median of nine rounds, Linux 6.18:
//
//                                              128 connections   1 connection
//   bare epoll                                      4.64 us         7.06 us
//   send linked to receive                          4.83 us         7.61 us
//   send linked to receive, registered files        4.70 us         7.50 us
//   this: multishot, registered files               4.58 us         7.52 us
#include "bench/echo/server.h"

#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum {
    SQES = 1024,
    CQES = 16384,
    FILES_MAX = 65536,
    BUFFERS = 1024, // of a loop, a power of two; they are used in turn, so more of them would only leave the cache
    BUFFER = 4096,
    QUEUE_MAX = 8, // buffers of one connection; some more may come before the receive is cancelled
    NONE = -1,
};

// What a completion is about: in the low bits of its user data. The rest is the
// connection, if there is one.
enum { ACCEPTED, TAKEN, RECEIVED, SENT, STALLED, DONE, TAGS = 7 };

struct conn {
    int file;        // its place among the loop's registered files
    int first;       // buffer of the queue, which is being sent; NONE: there is none
    int last;        // of the queue
    unsigned queued; // how many these are
    bool receiving;  // there is a receive that has not ended
    bool cancelled;  // ... but it will
    bool ended;      // nothing more is to be received
    bool starved;    // in the loop's queue for buffers
    struct conn *next_starved;
};

struct buffer {
    int next; // in the connection's queue
    int size; // bytes received
};

struct loop {
    struct io_uring ring;
    const struct server_options *opt;
    struct loop *all;
    unsigned count;
    int listener;  // loop 0 only; so is the next
    unsigned turn; // the loop that gets the next connection
    struct __kernel_timespec stall_due;
    struct io_uring_buf_ring *buffer_ring;
    struct buffer buffers[BUFFERS];
    unsigned buffers_free;
    char (*bytes)[BUFFER];
    struct conn *starved; // first of those that wait for a buffer
    struct conn **starved_end;
    pthread_t thread;
    pthread_barrier_t *ready; // all rings are there
};

__attribute__((noreturn)) static void die(const char *what, int err)
{
    fprintf(stderr, "echo-uring: %s: %s\n", what, strerror(err));
    exit(1);
}

static void check(const char *what, int result)
{
    if (result < 0)
        die(what, -result);
}

// --- submissions ---------------------------------------------------------------------

static struct io_uring_sqe *next_sqe(struct loop *l)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&l->ring);
    if (!sqe) {
        check("io_uring_submit", io_uring_submit(&l->ring));
        sqe = io_uring_get_sqe(&l->ring);
    }
    return sqe;
}

// room_for_two makes sure that the next two go out together: links do not reach from
// one submission to the next.
static void room_for_two(struct loop *l)
{
    if (io_uring_sq_space_left(&l->ring) < 2)
        check("io_uring_submit", io_uring_submit(&l->ring));
}

static uint64_t about(const struct conn *c, unsigned tag)
{
    return (uint64_t)(uintptr_t)c | tag;
}

// quietly is for what is heard of again only if it fails; then as `tag`.
static void quietly(struct io_uring_sqe *sqe, unsigned tag)
{
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = tag;
}

static void receive(struct loop *l, struct conn *c)
{
    struct io_uring_sqe *sqe = next_sqe(l);
    io_uring_prep_recv_multishot(sqe, c->file, NULL, 0, 0);
    sqe->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
    sqe->ioprio |= IORING_RECVSEND_POLL_FIRST; // there is seldom something to read at once
    sqe->buf_group = 0;
    sqe->user_data = about(c, RECEIVED);
    c->receiving = true;
    c->cancelled = false;
}

static void cancel_receive(struct loop *l, struct conn *c)
{
    struct io_uring_sqe *sqe = next_sqe(l);
    io_uring_prep_cancel64(sqe, about(c, RECEIVED), 0);
    quietly(sqe, DONE);
    c->cancelled = true;
}

static void send_first(struct loop *l, struct conn *c)
{
    struct io_uring_sqe *sqe = next_sqe(l);
    io_uring_prep_send(sqe, c->file, l->bytes[c->first], (size_t)l->buffers[c->first].size, MSG_NOSIGNAL | MSG_WAITALL);
    sqe->flags |= IOSQE_FIXED_FILE;
    sqe->user_data = about(c, SENT);
}

static void close_file(struct loop *l, int file)
{
    struct io_uring_sqe *sqe = next_sqe(l);
    io_uring_prep_close_direct(sqe, (unsigned)file);
    quietly(sqe, DONE);
}

// --- buffers -------------------------------------------------------------------------

static void give_back(struct loop *l, int buffer)
{
    io_uring_buf_ring_add(l->buffer_ring, l->bytes[buffer], BUFFER, (unsigned short)buffer,
                          io_uring_buf_ring_mask(BUFFERS), 0);
    io_uring_buf_ring_advance(l->buffer_ring, 1);
    l->buffers_free++;
}

static void append(struct loop *l, struct conn *c, int buffer, int size)
{
    l->buffers[buffer] = (struct buffer){ .next = NONE, .size = size };
    if (c->first == NONE)
        c->first = buffer;
    else
        l->buffers[c->last].next = buffer;
    c->last = buffer;
    c->queued++;
}

static void remove_first(struct loop *l, struct conn *c)
{
    int buffer = c->first;
    c->first = l->buffers[buffer].next;
    c->queued--;
    give_back(l, buffer);
}

// --- connections ---------------------------------------------------------------------

// go_on decides what comes next, after something of the connection was completed. It
// may be gone afterwards.
static void go_on(struct loop *l, struct conn *c)
{
    bool idle = !c->receiving && !c->starved && c->first == NONE;
    if (idle && c->ended) {
        close_file(l, c->file);
        free(c);
    } else if (idle) {
        receive(l, c);
    } else if (c->receiving && !c->cancelled && (c->ended || c->queued >= QUEUE_MAX)) {
        cancel_receive(l, c);
    }
}

static void starve(struct loop *l, struct conn *c)
{
    c->starved = true;
    c->next_starved = NULL;
    *l->starved_end = c;
    l->starved_end = &c->next_starved;
}

// feed lets as many connections receive again as there are buffers. Each of them has
// something to read, so each will be heard of, and then it is the next ones' turn.
static void feed(struct loop *l)
{
    for (unsigned n = l->buffers_free; n && l->starved; n--) {
        struct conn *c = l->starved;
        l->starved = c->next_starved;
        if (!l->starved)
            l->starved_end = &l->starved;
        c->starved = false;
        go_on(l, c);
    }
}

static void on_buffer(struct loop *l, struct conn *c, int buffer, int size)
{
    l->buffers_free--;
    if (c->ended || size <= 0) {
        give_back(l, buffer);
        return;
    }
    append(l, c, buffer, size);
    if (c->queued == 1)
        send_first(l, c);
}

static void on_received(struct loop *l, struct conn *c, const struct io_uring_cqe *cqe)
{
    c->receiving = cqe->flags & IORING_CQE_F_MORE;
    if (cqe->flags & IORING_CQE_F_BUFFER)
        on_buffer(l, c, (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT), cqe->res);
    if (cqe->res == -ENOBUFS)
        starve(l, c);
    else if (cqe->res <= 0 && cqe->res != -ECANCELED)
        c->ended = true;
    go_on(l, c);
}

// on_sent: a send that failed ends the connection, and whatever else was to be sent is
// dropped.
static void on_sent(struct loop *l, struct conn *c, int result)
{
    bool failed = result != l->buffers[c->first].size;
    c->ended |= failed;
    do {
        remove_first(l, c);
    } while (failed && c->first != NONE);
    if (c->first != NONE)
        send_first(l, c);
    go_on(l, c);
}

static void take(struct loop *l, int file)
{
    struct conn *c = calloc(1, sizeof(*c));
    if (!c)
        die("taking a connection", ENOMEM);
    c->file = file;
    c->first = NONE;
    receive(l, c);
}

// pass_on sends a file to another ring, where it is completed as TAKEN. This one's
// reference is closed after that.
static void pass_on(struct loop *l, struct loop *to, int file)
{
    room_for_two(l);
    struct io_uring_sqe *sqe = next_sqe(l);
    io_uring_prep_rw(IORING_OP_MSG_RING, sqe, to->ring.ring_fd, (void *)(uintptr_t)IORING_MSG_SEND_FD, 0, TAKEN);
    sqe->addr3 = (unsigned)file;
    sqe->file_index = IORING_FILE_INDEX_ALLOC;
    sqe->flags |= IOSQE_IO_LINK;
    quietly(sqe, TAKEN);
    close_file(l, file);
}

static void accept_all(struct loop *l)
{
    struct io_uring_sqe *sqe = next_sqe(l);
    io_uring_prep_multishot_accept_direct(sqe, l->listener, NULL, NULL, 0);
    sqe->user_data = ACCEPTED;
}

static void on_accepted(struct loop *l, const struct io_uring_cqe *cqe)
{
    check("accepting", cqe->res); // out of descriptors, say: what was measured from here on would mean nothing
    struct loop *to = &l->all[l->turn++ % l->count];
    if (to == l)
        take(l, cqe->res);
    else
        pass_on(l, to, cqe->res);
    if (!(cqe->flags & IORING_CQE_F_MORE))
        accept_all(l);
}

// --- loops ---------------------------------------------------------------------------

static void arm_stall(struct loop *l)
{
    struct timespec now;
    struct __kernel_timespec *due = &l->stall_due;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (!due->tv_sec)
        *due = (struct __kernel_timespec){ .tv_sec = now.tv_sec, .tv_nsec = now.tv_nsec };
    do { // moments that have passed meanwhile are left out
        due->tv_nsec += STALL_PERIOD_MS * 1000000;
        due->tv_sec += due->tv_nsec / 1000000000;
        due->tv_nsec %= 1000000000;
    } while (due->tv_sec < now.tv_sec || (due->tv_sec == now.tv_sec && due->tv_nsec <= now.tv_nsec));
    struct io_uring_sqe *sqe = next_sqe(l);
    io_uring_prep_timeout(sqe, due, 0, IORING_TIMEOUT_ABS);
    sqe->user_data = STALLED;
}

static void handle(struct loop *l, const struct io_uring_cqe *cqe)
{
    struct conn *c = (struct conn *)(uintptr_t)(cqe->user_data & ~(uint64_t)TAGS);
    switch (cqe->user_data & TAGS) {
    case ACCEPTED:
        on_accepted(l, cqe);
        break;
    case TAKEN:
        check("taking a connection", cqe->res);
        take(l, cqe->res);
        break;
    case RECEIVED:
        on_received(l, c, cqe);
        break;
    case SENT:
        on_sent(l, c, cqe->res);
        break;
    case STALLED:
        server_compute(STALL_MS);
        arm_stall(l);
        break;
    }
}

static void turn(struct loop *l)
{
    struct io_uring_cqe *cqe;
    unsigned head;
    unsigned n = 0;
    int err = l->opt->hog ? io_uring_submit_and_get_events(&l->ring) : io_uring_submit_and_wait(&l->ring, 1);
    if (err != -EINTR && err != -EBUSY) // busy: more completions than room; taking them makes some
        check("io_uring_enter", err);
    io_uring_for_each_cqe(&l->ring, head, cqe) {
        handle(l, cqe);
        n++;
    }
    io_uring_cq_advance(&l->ring, n);
    feed(l);
    if (l->opt->hog)
        server_compute(HOG_MS);
}

// open_ring asks for what kernel 6.1 has; older ones do not know all of it.
static void open_ring(struct loop *l)
{
    const unsigned flags[] = { IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN,
                               IORING_SETUP_COOP_TASKRUN, 0 };
    int err = -EINVAL;
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]) && err == -EINVAL; i++) {
        struct io_uring_params params = { .flags = flags[i] | IORING_SETUP_CQSIZE, .cq_entries = CQES };
        err = io_uring_queue_init_params(SQES, &l->ring, &params);
    }
    check("io_uring_setup", err);
    check("io_uring_register_ring_fd", io_uring_register_ring_fd(&l->ring));
}

static void register_files(struct loop *l)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        die("getrlimit", errno);
    unsigned n = limit.rlim_cur < FILES_MAX ? (unsigned)limit.rlim_cur : FILES_MAX;
    check("registering files", io_uring_register_files_sparse(&l->ring, n));
}

static void *pages(size_t size)
{
    void *p = aligned_alloc(4096, size);
    if (!p)
        die("aligned_alloc", ENOMEM);
    return p;
}

static void register_buffers(struct loop *l)
{
    l->buffer_ring = pages(BUFFERS * sizeof(struct io_uring_buf));
    l->bytes = pages(sizeof(char[BUFFERS][BUFFER]));
    struct io_uring_buf_reg reg = { .ring_addr = (uintptr_t)l->buffer_ring, .ring_entries = BUFFERS };
    check("registering buffers", io_uring_register_buf_ring(&l->ring, &reg, 0));
    io_uring_buf_ring_init(l->buffer_ring);
    for (int i = 0; i < BUFFERS; i++)
        give_back(l, i);
}

// prepare is for the loop's own thread: a ring may belong to the one that opened it.
static void prepare(struct loop *l)
{
    open_ring(l);
    register_files(l);
    register_buffers(l);
    l->starved_end = &l->starved;
    pthread_barrier_wait(l->ready);
}

static void *run(void *arg)
{
    struct loop *l = arg;
    prepare(l);
    for (;;)
        turn(l);
    return NULL;
}

// --- the listening socket ------------------------------------------------------------

// Accepted sockets inherit TCP_NODELAY: a registered one has no descriptor that
// setsockopt could be called with.
static int listen_on(const char *addr)
{
    int on = 1;
    int fd = server_listen(addr, 0);
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
        die("TCP_NODELAY", errno);
    return fd;
}

int main(int argc, char **argv)
{
    struct server_options opt;
    server_options_parse(&opt, "The echo server that is nothing but io_uring.", argc, argv);

    unsigned count = opt.workers ? opt.workers : server_cpus();
    pthread_barrier_t ready;
    struct loop *loops = calloc(count, sizeof(*loops));
    if (!loops)
        die("calloc", ENOMEM);
    pthread_barrier_init(&ready, NULL, count);
    for (unsigned i = 0; i < count; i++)
        loops[i] = (struct loop){ .opt = &opt, .all = loops, .count = count, .ready = &ready };
    for (unsigned i = 1; i < count; i++) {
        int err = pthread_create(&loops[i].thread, NULL, run, &loops[i]);
        if (err)
            die("pthread_create", err);
    }
    prepare(&loops[0]);
    loops[0].listener = listen_on(opt.listen);
    accept_all(&loops[0]);
    if (opt.stall)
        arm_stall(&loops[0]);
    server_announce(loops[0].listener);
    for (;;)
        turn(&loops[0]);
}
