#include "runtime/io/ready.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <weft/time.h>

#include "base/clock.h"
#include "base/sys.h"
#include "runtime/task/blocking.h"
#include "runtime/io/close.h"

static bool is_other(enum wf_kind kind)
{
    return kind == WF_KIND_OTHER || kind == WF_KIND_OTHER_BLOCKS;
}

// --- waiting -------------------------------------------------------------------------

static struct wf_reactor *reactor_of(const struct wf_ready *r)
{
    return wf_weft_task(r->self)->rt->reactor;
}

// park waits for the next edge. A task that pushes into the cell of a later generation
// would wait for that generation's edges, so it checks the generation after the push
// (reactor/source.c, G3).
static int park(struct wf_ready *r, struct wf_cell *cell)
{
    struct wf_cell_node node;
    int err = 0;

    if (wf_wait_push(r->self, cell, &node)) {
        if (wf_likely(wf_ready_confirm(r) == 0)) {
            r->parked = true;
            err = wf_wait_pushed(r->self, cell, &node, r->call, r->fd);
        } else {
            wf_wait_pull(r->self, cell, &node, r->call, r->fd);
        }
    }
    if (err < 0)
        return err;
    if (r->parked && !wf_source_is_own(r->source))
        return wf_source_recognise(reactor_of(r), r->source, r->generation);
    return wf_ready_same(r);
}

int wf_ready_confirm_foreign(struct wf_ready *r)
{
    return wf_source_confirm(reactor_of(r), r->source, r->generation, &r->stamp);
}

bool wf_ready_anew(struct wf_ready *r)
{
    if (r->parked || r->fixed || !r->source)
        return false;
    r->source = NULL;
    r->kind = WF_KIND_UNKNOWN;
    r->edge = 0;
    return !r->claimed || wf_ready_claim(r) == 0;
}

WF_NOINLINE int wf_poll_now(int fd, short events)
{
    struct pollfd p = { .fd = fd, .events = events };
    int n = (int)WF_RETRY(wf_sys_poll_now(&p, 1));
    return n < 0 ? n : p.revents;
}

// sys_has_no_port tells whether an internet socket has no local port.
WF_NOINLINE static bool sys_has_no_port(int fd)
{
    struct sockaddr_in6 a = { 0 };
    socklen_t len = sizeof(a);

    if (wf_sys_getsockname(fd, (struct sockaddr *)&a, &len) < 0 ||
        (a.sin6_family != AF_INET && a.sin6_family != AF_INET6))
        return false;
    return a.sin6_port == 0; // an IPv4 address has its port in the same place
}

int wf_ready_pause(struct wf_ready *r, weft_time deadline)
{
    struct wf_cell *cell = &r->source->changed;
    uintptr_t seen = wf_cell_value(cell);
    int err = wf_ready_same(r);

    wf_debug_assert(r->self == wf_self());
    if (err < 0 || (seen && !wf_cell_clear(cell, seen)))
        return wf_ready_same(r);
    r->parked = true;
    err = wf_wait_cells(&cell, 1, deadline, r->call, r->fd);
    if (err == -ETIMEDOUT)
        err = wf_check_cancel(r->self); // or a scope's deadline has passed
    return err < 0 ? err : wf_ready_confirm(r);
}

int wf_ready_back_off(struct wf_ready *r)
{
    unsigned pause = r->pause;

    r->pause = (uint8_t)(pause == 0 ? 1 : pause < 50 ? 2 * pause : pause);
    return pause ? wf_ready_pause(r, wf_after(wf_now(), WEFT_MS(pause))) : 0;
}

// refused checks whether a socket that returned EAGAIN is ready nevertheless; if so, it
// sleeps. Returns: 0: the socket is not ready, wait for it; 1: try again;
// -EADDRNOTAVAIL; errors of wf_ready_pause.
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

// note_drained empties the cell of a direction that a system call has found drained,
// unless the cell was set anew. Returns: 0; 1: the direction is not drained, try again;
// errors.
static int note_drained(struct wf_ready *r, struct wf_cell *cell)
{
    int err = wf_ready_same(r);

    if (err == 0 && r->asks && !is_other(r->kind))
        err = refused(r);
    if (err == 0)
        wf_cell_clear(cell, r->edge);
    return err;
}

// await_edge waits for the next edge of a registered descriptor. Returns: as
// wf_ready_wait.
static int await_edge(struct wf_ready *r)
{
    wf_debug_assert(r->self == wf_self() && r->source && r->kind != WF_KIND_UNKNOWN);
    struct wf_cell *cell = &r->source->ready[r->direction];
    int err = r->edge ? note_drained(r, cell) : 0;

    if (err != 0)
        return err < 0 ? err : 0;
    return park(r, cell);
}

