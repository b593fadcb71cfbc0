// llhttp parses requests, strictly. This file refuses the forms that llhttp accepts but
// other parsers split differently: a lone CR or LF, a folded header, chunk extensions.
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http.h"

static bool is(const char *s, size_t n, const char *word)
{
    return n == strlen(word) && strncasecmp(s, word, n) == 0;
}

static void keep(char *to, size_t room, const char *s, size_t n)
{
    if (n < room)
        memcpy(to, s, n);
    to[n < room ? n : 0] = 0;
}

// --- the parser's callbacks ----------------------------------------------------------

static int on_url(llhttp_t *p, const char *s, size_t n)
{
    struct request *r = &((struct conn *)p->data)->req;

    if (n >= sizeof(r->path))
        r->refusal = 414;
    keep(r->path, sizeof(r->path), s, n);
    return 0;
}

static int on_header_field(llhttp_t *p, const char *s, size_t n)
{
    struct conn *c = p->data;

    c->name = s;
    c->name_size = n;
    c->value_size = 0;
    return 0;
}

static int on_header_value(llhttp_t *p, const char *s, size_t n)
{
    struct conn *c = p->data;

    c->value = s;
    c->value_size = n;
    return 0;
}

#define KEPT(name, field) { name, offsetof(struct request, field), sizeof(((struct request *)0)->field) }

// Headers that are kept as text.
static const struct {
    const char *name;
    size_t at, room;
} kept[] = {
    KEPT("range", range),
    KEPT("if-range", if_range),
    KEPT("if-none-match", if_none_match),
    KEPT("if-modified-since", if_modified),
};

static int on_header_value_complete(llhttp_t *p)
{
    struct conn *c = p->data;
    struct request *r = &c->req;

    for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++)
        if (is(c->name, c->name_size, kept[i].name))
            keep((char *)r + kept[i].at, kept[i].room, c->value, c->value_size);
    if (is(c->name, c->name_size, "host"))
        r->hosts++;
    else if (is(c->name, c->name_size, "expect") && !(r->expects = is(c->value, c->value_size, "100-continue")))
        r->refusal = 417;
    else if (is(c->name, c->name_size, "transfer-encoding") &&
             (r->encodings++ > 0 || !(r->chunked = is(c->value, c->value_size, "chunked"))))
        r->refusal = 501;
    return 0;
}

static int on_chunk_extension(llhttp_t *p, const char *s, size_t n)
{
    (void)p, (void)s, (void)n;
    return HPE_USER;
}

static int on_body(llhttp_t *p, const char *s, size_t n)
{
    struct request *r = &((struct conn *)p->data)->req;

    if (n > BODY_MAX - r->body_size) {
        r->refusal = 413;
        return HPE_USER;
    }
    char *body = realloc(r->body, r->body_size + n);
    if (!body) {
        r->refusal = 503;
        return HPE_USER;
    }
    r->body = body;
    memcpy(body + r->body_size, s, n);
    r->body_size += n;
    return 0;
}

static int on_message_complete(llhttp_t *p)
{
    struct conn *c = p->data;

    c->complete = true;
    c->req.keep_alive = llhttp_should_keep_alive(p);
    return HPE_PAUSED; // the next call reads the next request
}

// --- connections ---------------------------------------------------------------------

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_header_value_complete = on_header_value_complete,
    .on_chunk_extension_name = on_chunk_extension,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

void conn_init(struct conn *c, weft_stream s, int fd)
{
    memset(c, 0, sizeof(*c));
    c->fd = fd;
    weft_reader_init(&c->in, s, HEAD_MAX);
    weft_writer_init(&c->out, s, 16 << 10);
    llhttp_init(&c->parser, HTTP_REQUEST, &settings);
    c->parser.data = c;
    weft_scope_open(&c->limit, WEFT_SCOPE_COLLECT);
    c->dated = -WEFT_S(1);
}

void conn_fini(struct conn *c)
{
    weft_scope_close(&c->limit);
    weft_writer_fini(&c->out);
    weft_reader_fini(&c->in);
    free(c->req.body);
}

void conn_limit(struct conn *c, int seconds)
{
    c->until = weft_after(WEFT_S(seconds));
    weft_scope_deadline(&c->limit, c->until);
}

// The deadline moves only when half of it has passed, so most requests move no timer.
void conn_allow(struct conn *c)
{
    if (c->until - weft_now() < WEFT_S(IDLE_SECONDS) / 2)
        conn_limit(c, IDLE_SECONDS);
}

