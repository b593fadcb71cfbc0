// Sources: what the reactor knows of each descriptor number.
//
// The table has a place for every number that an int can be: two million pointers to chunks of 1024 sources, 16 MiB of
// address space of which only the pages that are used become memory. So there is no growing, no limit to check, and a
// source found once stays where it is. A chunk takes 104 KiB, when the first of its numbers is registered.
//
// A number is used again and again, for one descriptor after another; the generation tells them apart. It travels
// through epoll, whole, beside the number, and an event that comes back with another generation than the source's was
// meant for a predecessor.
//
//      generation    even: not registered                          odd: registered
//
//                    enter: cells SET, generation + 1, then EPOLL_CTL_ADD
//                 ---------------------------------------------------------------->
//                    leave: generation + 1, EPOLL_CTL_DEL, then cells SET
//                 <----------------------------------------------------------------
//
// Both happen under the number's mutex, wakers and all, so what a generation sets its cells to comes before whatever
// the next one sets them to. (A waker that is fired takes no such mutex.)
//
// What a cell is set to is unique: the generation in the upper half, the number of the edge in the lower. So a reader
// that got EAGAIN and clears what it saw clears nothing that came after: not the next edge, and not the SET that ends
// or begins a generation. (A 30-bit count of edges could come round only while one reader stands between its two
// instructions.) That is why every edge must change a cell that is SET already, a compare-and-swap each: what looks
// like a needless one may be the edge that a writer, about to clear, is going to miss.
//
// Two threads may dispatch events of one source at a time, in another order than they happened in: a worker, and the
// reactor thread (turn.c). Each edge sets the cell, to a value of its own, whatever the order. That an end lies behind
// the bytes is no part of the value, which a later set could overwrite, but a mark of the source [G4].
//
// An event that passes the check and is then overtaken by leave sets a cell of a later generation: a spurious
// readiness, which costs the reader an EAGAIN. If it overwrites an edge of that generation the cell stays SET, and its
// value changes: the edge is not lost. Nor is an event lost: the cells of a generation begin SET, and epoll reports at
// ADD what is ready by then.
//
// Who parks. A waiter pushes its node and then looks at the generation again [G3]: a leave that it does not see yet is
// going to find the node. Without that look it might push into the cell of a successor, and wait for that one's edges.
//
// Closing. weft_close of number n, by any thread, holds no lock across close(2), which may block for long (a socket
// that lingers, a file on a network):
//
//      wf_closing_begin: n is marked, in a table for the whole process
//      wf_source_forget in each runtime: leave
//      close(2): n means nothing from now on, or means a successor
//      wf_closing_end: if meanwhile anybody registered n, in whatever runtime: wf_source_check in each; the mark goes
//
// A call may register n between the two in the middle, and if that was before close(2), the kernel drops the watch
// without a word. The call is not lost, as the following cases are all there are. Registering is one section under the
// number's mutex: it looks at the mark, and then adds the number to epoll.
//   - The section comes before forget's: forget ends the registration, and wakes whoever has parked by it.
//   - It comes after, and finds the mark. It notes that it was there, which wf_closing_end sees, unless the note
//     comes after wf_closing_end's look: but that is after close(2), so that what was added is a successor. Seeing the
//     note, the closer checks: EPOLL_CTL_MOD tells whether what is registered is what the number means now; if not,
//     leave.
//   - It comes after, and finds no mark, because the closer is done: what was added is a successor.
// The middle case leaves a registration that may be of a file that is gone until the closer checks, and a call on the
// successor must not wait by it. Therefore registering what is registered checks as well, and wf_source_register
// says that it found the mark: then the caller lets no later call skip wf_source_register (runtime/io/ready.c).
// tests/model/source.pml has all of this.
//
// A close(2) that weft does not know of is found out only where a call registers, and by wf_ready_fresh.
//
// Edges.
//   G1  new_chunk publishes a chunk (release) -> wf_source_get (acquire): its contents
//   G2  enter stores the odd generation (release) -> wf_source_get, and who compares (acquire): the cells are set for
//       it
//   G3  leave stores the even generation (release), then sets the cells [C1] -> a waiter that is woken, finds the cell
//       set, or pushes its node after that, sees that its generation is over
//   G4  wf_source_event marks the source, then sets the cells [C1] -> a reader that finds such a cell set sees the
//       mark; also if an event that was harvested before, by the other party, sets the cell again after that: each set
//       is a read-modify-write, and carries the earlier release on
#include "reactor/source.h"

#include <errno.h>
#include <limits.h>
#include <sys/mman.h>

#include "base/lock.h"
#include "base/mem.h"
#include "reactor/state.h"

enum { CHUNK = 1024, CHUNKS = INT_MAX / CHUNK + 1 };

