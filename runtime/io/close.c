#include "runtime/io/close.h"

#include <fcntl.h>
#include <unistd.h>
#include <weft/io.h>

#include "runtime/io/ready.h"

// sys_close: an interrupted close(2) has closed, on Linux.
WF_NOINLINE static int sys_close(int fd)
{
    return close(fd) < 0 && errno != EINTR ? -errno : 0;
}

// close_number is close(2), and what comes after it.
static int close_number(int fd)
{
    int err = sys_close(fd);

    if (!wf_closing_end(fd, false)) {
        wf_registry_check(fd);
        wf_closing_end(fd, true);
    }
    return err;
}

// A number that is held is covered by a descriptor that means no file: that closes the
// file, and system calls that others are in end on it, but one that has yet to begin
// says EBADF; and the number is not handed out.
//
// sys_cover returns false if there is no descriptor to be had for it.
WF_NOINLINE static bool sys_cover(int fd)
{
    int cover = open("/", O_PATH | O_CLOEXEC);

    if (cover < 0)
        return false;
    bool covered = dup3(cover, fd, O_CLOEXEC) == fd;
    close(cover);
    return covered;
}

// sys_is_cover: a program that wants just this number may have put a file there by dup2
// already.
WF_NOINLINE static bool sys_is_cover(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && flags & O_PATH;
}

void wf_close_held(const struct wf_hold *hold)
{
    if (!hold->covered || sys_is_cover(hold->fd))
        (void)close_number(hold->fd); // the caller of weft_close has gone
    else
        wf_closing_end(hold->fd, true);
}

// close_later is for a number that others hold, or have closed already.
__attribute__((cold, noinline)) static int close_later(struct wf_hold *hold, int fd, int held)
{
    if (held < 0) {
        wf_closing_end(fd, true); // the other closer's mark stays
        return held;
    }
    wf_debug_assert(hold->closes && hold->fd == fd);
    hold->covered = sys_cover(fd);
    if (wf_hold_end(hold))
        wf_close_held(hold);
    return 0;
}

// In every runtime: the host program may have more than one. close(2) may take its
// time, so nothing is held meanwhile; reactor/source.c says why no waiter is lost all
// the same.
int weft_close(int fd)
{
    struct wf_hold hold;

    if (fd < 0)
        return -EBADF;
    wf_closing_begin(fd);
    wf_registry_forget(fd);
    int held = wf_hold_defer(&hold, fd);
    return wf_likely(held == 0) ? close_number(fd) : close_later(&hold, fd, held);
}
