// Text on its way to a descriptor, by the page.
#ifndef WF_RUNTIME_SEE_TEXT_H
#define WF_RUNTIME_SEE_TEXT_H

#include <stddef.h>

#include "base/compiler.h"

struct wf_text {
    int fd, err; // err: the first error of write(2); what comes after it is dropped
    size_t n;
    char buf[4096];
};

enum { WF_TEXT_LINE = 512 }; // what one wf_text_put adds is shorter

// wf_text_put adds what `format` says; wf_text_flush writes out what is left.
void wf_text_put(struct wf_text *t, const char *format, ...) WF_PRINTF(2, 3);
void wf_text_flush(struct wf_text *t);

#endif
