// TLS connections of weft on both sides, and with a peer that is OpenSSL on a thread.
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

#include "tests/extra/pair.h"

// --- bytes ---------------------------------------------------------------------------

static const size_t sizes[] = { 1, 2, 100, 16383, 16384, 16385, 100000, 1 << 20 };
enum { SIZES = sizeof(sizes) / sizeof(*sizes) };

static int send_sizes(void *arg)
{
    char *much = malloc(1 << 20);

    assert_non_null(much);
    for (int i = 0; i < SIZES; i++) {
        peer_fill(much, sizes[i], (uint64_t)i, 0);
        assert_int_equal(weft_tls_write(arg, much, sizes[i]), sizes[i]);
    }
    assert_int_equal(weft_tls_write(arg, NULL, 0), 0);
    assert_int_equal(weft_tls_shutdown(arg), 0);
    assert_int_equal(weft_tls_shutdown(arg), 0);
    assert_int_equal(weft_tls_write(arg, much, 1), -EPIPE);
    free(much);
    return 0;
}

static int read_sizes(void *arg)
{
    char c;

    for (int i = 0; i < SIZES; i++)
        pair_read(arg, sizes[i], (uint64_t)i, 0);
    assert_int_equal(weft_tls_read(arg, &c, 0), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(weft_tls_read(arg, &c, 1), 0);
    return 0;
}

// All four at once; each direction ends by itself.
static int talk_both_ways(void *arg)
{
    struct tls_pair p;
    weft_task *t[4];
    (void)arg;

    pair_open(&p);
    t[0] = spawn(send_sizes, p.client);
    t[1] = spawn(send_sizes, p.server);
    t[2] = spawn(read_sizes, p.client);
    t[3] = spawn(read_sizes, p.server);
    for (int i = 0; i < 4; i++)
        assert_int_equal(join(t[i]), 0);
    pair_close(&p);
    return 0;
}

static void bytes_go_both_ways_at_once_and_each_way_ends(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(talk_both_ways, NULL), 0);
}

// Tasks that write at once take turns.
enum { PART = 300000 };

static int write_letters(weft_tls *t, char letter)
{
    char *some = malloc(PART);

    assert_non_null(some);
    memset(some, letter, PART);
    ssize_t put = weft_tls_write(t, some, PART);
    free(some);
    return (int)put;
}

static int write_a(void *arg)
{
    return write_letters(arg, 'a');
}

static int write_b(void *arg)
{
    return write_letters(arg, 'b');
}

static void expect_letters(weft_tls *t, char letter)
{
    char some[1000];

    for (size_t at = 0; at < PART; at += sizeof(some))
        for (size_t n = 0; n < sizeof(some);) {
            ssize_t got = weft_tls_read(t, some, sizeof(some) - n);
            assert_true(got > 0);
            for (ssize_t i = 0; i < got; i++)
                assert_int_equal(some[i], letter);
            n += (size_t)got;
        }
}

static int write_at_once(void *arg)
{
    struct tls_pair p;
    (void)arg;

    pair_open(&p);
    weft_task *a = spawn(write_a, p.client);
    wait_parked(a, "weft_poll");
    weft_task *b = spawn(write_b, p.client);
    expect_letters(p.server, 'a');
    expect_letters(p.server, 'b');
    assert_int_equal(join(a), PART);
    assert_int_equal(join(b), PART);
    pair_close(&p);
    return 0;
}

static void the_bytes_of_a_write_stay_together(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(write_at_once, NULL), 0);
}

// --- certificates --------------------------------------------------------------------

struct meeting {
    int fd[2];
    SSL_CTX *server, *client;
    const char *host;
    int said[2]; // by the handshakes
    bool named;  // the server has heard the name
};

static int meet_server(void *arg)
{
    struct meeting *m = arg;
    weft_tls *t;
    char c;

    int err = weft_tls_server(&t, m->fd[0], m->server);
    if (err < 0) {
        assert_int_equal(weft_close(m->fd[0]), 0);
        return err;
    }
    const char *name = SSL_get_servername(weft_tls_ssl(t), TLSEXT_NAMETYPE_host_name);
    m->named = name && strcmp(name, "localhost") == 0;
    err = (int)weft_tls_read(t, &c, 1);
    assert_int_equal(weft_tls_close(t), 0);
    return err;
}

static int meet(void *arg)
{
    struct meeting *m = arg;
    weft_tls *t;

    peer_tcp_pair(m->fd);
    weft_task *server = spawn(meet_server, m);
    m->said[1] = weft_tls_client(&t, m->fd[1], m->client, m->host);
    if (m->said[1] == 0)
        assert_int_equal(weft_tls_close(t), 0);
    else
        assert_int_equal(weft_close(m->fd[1]), 0);
    m->said[0] = join(server);
    return 0;
}

