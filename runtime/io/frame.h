// The length at the start of a frame.
#ifndef WF_RUNTIME_IO_FRAME_H
#define WF_RUNTIME_IO_FRAME_H

#include <stdbool.h>
#include <stdint.h>
#include <weft/stream.h>

enum { WF_FRAME_HEAD_MAX = 10 }; // bytes, of a varint

// wf_frame_known tells whether there are frames of this kind.
static inline bool wf_frame_known(const weft_frame *f)
{
    int n = f->length_bytes;
    return n == 0 || n == 1 || n == 2 || n == 4 || n == 8;
}

// wf_frame_get reads the length from the first of `n` bytes.
// Returns: how many bytes the length has; 0: more than `n`; -EMSGSIZE: a varint that is
//          too long.
int wf_frame_get(const weft_frame *f, const uint8_t *p, size_t n, uint64_t *length);

// wf_frame_put writes the length. Returns: how many bytes it has; -EMSGSIZE: it does
// not fit.
int wf_frame_put(const weft_frame *f, uint8_t p[WF_FRAME_HEAD_MAX], uint64_t length);

#endif