// --- a request -----------------------------------------------------------------------

enum scan { MORE, WHOLE, MALFORMED };

// scan_head looks at the complete lines from *at on, and moves *at behind them. Each
// ends with CR LF, has no other CR or LF, and is not continued in the next line.
// Returns: WHOLE: an empty line ends the head, at *at; MORE: there is no such line yet.
static enum scan scan_head(const char *head, size_t n, size_t *at)
{
    const char *lf;

    while ((lf = memchr(head + *at, '\n', n - *at))) {
        const char *line = head + *at;
        bool first = line == head;
        if (memchr(line, '\r', (size_t)(lf - line)) != lf - 1 || (!first && (*line == ' ' || *line == '\t')))
            return MALFORMED;
        *at = (size_t)(lf + 1 - head);
        if (!first && lf - line == 1)
            return WHOLE;
    }
    return MORE;
}

// take_more makes the reader show one byte more than `n`. It sends the replies first,
// because the client may wait for them.
static ssize_t take_more(struct conn *c, const char **shown, size_t n)
{
    const void *data;
    int err = weft_writer_flush(&c->out);
    ssize_t got = err < 0 ? err : weft_reader_peek(&c->in, &data, n + 1);

    if (got > (ssize_t)n)
        *shown = data;
    return got < 0 || got > (ssize_t)n ? got : n > 0 ? -ECONNRESET : -ENODATA;
}

// find_head makes the reader show the whole head, of *size bytes.
// Returns: 0; the status of a refusal; a negative error.
static int find_head(struct conn *c, const char **head, size_t *size)
{
    const void *data;
    ssize_t n = weft_reader_peek(&c->in, &data, 0);
    size_t looked = 0;

    *head = data;
    *size = 0;
    while (n >= 0) {
        enum scan scan = n > 0 ? scan_head(*head, (size_t)n, size) : MORE;
        if (scan != MORE)
            return scan == WHOLE ? 0 : 400;
        if (n >= HEAD_MAX)
            return 431;
        if (n > 0 && looked == 0)
            conn_limit(c, HEAD_SECONDS);
        looked = (size_t)n;
        n = take_more(c, head, looked);
    }
    return (int)n;
}

// refusal_of is the status for an error of the parser.
static int refusal_of(struct conn *c, llhttp_errno_t err)
{
    if (err == HPE_OK || err == HPE_PAUSED || err == HPE_PAUSED_UPGRADE)
        return 0;
    return c->req.refusal ? c->req.refusal : err == HPE_INVALID_VERSION ? 505 : 400;
}

// read_body reads the body that the head announces. Returns: as request_read.
static int read_body(struct conn *c)
{
    int status = 0;

    if (c->req.expects && (status = weft_writer_write(&c->out, "HTTP/1.1 100 Continue\r\n\r\n", 25)) < 0)
        return status;
    conn_limit(c, BODY_SECONDS);
    while (!c->complete) {
        const void *data;
        ssize_t n = weft_reader_peek(&c->in, &data, 0);
        const char *body = data;
        if (n == 0)
            n = take_more(c, &body, 0);
        if (n < 0)
            return n == -ENODATA ? -ECONNRESET : (int)n;
        status = refusal_of(c, llhttp_execute(&c->parser, body, (size_t)n));
        if (status)
            return status;
        weft_reader_skip(&c->in, c->complete ? (size_t)(llhttp_get_error_pos(&c->parser) - body) : (size_t)n);
    }
    return 0;
}

// check_head checks the other rules of HTTP/1.1.
static int check_head(struct conn *c)
{
    struct request *r = &c->req;

    if (r->refusal)
        return r->refusal;
    if (c->parser.http_major != 1)
        return 505;
    if (r->hosts > 1 || (r->hosts == 0 && c->parser.http_minor > 0) || (r->encodings > 0 && c->parser.http_minor == 0))
        return 400;
    return r->method == HTTP_CONNECT ? 501 : 0;
}

int request_read(struct conn *c)
{
    const char *head;
    size_t n;
    int status = find_head(c, &head, &n);

    free(c->req.body);
    memset(&c->req, 0, offsetof(struct request, path));
    c->req.path[0] = 0;
    c->complete = false;
    if (status)
        return status;
    llhttp_reset(&c->parser);
    status = refusal_of(c, llhttp_execute(&c->parser, head, n));
    c->req.method = llhttp_get_method(&c->parser);
    if (status == 0)
        status = check_head(c);
    weft_reader_skip(&c->in, n);
    return status || c->complete ? status : read_body(c);
}