// expect_meeting: `of_client` is what the client's handshake says.
static void expect_meeting(const struct cert_for *whom, const char *host, bool trusts, int of_client)
{
    struct meeting m = { .host = host };

    cert_contexts(whom, &m.server, &m.client);
    if (!trusts) {
        SSL_CTX_free(m.client);
        assert_int_equal(weft_tls_client_ctx(&m.client), 0);
    }
    assert_int_equal(run_tasks(meet, &m), 0);
    assert_int_equal(m.said[1], of_client);
    if (of_client == 0)
        assert_int_equal(m.said[0], 0); // the end, as the client has closed
    else if (of_client == -EINVAL)
        assert_int_equal(m.said[0], WEFT_TLS_TRUNCATED);
    else
        assert_int_equal(m.said[0], WEFT_TLS_ALERT);
    assert_int_equal(m.named, of_client == 0 && strncmp(host, "localhost", 9) == 0);
    SSL_CTX_free(m.server);
    SSL_CTX_free(m.client);
}

// The contexts that cert_contexts makes do not ask for verification.
static void certificates_are_verified(void **state)
{
    static const struct cert_for expired = { "DNS:localhost", -7200, -3600 }, early = { "DNS:localhost", 3600, 7200 },
                                 other = { "DNS:example.org,IP:127.0.0.2", -3600, 3600 },
                                 partial = { "DNS:w*.example.org", -3600, 3600 };
    (void)state;

    expect_meeting(&cert_here, "localhost", true, 0);
    expect_meeting(&cert_here, "localhost.", true, 0);
    expect_meeting(&cert_here, "127.0.0.1", true, 0);
    expect_meeting(&cert_here, "::1", true, 0);
    expect_meeting(&cert_here, "www.example.org", true, 0);
    expect_meeting(&cert_here, "localhost", false, WEFT_TLS_CERT);
    expect_meeting(&expired, "localhost", true, WEFT_TLS_CERT_TIME);
    expect_meeting(&early, "localhost", true, WEFT_TLS_CERT_TIME);
    expect_meeting(&other, "localhost", true, WEFT_TLS_CERT_HOST);
    expect_meeting(&other, "127.0.0.1", true, WEFT_TLS_CERT_HOST);
    expect_meeting(&cert_here, "a.b.example.org", true, WEFT_TLS_CERT_HOST);
    expect_meeting(&partial, "www.example.org", true, WEFT_TLS_CERT_HOST);
}

static void what_is_not_a_host_is_refused(void **state)
{
    static const char *const wrong[] = { "", ".", "localhost:443", "http://localhost", "[::1]", "a b" };
    (void)state;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        expect_meeting(&cert_here, wrong[i], true, -EINVAL);
}

static int meet_without_name(void *arg)
{
    struct meeting m = { .server = server_ctx, .client = arg };

    assert_int_equal(meet(&m), 0);
    return m.said[1];
}

static void without_a_host_the_context_decides(void **state)
{
    SSL_CTX *strict, *lax = SSL_CTX_new(TLS_client_method());
    (void)state;

    assert_int_equal(weft_tls_client_ctx(&strict), 0);
    assert_int_equal(run_tasks(meet_without_name, strict), WEFT_TLS_CERT);
    assert_int_equal(run_tasks(meet_without_name, lax), 0);
    SSL_CTX_free(strict);
    SSL_CTX_free(lax);
}

static int use_no_socket(void *arg)
{
    weft_tls *t;
    int fd[2];
    (void)arg;

    assert_int_equal(weft_tls_client(&t, 0, NULL, "localhost"), -EINVAL);
    assert_int_equal(weft_tls_server(&t, 0, NULL), -EINVAL);
    peer_pair(PEER_PIPE, fd);
    assert_int_equal(weft_tls_client(&t, fd[1], client_ctx, "localhost"), -ENOTSOCK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(weft_close(fd[i]), 0);
    return 0;
}

static void what_is_no_socket_is_refused(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(use_no_socket, NULL), 0);
}

