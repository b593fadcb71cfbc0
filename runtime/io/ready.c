#include "runtime/io/ready.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <weft/time.h>

#include "base/clock.h"
#include "runtime/blocking.h"

// --- waiting ---------------------------------------------------------------------------------------------------------

// park waits for the next edge. Whoever pushes into the cell of a later generation would wait for that one's edges: so
// it looks at the generation once it has pushed (reactor/source.c, G3).
static int park(struct wf_ready *r, struct wf_cell *cell)
{
    struct wf_cell_node node;
    int err = 0;

    node.waker = wf_wait_waker(r->self);
    if (wf_cell_push(cell, &node)) {
        r->parked = true;
        if (wf_likely(wf_ready_same(r) == 0))
            err = wf_wait_pushed(r->self, cell, &node, r->call, r->fd);
        else
            wf_wait_leave(r->self, cell, &node, r->call, r->fd);
    }
    return err < 0 ? err : wf_ready_same(r);
}

WF_NOINLINE int wf_poll_now(int fd, short events)
{
    struct pollfd p = { .fd = fd, .events = events };
    return TEMP_FAILURE_RETRY(poll(&p, 1, 0)) < 0 ? -errno : p.revents;
}

// sys_has_no_port tells of an internet socket that has not got a local port.
WF_NOINLINE static bool sys_has_no_port(int fd)
{
    struct sockaddr_in6 a = { 0 };
    socklen_t len = sizeof(a);

    if (getsockname(fd, (struct sockaddr *)&a, &len) < 0 || (a.sin6_family != AF_INET && a.sin6_family != AF_INET6))
        return false;
    return a.sin6_port == 0; // where an IPv4 address has it, too
}

int wf_ready_pause(struct wf_ready *r, weft_time deadline)
{
    struct wf_cell *cell = &r->source->changed;
    uintptr_t seen = wf_cell_value(cell);
    int err = wf_ready_same(r);

    if (err < 0 || (seen && !wf_cell_clear(cell, seen)))
        return wf_ready_same(r);
    r->parked = true;
    err = wf_wait_cells(&cell, 1, deadline, r->call, r->fd);
    if (err == -ETIMEDOUT)
        err = wf_wait_cut(r->self); // or a scope's deadline?
    return err < 0 ? err : wf_ready_same(r);
}

int wf_ready_back_off(struct wf_ready *r)
{
    unsigned pause = r->pause;

    r->pause = (uint8_t)(pause == 0 ? 1 : pause < 50 ? 2 * pause : pause);
    return pause ? wf_ready_pause(r, wf_after(wf_now(), WEFT_MS(pause))) : 0;
}

// refused tells whether a socket that said EAGAIN is ready all the same, and if so sleeps.
// Returns: 0: it is not, wait for it; 1: try again; -EADDRNOTAVAIL; as wf_ready_pause.
__attribute__((cold, noinline)) static int refused(struct wf_ready *r)
{
    int ready = wf_poll_now(r->fd, r->asks);

    if (ready <= 0)
        return ready;
    if (r->direction == WF_WRITE && sys_has_no_port(r->fd))
        return -EADDRNOTAVAIL;
    int err = wf_ready_back_off(r);
    return err < 0 ? err : 1;
}

// note_drained empties the cell of a direction that a system call has found drained, unless it was set anew.
// Returns: 0; 1: it is not drained, try again; errors.
static int note_drained(struct wf_ready *r, struct wf_cell *cell)
{
    int err = wf_ready_same(r);

    if (err == 0 && r->asks && r->kind != WF_KIND_OTHER && r->kind != WF_KIND_OTHER_BLOCKS)
        err = refused(r);
    if (err == 0)
        wf_cell_clear(cell, r->edge);
    return err;
}

int wf_ready_wait(struct wf_ready *r)
{
    if (!r->source || r->kind == WF_KIND_UNKNOWN)
        return wf_ready_attach(r); // and look again: both directions begin as ready

    struct wf_cell *cell = &r->source->ready[r->direction];
    int err = r->edge ? note_drained(r, cell) : 0;
    if (err != 0)
        return err < 0 ? err : 0;
    return park(r, cell);
}

void wf_ready_short(struct wf_ready *r)
{
    if (r->kind != WF_KIND_TCP || !r->edge || wf_source_has_last(r->source))
        return;
    if (r->direction == WF_WRITE && wf_poll_now(r->fd, POLLOUT) != 0)
        return;
    if (wf_ready_same(r) == 0)
        wf_cell_clear(&r->source->ready[r->direction], r->edge);
}

// --- registering -----------------------------------------------------------------------------------------------------

WF_NOINLINE static int sys_is_tcp(int fd)
{
    int on;
    socklen_t len = sizeof(on);

    // Only a TCP socket knows this option. What else speaks the protocol (raw sockets) does not.
    if (getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &len) == 0)
        return 1;
    return errno == ENOTSOCK || errno == EBADF ? -errno : 0;
}

// enroll registers the descriptor. While its number is being closed nothing is remembered of it: each call registers,
// before it waits, and so finds out whether what is registered is what the number means by then (reactor/source.c).
static int enroll(struct wf_ready *r)
{
    struct wf_source *s;
    int err = wf_source_register(wf_weft_task(r->self)->rt->reactor, r->fd, &s, &r->generation);

    r->source = err < 0 ? NULL : s;
    r->kind = WF_KIND_UNKNOWN;
    r->sure = err == 0;
    return err < 0 ? err : 0;
}

