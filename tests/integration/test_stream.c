// Readers and writers: lines, texts, frames, peeks, on scripted streams and on real
// descriptors.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <wchar.h>

#include "base/mem.h"
#include "tests/support/peer.h"
#include "tests/support/script.h"
#include "tests/support/seeds.h"
#include "tests/support/tasks.h"

static int in_task(weft_fn *fn)
{
    return run_tasks(fn, NULL);
}

// TASK(name) begins a test whose body runs as a task.
#define TASK(name) \
    static int name##_body(void *arg); \
    static void name(void **state) \
    { \
        (void)state; \
        assert_int_equal(in_task(name##_body), 0); \
    } \
    static int name##_body(void *arg __attribute__((unused)))

// seen is how many bytes a reader holds unread.
static size_t seen(const weft_reader *r)
{
    return r->weft_end - r->weft_at;
}

static weft_reader reader_of(struct script *s, size_t max)
{
    weft_reader r;
    assert_int_equal(weft_reader_init(&r, script_stream(s), max), 0);
    return r;
}

static void expect_line(weft_reader *r, const char *text)
{
    const char *line = NULL;

    assert_int_equal(weft_reader_line(r, &line), strlen(text));
    assert_string_equal(line, text);
}

static void expect_end(weft_reader *r)
{
    const char *line = NULL;

    for (int i = 0; i < 2; i++) {
        assert_int_equal(weft_reader_line(r, &line), -ENODATA);
        assert_int_equal(weft_reader_until(r, &line, '\n'), -ENODATA);
    }
    assert_null(line);
    assert_null(r->weft_buf);
    weft_reader_fini(r);
}

// --- lines and texts -----------------------------------------------------------------

// The pieces split "\r\n", and lines, in every place.
TASK(lines_end_in_either_way)
{
    for (size_t piece = 0; piece < 30; piece++) {
        struct script s = script_of("one\r\ntwo\n\n\r\n\rthree\r\r\nfo\rur\nlast\r", piece);
        weft_reader r = reader_of(&s, 100);

        expect_line(&r, "one");
        expect_line(&r, "two");
        expect_line(&r, "");
        expect_line(&r, "");
        expect_line(&r, "\rthree\r");
        expect_line(&r, "fo\rur");
        expect_line(&r, "last\r"); // ended by the stream: not by "\r\n"
        expect_end(&r);
    }
    return 0;
}

TASK(a_text_comes_with_its_delimiter)
{
    for (size_t piece = 0; piece < 12; piece++) {
        struct script s = script_of("a;bb;;ccc", piece);
        weft_reader r = reader_of(&s, 10);
        const char *text;

        assert_int_equal(weft_reader_until(&r, &text, ';'), 2);
        assert_memory_equal(text, "a;", 2);
        assert_int_equal(weft_reader_until(&r, &text, ';' - 256), 3); // as a char may be
        assert_memory_equal(text, "bb;", 3);
        assert_int_equal(weft_reader_until(&r, &text, ';'), 1);
        assert_int_equal(weft_reader_until(&r, &text, ';'), 3);
        assert_memory_equal(text, "ccc", 3); // cut off: without
        expect_end(&r);
    }
    return 0;
}

TASK(another_delimiter_is_looked_for_from_the_start)
{
    struct script s = script_of("a,b\nc;d", 4);
    weft_reader r = reader_of(&s, 100);
    const char *text;

    s.fail = -EINTR;
    s.fail_at = 4;
    assert_int_equal(weft_reader_until(&r, &text, ';'), -EINTR);
    assert_int_equal(weft_reader_until(&r, &text, ','), 2);
    expect_line(&r, "b");
    assert_int_equal(weft_reader_until(&r, &text, ';'), 2);
    weft_reader_fini(&r);
    return 0;
}

TASK(a_line_may_hold_zeros)
{
    struct script s = { .in = "a\0b\n", .n = 4 };
    weft_reader r = reader_of(&s, 100);
    const char *line;

    assert_int_equal(weft_reader_line(&r, &line), 3);
    assert_memory_equal(line, "a\0b", 4);
    expect_end(&r);
    return 0;
}

TASK(max_is_the_longest_line)
{
    for (size_t piece = 0; piece < 12; piece++) {
        struct script s = script_of("12345678\n12345678\r\n1234567\r\n12345678", piece);
        weft_reader r = reader_of(&s, 8);

        expect_line(&r, "12345678");
        expect_line(&r, "12345678");
        expect_line(&r, "1234567");
        expect_line(&r, "12345678");
        expect_end(&r);
    }
    return 0;
}

// expect_too_long: nothing is consumed, however often the caller asks.
static void expect_too_long(const char *text, size_t piece, size_t max, bool line)
{
    struct script s = script_of(text, piece);
    weft_reader r = reader_of(&s, max);
    const char *at = NULL;
    const void *all;

    for (int i = 0; i < 3; i++)
        assert_int_equal(line ? weft_reader_line(&r, &at) : weft_reader_until(&r, &at, '\n'), -EMSGSIZE);
    assert_null(at);
    assert_int_equal(weft_reader_peek(&r, &all, max), seen(&r));
    assert_memory_equal(all, text, max);
    weft_reader_skip(&r, max);
    ssize_t n;
    while ((n = weft_reader_peek(&r, &all, 1)) > 0) { // and so is the rest
        size_t left = strlen(text) - s.at + (size_t)n;
        assert_memory_equal(all, text + strlen(text) - left, (size_t)n);
        weft_reader_skip(&r, (size_t)n);
    }
    assert_int_equal(n, 0);
    weft_reader_fini(&r);
}

TASK(a_line_that_is_too_long_stays)
{
    for (size_t piece = 0; piece < 12; piece++) {
        expect_too_long("123456789\n", piece, 8, true);
        expect_too_long("12345678\r\r\n", piece, 8, true);
        expect_too_long("123456789\r\n", piece, 8, true);
        expect_too_long("12345678\r", piece, 8, true); // the last line: ended by the stream
        expect_too_long("12345678\n", piece, 8, false);
        expect_too_long("1234567890123456789", piece, 8, false);
    }
    return 0;
}

// The same of a line that has come with the one before it, and with much or little
// behind it.
TASK(a_further_line_that_is_too_long_stays)
{
#define MUCH "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"
    static const char *const texts[] = { "a\n123456789\n",      "a\n12345678\r\r\n",      "a\n123456789\r\n",
                                         "a\n123456789\n" MUCH, "a\n12345678\r\r\n" MUCH, "a\n12345678\r" };

    for (size_t i = 0; i < wf_countof(texts); i++) {
        struct script s = script_of(texts[i], 0);
        weft_reader r = reader_of(&s, 8);
        const char *line;
        const void *rest;

        expect_line(&r, "a");
        for (int k = 0; k < 3; k++)
            assert_int_equal(weft_reader_line(&r, &line), -EMSGSIZE);
        assert_int_equal(weft_reader_peek(&r, &rest, 0), strlen(texts[i]) - 2);
        assert_memory_equal(rest, texts[i] + 2, strlen(texts[i]) - 2);
        weft_reader_fini(&r);
    }
    return 0;
}

// What other calls take, and what the caller changes, from bytes that have been searched
// for ends of lines.
TASK(other_calls_come_between_lines)
{
    static char text[64 * 7 + 1];
    for (size_t i = 0; i < sizeof(text) - 1; i++)
        text[i] = i % 7 == 6 ? '\n' : (char)('a' + i % 7);
    for (int other = 0; other < 7; other++) {
        struct script s = script_of(text, 0);
        weft_reader r = reader_of(&s, 40);
        const char *line;
        const void *bytes;
        char buf[7];

        for (int i = 0; i < 20; i++) { // each round takes three lines
            expect_line(&r, "abcdef");
            if (other == 0) {
                weft_reader_skip(&r, 7);
            } else if (other == 1) {
                assert_int_equal(weft_reader_read(&r, buf, 7), 7);
                assert_memory_equal(buf, "abcdef\n", 7);
            } else if (other == 2) {
                assert_int_equal(weft_reader_until(&r, &line, '\n'), 7);
            } else if (other == 3) {
                assert_int_equal(weft_reader_until(&r, &line, 'c'), 3);
                expect_line(&r, "def");
            } else if (other == 4) { // the end of a line moves
                assert_true(weft_reader_peek(&r, &bytes, 7) >= 7);
                memcpy((char *)(uintptr_t)bytes, "x\ny\rzz", 6);
                expect_line(&r, "x");
                expect_line(&r, "y\rzz");
            } else if (other == 5) { // and goes
                assert_true(weft_reader_peek(&r, &bytes, 7) >= 7);
                ((char *)(uintptr_t)bytes)[6] = '-';
                expect_line(&r, "abcdef-abcdef");
                continue;
            } else {
                assert_int_equal(weft_reader_frame(&r, &bytes, &(weft_frame){ 1, false, 6 }), -EMSGSIZE);
                expect_line(&r, "abcdef");
            }
            expect_line(&r, "abcdef");
        }
        weft_reader_fini(&r);
    }
    return 0;
}

// Lines of all lengths around those of what is searched at once, in pieces of any size.
TASK(lines_of_any_length_are_found)
{
    static char text[300 * 151];
    size_t n = 0;

    for (size_t length = 0; length < 300; length++) {
        memset(text + n, 'x', length);
        n += length;
        text[n++] = '\n';
    }
    for (size_t piece = 0; piece < 4000; piece = piece * 2 + 61) {
        struct script s = { .in = text, .n = n, .piece = piece };
        weft_reader r = reader_of(&s, 0);
        const char *line;

        for (ssize_t length = 0; length < 300; length++) {
            assert_int_equal(weft_reader_line(&r, &line), length);
            assert_int_equal(strlen(line), length);
        }
        expect_end(&r);
    }
    return 0;
}

// A peer that sends max bytes and waits for an answer gets one.
TASK(too_long_is_known_at_once)
{
    struct script s = script_of("123456789", 1);
    weft_reader r = reader_of(&s, 8);
    const char *text;

    assert_int_equal(weft_reader_until(&r, &text, '\n'), -EMSGSIZE);
    assert_int_equal(s.at, 8);
    assert_int_equal(weft_reader_line(&r, &text), -EMSGSIZE);
    assert_int_equal(s.at, 9);
    weft_reader_fini(&r);
    return 0;
}

// Lines of many lengths, more than the buffers hold: they grow, and shrink again.
static size_t length_of(unsigned i)
{
    return (size_t)i * 7919 % (i % 10 == 0 ? 50000 : 300);
}

static char *many_lines(unsigned lines, size_t *n)
{
    char *text = malloc((size_t)lines * 50002);

    assert_non_null(text);
    *n = 0;
    for (unsigned i = 0; i < lines; i++) {
        memset(text + *n, 'a' + (int)(i % 26), length_of(i));
        *n += length_of(i);
        text[(*n)++] = '\n';
    }
    return text;
}

static void expect_many_lines(weft_reader *r, unsigned lines)
{
    for (unsigned i = 0; i < lines; i++) {
        const char *line;
        assert_int_equal(weft_reader_line(r, &line), length_of(i));
        bool same = true;
        for (size_t at = 0; at < length_of(i); at++)
            same &= line[at] == 'a' + (int)(i % 26);
        assert_true(same);
        assert_int_equal(line[length_of(i)], 0);
        assert_true(r->weft_room <= 64 << 10);
    }
}

TASK(buffers_grow_as_lines_need)
{
    static const size_t pieces[] = { 0, 1000, 4096, 5000, 16384, 33 };
    struct script s = { 0 };
    char *text = many_lines(100, &s.n);

    s.in = text;
    for (size_t i = 0; i < sizeof(pieces) / sizeof(*pieces); i++) {
        s.at = 0;
        s.piece = pieces[i];
        weft_reader r = reader_of(&s, 50000);
        expect_many_lines(&r, 100);
        expect_end(&r);
    }
    free(text);
    return 0;
}

// --- what the stream is asked for ----------------------------------------------------

TASK(what_is_in_the_buffer_needs_no_call)
{
    struct script s = script_of("GET / HTTP/1.1\r\nHost: here\r\n\r\n\3abc1234", 0);
    const weft_frame f = { .length_bytes = 1 };
    weft_reader r = reader_of(&s, 100);
    const void *data;
    char buf[4];

    expect_line(&r, "GET / HTTP/1.1");
    assert_int_equal(s.reads, 1);
    assert_int_equal(s.polls, 1);
    expect_line(&r, "Host: here");
    expect_line(&r, "");
    assert_int_equal(weft_reader_peek(&r, &data, 8), 8);
    assert_int_equal(weft_reader_frame(&r, &data, &f), 3);
    assert_memory_equal(data, "abc", 3);
    assert_int_equal(weft_reader_read(&r, buf, 2), 2);
    assert_int_equal(weft_reader_read_full(&r, buf + 2, 2, NULL), 0);
    assert_memory_equal(buf, "1234", 4);
    assert_int_equal(s.reads, 1);
    assert_int_equal(s.polls, 1);
    weft_reader_fini(&r);
    return 0;
}

TASK(a_reader_that_waits_has_no_buffer)
{
    struct script s = script_of("one\ntwo\nthree", 4);
    weft_reader r = reader_of(&s, 100);

    s.reader = &r;
    expect_line(&r, "one");
    assert_non_null(r.weft_buf); // the line
    expect_line(&r, "two");
    assert_int_equal(s.polls, 2);
    expect_line(&r, "three");
    assert_int_equal(s.polls, 3); // a beginning of something stays, and so the reader does not poll
    expect_end(&r);
    return 0;
}

TASK(a_stream_need_not_poll)
{
    static const weft_stream_ops ops = { .size = sizeof(weft_stream_ops), .read = script_read };
    struct script s = script_of("one\n", 0);
    weft_reader r;
    weft_writer w;

    assert_int_equal(weft_reader_init(&r, (weft_stream){ &ops, &s }, 0), 0);
    expect_line(&r, "one");
    expect_end(&r);
    assert_int_equal(weft_writer_init(&w, (weft_stream){ &ops, &s }, 0), -EINVAL);
    return 0;
}

static void what_cannot_be_is_refused(void **state)
{
    static const weft_stream_ops small = { .size = sizeof(size_t), .read = script_read, .writev = script_writev };
    struct script s = { 0 };
    weft_reader r;
    weft_writer w;
    weft_stream a, b;
    (void)state;

    assert_int_equal(weft_reader_init(&r, (weft_stream){ NULL, &s }, 0), -EINVAL);
    assert_int_equal(weft_reader_init(&r, (weft_stream){ &small, &s }, 0), -EINVAL);
    assert_int_equal(weft_reader_init(&r, script_stream(&s), SIZE_MAX), -EINVAL);
    assert_int_equal(weft_writer_init(&w, (weft_stream){ &small, &s }, 0), -EINVAL);
    assert_int_equal(weft_writer_init(&w, script_stream(&s), SIZE_MAX), -EINVAL);
    assert_int_equal(weft_stream_pair(&a, &b, 0), -EINVAL);
    assert_int_equal(weft_stream_pair(&a, &b, SIZE_MAX), -ENOMEM);
}

// --- bytes ---------------------------------------------------------------------------

TASK(a_large_read_goes_past_the_buffer)
{
    static char text[20000], got[20000];
    struct script s = { .in = text, .n = sizeof(text) };
    weft_reader r = reader_of(&s, 100);
    size_t done;

    peer_fill(text, sizeof(text), 1, 0);
    assert_int_equal(weft_reader_read(&r, got, 0), 0);
    assert_int_equal(weft_reader_read(&r, got, 10), 10); // and 4086 in the buffer
    assert_int_equal(weft_reader_read(&r, got + 10, sizeof(got) - 10), 4086);
    assert_int_equal(weft_reader_read(&r, got + 4096, 8000), 8000);
    assert_null(r.weft_buf);
    assert_int_equal(weft_reader_read_full(&r, got + 12096, sizeof(got) - 12096, &done), 0);
    assert_int_equal(done, sizeof(got) - 12096);
    peer_check(got, sizeof(got), 1, 0);
    assert_int_equal(weft_reader_read(&r, got, 1), 0);
    assert_int_equal(weft_reader_read_full(&r, got, 1, &done), -ENODATA);
    assert_int_equal(done, 0);
    weft_reader_fini(&r);
    return 0;
}

TASK(a_read_of_all_tells_how_far_it_got)
{
    struct script s = script_of("abcdef", 2);
    weft_reader r = reader_of(&s, 100);
    char buf[10];
    size_t done;

    s.fail = -ECONNABORTED;
    s.fail_at = 4;
    assert_int_equal(weft_reader_read_full(&r, buf, 10, &done), -ECONNABORTED);
    assert_int_equal(done, 4);
    assert_int_equal(weft_reader_read_full(&r, buf + 4, 6, &done), -ENODATA);
    assert_int_equal(done, 2);
    assert_memory_equal(buf, "abcdef", 6);
    weft_reader_fini(&r);
    return 0;
}

TASK(a_peek_shows_and_keeps)
{
    struct script s = script_of("abcdefgh", 3);
    weft_reader r = reader_of(&s, 6);
    const void *data;

    assert_int_equal(weft_reader_peek(&r, &data, 0), 0);
    assert_non_null(data);
    assert_int_equal(s.reads, 0);
    assert_int_equal(weft_reader_peek(&r, &data, 7), -EMSGSIZE);
    assert_int_equal(weft_reader_peek(&r, &data, 1), 3);
    assert_int_equal(weft_reader_peek(&r, &data, 4), 6);
    assert_memory_equal(data, "abcdef", 6);
    assert_int_equal(weft_reader_peek(&r, &data, 0), 6); // what to hand on
    weft_reader_skip(&r, 5);
    assert_int_equal(weft_reader_peek(&r, &data, 6), 3); // the end
    assert_memory_equal(data, "fgh", 3);
    weft_reader_skip(&r, 3);
    assert_null(r.weft_buf);
    assert_int_equal(weft_reader_peek(&r, &data, 1), 0);
    weft_reader_fini(&r);
    return 0;
}

// --- frames --------------------------------------------------------------------------

static const weft_frame kinds[] = {
    { 1, false, 0 }, { 2, false, 0 }, { 2, true, 0 },  { 4, false, 0 }, { 4, true, 0 },
    { 8, false, 0 }, { 8, true, 0 },  { 0, false, 0 }, { 0, true, 0 },
};

static const size_t sizes[] = { 0, 1, 127, 128, 255, 256, 3000, 65535, 70000 };

static bool fits_in(const weft_frame *f, size_t n)
{
    return f->length_bytes != 1 ? f->length_bytes != 2 || n < 65536 : n < 256;
}

static void write_frames(struct script *s, const weft_frame *f, const char *bytes)
{
    weft_writer w;

    s->written = 0;
    assert_int_equal(weft_writer_init(&w, script_stream(s), 0), 0);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        int result = weft_writer_frame(&w, bytes + i, sizes[i], f);
        assert_int_equal(result, fits_in(f, sizes[i]) ? 0 : -EMSGSIZE);
    }
    assert_int_equal(weft_writer_flush(&w), 0);
    assert_null(w.weft_buf);
    weft_writer_fini(&w);
}

static void read_frames(struct script *s, const weft_frame *f, const char *bytes, size_t piece)
{
    struct script from = { .in = s->out, .n = s->written, .piece = piece };
    weft_reader r = reader_of(&from, 100000);
    const void *data;

    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        if (!fits_in(f, sizes[i]))
            continue;
        assert_int_equal(weft_reader_frame(&r, &data, f), sizes[i]);
        assert_memory_equal(data, bytes + i, sizes[i]);
    }
    assert_int_equal(weft_reader_frame(&r, &data, f), -ENODATA);
    assert_null(r.weft_buf);
    weft_reader_fini(&r);
}

