// How many bytes a reader searches and moves: both are linear in what it reads. This
// file replaces memchr and memmove by functions that count.
#include <stdlib.h>
#include <weft.h>

#include "base/atomic.h"
#include "base/mem.h"
#include "runtime/io/buffer.h"
#include "tests/support/peer.h"
#include "tests/support/script.h"
#include "tests/support/seeds.h"

static _Atomic uint64_t looked, moved; // bytes

void *memchr(const void *s, int c, size_t n)
{
    const unsigned char *p = s;

    for (size_t i = 0; i < n; i++) {
        if (p[i] == (unsigned char)c) {
            wf_fetch_add_relaxed(&looked, (uint64_t)i + 1); // relaxed: a counter
            return (void *)(p + i);
        }
    }
    wf_fetch_add_relaxed(&looked, (uint64_t)n);
    return NULL;
}

void *memmove(void *to, const void *from, size_t n)
{
    volatile char *a = to; // so that the compiler does not make it a memmove
    const char *b = from;

    wf_fetch_add_relaxed(&moved, (uint64_t)n); // relaxed: a counter
    for (size_t i = 0; i < n; i++)
        a[a < b ? i : n - 1 - i] = b[a < b ? i : n - 1 - i];
    return to;
}

static void begin(void)
{
    wf_store_relaxed(&looked, UINT64_C(0)); // relaxed: counters
    wf_store_relaxed(&moved, UINT64_C(0));
}

enum { LONG = 100000 };

static char text[4 * LONG];