int wf_ready_remember(struct wf_ready *r, enum wf_kind kind)
{
    int err = wf_ready_same(r);

    if (err < 0)
        return err;
    r->kind = kind;
    if (r->sure)
        wf_store_relaxed(&r->source->kind, r->generation << 3 | kind); // relaxed: as in wf_kind_of
    return 0;
}

int wf_ready_attach_as(struct wf_ready *r, enum wf_kind kind)
{
    int err = enroll(r);
    return err < 0 ? err : wf_ready_remember(r, kind);
}

int wf_ready_attach(struct wf_ready *r)
{
    int err = enroll(r);
    if (err < 0)
        return err;
    int tcp = sys_is_tcp(r->fd);
    return tcp < 0 ? tcp : wf_ready_remember(r, tcp ? WF_KIND_TCP : WF_KIND_SOCKET);
}

void wf_ready_fresh(int fd)
{
    weft_rt *rt = weft_rt_current();
    struct wf_source *s = rt ? wf_source_get(rt->reactor, fd) : NULL;

    if (s && wf_load_acquire(&s->generation) & 1) // acquire: what is forgotten now was registered before
        wf_source_forget(rt->reactor, fd);
}

// --- what is no socket -----------------------------------------------------------------------------------------------

// sys_is_stored tells of what epoll does not poll, or calls ready when it is not: what lies on a disk.
WF_NOINLINE static int sys_is_stored(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    return S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode);
}

// adopt registers a descriptor that is no socket. Returns: 0; 1 if it cannot be waited for.
static int adopt(struct wf_ready *r)
{
    if (r->kind == WF_KIND_OTHER || r->kind == WF_KIND_OTHER_BLOCKS)
        return 0;
    int err = sys_is_stored(r->fd);
    if (err == 0)
        err = wf_ready_attach_as(r, WF_KIND_OTHER);
    return err == -EPERM ? 1 : err;
}

struct job {
    wf_ready_try *
    try
        ;
    void *args;
    ssize_t result;
    const struct wf_ready *r; // of the task that waits
};

// run_job: the number may have been closed while the job was queued.
static int run_job(void *arg)
{
    struct job *job = arg;
    const struct wf_ready *r = job->r;

    job->result = r->source && wf_ready_same(r) < 0 ? -EBADF : job->
    try
        (r->fd, job->args);
    return 0;
}

// run_in_pool makes the call on a thread of the pool.
// Returns: what it says; `refused` if there is no thread, and none to be had; -ECANCELED.
static ssize_t run_in_pool(struct wf_ready *r, wf_ready_try *try, void *args, ssize_t refused)
{
    struct job job = { .try = try, .args = args, .result = refused, .r = r };
    int err = wf_pool_run(wf_weft_task(r->self)->rt->blocking, run_job, &job, r->call);

    return err < 0 && err != -EAGAIN ? err : job.result;
}

static ssize_t run_bounded(struct wf_ready *r, const struct wf_file_calls *calls, void *args)
{
    if (!wf_kind_blocks(r->kind)) {
        int err = wf_ready_remember(r, r->kind == WF_KIND_OTHER ? WF_KIND_OTHER_BLOCKS : WF_KIND_LISTENER_BLOCKS);
        if (err < 0)
            return err;
    }
    return run_in_pool(r, calls->bounded, args, WF_TRY_LATER);
}

// attempt is one call, if the cell says that it may succeed.
static ssize_t attempt(struct wf_ready *r, const struct wf_file_calls *calls, void *args)
{
    ssize_t result = WF_TRY_POOL;

    if (!wf_ready_look(r))
        return -EAGAIN;
    if (!wf_kind_blocks(r->kind))
        result = calls->
        try
            (r->fd, args);
    return result == WF_TRY_POOL ? run_bounded(r, calls, args) : result;
}

ssize_t wf_ready_calls(struct wf_ready *r, const struct wf_file_calls *calls, void *args)
{
    for (;;) {
        ssize_t result = attempt(r, calls, args);
        if (result != -EAGAIN && result != WF_TRY_LATER) {
            if (!r->parked)
                wf_wait_spend(r->self);
            return result;
        }
        int err = result == -EAGAIN ? wf_ready_wait(r) : wf_ready_back_off(r);
        if (err < 0)
            return err;
    }
}

// run_unpolled: nothing tells when a device that cannot be polled, and was opened with O_NONBLOCK, has something.
static ssize_t run_unpolled(struct wf_ready *r, wf_ready_try *try, void *args)
{
    for (weft_time pause = WEFT_MS(1);; pause = pause < WEFT_MS(64) ? 2 * pause : pause) {
        ssize_t result = run_in_pool(r, try, args, WF_TRY_POOL);
        if (result == WF_TRY_POOL)
            result =
            try
                (r->fd, args); // not one thread to be had: better late for the others than never
        if (result != -EAGAIN)
            return result;
        int err = wf_wait_sleep(wf_after(wf_now(), pause));
        if (err < 0)
            return err;
    }
}

ssize_t wf_ready_file(struct wf_ready *r, const struct wf_file_calls *calls, void *args)
{
    int err = adopt(r);
    if (err < 0)
        return err;
    return err ? run_unpolled(r, calls->block, args) : wf_ready_calls(r, calls, args);
}
