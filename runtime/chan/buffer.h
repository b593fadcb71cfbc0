// The buffer of a channel: messages in their order of arrival. A bounded buffer is a
// ring, allocated once. An unbounded one is a chain of blocks; a drained chain keeps
// one block.
//
//      ring       [....mmmmmmm....]          chain    [....mmmm] -> [mmmmmmmm] -> [mmm.....]      spare: [........]
//                      ^get   ^put                         ^get                        ^put
//
// The hot path is the same for both: a position to put, a position to get, and for each
// the end of its memory. The two kinds differ only at that end. A ring continues at its
// start at once. A chain continues in the next block only with the next message, so
// that it allocates a block only when it needs one.
//
// All functions are called under the channel's lock, but blocks are allocated and freed
// outside it: the caller passes a new block to wf_buffer_grow, and gets the blocks to
// free as results.
#ifndef WF_RUNTIME_CHAN_BUFFER_H
#define WF_RUNTIME_CHAN_BUFFER_H

#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/atomic.h"
#include "base/compiler.h"

struct wf_block {
    struct wf_block *next;
    _Alignas(WF_CACHE_LINE) char bytes[];
};

// I: fixed by wf_buffer_init; L: under the channel's lock
struct wf_buffer {
    char *put, *put_end;    // L
    char *get, *get_end;    // L
    size_t elem_size;       // I
    size_t capacity;        // I: SIZE_MAX of an unbounded one
    _Atomic size_t count;   // L: but read by any thread
    size_t room;            // I: bytes of the ring, or of each block
    struct wf_block *first; // L: a ring's only one; NULL until a chain's first message
    struct wf_block *last;  // L
    struct wf_block *spare; // L: of a chain, or NULL
};

// wf_buffer_init makes an empty buffer.  Returns: 0; -ENOMEM.
WF_MUST_CHECK int wf_buffer_init(struct wf_buffer *b, size_t elem_size, size_t capacity);
void wf_buffer_fini(struct wf_buffer *b);

// wf_buffer_check asserts that the positions are in the blocks, and that the bytes
// between them are `count` messages.
// Context: under the channel's lock.
void wf_buffer_check(const struct wf_buffer *b);

// wf_buffer_block makes a block for wf_buffer_grow; NULL if there is no memory.
// Context: without the lock.
WF_MUST_CHECK struct wf_block *wf_buffer_block(const struct wf_buffer *b);

// wf_buffer_grow gives the buffer a block. Returns: the block, if the buffer already
// has a spare one: the caller frees it without the lock.
WF_MUST_CHECK struct wf_block *wf_buffer_grow(struct wf_buffer *b, struct wf_block *block);

// The slow paths of the functions below. wf_buffer_next_get returns a block to be
// freed, or NULL.
bool wf_buffer_next_put(struct wf_buffer *b);
WF_MUST_CHECK struct wf_block *wf_buffer_next_get(struct wf_buffer *b);

// wf_message_copy copies a message. Small ones are copied as words, without a call.
static inline void wf_message_copy(void *to, const void *from, size_t size)
{
    switch (size) {
    case 0:
        return; // a signal: the pointers may be NULL
    case 4:
        memcpy(to, from, 4);
        return;
    case 8:
        memcpy(to, from, 8);
        return;
    case 16:
        memcpy(to, from, 16);
        return;
    default:
        memcpy(to, from, size);
    }
}

static inline size_t wf_buffer_count(const struct wf_buffer *b)
{
    return wf_load_relaxed(&b->count); // relaxed: changes under the lock; to others it is a hint
}

static inline bool wf_buffer_full(const struct wf_buffer *b)
{
    return wf_buffer_count(b) >= b->capacity;
}

static inline bool wf_buffer_empty(const struct wf_buffer *b)
{
    return wf_buffer_count(b) == 0;
}

// wf_buffer_has_room tells whether a buffer that is not full can take a message now:
// false if a chain needs a block.
static inline bool wf_buffer_has_room(struct wf_buffer *b)
{
    return wf_likely(b->put != b->put_end) || wf_buffer_next_put(b);
}

// wf_buffer_put adds a message to a buffer that is not full.
// Returns: false if a chain needs a block first.
static inline bool wf_buffer_put(struct wf_buffer *b, const void *elem)
{
    wf_debug_assert(!wf_buffer_full(b));
    wf_debug_check(wf_buffer_check(b));
    if (!wf_buffer_has_room(b))
        return false;
    wf_debug_assert(b->put + b->elem_size <= b->put_end);
    wf_message_copy(b->put, elem, b->elem_size);
    b->put += b->elem_size;
    wf_store_relaxed(&b->count, wf_buffer_count(b) + 1); // relaxed: under the lock
    return true;
}

// wf_buffer_get takes the oldest message out of a buffer that is not empty.
// Returns: a block to be freed without the lock, or NULL.
WF_MUST_CHECK static inline struct wf_block *wf_buffer_get(struct wf_buffer *b, void *elem)
{
    struct wf_block *drained = NULL;

    wf_debug_assert(!wf_buffer_empty(b));
    wf_debug_check(wf_buffer_check(b));
    if (wf_unlikely(b->get == b->get_end))
        drained = wf_buffer_next_get(b);
    wf_debug_assert(b->get + b->elem_size <= b->get_end);
    wf_message_copy(elem, b->get, b->elem_size);
    b->get += b->elem_size;
    wf_store_relaxed(&b->count, wf_buffer_count(b) - 1); // relaxed: under the lock
    return drained;
}

#endif
