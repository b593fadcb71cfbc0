// The buffers of readers, writers and copies. They belong to the runtime: a reader
// without unread bytes has none, so that idle connections share a few.
//
//      weft_reader, weft_writer <--- take --- the shelf of the worker  <--- if it is empty --- the allocator
//                               --- give --->                          --- if it is full  --->
//
// Each worker has a shelf with the buffers that were given back last, by size. Only
// tasks that run on the worker access it, and they do not park during the access, so it
// needs neither a lock nor atomics. A task may give a buffer back on another worker
// than it took it on, or on a thread of the blocking pool, which has no shelf.
//
// With the address sanitizer the shelves stay empty: a program that reads a line after
// the next call reads freed memory, and the sanitizer reports it.
#ifndef WF_RUNTIME_IO_BUFFER_H
#define WF_RUNTIME_IO_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/compiler.h"

struct wf_service;

extern const struct wf_service wf_buffers_service; // the shelves

// The sizes of the buffers on shelves. A stream's first read uses a small buffer; a
// read that fills it makes the next buffer larger. Copies use huge ones.
enum { WF_BUFFER_SMALL = 4 << 10, WF_BUFFER_LARGE = 16 << 10, WF_BUFFER_HUGE = 64 << 10 };

// wf_buffer_take takes a buffer of at least `*room` bytes, and stores its size in
// *room: one of the sizes above, or a multiple of 4 KiB. The buffer has one more byte,
// for the 0 at the end of a text.
// Returns: NULL if there is no memory.
// Context: any thread. Never parks.
WF_MUST_CHECK char *wf_buffer_take(size_t *room);

// wf_buffer_give gives back a buffer of `room` bytes; NULL does nothing.
// Context: any thread. Never parks.
void wf_buffer_give(char *buf, size_t room);

static inline char *wf_buffer_take_huge(void)
{
    size_t room = WF_BUFFER_HUGE;
    return wf_buffer_take(&room);
}

// The memory for a read: a buffer that the reader already has (`held`); or one of
// `room` bytes (a size with a shelf), taken for each system call and given back if the
// call has read nothing.
struct wf_lent {
    char *at;
    size_t room;
    bool held;
};

// wf_lend makes l->at point to memory. Returns: false if there is none.
static inline bool wf_lend(struct wf_lent *l)
{
    if (!l->held)
        l->at = wf_buffer_take(&l->room);
    return l->at != NULL;
}

// wf_lent_back gives the buffer back after a read without bytes. Returns: `got`, the
// read's result.
static inline ssize_t wf_lent_back(struct wf_lent *l, ssize_t got)
{
    if (got <= 0 && !l->held) {
        wf_buffer_give(l->at, l->room);
        l->at = NULL;
    }
    return got;
}

// wf_read_lent is weft_read into such a buffer (runtime/io/stream.c): a waiting task
// has none.
ssize_t wf_read_lent(int fd, struct wf_lent *l);

#endif
