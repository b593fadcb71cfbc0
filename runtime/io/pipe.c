// The stock of pipes: a stack for each worker, which only the worker accesses, without
// a lock. A task may take a pipe on one worker and give it back on another.
#include "runtime/io/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/descriptor.h"
#include "base/mem.h"
#include "base/sys.h"
#include "runtime/service.h"
#include "runtime/state.h"

enum {
    PIPES = 8,       // kept for each worker
    ROOM = 1 << 18,  // bytes of a pipe, if the system grants them
    LEAST = 1 << 14, // a user with too many pipes gets less than this: then buffers are better
};

// O: the worker that owns it
struct shelf {
    _Alignas(WF_CACHE_LINE) unsigned pipes; // O
    struct wf_pipe pipe[PIPES];             // O
};

struct wf_pipes {
    unsigned workers;
    struct shelf shelf[];
};

static int make_stock(struct weft_rt *rt, const weft_config *cfg)
{
    struct wf_pipes *s = wf_alloc(sizeof(*s) + cfg->workers * sizeof(struct shelf));

    if (!s)
        return -ENOMEM;
    s->workers = cfg->workers;
    rt->pipes = s;
    return 0;
}

static void close_pipe(struct wf_pipe *p)
{
    (void)wf_sys_close(p->in);
    (void)wf_sys_close(p->out);
}

static void clear_shelf(struct shelf *s)
{
    while (s->pipes > 0)
        close_pipe(&s->pipe[--s->pipes]);
}

static void free_stock(struct weft_rt *rt)
{
    for (unsigned i = 0; i < rt->pipes->workers; i++)
        clear_shelf(&rt->pipes->shelf[i]);
    wf_free(rt->pipes);
}

const struct wf_service wf_pipes_service = { .make = make_stock, .free = free_stock, .abandon = free_stock };

// own_shelf is the calling worker's shelf.
static struct shelf *own_shelf(struct weft_rt *rt)
{
    unsigned index = wf_sched_worker_index(rt->sched);
    wf_debug_assert(index < rt->pipes->workers);
    return &rt->pipes->shelf[index];
}

// enlarge asks for a larger pipe: each piece of a packet takes a slot of the pipe, even
// a small one. The system may refuse, because it limits each user's total.
static size_t enlarge(int fd)
{
    int size = wf_sys_fcntl(fd, F_SETPIPE_SZ, ROOM);

    if (size < 0)
        size = wf_sys_fcntl(fd, F_GETPIPE_SZ, 0);
    return size < 0 ? 0 : (size_t)size;
}

static bool make_pipe(struct wf_pipe *p)
{
    int fd[2];

    if (wf_fault() || wf_pipe_above_standard(fd, O_NONBLOCK | O_CLOEXEC) < 0)
        return false;
    *p = (struct wf_pipe){ .in = fd[1], .out = fd[0], .size = enlarge(fd[1]) };
    if (p->size >= LEAST)
        return true;
    close_pipe(p);
    return false;
}

WF_NOINLINE bool wf_pipe_take(struct weft_rt *rt, struct wf_pipe *p)
{
    struct shelf *s = own_shelf(rt);
    struct wf_pipe none = { .in = -1, .out = -1 };

    wf_debug_assert(!wf_pipe_held(p) && s->pipes <= PIPES); // otherwise the pipe that is held would never be closed
    if (s->pipes > 0)
        *p = s->pipe[--s->pipes];
    else if (!make_pipe(p))
        *p = none;
    wf_debug_assert(p->n == 0); // otherwise another copy's bytes are in it
    return wf_pipe_held(p);
}

WF_NOINLINE void wf_pipe_give(struct weft_rt *rt, struct wf_pipe *p)
{
    struct shelf *s = own_shelf(rt);

    wf_debug_assert(wf_pipe_held(p) && p->n <= p->size);
    if (p->n > 0 || s->pipes == PIPES)
        close_pipe(p);
    else
        s->pipe[s->pipes++] = *p;
    *p = (struct wf_pipe){ .in = -1, .out = -1 };
}
