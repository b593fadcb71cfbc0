// Errors are return values: zero or more is success, a negative errno value is failure.
// weft never reports through `errno`: it is thread-local, compilers cache its address,
// and a task can wake up on another thread.
#ifndef WEFT_ERROR_H
#define WEFT_ERROR_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

// Errors without an errno value. They are below all negative errno values.
enum {
    WEFT_ADDR_FORM = -4097,    // of text for an address: it is not HOST:PORT, or an empty path
    WEFT_ADDR_NO_PORT = -4098, // it has no port
    WEFT_ADDR_PORT = -4099,    // its port is not a number from 0 to 65535
    WEFT_BAD_CONFIG = -4101,   // a setting of weft_config, or of the environment, cannot be used; stderr says which

    // Of name look-ups (weft/net.h), as in getaddrinfo(3). Where an errno value exists,
    // weft returns that: -ENOMEM, and the system's own error for EAI_SYSTEM.
    WEFT_EAI_AGAIN = -4128,   // the name servers do not answer, or cannot now; a later try may succeed
    WEFT_EAI_FAIL = -4129,    // a name server answered with a permanent error
    WEFT_EAI_NONAME = -4130,  // the name does not exist
    WEFT_EAI_NODATA = -4131,  // the name exists, and has no address (of that family)
    WEFT_EAI_SERVICE = -4132, // the service does not exist (/etc/services)
    WEFT_EAI_FAMILY = -4133,  // the address family is not AF_UNSPEC, AF_INET or AF_INET6

    // Of TLS (weft/tls.h, the library libweft-tls).
    WEFT_TLS_PROTOCOL = -4160,  // the peer breaks TLS's rules, or has no version or cipher in common
    WEFT_TLS_ALERT = -4161,     // the peer has given up, and has sent an alert
    WEFT_TLS_TRUNCATED = -4162, // the connection ended without TLS's closing message: data may be missing
    WEFT_TLS_CERT = -4163,      // the peer's certificate is not trusted, or there is none
    WEFT_TLS_CERT_TIME = -4164, // the peer's certificate has expired, or is not valid yet
    WEFT_TLS_CERT_HOST = -4165, // the peer's certificate is for another host
    WEFT_TLS_FILE = -4166,      // the program's own certificate or key cannot be used
};

// weft_strerror names an error that a weft call returned (its sign does not matter).
//
// Returns: a static string; "unknown error" for an undefined code.
// Context: any thread. Never parks.
WEFT_API const char *weft_strerror(int err);

WEFT_END_DECLS

#endif