int wf_ready_settle(struct wf_ready *r)
{
    int err;

    if (!r->source || r->kind == WF_KIND_UNKNOWN) {
        err = wf_ready_attach(r);
        return err < 0 ? err : 1;
    }
    return r->edge ? note_drained(r, &r->source->ready[r->direction]) : 0;
}

int wf_ready_wait(struct wf_ready *r)
{
    if (!r->source || r->kind == WF_KIND_UNKNOWN)
        return wf_ready_attach(r); // and check again: both directions begin as ready

    int err = await_edge(r);
    return wf_unlikely(err == -EBADF) && wf_ready_anew(r) ? 0 : err;
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

// --- registering ---------------------------------------------------------------------

WF_NOINLINE int wf_ready_socket_type(int fd)
{
    int type = 0;
    socklen_t len = sizeof(type);
    int err = wf_sys_getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len);
    return err < 0 ? err : type;
}

static int sys_is_tcp(int fd)
{
    int on;
    socklen_t len = sizeof(on);

    // Only a TCP socket has this option; other sockets of the protocol (raw ones) do
    // not.
    int err = wf_sys_getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &len);
    if (err == 0)
        return 1;
    return err == -ENOTSOCK || err == -EBADF ? err : 0;
}

// enroll registers the descriptor. While a thread closes the number, nothing about it
// is remembered: each call registers the number before it waits, and so checks whether
// the registration is for the number's present file (reactor/source.c).
static int enroll(struct wf_ready *r)
{
    struct wf_source *s;
    int err = wf_source_register(reactor_of(r), r->fd, &s, &r->generation);

    r->source = err < 0 ? NULL : s;
    r->kind = WF_KIND_UNKNOWN;
    r->sure = err == 0;
    if (err < 0)
        return err;
    return r->claimed && !wf_source_since(s, r->began) ? -EBADF : 0;
}

int wf_ready_remember(struct wf_ready *r, enum wf_kind kind)
{
    int err = wf_ready_same(r);

    if (err < 0)
        return err;
    wf_debug_assert((unsigned)kind < 8 && kind != WF_KIND_UNKNOWN); // the word has room for these
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
    struct wf_task *self = wf_self();

    if (self)
        wf_source_fresh(wf_weft_task(self)->rt->reactor, fd);
}

// --- calls of many steps -------------------------------------------------------------

int wf_ready_claim(struct wf_ready *r)
{
    if (r->fd < 0)
        return -EBADF;
    r->slot = wf_source_claim(reactor_of(r), r->fd, &r->began);
    r->claimed = r->slot != NULL;
    if (!r->claimed)
        return -ENOMEM;
    if (r->source || !wf_closing_now(r->fd))
        return 0;
    int err = wf_ready_attach(r); // the closer may have ended the generation already: it checks the registration
    return err == -EPERM || err == -ENOTSOCK ? 0 : err;
}

// doubts tells whether the registered file may differ from the one that the number
// meant when the call began: the number was registered then, weft has not made the
// descriptor, and the call has neither parked nor registered it.
static bool doubts(const struct wf_ready *r)
{
    return r->source && !wf_source_is_own(r->source) && !r->parked && !r->claimed;
}

// claim_file notes the call's file: the registered one, or else the number's present
// file.
static int claim_file(struct wf_ready *r)
{
    if (r->claimed)
        return 0;
    if (!r->source)
        return wf_ready_claim(r);
    wf_debug_assert(r->generation % 2 == 1);
    r->slot = r->source;
    r->began = r->generation;
    r->claimed = true;
    return 0;
}

int wf_ready_fix(struct wf_ready *r)
{
    if (!r->fixed && doubts(r) && wf_ready_confirm_foreign(r) < 0 &&
        (wf_source_closed(reactor_of(r), r->fd, r->generation) || !wf_ready_anew(r)))
        return -EBADF;
    r->fixed = true;
    return claim_file(r);
}

int wf_ready_again(struct wf_ready *r)
{
    int err = wf_check_cancel(r->self);

    if (err == 0)
        err = wf_ready_fix(r);
    if (err < 0)
        return err;
    r->later = true;
    r->edge = 0;
    r->parked = false;
    r->pause = 0;
    if (!r->source && sys_is_tcp(r->fd) >= 0)
        err = wf_ready_attach(r); // the call will most likely wait; and now it can notice a foreign close
    return err;
}

