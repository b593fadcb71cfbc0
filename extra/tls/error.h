// OpenSSL's errors as weft's. OpenSSL's queue of errors belongs to the thread: read it
// after the failed call, before the task parks.
#ifndef WF_TLS_ERROR_H
#define WF_TLS_ERROR_H

#include <openssl/ssl.h>

// wf_tls_error takes the first error of this thread's queue, and empties the queue.
// Returns: a negative errno value; `other` if the error has none.
int wf_tls_error(int other);

// wf_tls_refusal is the same after a step of a connection: it takes the queue's first
// error of TLS, or the result of the check of the peer's certificate.
// Returns: WEFT_TLS_...; -ENOMEM.
int wf_tls_refusal(SSL *ssl);

#endif
