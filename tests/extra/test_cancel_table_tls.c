// The cancellation table: TLS. See docs/cancellation.md and tests/support/cancel_table.h.
#include "tests/extra/pair.h"
#include "tests/support/cancel_table.h"

static struct tls_pair p;
static size_t taken; // what was written before the subject's

static void set_up_pair(struct cancel_case *c)
{
    (void)c;
    pair_open_on(&p, PEER_UNIX);
}

// --- handshakes ----------------------------------------------------------------------

static weft_task *other; // makes the handshake at the other end

static int shake_client(void *arg)
{
    (void)arg;
    return weft_tls_client(&p.client, p.fd[1], client_ctx, "localhost");
}

static int shake_server(void *arg)
{
    (void)arg;
    return weft_tls_server(&p.server, p.fd[0], server_ctx);
}

static void handshake_set_up(struct cancel_case *c)
{
    (void)c;
    p = (struct tls_pair){ .client = NULL, .server = NULL };
    peer_tcp_pair(p.fd);
    other = NULL;
}

static int client_call(struct cancel_case *c)
{
    (void)c;
    return shake_client(NULL);
}

static int server_call(struct cancel_case *c)
{
    (void)c;
    return shake_server(NULL);
}

static void client_complete(struct cancel_case *c)
{
    (void)c;
    other = spawn(shake_server, NULL);
}

static void server_complete(struct cancel_case *c)
{
    (void)c;
    other = spawn(shake_client, NULL);
}

// A handshake that was cut short leaves its descriptor to the caller, to be closed.
static void close_if_not(weft_tls *t, int fd)
{
    assert_int_equal(t ? weft_tls_close(t) : weft_close(fd), 0);
}

static void client_left(struct cancel_case *c, int result)
{
    (void)c;
    assert_int_equal(p.client != NULL, result == 0);
    close_if_not(p.client, p.fd[1]);
    join(other);
    close_if_not(p.server, p.fd[0]);
}

static void server_left(struct cancel_case *c, int result)
{
    (void)c;
    assert_int_equal(p.server != NULL, result == 0);
    close_if_not(p.server, p.fd[0]);
    join(other);
    close_if_not(p.client, p.fd[1]);
}

// --- reading -------------------------------------------------------------------------

static char got[8];

static int read_call(struct cancel_case *c)
{
    (void)c;
    return (int)weft_tls_read(p.client, got, sizeof(got));
}

static void read_complete(struct cancel_case *c)
{
    (void)c;
    assert_int_equal(weft_tls_write(p.server, "abcd", 4), 4);
}

static void read_left(struct cancel_case *c, int result)
{
    if (result < 0)
        result = read_call(c);
    assert_int_equal(result, 4);
    assert_memory_equal(got, "abcd", 4);
    pair_close(&p);
}

// --- writing -------------------------------------------------------------------------

// An earlier write has left a record behind, so the subject's bytes have to wait.
static void write_set_up(struct cancel_case *c)
{
    set_up_pair(c);
    taken = pair_stuff(p.client);
}

static int write_call(struct cancel_case *c)
{
    (void)c;
    return (int)weft_tls_write(p.client, "abcd", 4);
}

static int shutdown_call(struct cancel_case *c)
{
    (void)c;
    return weft_tls_shutdown(p.client);
}

// The last record is complete only when a call that writes has sent its rest.
static int read_taken(void *arg)
{
    (void)arg;
    pair_read(p.server, taken, 0, 0);
    return 0;
}

static void write_complete(struct cancel_case *c)
{
    (void)c;
    other = spawn(read_taken, NULL);
}

static void write_left(struct cancel_case *c, int result)
{
    if (result < 0)
        result = write_call(c);
    assert_int_equal(result, 4);
    assert_int_equal(join(other), 0);
    assert_int_equal(weft_tls_read(p.server, got, sizeof(got)), 4);
    assert_memory_equal(got, "abcd", 4);
    pair_close(&p);
}

static void shutdown_left(struct cancel_case *c, int result)
{
    if (result < 0)
        result = shutdown_call(c);
    assert_int_equal(result, 0);
    assert_int_equal(join(other), 0);
    assert_int_equal(weft_tls_read(p.server, got, sizeof(got)), 0);
    pair_close(&p);
}

// clang-format off
static const struct cancel_row rows[] = {
    { "weft_tls_client", .what = "weft_poll",
      .set_up = handshake_set_up, .call = client_call, .complete = client_complete, .left = client_left },
    { "weft_tls_server", .what = "weft_poll",
      .set_up = handshake_set_up, .call = server_call, .complete = server_complete, .left = server_left },
    { "weft_tls_read", .what = "weft_poll",
      .set_up = set_up_pair, .call = read_call, .complete = read_complete, .left = read_left },
    { "weft_tls_write", .what = "weft_poll",
      .set_up = write_set_up, .call = write_call, .complete = write_complete, .left = write_left },
    { "weft_tls_shutdown", .what = "weft_poll",
      .set_up = write_set_up, .call = shutdown_call, .complete = write_complete, .left = shutdown_left },
};
// clang-format on

static void each_call_can_be_cancelled(void **state)
{
    (void)state;
    CANCEL_TABLE_RUN(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(each_call_can_be_cancelled) };
    cert_contexts(&cert_here, &server_ctx, &client_ctx);
    int failed = wf_test_run(tests);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    return failed;
}