TASK(frames_come_as_they_went)
{
    static char bytes[70000 + 16];
    struct script s = { .out = malloc(SCRIPT_ROOM) };

    peer_fill(bytes, sizeof(bytes), 2, 0);
    for (size_t k = 0; k < sizeof(kinds) / sizeof(*kinds); k++) {
        s.piece = k % 2 ? 1000 : 0;
        write_frames(&s, &kinds[k], bytes);
        read_frames(&s, &kinds[k], bytes, 0);
        read_frames(&s, &kinds[k], bytes, 1 + k);
        read_frames(&s, &kinds[k], bytes, 4000);
    }
    free(s.out);
    return 0;
}

static void expect_bytes(const weft_frame *f, size_t n, const char *bytes, size_t head)
{
    static const char zeros[600];
    struct script s = { .out = malloc(SCRIPT_ROOM) };
    weft_writer w;

    assert_int_equal(weft_writer_init(&w, script_stream(&s), 0), 0);
    assert_int_equal(weft_writer_frame(&w, zeros, n, f), 0);
    assert_int_equal(weft_writer_flush(&w), 0);
    assert_int_equal(s.written, head + n);
    assert_memory_equal(s.out, bytes, head);
    weft_writer_fini(&w);
    free(s.out);
}

TASK(a_length_is_written_as_others_write_it)
{
    expect_bytes(&(weft_frame){ .length_bytes = 1 }, 200, "\xc8", 1);
    expect_bytes(&(weft_frame){ .length_bytes = 2 }, 300, "\x2c\x01", 2);
    expect_bytes(&(weft_frame){ .length_bytes = 2, .big_endian = true }, 300, "\x01\x2c", 2);
    expect_bytes(&(weft_frame){ .length_bytes = 4 }, 300, "\x2c\x01\0\0", 4);
    expect_bytes(&(weft_frame){ .length_bytes = 4, .big_endian = true }, 300, "\0\0\x01\x2c", 4);
    expect_bytes(&(weft_frame){ .length_bytes = 8 }, 300, "\x2c\x01\0\0\0\0\0\0", 8);
    expect_bytes(&(weft_frame){ .length_bytes = 8, .big_endian = true }, 300, "\0\0\0\0\0\0\x01\x2c", 8);
    expect_bytes(&(weft_frame){ .length_bytes = 0 }, 0, "\0", 1);
    expect_bytes(&(weft_frame){ .length_bytes = 0 }, 127, "\x7f", 1);
    expect_bytes(&(weft_frame){ .length_bytes = 0 }, 300, "\xac\x02", 2);
    return 0;
}