struct wf_source_chunk {
    struct slot {
        _Alignas(WF_CACHE_LINE) struct wf_source source;
    } slot[CHUNK];
    pthread_mutex_t locks[CHUNK];  // of each number: registering, and what ends that
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

static struct wf_source_chunk *new_chunk(struct wf_sources *t, int fd)
{
    struct wf_source_chunk *chunk = wf_alloc(sizeof(*chunk));

    if (!chunk)
        return NULL;
    for (int i = 0; i < CHUNK; i++) {
        chunk->slot[i].source.fd = fd - fd % CHUNK + i;
        pthread_mutex_init(&chunk->locks[i], NULL); // cannot fail for the default kind
    }
    chunk->older = wf_load_relaxed(&t->newest);      // relaxed: changes only under the lock
    wf_store_release(&t->newest, chunk);             // release: for wf_reactor_awaited
    wf_store_release(&t->chunks[fd / CHUNK], chunk); // [G1]
    return chunk;
}

// chunk_for finds the chunk of a number. If there is none, it makes one (`make`), or waits for a thread that is at it.
// Returns: NULL for want of memory; or, without `make`: a thread that registers the number does so later, and sees
// what the caller did before.
static struct wf_source_chunk *chunk_for(struct wf_sources *t, int fd, bool make)
{
    struct wf_source_chunk *chunk = chunk_of(t, fd);

    if (wf_likely(chunk != NULL))
        return chunk;
    pthread_mutex_lock(&t->making);
    chunk = chunk_of(t, fd);
    if (!chunk && make)
        chunk = new_chunk(t, fd);
    pthread_mutex_unlock(&t->making);
    return chunk;
}

static pthread_mutex_t *lock_of(struct wf_source_chunk *chunk, int fd)
{
    return &chunk->locks[fd % CHUNK];
}

// --- closing ---------------------------------------------------------------------------------------------------------

enum { CLOSINGS = 256 };

// Numbers that are equal modulo CLOSINGS share a place; that costs their calls a check while one of them is closed.
static struct closing {
    _Alignas(WF_CACHE_LINE) struct wf_lock lock;
    unsigned closers; // under lock
    bool doubted;     // under lock: somebody registered one of these numbers while closers > 0
} closings[CLOSINGS];

static struct closing *lock_closing(int fd)
{
    struct closing *c = &closings[fd % CLOSINGS];

