#include "resp.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

enum { LINE_LIMIT = 64 << 10, ARGS_LIMIT = 1 << 20 };

struct span {
    size_t at, n;
};

void conn_init(struct conn *c, weft_stream s, int fd)
{
    *c = (struct conn){ .fd = fd, .protocol = 2 };
    weft_reader_init(&c->in, s, REQUEST_MAX);
    c->out = g_string_new(NULL);
    c->spans = g_array_new(FALSE, FALSE, sizeof(struct span));
    c->args = g_array_new(FALSE, FALSE, sizeof(struct text));
}

void conn_fini(struct conn *c)
{
    weft_reader_fini(&c->in);
    g_string_free(c->out, TRUE);
    g_array_free(c->spans, TRUE);
    g_array_free(c->args, TRUE);
}

int conn_flush(struct conn *c)
{
    int err = c->fd >= 0 ? weft_write_all(c->fd, c->out->str, c->out->len, NULL) : 0;

    g_string_truncate(c->out, 0);
    if (c->out->allocated_len > OUT_MAX) { // an idle client shall not keep a large buffer
        g_string_free(c->out, TRUE);
        c->out = g_string_new(NULL);
    }
    return err;
}

// --- requests ------------------------------------------------------------------------

// The bytes that the reader shows, and how far they are parsed.
struct look {
    struct conn *c;
    const char *s;
    size_t n, at;
};

// show makes the reader show at least `want` bytes, or all bytes before the end.
static int show(struct look *l, size_t want)
{
    const void *shown;
    ssize_t n = weft_reader_peek(&l->c->in, &shown, want);

    if (n < 0)
        return (int)n;
    l->s = shown;
    l->n = (size_t)n;
    return 0;
}

// look_for makes the reader show at least `n` bytes from l->at on. It sends the replies
// first, because the client may wait for them.
static int look_for(struct look *l, size_t n)
{
    if (l->n - l->at >= n)
        return 0;
    int err = l->c->out->len > 0 ? conn_flush(l->c) : 0;
    if (err == 0)
        err = show(l, l->at + n);
    if (err < 0 || l->n - l->at >= n)
        return err;
    return l->n > 0 ? -ECONNRESET : -ENODATA; // an incomplete request is lost
}

static ssize_t refuse(struct conn *c, const char *why)
{
    reply_error(c, "ERR Protocol error: %s", why);
    return -EBADMSG;
}