static void the_servers_files_are_looked_at(void **state)
{
    char folder[] = "/tmp/weft-tls-XXXXXX", cert[64], key[64], other[64], locked[64], rest[64];
    SSL_CTX *ctx;
    (void)state;

    assert_non_null(mkdtemp(folder));
    snprintf(cert, sizeof(cert), "%s/cert", folder);
    snprintf(key, sizeof(key), "%s/key", folder);
    snprintf(other, sizeof(other), "%s/other", folder);
    snprintf(locked, sizeof(locked), "%s/locked", folder);
    snprintf(rest, sizeof(rest), "%s/rest", folder);
    cert_files(rest, other, NULL);
    cert_files(rest, locked, "secret");
    cert_files(cert, key, NULL);
    assert_int_equal(weft_tls_server_ctx(&ctx, cert, key), 0);
    assert_int_equal(SSL_CTX_get_min_proto_version(ctx), TLS1_2_VERSION);
    SSL_CTX_free(ctx);
    assert_int_equal(weft_tls_server_ctx(&ctx, "/nowhere/cert", key), -ENOENT);
    assert_int_equal(weft_tls_server_ctx(&ctx, cert, "/nowhere/key"), -ENOENT);
    assert_int_equal(weft_tls_server_ctx(&ctx, key, key), WEFT_TLS_FILE);
    assert_int_equal(weft_tls_server_ctx(&ctx, cert, other), WEFT_TLS_FILE);
    assert_int_equal(weft_tls_server_ctx(&ctx, rest, locked), WEFT_TLS_FILE);
    assert_int_equal(ERR_peek_error(), 0);
    assert_int_equal(unlink(cert) | unlink(key) | unlink(other) | unlink(locked) | unlink(rest) | rmdir(folder), 0);
}

static void the_errors_have_names(void **state)
{
    (void)state;
    for (int err = WEFT_TLS_PROTOCOL; err >= WEFT_TLS_FILE; err--)
        assert_string_not_equal(weft_strerror(err), "unknown error");
}

// --- the end -------------------------------------------------------------------------

static int cut_off(void *arg)
{
    struct tls_pair p;
    char some[16];
    (void)arg;

    pair_open(&p);
    assert_int_equal(weft_tls_write(p.server, "last", 4), 4);
    assert_int_equal(weft_tls_read(p.client, some, sizeof(some)), 4);
    assert_int_equal(shutdown(p.fd[0], SHUT_RDWR), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(weft_tls_read(p.client, some, sizeof(some)), WEFT_TLS_TRUNCATED);
    assert_int_equal(weft_tls_write(p.client, some, 1), WEFT_TLS_TRUNCATED);
    assert_int_equal(weft_tls_shutdown(p.client), WEFT_TLS_TRUNCATED);
    pair_close(&p);
    return 0;
}

static void a_truncation_is_not_an_end(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(cut_off, NULL), 0);
}

