// Two streams in memory: each end writes into its own pipe, and reads from the other's.
//
//      end 0 --- writev ---> [ pipe 0 ] --- read ---> end 1
//            <--- read ----- [ pipe 1 ] <-- writev ---
//
// A pipe is a ring under the pair's lock. A task that finds no bytes (or no room)
// empties the cell, under the lock, and waits for it. A task that puts bytes in (or
// takes some out, or ends the pipe) does so under the lock, and sets the cell after
// releasing it. So no wake is lost: a waiter has seen, under the lock, a ring without
// bytes (or room) and an empty cell. The task that next puts bytes in (or takes some
// out) sets the cell after that. If the waiter's node is in the cell by then, the set
// wakes the waiter; otherwise the waiter finds the cell set. Only a task that sees,
// under the lock, that there are no bytes (no room) again may have emptied the cell in
// between; then it is right to wait. A late set wakes a waiter needlessly; the waiter
// checks again.
//
// The pair is freed by the last close. A task that is about to set a cell is in a call
// on its own end, so that end is not closed yet.
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/assert.h"
#include "base/cell.h"
#include "base/lock.h"
#include "base/mem.h"
#include "runtime/io/fd_stream.h"
#include "runtime/wait/wait.h"

// L: under the pair's lock; A: atomic
struct pipe {
    struct wf_cell filled; // A: SET: there may be bytes, or it has ended
    struct wf_cell roomy;  // A: SET: there may be room, or its reader has closed; EMPTY at first, when no task waits
    size_t first, count;   // L: the bytes in the ring
    bool ended;            // L: no more bytes will come
    bool unread;           // L: its reader has closed
    char *bytes;           // fixed; what it points to: L
};

struct end {
    struct pair *pair;
    struct pipe *in, *out;
};

// I: fixed when the pair is made
struct pair {
    struct wf_lock lock;
    unsigned open;   // L: how many ends are not closed
    size_t capacity; // I
    struct end ends[2]; // I
    struct pipe pipes[2];
    char bytes[];
};

static size_t smaller_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void set(struct wf_cell *c)
{
    wf_cell_set(c, 1, false);
}

// clear empties a cell.  Context: under the lock.
static void clear(struct wf_cell *c)
{
    uintptr_t seen = wf_cell_value(c);

    if (seen)
        wf_cell_clear(c, seen);
}

// check_pair asserts that both rings are in the pair's memory, and that the marks of
// closed ends agree.
// Context: under the lock.
static void check_pair(const struct pair *p)
{
    unsigned open = 0;

    wf_assert(wf_lock_held(&p->lock));
    for (int i = 0; i < 2; i++) {
        const struct pipe *pipe = &p->pipes[i];
        wf_assert(pipe->first < p->capacity && pipe->count <= p->capacity);
        wf_assert(pipe->bytes == p->bytes + (size_t)i * p->capacity);
        wf_assert(pipe->ended || !p->ends[i].in->unread); // a closed end has also ended its own pipe
        open += !p->ends[i].in->unread;
    }
    wf_assert(p->open > 0 && p->open >= open);
}

// --- Bytes ---------------------------------------------------------------------------

// take_bytes copies bytes out of a ring, put_bytes into it.
static size_t take_bytes(const struct pair *p, struct pipe *pipe, char *to, size_t n)
{
    n = smaller_of(n, pipe->count);
    size_t part = smaller_of(n, p->capacity - pipe->first);
    memcpy(to, pipe->bytes + pipe->first, part);
    memcpy(to + part, pipe->bytes, n - part);
    pipe->first = (pipe->first + n) % p->capacity;
    pipe->count -= n;
    return n;
}

static size_t put_bytes(const struct pair *p, struct pipe *pipe, const char *from, size_t n)
{
    n = smaller_of(n, p->capacity - pipe->count);
    size_t at = (pipe->first + pipe->count) % p->capacity, part = smaller_of(n, p->capacity - at);
    memcpy(pipe->bytes + at, from, part);
    memcpy(pipe->bytes, from + part, n - part);
    pipe->count += n;
    return n;
}

static size_t put_all(const struct pair *p, struct pipe *pipe, const struct iovec *v, int n)
{
    size_t sum = 0;

    for (int i = 0; i < n; i++)
        if (v[i].iov_len > 0)
            sum += put_bytes(p, pipe, v[i].iov_base, v[i].iov_len);
    return sum;
}

// --- What an end can do --------------------------------------------------------------

// read_now reads the bytes that are there. Returns: also 0, at the end; -EAGAIN.
static ssize_t read_now(struct end *e, void *buf, size_t n)
{
    struct pipe *in = e->in;

    wf_lock_acquire(&e->pair->lock);
    wf_debug_check(check_pair(e->pair));
    bool ended = in->ended;
    size_t got = take_bytes(e->pair, in, buf, n);
    if (in->count == 0 && !ended)
        clear(&in->filled);
    wf_lock_release(&e->pair->lock);
    if (got > 0)
        set(&in->roomy);
    return got > 0 || ended ? (ssize_t)got : -EAGAIN;
}

