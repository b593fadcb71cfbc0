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
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>
#include <weft/io.h>

#include "base/assert.h"
#include "runtime/io/buffer.h"
#include "runtime/io/pipe.h"
#include "runtime/io/ready.h"
#include "runtime/io/splice.h"
#include "runtime/io/step.h"
#include "runtime/state.h"
#include "runtime/wait/wait.h"

enum {
    JOB = 1 << 20,      // bytes of a job of the pool, for whose end a cancel waits
    FILE_JOB = 1 << 22, // the same, from file to file
    SPARE = 512,        // bytes of the buffer if no other can be allocated
};

enum what { OTHER, PACKETS, FILES, FIFO, SOCKET }; // PACKETS: a socket that does not stream

struct copy {
    struct weft_rt *rt;
    struct wf_ready in, out;
    enum what from, to;
    uint64_t left;    // bytes that are not taken yet
    uint64_t done;    // bytes written
    size_t held;      // bytes taken and not written, in a buffer or a pipe
    bool splices;     // as far as is known
    bool bulk;        // the last piece was large
    size_t n;         // of the next system call
    off_t *at;        // of sendfile; NULL: the file's position
    wf_ready_try *fn; // see call_on_both
    struct wf_pipe pipe;
};

// --- what the descriptors are --------------------------------------------------------

WF_NOINLINE static int sys_what(int fd, enum what *what)
{
    struct stat st;

    int err = wf_sys_fstat(fd, &st);
    if (err < 0)
        return err;
    if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))
        *what = FILES;
    else if (S_ISFIFO(st.st_mode))
        *what = FIFO;
    else
        *what = !S_ISSOCK(st.st_mode) ? OTHER : wf_ready_socket_type(fd) == SOCK_STREAM ? SOCKET : PACKETS;
    return 0;
}

// open_copy_end begins the call on one of its descriptors, and stays with that file.
static int open_copy_end(struct wf_ready *r, int fd, enum wf_direction direction, const char *call, enum what *what)
{
    int err = wf_ready_open_all(r, fd, direction, call);

    if (err == 0)
        err = sys_what(fd, what);
    if (err == 0)
        err = *what == FILES ? wf_ready_fix(r) : wf_ready_again(r);
    return err;
}

static int open_copy(struct copy *c, int dst, int src, const char *call)
{
    c->pipe = (struct wf_pipe){ .in = -1, .out = -1 };
    int err = open_copy_end(&c->in, src, WF_READ, call, &c->from);
    if (err == 0)
        err = open_copy_end(&c->out, dst, WF_WRITE, call, &c->to);
    c->rt = wf_weft_task(c->in.self)->rt;
    return err;
}

// begin_step begins each step.
static void begin_step(struct wf_ready *r)
{
    r->edge = 0;
    r->parked = false;
    r->pause = 0;
}

// --- system calls --------------------------------------------------------------------

static ssize_t sys_copy_range(int fd, void *args)
{
    struct copy *c = args;
    return WF_RETRY(wf_sys_copy_file_range(fd, c->out.fd, c->n));
}

static ssize_t sys_sendfile(int fd, void *args)
{
    struct copy *c = args;
    return WF_RETRY(wf_sys_sendfile(c->out.fd, fd, c->at, c->n));
}

// sys_sendfile_now is sendfile to a socket, unless that could block.
static ssize_t sys_sendfile_now(int fd, void *args)
{
    struct copy *c = args;
    return wf_splice_waits(c->out.fd) ? -EOPNOTSUPP : sys_sendfile(fd, args);
}

static bool may_splice(const struct copy *c)
{
    return !(c->from == SOCKET && wf_splice_waits(c->in.fd)) && !(c->to == SOCKET && wf_splice_waits(c->out.fd));
}

static ssize_t sys_splice(int fd, void *args)
{
    struct copy *c = args;
    (void)fd;
    return may_splice(c) ? wf_splice(c->in.fd, c->out.fd, c->n) : -EOPNOTSUPP;
}

