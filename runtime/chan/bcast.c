#include "runtime/chan/bcast.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

enum { WORD = sizeof(uint64_t) };

// CLOSED is a value of `news` that no count can produce.
#define CLOSED (UINTPTR_MAX & ~(uintptr_t)WF_CELL_SET)

static uint64_t filling(uint64_t n)
{
    return 2 * n + 1;
}

static uint64_t full(uint64_t n)
{
    return 2 * n + 2;
}

static _Atomic uint64_t *slot_of(const struct wf_bcast *c, uint64_t n)
{
    return c->ring + n % c->capacity * c->stride;
}

void *wf_bcast_new(size_t size, size_t elem_size, uint64_t capacity)
{
    size_t head = (size + WF_CACHE_LINE - 1) / WF_CACHE_LINE * WF_CACHE_LINE;
    size_t stride = 1 + elem_size / WORD + (elem_size % WORD != 0), bytes;

    if (__builtin_mul_overflow(stride, WORD, &bytes) || __builtin_mul_overflow(bytes, capacity, &bytes) ||
        __builtin_add_overflow(bytes, head, &bytes))
        return NULL;
    struct wf_bcast *c = wf_alloc(bytes);
    if (!c)
        return NULL;
    c->ring = (_Atomic uint64_t *)(void *)((char *)c + head);
    c->capacity = capacity;
    c->stride = stride;
    c->elem_size = elem_size;
    wf_lock_init(&c->lock);
    wf_cell_init(&c->news);
    return c;
}

// A slot has a message of this round of the ring, or of the round before.
void wf_bcast_check(const struct wf_bcast *c)
{
    uint64_t count = wf_load_relaxed(&c->count); // relaxed: written under the lock only

    wf_assert(wf_lock_held(&c->lock));
    wf_assert(c->capacity > 0 && c->stride > 0);
    wf_assert((c->stride - 1) * WORD >= c->elem_size && (c->stride - 1) * WORD < c->elem_size + WORD);
    for (uint64_t n = count; n > 0 && count - n < c->capacity && count - n < 16; n--)
        wf_assert(wf_load_relaxed(slot_of(c, n - 1)) == full(n - 1)); // relaxed: as above
    if (count < c->capacity)
        wf_assert(wf_load_relaxed(slot_of(c, count)) == 0); // relaxed: as above
}

// The last word of a message may be partial. The others are moved whole, because a
// length unknown to the compiler would cost a call for each word.
static void fill(const struct wf_bcast *c, _Atomic uint64_t *words, const char *elem)
{
    size_t whole = elem ? c->elem_size / WORD : 0, rest = elem ? c->elem_size % WORD : 0;
    uint64_t word;

    for (size_t i = 0; i < whole; i++) {
        memcpy(&word, elem + i * WORD, WORD);
        wf_store_release(&words[i], word); // [B2]
    }
    for (size_t i = whole; i < c->stride - 1; i++, rest = 0) {
        word = 0;
        if (rest > 0)
            memcpy(&word, elem + i * WORD, rest);
        wf_store_release(&words[i], word); // [B2]
    }
}

uint64_t wf_bcast_put(struct wf_bcast *c, const void *elem)
{
    uint64_t n = wf_load_relaxed(&c->count); // relaxed: written under the lock only
    _Atomic uint64_t *slot = slot_of(c, n);

    wf_debug_assert(!wf_load_relaxed(&c->closed)); // relaxed: written under the lock
    wf_debug_check(wf_bcast_check(c));
    wf_store_release(&c->count, n + 1); // [B3]
    wf_store_release(slot, filling(n)); // [B3]
    fill(c, slot + 1, elem);
    wf_store_release(slot, full(n)); // [B1]
    return n + 1;
}

void wf_bcast_tell(struct wf_bcast *c, uint64_t count)
{
    wf_debug_assert(count > 0 && (uintptr_t)count << 1 != CLOSED);
    wf_cell_set(&c->news, (uintptr_t)count << 1, true);
}

void wf_bcast_close(struct wf_bcast *c)
{
    wf_lock_acquire(&c->lock);
    wf_store_release(&c->closed, true); // [B4]
    wf_lock_release(&c->lock);
    wf_cell_set(&c->news, CLOSED, true);
}

static void copy(const struct wf_bcast *c, const _Atomic uint64_t *words, char *elem)
{
    size_t whole = c->elem_size / WORD, rest = c->elem_size % WORD;
    uint64_t word;

    for (size_t i = 0; i < whole; i++) {
        word = wf_load_acquire(&words[i]); // [B2]
        memcpy(elem + i * WORD, &word, WORD);
    }
    if (rest > 0) {
        word = wf_load_acquire(&words[whole]); // [B2]
        memcpy(elem + whole * WORD, &word, rest);
    }
}

enum wf_bcast_got wf_bcast_get(const struct wf_bcast *c, uint64_t n, void *elem)
{
    const _Atomic uint64_t *slot = slot_of(c, n);
    uint64_t stamp = wf_load_acquire(slot); // [B1] [B3]

    if (stamp < full(n))
        return WF_BCAST_NOT_YET;
    if (stamp > full(n))
        return WF_BCAST_LOST;
    copy(c, slot + 1, elem);
    return wf_load_acquire(slot) == full(n) ? WF_BCAST_GOT : WF_BCAST_LOST; // [B2] [B3]
}

uint64_t wf_bcast_oldest(const struct wf_bcast *c)
{
    uint64_t count = wf_load_acquire(&c->count); // [B3]
    return count > c->capacity ? count - c->capacity : 0;
}

uint64_t wf_bcast_full(const struct wf_bcast *c)
{
    uint64_t count = wf_load_acquire(&c->count); // [B3]
    wf_debug_assert(count > 0);
    // acquire: [B1], because it shows that the message is there
    return wf_load_acquire(slot_of(c, count - 1)) >= full(count - 1) ? count : count - 1;
}

int wf_bcast_wait(struct wf_bcast *c, struct wf_task *self, uintptr_t seen, const char *what)
{
    int err = wf_check_cancel(self); // an earlier wait may have consumed the wake of a cancel
    if (err)
        return err;
    if (seen && !wf_cell_clear(&c->news, seen))
        return 0;
    return wf_wait_as(self, &c->news, what, 0);
}
