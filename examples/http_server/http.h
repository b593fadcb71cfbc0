// HTTP/1.1: a connection, the request that it reads, and replies.
#ifndef HTTP_SERVER_HTTP_H
#define HTTP_SERVER_HTTP_H

#include <llhttp.h>
#include <stdatomic.h>
#include <weft.h>

enum {
    HEAD_MAX = 16 << 10,  // bytes of a request's head
    TARGET_MAX = 2 << 10, // of its target
    BODY_MAX = 1 << 20,
    IDLE_SECONDS = 60, // between two requests; the connection may close after half of it
    HEAD_SECONDS = 10, // for the whole head
    BODY_SECONDS = 30, // for the whole body
};

struct request {
    unsigned method; // HTTP_GET and so on
    bool keep_alive, expects, chunked;
    char range[64], if_range[80], if_none_match[256], if_modified[40]; // headers; "" without, or if they are too long
    int hosts, encodings;                                              // how many such headers there were
    int refusal;                                                       // a status, if a header cannot be accepted
    char *body;
    size_t body_size;
    char path[TARGET_MAX]; // as it was sent, with a query; last: the rest is cleared for each request
};

struct conn {
    int fd; // -1: there is TLS in between
    weft_reader in;
    weft_writer out;
    weft_scope limit; // cancelled when the client is too slow
    weft_time until;  // its deadline
    llhttp_t parser;
    const char *name, *value; // the header that is being parsed
    size_t name_size, value_size;
    bool complete; // the parser has seen the end of the request
    struct request req;
    bool closing; // the connection closes after this reply
    char date[32];
    weft_time dated;
    uint64_t requests;         // since the last batch
    struct conn *next, **link; // in the list of all
    _Atomic bool idle;         // the connection waits for a request
};

// conn_init makes a connection on a stream, and conn_fini ends it. `fd` is the stream's
// socket if data may be sent to it directly.
void conn_init(struct conn *c, weft_stream s, int fd);
void conn_fini(struct conn *c);

// conn_allow restarts the client's idle limit; it is called at each progress.
// conn_limit sets a limit of `seconds` from now on.
void conn_allow(struct conn *c);
void conn_limit(struct conn *c, int seconds);

// request_read reads a request into c->req, first from the buffer.
//
// Returns: 0; a status above 0, to refuse the request and close; -ENODATA at the end;
//          another negative error.
int request_read(struct conn *c);

// reply adds a whole reply; reply_head adds the part before a body of `size` bytes,
// with more headers ("Name: value\r\n" each). Returns: 0; a negative error.
int reply(struct conn *c, int status, const char *type, const void *body, size_t size);
int reply_head(struct conn *c, int status, const char *type, uint64_t size, const char *more);

// reply_error adds a reply whose body explains the status.
int reply_error(struct conn *c, int status);

// reply_echo sends the request's body back, in chunks if it came in chunks.
int reply_echo(struct conn *c);

// file_reply sends the file of the request's path, or an error. The folder is that of
// file_root, which returns a negative error.
int file_root(const char *path);
bool file_has_root(void);
int file_reply(struct conn *c);

#endif