// The peer is gone: what is sent meets a reset, and the next send is what raises SIGPIPE.
static int write_to_nothing(void *arg)
{
    struct tls_pair p;
    ssize_t put = 0;
    weft_tls **left = arg;

    pair_open(&p);
    struct linger now = { .l_onoff = 1, .l_linger = 0 };
    assert_int_equal(setsockopt(p.fd[0], SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    SSL_set_quiet_shutdown(weft_tls_ssl(p.server), 1);
    assert_int_equal(weft_tls_close(p.server), 0);
    while (put >= 0 && !*left)
        put = weft_tls_write(p.client, "x", 1);
    assert_true(put == -EPIPE || put == -ECONNRESET);
    assert_int_equal(weft_tls_write(p.client, "x", 1), put);
    assert_int_equal(weft_tls_close(p.client), 0);
    pair_open(&p);
    assert_int_equal(setsockopt(p.fd[0], SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    SSL_set_quiet_shutdown(weft_tls_ssl(p.server), 1);
    assert_int_equal(weft_tls_close(p.server), 0);
    *left = p.client;
    return 0;
}

// On the test's own thread, which has the signal as the system gave it.
static void no_write_raises_a_signal(void **state)
{
    weft_tls *left = NULL;
    (void)state;

    signal(SIGPIPE, SIG_DFL);
    assert_int_equal(run_tasks(write_to_nothing, &left), 0);
    int error = 0;
    getsockopt(SSL_get_fd(weft_tls_ssl(left)), SOL_SOCKET, SO_ERROR, &error, &(socklen_t){ sizeof(error) });
    assert_int_equal(weft_tls_close(left), 0);
}

static int end_half(void *arg)
{
    struct tls_pair p;
    char some[16];
    (void)arg;

    pair_open(&p);
    assert_int_equal(weft_tls_shutdown(p.client), 0);
    assert_int_equal(weft_tls_read(p.server, some, sizeof(some)), 0);
    assert_int_equal(weft_tls_write(p.server, "answer", 6), 6);
    assert_int_equal(weft_tls_close(p.server), 0);
    assert_int_equal(weft_tls_read(p.client, some, sizeof(some)), 6);
    assert_int_equal(weft_tls_read(p.client, some, sizeof(some)), 0);
    assert_int_equal(weft_tls_close(p.client), 0);
    return 0;
}

static void a_side_that_has_ended_still_reads(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(end_half, NULL), 0);
}

// --- a peer that is not weft ---------------------------------------------------------

enum { MUCH = 3 << 20, UPDATE_EACH = 100000 };

// A peer that sends and receives MUCH, and asks for new keys again and again.
struct openssl_peer {
    int fd;
    SSL_CTX *ctx;
    size_t sent, received, updates;
};

// pump moves what can be moved now.  Returns: whether that was something.
static bool pump(struct openssl_peer *p, SSL *ssl)
{
    char some[10000];
    bool moved = false;
    int n = SSL_read(ssl, some, sizeof(some));

    if (n > 0) {
        peer_check(some, (size_t)n, 1, p->received);
        p->received += (size_t)n;
        moved = true;
    }
    if (p->sent / UPDATE_EACH > p->updates && SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) == 1)
        p->updates++;
    size_t part = MUCH - p->sent < 5000 ? MUCH - p->sent : 5000;
    peer_fill(some, part, 2, p->sent);
    if (part > 0 && (n = SSL_write(ssl, some, (int)part)) > 0) {
        p->sent += (size_t)n;
        moved = true;
    }
    return moved;
}

static void *run_peer(void *arg)
{
    struct openssl_peer *p = arg;
    SSL *ssl = SSL_new(p->ctx);

    assert_non_null(ssl);
    assert_int_equal(SSL_set_fd(ssl, p->fd), 1);
    SSL_set_mode(ssl, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    assert_int_equal(SSL_accept(ssl), 1);
    peer_nonblock(p->fd);
    while (p->sent < MUCH || p->received < MUCH)
        if (!pump(p, ssl))
            poll(&(struct pollfd){ p->fd, POLLIN, 0 }, 1, 1);
    SSL_shutdown(ssl);
    SSL_free(ssl);
    return NULL;
}

static int send_much(void *arg)
{
    char some[30000];

    for (size_t at = 0; at < MUCH;) {
        size_t n = MUCH - at < sizeof(some) ? MUCH - at : sizeof(some);
        peer_fill(some, n, 1, at);
        assert_int_equal(weft_tls_write(arg, some, n), n);
        at += n;
    }
    return 0;
}

static int read_much(void *arg)
{
    char c;

    pair_read(arg, MUCH, 2, 0);
    assert_int_equal(weft_tls_read(arg, &c, 1), 0);
    return 0;
}

static int talk_to_openssl(void *arg)
{
    struct openssl_peer peer = { .ctx = server_ctx };
    weft_tls *t;
    int fd[2];
    (void)arg;

    peer_tcp_pair(fd);
    peer.fd = fd[0];
    pthread_t thread = peer_start(run_peer, &peer);
    assert_int_equal(weft_tls_client(&t, fd[1], client_ctx, "localhost"), 0);
    weft_task *writer = spawn(send_much, t), *reader = spawn(read_much, t);
    assert_int_equal(join(writer), 0);
    assert_int_equal(join(reader), 0);
    peer_join(thread);
    assert_true(peer.updates > 10);
    assert_int_equal(weft_tls_close(t), 0);
    close(fd[0]);
    return 0;
}

static void keys_change_while_one_task_reads_and_one_writes(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(talk_to_openssl, NULL), 0);
}

// A client of TLS 1.2 that wants to renegotiate, and a server.
static void *renegotiate(void *arg)
{
    SSL *ssl = SSL_new(client_ctx);
    static int result;
    char c;

    SSL_set_fd(ssl, *(int *)arg);
    SSL_set_max_proto_version(ssl, TLS1_2_VERSION);
    assert_int_equal(SSL_connect(ssl), 1);
    result = SSL_renegotiate(ssl) == 1 && SSL_do_handshake(ssl) == 1 && SSL_read(ssl, &c, 1) == 1;
    SSL_set_quiet_shutdown(ssl, 1);
    SSL_free(ssl);
    close(*(int *)arg);
    return &result;
}

static int refuse_to_renegotiate(void *arg)
{
    weft_tls *t;
    int fd[2];
    char c;
    void *renegotiated;
    (void)arg;

    peer_tcp_pair(fd);
    pthread_t thread = peer_start(renegotiate, &fd[1]);
    assert_int_equal(weft_tls_server(&t, fd[0], server_ctx), 0);
    ssize_t got = weft_tls_read(t, &c, 1);
    assert_true(got == WEFT_TLS_TRUNCATED || got == WEFT_TLS_ALERT);
    assert_int_equal(pthread_join(thread, &renegotiated), 0);
    assert_int_equal(*(int *)renegotiated, 0);
    assert_int_equal(weft_tls_close(t), 0);
    return 0;
}

static void renegotiation_is_refused(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(refuse_to_renegotiate, NULL), 0);
}

static int serve_plain_text(void *arg)
{
    weft_tls *t;
    int fd[2];
    (void)arg;

    peer_tcp_pair(fd);
    peer_write(fd[1], "GET / HTTP/1.0\r\n\r\n", 18);
    ERR_raise(ERR_LIB_USER, 1); // what another task may have left on this thread
    assert_int_equal(weft_tls_server(&t, fd[0], server_ctx), WEFT_TLS_PROTOCOL);
    assert_int_equal(ERR_peek_error(), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(weft_close(fd[i]), 0);
    return 0;
}

static void what_is_not_tls_is_refused(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(serve_plain_text, NULL), 0);
}

// --- cancels -------------------------------------------------------------------------

// A write that is cut short by a deadline, again and again, in the middle of records.
static int send_in_shreds(void *arg)
{
    enum { ALL = 1 << 20, PIECE = 50000 };
    char *piece = malloc(PIECE);
    int cuts = 0;
    size_t at = 0;

    assert_non_null(piece);
    while (at < ALL) {
        weft_scope limit;
        size_t n = ALL - at < PIECE ? ALL - at : PIECE;
        peer_fill(piece, n, 3, at);
        weft_scope_open(&limit, WEFT_SCOPE_FAIL_FAST);
        weft_scope_deadline(&limit, weft_after(WEFT_US(300)));
        ssize_t put = weft_tls_write(arg, piece, n);
        (void)weft_scope_close(&limit);
        assert_true(put > 0 || put == -ETIMEDOUT);
        memset(piece, 0, PIECE); // the connection needs these bytes no longer
        cuts += put != (ssize_t)n;
        at += put > 0 ? (size_t)put : 0;
    }
    free(piece);
    printf("%d writes were cut short\n", cuts);
    assert_int_equal(weft_tls_shutdown(arg), 0);
    return 0;
}

static int read_slowly(void *arg)
{
    char c;

    for (size_t at = 0; at < 1 << 20; at += 8192) {
        pair_read(arg, 8192, 3, at);
        if (at % 65536 == 0)
            assert_int_equal(weft_sleep(WEFT_MS(1)), 0);
    }
    assert_int_equal(weft_tls_read(arg, &c, 1), 0);
    return 0;
}

static int cut_writes(void *arg)
{
    struct tls_pair p;
    (void)arg;

    pair_open(&p);
    weft_task *writer = spawn(send_in_shreds, p.client), *reader = spawn(read_slowly, p.server);
    assert_int_equal(join(writer), 0);
    assert_int_equal(join(reader), 0);
    pair_close(&p);
    return 0;
}

static void writes_that_are_cut_short_leave_the_stream_whole(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(cut_writes, NULL), 0);
}

