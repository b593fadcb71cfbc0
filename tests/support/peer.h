// The peer: plain threads and blocking sockets, without weft, and bytes that can be
// checked.
#ifndef WF_TESTS_PEER_H
#define WF_TESTS_PEER_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/support/harness.h"

// --- threads -------------------------------------------------------------------------

static inline pthread_t peer_start(void *(*fn)(void *), void *arg)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, fn, arg), 0);
    return thread;
}

static inline void peer_join(pthread_t thread)
{
    assert_int_equal(pthread_join(thread, NULL), 0);
}

// --- bytes ---------------------------------------------------------------------------

// peer_byte is the byte at `at` of the stream `seed`: none is like its neighbours, so a
// lost or doubled one shows.
static inline uint8_t peer_byte(uint64_t seed, uint64_t at)
{
    uint64_t z = (seed + at) * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    return (uint8_t)(z >> 56);
}

static inline void peer_fill(void *buf, size_t n, uint64_t seed, uint64_t at)
{
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)buf)[i] = peer_byte(seed, at + i);
}

static inline void peer_check(const void *buf, size_t n, uint64_t seed, uint64_t at)
{
    for (size_t i = 0; i < n; i++)
        if (((const uint8_t *)buf)[i] != peer_byte(seed, at + i))
            fail_msg("byte %llu of the stream is wrong", (unsigned long long)(at + i));
}

static inline void peer_write(int fd, const void *buf, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t put = send(fd, (const char *)buf + at, n - at, MSG_NOSIGNAL);
        if (put < 0 && errno == ENOTSOCK)
            put = write(fd, (const char *)buf + at, n - at);
        assert_true(put > 0);
        at += (size_t)put;
    }
}

static inline void peer_read(int fd, void *buf, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t got = read(fd, (char *)buf + at, n - at);
        assert_true(got > 0);
        at += (size_t)got;
    }
}

// --- sockets -------------------------------------------------------------------------

// peer_addr reads "127.0.0.1:PORT".
static inline struct sockaddr_in peer_addr(const char *text)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const char *colon = strrchr(text, ':');

    assert_non_null(colon);
    a.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    return a;
}

static inline int peer_connect(const char *addr)
{
    struct sockaddr_in a = peer_addr(addr);
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
        fail_msg("cannot connect to %s: %s", addr, strerror(errno));
    assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
    return fd;
}

// peer_listen listens on a free port, and says on which.
static inline int peer_listen(int backlog, struct sockaddr_in *at)
{
    socklen_t len = sizeof(*at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    *at = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)at, sizeof(*at)), 0);
    assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)at, &len), 0);
    return fd;
}

// peer_reset closes with a reset in place of an orderly end.
static inline void peer_reset(int fd)
{
    struct linger now = { .l_onoff = 1, .l_linger = 0 };

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    close(fd);
}

// --- pairs ---------------------------------------------------------------------------

// A pair of connected descriptors, in blocking mode: bytes written to [1] are read from
// [0].
enum peer_kind { PEER_TCP, PEER_UNIX, PEER_PIPE, PEER_KINDS };

static inline void peer_tcp_pair(int fd[2])
{
    struct sockaddr_in at;
    int on = 1, listener = peer_listen(1, &at);

    fd[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd[1] >= 0);
    assert_int_equal(connect(fd[1], (struct sockaddr *)&at, sizeof(at)), 0);
    fd[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd[0] >= 0);
    close(listener);
    for (int i = 0; i < 2; i++)
        assert_int_equal(setsockopt(fd[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
}

static inline void peer_pair(enum peer_kind kind, int fd[2])
{
    if (kind == PEER_TCP)
        peer_tcp_pair(fd);
    else if (kind == PEER_UNIX)
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    else
        assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
}

static inline void peer_nonblock(int fd)
{
    assert_true(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0);
}

// peer_drain reads what is there of bytes that begin at *at, checks it, and moves *at on.
// Returns: false if there was nothing.
static inline bool peer_drain(int fd, uint64_t seed, size_t *at)
{
    char some[4096];
    size_t before = *at;
    ssize_t n;

    while ((n = read(fd, some, sizeof(some))) > 0) {
        peer_check(some, (size_t)n, seed, *at);
        *at += (size_t)n;
    }
    return *at > before;
}

// peer_is_shut tells whether a TCP socket's other end has refused a probe of its window
// and said that it has no room at all. Before that, the window may have some bytes left,
// fewer than a segment: the sender holds its data back until the first probe, 200 ms
// later, takes them along and makes room for a writer.  `looks`: how often the writer
// found no room, a millisecond apart.
static inline bool peer_is_shut(int fd, unsigned looks)
{
    struct tcp_info info = { 0 };
    socklen_t len = sizeof(info);

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
        return true; // no TCP socket
#ifdef WF_EMULATED
    return looks > 1000; // qemu-user hands out the first four bytes of the structure
#else
    (void)looks;
    return info.tcpi_backoff > 0;
#endif
}

// peer_stuff writes to a socket or pipe until it is full, and stays full until its
// other end reads. A TCP socket takes half a second.
// Returns: how many bytes it took.
static inline size_t peer_stuff(int fd, uint64_t seed)
{
    uint8_t buf[4096];
    size_t at = 0;
    unsigned looks = 0;
    int flags = fcntl(fd, F_GETFL);

    assert_int_equal(fcntl(fd, F_SETFL, flags | O_NONBLOCK), 0);
    for (bool shut = false, full = false; !shut || !full;) {
        shut = peer_is_shut(fd, looks);
        peer_fill(buf, sizeof(buf), seed, at);
        ssize_t put = write(fd, buf, sizeof(buf));
        full = put < 0;
        at += full ? 0 : (size_t)put;
        looks = full ? looks + 1 : 0;
        if (full && !shut)
            usleep(1000);
    }
    assert_int_equal(fcntl(fd, F_SETFL, flags), 0);
    return at;
}

#endif
