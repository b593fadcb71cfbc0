// weft_copy and weft_sendfile: bytes from one descriptor to another, inside the kernel
// where possible.
//
//      from        to          by                                          if that is refused
//      file        file        copy_file_range, on the blocking pool       sendfile, on the pool, unless the two
//                                                                          overlap; a buffer
//      file        socket      sendfile, on the pool; small: a buffer      a buffer
//      FIFO        socket,     splice                                      a buffer
//      socket,     FIFO        splice                                      a buffer
//        FIFO
//      socket      socket      splice, through a pipe of weft's;           a buffer
//                              small pieces: a buffer
//      FIFO        file        splice, on the pool                         a buffer
//      socket      file        splice, through a pipe of weft's            a buffer
//      else                    a buffer: what weft_read and weft_write do
//
// "Socket" means a stream socket. A socket in blocking mode gets a buffer: see
// splice.h.
//
// Where copy_file_range cannot copy, it returns 0 or an error: for files whose size is
// not known (/proc), on network file systems, with O_APPEND. So after any result that
// is not a count the copy tries the next way, which either continues or returns the
// same.
//
// Within one file sendfile reads what it has just written. At the end of the file each
// of its inner steps moves only as many bytes as the two positions are apart, and a
// cancel cannot interrupt them: 4 MiB take seconds. So such a copy goes through a
// buffer, piece by piece.
//
// Bytes taken from a socket or a FIFO that cannot be written any more are lost: at most
// WF_BUFFER_HUGE bytes, or a full pipe. A source file's position is set back by their
// number. A splice between a FIFO and a socket never holds bytes.
#include "runtime/io/copy.h"

#include <sys/stat.h>
#include <weft/copy.h>

#include "base/assert.h"
#include "base/sys.h"
#include "runtime/io/buffer.h"
#include "runtime/io/splice.h"
#include "runtime/io/step.h"
#include "runtime/state.h"
#include "runtime/wait/wait.h"

// --- what the descriptors are --------------------------------------------------------

WF_NOINLINE static int sys_what(int fd, enum wf_copy_kind *what)
{
    struct stat st;

    int err = wf_sys_fstat(fd, &st);
    if (err < 0)
        return err;
    if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))
        *what = WF_COPY_FILE;
    else if (S_ISFIFO(st.st_mode))
        *what = WF_COPY_FIFO;
    else if (!S_ISSOCK(st.st_mode))
        *what = WF_COPY_OTHER;
    else
        *what = wf_ready_socket_type(fd) == SOCK_STREAM ? WF_COPY_SOCKET : WF_COPY_PACKETS;
    return 0;
}

// open_copy_end begins the call on one of its descriptors, and stays with that file.
static int open_copy_end(struct wf_ready *r, int fd, enum wf_direction direction, const char *call,
                         enum wf_copy_kind *what)
{
    int err = wf_ready_open_all(r, fd, direction, call);

    if (err == 0)
        err = sys_what(fd, what);
    if (err == 0)
        err = *what == WF_COPY_FILE ? wf_ready_fix(r) : wf_ready_again(r);
    return err;
}

static int open_copy(struct wf_copy *c, int dst, int src, const char *call)
{
    c->pipe = (struct wf_pipe){ .in = -1, .out = -1 };
    int err = open_copy_end(&c->in, src, WF_READ, call, &c->from);
    if (err == 0)
        err = open_copy_end(&c->out, dst, WF_WRITE, call, &c->to);
    c->rt = wf_weft_task(c->in.self)->rt;
    return err;
}

static bool may_splice(const struct wf_copy *c)
{
    return !(c->from == WF_COPY_SOCKET && wf_splice_waits(c->in.fd)) &&
           !(c->to == WF_COPY_SOCKET && wf_splice_waits(c->out.fd));
}

static ssize_t sys_splice(int fd, void *args)
{
    struct wf_copy *c = args;
    (void)fd;
    return may_splice(c) ? wf_splice(c->in.fd, c->out.fd, c->n) : -EOPNOTSUPP;
}