static int end_of(void *arg)
{
    return weft_tls_shutdown(arg);
}

static int read_all_of(void *arg)
{
    struct stuffing *s = arg;
    char c;

    pair_read(s->t, s->taken, 0, 0);
    return (int)weft_tls_read(s->t, &c, 1);
}

// The cut write's rest goes out with the end; before that, the end itself is cut short.
// With records of 512 bytes the rest is many records.
static int cut_end(void *arg)
{
    struct tls_pair p;
    size_t fragment = *(size_t *)arg;

    pair_open_on(&p, PEER_UNIX);
    SSL_set_max_send_fragment(weft_tls_ssl(p.client), fragment);
    struct stuffing s = { p.server, pair_stuff(p.client) };
    weft_task *end = spawn(end_of, p.client);
    wait_parked(end, "weft_poll");
    weft_task_cancel(end);
    assert_int_equal(join(end), -ECANCELED);
    end = spawn(end_of, p.client);
    weft_task *reader = spawn(read_all_of, &s);
    assert_int_equal(join(end), 0);
    assert_int_equal(join(reader), 0);
    pair_close(&p);
    return 0;
}

static void what_a_cut_write_has_taken_goes_out_before_the_end(void **state)
{
    (void)state;
    for (size_t fragment = 512; fragment <= 16384; fragment *= 32)
        assert_int_equal(run_tasks(cut_end, &fragment), 0);
}

// A close sends what there is room for; here there is none, and the peer can tell.
static int close_full(void *arg)
{
    struct tls_pair p;
    char c;
    (void)arg;

    pair_open_on(&p, PEER_UNIX);
    size_t taken = pair_stuff(p.client), at = 0;
    assert_int_equal(weft_tls_close(p.client), 0);
    ssize_t got;
    while ((got = weft_tls_read(p.server, &c, 1)) == 1) {
        assert_int_equal((uint8_t)c, peer_byte(0, at));
        at++;
    }
    // A reset: the client has closed with something unread, the server's tickets.
    assert_true(got == WEFT_TLS_TRUNCATED || got == -ECONNRESET);
    assert_true(at < taken);
    p.client = NULL;
    pair_close(&p);
    return 0;
}

static void a_close_without_room_is_a_truncation(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(close_full, NULL), 0);
}

