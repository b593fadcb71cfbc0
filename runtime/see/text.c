#include "runtime/see/text.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/sys.h"

void wf_text_flush(struct wf_text *t)
{
    for (size_t done = 0; done < t->n && !t->err;) {
        ssize_t n = WF_RETRY(wf_sys_write(t->fd, t->buf + done, t->n - done));
        if (n >= 0)
            done += (size_t)n;
        else
            t->err = (int)n;
    }
    t->n = 0;
}

void wf_text_put(struct wf_text *t, const char *format, ...)
{
    va_list args;

    if (sizeof(t->buf) - t->n < WF_TEXT_LINE)
        wf_text_flush(t);
    va_start(args, format);
    int n = vsnprintf(t->buf + t->n, WF_TEXT_LINE, format, args);
    va_end(args);
    wf_assert(n >= 0 && n < WF_TEXT_LINE);
    t->n += (size_t)n;
}