// still tells whether the number means the same file as when the call began, as far as
// weft can tell. Context: the number is held.
static bool still(struct wf_ready *r)
{
    return !r->source || wf_source_is_own(r->source) || wf_ready_confirm_foreign(r) == 0;
}

ssize_t wf_ready_hold(struct wf_ready *r, wf_ready_try *fn, void *args)
{
    struct wf_hold hold;

    wf_debug_assert(r->claimed && r->slot && r->slot->fd == r->fd);
    if (!wf_hold_begin(&hold, r->fd, r->slot, r->began))
        return -EBADF;
    ssize_t result = still(r) ? fn(r->fd, args) : -EBADF;
    if (wf_hold_end(&hold))
        wf_close_held(&hold);
    return result;
}

// --- what is not a socket ---------------------------------------------------------------

// sys_is_stored tells whether a file is on a disk: epoll does not poll such a file, or
// reports it as ready when it is not.
WF_NOINLINE static int sys_is_stored(int fd)
{
    struct stat st;
    int err = wf_sys_fstat(fd, &st);
    if (err < 0)
        return err;
    return S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode);
}

// adopt registers a descriptor that is not a socket. Returns: 0; 1 if it cannot be
// waited for.
static int adopt(struct wf_ready *r)
{
    if (is_other(r->kind))
        return 0;
    int err = sys_is_stored(r->fd);
    if (err == 0)
        err = wf_ready_attach_as(r, WF_KIND_OTHER);
    return err == -EPERM ? 1 : err;
}

// The identity of a file. It includes the time of birth, where the file system has it,
// because inode numbers are reused at once.
struct identity {
    uint64_t device, inode;
    int64_t born_s;
    uint32_t born_ns;
};

// A call that a thread of the pool makes. By then the number may mean another file.
// After weft_close the generation shows that, and during a hold weft_close cannot
// change the number. After a close by other code only the file's identity shows it: two
// descriptors with the same identity mean the same file, at least.
struct job {
    struct wf_ready *r;
    struct wf_ready *other; // the call's second descriptor; NULL: there is none
    wf_ready_try *fn;
    void *args;
    ssize_t result;
    struct identity id, other_id;
};

// sys_identify finds the identity of the number's present file.
WF_NOINLINE static int sys_identify(int fd, struct identity *id)
{
    struct statx st = { 0 };

    int err = wf_sys_statx(fd, STATX_INO | STATX_BTIME, &st);
    if (err < 0)
        return err;
    *id = (struct identity){ (uint64_t)st.stx_dev_major << 32 | st.stx_dev_minor, st.stx_ino, 0, 0 };
    if (st.stx_mask & STATX_BTIME) {
        id->born_s = st.stx_btime.tv_sec;
        id->born_ns = st.stx_btime.tv_nsec;
    }
    return 0;
}

static bool is_same_file(const struct identity *a, const struct identity *b)
{
    return a->device == b->device && a->inode == b->inode && a->born_s == b->born_s && a->born_ns == b->born_ns;
}

static bool still_is(int fd, const struct identity *id)
{
    struct identity now;
    return sys_identify(fd, &now) == 0 && is_same_file(&now, id);
}

static ssize_t try_other(int fd, void *arg)
{
    struct job *job = arg;
    return still_is(fd, &job->other_id) ? job->fn(job->r->fd, job->args) : -EBADF;
}

static ssize_t try_job(int fd, void *arg)
{
    struct job *job = arg;

    if (!still_is(fd, &job->id))
        return -EBADF;
    return job->other ? wf_ready_hold(job->other, try_other, job) : job->fn(fd, job->args);
}

static int run_job(void *arg)
{
    struct job *job = arg;
    job->result = wf_ready_hold(job->r, try_job, job);
    return 0;
}

// await_job waits until the job is done, or weft_close has closed the number. (If
// another call clears the cell at the same moment, the job notices the close when it
// begins.) Returns: 0: the job is done; -EBADF; -ECANCELED.
static int await_job(struct wf_cell *done, void *arg)
{
    struct job *job = arg;
    struct wf_ready *r = job->r;
    struct wf_cell *cells[] = { done, &r->slot->changed };
    int err = 0;

    while (err == 0 && !wf_cell_value(done)) {
        uintptr_t seen = wf_cell_value(cells[1]);
        if (!wf_source_since(r->slot, r->began))
            err = -EBADF;
        else if (!seen || wf_cell_clear(cells[1], seen))
            err = wf_wait_cells(cells, 2, WEFT_NEVER, r->call, r->fd);
    }
    return err;
}