// expect_frame_error: what a reader with a max of 100 makes of these bytes, and that it
// keeps them.
static void expect_frame_error(const weft_frame *f, const char *bytes, size_t n, int err)
{
    for (size_t piece = 0; piece < 4; piece++) {
        struct script s = { .in = bytes, .n = n, .piece = piece };
        weft_reader r = reader_of(&s, 100);
        const void *data = NULL;

        for (int i = 0; i < 3; i++)
            assert_int_equal(weft_reader_frame(&r, &data, f), err);
        assert_null(data);
        ssize_t kept = weft_reader_peek(&r, &data, 0);
        assert_int_equal(kept, s.at);
        assert_memory_equal(data, bytes, (size_t)kept);
        weft_reader_fini(&r);
    }
}

TASK(a_frame_that_its_kind_forbids_is_not_written)
{
    const char frame[] = { 3, 0, '1', '2', '3' };
    char out[8];
    struct script s = { .out = out };
    weft_writer w;

    assert_int_equal(weft_writer_init(&w, script_stream(&s), 0), 0);
    assert_int_equal(weft_writer_frame(&w, "1234", 4, &(weft_frame){ 2, false, 3 }), -EMSGSIZE);
    assert_int_equal(weft_writer_frame(&w, "123", 3, &(weft_frame){ 3, false, 0 }), -EINVAL);
    assert_int_equal(weft_writer_frame(&w, "123", 3, &(weft_frame){ 2, false, 3 }), 0);
    assert_int_equal(weft_writer_flush(&w), 0);
    assert_int_equal(s.written, 5); // neither of the first two has left anything
    assert_memory_equal(out, frame, 5);
    weft_writer_fini(&w);
    return 0;
}

