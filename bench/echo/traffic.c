#include "bench/echo/load.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static bool is_idle(const struct load *l, const struct conn *c)
{
    return c >= l->conns + l->opt->connections;
}

// With --rate the messages of all connections are due in turn, evenly.
int64_t turn_due(const struct load *l, uint64_t turn)
{
    return l->started_ns + (int64_t)((double)turn * (1e9 / l->opt->rate));
}

// Message 0 of a connection is its hello, which was never due.
static int64_t message_due(const struct load *l, const struct conn *c, uint64_t message)
{
    return turn_due(l, (message - 1) * l->opt->connections + (uint64_t)(c - l->conns));
}

static void allow(struct load *l, struct conn *c, int64_t now)
{
    if (l->opt->rate == 0)
        c->asked[c->allowed % l->opt->depth] = now;
    c->allowed++;
    l->pending++;
}

// send_allowed sends what is allowed and fits into the window. What the socket does not
// take now, EPOLLOUT brings here.
static int send_allowed(struct load *l, struct conn *c)
{
    size_t size = l->opt->size;
    uint64_t window = c->done + l->opt->depth;
    uint64_t limit = (c->allowed < window ? c->allowed : window) * size;

    while (c->sent < limit) {
        const unsigned char *bytes = stream_at(&l->stream, c->serial, c->sent);
        ssize_t n = send(c->fd, bytes, limit - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return 0;
        if (n < 0)
            return load_fail(l, "send, connection %td: %s", c - l->conns, strerror(errno));
        c->sent += (size_t)n;
    }
    return 0;
}

// conn_open connects and says hello, which with --churn is the message itself.
int conn_open(struct load *l, unsigned index)
{
    struct conn *c = &l->conns[index];
    struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c };
    int64_t now = clock_ns();

    int fd = target_connect(&l->target, index);
    if (fd < 0)
        return load_fail(l, "connect, connection %u: %s", index, strerror(-fd));
    *c = (struct conn){ .fd = fd, .serial = l->serials++, .asked = c->asked };
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
        return load_fail(l, "epoll_ctl: %s", strerror(errno));
    allow(l, c, now);
    return send_allowed(l, c);
}

// conn_reopen is the step from one message to the next with --churn.
static int conn_reopen(struct load *l, struct conn *c)
{
    close(c->fd);
    c->fd = -1;
    return l->phase < PHASE_DRAIN ? conn_open(l, (unsigned)(c - l->conns)) : 0;
}

// conn_start begins the traffic proper. The sockets that have said hello are all quiet
// now.
int conn_start(struct load *l, struct conn *c, int64_t now)
{
    if (l->opt->churn)
        return conn_reopen(l, c);
    for (unsigned i = 0; i < l->opt->depth; i++)
        allow(l, c, now);
    return send_allowed(l, c);
}

static bool is_counted(const struct load *l, int64_t due)
{
    return due >= l->due_from_ns && due < l->due_to_ns;
}

int conn_due(struct load *l, struct conn *c, int64_t now)
{
    uint64_t message = c->allowed;
    int64_t due = message_due(l, c, message);
    // late because of the client itself, not because an earlier reply is still awaited
    if (is_counted(l, due) && message < c->done + l->opt->depth)
        samples_add(&l->late, (double)(now - due));
    allow(l, c, now);
    return send_allowed(l, c);
}

// With --rate it is the due time that decides whether a message counts: those that were
// due in the measured time and came back after it are the slowest ones.
static void record_by_due_time(struct load *l, const struct conn *c, uint64_t message, int64_t now)
{
    if (message == 0)
        return;
    int64_t due = message_due(l, c, message);
    if (is_counted(l, due))
        samples_add(&l->latency, (double)(now - due));
}

static void record(struct load *l, const struct conn *c, uint64_t message, int64_t now)
{
    bool in_window = l->phase == PHASE_MEASURE;
    l->messages_total++;
    l->messages += in_window;
    if (l->opt->rate > 0)
        record_by_due_time(l, c, message, now);
    else if (in_window)
        samples_add(&l->latency, (double)(now - c->asked[message % l->opt->depth]));
}

static int check(struct load *l, const struct conn *c, size_t n)
{
    if (c->received + n > c->sent)
        return load_fail(l, "connection %td: more came back than was sent", c - l->conns);
    const unsigned char *expected = stream_at(&l->stream, c->serial, c->received);
    if (memcmp(l->in, expected, n) == 0)
        return 0;
    size_t i = 0;
    while (l->in[i] == expected[i])
        i++;
    return load_fail(l, "connection %td: byte %llu came back wrong: 0x%02x, not 0x%02x", c - l->conns,
                     (unsigned long long)(c->received + i), l->in[i], expected[i]);
}

// replied takes account of the messages that are back in full, and goes on to the next
// ones.
static int replied(struct load *l, struct conn *c, int64_t now)
{
    uint64_t back = c->received / l->opt->size;
    if (back == c->done)
        return 0;

    l->last_reply_ns = now;
    l->pending -= back - c->done;
    bool next = l->phase == PHASE_WARMUP || l->phase == PHASE_MEASURE;
    if (l->opt->rate > 0 || l->opt->churn || is_idle(l, c))
        next = false;
    while (c->done < back) {
        record(l, c, c->done++, now);
        if (next)
            allow(l, c, now);
    }
    if (l->opt->churn && !is_idle(l, c))
        return l->phase == PHASE_CONNECT ? 0 : conn_reopen(l, c);
    return send_allowed(l, c);
}

// receive reads what is there. A read that did not fill the buffer has emptied the
// socket, and the next byte raises a new edge: no second call is needed to see that.
static int receive(struct load *l, struct conn *c)
{
    for (;;) {
        ssize_t n = recv(c->fd, l->in, l->in_size, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            return 0;
        if (n < 0)
            return load_fail(l, "recv, connection %td: %s", c - l->conns, strerror(errno));
        if (n == 0)
            return load_fail(l, "connection %td: closed by the server", c - l->conns);
        if (check(l, c, (size_t)n) < 0)
            return -1;
        c->received += (uint64_t)n;
        if (replied(l, c, clock_ns()) < 0)
            return -1;
        if ((size_t)n < l->in_size || c->fd < 0)
            return 0;
    }
}

int conn_event(struct load *l, struct conn *c, uint32_t events)
{
    if ((events & ~(uint32_t)EPOLLOUT) && receive(l, c) < 0)
        return -1;
    return (events & EPOLLOUT) ? send_allowed(l, c) : 0;
}
