// The parts of streams that readers and writers use.
#ifndef WF_RUNTIME_IO_FD_STREAM_H
#define WF_RUNTIME_IO_FD_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <weft/stream.h>

extern const weft_stream_ops wf_fd_stream_ops;

// wf_stream_is_fd tells whether a stream is a descriptor's; then wf_stream_fd is the
// descriptor.
static inline bool wf_stream_is_fd(weft_stream s)
{
    return s.ops == &wf_fd_stream_ops;
}

static inline int wf_stream_fd(weft_stream s)
{
    return (int)(intptr_t)s.self;
}

// wf_stream_known tells whether the table of operations is as large as this library
// expects.
static inline bool wf_stream_known(weft_stream s)
{
    return s.ops && s.ops->size >= sizeof(weft_stream_ops);
}

#endif
