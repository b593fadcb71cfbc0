// Contexts with safe defaults.
#include <errno.h>
#include <openssl/err.h>
#include <weft/tls.h>

#include "extra/tls/error.h"

static SSL_CTX *make_context(const SSL_METHOD *method)
{
    SSL_CTX *ctx = SSL_CTX_new(method);

    if (ctx && SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1)
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

int weft_tls_client_ctx(SSL_CTX **out)
{
    ERR_clear_error();
    SSL_CTX *ctx = make_context(TLS_client_method());
    if (ctx && SSL_CTX_set_default_verify_paths(ctx) != 1) {
        SSL_CTX_free(ctx);
        ctx = NULL;
    }
    int err = ctx ? 0 : wf_tls_error(-ENOMEM);
    ERR_clear_error();
    if (err < 0)
        return err;
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    *out = ctx;
    return 0;
}

// refuse_phrase is the callback for a key's pass phrase. OpenSSL's own would ask the
// terminal, and block the thread.
static int refuse_phrase(char *buf, int size, int writes, void *arg)
{
    (void)buf;
    (void)size;
    (void)writes;
    (void)arg;
    return -1;
}

static int load_files(SSL_CTX *ctx, const char *cert_file, const char *key_file)
{
    SSL_CTX_set_default_passwd_cb(ctx, refuse_phrase);
    bool well = SSL_CTX_use_certificate_chain_file(ctx, cert_file) == 1 &&
                SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) == 1 &&
                SSL_CTX_check_private_key(ctx) == 1;
    return well ? 0 : wf_tls_error(WEFT_TLS_FILE);
}

// weft_tls_server_ctx: sessions are resumed by tickets, without the cache, which has
// one lock for all threads. If the program asks clients for certificates, sessions need
// an identity (the session id context).
int weft_tls_server_ctx(SSL_CTX **out, const char *cert_file, const char *key_file)
{
    static const unsigned char name[] = "weft";

    ERR_clear_error();
    SSL_CTX *ctx = make_context(TLS_server_method());
    int err = !ctx ? wf_tls_error(-ENOMEM) : load_files(ctx, cert_file, key_file);
    ERR_clear_error();
    if (err < 0) {
        SSL_CTX_free(ctx);
        return err;
    }
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_session_id_context(ctx, name, sizeof(name) - 1);
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    *out = ctx;
    return 0;
}
