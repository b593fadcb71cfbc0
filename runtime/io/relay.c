// weft_relay: bytes between two sockets, both ways, by one task.
//
// Each direction is a flow, which waits for one thing at a time: bytes to take, or room
// for the bytes that it has taken. So the task waits in two cells at most. (Two tasks
// would cost one more stack, a scope, and a shared idle timer.)
//
//      fill: recv into a buffer, or splice into a pipe      put: send or splice, until all is out
//
//          -----> TAKING (nothing is held) <-------------> PUTTING (a buffer, or a pipe, with bytes in it)
//                   |  the end of the source: shutdown of the target        | an error of the target
//                   v                                                       v
//                 ENDED: only errors of the source are awaited             ENDED
//
// Small pieces go through a buffer, two system calls each: a short recv proves that the
// socket is drained (runtime/io/ready.h). A short splice does not, because the pipe may
// be full of small pieces; it costs a third call. So a flow splices after a piece of at
// least WF_SPLICE_FROM bytes, until a piece is smaller.
//
// When one socket is broken for writing, the other flow goes on to its end: a peer that
// has answered and closed may not have read all that was sent to it, but its answer
// must still be delivered. That flow then does not pass on its end by shutdown(2),
// because a broken connection would look like an orderly end. The caller gets the
// error, and closes.
//
// The source of an ended flow may still break, and the other flow may not notice that
// for a long time. So the task waits for its cell, too, and checks once at each edge.
// (It does not for a descriptor that weft has not made, because parking on it causes an
// edge.)
#include <sys/socket.h>
#include <weft/io.h>
#include <weft/time.h>

#include "base/assert.h"
#include "base/clock.h"
#include "runtime/io/buffer.h"
#include "runtime/io/pipe.h"
#include "runtime/io/ready.h"
#include "runtime/io/splice.h"
#include "runtime/io/step.h"
#include "runtime/state.h"
#include "runtime/wait/set.h"

static const char CALL[] = "weft_relay";

enum { SPARE = 256 }; // bytes of the buffer if no other can be allocated

// The result of a step of a flow; a negative one is an error that ends the relay.
enum { MOVED, WAITS };

struct flow {
    struct weft_rt *rt;
    struct wf_ready in, out;
    struct wf_ready *on; // what it waits for
    uint64_t *moved;     // bytes written
    char *buf;           // NULL: none is held
    size_t at, n;        // of the bytes in it: written, and all
    struct wf_pipe pipe;
    bool bulk;    // the last piece was large
    bool splices; // as far as is known
    bool ended;   // nothing more is taken from `in`
    int err;      // of writing to `out`
    char spare[SPARE];
};

struct relay {
    struct wf_task *self;
    struct flow flow[2];
    weft_time idle;             // 0: without limit
    weft_time last;             // when bytes were last seen to have been written
    uint64_t total;             // how many had been written by then
    struct wf_wait_timer timer; // at last + idle, or before
};

// --- what is held --------------------------------------------------------------------

static void take_buffer(struct flow *f)
{
    wf_debug_assert(!f->buf && f->n == 0);
    f->buf = wf_buffer_take_huge();
    if (!f->buf)
        f->buf = f->spare;
}

static size_t size_buffer(const struct flow *f)
{
    return f->buf == f->spare ? SPARE : WF_BUFFER_HUGE;
}

static void give_buffer(struct flow *f)
{
    if (f->buf && f->buf != f->spare)
        wf_buffer_give(f->buf, WF_BUFFER_HUGE);
    f->buf = NULL;
    f->at = f->n = 0;
}

static void give_pipe(struct flow *f)
{
    if (wf_pipe_held(&f->pipe))
        wf_pipe_give(f->rt, &f->pipe);
}

// check_flow asserts what holds between two steps.
static void check_flow(const struct flow *f)
{
    wf_assert(!f->buf == (f->n == 0));
    wf_assert(f->n == 0 ? f->at == 0 : f->at < f->n && f->n <= size_buffer(f));
    wf_assert(f->pipe.n == 0 || (wf_pipe_held(&f->pipe) && f->pipe.n <= f->pipe.size));
    wf_assert(f->n == 0 || f->pipe.n == 0 || !f->splices); // both hold bytes: the pipe is being unloaded
    wf_assert(f->err == 0 || (f->err < 0 && f->ended && !f->buf && !wf_pipe_held(&f->pipe)));
}

// --- steps ---------------------------------------------------------------------------

// settle prepares the flow's wait for one of its ends.
static int settle(struct flow *f, struct wf_ready *r)
{
    int err = wf_ready_settle(r);

    if (err != 0)
        return err < 0 ? err : MOVED;
    f->on = r;
    return WAITS;
}

static ssize_t sys_end(int fd, void *args)
{
    (void)args;
    return wf_sys_shutdown(fd, SHUT_WR); // an error does not matter here: the other flow finds it
}