    wf_lock_acquire(&c->lock);
    return c;
}

void wf_closing_begin(int fd)
{
    struct closing *c = lock_closing(fd);

    c->closers++;
    wf_lock_release(&c->lock);
}

bool wf_closing_end(int fd, bool checked)
{
    struct closing *c = lock_closing(fd);
    bool over = checked || !c->doubted;

    if (over && --c->closers == 0)
        c->doubted = false;
    wf_lock_release(&c->lock);
    return over;
}

void wf_closing_reset(void)
{
    for (int i = 0; i < CLOSINGS; i++)
        closings[i] = (struct closing){ 0 };
}

// is_closing tells whether the number may be about to be closed, and leaves word that it was asked.
static bool is_closing(int fd)
{
    struct closing *c = lock_closing(fd);
    bool yes = c->closers > 0;

    if (yes)
        c->doubted = true;
    wf_lock_release(&c->lock);
    return yes;
}

// --- registering -----------------------------------------------------------------------------------------------------

static void set_all(struct wf_source *s, uintptr_t value)
{
    wf_cell_set(&s->ready[WF_READ], value, true);
    wf_cell_set(&s->ready[WF_WRITE], value, true);
    wf_cell_set(&s->changed, value, true);
}

static bool is_registered(const struct wf_source *s)
{
    return wf_load_relaxed(&s->generation) % 2; // relaxed: changes only under the lock
}

// step begins the next generation, odd or even.  Context: under the lock of `s`, like all that follows.
static uint32_t step(struct wf_source *s)
{
    uint32_t generation = wf_load_relaxed(&s->generation) + 1; // relaxed: changes only under the lock

    wf_store_release(&s->generation, generation); // [G2] before events can come; [G3] before waiters are woken
    return generation;
}

// leave ends the registration, and wakes who waits.
static void leave(struct wf_reactor *r, struct wf_source *s)
{
    uint32_t generation = step(s);

    wf_epoll_remove(&r->epoll, s->fd);
    wf_fetch_sub_relaxed(&r->sources.registered, 1u); // relaxed: a hint for pollers
    set_all(s, value_of(generation, 0));
}

// enter makes a source that is not registered one that is.
static int enter(struct wf_reactor *r, struct wf_source *s)
{
    // relaxed: changes only under the lock. Nobody waits: the cells are SET since it was left, or new.
    set_all(s, value_of(wf_load_relaxed(&s->generation) + 1, 0));
    wf_store_relaxed(&s->kind, 0u); // relaxed: published by the generation
    wf_fetch_and_relaxed(&s->edges, ~(uint32_t)WF_EDGE_LAST); // relaxed: as above
    wf_fetch_add_relaxed(&r->sources.registered, 1u); // relaxed: a hint for pollers
    uint32_t generation = step(s);
    int err = wf_epoll_add(&r->epoll, s->fd, tag_of(generation, s->fd));
    if (err < 0) {
        wf_fetch_sub_relaxed(&r->sources.registered, 1u); // relaxed: as above
        set_all(s, value_of(step(s), 0));                 // somebody may have found it meanwhile
    }
    return err;
}

// check leaves if what is registered is not what the number means now.
// Returns: 0: it is; -ENOENT: the number means something else, or nothing was registered; -EBADF and the like.
static int check(struct wf_reactor *r, struct wf_source *s)
{
    if (!is_registered(s))
        return -ENOENT;
    // relaxed: changes only under the lock
    int err = wf_epoll_check(&r->epoll, s->fd, tag_of(wf_load_relaxed(&s->generation), s->fd));
    if (err < 0)
        leave(r, s);
    return err;
}

int wf_sources_init(struct wf_sources *t)
{
    t->chunks = wf_map(CHUNKS * sizeof(*t->chunks));
    if (!t->chunks)
        return -ENOMEM;
    madvise(t->chunks, CHUNKS * sizeof(*t->chunks), MADV_NOHUGEPAGE); // 2 MiB for a few pointers; it may refuse
    pthread_mutex_init(&t->making, NULL);                             // cannot fail for the default kind
    return 0;
}

static void free_chunk(struct wf_source_chunk *chunk)
{
    for (int i = 0; i < CHUNK; i++)
        pthread_mutex_destroy(&chunk->locks[i]);
    wf_free(chunk);
}

void wf_sources_fini(struct wf_sources *t)
{
    struct wf_source_chunk *chunk = wf_load_relaxed(&t->newest); // relaxed: nobody else is left

    while (chunk) {
        struct wf_source_chunk *older = chunk->older;
        free_chunk(chunk);
        chunk = older;
    }
    wf_unmap(t->chunks, CHUNKS * sizeof(*t->chunks));
    pthread_mutex_destroy(&t->making);
}

struct wf_source *wf_source_get(struct wf_reactor *r, int fd)
{
    struct wf_source_chunk *chunk = fd < 0 ? NULL : chunk_of(&r->sources, fd);

    if (!chunk)
        return NULL;
    struct wf_source *s = source_of(chunk, fd);
    return wf_load_acquire(&s->generation) ? s : NULL; // [G2]
}

int wf_source_register(struct wf_reactor *r, int fd, struct wf_source **out, uint32_t *generation)
{
    if (fd < 0)
        return -EBADF;
    struct wf_source_chunk *chunk = chunk_for(&r->sources, fd, true);
    if (!chunk)
        return -ENOMEM;
    struct wf_source *s = source_of(chunk, fd);

    pthread_mutex_lock(lock_of(chunk, fd));
    bool closing = is_closing(fd);
    int err = check(r, s);
    if (err == -ENOENT)
        err = enter(r, s);
    *generation = wf_load_relaxed(&s->generation); // relaxed: changes only under the lock
    pthread_mutex_unlock(lock_of(chunk, fd));
    if (err < 0)
        return err;
    *out = s;
    return closing;
}

bool wf_source_forget(struct wf_reactor *r, int fd)
{
    struct wf_source_chunk *chunk = fd < 0 ? NULL : chunk_for(&r->sources, fd, false);

    if (!chunk)
        return false;
    pthread_mutex_lock(lock_of(chunk, fd));
    bool registered = is_registered(source_of(chunk, fd));
    if (registered)
        leave(r, source_of(chunk, fd));
    pthread_mutex_unlock(lock_of(chunk, fd));
    return registered;
}

bool wf_source_check(struct wf_reactor *r, int fd)
{
    struct wf_source_chunk *chunk = fd < 0 ? NULL : chunk_for(&r->sources, fd, false);

    if (!chunk)
        return false;
    pthread_mutex_lock(lock_of(chunk, fd));
    int err = check(r, source_of(chunk, fd));
    pthread_mutex_unlock(lock_of(chunk, fd));
    return err == 0;
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
    const struct wf_source_chunk *chunk = wf_load_acquire(&r->sources.newest); // acquire: from new_chunk

    for (; chunk; chunk = chunk->older)
        for (int i = 0; i < CHUNK; i++)
            if (is_awaited(&chunk->slot[i].source))
                return true;
    return false;
}
