// The pool of task headers. It is type-stable: the memory of a header stays a header
// until the scheduler is freed, so a late reader of a pointer to it is safe.
//
// Each worker has a list of free headers. A shared list, under a mutex, balances these
// lists a batch at a time, and serves other threads.
//
// Edges.
//   H1  grow's store of `slabs` (release) -> wf_headers_each's load (acquire): the
//       slab's headers are filled
#ifndef WF_SCHED_HEADERS_H
#define WF_SCHED_HEADERS_H

#include <pthread.h>

#include "base/assert.h"
#include "sched/task.h"

enum { WF_HEADERS_BATCH = 128 }; // moved at a time; a worker keeps at most twice that

struct wf_header_list {
    struct wf_task *free;
    unsigned count;
};

struct wf_header_slab {
    struct wf_header_slab *older; // fixed
    size_t headers;               // fixed
    _Alignas(WF_CACHE_LINE) char memory[];
};

struct wf_headers {
    size_t size;                            // fixed: of one header
    pthread_mutex_t lock;                   //
    struct wf_header_list shared;           // under lock
    _Atomic(struct wf_header_slab *) slabs; // A: [H1] newest first; only added to
};

void wf_headers_init(struct wf_headers *h, size_t size);
void wf_headers_fini(struct wf_headers *h);

// wf_headers_check asserts that the count of a list is right and none of its headers in
// use; and the same for the shared list, which it locks. Context: the owner of `local`
// (which may be NULL).
void wf_headers_check(struct wf_headers *h, const struct wf_header_list *local);

// Only its owner accesses a list: a worker, or for the shared one the holder of the
// lock.
static inline struct wf_task *wf_header_pop(struct wf_header_list *list)
{
    struct wf_task *task = list->free;
    wf_debug_assert(list->count > 0 && !wf_task_is_live(task));
    list->free = wf_load_relaxed(&task->next); // relaxed: only the list's owner accesses free headers
    list->count--;
    return task;
}

static inline void wf_header_push(struct wf_header_list *list, struct wf_task *task)
{
    wf_debug_assert(!wf_task_is_live(task) && task != list->free); // otherwise it is in use, or freed twice
    wf_store_relaxed(&task->next, list->free);                     // relaxed: as above
    list->free = task;
    list->count++;
}

// The slow paths of take and give: take one from the shared list, with a batch for
// `local`; give a batch of `local` back to it; give one header back to it.
WF_MUST_CHECK struct wf_task *wf_headers_refill(struct wf_headers *h, struct wf_header_list *local);
void wf_headers_spill(struct wf_headers *h, struct wf_header_list *local);
void wf_headers_return(struct wf_headers *h, struct wf_task *task);

// wf_headers_take takes one from `local`, the calling worker's (NULL: not a worker).
// Returns: NULL if there is no memory.
WF_MUST_CHECK static inline struct wf_task *wf_headers_take(struct wf_headers *h, struct wf_header_list *local)
{
    return wf_likely(local && local->free) ? wf_header_pop(local) : wf_headers_refill(h, local);
}

static inline void wf_headers_give(struct wf_headers *h, struct wf_header_list *local, struct wf_task *task)
{
    if (wf_unlikely(!local)) {
        wf_headers_return(h, task);
        return;
    }
    wf_header_push(local, task);
    if (wf_unlikely(local->count > 2 * WF_HEADERS_BATCH))
        wf_headers_spill(h, local);
}

// wf_headers_reclaim frees the headers whose handles were neither joined nor detached.
// `local` is the only other list. Context: no task exists, and no handle of an ended
// one is in use.
void wf_headers_reclaim(struct wf_headers *h, struct wf_header_list *local);

// wf_headers_has tells whether `task` is a header of this pool, free or not. It takes no
// lock.
bool wf_headers_has(struct wf_headers *h, const struct wf_task *task);

// wf_headers_each calls fn for every header, free or not. It takes no lock.
void wf_headers_each(struct wf_headers *h, void (*fn)(struct wf_task *, void *), void *arg);

#endif
