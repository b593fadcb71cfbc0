#include "runtime/io/own.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/sys.h"
#include "runtime/io/ready.h"

// One call on `fd`, and the known facts about `fd`.
struct move {
    const struct iovec *v;
    int n;
    short events;
    struct stat st;
    unsigned terminal; // the terminal's device, even if it was opened as /dev/tty; 0: not a terminal
};

static ssize_t move_bytes(int fd, const struct move *m)
{
    ssize_t (*call)(int, const struct iovec *, int) = m->events == POLLIN ? wf_sys_readv : wf_sys_writev;
    return WF_RETRY(call(fd, m->v, m->n));
}

static unsigned terminal_of(int fd)
{
    unsigned number;
    return wf_sys_ioctl(fd, TIOCGDEV, &number) == 0 ? number : 0;
}

// learn finds out whether opening the file once more gives the same file.
static bool learn(int fd, struct move *m)
{
    if (wf_sys_fstat(fd, &m->st) < 0)
        return false;
    m->terminal = S_ISCHR(m->st.st_mode) && m->st.st_rdev != makedev(5, 2) /* ptmx */ ? terminal_of(fd) : 0;
    return m->terminal || S_ISFIFO(m->st.st_mode);
}

static bool is_same(int own, const struct move *m)
{
    struct stat st;

    return wf_sys_fstat(own, &st) == 0 && st.st_dev == m->st.st_dev && st.st_ino == m->st.st_ino &&
           (!m->terminal || terminal_of(own) == m->terminal);
}

static int open_own(int fd, short events)
{
    char path[48];
    int flags = wf_sys_fcntl(fd, F_GETFL, 0);

    if (flags < 0)
        return flags;
    snprintf(path, sizeof(path), "/proc/thread-self/fd/%d", fd);
    flags = (flags & O_DIRECT) | (events == POLLIN ? O_RDONLY : O_WRONLY); // O_DIRECT: a FIFO that keeps packets
    return wf_sys_openat(AT_FDCWD, path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
}

// has_hung_up tells whether a terminal has hung up: it then stays so, and no call on it
// blocks.
static bool has_hung_up(int fd, const struct move *m)
{
    return m->terminal && wf_poll_now(fd, m->events) & POLLHUP;
}

static bool is_wrong_way(int fd, short events)
{
    int flags = wf_sys_fcntl(fd, F_GETFL, 0);
    return flags >= 0 && (flags & O_ACCMODE) == (events == POLLIN ? O_WRONLY : O_RDONLY);
}

WF_NOINLINE ssize_t wf_own_move(int fd, short events, const struct iovec *v, int n)
{
    struct move m = { .v = v, .n = n, .events = events };
    ssize_t result = WF_TRY_POOL;

    if (!learn(fd, &m))
        return result;
    if (is_wrong_way(fd, events))
        return -EBADF;
    if (has_hung_up(fd, &m))
        return move_bytes(fd, &m);
    int own = open_own(fd, events);
    if (own < 0) // ENXIO: a FIFO without a reader
        return own == -ENXIO && events == POLLOUT && !m.terminal ? -EPIPE : result;
    if (is_same(own, &m))
        result = move_bytes(has_hung_up(fd, &m) ? fd : own, &m);
    (void)wf_sys_close(own);
    return result;
}
