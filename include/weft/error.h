// Errors are return values: zero or more is success, a negative errno value is failure. weft never reports through
// `errno`: it is thread-local, compilers cache its address, and a task can wake up on another thread.
#ifndef WEFT_ERROR_H
#define WEFT_ERROR_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

// weft_strerror names an error that a weft call returned (its sign does not matter).
//
// Returns: a string that lives for ever; "unknown error" for a code that nobody defined.
// Context: any thread. Never parks.
WEFT_API const char *weft_strerror(int err);

WEFT_END_DECLS

#endif