// end_source handles the end of the source.
static int end_source(struct flow *f, const struct flow *other)
{
    f->ended = true;
    if (other->err == 0)
        wf_ready_hold(&f->out, sys_end, NULL);
    return MOVED;
}

// give_up_target handles a target that cannot be written any more: it drops the held
// bytes, and ends the flow.
static int give_up_target(struct flow *f, ssize_t err)
{
    f->err = (int)err;
    f->ended = true;
    give_buffer(f);
    give_pipe(f);
    return MOVED;
}

static ssize_t sys_fill(int fd, void *args)
{
    struct wf_pipe *p = args;
    return wf_splice_waits(fd) ? -EOPNOTSUPP : wf_splice(fd, p->in, p->size);
}

static ssize_t sys_drain(int fd, void *args)
{
    struct wf_pipe *p = args;
    return wf_splice_waits(fd) ? -EOPNOTSUPP : wf_splice(p->out, fd, p->n);
}

// note_taken counts the bytes taken from the source.
static int note_taken(struct flow *f, const struct flow *other, ssize_t got)
{
    f->in.pause = 0;
    f->bulk = got >= WF_SPLICE_FROM;
    return got == 0 ? end_source(f, other) : MOVED;
}

static int fill_buffer(struct flow *f, const struct flow *other)
{
    take_buffer(f);
    struct wf_span span = { f->buf, size_buffer(f) };
    ssize_t got = wf_ready_attempt(&f->in, wf_step_recv, &span, NULL, span.n);

    if (got <= 0)
        give_buffer(f);
    if (got < 0)
        return got == -EAGAIN ? settle(f, &f->in) : (int)got;
    f->n = (size_t)got;
    return note_taken(f, other, got);
}

static int fill_pipe(struct flow *f, const struct flow *other)
{
    ssize_t got = wf_ready_attempt(&f->in, sys_fill, &f->pipe, NULL, 0);

    if (got <= 0)
        give_pipe(f);
    if (wf_is_unsupported(got)) {
        f->splices = false;
        return MOVED;
    }
    if (got < 0)
        return got == -EAGAIN ? settle(f, &f->in) : (int)got;
    f->pipe.n = (size_t)got;
    return note_taken(f, other, got);
}

// note_written counts the bytes written to the target. Returns: false if there were
// none.
static bool note_written(struct flow *f, ssize_t put)
{
    if (put <= 0)
        return false;
    f->out.pause = 0;
    *f->moved += (uint64_t)put;
    return true;
}

static int put_buffer(struct flow *f)
{
    struct wf_span span = { f->buf + f->at, f->n - f->at };
    ssize_t put = wf_ready_attempt(&f->out, wf_step_send, &span, NULL, span.n);

    if (!note_written(f, put))
        return put == -EAGAIN ? settle(f, &f->out) : give_up_target(f, put);
    f->at += (size_t)put;
    wf_debug_assert(f->at <= f->n);
    if (f->at == f->n)
        give_buffer(f);
    return MOVED;
}

static int put_pipe(struct flow *f)
{
    ssize_t put = wf_ready_attempt(&f->out, sys_drain, &f->pipe, NULL, 0);

    if (wf_is_unsupported(put)) {
        f->splices = false;
        return MOVED;
    }
    if (!note_written(f, put))
        return put == -EAGAIN ? settle(f, &f->out) : give_up_target(f, put);
    wf_debug_assert((size_t)put <= f->pipe.n);
    f->pipe.n -= (size_t)put;
    return MOVED;
}

// unload_pipe moves bytes from the pipe to a buffer, for a target that cannot be
// spliced to.
static int unload_pipe(struct flow *f)
{
    take_buffer(f);
    long got = WF_RETRY(wf_sys_read(f->pipe.out, f->buf, size_buffer(f)));

    if (got <= 0) {
        give_buffer(f);
        return got < 0 ? (int)got : -EIO; // cannot happen: the pipe is ours
    }
    f->n = (size_t)got;
    f->pipe.n -= (size_t)got;
    return MOVED;
}

static int sys_error(int fd)
{
    int err = 0;
    socklen_t len = sizeof(err);
    int failed = wf_sys_getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
    return failed < 0 ? failed : -err;
}

// look_after checks for an error of an ended flow's source.
static int look_after(struct flow *f)
{
    struct wf_cell *cell = &f->in.source->ready[WF_READ];
    uintptr_t seen = wf_cell_value(cell);

    if (seen && wf_poll_now(f->in.fd, 0) & POLLERR) {
        int err = sys_error(f->in.fd);
        if (err < 0)
            return err;
    }
    if (seen)
        wf_cell_clear(cell, seen);
    f->on = &f->in;
    return WAITS;
}

