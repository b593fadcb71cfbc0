// Certificates for tests of TLS, made when they are needed, and contexts with them.
#ifndef WF_TESTS_CERTS_H
#define WF_TESTS_CERTS_H

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/stat.h>

#include "tests/support/harness.h"

// Whom a certificate is for, and when, in seconds from now.
struct cert_for {
    const char *names; // subjectAltName: "DNS:localhost,IP:127.0.0.1"
    long from, to;
};

static const struct cert_for cert_here = { "DNS:localhost,DNS:*.example.org,IP:127.0.0.1,IP:::1", -3600, 3600 };

static inline X509 *cert_make(EVP_PKEY *key, const struct cert_for *whom)
{
    X509 *cert = X509_new();

    assert_true(cert && key);
    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), whom->from);
    X509_gmtime_adj(X509_getm_notAfter(cert), whom->to);
    X509_NAME *name = X509_get_subject_name(cert);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"weft", -1, -1, 0);
    X509_set_issuer_name(cert, name);
    X509_set_pubkey(cert, key);
    X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, whom->names);
    assert_true(names && X509_add_ext(cert, names, -1) == 1);
    X509_EXTENSION_free(names);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    return cert;
}

// cert_contexts makes the context of a server with such a certificate, and that of a
// client that trusts it.
static inline void cert_contexts(const struct cert_for *whom, SSL_CTX **server, SSL_CTX **client)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = cert_make(key, whom);

    *server = SSL_CTX_new(TLS_server_method());
    *client = SSL_CTX_new(TLS_client_method());
    assert_true(*server && *client);
    assert_int_equal(SSL_CTX_use_certificate(*server, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(*server, key), 1);
    assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(*client), cert), 1);
    X509_free(cert);
    EVP_PKEY_free(key);
}

// cert_files writes a certificate and its key; with `phrase`, that opens the key.
static inline void cert_files(const char *cert_path, const char *key_path, const char *phrase)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = cert_make(key, &cert_here);
    FILE *c = fopen(cert_path, "we"), *k = fopen(key_path, "we");

    assert_true(c && k);
    assert_int_equal(PEM_write_X509(c, cert), 1);
    assert_int_equal(PEM_write_PrivateKey(k, key, phrase ? EVP_aes_128_cbc() : NULL, (const unsigned char *)phrase,
                                          phrase ? (int)strlen(phrase) : 0, NULL, NULL),
                     1);
    assert_int_equal(fclose(c), 0);
    assert_int_equal(fclose(k), 0);
    X509_free(cert);
    EVP_PKEY_free(key);
}

#endif