TASK(a_frame_that_is_too_long_stays)
{
    char bytes[200] = { 101, 0, 0, 0, 0, 0, 0, 0 };

    expect_frame_error(&kinds[0], bytes, sizeof(bytes), -EMSGSIZE);
    expect_frame_error(&kinds[1], bytes, sizeof(bytes), -EMSGSIZE);
    expect_frame_error(&kinds[3], bytes, sizeof(bytes), -EMSGSIZE);
    expect_frame_error(&kinds[5], bytes, sizeof(bytes), -EMSGSIZE);
    expect_frame_error(&(weft_frame){ 1, false, 50 }, "\x33zzz", 4, -EMSGSIZE);          // the frame's own limit
    expect_frame_error(&(weft_frame){ 1, false, 200 }, bytes, sizeof(bytes), -EMSGSIZE); // the reader's is lower
    expect_frame_error(&kinds[5], "\xff\xff\xff\xff\xff\xff\xff\xff", 8, -EMSGSIZE);
    expect_frame_error(&kinds[6], "\x80\0\0\0\0\0\0\0", 8, -EMSGSIZE);
    expect_frame_error(&kinds[7], "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, -EMSGSIZE);     // 2^64 - 1
    expect_frame_error(&kinds[7], "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02", 10, -EMSGSIZE);     // one bit more
    expect_frame_error(&kinds[7], "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11, -EMSGSIZE); // one byte more
    return 0;
}

TASK(a_varint_may_be_longer_than_need_be)
{
    struct script s = { .in = "\x82\x80\x80\x80\x80\x80\x80\x80\x80\x00hi\x00", .n = 13, .piece = 1 };
    weft_reader r = reader_of(&s, 100);
    const void *data;

    assert_int_equal(weft_reader_frame(&r, &data, &kinds[7]), 2);
    assert_memory_equal(data, "hi", 2);
    assert_int_equal(weft_reader_frame(&r, &data, &kinds[7]), 0);
    assert_int_equal(weft_reader_frame(&r, &data, &kinds[7]), -ENODATA);
    weft_reader_fini(&r);
    return 0;
}

TASK(a_frame_that_is_cut_off_is_no_end)
{
    expect_frame_error(&kinds[1], "\x04", 1, -EBADMSG);
    expect_frame_error(&kinds[1], "\x04\0abc", 5, -EBADMSG);
    expect_frame_error(&kinds[7], "\x81", 1, -EBADMSG);
    expect_frame_error(&kinds[7], "\x01", 1, -EBADMSG);
    expect_frame_error(&(weft_frame){ .length_bytes = 3 }, "\0\0\0", 0, -EINVAL);
    return 0;
}

// A frame of max bytes with the longest head; memory goes with what has come, not with
// what was announced.
TASK(an_announced_frame_takes_no_memory)
{
    struct script s = { .in = "\x00\x00\x10\x00zzz", .n = 7 };
    weft_reader r = reader_of(&s, 1 << 20);
    const void *data;

    assert_int_equal(weft_reader_frame(&r, &data, &kinds[3]), -EBADMSG);
    assert_true(r.weft_room <= 16384);
    weft_reader_fini(&r);
    return 0;
}

// --- writing -------------------------------------------------------------------------

struct sink {
    struct script s;
    weft_writer w;
};

// One at a time.
static struct sink *sink_of(size_t size, size_t piece)
{
    static char out[SCRIPT_ROOM];
    struct sink *k = calloc(1, sizeof(*k));

    assert_non_null(k);
    k->s.out = out;
    k->s.piece = piece;
    assert_int_equal(weft_writer_init(&k->w, script_stream(&k->s), size), 0);
    return k;
}

static void sink_free(struct sink *k)
{
    weft_writer_fini(&k->w);
    free(k);
}

static void expect_written(const struct sink *k, const char *text)
{
    assert_int_equal(k->s.written, strlen(text));
    assert_memory_equal(k->s.out, text, strlen(text));
}

TASK(small_writes_are_collected)
{
    struct sink *k = sink_of(10, 0);

    assert_int_equal(weft_writer_write(&k->w, "", 0), 0);
    assert_null(k->w.weft_buf);
    assert_int_equal(weft_writer_write(&k->w, "12345", 5), 0);
    assert_int_equal(weft_writer_write(&k->w, "67890", 5), 0);
    assert_int_equal(k->s.writes, 0);
    assert_int_equal(weft_writer_write(&k->w, "ab", 2), 0); // no room: all of it, in one call
    assert_int_equal(k->s.writes, 1);
    expect_written(k, "1234567890ab");
    assert_null(k->w.weft_buf);
    assert_int_equal(weft_writer_write(&k->w, "cd", 2), 0);
    assert_int_equal(weft_writer_flush(&k->w), 0);
    assert_int_equal(weft_writer_flush(&k->w), 0);
    assert_int_equal(k->s.writes, 2);
    expect_written(k, "1234567890abcd");
    assert_null(k->w.weft_buf);
    sink_free(k);
    return 0;
}

TASK(large_data_is_not_copied)
{
    static char large[100000];
    struct sink *k = sink_of(0, 0);

    peer_fill(large, sizeof(large), 3, 0);
    assert_int_equal(weft_writer_write(&k->w, large, 100), 0);
    assert_int_equal(weft_writer_write(&k->w, large + 100, sizeof(large) - 100), 0);
    assert_int_equal(k->s.writes, 1);
    assert_ptr_equal(k->s.last, large + 100);
    assert_null(k->w.weft_buf);
    assert_int_equal(k->s.written, sizeof(large));
    peer_check(k->s.out, k->s.written, 3, 0);
    sink_free(k);
    return 0;
}

TASK(printf_may_print_more_than_fits)
{
    for (size_t piece = 0; piece < 8; piece++) {
        struct sink *k = sink_of(10, piece);
        char all[400] = "";

        assert_int_equal(weft_writer_printf(&k->w, "%s", ""), 0);
        assert_null(k->w.weft_buf);
        for (int n = 1; n < 25; n++) {
            assert_int_equal(weft_writer_printf(&k->w, "%0*d", n, n), 0);
            snprintf(all + strlen(all), sizeof(all) - strlen(all), "%0*d", n, n);
        }
        assert_int_equal(weft_writer_flush(&k->w), 0);
        expect_written(k, all);
        sink_free(k);
    }
    return 0;
}

TASK(what_cannot_be_printed_is_an_error)
{
    struct sink *k = sink_of(10, 0);

    assert_int_equal(weft_writer_printf(&k->w, "%lc", (wint_t)0x7fffffff), -EILSEQ); // no such character
    assert_null(k->w.weft_buf);
    sink_free(k);
    return 0;
}

// A stream fails when it has taken `at` bytes: of a call that had none of its own
// written, nothing is taken; else all is. Then the error is over.
static void fail_once(size_t size, size_t piece, size_t at)
{
    struct sink *k = sink_of(size, piece);
    char all[400] = "";
    int failed = 0;

    k->s.fail = -ENOBUFS;
    k->s.fail_at = at;
    for (int n = 1; n < 20; n++) {
        char text[32];
        snprintf(text, sizeof(text), "%0*d", n, n);
        int err = weft_writer_write(&k->w, text, (size_t)n);
        if (err == 0)
            strcat(all, text);
        else
            assert_int_equal(err, -ENOBUFS);
        failed += err < 0;
    }
    int err = weft_writer_flush(&k->w);
    if (err < 0)
        err = weft_writer_flush(&k->w);
    assert_int_equal(err, 0);
    expect_written(k, all);
    assert_true(failed <= 1);
    sink_free(k);
}

TASK(what_was_not_written_stays_in_it)
{
    for (size_t size = 1; size < 30; size += 4)
        for (size_t piece = 0; piece < 9; piece += 2)
            for (size_t at = 1; at < 190; at++)
                fail_once(size, piece, at);
    return 0;
}

TASK(a_flush_goes_on_where_it_was_cut_short)
{
    struct sink *k = sink_of(100, 3);

    assert_int_equal(weft_writer_write(&k->w, "0123456789", 10), 0);
    k->s.fail = -EIO;
    k->s.fail_at = 4;
    assert_int_equal(weft_writer_flush(&k->w), -EIO);
    assert_int_equal(weft_writer_write(&k->w, "ab", 2), 0);
    assert_int_equal(k->s.written, 4);
    assert_int_equal(weft_writer_flush(&k->w), 0);
    expect_written(k, "0123456789ab");
    sink_free(k);
    return 0;
}

static ssize_t take_nothing(void *self, const struct iovec *v, int n)
{
    (void)self;
    (void)v;
    return n - n;
}

TASK(a_stream_that_takes_nothing_is_an_error)
{
    static const weft_stream_ops ops = { .size = sizeof(weft_stream_ops), .writev = take_nothing };
    weft_writer w;

    assert_int_equal(weft_writer_init(&w, (weft_stream){ &ops, NULL }, 0), 0);
    assert_int_equal(weft_writer_write(&w, "a", 1), 0);
    assert_int_equal(weft_writer_flush(&w), -EIO);
    assert_non_null(w.weft_buf);
    weft_writer_fini(&w);
    return 0;
}

// --- real descriptors ----------------------------------------------------------------

struct talk {
    int fd[2];
    unsigned lines;
};

static int write_lines(void *arg)
{
    struct talk *t = arg;
    char line[50001];
    weft_writer w;

    assert_int_equal(weft_writer_init(&w, weft_fd_stream(t->fd[1]), 0), 0);
    for (unsigned i = 0; i < t->lines; i++) {
        memset(line, 'a' + (int)(i % 26), length_of(i));
        line[length_of(i)] = '\n';
        assert_int_equal(weft_writer_write(&w, line, length_of(i) + 1), 0);
        if (i % 7 == 0)
            assert_int_equal(weft_writer_flush(&w), 0);
    }
    assert_int_equal(weft_writer_flush(&w), 0);
    weft_writer_fini(&w);
    return weft_close(t->fd[1]);
}

TASK(lines_go_over_every_kind_of_descriptor)
{
    for (int kind = 0; kind < PEER_KINDS; kind++) {
        struct talk t = { .lines = 300 };
        const weft_spawn_opts big = { .size = sizeof(big), .stack_size = 256 << 10 };
        weft_task *writer;
        weft_reader r;

        peer_pair(kind, t.fd);
        assert_int_equal(weft_spawn_with(&writer, &big, write_lines, &t), 0);
        assert_int_equal(weft_reader_init(&r, weft_fd_stream(t.fd[0]), 50000), 0);
        expect_many_lines(&r, t.lines);
        expect_end(&r);
        assert_int_equal(join(writer), 0);
        assert_int_equal(weft_close(t.fd[0]), 0);
    }
    return 0;
}

TASK(lines_come_from_a_file)
{
    int file = memfd_create("lines", MFD_CLOEXEC);
    weft_reader r;
    size_t n;
    char *text = many_lines(100, &n);

    assert_true(file >= 0);
    assert_int_equal(pwrite(file, text, n, 0), n);
    free(text);
    assert_int_equal(weft_reader_init(&r, weft_fd_stream(file), 50000), 0);
    expect_many_lines(&r, 100);
    expect_end(&r);
    assert_int_equal(weft_reader_init(&r, weft_fd_stream(-1), 50000), 0);
    const char *line;
    assert_int_equal(weft_reader_line(&r, &line), -EBADF);
    assert_int_equal(weft_close(file), 0);
    return 0;
}

static int read_a_line(void *arg)
{
    const char *line;
    return (int)weft_reader_line(arg, &line);
}

// What is parked: without a buffer before the first byte, with one after it. In virtual
// time, on one thread: a second of it passes when all are parked.
static int idle_on(enum peer_kind kind)
{
    weft_reader r;
    int fd[2];

    peer_pair(kind, fd);
    assert_int_equal(weft_reader_init(&r, weft_fd_stream(fd[0]), 0), 0);
    for (int i = 0; i < 3; i++) {
        weft_task *t = spawn(read_a_line, &r);
        assert_int_equal(weft_sleep(WEFT_S(1)), 0);
        assert_null(r.weft_buf);
        peer_write(fd[1], "abc", 3);
        assert_int_equal(weft_sleep(WEFT_S(1)), 0);
        assert_int_equal(seen(&r), 3);
        peer_write(fd[1], "\n", 1);
        assert_int_equal(join(t), 3);
    }
    weft_reader_fini(&r);
    assert_int_equal(weft_close(fd[0]), 0);
    return weft_close(fd[1]);
}

static int idle_on_each(void *arg)
{
    (void)arg;
    for (int kind = 0; kind < PEER_KINDS; kind++)
        assert_int_equal(idle_on(kind), 0);
    return 0;
}

static void an_idle_connection_has_no_buffer(void **state)
{
    (void)state;
    run_seeds(20, idle_on_each, NULL);
}

TASK(a_descriptor_is_a_stream)
{
    weft_stream s[2];
    char byte;
    int fd[2];

    peer_pair(PEER_UNIX, fd);
    for (int i = 0; i < 2; i++)
        s[i] = weft_fd_stream(fd[i]);
    assert_int_equal(s[0].ops->writev(s[0].self, (struct iovec[]){ { "a", 1 }, { "b", 1 } }, 2), 2);
    assert_int_equal(s[1].ops->poll(s[1].self, POLLIN), POLLIN);
    assert_int_equal(s[1].ops->read(s[1].self, &byte, 1), 1);
    assert_int_equal(s[1].ops->read(s[1].self, &byte, 1), 1);
    assert_int_equal(byte, 'b');
    assert_int_equal(s[0].ops->shutdown(s[0].self), 0);
    assert_int_equal(s[1].ops->read(s[1].self, &byte, 1), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(s[i].ops->close(s[i].self), 0);
    assert_int_equal(s[0].ops->shutdown(s[0].self), -EBADF);
    peer_pair(PEER_PIPE, fd);
    s[0] = weft_fd_stream(fd[1]);
    assert_int_equal(s[0].ops->shutdown(s[0].self), -ENOTSOCK);
    return weft_close(fd[0]) | weft_close(fd[1]);
}

// --- in memory -----------------------------------------------------------------------

static int drain(void *arg)
{
    const weft_stream *s = arg;
    char buf[700];
    uint64_t at = 0;
    ssize_t n;

    while ((n = s->ops->read(s->self, buf, sizeof(buf))) > 0) {
        peer_check(buf, (size_t)n, 4, at);
        at += (uint64_t)n;
    }
    assert_int_equal(n, 0);
    return (int)at;
}

TASK(a_pair_moves_bytes_both_ways)
{
    weft_stream a, b;
    static char text[100000];
    weft_writer w;

    peer_fill(text, sizeof(text), 4, 0);
    for (size_t capacity = 1; capacity < 5000; capacity = capacity * 3 + 1) {
        assert_int_equal(weft_stream_pair(&a, &b, capacity), 0);
        for (int way = 0; way < 2; way++) {
            weft_task *t = spawn(drain, way ? &a : &b);
            size_t n = 2000 + capacity * 10;
            assert_int_equal(weft_writer_init(&w, way ? b : a, 100), 0);
            for (size_t at = 0; at < n; at += 50)
                assert_int_equal(weft_writer_write(&w, text + at, 50), 0);
            assert_int_equal(weft_writer_flush(&w), 0);
            assert_int_equal(w.weft_to.ops->shutdown(w.weft_to.self), 0);
            assert_int_equal(w.weft_to.ops->writev(w.weft_to.self, &(struct iovec){ "x", 1 }, 1), -EPIPE);
            assert_int_equal(join(t), (n + 49) / 50 * 50);
            weft_writer_fini(&w);
        }
        assert_int_equal(a.ops->close(a.self), 0);
        assert_int_equal(b.ops->close(b.self), 0);
    }
    return 0;
}

TASK(a_closed_end_is_the_end_for_the_other)
{
    const struct iovec one = { "x", 1 };
    weft_stream a, b;
    char byte;

    assert_int_equal(weft_stream_pair(&a, &b, 1), 0);
    assert_int_equal(b.ops->poll(b.self, POLLOUT | POLLIN), POLLOUT);
    assert_int_equal(a.ops->writev(a.self, &one, 1), 1);
    assert_int_equal(b.ops->poll(b.self, POLLIN), POLLIN);
    assert_int_equal(b.ops->poll(b.self, 0), -EINVAL);
    assert_int_equal(a.ops->close(a.self), 0);
    assert_int_equal(b.ops->writev(b.self, &one, 1), -EPIPE);
    assert_int_equal(b.ops->read(b.self, &byte, 1), 1);
    assert_int_equal(b.ops->read(b.self, &byte, 1), 0);
    assert_int_equal(b.ops->poll(b.self, POLLIN | POLLOUT), POLLIN | POLLOUT);
    return b.ops->close(b.self);
}

static int write_two(void *arg)
{
    const weft_stream *s = arg;
    int result = (int)s->ops->writev(s->self, &(struct iovec){ "ab", 2 }, 1);
    return result < 0 ? result : (int)s->ops->writev(s->self, &(struct iovec){ "c", 1 }, 1);
}

TASK(a_close_wakes_the_other_end)
{
    weft_stream a, b;

    assert_int_equal(weft_stream_pair(&a, &b, 2), 0);
    weft_task *writer = spawn(write_two, &b), *reader = spawn(drain, &b);
    wait_parked(writer, "stream");
    wait_parked(reader, "stream");
    assert_int_equal(a.ops->close(a.self), 0);
    assert_int_equal(join(writer), -EPIPE);
    assert_int_equal(join(reader), 0);
    return b.ops->close(b.self);
}

// --- without memory ------------------------------------------------------------------

#ifdef WF_FAULTS
struct shortage {
    long fault;
    char *text;
    size_t n;
    unsigned failed;
};

static int talk_with_fault(void *arg)
{
    struct shortage *f = arg;
    struct script in = { .in = f->text, .n = f->n };
    struct sink *k = sink_of(100, 0);
    weft_reader r = reader_of(&in, 50000);
    const char *line;
    ssize_t got;

    wf_mem_fail_at(f->fault, false);
    while ((got = weft_reader_line(&r, &line)) != -ENODATA) {
        if (got >= 0)
            while (weft_writer_printf(&k->w, "%s\n", line) == -ENOMEM)
                f->failed++;
        else
            assert_int_equal(got, -ENOMEM);
        f->failed += got < 0;
    }
    wf_mem_fail_at(0, false);
    assert_int_equal(weft_writer_flush(&k->w), 0);
    assert_int_equal(k->s.written, f->n);
    assert_memory_equal(k->s.out, f->text, f->n);
    weft_reader_fini(&r);
    sink_free(k);
    return 0;
}

// With each allocation failing in turn, in a runtime whose shelves are empty, a reader
// and a writer return -ENOMEM once, have done nothing, and go on.
static void without_memory_nothing_is_lost(void **state)
{
    unsigned failed = 0;
    struct shortage f;
    (void)state;

    f.text = many_lines(15, &f.n);
    for (f.fault = 1; f.fault <= 12; f.fault++) {
        f.failed = 0;
        assert_int_equal(run_tasks(talk_with_fault, &f), 0);
        assert_true(f.failed <= 1);
        failed += f.failed;
    }
    assert_true(failed >= 3);
    free(f.text);
}

// The rest of what was given cannot be kept: the stream gets nothing more.
TASK(a_writer_that_has_lost_something_is_closed)
{
    struct sink *k = sink_of(4, 0);

    k->s.fail = -ENOBUFS;
    k->s.fail_at = 100000;
    char *large = calloc(1, 200000);
    assert_non_null(large);
    wf_mem_fail_at(1, true);
    assert_int_equal(weft_writer_write(&k->w, large, 200000), -ENOMEM);
    wf_mem_fail_at(0, false);
    assert_int_equal(k->s.written, 100000);
    assert_int_equal(weft_writer_write(&k->w, "a", 1), -ENOMEM);
    assert_int_equal(weft_writer_printf(&k->w, "a"), -ENOMEM);
    assert_int_equal(weft_writer_frame(&k->w, "a", 1, &kinds[0]), -ENOMEM);
    assert_int_equal(weft_writer_flush(&k->w), -ENOMEM);
    assert_int_equal(k->s.written, 100000);
    free(large);
    sink_free(k);
    return 0;
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_end_in_either_way),
        cmocka_unit_test(a_text_comes_with_its_delimiter),
        cmocka_unit_test(another_delimiter_is_looked_for_from_the_start),
        cmocka_unit_test(a_line_may_hold_zeros),
        cmocka_unit_test(max_is_the_longest_line),
        cmocka_unit_test(a_line_that_is_too_long_stays),
        cmocka_unit_test(a_further_line_that_is_too_long_stays),
        cmocka_unit_test(other_calls_come_between_lines),
        cmocka_unit_test(lines_of_any_length_are_found),
        cmocka_unit_test(too_long_is_known_at_once),
        cmocka_unit_test(buffers_grow_as_lines_need),
        cmocka_unit_test(what_is_in_the_buffer_needs_no_call),
        cmocka_unit_test(a_reader_that_waits_has_no_buffer),
        cmocka_unit_test(a_stream_need_not_poll),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(a_large_read_goes_past_the_buffer),
        cmocka_unit_test(a_read_of_all_tells_how_far_it_got),
        cmocka_unit_test(a_peek_shows_and_keeps),
        cmocka_unit_test(frames_come_as_they_went),
        cmocka_unit_test(a_length_is_written_as_others_write_it),
        cmocka_unit_test(a_frame_that_its_kind_forbids_is_not_written),
        cmocka_unit_test(a_frame_that_is_too_long_stays),
        cmocka_unit_test(a_varint_may_be_longer_than_need_be),
        cmocka_unit_test(a_frame_that_is_cut_off_is_no_end),
        cmocka_unit_test(an_announced_frame_takes_no_memory),
        cmocka_unit_test(small_writes_are_collected),
        cmocka_unit_test(large_data_is_not_copied),
        cmocka_unit_test(printf_may_print_more_than_fits),
        cmocka_unit_test(what_cannot_be_printed_is_an_error),
        cmocka_unit_test(what_was_not_written_stays_in_it),
        cmocka_unit_test(a_flush_goes_on_where_it_was_cut_short),
        cmocka_unit_test(a_stream_that_takes_nothing_is_an_error),
        cmocka_unit_test(lines_go_over_every_kind_of_descriptor),
        cmocka_unit_test(lines_come_from_a_file),
        cmocka_unit_test(an_idle_connection_has_no_buffer),
        cmocka_unit_test(a_descriptor_is_a_stream),
        cmocka_unit_test(a_pair_moves_bytes_both_ways),
        cmocka_unit_test(a_closed_end_is_the_end_for_the_other),
        cmocka_unit_test(a_close_wakes_the_other_end),
#ifdef WF_FAULTS
        cmocka_unit_test(without_memory_nothing_is_lost),
        cmocka_unit_test(a_writer_that_has_lost_something_is_closed),
#endif
    };
    return wf_test_run(tests);
}