static ssize_t sys_fill(int fd, void *args)
{
    struct copy *c = args;
    return wf_splice_waits(fd) ? -EOPNOTSUPP : wf_splice(fd, c->pipe.in, c->n);
}

static ssize_t sys_splice_out(int fd, void *args)
{
    struct copy *c = args;
    return c->to == SOCKET && wf_splice_waits(fd) ? -EOPNOTSUPP : wf_splice(c->pipe.out, fd, c->held);
}

// --- ways to make one ----------------------------------------------------------------

static ssize_t call_on_out(int fd, void *args)
{
    struct copy *c = args;
    (void)fd;
    return c->fn(c->in.fd, c);
}

// call_on_both makes a call on this thread, while the caller holds `in`.
static ssize_t call_on_both(int fd, void *args)
{
    struct copy *c = args;
    (void)fd;
    return wf_ready_hold(&c->out, call_on_out, c);
}

// call_in_pool makes a call on the blocking pool, or on this thread if the system
// refuses one: then the call delays other tasks, but does not fail.
static ssize_t call_in_pool(struct copy *c, wf_ready_try *fn)
{
    ssize_t result = wf_ready_pool(&c->in, &c->out, fn, c);

    c->fn = fn;
    return result == WF_TRY_POOL ? wf_ready_hold(&c->in, call_on_both, c) : result;
}

// run_copy waits for one end's readiness. An end that is not a socket is a FIFO here.
static ssize_t run_copy(struct wf_ready *r, enum what what, wf_ready_try *fn, void *args)
{
    const struct wf_file_calls calls = { fn, fn, fn };

    wf_debug_assert(what == SOCKET || what == FIFO);
    return what == SOCKET ? wf_ready_run(r, fn, args, NULL, 0) : wf_ready_file(r, &calls, args);
}

// --- file to file --------------------------------------------------------------------

static bool is_done(const struct copy *c)
{
    return c->left == 0;
}

static size_t lesser(uint64_t a, size_t b)
{
    return a < b ? (size_t)a : b;
}

static void note_moved(struct copy *c, ssize_t n)
{
    wf_debug_assert(n > 0 && (uint64_t)n <= c->left);
    c->left -= (uint64_t)n;
    c->done += (uint64_t)n;
}

// sys_seek moves a file's position.
static ssize_t sys_seek(int fd, void *args)
{
    off_t *by = args;
    return wf_sys_lseek(fd, *by, SEEK_CUR);
}

static ssize_t sys_stat(int fd, void *args)
{
    return wf_sys_fstat(fd, args);
}

static off_t find_position(struct wf_ready *r)
{
    off_t by = 0;
    return wf_ready_hold(r, sys_seek, &by);
}

// overlaps tells whether both ends are one file at different positions, so that the
// copy may read what it has written. (From the same position, reading and writing
// advance together.)
static bool overlaps(struct copy *c)
{
    struct stat in, out;

    if (wf_ready_hold(&c->in, sys_stat, &in) < 0 || wf_ready_hold(&c->out, sys_stat, &out) < 0)
        return false; // closed: the next call returns the error
    return in.st_dev == out.st_dev && in.st_ino == out.st_ino && find_position(&c->in) != find_position(&c->out);
}

// move_by_job moves all bytes by one kind of call. Returns: the result of the last
// call, which moved nothing.
static ssize_t move_by_job(struct copy *c, wf_ready_try *fn)
{
    ssize_t n = 1;

    while (!is_done(c) && n > 0) {
        c->n = lesser(c->left, FILE_JOB);
        n = wf_check_cancel(c->in.self);
        if (n == 0)
            n = call_in_pool(c, fn);
        if (n > 0)
            note_moved(c, n);
    }
    return n;
}

// --- a file to a socket --------------------------------------------------------------

struct page {
    struct copy *c;
    char *buf;
    size_t n;
    off_t at;
};

static ssize_t read_page(const struct page *p, int fd, int flags)
{
    struct iovec v = { p->buf, p->n };
    return WF_RETRY(wf_sys_preadv2(fd, &v, 1, p->at, flags));
}

