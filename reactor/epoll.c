#include "reactor/epoll.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/mem.h"
#include "base/sys.h"
#include "reactor/reactor.h"

enum { ROOM_MAX = 65536 };

static int make_set(void)
{
    return wf_fault() ? -EMFILE : wf_above_standard(wf_sys_epoll_create1(EPOLL_CLOEXEC));
}

static int make_wake(void)
{
    return wf_fault() ? -EMFILE : wf_above_standard(wf_sys_eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

void wf_epoll_make_room(const struct wf_epoll *e)
{
    struct rlimit limit;

    if (wf_sys_getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    rlim_t most = limit.rlim_cur < ROOM_MAX ? limit.rlim_cur : ROOM_MAX;
    // It fails if that number is taken: then the table is already that large.
    int last = wf_sys_fcntl(e->fd, F_DUPFD_CLOEXEC, (long)most - 1);
    if (last >= 0)
        (void)wf_sys_close(last);
}

static int control(struct wf_epoll *e, int op, int fd, uint32_t events, uint64_t tag)
{
    struct epoll_event event = { .events = events, .data.u64 = tag };

    wf_debug_assert(fd != e->fd && (fd != e->wake || tag == WF_EPOLL_WAKE_TAG || op != EPOLL_CTL_ADD));
    return wf_sys_epoll_ctl(e->fd, op, fd, &event);
}

static int watch_descriptor(struct wf_epoll *e, int fd, uint32_t events, uint64_t tag)
{
    if (wf_fault())
        return -ENOMEM;
    int err = control(e, EPOLL_CTL_ADD, fd, events, tag);
    // If a number is closed while its file has a duplicate, the set keeps the entry,
    // and finds it when the number refers to that file again. MOD reports the present
    // readiness, as ADD does.
    if (err == -EEXIST)
        err = control(e, EPOLL_CTL_MOD, fd, events, tag);
    return err == -EINVAL ? -ENOSPC : err; // it is in too many sets, or sets are nested too deep
}

int wf_epoll_init(struct wf_epoll *e)
{
    int err;

    e->fd = make_set();
    if (e->fd < 0)
        return e->fd;
    e->wake = make_wake();
    if (e->wake < 0) {
        err = e->wake;
        goto close_set;
    }
    err = watch_descriptor(e, e->wake, EPOLLIN | EPOLLET, WF_EPOLL_WAKE_TAG);
    if (err < 0)
        goto close_wake;
#ifdef WF_TSAN
    wf_store_relaxed(&e->coarse, true); // relaxed: not shared yet. It knows epoll_wait: see base/futex.c
#else
    wf_store_relaxed(&e->coarse, false); // relaxed: as above
#endif
    return 0;

close_wake:
    (void)wf_sys_close(e->wake);
close_set:
    (void)wf_sys_close(e->fd);
    return err;
}

void wf_epoll_fini(struct wf_epoll *e)
{
    (void)wf_sys_close(e->wake);
    (void)wf_sys_close(e->fd);
}

enum { READABLE = EPOLLIN | EPOLLRDHUP | EPOLLPRI };

int wf_epoll_add(struct wf_epoll *e, int fd, uint64_t tag)
{
    return watch_descriptor(e, fd, READABLE | EPOLLOUT | EPOLLET, tag);
}

int wf_epoll_check(struct wf_epoll *e, int fd, uint64_t tag, bool writable)
{
    return control(e, EPOLL_CTL_MOD, fd, READABLE | (writable ? EPOLLOUT : 0) | EPOLLET, tag);
}

bool wf_epoll_remove(struct wf_epoll *e, int fd)
{
    int err = control(e, EPOLL_CTL_DEL, fd, 0, 0);
    wf_assert(err == 0 || err == -EBADF || err == -ENOENT || err == -EPERM); // all the others: not in the set
    return err == 0;
}

bool wf_epoll_has(struct wf_epoll *e, int fd, uint64_t tag)
{
    int err = control(e, EPOLL_CTL_ADD, fd, EPOLLET, tag);

    if (err == 0)
        control(e, EPOLL_CTL_DEL, fd, 0, 0);
    return err == -EEXIST;
}

static int wait_fine(struct wf_epoll *e, int64_t timeout, struct wf_epoll_batch *batch)
{
    struct timespec ts = wf_timespec(timeout);

    return wf_sys_epoll_pwait2(e->fd, batch->at, WF_EPOLL_BATCH, &ts);
}

static int wait_coarse(struct wf_epoll *e, int64_t timeout, struct wf_epoll_batch *batch)
{
    int64_t ms = timeout / 1000000 + (timeout % 1000000 > 0); // rounded up: never too early, never a busy loop
    if (timeout == INT64_MAX)
        ms = -1;
    return wf_sys_epoll_wait(e->fd, batch->at, WF_EPOLL_BATCH, ms > INT_MAX ? INT_MAX : (int)ms);
}

void wf_epoll_wait(struct wf_epoll *e, int64_t timeout, struct wf_epoll_batch *batch)
{
    wf_debug_assert(timeout >= 0);
    bool whole = timeout == 0 || timeout == INT64_MAX;  // epoll_wait can say it
    bool fine = !whole && !wf_load_relaxed(&e->coarse); // relaxed: a thread that still sees false finds it out itself
    int n = fine ? wait_fine(e, timeout, batch) : wait_coarse(e, timeout, batch);

    if (fine && n < 0 && n != -EINTR) {     // an old kernel, or a filter, which may return any error
        wf_store_relaxed(&e->coarse, true); // relaxed: as above
        n = wait_coarse(e, timeout, batch);
    }
    wf_assert(n >= 0 || n == -EINTR); // all other errors: not our descriptor, not our memory
    batch->count = n < 0 ? 0 : n;
}

_Static_assert(POLLIN == EPOLLIN && POLLPRI == EPOLLPRI && POLLOUT == EPOLLOUT && POLLRDHUP == EPOLLRDHUP &&
                   POLLRDNORM == EPOLLRDNORM && POLLWRNORM == EPOLLWRNORM && POLLRDBAND == EPOLLRDBAND &&
                   POLLWRBAND == EPOLLWRBAND,
               "poll and epoll say the same with the same bits");

int wf_source_alone(int fd, short events)
{
    struct wf_epoll e = { .fd = make_set() };

    if (e.fd < 0)
        return e.fd;
    int err = watch_descriptor(&e, fd, (uint32_t)(unsigned short)events, 0);
    if (err < 0) {
        (void)wf_sys_close(e.fd);
        return err;
    }
    return e.fd;
}

void wf_epoll_interrupt(struct wf_epoll *e)
{
    uint64_t one = 1;
    ssize_t n = wf_sys_write(e->wake, &one, sizeof(one));
    wf_assert(n == (ssize_t)sizeof(one));
}
