#include "sched/stacks/headers.h"

#include "base/mem.h"

enum { SLAB_BYTES = 64 << 10 };

void wf_headers_init(struct wf_headers *h, size_t size)
{
    wf_assert(size >= sizeof(struct wf_task) && size < SLAB_BYTES / 2);
    h->size = (size + WF_CACHE_LINE - 1) & ~(size_t)(WF_CACHE_LINE - 1);
    pthread_mutex_init(&h->lock, NULL);
}

static void check_list(const struct wf_header_list *list)
{
    enum { WALK_MAX = 64 };
    const struct wf_task *at = list->free;
    unsigned n = 0;

    for (; at && n < WALK_MAX; n++) {
        wf_assert(!wf_task_is_live(at));
        wf_assert(n < list->count);
        at = wf_load_relaxed(&at->next); // relaxed: only the list's owner accesses free headers
    }
    wf_assert(at || n == list->count);
}

void wf_headers_check(struct wf_headers *h, const struct wf_header_list *local)
{
    wf_assert(h->size >= sizeof(struct wf_task) && h->size % WF_CACHE_LINE == 0);
    if (local)
        check_list(local);
    pthread_mutex_lock(&h->lock);
    check_list(&h->shared);
    pthread_mutex_unlock(&h->lock);
}

void wf_headers_fini(struct wf_headers *h)
{
    struct wf_header_slab *slab = wf_load_relaxed(&h->slabs); // relaxed: no other thread is left

    while (slab) {
        struct wf_header_slab *older = slab->older;
        wf_free(slab);
        slab = older;
    }
    pthread_mutex_destroy(&h->lock);
}

static struct wf_task *header(struct wf_headers *h, struct wf_header_slab *slab, size_t i)
{
    wf_debug_assert(i < slab->headers);
    return (struct wf_task *)(void *)(slab->memory + i * h->size);
}

static void move_headers(struct wf_header_list *from, struct wf_header_list *to, unsigned n)
{
    for (; n > 0 && from->free; n--)
        wf_header_push(to, wf_header_pop(from));
}

// add_slab adds a slab of headers to the shared list. Under the lock.
static bool add_slab(struct wf_headers *h)
{
    struct wf_header_slab *slab = wf_alloc(SLAB_BYTES);
    if (!slab)
        return false;
    slab->headers = (SLAB_BYTES - sizeof(*slab)) / h->size;
    for (size_t i = slab->headers; i-- > 0;) {
        struct wf_task *task = header(h, slab, i);
        // relaxed: [H1]; a stale wake of a new header finds an ended task
        wf_store_relaxed(&task->word, WF_TASK_ACTIVE);
        wf_header_push(&h->shared, task);
    }
    slab->older = wf_load_relaxed(&h->slabs); // relaxed: only written under the lock
    wf_store_release(&h->slabs, slab);        // [H1]
    return true;
}

struct wf_task *wf_headers_refill(struct wf_headers *h, struct wf_header_list *local)
{
    struct wf_task *task = NULL;

    wf_debug_assert(!local || !local->free);
    wf_debug_check(wf_headers_check(h, local));
    pthread_mutex_lock(&h->lock);
    if (h->shared.free || add_slab(h)) {
        task = wf_header_pop(&h->shared);
        if (local)
            move_headers(&h->shared, local, WF_HEADERS_BATCH);
    }
    pthread_mutex_unlock(&h->lock);
    return task;
}

void wf_headers_spill(struct wf_headers *h, struct wf_header_list *local)
{
    wf_debug_check(wf_headers_check(h, local));
    pthread_mutex_lock(&h->lock);
    move_headers(local, &h->shared, WF_HEADERS_BATCH);
    pthread_mutex_unlock(&h->lock);
}

void wf_headers_return(struct wf_headers *h, struct wf_task *task)
{
    pthread_mutex_lock(&h->lock);
    wf_header_push(&h->shared, task);
    pthread_mutex_unlock(&h->lock);
}

static void put_header_back(struct wf_task *task, void *shared)
{
    wf_header_push(shared, task);
}

void wf_headers_reclaim(struct wf_headers *h, struct wf_header_list *local)
{
    size_t all = 0;

    pthread_mutex_lock(&h->lock);
    for (struct wf_header_slab *slab = wf_load_relaxed(&h->slabs); slab; slab = slab->older) // relaxed: under the lock
        all += slab->headers;
    if (all > h->shared.count + local->count) {
        *local = h->shared = (struct wf_header_list){ 0 };
        wf_headers_each(h, put_header_back, &h->shared);
    }
    pthread_mutex_unlock(&h->lock);
}

void wf_headers_each(struct wf_headers *h, void (*fn)(struct wf_task *, void *), void *arg)
{
    for (struct wf_header_slab *slab = wf_load_acquire(&h->slabs); slab; slab = slab->older) // [H1]
        for (size_t i = 0; i < slab->headers; i++)
            fn(header(h, slab, i), arg);
}

bool wf_headers_has(struct wf_headers *h, const struct wf_task *task)
{
    uintptr_t at = (uintptr_t)task;

    for (struct wf_header_slab *slab = wf_load_acquire(&h->slabs); slab; slab = slab->older) { // [H1]
        uintptr_t first = (uintptr_t)slab->memory;
        if (at >= first && at < first + slab->headers * h->size)
            return (at - first) % h->size == 0;
    }
    return false;
}