static ssize_t sys_read_cached(int fd, void *args)
{
    return read_page(args, fd, RWF_NOWAIT);
}

static ssize_t sys_read_stored(int fd, void *args)
{
    struct page *p = args;
    return WF_RETRY(wf_sys_pread(fd, p->buf, p->n, p->at));
}

// read_stored reads on the pool.
static ssize_t read_stored(struct page *p)
{
    ssize_t got = wf_ready_pool(&p->c->in, NULL, sys_read_stored, p);
    return got == WF_TRY_POOL ? wf_ready_hold(&p->c->in, sys_read_stored, p) : got;
}

// fits_buffer tells whether a buffer is cheaper than a job.
static bool fits_buffer(const struct copy *c)
{
    return c->n <= WF_BUFFER_HUGE || !c->splices;
}

// send_page sends some bytes through a buffer, if they are in the page cache, or the
// socket is in blocking mode. Returns: -EAGAIN: neither.
static ssize_t send_page(struct page *p)
{
    struct copy *c = p->c;
    ssize_t got = wf_ready_hold(&c->in, sys_read_cached, p);

    if (got == -EAGAIN && c->splices && !wf_splice_waits(c->out.fd))
        return got;
    if (got == -EAGAIN || wf_is_unsupported(got)) // the file system has no RWF_NOWAIT; other errors come again
        got = read_stored(p);
    if (got <= 0)
        return got;
    struct wf_span span = { p->buf, (size_t)got };
    return wf_ready_run(&c->out, wf_step_send, &span, NULL, span.n);
}

static ssize_t send_buffered(struct copy *c)
{
    char spare[SPARE], *buf = wf_buffer_take_huge();
    struct page p = { c, buf ? buf : spare, lesser(c->n, buf ? WF_BUFFER_HUGE : SPARE), *c->at };

    ssize_t put = send_page(&p);
    wf_buffer_give(buf, WF_BUFFER_HUGE);
    if (put > 0)
        *c->at += put;
    return put;
}

// send_file_part sends some bytes of the file, from *c->at on: on the pool, once the
// socket has room.
static ssize_t send_file_part(struct copy *c)
{
    wf_debug_assert(c->at && c->from == FILES && c->to == SOCKET);
    ssize_t put = fits_buffer(c) ? send_buffered(c) : -EAGAIN;

    c->n = lesser(c->n, JOB);
    while (put == -EAGAIN) {
        if (wf_ready_look(&c->out))
            put = call_in_pool(c, sys_sendfile_now);
        int err = put == -EAGAIN ? wf_ready_wait(&c->out) : 0;
        if (err < 0)
            return err;
    }
    if (!wf_is_unsupported(put))
        return put;
    c->splices = false;
    return send_buffered(c);
}

static ssize_t move_position(struct copy *c, off_t by)
{
    return wf_ready_hold(&c->in, sys_seek, &by);
}

// send_whole_file sends from the file's position on, and advances it.
static ssize_t send_whole_file(struct copy *c)
{
    off_t at = move_position(c, 0), start = at;
    ssize_t put = at < 0 ? at : 1;

    c->at = &at;
    while (!is_done(c) && put > 0) {
        c->n = lesser(c->left, SSIZE_MAX);
        begin_step(&c->out);
        put = wf_check_cancel(c->out.self);
        if (put == 0)
            put = send_file_part(c);
        if (put > 0)
            note_moved(c, put);
    }
    move_position(c, at - start);
    return put;
}

// --- streams -------------------------------------------------------------------------

// The result of a system call that has found the other end not ready.
enum { OTHER_END = WF_TRY_LATER + 1 };

static ssize_t try_in(int fd, void *args)
{
    ssize_t n = call_on_both(fd, args);
    return n == -EAGAIN && wf_poll_now(fd, POLLIN) > 0 ? OTHER_END : n;
}

static ssize_t sys_splice_in(int fd, void *args)
{
    (void)fd;
    return sys_splice(-1, args);
}

static ssize_t call_on_in(struct copy *c)
{
    return wf_ready_hold(&c->in, sys_splice_in, c);
}