// take_line takes a line, and shows it without its end.
static ssize_t take_line(struct look *l, struct text *line)
{
    const char *end = NULL;

    for (size_t looked = 0; !end;) {
        int err = look_for(l, looked + 1);
        if (err < 0)
            return err;
        end = memchr(l->s + l->at + looked, '\n', l->n - l->at - looked);
        looked = l->n - l->at;
        if ((end ? (size_t)(end - l->s) - l->at : looked) > LINE_LIMIT)
            return refuse(l->c, l->s[0] == '*' ? "too big mbulk count string" : "too big inline request");
    }
    line->s = l->s + l->at;
    line->n = (size_t)(end - line->s);
    l->at += line->n + 1;
    if (line->n > 0 && line->s[line->n - 1] == '\r')
        line->n--;
    return 0;
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

static ssize_t take_words(struct look *l)
{
    struct text line;
    ssize_t err = take_line(l, &line);
    size_t base = err < 0 ? 0 : (size_t)(line.s - l->s);

    for (size_t i = 0, from; err == 0 && i < line.n;) {
        for (; i < line.n && is_blank(line.s[i]); i++)
            ;
        for (from = i; i < line.n && !is_blank(line.s[i]); i++)
            ;
        struct span word = { base + from, i - from };
        if (word.n > 0)
            g_array_append_val(l->c->spans, word);
    }
    return err;
}

static ssize_t take_bulk(struct look *l)
{
    struct text line;
    int64_t n;
    ssize_t err = take_line(l, &line);

    if (err < 0)
        return err;
    if (line.n == 0 || line.s[0] != '$')
        return refuse(l->c, "expected '$'");
    if (!text_int((struct text){ line.s + 1, line.n - 1 }, &n) || n < 0 || n > REQUEST_MAX)
        return refuse(l->c, "invalid bulk length");
    struct span bulk = { l->at, (size_t)n };
    err = look_for(l, bulk.n + 2);
    if (err < 0)
        return err;
    g_array_append_val(l->c->spans, bulk);
    l->at += bulk.n + 2;
    return 0;
}

static ssize_t take_array(struct look *l)
{
    struct text line;
    int64_t n;
    ssize_t err = take_line(l, &line);

    if (err < 0)
        return err;
    if (!text_int((struct text){ line.s + 1, line.n - 1 }, &n) || n > ARGS_LIMIT)
        return refuse(l->c, "invalid multibulk length");
    for (; n > 0 && err == 0; n--)
        err = take_bulk(l);
    return err;
}

ssize_t request_read(struct conn *c)
{
    struct look l = { .c = c };

    g_array_set_size(c->spans, 0);
    g_array_set_size(c->args, 0);
    ssize_t err = show(&l, 0);
    if (err == 0)
        err = look_for(&l, 1);
    if (err == 0)
        err = l.s[0] == '*' ? take_array(&l) : take_words(&l);
    if (err == -EMSGSIZE)
        return refuse(c, "the request is too long");
    if (err < 0)
        return err;
    for (guint i = 0; i < c->spans->len; i++) {
        struct span *span = &g_array_index(c->spans, struct span, i);
        struct text arg = { l.s + span->at, span->n };
        g_array_append_val(c->args, arg);
    }
    return (ssize_t)l.at;
}

void request_done(struct conn *c, ssize_t size)
{
    weft_reader_skip(&c->in, (size_t)size);
}

// --- replies -------------------------------------------------------------------------

// add_head adds `type`, a number and the end of the line.
static void add_head(struct conn *c, char type, int64_t value)
{
    char text[24], *at = text + sizeof(text);
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;

    *--at = '\n';
    *--at = '\r';
    do
        *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0)
        *--at = '-';
    g_string_append_c(c->out, type);
    g_string_append_len(c->out, at, text + sizeof(text) - at);
}

void reply_status(struct conn *c, const char *status)
{
    g_string_append_c(c->out, '+');
    g_string_append(c->out, status);
    g_string_append_len(c->out, "\r\n", 2);
}

void reply_error(struct conn *c, const char *fmt, ...)
{
    size_t from = c->out->len;
    va_list args;

    va_start(args, fmt);
    g_string_append_c(c->out, '-');
    g_string_append_vprintf(c->out, fmt, args);
    va_end(args);
    for (char *at = c->out->str + from; *at; at++)
        if (*at == '\r' || *at == '\n') // of the client's words
            *at = ' ';
    g_string_append_len(c->out, "\r\n", 2);
}

void reply_int(struct conn *c, int64_t value)
{
    add_head(c, ':', value);
}

void reply_text(struct conn *c, struct text t)
{
    add_head(c, '$', (int64_t)t.n);
    g_string_append_len(c->out, t.s, (gssize)t.n);
    g_string_append_len(c->out, "\r\n", 2);
}

void reply_null(struct conn *c)
{
    g_string_append(c->out, c->protocol == 3 ? "_\r\n" : "$-1\r\n");
}

void reply_null_array(struct conn *c)
{
    g_string_append(c->out, c->protocol == 3 ? "_\r\n" : "*-1\r\n");
}

void reply_double(struct conn *c, double value)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];

    g_ascii_formatd(text, sizeof(text), "%.17g", value);
    if (c->protocol == 3)
        g_string_append_printf(c->out, ",%s\r\n", text);
    else
        reply_text(c, (struct text){ text, strlen(text) });
}

void reply_array(struct conn *c, size_t n)
{
    add_head(c, '*', (int64_t)n);
}

void reply_set(struct conn *c, size_t n)
{
    add_head(c, c->protocol == 3 ? '~' : '*', (int64_t)n);
}

void reply_map(struct conn *c, size_t pairs)
{
    add_head(c, c->protocol == 3 ? '%' : '*', (int64_t)(c->protocol == 3 ? pairs : 2 * pairs));
}
