#include "runtime/io/frame.h"

#include <errno.h>

#include "base/assert.h"
#include "runtime/io/reader.h"
#include "runtime/wait/wait.h"

static int get_varint(const uint8_t *p, size_t n, uint64_t *length)
{
    uint64_t value = 0;

    for (size_t i = 0; i < n && i < WF_FRAME_HEAD_MAX; i++) {
        value |= (uint64_t)(p[i] & 0x7f) << (7 * i);
        if (i == WF_FRAME_HEAD_MAX - 1 && p[i] > 1) // only the 64th bit may follow
            return -EMSGSIZE;
        if (p[i] < 0x80) {
            *length = value;
            return (int)i + 1;
        }
    }
    return n < WF_FRAME_HEAD_MAX ? 0 : -EMSGSIZE;
}

static int put_varint(uint8_t *p, uint64_t length)
{
    int n = 0;

    for (; length >= 0x80; length >>= 7)
        p[n++] = (uint8_t)(length | 0x80);
    p[n++] = (uint8_t)length;
    wf_debug_assert(n <= WF_FRAME_HEAD_MAX);
    return n;
}

int wf_frame_get(const weft_frame *f, const uint8_t *p, size_t n, uint64_t *length)
{
    int bytes = f->length_bytes;

    wf_debug_assert(wf_frame_known(f));
    if (bytes == 0)
        return get_varint(p, n, length);
    if (n < (size_t)bytes)
        return 0;
    *length = 0;
    for (int i = 0; i < bytes; i++)
        *length = *length << 8 | p[f->big_endian ? i : bytes - 1 - i];
    return bytes;
}

int wf_frame_put(const weft_frame *f, uint8_t p[WF_FRAME_HEAD_MAX], uint64_t length)
{
    int bytes = f->length_bytes;

    if (bytes == 0)
        return put_varint(p, length);
    if (bytes < 8 && length >> (8 * bytes) != 0)
        return -EMSGSIZE;
    for (int i = 0; i < bytes; i++)
        p[f->big_endian ? bytes - 1 - i : i] = (uint8_t)(length >> (8 * i));
    return bytes;
}

// measure finds out where the next frame ends.
// Returns: how many bytes its length has; 0: not known yet, *want bytes are needed;
//          -EMSGSIZE.
static int measure(const weft_reader *r, const weft_frame *f, size_t *want)
{
    size_t limit = f->max > 0 && f->max < r->weft_max ? f->max : r->weft_max;
    const uint8_t *bytes = (const uint8_t *)(r->weft_buf ? wf_reader_bytes(r) : "");
    uint64_t length = 0;

    int head = wf_frame_get(f, bytes, wf_reader_unread(r), &length);
    if (head < 0 || length > limit)
        return -EMSGSIZE;
    *want = head > 0 ? (size_t)head + (size_t)length : f->length_bytes > 0 ? (size_t)f->length_bytes : 1;
    return head;
}

// cut_off is the result when the stream ends before the frame does.
static int cut_off(const weft_reader *r)
{
    return wf_reader_unread(r) == 0 ? -ENODATA : -EBADMSG;
}

ssize_t weft_reader_frame(weft_reader *r, const void **data, const weft_frame *f)
{
    ssize_t got = wf_wait_begin("weft_reader_frame");
    size_t want = 0;
    int head;

    if (got == 0 && wf_unlikely(!wf_frame_known(f)))
        got = -EINVAL;
    if (wf_unlikely(got < 0))
        return got;
    while ((head = measure(r, f, &want)) >= 0 && (head == 0 || wf_reader_unread(r) < want)) {
        got = wf_reader_fill(r, want);
        if (got <= 0)
            return got < 0 ? got : cut_off(r);
    }
    if (head < 0)
        return head;
    *data = wf_reader_bytes(r) + head;
    wf_reader_consume(r, want);
    return (ssize_t)(want - (size_t)head);
}
