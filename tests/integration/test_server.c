// A server under bad conditions: clients that are plain threads with blocking sockets,
// and not all of them polite.
#include <stdatomic.h>
#include <stdio.h>

#include "tests/support/peer.h"
#include "tests/support/tasks.h"

struct server {
    int listener;
    struct sockaddr_in at;
    weft_task *acceptor;
    atomic_int open;    // connections
    atomic_long echoed; // bytes
};

struct connection {
    struct server *server;
    int fd;
};

static int echo(void *arg)
{
    struct connection c = *(struct connection *)arg;
    char buf[2048];
    ssize_t n;

    free(arg);
    while ((n = weft_read(c.fd, buf, sizeof(buf))) > 0) {
        if (weft_write_all(c.fd, buf, (size_t)n, NULL) < 0)
            break;
        atomic_fetch_add(&c.server->echoed, n);
    }
    assert_int_equal(weft_close(c.fd), 0);
    atomic_fetch_sub(&c.server->open, 1);
    return 0;
}

static int accept_all(void *arg)
{
    struct server *s = arg;
    int fd;

    while ((fd = weft_accept(s->listener, NULL, NULL)) >= 0) {
        struct connection *c = malloc(sizeof(*c));
        assert_non_null(c);
        *c = (struct connection){ s, fd };
        atomic_fetch_add(&s->open, 1);
        assert_int_equal(weft_spawn(NULL, echo, c), 0);
    }
    return fd;
}

static void start_server(struct server *s)
{
    *s = (struct server){ 0 };
    s->listener = peer_listen(128, &s->at);
    s->acceptor = spawn(accept_all, s);
}

static int connect_to(const struct server *s)
{
    char text[32];
    snprintf(text, sizeof(text), ":%u", ntohs(s->at.sin_port));
    return peer_connect(text);
}

// stop_server waits for the connections, too: their clients have gone.
static void stop_server(struct server *s)
{
    assert_int_equal(weft_close(s->listener), 0);
    assert_int_equal(join(s->acceptor), -EBADF);
    while (atomic_load(&s->open) > 0)
        assert_int_equal(weft_sleep(WEFT_US(200)), 0);
}

static int join_thread(void *arg)
{
    peer_join(*(pthread_t *)arg);
    return 0;
}

// --- every byte ----------------------------------------------------------------------

enum { CLIENTS = 12 };

struct client {
    int fd;
    uint64_t seed;
    size_t bytes;
    unsigned pause_every; // chunks; 0: reads as fast as it can
};

static size_t chunk(struct wf_test_rand *r, size_t left, size_t most)
{
    size_t n = 1 + wf_test_below(r, (uint32_t)most);
    return n < left ? n : left;
}

static void *pump(void *arg)
{
    struct client *c = arg;
    struct wf_test_rand r = wf_test_rand(c->seed);
    uint8_t buf[5000];

    for (size_t at = 0, n; at < c->bytes; at += n) {
        n = chunk(&r, c->bytes - at, sizeof(buf));
        peer_fill(buf, n, c->seed, at);
        peer_write(c->fd, buf, n);
    }
    assert_int_equal(shutdown(c->fd, SHUT_WR), 0);
    return NULL;
}

static void *check(void *arg)
{
    struct client *c = arg;
    struct wf_test_rand r = wf_test_rand(c->seed + 1000);
    uint8_t buf[7000];
    unsigned chunks = 0;

    for (size_t at = 0, n; at < c->bytes; at += n) {
        n = chunk(&r, c->bytes - at, sizeof(buf));
        peer_read(c->fd, buf, n);
        peer_check(buf, n, c->seed, at);
        if (c->pause_every && ++chunks % c->pause_every == 0)
            usleep(100);
    }
    assert_int_equal(read(c->fd, buf, 1), 0); // and not one more
    close(c->fd);
    return NULL;
}

static int pipelined(void *arg)
{
    struct server s;
    struct client clients[CLIENTS];
    pthread_t threads[2 * CLIENTS];
    (void)arg;

    start_server(&s);
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){ connect_to(&s), i + 1, wf_test_rounds(1000) * 1000, i % 3 * 20 };
        threads[2 * i] = peer_start(pump, &clients[i]);
        threads[2 * i + 1] = peer_start(check, &clients[i]);
    }
    for (int i = 0; i < 2 * CLIENTS; i++)
        assert_int_equal(weft_blocking(join_thread, &threads[i]), 0);
    stop_server(&s);
    assert_int_equal(atomic_load(&s.echoed), CLIENTS * clients[0].bytes);
    return 0;
}

static void every_byte_of_a_pipelined_echo_comes_back(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(pipelined, NULL), 0);
}

// --- slow readers --------------------------------------------------------------------