// put_some writes some of the held bytes.
static int put_some(struct flow *f)
{
    if (f->n > 0)
        return put_buffer(f);
    return f->splices ? put_pipe(f) : unload_pipe(f);
}

static bool holds_bytes(const struct flow *f)
{
    return f->n > 0 || f->pipe.n > 0;
}

// fill_some takes bytes, unless the source is known to be drained.
static int fill_some(struct flow *f, const struct flow *other)
{
    if (!wf_ready_look(&f->in))
        return settle(f, &f->in);
    if (f->bulk && f->splices && (wf_pipe_held(&f->pipe) || wf_pipe_take(f->rt, &f->pipe)))
        return fill_pipe(f, other);
    give_pipe(f);
    return fill_buffer(f, other);
}

// step_flow takes and puts one piece, without waiting.
static int step_flow(struct flow *f, const struct flow *other)
{
    int did = MOVED;

    wf_debug_check(check_flow(f));
    f->on = NULL;
    if (!holds_bytes(f)) {
        if (f->ended)
            return wf_source_is_own(f->in.source) ? look_after(f) : WAITS;
        did = fill_some(f, other);
    }
    if (did == MOVED && holds_bytes(f))
        did = put_some(f);
    if (did == MOVED && !holds_bytes(f) && !f->ended && !wf_ready_look(&f->in))
        did = settle(f, &f->in); // after a small piece the source is drained
    return did;
}

// --- waiting -------------------------------------------------------------------------

// check_idle keeps the timer armed. The timer fires now and then even on a busy relay;
// then it is armed again for the right time. Returns: 0; -ETIMEDOUT.
static int check_idle(struct relay *x)
{
    if (x->idle == 0 || (x->timer.armed && !wf_wait_timer_due(&x->timer)))
        return 0;
    wf_wait_timer_disarm(&x->timer);
    weft_time end = wf_after(x->last, x->idle);
    if (wf_now() >= end)
        return -ETIMEDOUT;
    wf_wait_timer_arm(&x->timer, x->self, end);
    return 0;
}

enum { CELLS = 3 };

// The cells that the task waits for: an edge for each flow, and the end of a socket for
// which neither flow waits.
struct wait {
    struct wf_ready *on[CELLS];
    struct wf_cell *cells[CELLS];
    struct wf_cell_node nodes[CELLS];
    struct wf_wait_set set; // of those cells
};

static void add_cell(struct wait *w, struct wf_ready *r, struct wf_cell *cell)
{
    wf_debug_assert(w->set.n < CELLS && r->source);
    w->on[w->set.n] = r;
    w->cells[w->set.n++] = cell;
    w->set.on = w->on[0]->fd;
}

static bool covers_fd(const struct wait *w, int fd)
{
    for (int i = 0; i < w->set.n; i++)
        if (w->on[i]->fd == fd)
            return true;
    return false;
}

// add_end adds the end of a socket, unless a flow's cell covers it. Returns: false:
// check again.
static bool add_end(struct wait *w, struct wf_ready *r)
{
    struct wf_cell *cell = &r->source->changed;

    if (covers_fd(w, r->fd))
        return true;
    uintptr_t seen = wf_cell_value(cell);
    bool clear = wf_ready_same(r) == 0 && (!seen || wf_cell_clear(cell, seen));
    add_cell(w, r, cell);
    return clear;
}

// gather_cells collects the cells that the task waits for. Returns: false: do not wait,
// check again.
static bool gather_cells(struct relay *x, struct wait *w)
{
    w->set = (struct wf_wait_set){ .task = x->self, .cells = w->cells, .nodes = w->nodes, .what = CALL };
    for (int i = 0; i < 2; i++) {
        struct wf_ready *r = x->flow[i].on;
        if (r)
            add_cell(w, r, &r->source->ready[r->direction]);
    }
    return add_end(w, &x->flow[0].in) && add_end(w, &x->flow[1].in);
}

// confirm_all confirms each cell that the task has pushed into.
static bool confirm_all(const struct wait *w)
{
    for (int i = 0; i < w->set.n; i++)
        if (wf_ready_confirm(w->on[i]) < 0)
            return false;
    return true;
}

static int park_on(struct relay *x, const struct wait *w)
{
    wf_debug_assert(w->set.n >= 2); // the end of each socket wakes the task
    int err = check_idle(x);

    while (err == 0 && (err = wf_wait_set_park(&w->set, &x->timer)) == WF_WAIT_DUE)
        err = check_idle(x);
    return err;
}

// check_same tells whether the descriptors are still those that the relay began with.
static int check_same(const struct wait *w)
{
    int err = 0;

    for (int i = 0; i < w->set.n && err == 0; i++) {
        struct wf_ready *r = w->on[i];
        if (wf_source_is_own(r->source))
            err = wf_ready_same(r);
        else
            err = wf_source_recognise(wf_weft_task(r->self)->rt->reactor, r->source, r->generation);
    }
    return err;
}

