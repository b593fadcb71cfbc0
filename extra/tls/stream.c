// A connection as a stream.
#include <poll.h>
#include <string.h>
#include <sys/uio.h>

#include "extra/tls/connection.h"

enum { GATHER = 4096 }; // bytes of small parts that are joined in one record

static ssize_t read_tls(void *self, void *buf, size_t n)
{
    return weft_tls_read(self, buf, n);
}

// gather copies the first GATHER bytes.
static size_t gather(char *buf, const struct iovec *v, int n)
{
    size_t at = 0;

    for (int i = 0; i < n && at < GATHER; i++) {
        size_t part = v[i].iov_len < GATHER - at ? v[i].iov_len : GATHER - at;
        if (part > 0)
            memcpy(buf + at, v[i].iov_base, part);
        at += part;
    }
    return at;
}

// is_more tells whether the parts have more than `n` bytes, which the caller writes next.
static bool is_more(const struct iovec *v, int parts, size_t n)
{
    size_t all = 0;

    for (int i = 0; i < parts && all <= n; i++)
        all += v[i].iov_len;
    return all > n;
}

// write_parts is a separate function, so that a write of one part does not need its
// stack.
__attribute__((noinline)) static ssize_t write_parts(weft_tls *t, const struct iovec *v, int n)
{
    char some[GATHER];
    size_t joined = gather(some, v, n);
    return wf_tls_write_part(t, some, joined, is_more(v, n, joined));
}

// writev_tls joins small parts, because each write makes a separate record, and perhaps
// a packet. It writes large parts one at a time, without a copy.
static ssize_t writev_tls(void *self, const struct iovec *v, int n)
{
    while (n > 1 && v->iov_len == 0)
        v++, n--;
    if (n < 1)
        return weft_tls_write(self, NULL, 0);
    if (n == 1 || v->iov_len >= GATHER)
        return wf_tls_write_part(self, v->iov_base, v->iov_len, is_more(v, n, v->iov_len));
    return write_parts(self, v, n);
}

static int poll_tls(void *self, short events)
{
    weft_tls *t = self;
    return events & POLLIN ? wf_tls_readable(t, events) : weft_poll(t->socket.fd, events);
}

static int shutdown_tls(void *self)
{
    return weft_tls_shutdown(self);
}

static int close_tls(void *self)
{
    return weft_tls_close(self);
}

static const weft_stream_ops operations = {
    .size = sizeof(weft_stream_ops),
    .read = read_tls,
    .writev = writev_tls,
    .poll = poll_tls,
    .shutdown = shutdown_tls,
    .close = close_tls,
};

weft_stream weft_tls_stream(weft_tls *t)
{
    return (weft_stream){ &operations, t };
}
