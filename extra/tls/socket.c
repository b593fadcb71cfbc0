#include "extra/tls/socket.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static struct wf_tls_socket *socket_of(BIO *b)
{
    return BIO_get_data(b);
}

// note_failure keeps the error, because errno may change before OpenSSL returns.
static int note_failure(BIO *b, int *kept, bool reads)
{
    if (errno == EAGAIN && reads)
        BIO_set_retry_read(b);
    else if (errno == EAGAIN)
        BIO_set_retry_write(b);
    else
        *kept = -errno;
    return -1;
}

static int read_socket(BIO *b, char *buf, size_t n, size_t *got)
{
    struct wf_tls_socket *s = socket_of(b);

    BIO_clear_retry_flags(b);
    if (s->drained) {
        s->drained = false;
        BIO_set_retry_read(b);
        return -1;
    }
    ssize_t result = TEMP_FAILURE_RETRY(recv(s->fd, buf, n, MSG_DONTWAIT));
    if (result < 0)
        return note_failure(b, &s->read_error, true);
    s->eof = result == 0 && n > 0;
    s->drained = result > 0 && (size_t)result < n;
    *got = (size_t)result;
    return result > 0;
}

static int write_socket(BIO *b, const char *buf, size_t n, size_t *put)
{
    struct wf_tls_socket *s = socket_of(b);

    int flags = MSG_DONTWAIT | MSG_NOSIGNAL | (s->more ? MSG_MORE : 0);

    BIO_clear_retry_flags(b);
    ssize_t result = TEMP_FAILURE_RETRY(send(s->fd, buf, n, flags));
    if (result < 0)
        return note_failure(b, &s->send_error, false);
    *put = (size_t)result;
    return result > 0;
}

static long control_socket(BIO *b, int command, long number, void *out)
{
    struct wf_tls_socket *s = socket_of(b);
    (void)number;

    switch (command) {
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_EOF:
        return s->eof;
    case BIO_C_GET_FD: // SSL_get_fd
        if (out)
            *(int *)out = s->fd;
        return s->fd;
    default:
        return 0;
    }
}

static BIO_METHOD *make_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK | BIO_TYPE_DESCRIPTOR, "weft socket");

    if (m && BIO_meth_set_read_ex(m, read_socket) && BIO_meth_set_write_ex(m, write_socket) &&
        BIO_meth_set_ctrl(m, control_socket))
        return m;
    BIO_meth_free(m);
    return NULL;
}

// All connections share one method. The first that needs it makes it; it is never
// freed, because its users may exist until the process ends.
static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;
static BIO_METHOD *method;

static void make_method_once(void)
{
    method = make_method();
}

BIO *wf_tls_socket_bio(struct wf_tls_socket *s)
{
    BIO *b = CRYPTO_THREAD_run_once(&once, make_method_once) && method ? BIO_new(method) : NULL;

    if (b) {
        BIO_set_data(b, s);
        BIO_set_init(b, 1);
    }
    return b;
}
