// TLS on OpenSSL 3: the library libweft-tls, beside libweft. <weft.h> does not bring
// this header.
//
// A connection is a socket after a handshake. The socket may be in blocking mode or
// not, and keeps its mode; the calls below park the task, never its thread. For
// certificates, keys, versions, ciphers, ALPN and resumption use OpenSSL's own calls:
// on the SSL_CTX before the handshake, by weft_tls_ssl after it.
//
// One task may read while another one writes. Several tasks may read; each byte goes to
// one of them. Tasks that write take turns, a whole call each.
//
// Callbacks that the program has put into the SSL_CTX (ALPN, SNI, verification, ...)
// run in the task that makes the call, and must not park. A handshake fits a stack of
// 32 KiB with OpenSSL 3.0 (it takes 8 KiB as the client, 13 as the server); callbacks,
// engines and providers come on top. Computing a signature occupies the worker: about a
// millisecond for RSA of 2048 bits, a tenth of that for P-256.
//
// SIGPIPE is never raised: not even on a thread that is not weft's.
//
// Truncation. TLS has its own end message (close_notify), which a machine on the way
// cannot forge. A connection that ends without it is WEFT_TLS_TRUNCATED, not an end of
// stream: what was read may be only a part of what the peer has sent.
//
// Errors. Once a call has returned an error other than -ECANCELED and the -ETIMEDOUT of
// a scope, each later call in that direction returns it again. An error of TLS itself
// (WEFT_TLS_...) ends both directions. OpenSSL's error queue belongs to the thread;
// each call here leaves it empty.
//
// Common to the calls that may park, unless they say otherwise:
// Returns: a negative error: errors of recv(2) and send(2) (-ECONNRESET, -EPIPE, ...);
//          WEFT_TLS_... (weft/error.h); -ECANCELED, -ETIMEDOUT; -ENOMEM.
// Context: task. May park, so the caller may continue on another thread. In a cancelled
//          task a call fails, even if it would not have to wait.
#ifndef WEFT_TLS_H
#define WEFT_TLS_H

#include <openssl/ssl.h>
#include <sys/types.h>
#include <weft.h>

WEFT_BEGIN_DECLS

typedef struct weft_tls weft_tls;

// weft_tls_client_ctx makes a context for clients: TLS 1.2 or later, and only
// connections to peers whose certificate is signed by one of the system's authorities
// (or those that SSL_CERT_FILE and SSL_CERT_DIR in the environment name).
//
// weft_tls_server_ctx makes a context for servers: TLS 1.2 or later, and a certificate
// with its chain and its private key, from files in PEM. It refuses a key with a pass
// phrase, and does not ask the terminal.
//
// Returns: 0; -ENOMEM; of _server_ctx: errors of open(2); WEFT_TLS_FILE: not a
//          certificate, not a key, or the key of another certificate.
// Context: any thread. Blocks for reading the files. Never parks.
// Owns:    the caller frees *out by SSL_CTX_free, at any time: connections hold
//          references.
WEFT_API WEFT_MUST_CHECK int weft_tls_client_ctx(SSL_CTX **out);
WEFT_API WEFT_MUST_CHECK int weft_tls_server_ctx(SSL_CTX **out, const char *cert_file, const char *key_file);

// weft_tls_client makes a connection of the connected socket `fd`, as the client of
// `host`: a name (without a port) or a numeric address. The peer's certificate must be
// valid, of a trusted authority, and for `host`, even if `ctx` does not ask for
// verification; its verify callback is called if it has one. A name is sent to the
// server (SNI).
//
// `host` NULL: the peer is checked as `ctx` says (SSL_CTX_set_verify), no name is
// checked, and none is sent. Then any peer is accepted, unless the program checks it
// (SSL_get0_peer_certificate).
//
// weft_tls_server makes a connection as the server. In TLS 1.3 it returns before the
// client has accepted the server's certificate: a refusal is an error of the first
// read.
//
// Neither renegotiates: it refuses the peer's request.
//
// Returns: 0; also -EINVAL: `ctx` is NULL, or `host` is not a host; -ENOTSOCK.
// Cancel:  the handshake is incomplete: `fd` can only be closed. The same holds after
//          each other error, except -EINVAL.
// Owns:    `fd` belongs to *out on success; else it stays the caller's. `ctx` stays the
//          caller's.
WEFT_API WEFT_MUST_CHECK int weft_tls_client(weft_tls **out, int fd, SSL_CTX *ctx, const char *host);
WEFT_API WEFT_MUST_CHECK int weft_tls_server(weft_tls **out, int fd, SSL_CTX *ctx);

// weft_tls_read reads up to `n` bytes, at most what one record has (16 KiB).
//
// Returns: how many; 0 at the end that the peer has sent, and if `n` is 0;
//          WEFT_TLS_TRUNCATED.
// Cancel:  nothing was read.
WEFT_API ssize_t weft_tls_read(weft_tls *t, void *buf, size_t n);

// weft_tls_write writes all `n` bytes. It returns fewer only if a cancel, a deadline or
// an error has ended it, which the next call returns.
//
// Returns: how many the connection has taken; -EPIPE also after weft_tls_shutdown.
// Cancel:  the connection has taken as many bytes as the call returns. A record that
//          was begun must be sent completely, or the peer could not read anything after
//          it. So its bytes (up to 16 KiB) count as taken, the connection keeps a copy,
//          and the next write, shutdown or close sends them first. Without memory for
//          the copy the call returns -ENOMEM, and nothing can be written any more.
WEFT_API ssize_t weft_tls_write(weft_tls *t, const void *buf, size_t n);

// weft_tls_shutdown ends the output: the peer reads what was written, and then an end
// that is not a truncation. Reading goes on. To be sure that the peer has read
// everything, read until 0 after this. A close right away may reset the connection if
// the peer has sent bytes that were not read; then the peer may lose the rest.
//
// Returns: 0, also if it was done before.
// Cancel:  if the end was not begun, writes go on; otherwise they return -EPIPE. Call
//          it again to send the rest.
WEFT_API int weft_tls_shutdown(weft_tls *t);

// weft_tls_close closes the connection and its socket, and frees both. If weft_tls_shutdown
// was not called, it sends the end if the socket has room, without waiting; otherwise
// the peer sees a truncation.
//
// Returns: as weft_close.
// Context: any thread, when no call on `t` is in progress. Never parks; not a
//          cancellation point. The note on SO_LINGER at weft_close applies here, too.
WEFT_API int weft_tls_close(weft_tls *t);

// weft_tls_ssl gives OpenSSL's object, to query (SSL_get_version,
// SSL_get0_alpn_selected, SSL_get0_peer_certificate) or to change (SSL_key_update). Do
// not read, write, shut down or free it.
// Context: any thread; to change it, when no call on `t` is in progress.
// Owns:    the connection owns it.
WEFT_API SSL *weft_tls_ssl(weft_tls *t);

// weft_tls_stream is the stream of a connection, for readers and writers
// (weft/stream.h). An idle reader and an idle connection hold no buffers.
// Context: any thread. Never parks.
// Owns:    nothing: the connection stays the caller's. The stream's close is
//          weft_tls_close.
WEFT_API weft_stream weft_tls_stream(weft_tls *t);

WEFT_END_DECLS

#endif
