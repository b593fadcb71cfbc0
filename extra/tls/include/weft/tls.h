// TLS on OpenSSL 3: the library libweft-tls, beside libweft. <weft.h> does not bring
// this header.
//
// A connection is a socket with a handshake behind it. The socket may be in blocking
// mode or not, and keeps its mode; the calls below park the task, never its thread.
// Certificates, keys, versions, ciphers, ALPN, resumption: what is not here is
// OpenSSL's, by the SSL_CTX before, and by weft_tls_ssl after the handshake.
//
// One task may read while another one writes. Several tasks may read, each byte goes to
// one of them; tasks that write take turns, a whole call each.
//
// Callbacks that the program has put into the SSL_CTX (ALPN, SNI, verification, ...)
// run in the task that makes the call, and must not park. A handshake fits a stack of
// 32 KiB with OpenSSL 3.0 (it takes 8 KiB as the client, 13 as the server); callbacks,
// engines and providers come on top. Computing a signature occupies the worker: about a
// millisecond for RSA of 2048 bits, a tenth of that for P-256.
//
// SIGPIPE is never raised: not even on a thread that is not weft's.
//
// Truncation. TLS has an end of its own (close_notify), which a machine on the way cannot
// forge. A connection that ends without it is WEFT_TLS_TRUNCATED, not an end of stream:
// what was read may be only a part of what the peer has sent.
//
// Errors. Once a call has returned an error other than -ECANCELED and the -ETIMEDOUT of
// a scope, each later call in that direction returns it again. An error of TLS itself
// (WEFT_TLS_...) ends both directions. OpenSSL's error queue is the thread's: it has
// been emptied when a call returns.
//
// Common to the calls that may park, unless they say otherwise:
// Returns: a negative error: errors of recv(2) and send(2) (-ECONNRESET, -EPIPE, ...);
//          WEFT_TLS_... (weft/error.h); -ECANCELED, -ETIMEDOUT; -ENOMEM.
// Context: task. May park, so the caller may continue on another thread. Whether or not
//          it has to wait, a call of a cancelled task fails.
#ifndef WEFT_TLS_H
#define WEFT_TLS_H

#include <openssl/ssl.h>
#include <sys/types.h>
#include <weft.h>

WEFT_BEGIN_DECLS

typedef struct weft_tls weft_tls;

// weft_tls_client_ctx makes what clients need: TLS 1.2 or later, the system's
// certificate authorities (SSL_CERT_FILE and SSL_CERT_DIR in the environment name
// others), and no connection to a peer that these do not vouch for.
//
// weft_tls_server_ctx makes what a server needs: TLS 1.2 or later, and a certificate
// with its chain and its private key, from files in PEM. A key that needs a pass phrase
// is refused, and the terminal is not asked for one.
//
// Returns: 0; -ENOMEM; of _server_ctx: errors of open(2); WEFT_TLS_FILE: not a
//          certificate, not a key, or the key of another certificate.
// Context: any thread. Blocks for reading the files. Never parks.
// Owns:    the caller frees *out by SSL_CTX_free: at any time, connections keep what
//          they need of it.
WEFT_API WEFT_MUST_CHECK int weft_tls_client_ctx(SSL_CTX **out);
WEFT_API WEFT_MUST_CHECK int weft_tls_server_ctx(SSL_CTX **out, const char *cert_file, const char *key_file);

// weft_tls_client makes a connection of the connected socket `fd`, as the client of
// `host`: a name (without a port) or a numeric address. The peer's certificate must be
// valid, of a trusted authority, and for `host`, even if `ctx` does not ask for
// verification; its verify callback is called if it has one. A name is sent to the
// server (SNI).
//
// `host` NULL: the peer is checked as `ctx` says (SSL_CTX_set_verify), no name is
// looked at, and none is sent. Whoever answers is then the peer, unless the program
// looks for itself (SSL_get0_peer_certificate).
//
// weft_tls_server makes a connection as the server. In TLS 1.3 it is complete before
// the client has said whether it likes the server's certificate: that it does not is an
// error of the first read.
//
// Neither ever renegotiates: the peer's request is refused.
//
// Returns: 0; also -EINVAL: `ctx` is NULL, or `host` is not a host; -ENOTSOCK.
// Cancel:  the handshake stays half done: `fd` can only be closed. So after each other
//          error, except -EINVAL.
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

// weft_tls_write writes all `n` bytes. It returns fewer only if it was cut short: by a
// cancel, a deadline, or an error, which the next call returns.
//
// Returns: how many the connection has taken; -EPIPE also after weft_tls_shutdown.
// Cancel:  what it returns is taken, the rest is not. A record that has been begun must
//          be sent to its end, or the peer could read nothing that comes after it: so
//          its bytes (up to 16 KiB) count as taken, the connection keeps a copy, and
//          the next write, shutdown or close sends them first. If there is no memory
//          for the copy, -ENOMEM: nothing can be written any more.
WEFT_API ssize_t weft_tls_write(weft_tls *t, const void *buf, size_t n);

// weft_tls_shutdown ends what is written: the peer reads what is under way, and then an
// end that it can tell from a truncation. Reading goes on. To know that the peer has
// seen all of it, read until 0 after this; a close right away may reset the connection
// when the peer has sent something that was not read, and then the peer may miss the
// rest.
//
// Returns: 0, also if it was done before.
// Cancel:  if it was cut short before the end itself could be begun, writing goes on;
//          after that it returns -EPIPE. Call again to send what is left.
WEFT_API int weft_tls_shutdown(weft_tls *t);

// weft_tls_close closes the connection and its socket, and frees both. If weft_tls_shutdown
// was not called, it sends the end as far as the socket has room for it, without waiting:
// otherwise the peer sees a truncation.
//
// Returns: as weft_close.
// Context: any thread, when no call on `t` is under way. Never parks; not a cancellation
//          point. What weft_close says of SO_LINGER holds here, too.
WEFT_API int weft_tls_close(weft_tls *t);

// weft_tls_ssl gives OpenSSL's object: to look (SSL_get_version, SSL_get0_alpn_selected,
// SSL_get0_peer_certificate), or to change (SSL_key_update). It is not to be read,
// written, shut down or freed.
// Context: any thread; to change it, when no call on `t` is under way.
// Owns:    it stays the connection's.
WEFT_API SSL *weft_tls_ssl(weft_tls *t);

// weft_tls_stream is the stream of a connection, for readers and writers
// (weft/stream.h). An idle reader and an idle connection hold no buffers.
// Context: any thread. Never parks.
// Owns:    nothing: the connection stays the caller's. The stream's close is
//          weft_tls_close.
WEFT_API weft_stream weft_tls_stream(weft_tls *t);

WEFT_END_DECLS

#endif