static ssize_t sys_fill(int fd, void *args)
{
    struct wf_copy *c = args;
    return wf_splice_waits(fd) ? -EOPNOTSUPP : wf_splice(fd, c->pipe.in, c->n);
}

static ssize_t sys_splice_out(int fd, void *args)
{
    struct wf_copy *c = args;
    return c->to == WF_COPY_SOCKET && wf_splice_waits(fd) ? -EOPNOTSUPP : wf_splice(c->pipe.out, fd, c->held);
}

// --- streams -------------------------------------------------------------------------

// run_copy waits for one end's readiness. An end that is not a socket is a WF_COPY_FIFO here.
static ssize_t run_copy(struct wf_ready *r, enum wf_copy_kind what, wf_ready_try *fn, void *args)
{
    const struct wf_file_calls calls = { fn, fn, fn };

    wf_debug_assert(what == WF_COPY_SOCKET || what == WF_COPY_FIFO);
    return what == WF_COPY_SOCKET ? wf_ready_run(r, fn, args, NULL, 0) : wf_ready_file(r, &calls, args);
}

// The result of a system call that has found the other end not ready.
enum { OTHER_END = WF_TRY_LATER + 1 };

static ssize_t try_in(int fd, void *args)
{
    ssize_t n = wf_copy_on_both(fd, args);
    return n == -EAGAIN && wf_poll_now(fd, POLLIN) > 0 ? OTHER_END : n;
}

static ssize_t sys_splice_in(int fd, void *args)
{
    (void)fd;
    return sys_splice(-1, args);
}

static ssize_t call_on_in(struct wf_copy *c)
{
    return wf_ready_hold(&c->in, sys_splice_in, c);
}

static ssize_t try_out(int fd, void *args)
{
    struct wf_copy *c = args;
    ssize_t n = call_on_in(c);

    if (n != -EAGAIN)
        return n;
    if (wf_poll_now(c->in.fd, POLLIN) == 0)
        return OTHER_END;
    return c->to == WF_COPY_FIFO && wf_poll_now(fd, POLLOUT) > 0 ? WF_TRY_LATER : n; // another writer was faster
}

// splice_straight splices between a WF_COPY_FIFO and a socket, or two FIFOs.
static ssize_t splice_straight(struct wf_copy *c)
{
    ssize_t n = OTHER_END;

    c->n = wf_copy_lesser(c->left, WF_COPY_JOB);
    c->fn = sys_splice;
    while (n == OTHER_END) {
        n = run_copy(&c->in, c->from, try_in, c);
        if (n == OTHER_END)
            n = run_copy(&c->out, c->to, try_out, c);
    }
    if (n > 0)
        wf_copy_note_moved(c, n);
    return n;
}

static ssize_t try_readable(int fd, void *args)
{
    (void)args;
    int ready = wf_poll_now(fd, POLLIN);
    return ready == 0 ? -EAGAIN : ready;
}

// splice_to_file makes a job only when the WF_COPY_FIFO has bytes.
static ssize_t splice_to_file(struct wf_copy *c)
{
    ssize_t n = -EAGAIN;

    c->n = wf_copy_lesser(c->left, WF_COPY_JOB);
    while (n == -EAGAIN) {
        n = run_copy(&c->in, WF_COPY_FIFO, try_readable, NULL);
        if (n > 0)
            n = wf_copy_in_pool(c, sys_splice);
    }
    if (n > 0)
        wf_copy_note_moved(c, n);
    return n;
}

static ssize_t drain_job(int fd, void *args)
{
    (void)fd;
    return sys_splice_out(((struct wf_copy *)args)->out.fd, args);
}

// empty_pipe writes some of the bytes in the pipe.
static ssize_t empty_pipe(struct wf_copy *c)
{
    return c->to == WF_COPY_SOCKET ? wf_ready_run(&c->out, sys_splice_out, c, NULL, 0) : wf_copy_in_pool(c, drain_job);
}

