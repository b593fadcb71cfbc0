#include "bench/echo/stream.h"

#include <errno.h>
#include <stdlib.h>

int stream_init(struct stream *s, size_t chunk_max)
{
    size_t len = STREAM_PERIOD + chunk_max;
    s->noise = malloc(len);
    if (!s->noise)
        return -ENOMEM;
    s->chunk_max = chunk_max;

    uint64_t x = 0x9e3779b97f4a7c15; // xorshift64: the same noise in every run
    for (size_t i = 0; i < len; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        s->noise[i] = i < STREAM_PERIOD ? (unsigned char)(x >> 32) : s->noise[i - STREAM_PERIOD];
    }
    return 0;
}

void stream_fini(struct stream *s)
{
    free(s->noise);
}
