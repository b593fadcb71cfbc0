// TLS by OpenSSL on weft's sockets, as docs/guests.md says: a step, the check of its
// error, and then, outside OpenSSL, the wait.
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "tests/adapters/crowd.h"
#include "tests/support/peer.h"

enum { TASKS = 16, CONNECTIONS = 8, ALL = TASKS * CONNECTIONS, BYTES = 100000, DONE = 1 };

static SSL_CTX *server_ctx, *client_ctx;

// --- the idiom -----------------------------------------------------------------------

// tls_wait looks what a step said, and waits for what it wants: SSL_get_error stands
// right behind the step, and no call that may park is in between.
// Returns: 1 if the step is done, 0 if it is to be made again, or a negative error.
static int tls_wait(SSL *ssl, int result)
{
    int why = SSL_get_error(ssl, result);

    if (why == SSL_ERROR_NONE)
        return DONE;
    if (why == SSL_ERROR_ZERO_RETURN)
        return -ENODATA;
    if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
        return -EPROTO;
    int ready = weft_poll(SSL_get_fd(ssl), why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT);
    return ready < 0 ? ready : 0;
}

static int tls_handshake(SSL *ssl)
{
    int err;

    do {
        ERR_clear_error();
        err = tls_wait(ssl, SSL_do_handshake(ssl));
    } while (err == 0);
    return err == DONE ? 0 : err;
}

static int tls_read(SSL *ssl, void *buf, int n)
{
    int err, got;

    do {
        ERR_clear_error();
        got = SSL_read(ssl, buf, n);
        err = tls_wait(ssl, got);
    } while (err == 0);
    return err == DONE ? got : err;
}

// tls_write writes all: without SSL_MODE_ENABLE_PARTIAL_WRITE a step that is done has.
static int tls_write(SSL *ssl, const void *buf, int n)
{
    int err;

    do {
        ERR_clear_error();
        err = tls_wait(ssl, SSL_write(ssl, buf, n));
    } while (err == 0);
    return err == DONE ? 0 : err;
}

static SSL *tls_new(SSL_CTX *ctx, int fd)
{
    SSL *ssl = SSL_new(ctx);

    assert_non_null(ssl);
    assert_int_equal(SSL_set_fd(ssl, fd), 1);
    if (ctx == server_ctx)
        SSL_set_accept_state(ssl);
    else
        SSL_set_connect_state(ssl);
    return ssl;
}

// tls_end sends the other side an end, and closes: OpenSSL leaves the descriptor open.
static void tls_end(SSL *ssl)
{
    int fd = SSL_get_fd(ssl);

    ERR_clear_error();
    if (SSL_is_init_finished(ssl))
        (void)SSL_shutdown(ssl);
    SSL_free(ssl);
    assert_int_equal(weft_close(fd), 0);
}

// --- a certificate -------------------------------------------------------------------

static X509 *certify(EVP_PKEY *key)
{
    X509 *cert = X509_new();

    assert_non_null(cert);
    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_NAME *name = X509_get_subject_name(cert);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"weft", -1, -1, 0);
    X509_set_issuer_name(cert, name);
    X509_set_pubkey(cert, key);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    return cert;
}

// make_contexts: the client trusts this one certificate.
static void make_contexts(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");

    assert_non_null(key);
    X509 *cert = certify(key);
    server_ctx = SSL_CTX_new(TLS_server_method());
    client_ctx = SSL_CTX_new(TLS_client_method());
    assert_true(server_ctx && client_ctx);
    assert_int_equal(SSL_CTX_use_certificate(server_ctx, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(server_ctx, key), 1);
    assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(client_ctx), cert), 1);
    SSL_CTX_set_verify(client_ctx, SSL_VERIFY_PEER, NULL);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void free_contexts(void)
{
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
}

// --- a server ------------------------------------------------------------------------

static int listener;
static char address[64];
static atomic_int echoed, refused;

// serve sends back what comes. A connection that is not TLS ends with an error, which
// this task leaves in its thread's queue.
static int serve(void *arg)
{
    SSL *ssl = tls_new(server_ctx, (int)(intptr_t)arg);
    char buf[4096];
    int n, err = tls_handshake(ssl);

    if (err == -EPROTO)
        atomic_fetch_add(&refused, 1);
    while (err == 0 && (n = tls_read(ssl, buf, sizeof(buf))) > 0)
        err = tls_write(ssl, buf, n);
    if (err == 0 && n == -ENODATA)
        atomic_fetch_add(&echoed, 1);
    int fd = SSL_get_fd(ssl);
    SSL_free(ssl); // its last call to OpenSSL, after which other tasks run on this thread
    assert_int_equal(weft_close(fd), 0);
    return 0;
}

static int accept_all(void *arg)
{
    weft_scope served;
    (void)arg;

    weft_scope_open(&served, WEFT_SCOPE_COLLECT);
    for (int i = 0; i < ALL; i++) {
        int fd = weft_accept(listener, NULL, NULL);
        if (fd < 0)
            break;
        assert_int_equal(weft_scope_spawn(&served, serve, (void *)(intptr_t)fd), 0);
    }
    return weft_scope_close(&served);
}

static void listen_here(void)
{
    listener = weft_tcp_listen("127.0.0.1:0");
    assert_true(listener >= 0);
    assert_true(weft_local_addr(listener, address, sizeof(address)) > 0);
    echoed = 0;
    refused = 0;
}

// --- clients -------------------------------------------------------------------------