// put_last is for a cancelled call: it writes what there is room for at once.
static void put_last(struct wf_copy *c, wf_ready_try *fn, void *args)
{
    ssize_t put = c->to == WF_COPY_SOCKET ? wf_ready_hold(&c->out, fn, args) : 0;

    if (put > 0) {
        c->held -= (size_t)put;
        c->done += (uint64_t)put;
    }
}

// put_held writes all held bytes, from `buf`, or from the pipe if `buf` is NULL. A
// cancel ends it only where it has to wait.
static ssize_t put_held(struct wf_copy *c, const char *buf)
{
    ssize_t put = 1;

    while (c->held > 0 && put > 0) {
        wf_copy_begin_step(&c->out);
        put = buf ? wf_step_write(&c->out, buf, c->held) : empty_pipe(c);
        if (put <= 0)
            break;
        wf_debug_assert((size_t)put <= c->held);
        c->held -= (size_t)put;
        c->done += (uint64_t)put;
        buf = buf ? buf + put : NULL;
    }
    if (wf_unlikely(c->held > 0 && wf_check_cancel_no_preempt(c->in.self) < 0))
        put_last(c, buf ? wf_step_send : sys_splice_out, buf ? (void *)&(struct wf_span){ (void *)buf, c->held } : c);
    return put == 0 && c->held > 0 ? -EIO : put;
}

// put_taken counts the taken bytes, and writes them. Returns: how many bytes were
// written; an error.
static ssize_t put_taken(struct wf_copy *c, ssize_t got, const char *buf)
{
    if (got <= 0)
        return got;
    wf_debug_assert((uint64_t)got <= c->left);
    wf_debug_assert(buf || (size_t)got <= c->pipe.size);
    c->left -= (uint64_t)got;
    c->held = (size_t)got;
    c->bulk = got >= WF_SPLICE_FROM;
    ssize_t put = put_held(c, buf);
    return put < 0 ? put : got;
}

// take_some reads some bytes. It does not wait for a socket, so that a waiting task
// holds no buffer.
static ssize_t take_some(struct wf_copy *c, char *buf, size_t n)
{
    struct wf_span span = { buf, n };
    return c->from == WF_COPY_SOCKET ? wf_ready_attempt(&c->in, wf_step_recv, &span, NULL, n)
                                     : wf_step_read(&c->in, buf, n);
}

// copy_piece moves one piece through a buffer.
static ssize_t copy_piece(struct wf_copy *c)
{
    char spare[WF_COPY_SPARE], *buf = wf_buffer_take_huge(), *to = buf ? buf : spare;

    ssize_t n = put_taken(c, take_some(c, to, wf_copy_lesser(c->left, buf ? WF_BUFFER_HUGE : WF_COPY_SPARE)), to);
    wf_buffer_give(buf, WF_BUFFER_HUGE);
    if (c->held > 0 && c->from == WF_COPY_FILE)
        wf_copy_move_position(c, -(off_t)c->held);
    return n;
}

// unload_copy_pipe writes the pipe's bytes through a buffer, for a target that cannot
// be spliced to.
static ssize_t unload_copy_pipe(struct wf_copy *c)
{
    char spare[WF_COPY_SPARE], *buf = wf_buffer_take_huge(), *to = buf ? buf : spare;
    size_t rest = c->held, room = buf ? WF_BUFFER_HUGE : WF_COPY_SPARE;
    ssize_t put = 1;

    while (rest > 0 && put > 0) {
        long got = WF_RETRY(wf_sys_read(c->pipe.out, to, wf_copy_lesser(rest, room)));
        c->held = got > 0 ? (size_t)got : 0; // the pipe is ours, so it has bytes
        rest -= c->held;
        put = got > 0 ? put_held(c, to) : -EIO;
    }
    wf_buffer_give(buf, WF_BUFFER_HUGE);
    c->pipe.n = rest;
    return put;
}

