#include "extra/tls/connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <string.h>

#include "extra/tls/error.h"

enum { RECORD = SSL3_RT_MAX_PLAIN_LENGTH }; // bytes in a record, at most

// --- A step --------------------------------------------------------------------------

// The bytes of a step.
struct span {
    void *at;
    size_t n, moved;
    bool more; // more bytes follow at once
};

// A step is one call of OpenSSL.  Returns: OpenSSL's result, for SSL_get_error.
typedef int step_fn(weft_tls *t, struct span *s);

// Its results besides an error.
enum { DONE, END, WANT_READ, WANT_WRITE };

// note_error keeps an error that ends one direction, or, if it is TLS's, both.
static int note_error(weft_tls *t, int err, bool reads, bool writes)
{
    if (reads && t->read_error == 0)
        t->read_error = err;
    if (writes && t->write_error == 0)
        t->write_error = err;
    return err;
}

// note_socket_error keeps an error of the socket, not of TLS.
static int note_socket_error(weft_tls *t)
{
    if (t->socket.send_error && !t->write_error)
        return note_error(t, t->socket.send_error, false, true);
    if (t->socket.read_error)
        return note_error(t, t->socket.read_error, true, false);
    return note_error(t, t->socket.eof ? WEFT_TLS_TRUNCATED : -EIO, true, true);
}

// explain finds the result of a step. Context: right after the step, on the same
// thread, which has OpenSSL's errors.
static int explain(weft_tls *t, int result)
{
    switch (SSL_get_error(t->ssl, result)) {
    case SSL_ERROR_NONE:
        return DONE;
    case SSL_ERROR_ZERO_RETURN:
        return END;
    case SSL_ERROR_WANT_READ:
        return WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return WANT_WRITE;
    case SSL_ERROR_SYSCALL:
        return note_socket_error(t);
    case SSL_ERROR_SSL:
        return note_error(t, wf_tls_refusal(t->ssl), true, true);
    default: // a callback of the program that suspends the handshake
        return note_error(t, -ENOTSUP, true, true);
    }
}

// take_step makes one step, unless an error has ended the direction (*failed).
static int take_step(weft_tls *t, step_fn *step, struct span *s, const int *failed)
{
    int err = weft_mutex_lock(&t->lock);

    if (err < 0)
        return err;
    if (*failed < 0) {
        err = *failed;
    } else {
        ERR_clear_error(); // errors that another task has left on this thread
        err = explain(t, step(t, s));
        ERR_clear_error();
    }
    weft_mutex_unlock(&t->lock);
    return err;
}

// await_want waits for the readiness that a step needs.
static int await_want(weft_tls *t, int want)
{
    int ready = weft_poll(t->socket.fd, want == WANT_READ ? POLLIN : POLLOUT);
    return ready < 0 ? ready : 0;
}

// run_step makes a step until it is done.  Returns: DONE, END; an error. *cut: the
// error is the wait's, and the step could continue.
static int run_step(weft_tls *t, step_fn *step, struct span *s, const int *failed, bool *cut)
{
    for (*cut = false;;) {
        int said = take_step(t, step, s, failed);
        if (said < 0 || said == DONE || said == END)
            return said;
        *cut = true;
        int err = await_want(t, said);
        if (err < 0)
            return err;
    }
}

// --- The handshake -------------------------------------------------------------------

static int step_handshake(weft_tls *t, struct span *s)
{
    (void)s;
    return SSL_do_handshake(t->ssl);
}

// name_address requires an address in the certificate. SNI has no addresses, so none is
// sent.
static int name_address(SSL *ssl, const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];

    if (inet_pton(AF_INET, host, address) != 1 && inet_pton(AF_INET6, host, address) != 1)
        return -EINVAL;
    return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1 ? 0 : -ENOMEM;
}

// name_host requires a name in the certificate, and sends it to the server (SNI),
// without a dot at its end, which only marks a complete name.
static int name_host(SSL *ssl, const char *host)
{
    char name[TLSEXT_MAXLEN_host_name + 1];
    size_t n = strlen(host);

    if (n > 0 && host[n - 1] == '.')
        n--;
    if (n == 0 || n >= sizeof(name) || strpbrk(host, ":/[]%@ \t\r\n"))
        return -EINVAL;
    memcpy(name, host, n);
    name[n] = 0;
    bool well = SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
    return well ? 0 : -ENOMEM;
}

