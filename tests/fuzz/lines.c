// Lines and texts, against a model that has all of the bytes at once.
#include "tests/fuzz/stream.h"

// expect_line says what weft_reader_line makes of the `n` bytes that are left, all of
// them.  Returns: how many it consumes; 0: the end, or too long (*result says which).
static size_t expect_line(const uint8_t *p, size_t n, size_t max, ssize_t *result)
{
    const uint8_t *end = NULL;

    for (size_t i = 0; i < n && !end; i++)
        if (p[i] == '\n')
            end = p + i;
    size_t length = end ? (size_t)(end - p) : n, whole = end ? length + 1 : n;
    if (end && length > 0 && p[length - 1] == '\r')
        length--;
    *result = n == 0 ? -ENODATA : length > max ? -EMSGSIZE : (ssize_t)length;
    return *result < 0 ? 0 : whole;
}

static size_t expect_text(const uint8_t *p, size_t n, size_t max, uint8_t delimiter, ssize_t *result)
{
    size_t length = 0;

    while (length < n && p[length] != delimiter)
        length++;
    bool found = length < n;
    length += found;
    // A rest of max bytes might go on: so it is too long.
    *result = n == 0 ? -ENODATA : length > max || (!found && length == max) ? -EMSGSIZE : (ssize_t)length;
    return *result < 0 ? 0 : length;
}

// read_one makes one call, again after each cancel.  Returns: its result.
static ssize_t read_one(weft_reader *r, bool lines, uint8_t delimiter, const char **text)
{
    ssize_t n;

    while ((n = lines ? weft_reader_line(r, text) : weft_reader_until(r, text, delimiter)) == -ECANCELED)
        ;
    return n;
}

// skip_some consumes what is in the buffer of a reader that has found a line too long.
static size_t skip_some(weft_reader *r, const uint8_t *expected, size_t left)
{
    const void *data;
    ssize_t n = weft_reader_peek(r, &data, 0);

    must(n > 0 && (size_t)n <= left && memcmp(data, expected, (size_t)n) == 0);
    size_t some = 1 + (size_t)n / 2;
    weft_reader_skip(r, some);
    return some;
}

static int read_lines(void *arg)
{
    struct input *in = arg;
    size_t max = input_max(in);
    uint8_t how = input_byte(in), delimiter = input_byte(in);
    struct feed f = input_feed(in);
    size_t at = 0;
    weft_reader r;

    must(weft_reader_init(&r, (weft_stream){ &feed_ops, &f }, max) == 0);
    for (ssize_t expected = 0; expected != -ENODATA;) {
        bool lines = how & 1;
        const char *text = NULL;
        size_t whole = lines ? expect_line(f.text + at, f.n - at, max, &expected)
                             : expect_text(f.text + at, f.n - at, max, delimiter, &expected);
        must(read_one(&r, lines, delimiter, &text) == expected);
        must(expected <= 0 || memcmp(text, f.text + at, (size_t)expected) == 0);
        must(expected < 0 || !lines || text[expected] == 0);
        at += expected == -EMSGSIZE ? skip_some(&r, f.text + at, f.n - at) : whole;
        how = (uint8_t)(how >> 1 | how << 7);
    }
    must(at == f.n && !r.weft_buf);
    weft_reader_fini(&r);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    return fuzz_run(read_lines, data, n);
}