static ssize_t read_end(void *self, void *buf, size_t n)
{
    struct wf_task *task = wf_require_task("a pair's read");
    struct end *e = self;
    ssize_t got = wf_check_cancel(task);

    if (got < 0 || n == 0)
        return got;
    while ((got = read_now(e, buf, n)) == -EAGAIN)
        if ((got = wf_wait_cell(&e->in->filled, WEFT_NEVER, "stream", (intptr_t)e)) < 0)
            return got;
    wf_budget_consume(task);
    return got;
}

// write_now writes what there is room for. Returns: also -EAGAIN if there is no room;
// -EPIPE.
static ssize_t write_now(struct end *e, const struct iovec *v, int n)
{
    struct pipe *out = e->out;

    wf_lock_acquire(&e->pair->lock);
    wf_debug_check(check_pair(e->pair));
    bool broken = out->ended || out->unread;
    size_t written = broken ? 0 : put_all(e->pair, out, v, n);
    if (out->count == e->pair->capacity && !broken)
        clear(&out->roomy);
    wf_lock_release(&e->pair->lock);
    if (written > 0)
        set(&out->filled);
    return broken ? -EPIPE : written > 0 ? (ssize_t)written : -EAGAIN;
}

static ssize_t writev_end(void *self, const struct iovec *v, int n)
{
    struct wf_task *task = wf_require_task("a pair's writev");
    struct end *e = self;
    ssize_t written = wf_check_cancel(task);
    size_t sum = 0;

    for (int i = 0; i < n; i++)
        sum += v[i].iov_len;
    if (written < 0 || sum == 0)
        return written;
    while ((written = write_now(e, v, n)) == -EAGAIN)
        if ((written = wf_wait_cell(&e->out->roomy, WEFT_NEVER, "stream", (intptr_t)e)) < 0)
            return written;
    wf_budget_consume(task);
    return written;
}

// ready_now tells which events hold, and empties the cells of those that do not.
static int ready_now(struct end *e, short events)
{
    int ready = 0;

    wf_lock_acquire(&e->pair->lock);
    if (e->in->count > 0 || e->in->ended)
        ready |= POLLIN;
    else
        clear(&e->in->filled);
    if (e->out->count < e->pair->capacity || e->out->ended || e->out->unread)
        ready |= POLLOUT;
    else
        clear(&e->out->roomy);
    wf_lock_release(&e->pair->lock);
    return ready & events;
}

static int poll_end(void *self, short events)
{
    int err = wf_wait_begin("a pair's poll"), ready = 0, n = 0;
    struct wf_cell *cells[2];
    struct end *e = self;

    if (events & POLLIN)
        cells[n++] = &e->in->filled;
    if (events & POLLOUT)
        cells[n++] = &e->out->roomy;
    if (n == 0)
        return -EINVAL;
    while (err == 0 && (ready = ready_now(e, events)) == 0)
        err = wf_wait_cells(cells, n, WEFT_NEVER, "stream", (intptr_t)e);
    return err < 0 ? err : ready;
}

static int shutdown_end(void *self)
{
    struct end *e = self;

    wf_lock_acquire(&e->pair->lock);
    e->out->ended = true;
    wf_lock_release(&e->pair->lock);
    set(&e->out->filled);
    set(&e->out->roomy);
    return 0;
}

static int close_half(void *self)
{
    struct end *e = self;
    struct pair *p = e->pair;

    shutdown_end(e);
    wf_lock_acquire(&p->lock);
    e->in->unread = true;
    wf_lock_release(&p->lock);
    set(&e->in->roomy);
    wf_lock_acquire(&p->lock);
    wf_assert(p->open > 0); // otherwise an end was closed twice
    bool last = --p->open == 0;
    wf_lock_release(&p->lock);
    if (last)
        wf_free(p);
    return 0;
}

// --- Making --------------------------------------------------------------------------

static const weft_stream_ops ops = {
    .size = sizeof(weft_stream_ops),
    .read = read_end,
    .writev = writev_end,
    .poll = poll_end,
    .shutdown = shutdown_end,
    .close = close_half,
};

static void init_pipe(struct pipe *pipe, char *bytes)
{
    wf_cell_init(&pipe->filled);
    wf_cell_init(&pipe->roomy);
    pipe->bytes = bytes;
}

int weft_stream_pair(weft_stream *a, weft_stream *b, size_t capacity)
{
    if (capacity == 0)
        return -EINVAL;
    struct pair *p = capacity < SIZE_MAX / 4 ? wf_alloc(sizeof(*p) + 2 * capacity) : NULL;
    if (!p)
        return -ENOMEM;
    wf_lock_init(&p->lock);
    p->capacity = capacity;
    p->open = 2;
    for (int i = 0; i < 2; i++) {
        init_pipe(&p->pipes[i], p->bytes + (size_t)i * capacity);
        p->ends[i] = (struct end){ p, &p->pipes[!i], &p->pipes[i] };
    }
    *a = (weft_stream){ &ops, &p->ends[0] };
    *b = (weft_stream){ &ops, &p->ends[1] };
    return 0;
}
