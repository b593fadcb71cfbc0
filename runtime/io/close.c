#include "runtime/io/close.h"

#include <fcntl.h>
#include <weft/io.h>

#include "base/sys.h"
#include "runtime/io/ready.h"

// close_number is close(2), and the end of the number's mark.
static int close_number(int fd)
{
    int err = wf_sys_close(fd);

    if (!wf_closing_end(fd, false)) {
        wf_registry_check(fd);
        wf_closing_end(fd, true);
    }
    return err == -EINTR ? 0 : err; // an interrupted close(2) has closed, on Linux
}

// If a number is held, dup3(2) puts an O_PATH descriptor in its place. That closes the
// file, but the kernel does not reuse the number. System calls in progress end on the
// old file; a call that begins later returns EBADF.
//
// sys_cover does this. Returns: false if the system has no descriptor for it.
static bool sys_cover(int fd)
{
    int cover = wf_sys_openat(AT_FDCWD, "/", O_PATH | O_CLOEXEC, 0);

    if (cover < 0)
        return false;
    bool covered = wf_sys_dup3(cover, fd, O_CLOEXEC) == fd;
    (void)wf_sys_close(cover);
    return covered;
}

// sys_is_cover tells whether the number still has that descriptor: a program that wants
// this very number may have put a file there by dup2.
static bool sys_is_cover(int fd)
{
    int flags = wf_sys_fcntl(fd, F_GETFL, 0);
    return flags >= 0 && flags & O_PATH;
}

void wf_close_held(const struct wf_hold *hold)
{
    if (!hold->covered || sys_is_cover(hold->fd))
        (void)close_number(hold->fd); // the caller of weft_close has returned
    else
        wf_closing_end(hold->fd, true);
}

// close_later is for a number that other calls hold, or that another thread has closed
// already.
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

// weft_close tells every runtime, because the program may have several. close(2) may
// take long, so the caller holds no lock; reactor/source.c explains why no waiter is
// lost.
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
