#include <limits.h>
#include <string.h>
#include <weft/error.h>

#include "base/compiler.h"

enum { OWN = -WEFT_ADDR_FORM };

static const char *const own[] = {
    [-WEFT_ADDR_FORM - OWN] = "Not an address of the form HOST:PORT",
    [-WEFT_ADDR_NO_PORT - OWN] = "The address has no port: it must be HOST:PORT",
    [-WEFT_ADDR_PORT - OWN] = "The address's port is not a number from 0 to 65535",
    [-WEFT_BAD_CONFIG - OWN] = "A setting of the runtime cannot be used",
    [-WEFT_EAI_AGAIN - OWN] = "Temporary failure of the look-up of a name",
    [-WEFT_EAI_FAIL - OWN] = "Permanent failure of the look-up of a name",
    [-WEFT_EAI_NONAME - OWN] = "There is no host of this name",
    [-WEFT_EAI_NODATA - OWN] = "The host has no address, or none of the family asked for",
    [-WEFT_EAI_SERVICE - OWN] = "There is no service of this name",
    [-WEFT_EAI_FAMILY - OWN] = "Hosts have no addresses of this family",
    [-WEFT_TLS_PROTOCOL - OWN] = "The peer does not keep to TLS, or has no version or cipher in common",
    [-WEFT_TLS_ALERT - OWN] = "The peer has refused, by a TLS alert",
    [-WEFT_TLS_TRUNCATED - OWN] = "The connection has ended without TLS's end",
    [-WEFT_TLS_CERT - OWN] = "The peer's certificate is not trusted",
    [-WEFT_TLS_CERT_TIME - OWN] = "The peer's certificate has expired, or is not valid yet",
    [-WEFT_TLS_CERT_HOST - OWN] = "The peer's certificate is for another host",
    [-WEFT_TLS_FILE - OWN] = "The certificate or the key cannot be used",
};

const char *weft_strerror(int err)
{
    int code = err < 0 && err != INT_MIN ? -err : err;

    if (code >= OWN && code < OWN + (int)wf_countof(own) && own[code - OWN])
        return own[code - OWN];
    // strerrordesc_np (glibc 2.32): no buffer, no locale, any thread.
    const char *text = strerrordesc_np(code);
    return text ? text : "unknown error";
}