// splice_through moves one piece through a pipe.
static ssize_t splice_through(struct wf_copy *c)
{
    wf_debug_assert(wf_pipe_held(&c->pipe) && c->pipe.n == 0);
    c->n = wf_copy_lesser(c->left, c->pipe.size);
    ssize_t n = put_taken(c, wf_ready_attempt(&c->in, sys_fill, c, NULL, 0), NULL);

    c->pipe.n = c->held;
    if (c->held == 0 || !wf_is_unsupported(n))
        return n;
    c->splices = false;
    return unload_copy_pipe(c);
}

// move_by_splice moves one piece inside the kernel, as the two ends allow. Returns:
// also an error that says that they do not.
static ssize_t move_by_splice(struct wf_copy *c)
{
    if (c->from == WF_COPY_FIFO && c->to == WF_COPY_FILE)
        return splice_to_file(c);
    if (c->from == WF_COPY_FIFO || c->to == WF_COPY_FIFO)
        return splice_straight(c);
    ssize_t n = splice_through(c);
    wf_pipe_give(c->rt, &c->pipe);
    return n;
}

// may_be_spliced tells whether to splice: a piece that needs a pipe must be large
// enough, and a pipe available.
static bool may_be_spliced(struct wf_copy *c)
{
    if (!c->splices || c->from < WF_COPY_FIFO || c->to < WF_COPY_FILE)
        return false;
    return c->from == WF_COPY_FIFO || c->to == WF_COPY_FIFO || (c->bulk && wf_pipe_take(c->rt, &c->pipe));
}

static ssize_t move_piece(struct wf_copy *c)
{
    ssize_t n = -EOPNOTSUPP;

    wf_debug_assert(c->held == 0 && !wf_pipe_held(&c->pipe)); // the last piece was written
    if (may_be_spliced(c)) {
        n = move_by_splice(c);
        if (!c->splices || !wf_is_unsupported(n))
            return n;
        c->splices = false;
    }
    return copy_piece(c);
}

// move_pieces moves all that is left, up to the end.
static ssize_t move_pieces(struct wf_copy *c)
{
    ssize_t n = 1;

    while (!wf_copy_is_done(c) && n > 0) {
        wf_copy_begin_step(&c->in);
        wf_copy_begin_step(&c->out);
        n = wf_check_cancel(c->in.self);
        if (n == 0)
            n = move_piece(c);
        if (n == -EAGAIN) {
            n = wf_ready_wait(&c->in);
            n = n < 0 ? n : 1;
        }
    }
    return n;
}

// --- the calls -----------------------------------------------------------------------

static ssize_t copy_all(struct wf_copy *c)
{
    ssize_t n = 0;

    if (c->from == WF_COPY_FILE && c->to == WF_COPY_FILE) {
        n = wf_copy_files(c);
        if (n < 0)
            return n;
    } else if (c->from == WF_COPY_FILE && c->to == WF_COPY_SOCKET) {
        return wf_copy_send_rest(c);
    }
    return move_pieces(c);
}

int weft_copy(int dst, int src, int64_t n, int64_t *done)
{
    struct wf_copy c = { .left = n < 0 ? INT64_MAX : (uint64_t)n, .splices = true, .bulk = n >= WF_SPLICE_FROM };
    ssize_t result = n < -1 ? -EINVAL : open_copy(&c, dst, src, "weft_copy");

    if (result == 0)
        result = copy_all(&c);
    if (done)
        *done = (int64_t)c.done;
    if (result < 0)
        return (int)result;
    return n >= 0 && c.left > 0 ? -ENODATA : 0;
}

ssize_t weft_sendfile(int sock, int file, off_t *offset, size_t n)
{
    struct wf_copy c = { .splices = true };

    int err = open_copy(&c, sock, file, "weft_sendfile");
    if (err < 0)
        return err;
    if (c.to != WF_COPY_SOCKET)
        return c.to == WF_COPY_PACKETS ? -EPROTOTYPE : -ENOTSOCK;
    return c.from == WF_COPY_FILE ? wf_copy_send_file(&c, offset, n) : -EINVAL;
}
