// The bytes that a connection sends, and so must get back.
//
// Every connection reads one and the same ring of noise, from a start of its own: byte
// p of connection c is noise[(start(c) + p) % STREAM_PERIOD]. So what is expected at
// any place follows from the connection and the position alone, consecutive messages
// lie behind each other in memory (one send and one memcmp do for any number of them),
// and nothing is copied or made up while the clock runs. The period is a prime: no
// message size divides it, so consecutive messages differ, and connections in step
// never show the same bytes. It fits in a second-level cache.
#ifndef BENCH_ECHO_STREAM_H
#define BENCH_ECHO_STREAM_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

enum { STREAM_PERIOD = 65521 };

struct stream {
    unsigned char *noise; // STREAM_PERIOD bytes, then as many of the beginning again as are asked for at once
};

// stream_init prepares for chunks of up to `chunk_max` bytes.  Returns: 0; -ENOMEM.
static inline int stream_init(struct stream *s, size_t chunk_max)
{
    size_t len = STREAM_PERIOD + chunk_max;
    s->noise = malloc(len);
    if (!s->noise)
        return -ENOMEM;

    uint64_t x = 0x9e3779b97f4a7c15; // xorshift64: the same noise in every run
    for (size_t i = 0; i < len; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        s->noise[i] = i < STREAM_PERIOD ? (unsigned char)(x >> 32) : s->noise[i - STREAM_PERIOD];
    }
    return 0;
}

static inline void stream_fini(struct stream *s)
{
    free(s->noise);
}

// stream_at is where the bytes from `position` on stand, of the connection that was the
// `serial`-th to be made.
static inline const unsigned char *stream_at(const struct stream *s, uint64_t serial, uint64_t position)
{
    return s->noise + (serial * 40503 + position) % STREAM_PERIOD;
}

#endif