static _Atomic size_t refused_size; // of memory, of which there is none
static _Atomic long refused_at;     // the allocation after so many is refused; 0: none is

static void *allocate(size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    bool refused = n == refused_size || (refused_at > 0 && --refused_at == 0);
    return refused ? NULL : malloc(n);
}

static void *reallocate(void *p, size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return realloc(p, n);
}

static void release(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    free(p);
}

static int cut_without_memory(void *arg)
{
    struct tls_pair p;
    (void)arg;

    pair_open_on(&p, PEER_UNIX);
    struct stuffing s = { p.client, 0 };
    weft_task *writer = spawn(pair_stuff_on, &s);
    wait_parked(writer, "weft_poll");
    refused_size = 16384;
    weft_task_cancel(writer);
    assert_int_equal(join(writer), -ECANCELED);
    refused_size = 0;
    assert_int_equal(s.taken % 16384, 0); // without the record that is begun
    assert_int_equal(weft_tls_write(p.client, "x", 1), -ENOMEM);
    assert_int_equal(weft_tls_shutdown(p.client), -ENOMEM);
    pair_close(&p);
    return 0;
}

static void without_memory_for_the_rest_nothing_is_written_any_more(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(cut_without_memory, NULL), 0);
}

// The peer has closed, so no handshake succeeds: it is for want of memory, or because of
// that.
static int connect_without_memory(void *arg)
{
    long last = *(long *)arg;
    int starved = 0;

    for (long n = 1; n <= last; n++) {
        weft_tls *t;
        int fd[2];
        peer_tcp_pair(fd);
        close(fd[1]);
        refused_at = n;
        int err = weft_tls_client(&t, fd[0], client_ctx, "localhost");
        refused_at = 0;
        assert_true(err < 0);
        assert_int_equal(ERR_peek_error(), 0);
        starved += err == -ENOMEM;
        assert_int_equal(weft_close(fd[0]), 0);
    }
    return starved;
}

static void without_memory_there_is_no_connection(void **state)
{
    long last = 30;
    (void)state;
    assert_true(run_tasks(connect_without_memory, &last) > 5);
}

static void without_memory_there_is_no_context(void **state)
{
    SSL_CTX *ctx;
    int starved = 0;
    (void)state;

    for (long n = 1; n <= 10; n++) {
        refused_at = n;
        int err = weft_tls_client_ctx(&ctx);
        refused_at = 0;
        assert_true(err == 0 || err == -ENOMEM);
        starved += err < 0;
        if (err == 0)
            SSL_CTX_free(ctx);
    }
    assert_true(starved > 3);
}

// --- a callback that cannot be waited for --------------------------------------------

static int suspend(SSL *ssl, void *arg)
{
    (void)ssl;
    (void)arg;
    return -1;
}

static int meet_suspended(void *arg)
{
    struct meeting m = { .server = arg, .client = client_ctx, .host = "localhost" };

    assert_int_equal(meet(&m), 0);
    return m.said[0];
}

static void a_callback_that_suspends_the_handshake_is_not_supported(void **state)
{
    SSL_CTX *server, *client;
    (void)state;

    cert_contexts(&cert_here, &server, &client);
    SSL_CTX_set_cert_cb(server, suspend, NULL);
    assert_int_equal(run_tasks(meet_suspended, server), -ENOTSUP);
    SSL_CTX_free(server);
    SSL_CTX_free(client);
}

// --- openssl s_server ----------------------------------------------------------------

// accept_line reads where the server listens: "ACCEPT 127.0.0.1:PORT".
static void accept_line(int out, char *address, size_t size)
{
    weft_reader r;
    const char *line;

    assert_int_equal(weft_reader_init(&r, weft_fd_stream(out), 0), 0);
    do {
        assert_true(weft_reader_line(&r, &line) >= 0);
    } while (strncmp(line, "ACCEPT ", 7) != 0);
    assert_true((size_t)snprintf(address, size, "%s", line + 7) < size);
    weft_reader_fini(&r);
}

// ask_reversed sends a line, and gets it back in reverse.
static void ask_reversed(const char *address, SSL_CTX *ctx, const char *host, int expected)
{
    weft_tls *t;
    char answer[5];
    int fd = weft_tcp_dial(address);

    assert_true(fd >= 0);
    int err = weft_tls_client(&t, fd, ctx, host);
    assert_int_equal(err, expected);
    if (err < 0) {
        assert_int_equal(weft_close(fd), 0);
        return;
    }
    assert_int_equal(weft_tls_write(t, "abcd\n", 5), 5);
    for (size_t n = 0; n < 5;) {
        ssize_t got = weft_tls_read(t, answer + n, 5 - n);
        assert_true(got > 0);
        n += (size_t)got;
    }
    assert_memory_equal(answer, "dcba\n", 5);
    assert_int_equal(weft_tls_shutdown(t), 0);
    assert_int_equal(weft_tls_close(t), 0);
}

