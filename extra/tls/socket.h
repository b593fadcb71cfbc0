// A socket as OpenSSL sees it: a BIO of our own, which never waits.
//
// OpenSSL's socket BIO (SSL_set_fd) reads and writes by read(2) and write(2). It would
// block the worker on a socket in blocking mode, and O_NONBLOCK may not be set, because
// it belongs to the open file description, which other processes may share. And it
// raises SIGPIPE. This one says MSG_DONTWAIT and MSG_NOSIGNAL. It does not park either:
// a task that did so here could wake on another thread inside of OpenSSL, which keeps
// errors, errno's address and locks by thread. It says "retry" instead, OpenSSL
// returns, and the caller waits (connection.c).
//
// Fewer system calls. OpenSSL reads again after each record, to find nothing. A read
// that came back short has most likely taken everything, so the next one is not made,
// but says "retry" at once. That is safe whatever the guess is worth: the caller then
// asks weft_poll, which says at once if there is more, and the read after that is made.
#ifndef WF_TLS_SOCKET_H
#define WF_TLS_SOCKET_H

#include <openssl/bio.h>
#include <stdbool.h>

struct wf_tls_socket {
    int fd;
    bool drained;               // the last read was short: the next one is not made
    bool eof;                   // the peer has closed, with or without close_notify
    int read_error, send_error; // what recv and send have failed with, as -errno
};

// wf_tls_socket_bio makes a BIO on a socket that outlives it, and stays open.
// Returns: NULL if there is no memory.
BIO *wf_tls_socket_bio(struct wf_tls_socket *s);

#endif