static ssize_t try_out(int fd, void *args)
{
    struct copy *c = args;
    ssize_t n = call_on_in(c);

    if (n != -EAGAIN)
        return n;
    if (wf_poll_now(c->in.fd, POLLIN) == 0)
        return OTHER_END;
    return c->to == FIFO && wf_poll_now(fd, POLLOUT) > 0 ? WF_TRY_LATER : n; // another writer was faster
}

// splice_straight splices between a FIFO and a socket, or two FIFOs.
static ssize_t splice_straight(struct copy *c)
{
    ssize_t n = OTHER_END;

    c->n = lesser(c->left, JOB);
    c->fn = sys_splice;
    while (n == OTHER_END) {
        n = run_copy(&c->in, c->from, try_in, c);
        if (n == OTHER_END)
            n = run_copy(&c->out, c->to, try_out, c);
    }
    if (n > 0)
        note_moved(c, n);
    return n;
}

static ssize_t try_readable(int fd, void *args)
{
    (void)args;
    int ready = wf_poll_now(fd, POLLIN);
    return ready == 0 ? -EAGAIN : ready;
}

// splice_to_file makes a job only when the FIFO has bytes.
static ssize_t splice_to_file(struct copy *c)
{
    ssize_t n = -EAGAIN;

    c->n = lesser(c->left, JOB);
    while (n == -EAGAIN) {
        n = run_copy(&c->in, FIFO, try_readable, NULL);
        if (n > 0)
            n = call_in_pool(c, sys_splice);
    }
    if (n > 0)
        note_moved(c, n);
    return n;
}

static ssize_t drain_job(int fd, void *args)
{
    (void)fd;
    return sys_splice_out(((struct copy *)args)->out.fd, args);
}

// empty_pipe writes some of the bytes in the pipe.
static ssize_t empty_pipe(struct copy *c)
{
    return c->to == SOCKET ? wf_ready_run(&c->out, sys_splice_out, c, NULL, 0) : call_in_pool(c, drain_job);
}

// put_last is for a cancelled call: it writes what there is room for at once.
static void put_last(struct copy *c, wf_ready_try *fn, void *args)
{
    ssize_t put = c->to == SOCKET ? wf_ready_hold(&c->out, fn, args) : 0;

    if (put > 0) {
        c->held -= (size_t)put;
        c->done += (uint64_t)put;
    }
}

