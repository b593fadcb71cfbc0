// With epoll.c, the only file that uses epoll: a set of descriptors, edge-triggered,
// and an eventfd that ends the wait of a thread.
//
// The eventfd is edge-triggered, too: each write is a new edge, so weft never reads it.
// (With a write each nanosecond its counter would overflow after 584 years.)
#ifndef WF_REACTOR_EPOLL_H
#define WF_REACTOR_EPOLL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/atomic.h"
#include "base/compiler.h"

struct wf_epoll {
    int fd;              // I
    int wake;            // I: the eventfd
    _Atomic bool coarse; // A: no epoll_pwait2 here: waits are rounded up to milliseconds; it stays true
};

// The result of one wait. 256 events are enough for most batches of a busy server, and
// take 3 KiB of the caller's stack.
enum { WF_EPOLL_BATCH = 256 };
struct wf_epoll_batch {
    int count;
    struct epoll_event at[WF_EPOLL_BATCH];
};

#define WF_EPOLL_WAKE_TAG UINT64_MAX // the tag of the eventfd

// wf_epoll_init makes the set.  Returns: 0; -EMFILE, -ENFILE, -ENOMEM, -ENOSPC.
WF_MUST_CHECK int wf_epoll_init(struct wf_epoll *e);
void wf_epoll_fini(struct wf_epoll *e);

// wf_epoll_make_room lets the kernel make its table of the process's descriptors as
// large as it may become, up to 64 Ki (8 bytes each): at once, and not in accept(2). To
// enlarge it takes tens of milliseconds while the process has several threads, and
// almost no time while it has one. Context: before threads are made.
void wf_epoll_make_room(const struct wf_epoll *e);

// wf_epoll_add watches `fd` for everything; its events carry `tag`. A descriptor that
// is watched already gets the new tag.
// Returns: 0; -EPERM (not pollable), -EBADF, -ENOMEM, -ENOSPC
// (fs.epoll.max_user_watches; too many sets).  Context: any thread.
WF_MUST_CHECK int wf_epoll_add(struct wf_epoll *e, int fd, uint64_t tag);

// wf_epoll_check sets the tag of `fd`, and makes epoll report its readiness anew, if
// the number's present file is watched under this number. From then on `fd` is watched
// for all events, without `writable` for all except room to write. Returns: 0; -ENOENT,
// -EBADF, -EPERM: the number's present file is not watched. Context: any
// thread.
WF_MUST_CHECK int wf_epoll_check(struct wf_epoll *e, int fd, uint64_t tag, bool writable);

// wf_epoll_remove ends the watch. Returns: false if the number's present file was not
// watched.
// Context: any thread.
bool wf_epoll_remove(struct wf_epoll *e, int fd);

// wf_epoll_has tells whether the number's present file is watched under it. Unlike
// wf_epoll_check, it makes epoll report nothing. `tag`: one that dispatch ignores.
// Context: any thread.
bool wf_epoll_has(struct wf_epoll *e, int fd, uint64_t tag);

// wf_epoll_wait waits up to `timeout` ns (0: not at all; INT64_MAX: without bound). It
// may return early, without events.
void wf_epoll_wait(struct wf_epoll *e, int64_t timeout, struct wf_epoll_batch *batch);

// wf_epoll_interrupt ends the present wait, or the next one. Context: any thread.
void wf_epoll_interrupt(struct wf_epoll *e);

static inline uint64_t wf_epoll_tag(const struct wf_epoll_batch *batch, int i)
{
    return batch->at[i].data.u64;
}

// An error or a hang-up makes both directions ready: the system call then returns the
// error.
static inline bool wf_epoll_readable(const struct wf_epoll_batch *batch, int i)
{
    return batch->at[i].events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
}

static inline bool wf_epoll_writable(const struct wf_epoll_batch *batch, int i)
{
    return batch->at[i].events & (EPOLLOUT | EPOLLHUP | EPOLLERR);
}

// wf_epoll_last tells whether an end of the stream, an error or urgent data follows the
// bytes.
static inline bool wf_epoll_last(const struct wf_epoll_batch *batch, int i)
{
    return batch->at[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI);
}

#endif