static int ask_s_server(void *arg)
{
    const char *const *files = arg;
    const char *const argv[] = { "openssl", "s_server", "-accept", "127.0.0.1:0", "-cert",
                                 files[0],  "-key",     files[1],  "-rev",        NULL };
    weft_process_opts o = WEFT_PROCESS_OPTS_INIT;
    weft_process *server;
    char address[64];
    SSL_CTX *ctx;

    o.argv = (char *const *)argv;
    o.out = WEFT_PIPE;
    o.err = WEFT_NULL;
    o.kill_signal = SIGKILL;
    assert_int_equal(weft_process_spawn(&server, &o), 0);
    accept_line(weft_process_pipe(server, 1), address, sizeof(address));
    assert_int_equal(weft_tls_client_ctx(&ctx), 0);
    ask_reversed(address, ctx, "localhost", WEFT_TLS_CERT);
    assert_int_equal(SSL_CTX_load_verify_locations(ctx, files[0], NULL), 1);
    ask_reversed(address, ctx, "example.com", WEFT_TLS_CERT_HOST);
    ask_reversed(address, ctx, "127.0.0.1", 0);
    SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    ask_reversed(address, ctx, "localhost", 0);
    SSL_CTX_free(ctx);
    assert_int_equal(weft_process_close(server), 0);
    return 0;
}

static void a_client_talks_to_s_server(void **state)
{
    char folder[] = "/tmp/weft-tls-XXXXXX", cert[64], key[64];
    const char *files[] = { cert, key };
    (void)state;

    if (system("openssl version >/dev/null 2>&1") != 0)
        wf_test_skip("there is no openssl command");
    assert_non_null(mkdtemp(folder));
    snprintf(cert, sizeof(cert), "%s/cert", folder);
    snprintf(key, sizeof(key), "%s/key", folder);
    cert_files(cert, key, NULL);
    assert_int_equal(run_tasks(ask_s_server, files), 0);
    assert_int_equal(unlink(cert) | unlink(key) | rmdir(folder), 0);
}

// --- many ----------------------------------------------------------------------------

static int meet_and_talk(void *arg)
{
    struct tls_pair p;
    weft_spawn_opts o = WEFT_SPAWN_OPTS_INIT;
    weft_task *t;
    char c;
    (void)arg;

    peer_tcp_pair(p.fd);
    o.stack_size = 32 << 10;
    assert_int_equal(weft_spawn_with(&t, &o, pair_serve, &p), 0);
    assert_int_equal(weft_tls_client(&p.client, p.fd[1], client_ctx, "localhost"), 0);
    assert_int_equal(join(t), 0);
    assert_int_equal(weft_tls_write(p.client, "x", 1), 1);
    assert_int_equal(weft_tls_read(p.server, &c, 1), 1);
    pair_close(&p);
    return 0;
}

static int meet_many(void *arg)
{
    struct rlimit limit;
    weft_scope all;
    weft_spawn_opts o = WEFT_SPAWN_OPTS_INIT;
    (void)arg;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    rlim_t room = (limit.rlim_cur - 100) / 3;
    unsigned n = wf_test_rounds(1000);
    if (n > room)
        n = (unsigned)room;
    weft_scope_open(&all, WEFT_SCOPE_FAIL_FAST);
    o.scope = &all;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    o.stack_size = 32 << 10;
#endif
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(weft_spawn_with(NULL, &o, meet_and_talk, NULL), 0);
    return weft_scope_close(&all);
}

static void a_thousand_handshakes_at_once_on_stacks_of_32_kib(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(meet_many, NULL), 0);
}

// --- streams -------------------------------------------------------------------------

static int echo_lines(void *arg)
{
    weft_stream s = weft_tls_stream(arg);
    weft_reader r;
    weft_writer w;
    const char *line;
    ssize_t n;

    assert_int_equal(weft_reader_init(&r, s, 0), 0);
    assert_int_equal(weft_writer_init(&w, s, 0), 0);
    while ((n = weft_reader_line(&r, &line)) >= 0) {
        assert_int_equal(weft_writer_printf(&w, "%zd:%s\n", n, line), 0);
        assert_int_equal(weft_writer_flush(&w), 0);
    }
    assert_int_equal(s.ops->shutdown(s.self), 0);
    weft_reader_fini(&r);
    weft_writer_fini(&w);
    return (int)n;
}

// expect_sent asserts that the kernel waits for no more bytes to send with those it has.
static void expect_sent(int fd)
{
    int left;

    assert_int_equal(ioctl(fd, SIOCOUTQNSD, &left), 0);
    assert_int_equal(left, 0);
}