// A line that comes a byte at a time, and one that is too long, asked for again and
// again: each byte is looked at once.
static int read_slowly(void *arg)
{
    struct script s = { .in = text, .n = LONG + 1, .piece = 1 };
    const char *line;
    weft_reader r;
    (void)arg;

    memset(text, 'x', sizeof(text));
    text[LONG] = '\n';
    begin();
    assert_int_equal(weft_reader_init(&r, script_stream(&s), LONG), 0);
    assert_int_equal(weft_reader_line(&r, &line), LONG);
    assert_int_equal(wf_load_relaxed(&looked), LONG + 1); // relaxed: a counter
    assert_true(wf_load_relaxed(&moved) <= 2 * LONG);
    weft_reader_fini(&r);

    s.at = 0;
    begin();
    assert_int_equal(weft_reader_init(&r, script_stream(&s), 1000), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(weft_reader_until(&r, &line, '\n'), -EMSGSIZE);
    assert_int_equal(wf_load_relaxed(&looked), 1000);
    weft_reader_fini(&r);
    return 0;
}

static void each_byte_is_looked_at_once(void **state)
{
    (void)state;
    assert_int_equal(weft_run(NULL, read_slowly, NULL), 0);
}

// Lines of any length, in pieces of any size: no byte is moved more often than a few
// times, on average.
static int read_pieces(void *arg)
{
    static const size_t pieces[] = { 0, 7, 100, 3000, 5000 }, lengths[] = { 10, 100, 3000, 5000, 20000 };
    (void)arg;

    for (size_t p = 0; p < wf_countof(pieces); p++) {
        for (size_t l = 0; l < wf_countof(lengths); l++) {
            struct script s = { .in = text, .n = sizeof(text), .piece = pieces[p] };
            const char *line;
            weft_reader r;

            memset(text, 'x', sizeof(text));
            for (size_t at = lengths[l]; at < sizeof(text); at += lengths[l])
                text[at - 1] = '\n';
            begin();
            assert_int_equal(weft_reader_init(&r, script_stream(&s), lengths[l]), 0);
            while (weft_reader_until(&r, &line, '\n') > 0)
                ;
            assert_int_equal(s.at, sizeof(text));
            weft_reader_fini(&r);
            assert_true(wf_load_relaxed(&looked) <= sizeof(text)); // relaxed: counters
            assert_true(wf_load_relaxed(&moved) <= sizeof(text));
        }
    }
    return 0;
}

static void few_bytes_are_moved(void **state)
{
    (void)state;
    assert_int_equal(weft_run(NULL, read_pieces, NULL), 0);
}

// take_all makes one read, and takes all that it brings.
static void take_all(weft_reader *r)
{
    const void *bytes;
    assert_true(weft_reader_peek(r, &bytes, 1) > 0);
    weft_reader_skip(r, (size_t)weft_reader_peek(r, &bytes, 0));
}

// A stream that fills buffer after buffer is read in larger pieces; one that has paused
// begins again with a small one.
static int read_a_busy_stream(void *arg)
{
    static const size_t asked[] = { 4096, 16384, 65536, 65536 };
    struct script s = { .in = text, .n = sizeof(text) };
    weft_reader r;
    (void)arg;

    assert_int_equal(weft_reader_init(&r, script_stream(&s), 0), 0);
    for (size_t i = 0; i < wf_countof(asked); i++) {
        take_all(&r);
        assert_int_equal(s.asked, asked[i]);
    }
    s.piece = 10;
    take_all(&r);
    assert_int_equal(s.asked, 65536);
    take_all(&r);
    assert_int_equal(s.asked, 4096);
    weft_reader_fini(&r);
    return 0;
}

// The same with a line that is not complete, which stays in the buffer.
static int read_a_busy_line(void *arg)
{
    struct script s = { .in = text, .n = sizeof(text) };
    const void *bytes;
    weft_reader r;
    (void)arg;

    assert_int_equal(weft_reader_init(&r, script_stream(&s), 0), 0);
    for (size_t want = 1, i = 0; i < 3; i++, want = (size_t)weft_reader_peek(&r, &bytes, 0) + 1)
        assert_true(weft_reader_peek(&r, &bytes, want) > 0);
    assert_int_equal(s.at, 65536); // the buffer is full
    weft_reader_fini(&r);
    return 0;
}

static void a_busy_stream_is_read_in_larger_pieces(void **state)
{
    (void)state;
    assert_int_equal(weft_run(NULL, read_a_busy_stream, NULL), 0);
    assert_int_equal(weft_run(NULL, read_a_busy_line, NULL), 0);
}

// --- the runtime's buffers -----------------------------------------------------------

static int take_and_give(void *arg)
{
    static const struct {
        size_t asked, has;
    } sizes[] = { { 1, 4096 },      { 4096, 4096 },   { 4097, 16384 },     { 16385, 65536 },
                  { 65537, 69632 }, { 69632, 69632 }, { 1 << 20, 1 << 20 } };
    (void)arg;

    for (size_t i = 0; i < wf_countof(sizes); i++) {
        char *all[100];
        size_t room = 0;
        for (size_t k = 0; k < wf_countof(all); k++) {
            room = sizes[i].asked;
            all[k] = wf_buffer_take(&room);
            assert_non_null(all[k]);
            assert_int_equal(room, sizes[i].has);
            all[k][0] = all[k][room] = (char)k; // the byte behind is there
        }
        for (size_t k = 0; k < wf_countof(all); k++) {
            assert_int_equal(all[k][0], (char)k);
            wf_buffer_give(all[k], room);
        }
    }
    wf_buffer_give(NULL, 4096);
    return 0;
}

static void buffers_come_in_a_few_sizes(void **state)
{
    (void)state;
    assert_int_equal(weft_run(NULL, take_and_give, NULL), 0);
    assert_int_equal(take_and_give(NULL), 0); // without a shelf
}

#ifndef WF_ASAN // there, no buffer is kept for the next one
static int take_again(void *arg)
{
    size_t room = 1;
    char *first = wf_buffer_take(&room);
    (void)arg;

    assert_non_null(first);
    wf_buffer_give(first, room);
    char *second = wf_buffer_take(&room);
    assert_ptr_equal(second, first); // it has not parked: the same shelf
    wf_buffer_give(second, room);
    return 0;
}

static void the_last_buffer_is_the_next(void **state)
{
    (void)state;
    assert_int_equal(weft_run(NULL, take_again, NULL), 0);
}

enum { CROWD = 20 };

static int read_lines(void *arg)
{
    weft_reader *r = arg;
    const char *line;
    ssize_t n;

    while ((n = weft_reader_line(r, &line)) == 3)
        ;
    return (int)n;
}

// Readers that wait, get a line, and wait again, one after the other, share a buffer.
static int share_a_buffer(void *arg)
{
    static weft_reader r[CROWD];
    weft_task *t[CROWD];
    int fd[CROWD][2];
    (void)arg;

    for (int i = 0; i < CROWD; i++) {
        peer_pair(PEER_UNIX, fd[i]);
        assert_int_equal(weft_reader_init(&r[i], weft_fd_stream(fd[i][0]), 0), 0);
        t[i] = spawn(read_lines, &r[i]);
    }
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < CROWD; i++) {
            assert_int_equal(weft_sleep(WEFT_S(1)), 0); // in virtual time: until all have parked
            if (round == 1 && i == 0)
                wf_mem_fail_at(0, false); // counts from here on: what has to be made is made
            peer_write(fd[i][1], "abc\n", 4);
        }
    }
    assert_int_equal(weft_sleep(WEFT_S(1)), 0);
    assert_true(wf_mem_count() <= 1);
    for (int i = 0; i < CROWD; i++) {
        close(fd[i][1]);
        assert_int_equal(join(t[i]), -ENODATA);
        weft_reader_fini(&r[i]);
        assert_int_equal(weft_close(fd[i][0]), 0);
    }
    return 0;
}

static void a_crowd_that_waits_shares_a_buffer(void **state)
{
    (void)state;
    run_seeds(10, share_a_buffer, NULL);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_byte_is_looked_at_once), cmocka_unit_test(few_bytes_are_moved),
        cmocka_unit_test(buffers_come_in_a_few_sizes), cmocka_unit_test(a_busy_stream_is_read_in_larger_pieces),
#ifndef WF_ASAN
        cmocka_unit_test(the_last_buffer_is_the_next), cmocka_unit_test(a_crowd_that_waits_shares_a_buffer),
#endif
    };
    return wf_test_run(tests);
}
