// Sources: what the reactor knows of each descriptor number.
//
// The table has a place for every number that an int can be: two million pointers to chunks of 1024 sources, 16 MiB of
// address space of which only the pages that are used become memory. So there is no growing, no limit to check, and a
// source found once stays where it is. A chunk takes 64 KiB, when the first of its numbers is registered.
//
// A number is used again and again, for one descriptor after another; the generation tells them apart. It travels
// through epoll, whole, beside the number, and an event that comes back with another generation than the source's was
// meant for a predecessor.
//
//      generation    even: not registered                          odd: registered
//
//                    wf_source_register: cells SET, generation + 1, then EPOLL_CTL_ADD
//                 ---------------------------------------------------------------->
//                    wf_source_forget, _close: generation + 1, EPOLL_CTL_DEL, (close), then cells SET
//                 <----------------------------------------------------------------
//
// What a cell is set to is unique: the generation in the upper half, the number of the edge in the lower. So a reader
// that got EAGAIN and clears what it saw clears nothing that came after: not the next edge, and not the SET that ends
// or begins a generation. (A 30-bit count of edges could come round only while one reader stands between its two
// instructions.) That is why every edge must change a cell that is SET already, a compare-and-swap each: what looks
// like a needless one may be the edge that a writer, about to clear, is going to miss.
//
// An event that passes the check and is then overtaken by forget sets a cell of a later generation: a spurious
// readiness, which costs the reader an EAGAIN. A lost one cannot be: the cells of a generation begin SET, and epoll
// reports at ADD what is ready by then.
//
// Register and close exclude each other, up to and including close(2): a task that found EAGAIN just before another one
// closes the descriptor would else register it between the two, the kernel would drop the watch at close without a
// word, and the source would look registered to the next descriptor of that number. The lock is a mutex, as system
// calls happen under it. No waker does: who waits is woken past it.
//
// Edges.
//   G1  the compare-and-swap that publishes a chunk (release) -> wf_source_get (acquire): its contents
//   G2  wf_source_register stores the odd generation (release) -> wf_source_get, and who compares (acquire):
//       the cells are set for it
//   G3  wf_source_forget stores the even generation (release), then sets the cells [C1] -> a waiter that is woken, or
//       finds the cell set, sees that its generation is over
//   G4  wf_source_event marks the source, then sets the cells [C1] -> a reader that finds such a cell set sees the
//       mark; also if an event that was harvested before, by the other party, sets the cell again after that: each set
//       is a read-modify-write, and carries the earlier release on
#include "reactor/source.h"

#include <errno.h>
#include <limits.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "reactor/state.h"

enum { CHUNK = 1024, CHUNKS = INT_MAX / CHUNK + 1 };

struct wf_source_chunk {
    struct slot {
        _Alignas(WF_CACHE_LINE) struct wf_source source;
    } slot[CHUNK];
    struct wf_source_chunk *older; // I: the one made before
};

_Static_assert(sizeof(uintptr_t) == 8, "a generation and a count of edges fit into the value of a cell");
_Static_assert(sizeof(struct slot) == WF_CACHE_LINE, "a source is one cache line");

static uint64_t tag_of(uint32_t generation, int fd)
{
    return (uint64_t)generation << 32 | (uint32_t)fd;
}

static uintptr_t value_of(uint32_t generation, uint32_t edge)
{
    return (uintptr_t)generation << 32 | edge;
}

static struct wf_source_chunk *chunk_of(struct wf_sources *t, int fd)
{
    return wf_load_acquire(&t->chunks[fd / CHUNK]); // [G1]
}

static struct wf_source *source_of(struct wf_source_chunk *chunk, int fd)
{
    return &chunk->slot[fd % CHUNK].source;
}

// make_chunk makes the chunk that `fd` belongs to, unless somebody was faster. Returns: NULL for want of memory.
static struct wf_source_chunk *make_chunk(struct wf_sources *t, int fd)
{
    struct wf_source_chunk *found = NULL, *chunk = wf_alloc(sizeof(*chunk));

