// Frames, against a model that has all of the bytes at once. The frames that were read
// are written again, and must be the same bytes.
#include "tests/fuzz/stream.h"

__extension__ typedef unsigned __int128 wide;

static const int kinds[] = { 0, 1, 2, 4, 8 };

// head_of says what the length of a frame is.
// Returns: how many bytes it has; 0: more than `n`; -EMSGSIZE.
static int head_of(const uint8_t *p, size_t n, const weft_frame *f, uint64_t *length)
{
    wide value = 0;
    int head = f->length_bytes;

    if (head == 0) {
        do {
            if (head == 10)
                return -EMSGSIZE;
            if ((size_t)head == n)
                return 0;
            value |= (wide)(p[head] & 127) << 7 * head;
        } while (p[head++] & 128);
    } else if ((size_t)head > n) {
        return 0;
    }
    for (int i = 0; i < f->length_bytes; i++)
        value |= (wide)p[i] << 8 * (f->big_endian ? head - 1 - i : i);
    *length = (uint64_t)value;
    return value >> 64 ? -EMSGSIZE : head;
}

// expect_frame says what weft_reader_frame makes of the `n` bytes that are left.
static size_t expect_frame(const uint8_t *p, size_t n, size_t limit, const weft_frame *f, ssize_t *result)
{
    uint64_t length = 0;
    int head = head_of(p, n, f, &length);

    if (n == 0)
        *result = -ENODATA;
    else if (head < 0 || length > limit)
        *result = -EMSGSIZE;
    else if (head == 0 || length > n - (size_t)head)
        *result = -EBADMSG;
    else
        *result = (ssize_t)length;
    return *result < 0 ? 0 : (size_t)head + (size_t)length;
}

// What is written is collected here, a part at a time; each third call fails.
struct sink {
    uint8_t bytes[1 << 14];
    size_t n;
    unsigned calls;
};

static ssize_t sink_writev(void *self, const struct iovec *v, int n)
{
    struct sink *s = self;
    size_t some = v[0].iov_len / 2 + 1;

    must(n > 0 && v[0].iov_len > 0);
    if (++s->calls % 3 == 0)
        return -ECANCELED;
    must(some <= sizeof(s->bytes) - s->n);
    memcpy(s->bytes + s->n, v[0].iov_base, some);
    s->n += some;
    return (ssize_t)some;
}

static const weft_stream_ops sink_ops = { .size = sizeof(weft_stream_ops), .writev = sink_writev };

// write_again writes a frame as it was read: the same bytes, unless a varint was longer
// than need be.
static void write_again(const weft_frame *f, const uint8_t *data, size_t length, const uint8_t *whole, size_t n)
{
    static struct sink s;
    weft_writer w;
    uint64_t again;
    int err;

    s.n = s.calls = 0;
    must(weft_writer_init(&w, (weft_stream){ &sink_ops, &s }, 1 + length % 50) == 0);
    while ((err = weft_writer_frame(&w, data, length, f)) == -ECANCELED)
        must(s.n == 0); // nothing was taken
    must(err == 0);
    while ((err = weft_writer_flush(&w)) == -ECANCELED)
        ;
    must(err == 0);
    int head = head_of(s.bytes, s.n, f, &again);
    must(head > 0 && again == length && s.n == (size_t)head + length && s.n <= n);
    must(memcmp(s.bytes + head, whole + n - length, length) == 0);
    must(f->length_bytes == 0 || memcmp(s.bytes, whole, (size_t)head) == 0);
    weft_writer_fini(&w);
}

static int read_frames(void *arg)
{
    struct input *in = arg;
    size_t max = input_max(in), at = 0, limit = max;
    uint8_t how = input_byte(in), own = input_byte(in);
    weft_frame f = { kinds[how % 5], how & 32, own };
    struct feed feed = input_feed(in);
    ssize_t expected = 0;
    weft_reader r;

    if (own > 0 && own < limit)
        limit = own;
    must(weft_reader_init(&r, (weft_stream){ &feed_ops, &feed }, max) == 0);
    while (expected >= 0) {
        const void *data = NULL;
        size_t whole = expect_frame(feed.text + at, feed.n - at, limit, &f, &expected);
        ssize_t got;
        while ((got = weft_reader_frame(&r, &data, &f)) == -ECANCELED)
            ;
        must(got == expected);
        must(got < 0 || memcmp(data, feed.text + at + whole - (size_t)got, (size_t)got) == 0);
        if (got >= 0)
            write_again(&f, data, (size_t)got, feed.text + at, whole);
        at += whole;
    }
    const void *rest;
    ssize_t left = weft_reader_peek(&r, &rest, 0);
    must(left >= 0 && at + (size_t)left == feed.at && memcmp(rest, feed.text + at, (size_t)left) == 0);
    weft_reader_fini(&r);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    return fuzz_run(read_frames, data, n);
}
