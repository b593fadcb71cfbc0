// A process from its start to its end. One task writes its input and reads its outputs:
// it waits for all three pipes at once, so none of them fills up while the task serves
// another.
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <weft/io.h>
#include <weft/select.h>

#include "base/assert.h"
#include "base/mem.h"
#include "runtime/os/process.h"

enum { ROOM_MIN = 4096 };

// One output so far. The memory is malloc's; the caller frees it.
struct capture {
    int fd; // -1: not captured, or at its end
    char *text;
    size_t len, room; // `room` includes one byte for a 0
};

struct run {
    weft_process *p;
    int in; // -1: all input was written
    const char *rest;
    size_t left;
    size_t max;
    struct capture from[2];
};

// check_capture asserts what holds as long as the capture has not failed.
static void check_capture(const struct capture *c, size_t max)
{
    wf_assert(c->len <= c->room && c->room <= max);
    wf_assert(c->text || c->room == 0);
}

static void close_pipe_end(int *fd)
{
    if (*fd >= 0)
        weft_close(*fd);
    *fd = -1;
}

// feed_input writes as much as the pipe has room for. It stops if the process has
// closed its input.
static int feed_input(struct run *r)
{
    wf_assert(r->left > 0); // otherwise its end would have been closed
    ssize_t n = weft_write(r->in, r->rest, r->left);

    if (n < 0 && n != -EPIPE)
        return (int)n;
    r->rest += n < 0 ? 0 : n;
    r->left -= n < 0 ? r->left : (size_t)n;
    if (r->left == 0)
        close_pipe_end(&r->in);
    return 0;
}

static int grow_capture(struct capture *c, size_t max)
{
    size_t room = c->room ? c->room * 2 : ROOM_MIN;

    if (room > max)
        room = max;
    wf_assert(room >= c->room);
    char *text = wf_fault() || room == SIZE_MAX ? NULL : realloc(c->text, room + 1);
    if (!text)
        return -ENOMEM;
    c->text = text;
    c->room = room;
    return 0;
}

// take_output reads the bytes that are there. At the end of the room it asks for one
// byte more than `max`, to detect a longer output.
static int take_output(struct capture *c, size_t max)
{
    char more;
    bool full = c->len == max;

    wf_debug_check(check_capture(c, max));
    int err = c->len == c->room && !full ? grow_capture(c, max) : 0;
    if (err < 0)
        return err;
    ssize_t n = full ? weft_read(c->fd, &more, 1) : weft_read(c->fd, c->text + c->len, c->room - c->len);
    if (n <= 0) {
        close_pipe_end(&c->fd);
        return (int)n;
    }
    c->len += (size_t)n;
    return full ? -EMSGSIZE : 0;
}

static int attend_pipe(struct run *r)
{
    weft_case cases[3];
    int n = 0, of[3];

    if (r->in >= 0)
        of[n] = 0, cases[n++] = weft_on_fd(r->in, POLLOUT);
    for (int i = 0; i < 2; i++)
        if (r->from[i].fd >= 0)
            of[n] = i + 1, cases[n++] = weft_on_fd(r->from[i].fd, POLLIN);
    wf_assert(n > 0); // otherwise there is nothing to wait for
    int i = weft_select(cases, n);
    if (i < 0 || cases[i].result < 0)
        return i < 0 ? i : cases[i].result;
    return of[i] == 0 ? feed_input(r) : take_output(&r->from[of[i] - 1], r->max);
}

static int talk_to_end(struct run *r, int *status)
{
    int err = 0;

    if (r->left == 0)
        close_pipe_end(&r->in);
    while (err == 0 && (r->in >= 0 || r->from[0].fd >= 0 || r->from[1].fd >= 0))
        err = attend_pipe(r);
    return err == 0 ? weft_process_wait(r->p, status) : err;
}

static int end_of(const weft_process *p, int which)
{
    int fd = weft_process_pipe(p, which);
    return fd < 0 ? -1 : fd;
}

// hand_outputs_over gives the captured bytes to the caller. Context: there was no
// error.
static void hand_outputs_over(struct capture *c, void **text, size_t *len)
{
    if (c->text)
        c->text[c->len] = 0;
    *text = c->text;
    *len = c->len;
    c->text = NULL;
}

// make_room_for_none ends an empty output with a 0, too.
static int make_room_for_none(struct capture *c, bool captured)
{
    return captured && !c->text ? grow_capture(c, 0) : 0;
}

static int run_to_end(struct run *r, weft_output *out)
{
    bool captured[2];

    for (int i = 0; i < 2; i++) {
        r->from[i].fd = end_of(r->p, i + 1);
        captured[i] = r->from[i].fd >= 0;
    }
    r->in = end_of(r->p, 0);
    int err = talk_to_end(r, &out->status);
    for (int i = 0; i < 2 && err == 0; i++)
        err = make_room_for_none(&r->from[i], captured[i]);
    if (err == 0) {
        hand_outputs_over(&r->from[0], &out->out, &out->out_len);
        hand_outputs_over(&r->from[1], &out->err, &out->err_len);
    }
    return err;
}

// read_run_opts asks for pipes. Returns: 0; -EINVAL.
static int read_run_opts(weft_process_opts *o, const weft_process_opts *given, const void *in)
{
    int err = wf_process_read_opts(o, given);

    if (err < 0)
        return err;
    if (in ? o->in != 0 : o->in == WEFT_PIPE)
        return -EINVAL;
    if (in)
        o->in = WEFT_PIPE;
    o->out = o->out ? o->out : WEFT_PIPE;
    o->err = o->err ? o->err : WEFT_PIPE;
    return 0;
}

int weft_process_run(const weft_process_opts *given, const void *in, size_t n, weft_output *out)
{
    weft_process_opts o = WEFT_PROCESS_OPTS_INIT;
    struct run r = { .rest = in, .left = n, .max = out->max };

    *out = (weft_output){ .max = out->max };
    int err = read_run_opts(&o, given, in);
    if (err == 0)
        err = weft_process_spawn(&r.p, &o);
    if (err < 0)
        return err;
    err = run_to_end(&r, out);
    weft_process_close(r.p);
    free(r.from[0].text);
    free(r.from[1].text);
    return err;
}
