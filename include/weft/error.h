// Errors are return values: zero or more is success, a negative errno value is failure.
// weft never reports through `errno`: it is thread-local, compilers cache its address,
// and a task can wake up on another thread.
#ifndef WEFT_ERROR_H
#define WEFT_ERROR_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

// Errors that no errno value names lie below all of those.
enum {
    WEFT_ADDR_FORM = -4097,    // of text for an address: it is not HOST:PORT, or an empty path
    WEFT_ADDR_NO_PORT = -4098, // it has no port
    WEFT_ADDR_PORT = -4099,    // its port is not a number from 0 to 65535
    WEFT_ADDR_NAME = -4100,    // its host is a name, and names are not looked up yet
    WEFT_BAD_CONFIG = -4101,   // a setting of weft_config, or of the environment, cannot be used; stderr says which
};

// weft_strerror names an error that a weft call returned (its sign does not matter).
//
// Returns: a static string; "unknown error" for an undefined code.
// Context: any thread. Never parks.
WEFT_API const char *weft_strerror(int err);

WEFT_END_DECLS

#endif