static int talk_in_lines(void *arg)
{
    struct tls_pair p;
    weft_reader r;
    const char *line;
    char x[6000] = { 0 };
    (void)arg;

    pair_open(&p);
    assert_int_equal(setsockopt(p.fd[1], IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int)), 0);
    weft_stream s = weft_tls_stream(p.client);
    weft_task *t = spawn(echo_lines, p.server);
    assert_int_equal(weft_reader_init(&r, s, 0), 0);
    memset(x, 'x', sizeof(x) - 1);
    struct iovec v[] = { { NULL, 0 }, { "one\ntw", 6 }, { NULL, 0 }, { "o\n", 2 }, { x, sizeof(x) - 1 }, { "\n", 1 } };
    for (int i = 0; i < 6;) {
        ssize_t put = s.ops->writev(s.self, v + i, 6 - i);
        assert_true(put > 0);
        for (; i < 6 && (size_t)put >= v[i].iov_len; i++)
            put -= (ssize_t)v[i].iov_len;
        if (i < 6) {
            v[i].iov_base = (char *)v[i].iov_base + put;
            v[i].iov_len -= (size_t)put;
        }
    }
    expect_sent(p.fd[1]);
    assert_int_equal(weft_reader_line(&r, &line), 5);
    assert_string_equal(line, "3:one");
    assert_int_equal(weft_reader_line(&r, &line), 5);
    assert_string_equal(line, "3:two");
    assert_int_equal(weft_reader_line(&r, &line), 6004);
    assert_string_equal(line + 5, x);
    assert_int_equal(s.ops->shutdown(s.self), 0);
    assert_int_equal(weft_reader_line(&r, &line), -ENODATA);
    weft_reader_fini(&r);
    assert_int_equal(join(t), -ENODATA);
    assert_int_equal(s.ops->close(s.self), 0);
    p.client = NULL;
    pair_close(&p);
    return 0;
}

static void readers_and_writers_work_on_tls(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(talk_in_lines, NULL), 0);
}

static int poll_stream(void *arg)
{
    struct tls_pair p;
    (void)arg;

    pair_open(&p);
    weft_stream s = weft_tls_stream(p.client);
    assert_int_equal(s.ops->poll(s.self, POLLOUT), POLLOUT);
    assert_int_equal(s.ops->poll(s.self, POLLIN | POLLOUT), POLLOUT);
    assert_int_equal(weft_tls_write(p.server, "x", 1), 1);
    assert_int_equal(s.ops->poll(s.self, POLLIN), POLLIN); // past the server's tickets
    assert_int_equal(s.ops->poll(s.self, POLLIN | POLLOUT), POLLIN);
    pair_close(&p);
    return 0;
}

static void a_stream_says_what_is_ready(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(poll_stream, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_go_both_ways_at_once_and_each_way_ends),
        cmocka_unit_test(the_bytes_of_a_write_stay_together),
        cmocka_unit_test(certificates_are_verified),
        cmocka_unit_test(what_is_not_a_host_is_refused),
        cmocka_unit_test(without_a_host_the_context_decides),
        cmocka_unit_test(what_is_no_socket_is_refused),
        cmocka_unit_test(the_servers_files_are_looked_at),
        cmocka_unit_test(the_errors_have_names),
        cmocka_unit_test(a_truncation_is_not_an_end),
        cmocka_unit_test(no_write_raises_a_signal),
        cmocka_unit_test(a_side_that_has_ended_still_reads),
        cmocka_unit_test(keys_change_while_one_task_reads_and_one_writes),
        cmocka_unit_test(renegotiation_is_refused),
        cmocka_unit_test(what_is_not_tls_is_refused),
        cmocka_unit_test(writes_that_are_cut_short_leave_the_stream_whole),
        cmocka_unit_test(what_a_cut_write_has_taken_goes_out_before_the_end),
        cmocka_unit_test(a_close_without_room_is_a_truncation),
        cmocka_unit_test(without_memory_for_the_rest_nothing_is_written_any_more),
        cmocka_unit_test(without_memory_there_is_no_connection),
        cmocka_unit_test(without_memory_there_is_no_context),
        cmocka_unit_test(a_callback_that_suspends_the_handshake_is_not_supported),
        cmocka_unit_test(a_client_talks_to_s_server),
        cmocka_unit_test(a_thousand_handshakes_at_once_on_stacks_of_32_kib),
        cmocka_unit_test(readers_and_writers_work_on_tls),
        cmocka_unit_test(a_stream_says_what_is_ready),
    };
    assert_int_equal(CRYPTO_set_mem_functions(allocate, reallocate, release), 1);
    cert_contexts(&cert_here, &server_ctx, &client_ctx);
    int failed = wf_test_run(tests);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    return failed;
}
