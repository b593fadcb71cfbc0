// Readers and writers under many seeds: one task writes and another reads, both by
// calls of all kinds and cancelled at any time. Each byte arrives once, in order.
#include <errno.h>

#include "tests/support/peer.h"
#include "tests/support/seeds.h"

enum { BYTES = 2000, MAX = 300 };

struct talk {
    weft_stream ends[2];
    uint64_t written, read; // bytes
};

// A frame has all sizes up to MAX; what stands in it is the stream of bytes.
static const weft_frame frame = { .length_bytes = 2, .big_endian = true };

static bool cut_short(int err)
{
    return err == -ECANCELED || err == -ETIMEDOUT;
}

struct step {
    struct talk *t;
    void *of; // the reader or writer
    size_t n;
};

// write_step writes `n` bytes in a frame, or flushes.
static int write_step(void *arg)
{
    struct step *s = arg;
    uint8_t bytes[MAX];

    if (s->n == 0)
        return weft_writer_flush(s->of);
    peer_fill(bytes, s->n, 7, s->t->written);
    int err = weft_writer_frame(s->of, bytes, s->n, &frame);
    if (err == 0)
        s->t->written += s->n;
    return err;
}

static int read_step(void *arg)
{
    struct step *s = arg;
    const void *data;

    ssize_t n = weft_reader_frame(s->of, &data, &frame);
    if (n < 0)
        return (int)n;
    peer_check(data, (size_t)n, 7, s->t->read);
    s->t->read += (uint64_t)n;
    return 0;
}

// hurried makes a step within a time that may be too short. Returns: its result.
static int hurried(weft_fn *step, struct step *s)
{
    weft_scope scope;

    weft_scope_open(&scope, WEFT_SCOPE_FAIL_FAST);
    weft_scope_deadline(&scope, weft_after(weft_test_below(3) * WEFT_US(10)));
    int err = step(s);
    weft_scope_close(&scope);
    return err;
}

static int write_all(void *arg)
{
    struct talk *t = arg;
    weft_writer w;
    struct step s = { t, &w, 0 };

    assert_int_equal(weft_writer_init(&w, t->ends[1], 1 + weft_test_below(200)), 0);
    while (t->written < BYTES) {
        s.n = weft_test_below(MAX);
        int err = hurried(write_step, &s);
        assert_true(err == 0 || cut_short(err));
    }
    assert_int_equal(weft_writer_flush(&w), 0);
    weft_writer_fini(&w);
    return t->ends[1].ops->shutdown(t->ends[1].self);
}

static int read_all(void *arg)
{
    struct talk *t = arg;
    weft_reader r;
    struct step s = { t, &r, 0 };
    int err;

    assert_int_equal(weft_reader_init(&r, t->ends[0], MAX), 0);
    while ((err = hurried(read_step, &s)) != -ENODATA) {
        assert_true(err == 0 || cut_short(err));
        if (weft_test_below(4) == 0)
            assert_int_equal(weft_sleep(WEFT_US(weft_test_below(50))), 0);
    }
    weft_reader_fini(&r);
    return 0;
}

static int talk(void *arg)
{
    struct talk t = { .written = 0 };
    (void)arg;

    assert_int_equal(weft_stream_pair(&t.ends[0], &t.ends[1], 1 + weft_test_below(400)), 0);
    weft_task *reader = spawn(read_all, &t), *writer = spawn(write_all, &t);
    assert_int_equal(join(writer), 0);
    assert_int_equal(join(reader), 0);
    assert_int_equal(t.read, t.written);
    for (int i = 0; i < 2; i++)
        assert_int_equal(t.ends[i].ops->close(t.ends[i].self), 0);
    return 0;
}

static void no_byte_is_lost_or_doubled(void **state)
{
    (void)state;
    run_seeds(1000, talk, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(no_byte_is_lost_or_doubled) };
    return wf_test_run(tests);
}