// go_on_relaying lets other tasks run, in a task that has not parked. Returns: 0;
// -ECANCELED.
static int go_on_relaying(struct relay *x)
{
    wf_budget_consume(x->self);
    return wf_check_cancel(x->self);
}

// note_time notes when bytes have moved.
static void note_time(struct relay *x)
{
    uint64_t total = *x->flow[0].moved + *x->flow[1].moved;

    if (total != x->total)
        x->last = wf_now();
    x->total = total;
}

// await_edges waits until one of the flows may continue.
static int await_edges(struct relay *x)
{
    struct wait w; // not cleared
    int err = 0;

    if (x->idle)
        note_time(x);
    bool parks = gather_cells(x, &w) && wf_wait_set_push(&w.set) && confirm_all(&w);
    if (parks)
        err = park_on(x, &w);
    if (wf_wait_set_pull(&w.set))
        err = 0; // completion wins
    if (err == 0)
        err = check_same(&w);
    return err == 0 && !parks ? go_on_relaying(x) : err;
}

// --- the relay -----------------------------------------------------------------------

static bool is_over(const struct relay *x)
{
    return x->flow[0].ended && x->flow[1].ended && !holds_bytes(&x->flow[0]) && !holds_bytes(&x->flow[1]);
}

// move_both lets both flows do what they can.
static int move_both(struct relay *x)
{
    int a = step_flow(&x->flow[0], &x->flow[1]);
    int b = a < 0 ? WAITS : step_flow(&x->flow[1], &x->flow[0]);

    if (a < 0 || b < 0)
        return a < 0 ? a : b;
    if (is_over(x))
        return 0;
    return a == WAITS && b == WAITS ? await_edges(x) : go_on_relaying(x);
}

// drain_flow writes the held bytes for which there is room, when the relay is
// cancelled.
static void drain_flow(struct flow *f)
{
    int did = MOVED;

    while (did == MOVED && holds_bytes(f))
        did = put_some(f);
    give_buffer(f);
    give_pipe(f);
}

static int run_relay(struct relay *x)
{
    int err = 0;

    while (err == 0 && !is_over(x))
        err = move_both(x);
    for (int i = 0; i < 2; i++) {
        drain_flow(&x->flow[i]);
        err = err == 0 ? x->flow[i].err : err;
    }
    wf_wait_timer_disarm(&x->timer);
    return err;
}

// --- its beginning -------------------------------------------------------------------

// check_stream returns: 0; -EPROTOTYPE: a socket that does not stream; -ENOTSOCK, -EBADF.
static int check_stream(int fd)
{
    int type = wf_ready_socket_type(fd);
    return type < 0 ? type : type == SOCK_STREAM ? 0 : -EPROTOTYPE;
}

static int open_end(struct wf_ready *r, int fd, enum wf_direction direction)
{
    int err = wf_ready_open_all(r, fd, direction, CALL);
    return err < 0 ? err : wf_ready_again(r);
}

static int open_flow(struct flow *f, int from, int to, uint64_t *moved)
{
    f->moved = moved;
    f->buf = NULL;
    f->at = f->n = 0;
    f->pipe = (struct wf_pipe){ .in = -1, .out = -1 };
    f->bulk = f->ended = false;
    f->splices = true;
    f->err = 0;
    int err = open_end(&f->in, from, WF_READ);
    if (err == 0)
        err = open_end(&f->out, to, WF_WRITE);
    f->rt = wf_weft_task(f->in.self)->rt;
    return err;
}

static int open_relay(struct relay *x, int a, int b, weft_relay_stats *st)
{
    int err = a == b ? -EINVAL : check_stream(a);

    if (err == 0)
        err = check_stream(b);
    if (err == 0)
        err = open_flow(&x->flow[0], a, b, &st->a_to_b);
    return err == 0 ? open_flow(&x->flow[1], b, a, &st->b_to_a) : err;
}

int weft_relay(int a, int b, const weft_relay_opts *o, weft_relay_stats *st)
{
    weft_relay_stats none;
    struct relay x; // not cleared: most of it is rarely used

    if (!st)
        st = &none;
    *st = (weft_relay_stats){ 0 };
    int err = wf_wait_begin(CALL);
    if (err == 0)
        err = o && o->size != sizeof(*o) ? -EINVAL : open_relay(&x, a, b, st);
    if (err < 0)
        return err;
    x.self = wf_self();
    x.idle = o && o->idle > 0 && o->idle != WEFT_NEVER ? o->idle : 0;
    x.last = x.idle ? wf_now() : 0;
    x.total = 0;
    x.timer.armed = false;
    return run_relay(&x);
}
