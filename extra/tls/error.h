// What OpenSSL says went wrong, as weft's errors. Its queue of errors is the thread's:
// it is to be read between the call that failed and anything that may park.
#ifndef WF_TLS_ERROR_H
#define WF_TLS_ERROR_H

#include <openssl/ssl.h>

// wf_tls_error takes the first error of this thread's queue, and empties that.
// Returns: an errno value, negative; `other` if it is something else.
int wf_tls_error(int other);

// wf_tls_refusal is the same after a step of a connection: the queue's first error of
// TLS, or what is wrong with the peer's certificate.
// Returns: WEFT_TLS_...; -ENOMEM.
int wf_tls_refusal(SSL *ssl);

#endif
