// A line of a report, which one call writes. It needs no lock and allocates nothing, so
// it works in a signal handler.
#ifndef WF_RUNTIME_LINE_H
#define WF_RUNTIME_LINE_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

enum { WF_LINE_BYTES = 320 };

// An all-zero line is empty.
struct wf_line {
    char text[WF_LINE_BYTES];
    size_t n;
};

// wf_line_add appends to a line, and cuts off what does not fit. wf_line_print ends the
// line, writes it, and makes it empty.
void wf_line_add(struct wf_line *l, const char *format, ...) WF_PRINTF(2, 3);
void wf_line_print(int fd, struct wf_line *l);

// wf_line_name adds a task's number, and its name if it has one. wf_line_socket adds
// the address that a descriptor is connected to, if the descriptor is a socket.
void wf_line_name(struct wf_line *l, uint64_t id, const char *name);
void wf_line_socket(struct wf_line *l, int fd);

#endif