    if (!chunk)
        return NULL;
    for (int i = 0; i < CHUNK; i++)
        chunk->slot[i].source.fd = fd - fd % CHUNK + i;
    if (!wf_cas_acq_rel(&t->chunks[fd / CHUNK], &found, chunk)) { // [G1]
        wf_free(chunk);
        return found;
    }
    // acq_rel: one chain, whoever adds to it; only wf_sources_fini follows it, when nobody else is left
    chunk->older = wf_exchange_acq_rel(&t->newest, chunk);
    return chunk;
}

static pthread_mutex_t *lock_of(struct wf_sources *t, int fd)
{
    return &t->locks[fd % WF_SOURCE_LOCKS];
}

static void set_all(struct wf_source *s, uintptr_t value)
{
    wf_cell_set(&s->ready[WF_READ], value, true);
    wf_cell_set(&s->ready[WF_WRITE], value, true);
    wf_cell_set(&s->changed, value, true);
}

// enter makes a source that is not registered one that is.  Context: under the lock of `s`.
static int enter(struct wf_reactor *r, struct wf_source *s)
{
    uint32_t generation = wf_load_relaxed(&s->generation) + 1; // relaxed: changes only under the lock

    set_all(s, value_of(generation, 0));          // nobody waits: the cells are SET since it was forgotten, or new
    wf_store_relaxed(&s->kind, 0u);               // relaxed: published by the generation
    wf_fetch_and_relaxed(&s->edges, ~(uint32_t)WF_EDGE_LAST); // relaxed: as above
    wf_store_release(&s->generation, generation); // [G2] before events can come
    int err = wf_epoll_add(&r->epoll, s->fd, tag_of(generation, s->fd));
    if (err < 0) {
        wf_store_release(&s->generation, generation + 1); // [G3] somebody may have found it meanwhile
        set_all(s, value_of(generation + 1, 0));
    }
    return err;
}

// leave ends the registration. Returns: whether there was one; then the caller, past the lock, sets the cells.
static bool leave(struct wf_reactor *r, struct wf_source *s)
{
    uint32_t generation = wf_load_relaxed(&s->generation); // relaxed: changes only under the lock

    if (generation % 2 == 0)
        return false;
    wf_store_release(&s->generation, generation + 1); // [G3]
    wf_epoll_remove(&r->epoll, s->fd);
    return true;
}

int wf_sources_init(struct wf_sources *t)
{
    t->chunks = wf_map(CHUNKS * sizeof(*t->chunks));
    if (!t->chunks)
        return -ENOMEM;
    madvise(t->chunks, CHUNKS * sizeof(*t->chunks), MADV_NOHUGEPAGE); // 2 MiB for a few pointers; it may refuse
    for (int i = 0; i < WF_SOURCE_LOCKS; i++)
        pthread_mutex_init(&t->locks[i], NULL); // cannot fail for the default kind
    return 0;
}

void wf_sources_fini(struct wf_sources *t)
{
    struct wf_source_chunk *chunk = wf_load_relaxed(&t->newest); // relaxed: nobody else is left

    while (chunk) {
        struct wf_source_chunk *older = chunk->older;
        wf_free(chunk);
        chunk = older;
    }
    wf_unmap(t->chunks, CHUNKS * sizeof(*t->chunks));
    for (int i = 0; i < WF_SOURCE_LOCKS; i++)
        pthread_mutex_destroy(&t->locks[i]);
}

struct wf_source *wf_source_get(struct wf_reactor *r, int fd)
{
    struct wf_source_chunk *chunk = fd < 0 ? NULL : chunk_of(&r->sources, fd);

    if (!chunk)
        return NULL;
    struct wf_source *s = source_of(chunk, fd);
    return wf_load_acquire(&s->generation) ? s : NULL; // [G2]
}

