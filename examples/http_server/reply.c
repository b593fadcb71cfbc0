#include <string.h>
#include <time.h>

#include "http.h"

static const char *phrase_of(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 206:
        return "Partial Content";
    case 304:
        return "Not Modified";
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 416:
        return "Range Not Satisfiable";
    case 417:
        return "Expectation Failed";
    case 431:
        return "Request Header Fields Too Large";
    case 501:
        return "Not Implemented";
    case 503:
        return "Service Unavailable";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Internal Server Error";
    }
}

static int add(struct conn *c, const char *text)
{
    return weft_writer_write(&c->out, text, strlen(text));
}

static char *number_text(uint64_t n, char text[24], int base)
{
    char *at = text + 23;

    *at = 0;
    do
        *--at = "0123456789abcdef"[n % (unsigned)base];
    while (n /= (unsigned)base);
    return at;
}

// add_date adds the date, which is made once a second.
static int add_date(struct conn *c)
{
    weft_time now = weft_now();

    if (now - c->dated >= WEFT_S(1)) {
        time_t t = time(NULL);
        struct tm tm;
        strftime(c->date, sizeof(c->date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&t, &tm));
        c->dated = now;
    }
    return weft_writer_write(&c->out, c->date, 29);
}

// add_status adds the first line, and the headers that all replies have.
static int add_status(struct conn *c, int status)
{
    char number[24];
    int err = status == 200 ? add(c, "HTTP/1.1 200 OK\r\nServer: weft\r\nDate: ") : 0;

    if (status != 200) {
        add(c, "HTTP/1.1 ");
        add(c, number_text((uint64_t)status, number, 10));
        add(c, " ");
        add(c, phrase_of(status));
        err = add(c, "\r\nServer: weft\r\nDate: ");
    }
    if (err == 0)
        err = add_date(c);
    c->closing = c->closing || !c->req.keep_alive;
    if (err == 0 && (c->closing || c->parser.http_minor == 0))
        err = add(c, c->closing ? "\r\nConnection: close" : "\r\nConnection: keep-alive");
    return err;
}

int reply_head(struct conn *c, int status, const char *type, uint64_t size, const char *more)
{
    char number[24];
    int err = add_status(c, status);

    if (err == 0 && type) {
        add(c, "\r\nContent-Type: ");
        err = add(c, type);
    }
    if (err == 0 && status != 304) {
        add(c, "\r\nContent-Length: ");
        err = add(c, number_text(size, number, 10));
    }
    if (err == 0)
        err = add(c, "\r\n");
    if (err == 0 && more)
        err = add(c, more);
    return err < 0 ? err : add(c, "\r\n");
}

int reply(struct conn *c, int status, const char *type, const void *body, size_t size)
{
    int err = reply_head(c, status, type, size, NULL);
    return err < 0 || c->req.method == HTTP_HEAD ? err : weft_writer_write(&c->out, body, size);
}

int reply_error(struct conn *c, int status)
{
    const char *phrase = phrase_of(status);
    return reply(c, status, "text/plain", phrase, strlen(phrase));
}

int reply_echo(struct conn *c)
{
    char number[24];
    struct request *r = &c->req;

    if (!r->chunked || c->parser.http_minor == 0)
        return reply(c, 200, "application/octet-stream", r->body, r->body_size);
    int err = add_status(c, 200);
    if (err == 0)
        err = add(c, "\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
    if (err == 0 && r->body_size > 0) {
        add(c, number_text(r->body_size, number, 16));
        add(c, "\r\n");
        weft_writer_write(&c->out, r->body, r->body_size);
        err = add(c, "\r\n");
    }
    return err < 0 ? err : add(c, "0\r\n\r\n");
}
