// A descriptor as a stream.
#include "runtime/io/fd_stream.h"

#include <sys/socket.h>
#include <weft/io.h>

#include "base/assert.h"
#include "base/sys.h"
#include "runtime/io/ready.h"

static int fd_of(void *self)
{
    wf_debug_assert((int)(intptr_t)self == (intptr_t)self); // otherwise it is a pointer of another kind of stream
    return (int)(intptr_t)self;
}

static ssize_t read_fd(void *self, void *buf, size_t n)
{
    return weft_read(fd_of(self), buf, n);
}

// writev_fd makes a plain write for one piece, as a flush has.
static ssize_t writev_fd(void *self, const struct iovec *v, int n)
{
    return n == 1 ? weft_write(fd_of(self), v->iov_base, v->iov_len) : weft_writev(fd_of(self), v, n);
}

static int poll_fd(void *self, short events)
{
    return weft_poll(fd_of(self), events);
}

static int shutdown_fd(void *self)
{
    return wf_sys_shutdown(fd_of(self), SHUT_WR);
}

static int close_fd(void *self)
{
    return weft_close(fd_of(self));
}

const weft_stream_ops wf_fd_stream_ops = {
    .size = sizeof(weft_stream_ops),
    .read = read_fd,
    .writev = writev_fd,
    .poll = poll_fd,
    .shutdown = shutdown_fd,
    .close = close_fd,
};

weft_stream weft_fd_stream(int fd)
{
    return (weft_stream){ &wf_fd_stream_ops, (void *)(intptr_t)fd };
}
