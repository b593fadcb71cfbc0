#include <string.h>
#include <limits.h>
#include <weft/error.h>

const char *weft_strerror(int err)
{
    // strerrordesc_np (glibc 2.32): no buffer, no locale, any thread.
    const char *text = strerrordesc_np(err < 0 && err != INT_MIN ? -err : err);
    return text ? text : "unknown error";
}