// put_held writes all held bytes, from `buf`, or from the pipe if `buf` is NULL. A
// cancel ends it only where it has to wait.
static ssize_t put_held(struct copy *c, const char *buf)
{
    ssize_t put = 1;

    while (c->held > 0 && put > 0) {
        begin_step(&c->out);
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
static ssize_t put_taken(struct copy *c, ssize_t got, const char *buf)
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
static ssize_t take_some(struct copy *c, char *buf, size_t n)
{
    struct wf_span span = { buf, n };
    return c->from == SOCKET ? wf_ready_attempt(&c->in, wf_step_recv, &span, NULL, n) : wf_step_read(&c->in, buf, n);
}

// copy_piece moves one piece through a buffer.
static ssize_t copy_piece(struct copy *c)
{
    char spare[SPARE], *buf = wf_buffer_take_huge(), *to = buf ? buf : spare;

    ssize_t n = put_taken(c, take_some(c, to, lesser(c->left, buf ? WF_BUFFER_HUGE : SPARE)), to);
    wf_buffer_give(buf, WF_BUFFER_HUGE);
    if (c->held > 0 && c->from == FILES)
        move_position(c, -(off_t)c->held);
    return n;
}

// unload_copy_pipe writes the pipe's bytes through a buffer, for a target that cannot
// be spliced to.
static ssize_t unload_copy_pipe(struct copy *c)
{
    char spare[SPARE], *buf = wf_buffer_take_huge(), *to = buf ? buf : spare;
    size_t rest = c->held, room = buf ? WF_BUFFER_HUGE : SPARE;
    ssize_t put = 1;

    while (rest > 0 && put > 0) {
        long got = WF_RETRY(wf_sys_read(c->pipe.out, to, lesser(rest, room)));
        c->held = got > 0 ? (size_t)got : 0; // the pipe is ours, so it has bytes
        rest -= c->held;
        put = got > 0 ? put_held(c, to) : -EIO;
    }
    wf_buffer_give(buf, WF_BUFFER_HUGE);
    c->pipe.n = rest;
    return put;
}

// splice_through moves one piece through a pipe.
static ssize_t splice_through(struct copy *c)
{
    wf_debug_assert(wf_pipe_held(&c->pipe) && c->pipe.n == 0);
    c->n = lesser(c->left, c->pipe.size);
    ssize_t n = put_taken(c, wf_ready_attempt(&c->in, sys_fill, c, NULL, 0), NULL);

    c->pipe.n = c->held;
    if (c->held == 0 || !wf_is_unsupported(n))
        return n;
    c->splices = false;
    return unload_copy_pipe(c);
}

// move_by_splice moves one piece inside the kernel, as the two ends allow. Returns:
// also an error that says that they do not.
static ssize_t move_by_splice(struct copy *c)
{
    if (c->from == FIFO && c->to == FILES)
        return splice_to_file(c);
    if (c->from == FIFO || c->to == FIFO)
        return splice_straight(c);
    ssize_t n = splice_through(c);
    wf_pipe_give(c->rt, &c->pipe);
    return n;
}

// may_be_spliced tells whether to splice: a piece that needs a pipe must be large
// enough, and a pipe available.
static bool may_be_spliced(struct copy *c)
{
    if (!c->splices || c->from < FIFO || c->to < FILES)
        return false;
    return c->from == FIFO || c->to == FIFO || (c->bulk && wf_pipe_take(c->rt, &c->pipe));
}

static ssize_t move_piece(struct copy *c)
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
static ssize_t move_pieces(struct copy *c)
{
    ssize_t n = 1;

    while (!is_done(c) && n > 0) {
        begin_step(&c->in);
        begin_step(&c->out);
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

static ssize_t copy_all(struct copy *c)
{
    ssize_t n = 0;

    if (c->from == FILES && c->to == FILES) {
        move_by_job(c, sys_copy_range);
        if (!is_done(c) && !overlaps(c))
            n = move_by_job(c, sys_sendfile);
        if (n < 0 && !wf_is_unsupported(n))
            return n;
    } else if (c->from == FILES && c->to == SOCKET) {
        return send_whole_file(c);
    }
    return move_pieces(c);
}

int weft_copy(int dst, int src, int64_t n, int64_t *done)
{
    struct copy c = { .left = n < 0 ? INT64_MAX : (uint64_t)n, .splices = true, .bulk = n >= WF_SPLICE_FROM };
    ssize_t result = n < -1 ? -EINVAL : open_copy(&c, dst, src, "weft_copy");

    if (result == 0)
        result = copy_all(&c);
    if (done)
        *done = (int64_t)c.done;
    if (result < 0)
        return (int)result;
    return n >= 0 && c.left > 0 ? -ENODATA : 0;
}

static ssize_t send_file(struct copy *c, off_t *offset, size_t n)
{
    off_t at = offset ? *offset : move_position(c, 0), start = at;

    if (at < 0)
        return offset ? -EINVAL : at;
    c->n = lesser(n, SSIZE_MAX);
    c->at = &at;
    ssize_t put = n > 0 ? send_file_part(c) : 0;
    if (offset)
        *offset = at;
    else if (put > 0)
        move_position(c, at - start);
    return put;
}

ssize_t weft_sendfile(int sock, int file, off_t *offset, size_t n)
{
    struct copy c = { .splices = true };

    int err = open_copy(&c, sock, file, "weft_sendfile");
    if (err < 0)
        return err;
    if (c.to != SOCKET)
        return c.to == PACKETS ? -EPROTOTYPE : -ENOTSOCK;
    return c.from == FILES ? send_file(&c, offset, n) : -EINVAL;
}
