// A buffer for text that is written to a descriptor, in blocks of 4 KiB.
#ifndef WF_RUNTIME_SEE_TEXT_H
#define WF_RUNTIME_SEE_TEXT_H

#include <stddef.h>

#include "base/compiler.h"

struct wf_text {
    int fd, err; // err: the first error of write(2); the text after it is dropped
    size_t n;
    char buf[4096];
};

enum { WF_TEXT_LINE = 512 }; // the text that one wf_text_put adds must be shorter

// wf_text_put adds text, as printf; wf_text_flush writes the rest.
void wf_text_put(struct wf_text *t, const char *format, ...) WF_PRINTF(2, 3);
void wf_text_flush(struct wf_text *t);

#endif
