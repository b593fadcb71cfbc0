#include "runtime/chan/buffer.h"

#include <errno.h>

#include "base/assert.h"
#include "base/mem.h"

enum { BLOCK = 4096 }; // bytes of a block, its head included, unless one message is larger

static bool is_chain(const struct wf_buffer *b)
{
    return b->capacity == SIZE_MAX;
}

// --- Checking ------------------------------------------------------------------------

// check_block asserts that a position and its end are in `block`.
static void check_block(const struct wf_buffer *b, const char *at, const char *end, const struct wf_block *block)
{
    wf_assert(end == block->bytes + b->room);
    wf_assert(at >= block->bytes && at <= end);
    wf_assert((size_t)(at - block->bytes) % b->elem_size == 0);
}

// check_ring checks a ring, in which the end and the start are the same position.
static void check_ring(const struct wf_buffer *b)
{
    check_block(b, b->put, b->put_end, b->first);
    check_block(b, b->get, b->get_end, b->first);
    size_t put = (size_t)(b->put - b->first->bytes), get = (size_t)(b->get - b->first->bytes);
    wf_assert(b->first == b->last && !b->spare);
    wf_assert((put + b->room - get) % b->room == wf_buffer_count(b) * b->elem_size % b->room);
}

// check_chain counts the bytes of a short chain.
static void check_chain(const struct wf_buffer *b)
{
    enum { WALK_MAX = 16 };
    const struct wf_block *at = b->first;
    size_t bytes = 0;

    wf_assert(b->spare == NULL || (b->spare != b->first && b->spare != b->last));
    if (!at) {
        wf_assert(wf_buffer_empty(b));
        return;
    }
    check_block(b, b->put, b->put_end, b->last);
    if (b->get)
        check_block(b, b->get, b->get_end, b->first);
    for (unsigned n = 0; at != b->last && n < WALK_MAX; at = at->next, n++)
        bytes += b->room;
    bytes += (size_t)(b->put - b->last->bytes) - (size_t)(b->get ? b->get - b->first->bytes : 0);
    wf_assert(at != b->last || bytes == wf_buffer_count(b) * b->elem_size);
}

void wf_buffer_check(const struct wf_buffer *b)
{
    wf_assert(wf_buffer_count(b) <= b->capacity);
    if (b->elem_size == 0 || b->capacity == 0)
        wf_assert(!b->first && !b->spare);
    else if (is_chain(b))
        check_chain(b);
    else
        check_ring(b);
}

// --- Memory --------------------------------------------------------------------------

struct wf_block *wf_buffer_block(const struct wf_buffer *b)
{
    wf_debug_assert(b->room > 0);
    return wf_alloc(sizeof(struct wf_block) + b->room);
}

static void put_in(struct wf_buffer *b, struct wf_block *block)
{
    b->put = block->bytes;
    b->put_end = b->put + b->room;
}

static void get_from(struct wf_buffer *b, struct wf_block *block)
{
    b->get = block->bytes;
    b->get_end = b->get + b->room;
}

// count_only sets positions that never advance, for messages of 0 bytes.
static void count_only(struct wf_buffer *b)
{
    b->put = b->get = (char *)b;
    b->put_end = b->get_end = b->put + 1;
}

static int make_ring(struct wf_buffer *b)
{
    if (b->capacity > (SIZE_MAX / 2) / b->elem_size)
        return -ENOMEM;
    b->room = b->elem_size * b->capacity;
    b->first = b->last = wf_buffer_block(b);
    if (!b->first)
        return -ENOMEM;
    put_in(b, b->first);
    get_from(b, b->first);
    return 0;
}

int wf_buffer_init(struct wf_buffer *b, size_t elem_size, size_t capacity)
{
    *b = (struct wf_buffer){ .elem_size = elem_size, .capacity = capacity };
    if (elem_size == 0)
        count_only(b);
    else if (elem_size > SIZE_MAX / 2)
        return -ENOMEM;
    else if (is_chain(b))
        b->room = elem_size < BLOCK - sizeof(struct wf_block)
                      ? (BLOCK - sizeof(struct wf_block)) / elem_size * elem_size
                      : elem_size;
    else if (capacity > 0)
        return make_ring(b);
    return 0;
}

void wf_buffer_fini(struct wf_buffer *b)
{
    for (struct wf_block *at = b->first, *next; at; at = next) {
        next = at->next;
        wf_free(at);
    }
    wf_free(b->spare);
}

struct wf_block *wf_buffer_grow(struct wf_buffer *b, struct wf_block *block)
{
    wf_debug_assert(is_chain(b) && block && block != b->last);
    if (b->spare)
        return block;
    b->spare = block;
    return NULL;
}

// append puts the spare block at the end of the chain. Returns: false if there is no
// spare block.
static bool append(struct wf_buffer *b)
{
    struct wf_block *block = b->spare;

    wf_debug_assert(b->put == b->put_end); // else the last block has room
    if (!block)
        return false;
    b->spare = NULL;
    block->next = NULL;
    if (b->last)
        b->last->next = block;
    else
        b->first = block;
    b->last = block;
    put_in(b, block);
    return true;
}

bool wf_buffer_next_put(struct wf_buffer *b)
{
    if (is_chain(b) && (!b->first || !wf_buffer_empty(b)))
        return append(b);
    // A ring, or an empty chain, which has only one block, begins again at the start.
    put_in(b, b->first);
    if (is_chain(b))
        get_from(b, b->first);
    return true;
}

struct wf_block *wf_buffer_next_get(struct wf_buffer *b)
{
    struct wf_block *drained = NULL;

    wf_debug_assert(!wf_buffer_empty(b));
    if (is_chain(b) && b->get) {
        drained = b->first;
        wf_debug_assert(drained != b->last && drained->next);
        b->first = drained->next;
    }
    get_from(b, b->first);
    return drained ? wf_buffer_grow(b, drained) : NULL;
}