// prepare_client sets the expected host. A wildcard may match a whole label, not a part
// of one.
static int prepare_client(SSL *ssl, const char *host)
{
    SSL_set_connect_state(ssl);
    if (!host)
        return 0;
    unsigned int flags = X509_VERIFY_PARAM_get_hostflags(SSL_get0_param(ssl));
    SSL_set_hostflags(ssl, flags | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    SSL_set_verify(ssl, SSL_VERIFY_PEER, SSL_get_verify_callback(ssl));
    int err = name_address(ssl, host);
    return err == -EINVAL ? name_host(ssl, host) : err;
}

// prepare sets the modes of OpenSSL that this file relies on.
static int prepare(weft_tls *t)
{
    BIO *b = wf_tls_socket_bio(&t->socket);

    if (!b)
        return -ENOMEM;
    SSL_set_bio(t->ssl, b, b);
    SSL_set_options(t->ssl, SSL_OP_NO_RENEGOTIATION);
    SSL_set_mode(t->ssl, SSL_MODE_AUTO_RETRY | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                             SSL_MODE_RELEASE_BUFFERS);
    SSL_set_read_ahead(t->ssl, 1); // a record is one read, not two
    return 0;
}

// free_connection frees the connection, but not the socket.
static void free_connection(weft_tls *t)
{
    SSL_free(t->ssl);
    OPENSSL_free(t->rest);
    ERR_clear_error();
    OPENSSL_free(t);
}

// make_connection makes a connection before its handshake.
static int make_connection(weft_tls **out, int fd, SSL_CTX *ctx)
{
    weft_tls *t = OPENSSL_zalloc(sizeof(*t));

    if (!t)
        return -ENOMEM;
    t->socket.fd = fd;
    weft_mutex_init(&t->lock);
    weft_mutex_init(&t->turn);
    t->ssl = SSL_new(ctx);
    int err = t->ssl ? prepare(t) : -ENOMEM;
    if (err < 0)
        free_connection(t);
    else
        *out = t;
    return err;
}

// shake_hands makes the handshake, and gives the connection to the caller, or frees it.
static int shake_hands(weft_tls **out, weft_tls *t, int err)
{
    bool cut;

    if (err == 0)
        err = run_step(t, step_handshake, NULL, &t->read_error, &cut);
    if (err == END) // the peer has sent its end instead of a handshake
        err = WEFT_TLS_PROTOCOL;
    if (err < 0)
        free_connection(t);
    else
        *out = t;
    return err;
}

int weft_tls_client(weft_tls **out, int fd, SSL_CTX *ctx, const char *host)
{
    weft_tls *t;

    if (!ctx)
        return -EINVAL;
    ERR_clear_error();
    int err = make_connection(&t, fd, ctx);
    return err < 0 ? err : shake_hands(out, t, prepare_client(t->ssl, host));
}

int weft_tls_server(weft_tls **out, int fd, SSL_CTX *ctx)
{
    weft_tls *t;

    if (!ctx)
        return -EINVAL;
    ERR_clear_error();
    int err = make_connection(&t, fd, ctx);
    if (err < 0)
        return err;
    SSL_set_accept_state(t->ssl);
    return shake_hands(out, t, 0);
}

// --- Reading -------------------------------------------------------------------------

static int step_read(weft_tls *t, struct span *s)
{
    return SSL_read_ex(t->ssl, s->at, s->n, &s->moved);
}

// step_peek makes OpenSSL decipher a record, if one has arrived, and consumes nothing.
static int step_peek(weft_tls *t, struct span *s)
{
    char byte;
    return SSL_peek_ex(t->ssl, &byte, 1, &s->moved);
}

static int step_nothing(weft_tls *t, struct span *s)
{
    (void)t;
    (void)s;
    return 1;
}

ssize_t weft_tls_read(weft_tls *t, void *buf, size_t n)
{
    struct span s = { .at = buf, .n = n };
    bool cut;

    int said = run_step(t, n > 0 ? step_read : step_nothing, &s, &t->read_error, &cut);
    return said < 0 ? said : (ssize_t)s.moved;
}

// wf_tls_readable also ends its wait at room to write, if `events` asks for that.
int wf_tls_readable(weft_tls *t, short events)
{
    for (;;) {
        int said = take_step(t, step_peek, &(struct span){ 0 }, &t->read_error);
        if (said < 0 && said != -ECANCELED && said != -ETIMEDOUT)
            return POLLIN; // the read returns the error
        if (said < 0)
            return said;
        if (said == DONE || said == END)
            return POLLIN;
        int ready = weft_poll(t->socket.fd, (said == WANT_READ ? POLLIN : POLLOUT) | (events & POLLOUT));
        if (ready < 0 || ready & events & POLLOUT)
            return ready < 0 ? ready : POLLOUT;
    }
}

// --- Writing -------------------------------------------------------------------------

static int step_write(weft_tls *t, struct span *s)
{
    t->socket.more = s->more;
    int result = SSL_write_ex(t->ssl, s->at, s->n, &s->moved);
    t->socket.more = false;
    return result;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

// put_all writes from *at on, and advances *at past the bytes that OpenSSL has taken.
// Returns: 0; an error. *cut: how many bytes at *at OpenSSL has begun: it must get them
// again.
static int put_all(weft_tls *t, const char *buf, size_t n, bool more, size_t *at, size_t *cut)
{
    while (*at < n) {
        struct span s = { .at = (char *)buf + *at, .n = least(n - *at, RECORD), .more = more || n - *at > RECORD };
        bool begun;
        int said = run_step(t, step_write, &s, &t->write_error, &begun);
        *cut = said < 0 && begun ? s.n : 0;
        if (said < 0)
            return said;
        *at += s.moved;
    }
    return 0;
}

// put_rest sends what an earlier write has left.
static int put_rest(weft_tls *t)
{
    size_t cut;

    if (!t->rest)
        return 0;
    int err = put_all(t, t->rest, t->rest_n, false, &t->rest_at, &cut);
    if (err == 0) {
        OPENSSL_free(t->rest);
        t->rest = NULL;
    }
    return err;
}

// has_failed tells whether an error has ended the writing.
static int has_failed(weft_tls *t)
{
    weft_mutex_lock_shielded(&t->lock);
    int err = t->write_error;
    weft_mutex_unlock(&t->lock);
    return err;
}

// keep_rest keeps the bytes that a cancelled write has begun. Returns: how many;
// -ENOMEM, and then nothing can be written any more.
static ssize_t keep_rest(weft_tls *t, const char *at, size_t n)
{
    t->rest = OPENSSL_malloc(n);
    if (!t->rest) {
        weft_mutex_lock_shielded(&t->lock);
        ERR_clear_error();
        note_error(t, -ENOMEM, false, true);
        weft_mutex_unlock(&t->lock);
        return -ENOMEM;
    }
    memcpy(t->rest, at, n);
    t->rest_at = 0;
    t->rest_n = n;
    return (ssize_t)n;
}

// put_now is a write that has the turn.
static ssize_t put_now(weft_tls *t, const char *buf, size_t n, bool more)
{
    size_t at = 0, cut = 0;
    int err = t->ending ? -EPIPE : put_rest(t);

    if (err == 0)
        err = put_all(t, buf, n, more, &at, &cut);
    if (err < 0 && cut > 0 && has_failed(t) == 0) {
        ssize_t kept = keep_rest(t, buf + at, cut);
        at += kept > 0 ? (size_t)kept : 0;
        err = kept < 0 ? (int)kept : err;
    }
    return at > 0 ? (ssize_t)at : err;
}

ssize_t wf_tls_write_part(weft_tls *t, const void *buf, size_t n, bool more)
{
    int err = weft_mutex_lock(&t->turn);

    if (err < 0)
        return err;
    ssize_t put = put_now(t, buf, n, more);
    weft_mutex_unlock(&t->turn);
    return put;
}

ssize_t weft_tls_write(weft_tls *t, const void *buf, size_t n)
{
    return wf_tls_write_part(t, buf, n, false);
}

// --- The end -------------------------------------------------------------------------

// step_end sends close_notify. OpenSSL's 0 means that it is sent but the peer's has not
// arrived, which is enough here.
static int step_end(weft_tls *t, struct span *s)
{
    (void)s;
    int result = SSL_shutdown(t->ssl);
    return result == 0 ? 1 : result;
}

static int end_now(weft_tls *t)
{
    bool cut;

    if (t->ended)
        return 0;
    int err = put_rest(t);
    if (err < 0)
        return err;
    err = run_step(t, step_end, NULL, &t->write_error, &cut);
    if (err >= 0 || cut)
        t->ending = true;
    t->ended = err >= 0;
    return err < 0 ? err : 0;
}

int weft_tls_shutdown(weft_tls *t)
{
    int err = weft_mutex_lock(&t->turn);

    if (err < 0)
        return err;
    err = end_now(t);
    weft_mutex_unlock(&t->turn);
    return err;
}

// put_rest_at_once is put_rest without a wait. Returns: true if all is sent.
static bool put_rest_at_once(weft_tls *t)
{
    size_t put;

    while (t->rest && t->rest_at < t->rest_n) {
        if (SSL_write_ex(t->ssl, t->rest + t->rest_at, t->rest_n - t->rest_at, &put) != 1)
            return false;
        t->rest_at += put;
    }
    return true;
}

// end_at_once sends the end as far as there is room.
static void end_at_once(weft_tls *t)
{
    ERR_clear_error();
    if (t->write_error == 0 && !t->ended && put_rest_at_once(t))
        (void)SSL_shutdown(t->ssl);
    ERR_clear_error();
}

// weft_tls_close takes no lock, because no other call is in progress, and a task that
// cannot park may close, too.
int weft_tls_close(weft_tls *t)
{
    int fd = t->socket.fd;

    weft_mutex_destroy(&t->lock); // a check
    weft_mutex_destroy(&t->turn);
    end_at_once(t);
    free_connection(t);
    return weft_close(fd);
}

SSL *weft_tls_ssl(weft_tls *t)
{
    return t->ssl;
}
