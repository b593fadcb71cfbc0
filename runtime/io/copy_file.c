// Copies from a file to a file or a socket: system calls on the blocking pool. The head
// of copy.c has the table of the ways.
#include "runtime/io/copy.h"

#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/sys.h"
#include "runtime/io/buffer.h"
#include "runtime/io/splice.h"
#include "runtime/io/step.h"
#include "runtime/wait/wait.h"

// --- system calls --------------------------------------------------------------------

static ssize_t sys_copy_range(int fd, void *args)
{
    struct wf_copy *c = args;
    return WF_RETRY(wf_sys_copy_file_range(fd, c->out.fd, c->n));
}

static ssize_t sys_sendfile(int fd, void *args)
{
    struct wf_copy *c = args;
    return WF_RETRY(wf_sys_sendfile(c->out.fd, fd, c->at, c->n));
}

// sys_sendfile_now is sendfile to a socket, unless that could block.
static ssize_t sys_sendfile_now(int fd, void *args)
{
    struct wf_copy *c = args;
    return wf_splice_waits(c->out.fd) ? -EOPNOTSUPP : sys_sendfile(fd, args);
}

// --- ways to make one ----------------------------------------------------------------

static ssize_t call_on_out(int fd, void *args)
{
    struct wf_copy *c = args;
    (void)fd;
    return c->fn(c->in.fd, c);
}

ssize_t wf_copy_on_both(int fd, void *args)
{
    struct wf_copy *c = args;
    (void)fd;
    return wf_ready_hold(&c->out, call_on_out, c);
}

ssize_t wf_copy_in_pool(struct wf_copy *c, wf_ready_try *fn)
{
    ssize_t result = wf_ready_pool(&c->in, &c->out, fn, c);

    c->fn = fn;
    return result == WF_TRY_POOL ? wf_ready_hold(&c->in, wf_copy_on_both, c) : result;
}

// --- file to file --------------------------------------------------------------------

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
static bool overlaps(struct wf_copy *c)
{
    struct stat in, out;

    if (wf_ready_hold(&c->in, sys_stat, &in) < 0 || wf_ready_hold(&c->out, sys_stat, &out) < 0)
        return false; // closed: the next call returns the error
    return in.st_dev == out.st_dev && in.st_ino == out.st_ino && find_position(&c->in) != find_position(&c->out);
}

// move_by_job moves all bytes by one kind of call. Returns: the result of the last
// call, which moved nothing.
static ssize_t move_by_job(struct wf_copy *c, wf_ready_try *fn)
{
    ssize_t n = 1;

    while (!wf_copy_is_done(c) && n > 0) {
        c->n = wf_copy_lesser(c->left, WF_COPY_FILE_JOB);
        n = wf_check_cancel(c->in.self);
        if (n == 0)
            n = wf_copy_in_pool(c, fn);
        if (n > 0)
            wf_copy_note_moved(c, n);
    }
    return n;
}

ssize_t wf_copy_files(struct wf_copy *c)
{
    ssize_t n = 0;

    move_by_job(c, sys_copy_range);
    if (!wf_copy_is_done(c) && !overlaps(c))
        n = move_by_job(c, sys_sendfile);
    return n < 0 && !wf_is_unsupported(n) ? n : 0;
}

// --- a file to a socket --------------------------------------------------------------

struct page {
    struct wf_copy *c;
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
static bool fits_buffer(const struct wf_copy *c)
{
    return c->n <= WF_BUFFER_HUGE || !c->splices;
}

// send_page sends some bytes through a buffer, if they are in the page cache, or the
// socket is in blocking mode. Returns: -EAGAIN: neither.
static ssize_t send_page(struct page *p)
{
    struct wf_copy *c = p->c;
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

static ssize_t send_buffered(struct wf_copy *c)
{
    char spare[WF_COPY_SPARE], *buf = wf_buffer_take_huge();
    struct page p = { c, buf ? buf : spare, wf_copy_lesser(c->n, buf ? WF_BUFFER_HUGE : WF_COPY_SPARE), *c->at };

    ssize_t put = send_page(&p);
    wf_buffer_give(buf, WF_BUFFER_HUGE);
    if (put > 0)
        *c->at += put;
    return put;
}

// send_file_part sends some bytes of the file, from *c->at on: on the pool, once the
// socket has room.
static ssize_t send_file_part(struct wf_copy *c)
{
    wf_debug_assert(c->at && c->from == WF_COPY_FILE && c->to == WF_COPY_SOCKET);
    ssize_t put = fits_buffer(c) ? send_buffered(c) : -EAGAIN;

    c->n = wf_copy_lesser(c->n, WF_COPY_JOB);
    while (put == -EAGAIN) {
        if (wf_ready_look(&c->out))
            put = wf_copy_in_pool(c, sys_sendfile_now);
        int err = put == -EAGAIN ? wf_ready_wait(&c->out) : 0;
        if (err < 0)
            return err;
    }
    if (!wf_is_unsupported(put))
        return put;
    c->splices = false;
    return send_buffered(c);
}

off_t wf_copy_move_position(struct wf_copy *c, off_t by)
{
    return wf_ready_hold(&c->in, sys_seek, &by);
}

ssize_t wf_copy_send_rest(struct wf_copy *c)
{
    off_t at = wf_copy_move_position(c, 0), start = at;
    ssize_t put = at < 0 ? at : 1;

    c->at = &at;
    while (!wf_copy_is_done(c) && put > 0) {
        c->n = wf_copy_lesser(c->left, SSIZE_MAX);
        wf_copy_begin_step(&c->out);
        put = wf_check_cancel(c->out.self);
        if (put == 0)
            put = send_file_part(c);
        if (put > 0)
            wf_copy_note_moved(c, put);
    }
    c->at = NULL; // `at` ends here
    wf_copy_move_position(c, at - start);
    return put;
}

ssize_t wf_copy_send_file(struct wf_copy *c, off_t *offset, size_t n)
{
    off_t at = offset ? *offset : wf_copy_move_position(c, 0), start = at;

    if (at < 0)
        return offset ? -EINVAL : at;
    c->n = wf_copy_lesser(n, SSIZE_MAX);
    c->at = &at;
    ssize_t put = n > 0 ? send_file_part(c) : 0;
    c->at = NULL; // `at` ends here
    if (offset)
        *offset = at;
    else if (put > 0)
        wf_copy_move_position(c, at - start);
    return put;
}