int wf_source_register(struct wf_reactor *r, int fd, struct wf_source **out)
{
    if (fd < 0)
        return -EBADF;
    struct wf_source_chunk *chunk = chunk_of(&r->sources, fd);
    if (!chunk && !(chunk = make_chunk(&r->sources, fd)))
        return -ENOMEM;
    struct wf_source *s = source_of(chunk, fd);

    pthread_mutex_lock(lock_of(&r->sources, fd));
    // relaxed: changes only under the lock
    int err = wf_load_relaxed(&s->generation) % 2 ? 0 : enter(r, s);
    pthread_mutex_unlock(lock_of(&r->sources, fd));
    if (!err)
        *out = s;
    return err;
}

// finish wakes who waited on a source that was forgotten: past the lock, so that wakers run under none.
static void finish(struct wf_source *s)
{
    // relaxed: forgotten by this thread. Should somebody have registered it again, the value is as unique.
    set_all(s, value_of(wf_load_relaxed(&s->generation), 0));
}

bool wf_source_forget(struct wf_reactor *r, int fd)
{
    struct wf_source *s = wf_source_get(r, fd);

    if (!s)
        return false;
    pthread_mutex_lock(lock_of(&r->sources, fd));
    bool left = leave(r, s);
    pthread_mutex_unlock(lock_of(&r->sources, fd));
    if (left)
        finish(s);
    return left;
}

int wf_source_close(struct wf_reactor *r, int fd)
{
    if (fd < 0)
        return -EBADF;
    pthread_mutex_lock(lock_of(&r->sources, fd));
    struct wf_source *s = wf_source_get(r, fd); // under the lock: whoever registers it now comes after the close
    bool left = s && leave(r, s);
    int err = close(fd) < 0 ? -errno : 0;
    pthread_mutex_unlock(lock_of(&r->sources, fd));
    if (left)
        finish(s);
    return err == -EINTR ? 0 : err; // Linux has closed it even so
}

void wf_source_prefetch(struct wf_reactor *r, uint64_t tag)
{
    int fd = (int)(uint32_t)tag;
    __builtin_prefetch(source_of(chunk_of(&r->sources, fd), fd));
}

void wf_source_prefetch_waiter(struct wf_reactor *r, uint64_t tag)
{
    int fd = (int)(uint32_t)tag;
    wf_cell_prefetch(&source_of(chunk_of(&r->sources, fd), fd)->ready[WF_READ]);
}

bool wf_source_event(struct wf_reactor *r, uint64_t tag, bool readable, bool writable, bool last)
{
    int fd = (int)(uint32_t)tag;
    struct wf_source *s = source_of(chunk_of(&r->sources, fd), fd); // the tag was made from a source

    if (wf_load_acquire(&s->generation) != (uint32_t)(tag >> 32)) // [G2]
        return false;
    if (last)
        wf_fetch_or_relaxed(&s->edges, (uint32_t)WF_EDGE_LAST); // relaxed: [G4]
    // relaxed: only has to differ from all other edges'
    uint32_t edges = wf_fetch_add_relaxed(&s->edges, (uint32_t)WF_EDGE_COUNT) + WF_EDGE_COUNT;
    uintptr_t value = value_of((uint32_t)(tag >> 32), edges);
    if (readable)
        wf_cell_set(&s->ready[WF_READ], value, true);
    if (writable)
        wf_cell_set(&s->ready[WF_WRITE], value, true);
    return true;
}

static bool is_awaited(const struct wf_source *s)
{
    return wf_cell_awaited(&s->ready[WF_READ]) || wf_cell_awaited(&s->ready[WF_WRITE]) || wf_cell_awaited(&s->changed);
}

bool wf_reactor_awaited(const struct wf_reactor *r)
{
    const struct wf_source_chunk *chunk = wf_load_acquire(&r->sources.newest); // acquire: from make_chunk

    for (; chunk; chunk = chunk->older)
        for (int i = 0; i < CHUNK; i++)
            if (is_awaited(&chunk->slot[i].source))
                return true;
    return false;
}
