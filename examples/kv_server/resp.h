// RESP, the protocol of Redis: requests are parsed in place; replies are collected
// until the connection would wait.
#ifndef KV_RESP_H
#define KV_RESP_H

#include <weft.h>

#include "text.h"

enum { REQUEST_MAX = 64 << 20, OUT_MAX = 64 << 10 };

struct conn {
    int fd; // -1: replies are dropped
    int64_t id;
    int protocol; // RESP2 or RESP3
    bool closing;
    weft_reader in;
    GString *out;
    GArray *spans; // of struct span: where the arguments are, from the reader's position on
    GArray *args;  // of struct text
    char name[64];
    _Atomic uint64_t commands;
};

void conn_init(struct conn *c, weft_stream s, int fd);
void conn_fini(struct conn *c);

// conn_flush sends the replies.  Returns: 0; a negative error.
int conn_flush(struct conn *c);

// request_read reads a request: an array of bulk strings, or a line of words. It sends
// the replies before it waits for bytes. The arguments are in c->args, and valid until
// request_done.
//
// Returns: how many bytes the request has; -ENODATA at the end; -EBADMSG: not a
//          request, as a reply has said; another negative error.
ssize_t request_read(struct conn *c);
void request_done(struct conn *c, ssize_t size);

void reply_status(struct conn *c, const char *status);
void reply_error(struct conn *c, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
void reply_int(struct conn *c, int64_t value);
void reply_text(struct conn *c, struct text t);
void reply_null(struct conn *c);
void reply_null_array(struct conn *c);
void reply_double(struct conn *c, double value);

// These begin an array, a set, or a map of `n` pairs; its replies follow.
void reply_array(struct conn *c, size_t n);
void reply_set(struct conn *c, size_t n);
void reply_map(struct conn *c, size_t pairs);

#endif