// Clients send and do not read: the server stops reading from them, rather than to keep
// what they send.
static int slow_readers(void *arg)
{
    struct server s;
    struct client slow[4];
    size_t sent = 0;
    uint8_t buf[64];
    (void)arg;

    start_server(&s);
    for (unsigned i = 0; i < 4; i++) {
        slow[i] = (struct client){ .fd = connect_to(&s), .seed = i };
        for (int still = 0; still < 20;) { // until all buffers are full, and stay so
            size_t more = 0;
            int flags = fcntl(slow[i].fd, F_GETFL);
            assert_int_equal(fcntl(slow[i].fd, F_SETFL, flags | O_NONBLOCK), 0);
            for (ssize_t put = 1; put > 0; more += put > 0 ? (size_t)put : 0) {
                peer_fill(buf, sizeof(buf), i, slow[i].bytes + more);
                put = write(slow[i].fd, buf, sizeof(buf));
            }
            assert_int_equal(fcntl(slow[i].fd, F_SETFL, flags), 0);
            slow[i].bytes += more;
            still = more ? 0 : still + 1;
            assert_int_equal(weft_sleep(WEFT_US(500)), 0);
        }
        sent += slow[i].bytes;
    }
    assert_true((size_t)atomic_load(&s.echoed) < sent); // the rest waits in the kernel

    int quick = connect_to(&s); // the others are served at the same time
    for (int i = 0; i < 100; i++) {
        peer_write(quick, "ping", 4);
        assert_int_equal(weft_read_full(quick, buf, 4, NULL), 0);
        assert_memory_equal(buf, "ping", 4);
    }
    assert_int_equal(weft_close(quick), 0);

    for (int i = 0; i < 4; i++) { // nothing was lost
        assert_int_equal(shutdown(slow[i].fd, SHUT_WR), 0);
        pthread_t reader = peer_start(check, &slow[i]);
        assert_int_equal(weft_blocking(join_thread, &reader), 0);
    }
    stop_server(&s);
    assert_int_equal(atomic_load(&s.echoed), sent + 400);
    return 0;
}

static void slow_readers_hold_back_who_writes_to_them(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(slow_readers, NULL), 0);
}

// --- rude clients --------------------------------------------------------------------

static int write_to_it(void *arg)
{
    static const uint8_t much[1 << 20];
    size_t done = 0;

    int err = weft_write_all(*(int *)arg, much, sizeof(much), &done);
    while (err == 0) // it may all have gone into buffers
        err = weft_write_all(*(int *)arg, much, sizeof(much), &done);
    assert_true(done < sizeof(much));
    return err;
}

static int reset_in_mid_write(void *arg)
{
    int fd[2];
    char c = 0;
    (void)arg;

    for (unsigned i = 0; i < wf_test_rounds(50); i++) {
        peer_tcp_pair(fd);
        weft_task *writer = spawn(write_to_it, &fd[0]);
        for (unsigned j = 0; j < i % 5; j++)
            assert_int_equal(weft_yield(), 0);
        if (i % 5 == 4) {
            wait_parked(writer, "weft_write");
            peer_read(fd[1], &c, 1);
        }
        peer_reset(fd[1]);
        int err = join(writer);
        assert_true(err == -ECONNRESET || err == -EPIPE);
        assert_int_equal(weft_write(fd[0], &c, 1), -EPIPE);
        assert_int_equal(weft_close(fd[0]), 0);
    }
    return 0;
}

static void a_reset_in_mid_write_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(reset_in_mid_write, NULL), 0);
}

static void *be_rude(void *arg)
{
    struct server *s = arg;
    char buf[4096] = { 0 };

    for (unsigned i = 0; i < wf_test_rounds(100); i++) {
        int fd = connect_to(s);
        if (i % 4 > 0)
            peer_write(fd, buf, i % 4 * 1000);
        if (i % 4 > 1)
            peer_read(fd, buf, 100);
        peer_reset(fd);
    }
    return NULL;
}

static int rude_clients(void *arg)
{
    struct server s;
    (void)arg;

    start_server(&s);
    pthread_t rude[2] = { peer_start(be_rude, &s), peer_start(be_rude, &s) };
    struct client polite = { connect_to(&s), 42, wf_test_rounds(200) * 1000, 0 };
    pthread_t threads[2] = { peer_start(pump, &polite), peer_start(check, &polite) };
    for (int i = 0; i < 2; i++) {
        assert_int_equal(weft_blocking(join_thread, &threads[i]), 0);
        assert_int_equal(weft_blocking(join_thread, &rude[i]), 0);
    }
    stop_server(&s);
    return 0;
}

static void clients_that_reset_do_not_disturb_the_others(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(rude_clients, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_of_a_pipelined_echo_comes_back),
        cmocka_unit_test(slow_readers_hold_back_who_writes_to_them),
        cmocka_unit_test(a_reset_in_mid_write_is_an_error),
        cmocka_unit_test(clients_that_reset_do_not_disturb_the_others),
    };
    return wf_test_run(tests);
}
