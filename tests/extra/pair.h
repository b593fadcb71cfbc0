// Two ends of a TLS connection over TCP, both weft's.
#ifndef WF_TESTS_TLS_PAIR_H
#define WF_TESTS_TLS_PAIR_H

#include <weft/tls.h>

#include "tests/extra/certs.h"
#include "tests/support/peer.h"
#include "tests/support/tasks.h"

static SSL_CTX *server_ctx, *client_ctx; // of cert_here

struct tls_pair {
    int fd[2]; // of the server, and of the client
    weft_tls *server, *client;
};

static inline int pair_serve(void *arg)
{
    struct tls_pair *p = arg;
    return weft_tls_server(&p->server, p->fd[0], server_ctx);
}

// pair_small makes a socket hold little, so that writers wait.
static inline void pair_small(const int fd[2])
{
    for (int i = 0; i < 2; i++) {
        int size = 16384;
        assert_int_equal(setsockopt(fd[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
        assert_int_equal(setsockopt(fd[i], SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
    }
}

static inline void pair_open_on(struct tls_pair *p, enum peer_kind kind)
{
    peer_pair(kind, p->fd);
    pair_small(p->fd);
    weft_task *t = spawn(pair_serve, p);
    assert_int_equal(weft_tls_client(&p->client, p->fd[1], client_ctx, "localhost"), 0);
    assert_int_equal(join(t), 0);
}

static inline void pair_close(struct tls_pair *p)
{
    if (p->client)
        assert_int_equal(weft_tls_close(p->client), 0);
    if (p->server)
        assert_int_equal(weft_tls_close(p->server), 0);
}

static inline void pair_open(struct tls_pair *p)
{
    pair_open_on(p, PEER_TCP);
}

// pair_read reads `n` bytes of the stream `seed`.
static inline void pair_read(weft_tls *t, size_t n, uint64_t seed, uint64_t at)
{
    char some[5000];

    while (n > 0) {
        ssize_t got = weft_tls_read(t, some, n < sizeof(some) ? n : sizeof(some));
        assert_true(got > 0);
        peer_check(some, (size_t)got, seed, at);
        at += (uint64_t)got;
        n -= (size_t)got;
    }
}

// pair_stuff writes until there is no room, and returns how many bytes the connection
// has taken: bytes of the stream `seed`.
struct stuffing {
    weft_tls *t;
    size_t taken;
};

static inline int pair_stuff_on(void *arg)
{
    enum { MUCH = 1 << 20 };
    struct stuffing *s = arg;
    char *much = malloc(MUCH);
    ssize_t put;

    assert_non_null(much);
    do {
        peer_fill(much, MUCH, 0, s->taken);
        put = weft_tls_write(s->t, much, MUCH);
        s->taken += put > 0 ? (size_t)put : 0;
    } while (put > 0);
    free(much);
    return (int)put;
}

// It ends when there is no room. The sockets are Unix ones: there nothing is under way
// that makes room later.
static inline size_t pair_stuff(weft_tls *t)
{
    struct stuffing s = { t, 0 };
    weft_task *writer = spawn(pair_stuff_on, &s);

    wait_parked(writer, "weft_poll");
    weft_task_cancel(writer);
    assert_int_equal(join(writer), -ECANCELED);
    return s.taken;
}

#endif
