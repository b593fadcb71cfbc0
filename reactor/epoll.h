// The only file that knows epoll (with epoll.c): a set of descriptors, edge-triggered,
// and an eventfd that gets the thread that waits for the set out of the wait.
//
// The eventfd is edge-triggered, too: each write to it is an edge of its own, so it is
// never read. (Its counter could take 584 years of a write each nanosecond.)
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
    _Atomic bool coarse; // A: no epoll_pwait2 here: waits are rounded up to milliseconds. Only ever becomes true.
};

// What one wait brought. 256: enough that a busy server's batch rarely ends early, and
// 3 KiB of the caller's stack.
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
// make it larger takes tens of milliseconds while the process has several threads, and
// nothing while it has one.  Context: before threads are made.
void wf_epoll_make_room(const struct wf_epoll *e);

// wf_epoll_add watches `fd` for everything; its events carry `tag`. One that is watched
// already gets the new tag.
// Returns: 0; -EPERM (not pollable), -EBADF, -ENOMEM, -ENOSPC
// (fs.epoll.max_user_watches; too many sets).  Context: any thread.
WF_MUST_CHECK int wf_epoll_add(struct wf_epoll *e, int fd, uint64_t tag);

// wf_epoll_check gives `fd` the tag anew, and reports what is ready anew, if its file
// is watched under this number. From then on it is watched for everything, or (not
// `writable`) for everything but room to write.
// Returns: 0; -ENOENT, -EBADF, -EPERM: what the number means now is not.  Context: any
// thread.
WF_MUST_CHECK int wf_epoll_check(struct wf_epoll *e, int fd, uint64_t tag, bool writable);

// wf_epoll_remove ends that.  Returns: false if what the number means was not watched.
// Context: any thread.
bool wf_epoll_remove(struct wf_epoll *e, int fd);

// wf_epoll_has tells whether what the number means is watched under it, and, unlike
// wf_epoll_check, reports nothing anew. `tag`: one that is ignored.  Context: any thread.
bool wf_epoll_has(struct wf_epoll *e, int fd, uint64_t tag);

// wf_epoll_wait waits up to `timeout` ns (0: not at all; INT64_MAX: without bound). May
// return early with nothing.
void wf_epoll_wait(struct wf_epoll *e, int64_t timeout, struct wf_epoll_batch *batch);

// wf_epoll_interrupt makes the wait return, or the next one.  Context: any thread.
void wf_epoll_interrupt(struct wf_epoll *e);

static inline uint64_t wf_epoll_tag(const struct wf_epoll_batch *batch, int i)
{
    return batch->at[i].data.u64;
}

// An error or a hang-up makes both directions ready: the system call will tell.
static inline bool wf_epoll_readable(const struct wf_epoll_batch *batch, int i)
{
    return batch->at[i].events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
}

static inline bool wf_epoll_writable(const struct wf_epoll_batch *batch, int i)
{
    return batch->at[i].events & (EPOLLOUT | EPOLLHUP | EPOLLERR);
}

// Is there more behind the bytes than bytes: the end of the stream, an error, urgent
// data?
static inline bool wf_epoll_last(const struct wf_epoll_batch *batch, int i)
{
    return batch->at[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI);
}

#endif