// run_in_pool makes the job's call on a thread of the pool.
// Returns: the call's result; the previous job->result if there is no thread and the
// system refuses one; -EBADF; -ECANCELED.
static ssize_t run_in_pool(struct job *job)
{
    struct wf_ready *r = job->r;
    int err = claim_file(r);

    wf_debug_assert(job->fn && r->self == wf_self());
    if (err == 0)
        err = sys_identify(r->fd, &job->id);
    if (err == 0 && job->other)
        err = sys_identify(job->other->fd, &job->other_id);
    if (err < 0)
        return err;
    err = wf_pool_run_while(wf_weft_task(r->self)->rt->blocking, WF_LANE_FILE, run_job, job, r->call, await_job);
    return err < 0 && err != -EAGAIN ? err : job->result;
}

ssize_t wf_ready_pool(struct wf_ready *r, struct wf_ready *other, wf_ready_try *fn, void *args)
{
    struct job job = { .r = r, .other = other, .fn = fn, .args = args, .result = WF_TRY_POOL };
    return run_in_pool(&job);
}

static ssize_t run_bounded(struct wf_ready *r, const struct wf_file_calls *calls, void *args)
{
    if (r->source && !wf_kind_blocks(r->kind)) {
        int err = wf_ready_remember(r, r->kind == WF_KIND_OTHER ? WF_KIND_OTHER_BLOCKS : WF_KIND_LISTENER_BLOCKS);
        if (err < 0)
            return err;
    }
    struct job job = { .r = r, .fn = calls->bounded, .args = args, .result = WF_TRY_LATER };
    return run_in_pool(&job);
}

// attempt makes one call, if the cell says that it may succeed.
static ssize_t attempt(struct wf_ready *r, const struct wf_file_calls *calls, void *args)
{
    ssize_t result = WF_TRY_POOL;

    if (!wf_ready_look(r))
        return -EAGAIN;
    if (!wf_kind_blocks(r->kind))
        result = wf_ready_call(r, calls->now, args);
    if (result == WF_TRY_POOL && doubts(r) && wf_ready_confirm_foreign(r) < 0)
        return wf_ready_anew(r) ? WF_READY_OTHER : -EBADF; // the known facts are about a closed file
    return result == WF_TRY_POOL ? run_bounded(r, calls, args) : result;
}

ssize_t wf_ready_calls(struct wf_ready *r, const struct wf_file_calls *calls, void *args)
{
    for (;;) {
        bool other = is_other(r->kind);
        ssize_t result = attempt(r, calls, args);
        if (result != -EAGAIN && result != WF_TRY_LATER) {
            if (!r->parked)
                wf_budget_consume(r->self);
            return result;
        }
        int err = result == -EAGAIN || !r->source ? wf_ready_wait(r) : wf_ready_back_off(r);
        if (err < 0)
            return err;
        if (other && !r->source)
            return WF_READY_OTHER; // the call begins anew (wf_ready_anew): the number may be a socket by now
    }
}

// run_unpolled is for a device that cannot be polled, and was opened with O_NONBLOCK:
// no event tells when it has data.
static ssize_t run_unpolled(struct wf_ready *r, wf_ready_try *fn, void *args)
{
    for (weft_time pause = WEFT_MS(1);; pause = pause < WEFT_MS(64) ? 2 * pause : pause) {
        ssize_t result = wf_ready_pool(r, NULL, fn, args);
        if (result == WF_TRY_POOL)
            result = wf_ready_hold(r, fn, args); // no thread: the call delays other tasks, but does not fail
        if (result != -EAGAIN)
            return result;
        int err = wf_wait_sleep(wf_after(wf_now(), pause));
        if (err < 0)
            return err;
    }
}

// store makes the call one for the blocking pool. A file that cannot be polled cannot
// be registered. So if the number is registered, other code has closed that file, and
// store wakes the tasks that wait on it.
// Returns: 0; -EBADF.
static int store(struct wf_ready *r)
{
    if (!r->source)
        return 0;
    wf_source_check(reactor_of(r), r->fd);
    return wf_ready_anew(r) ? 0 : -EBADF;
}

ssize_t wf_ready_file(struct wf_ready *r, const struct wf_file_calls *calls, void *args)
{
    int err = adopt(r);

    if (err == 0)
        return wf_ready_calls(r, calls, args);
    if (err > 0)
        err = store(r);
    return err < 0 ? err : run_unpolled(r, calls->block, args);
}

ssize_t wf_ready_stored(struct wf_ready *r, wf_ready_try *fn, void *args)
{
    // The call is not for a file that other code has closed.
    if (r->source && wf_ready_confirm(r) < 0 && !wf_ready_anew(r))
        return -EBADF;
    return run_unpolled(r, fn, args);
}