struct talk {
    SSL *ssl;
    uint64_t seed;
};

// talk sends pieces, each of which must come back before the next.
static int talk(struct talk *t)
{
    uint8_t out[10000], in[10000];
    int err = 0;

    for (uint64_t at = 0; at < BYTES && err == 0; at += sizeof(out)) {
        peer_fill(out, sizeof(out), t->seed, at);
        err = tls_write(t->ssl, out, sizeof(out));
        for (int n = 0; err == 0 && n < (int)sizeof(in);) {
            int got = tls_read(t->ssl, in + n, (int)sizeof(in) - n);
            if (got < 0)
                err = got;
            n += got;
        }
        if (err == 0)
            peer_check(in, sizeof(in), t->seed, at);
    }
    return err;
}

static int connect_once(uint64_t seed)
{
    int fd = weft_tcp_dial(address);
    if (fd < 0)
        return fd;
    struct talk t = { tls_new(client_ctx, fd), seed };
    int err = tls_handshake(t.ssl);
    if (err == 0)
        err = talk(&t);
    tls_end(t.ssl);
    return err;
}

static int client(void *arg)
{
    int err = 0;
    (void)arg;

    for (uint64_t i = 0; i < CONNECTIONS && err == 0; i++)
        err = connect_once(weft_task_id(weft_self()) << 8 | i);
    return err;
}

// crowd_at_server is crowd, of clients of a server in the same program.
static int crowd_at_server(weft_fn *fn, void *arg)
{
    listen_here();
    weft_task *server = spawn(accept_all, NULL);
    int err = crowd(TASKS, fn, arg);
    if (err)
        weft_task_cancel(server);
    assert_int_equal(join(server), 0);
    assert_int_equal(weft_close(listener), 0);
    return err;
}

static int talk_in_many(void *arg)
{
    check_all("connections", crowd_at_server(client, arg), &echoed, ALL);
    return 0;
}

static void connections_of_many_tasks(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(talk_in_many, NULL), 0);
}

// --- errors of others ----------------------------------------------------------------

// fail_here makes a step fail, and does not look: what it leaves in the thread's queue is
// there for whichever task runs next on this thread.
static void fail_here(void)
{
    static const unsigned char nonsense[] = "this is not a certificate";
    const unsigned char *at = nonsense;

    assert_null(d2i_X509(NULL, &at, sizeof(nonsense)));
    assert_true(ERR_peek_error() != 0);
}

// read_nothing reads on a connection on which nothing has come.
// Returns: what SSL_get_error takes that for.
static int read_nothing(SSL *ssl, bool clear)
{
    char c;

    fail_here();
    if (clear)
        ERR_clear_error();
    return SSL_get_error(ssl, SSL_read(ssl, &c, 1));
}

static int serve_one(void *arg)
{
    int fd = weft_accept(listener, NULL, NULL);
    (void)arg;

    assert_true(fd >= 0);
    return serve((void *)(intptr_t)fd);
}

static int ask_both_ways(void *arg)
{
    (void)arg;
    listen_here();
    weft_task *server = spawn(serve_one, NULL);
    int fd = weft_tcp_dial(address);
    assert_true(fd >= 0);
    struct talk t = { tls_new(client_ctx, fd), 7 };
    assert_int_equal(tls_handshake(t.ssl), 0);
    assert_int_equal(talk(&t), 0); // the server's tickets have been read
    assert_int_equal(read_nothing(t.ssl, false), SSL_ERROR_SSL);
    assert_int_equal(read_nothing(t.ssl, true), SSL_ERROR_WANT_READ);
    assert_int_equal(talk(&t), 0);
    tls_end(t.ssl);
    assert_int_equal(join(server), 0);
    assert_int_equal(weft_close(listener), 0);
    return 0;
}

static void an_error_left_behind_is_taken_for_ones_own_unless_cleared(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(ask_both_ways, NULL), 0);
}

static int connect_in_vain(void)
{
    char answer[64];
    int fd = weft_tcp_dial(address);

    if (fd < 0)
        return fd;
    int err = weft_write_all(fd, "GET / HTTP/1.0\r\n\r\n", 18, NULL);
    while (err == 0 && weft_read(fd, answer, sizeof(answer)) > 0) {
    }
    assert_int_equal(weft_close(fd), 0);
    return err;
}

// good_or_bad: every other task sends what is not TLS, and leaves errors in its thread's
// queue each time before it parks.
static int good_or_bad(void *arg)
{
    bool bad = atomic_fetch_add((atomic_int *)arg, 1) % 2;
    int err = 0;

    for (uint64_t i = 0; i < CONNECTIONS && err == 0; i++) {
        if (bad)
            fail_here();
        err = bad ? connect_in_vain() : connect_once(weft_task_id(weft_self()) << 8 | i);
    }
    return err;
}

static int mix(void *arg)
{
    atomic_int number = 0;
    (void)arg;

    int err = crowd_at_server(good_or_bad, &number);
    check_all("connections beside others that fail", err, &echoed, ALL / 2);
    assert_int_equal(refused, ALL / 2);
    return 0;
}

static void one_tasks_failure_leaves_anothers_connection_healthy(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(mix, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_of_many_tasks),
        cmocka_unit_test(an_error_left_behind_is_taken_for_ones_own_unless_cleared),
        cmocka_unit_test(one_tasks_failure_leaves_anothers_connection_healthy),
    };
    make_contexts();
    int failed = wf_test_run(tests);
    free_contexts();
    return failed;
}
