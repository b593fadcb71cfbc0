// The common part of the fuzzers of readers. An input is a few bytes that say how to
// read, followed by the bytes to read:
//
//   max    1 and 2 bytes: the reader's max
//   plan   up to 32 bytes, before them how many: for each read of the stream in turn,
//          how many bytes it brings, or that it fails
//   text   the rest
#ifndef WF_TESTS_FUZZ_STREAM_H
#define WF_TESTS_FUZZ_STREAM_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft.h>

#define must(x) \
    do { \
        if (!(x)) { \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x); \
            abort(); \
        } \
    } while (0)

// A stream that brings `text` as the plan says, and the plan again.
struct feed {
    const uint8_t *text;
    size_t n, at;
    const uint8_t *plan;
    size_t steps, step;
};

// A step below 32 fails, as a cancel would; the others bring 1 to 224 bytes, or, the
// last, all that is asked for.
static inline ssize_t feed_read(void *self, void *buf, size_t n)
{
    struct feed *f = self;
    uint8_t how = f->steps > 0 ? f->plan[f->step++ % f->steps] : 255;

    if (how < 32 && f->step % f->steps != 0) // not each of them
        return -ECANCELED;
    if (how < 255 && n > (size_t)how % 224 + 1)
        n = (size_t)how % 224 + 1;
    if (n > f->n - f->at)
        n = f->n - f->at;
    memcpy(buf, f->text + f->at, n);
    f->at += n;
    return (ssize_t)n;
}

static inline int feed_poll(void *self, short events)
{
    (void)self;
    return events;
}

static const weft_stream_ops feed_ops = {
    .size = sizeof(weft_stream_ops),
    .read = feed_read,
    .poll = feed_poll,
};

// What an input says.
struct input {
    const uint8_t *at;
    size_t left;
};

static inline uint8_t input_byte(struct input *in)
{
    if (in->left == 0)
        return 0;
    in->left--;
    return *in->at++;
}

static inline size_t input_max(struct input *in)
{
    size_t max = input_byte(in);
    return max < 128 ? max + 1 : (max - 127) * 40;
}

// input_feed takes the plan, and the rest.
static inline struct feed input_feed(struct input *in)
{
    size_t steps = input_byte(in) % 33;
    struct feed f = { 0 };

    f.steps = steps < in->left ? steps : in->left;
    f.plan = in->at;
    f.text = in->at + f.steps;
    f.n = in->left - f.steps;
    return f;
}

// fuzz_run runs `fn` as a task, in a runtime that is kept.
static inline int fuzz_run(weft_fn *fn, const uint8_t *data, size_t n)
{
    static weft_rt *rt;
    struct input in = { data, n };

    if (!rt) {
        weft_config cfg = WEFT_CONFIG_INIT;
        cfg.workers = 1;
        must(weft_rt_new(&rt, &cfg) == 0);
    }
    return weft_rt_block_on(rt, fn, &in);
}

#endif
