#include "extra/tls/error.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <weft.h>

int wf_tls_error(int other)
{
    unsigned long first = ERR_peek_error();

    ERR_clear_error();
    if (ERR_SYSTEM_ERROR(first))
        return -ERR_GET_REASON(first);
    return ERR_GET_REASON(first) == ERR_R_MALLOC_FAILURE ? -ENOMEM : other;
}

// first_of_ssl takes the first error of TLS. Errors before it (of signatures, of the
// form of certificates) are its causes.
static int first_of_ssl(void)
{
    unsigned long e;

    while ((e = ERR_get_error()) != 0 && ERR_GET_LIB(e) != ERR_LIB_SSL)
        ;
    ERR_clear_error();
    return ERR_GET_REASON(e);
}

// of_reason maps a reason to weft's error. Reasons from 1000 on are alerts that the
// peer has sent.
static int of_reason(int reason)
{
    switch (reason) {
    case ERR_R_MALLOC_FAILURE:
        return -ENOMEM;
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
        return WEFT_TLS_TRUNCATED;
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return WEFT_TLS_CERT;
    default:
        break;
    }
    bool alert = reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256;
    return alert ? WEFT_TLS_ALERT : WEFT_TLS_PROTOCOL;
}

static int of_certificate(long verdict)
{
    switch (verdict) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return WEFT_TLS_CERT_TIME;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return WEFT_TLS_CERT_HOST;
    case X509_V_ERR_OUT_OF_MEM:
        return -ENOMEM;
    default:
        return WEFT_TLS_CERT;
    }
}

int wf_tls_refusal(SSL *ssl)
{
    int err = of_reason(first_of_ssl());
    long verdict = SSL_get_verify_result(ssl);

    return err == WEFT_TLS_CERT && verdict != X509_V_OK ? of_certificate(verdict) : err;
}
