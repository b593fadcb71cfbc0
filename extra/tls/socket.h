// A socket for OpenSSL: weft's own BIO, which never waits.
//
// OpenSSL's socket BIO (SSL_set_fd) reads and writes by read(2) and write(2). It would
// block the worker on a socket in blocking mode, and O_NONBLOCK may not be set, because
// it belongs to the open file description, which other processes may share. And it
// raises SIGPIPE. This BIO uses MSG_DONTWAIT and MSG_NOSIGNAL. It does not park either:
// a task could then wake on another thread inside OpenSSL, which keeps errors, errno's
// address and locks per thread. Instead it returns "retry", OpenSSL returns, and the
// caller waits (connection.c).
//
// Fewer system calls. OpenSSL reads again after each record, usually in vain. After a
// short read the socket is most likely empty, so the BIO skips the next read and
// returns "retry" at once. That is safe even if the guess is wrong: the caller then
// calls weft_poll, which returns at once if there are more bytes, and the read after
// that is made.
#ifndef WF_TLS_SOCKET_H
#define WF_TLS_SOCKET_H

#include <openssl/bio.h>
#include <stdbool.h>

struct wf_tls_socket {
    int fd;
    bool more;                  // more bytes follow the next ones at once: MSG_MORE
    bool drained;               // the last read was short: skip the next one
    bool eof;                   // the peer has closed, with or without close_notify
    int read_error, send_error; // what recv and send have failed with, as -errno
};

// wf_tls_socket_bio makes a BIO on a socket that outlives it, and stays open.
// Returns: NULL if there is no memory.
BIO *wf_tls_socket_bio(struct wf_tls_socket *s);

#endif
