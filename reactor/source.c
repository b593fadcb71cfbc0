// Sources: what the reactor knows of each descriptor number.
//
// The table has a place for every non-negative int: two million pointers to chunks of
// 1024 sources, 16 MiB of address space of which only the used pages become memory. So
// the table never grows, needs no limit, and a source never moves. A chunk takes 112
// KiB, when the first of its numbers is registered.
//
// The kernel uses a number for one descriptor after another; the generation
// distinguishes them. epoll carries the whole generation beside the number. An event of
// an older generation than the source's was meant for a predecessor.
//
//      generation    even: not registered                          odd: registered
//
//                    enter_source: cells SET, EPOLL_CTL_ADD, then generation + 1
//                 ---------------------------------------------------------------->
//                    leave_source: the last stamp + 1, EPOLL_CTL_DEL, then cells SET
//                 <----------------------------------------------------------------
//
// Both happen under the number's mutex, including the calls of the wakers. So a
// generation sets its cells before the next one does. (A waker takes no such mutex.)
//
// Each set gives a cell a unique value: the generation in the upper half, the number of
// the edge in the lower. So a reader that got EAGAIN clears only the value that it saw:
// not the next edge, and not the SET that ends or begins a generation. (The 27-bit
// count of edges could wrap only while one reader is between its two instructions.) So
// every edge must change even a cell that is SET already, by a compare-and-swap each:
// without it, a reader or writer that is about to clear the cell would clear the new
// edge, too.
//
// Three threads may dispatch events of one source at the same time, and in another order
// than the events happened: the worker with the lease, a busy worker beside it, and the
// reactor thread (turn.c). In any order each edge sets the cell to its own value. A
// later set could overwrite a value, so the fact that an end follows the bytes is not in
// the value, but in a mark of the source [G4].
//
// The generation changes after EPOLL_CTL_ADD has succeeded, not before: otherwise a
// call that has claimed the number would mistake a failed attempt for a close. So an
// event may arrive before its generation begins. Its tag is one above the even
// generation, and the event counts: enter_source has set the cells, and removed the old
// marks, before EPOLL_CTL_ADD.
//
// Between an event's check and its set, leave_source may end the generation. The event
// then sets a cell of a later generation: a spurious readiness, which costs the reader
// an EAGAIN. If it overwrites an edge of that generation, the cell stays SET and its
// value changes, so the edge is not lost. No event is lost either: the cells of a
// generation begin SET, and at ADD epoll reports the readiness that exists by then.
//
// Parking. A waiter pushes its node and then checks the generation again [G3]: a
// leave_source whose store it does not see yet will find the node. Without that check
// the waiter might push into the cell of a successor, and wait for the successor's
// edges.
//
// Closing. weft_close of number n, by any thread, holds no lock across close(2), which
// may block for a long time (a socket that lingers, a file on a network):
//
//      wf_closing_begin: n is marked, in a table for the whole process
//      wf_source_forget in each runtime: leave_source
//      close(2): n means nothing from now on, or means a successor
//      wf_closing_end: if n was registered meanwhile, in whatever runtime: wf_source_check in each; the mark goes
//
// A call may register n between wf_source_forget and close(2); then the kernel drops
// the watch silently. The call is still not lost, as these three cases show. To
// register a number is one section under the number's mutex: it checks the mark, and
// then adds the number to epoll.
//   - The section is before forget's section: forget ends the registration, and wakes
//     the tasks that have parked.
//   - It is after forget's, and finds the mark. It leaves a note. If wf_closing_end
//     finds the note, the closer checks: EPOLL_CTL_MOD tells whether the registration
//     is for the number's present file; if not, leave_source. If the note comes later,
//     it is after close(2), so the section has added a successor.
//   - It is after forget's, and finds no mark, because the closer is done: it has added
//     a successor.
// In the second case the registration may be for a closed file until the closer checks,
// and a call on the successor must not wait on it. Therefore wf_source_register also
// checks a number that is registered already, and tells its caller if it found the
// mark: then the caller lets no later call skip wf_source_register
// (runtime/io/ready.c). tests/model/source.pml checks all of this.
//
// A number that is not registered has no waiters in its cells; but a call may have
// claimed it (wf_source_claim), to see later whether it was closed. For such a number,
// too, wf_source_forget ends the generation: it adds two.
//
// Foreign closes. When other code closes a number by close(2), dup2 or fclose, epoll
// drops its watch silently, and the cells do not change: an EMPTY cell may belong to a
// closed file. So a task that parks on a descriptor that weft has not made first pushes
// its node, and then asks epoll by wf_source_confirm (EPOLL_CTL_MOD). ENOENT means that
// the number has another file: leave_source ends the generation. The call that asked
// registers the number anew and continues. Other parked tasks were confirmed when they
// parked, so their file was closed since, and they get -EBADF. EPOLL_CTL_ADD would ask
// as well, by EEXIST. But it also finds an entry that an earlier generation left in the
// set, with an old tag, whose events weft would drop. (A program that redirects stdout
// for a while makes such an entry: the number is closed while its file has a duplicate,
// and later gets the same file back.)
//
// EPOLL_CTL_MOD also reports the present readiness anew, so no other system call is
// needed for it: a call may clear a cell of such a source although the direction is not
// drained, push its node, and confirm. If the direction is ready, an event follows.
// Each confirm also gives the number a new tag. An event's upper half is a stamp: the
// generation for events since EPOLL_CTL_ADD, and two more for each confirm. When the
// kernel delivers an event, it polls the file and reads the tag at that moment
// (ep_send_events in fs/eventpoll.c). So an edge with the stamp of a confirm, or a
// later one, proves that the direction was ready at a moment after that confirm. An
// edge with an older stamp, which another thread took earlier and dispatches late, is
// an edge, but no such proof.
//
// The stamps of a generation span at most twice WF_STAMPS: then they start again in the
// middle. A late event could be mistaken for a new one only if its thread stopped
// between epoll_wait and the dispatch while other tasks waited 2^25 times on the same
// number. The next generation begins above all stamps of the last one, so the stamps of
// late events are recognised because they are smaller.
//
// A socket on which a task waits for bytes is usually ready for writing, and an event
// for that would cost a turn of the poll for each wait. So confirm asks for EPOLLOUT
// only while a task waits for room. That task's node is in the cell before it takes the
// mutex, so each later confirm sees the node; and each later waiter confirms again. So
// a write cell of such a source may be EMPTY although there is room; no call trusts it
// without a confirm (wf_source_is_own).
//
// A descriptor that weft has made (accept, dial, listen), and that weft_close closes,
// is trusted without that system call. wf_source_fresh marks the number; enter_source,
// under the mutex, turns that into the mark of the registration; leave_source and
// forget remove it. If other code closes such a descriptor, the mark is wrong, and a
// call on the number's next descriptor may wait without end. The exception is a next
// descriptor that weft has made, too: wf_source_fresh finds the old registration and
// forgets it. Once wf_source_fresh or a check has found such a close, this reactor sets
// the mark no more.
//
// Edges.
//   G1  new_chunk publishes a chunk (release) -> wf_source_get (acquire): its contents
//   G2  enter_source stores the odd generation (seq_cst, which closing.c needs) ->
//       wf_source_get, and the callers that compare (acquire): the cells are set for
//       that generation
//   G3  leave_source stores the even generation (seq_cst, as G2), then sets the cells [C1] ->
//       a waiter that is woken, finds the cell set, or pushes its node afterwards, sees
//       that its generation is over
//   G4  wf_source_event marks the source, then sets the cells [C1] -> a reader that
//       finds such a cell set sees the mark. This holds even if the other thread then
//       sets the cell again, for an event that it took earlier: each set is a
//       read-modify-write, which continues the release sequence
#include "reactor/source.h"

#include <errno.h>
#include <limits.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/sys.h"
#include "reactor/state.h"

enum { CHUNK = 1024, CHUNKS = INT_MAX / CHUNK + 1 };

struct wf_source_chunk {
    struct slot {
        _Alignas(WF_CACHE_LINE) struct wf_source source;
    } slot[CHUNK];
    pthread_mutex_t locks[CHUNK];  // of each number: guards its registration and the end of it
    uint32_t stamp[CHUNK];         // under its lock: the stamp of the number's events, while it is registered
    uint32_t closed[CHUNK];        // under its lock: the generation that began when the number was last forgotten
    struct wf_source_chunk *older; // I: the chunk made before this one
};

_Static_assert(sizeof(uintptr_t) == 8, "a generation and a count of edges fit into the value of a cell");
_Static_assert(sizeof(struct slot) == WF_CACHE_LINE, "a source is one cache line");

_Static_assert(WF_EDGE_COUNT > (WF_EDGE_LAST | WF_EDGE_OWN | WF_EDGE_FRESH | WF_EDGE_CLAIMED),
               "the marks lie below the count of edges");
_Static_assert((int)WF_CELL_SET < (int)WF_EDGE_LAST, "and above what the cell needs of its value");

static uint64_t tag_of(uint32_t stamp, int fd)
{
    wf_debug_assert(fd >= 0);
    return (uint64_t)stamp << 32 | (uint32_t)fd;
}

static uintptr_t value_of(uint32_t stamp, uint32_t edge)
{
    return (uintptr_t)stamp << 32 | edge;
}

// next_stamp is the stamp that follows `stamp` in the generation.
static uint32_t next_stamp(uint32_t generation, uint32_t stamp)
{
    uint32_t step = stamp + 2 - generation;
    return generation + (step < 2 * WF_STAMPS ? step : WF_STAMPS);
}

// above_stamps is the generation that follows one whose last stamp was `stamp`.
static uint32_t above_stamps(uint32_t generation, uint32_t stamp)
{
    uint32_t span = stamp - generation;
    return generation + 1 + (span < WF_STAMPS ? span : 2 * WF_STAMPS); // above that the stamps may have started again
}

static struct wf_source_chunk *chunk_of(struct wf_sources *t, int fd)
{
    wf_debug_assert(fd >= 0);
    return wf_load_acquire(&t->chunks[(unsigned)fd / CHUNK]); // [G1]
}

static struct wf_source *source_of(struct wf_source_chunk *chunk, int fd)
{
    struct wf_source *s = &chunk->slot[(unsigned)fd % CHUNK].source;

    wf_debug_assert(s->fd == fd);
    return s;
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

__attribute__((cold, noinline)) static struct wf_source_chunk *await_chunk(struct wf_sources *t, int fd, bool make)
{
    pthread_mutex_lock(&t->making);
    struct wf_source_chunk *chunk = chunk_of(t, fd);
    if (!chunk && make)
        chunk = new_chunk(t, fd);
    pthread_mutex_unlock(&t->making);
    return chunk;
}

// chunk_for finds the chunk of a number. If there is none, it makes one (`make`), or
// waits for a thread that is making it. Returns: NULL if there is no memory. Without
// `make`, NULL means that no thread has registered the number yet; one that does so
// later sees what the caller did before.
static inline struct wf_source_chunk *chunk_for(struct wf_sources *t, int fd, bool make)
{
    struct wf_source_chunk *chunk = chunk_of(t, fd);
    return wf_likely(chunk != NULL) ? chunk : await_chunk(t, fd, make);
}

static pthread_mutex_t *lock_of(struct wf_source_chunk *chunk, int fd)
{
    return &chunk->locks[(unsigned)fd % CHUNK];
}

// check_source_at asserts that the state of one number is consistent. Context: under
// its lock.
static void check_source_at(const struct wf_source_chunk *chunk, int i)
{
    const struct wf_source *s = &chunk->slot[i].source;
    uint32_t generation = wf_load_relaxed(&s->generation); // relaxed: changes only under the lock
    uint32_t closed = chunk->closed[i];

    wf_assert(s->fd % CHUNK == i);
    wf_assert(closed % 2 == 0 && (int32_t)(generation - closed) >= 0);
    wf_assert(generation % 2 == 0 || (chunk->stamp[i] % 2 == 1 && chunk->stamp[i] - generation < 2 * WF_STAMPS));
    wf_assert(generation != 0 || !wf_cell_awaited(&s->ready[WF_READ]));
    wf_assert(generation != 0 || !wf_cell_awaited(&s->ready[WF_WRITE]));
    wf_cell_check(&s->ready[WF_READ]);
    wf_cell_check(&s->ready[WF_WRITE]);
    wf_cell_check(&s->changed);
}

void wf_sources_check(struct wf_reactor *r)
{
    struct wf_source_chunk *chunk = wf_load_acquire(&r->sources.newest); // acquire: from new_chunk

    for (; chunk; chunk = chunk->older)
        for (int i = 0; i < CHUNK; i++) {
            pthread_mutex_lock(&chunk->locks[i]);
            check_source_at(chunk, i);
            pthread_mutex_unlock(&chunk->locks[i]);
        }
}

// --- registering ---------------------------------------------------------------------

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

static uint32_t *stamp_of(struct wf_reactor *r, const struct wf_source *s)
{
    return &chunk_of(&r->sources, s->fd)->stamp[s->fd % CHUNK];
}

// end_generation begins an even generation, in which the number is not registered.
// Context: under the lock of `s`, like all functions that follow.
static void end_generation(struct wf_reactor *r, struct wf_source *s, uint32_t generation)
{
    enum { FAR = 1 << 30 }; // no caller compares with a close so long ago
    uint32_t *closed = &chunk_of(&r->sources, s->fd)->closed[s->fd % CHUNK];

    wf_debug_assert(generation % 2 == 0);
    if (generation - *closed > FAR)
        *closed = generation - FAR;
    wf_store_seq_cst(&s->generation, generation); // [G3] before waiters are woken; [G5]
}

// clear_marks removes marks.
static void clear_marks(struct wf_source *s, uint32_t marks)
{
    if (wf_load_relaxed(&s->edges) & marks)      // relaxed, both: a thread that must see them has the lock, or made the
        wf_fetch_and_relaxed(&s->edges, ~marks); // descriptor after the closer's close(2)
}

// leave_source ends the registration, and wakes the waiters. If epoll does not have the
// number any more, other code has closed what weft had made.
static void leave_source(struct wf_reactor *r, struct wf_source *s)
{
    wf_debug_assert(is_registered(s));
    // relaxed: changes only under the lock
    uint32_t generation = above_stamps(wf_load_relaxed(&s->generation), *stamp_of(r, s));

    end_generation(r, s, generation);
    if (!wf_epoll_remove(&r->epoll, s->fd) && wf_source_is_own(s))
        wf_store_relaxed(&r->sources.betrayed, true); // relaxed: may take effect a little later
    wf_fetch_sub_relaxed(&r->sources.registered, 1u); // relaxed: a hint for pollers
    clear_marks(s, WF_EDGE_OWN | WF_EDGE_FRESH);
    set_all(s, value_of(generation, 0));
}

// enter_source registers a source that is not registered.
static int enter_source(struct wf_reactor *r, struct wf_source *s)
{
    uint32_t generation = wf_load_relaxed(&s->generation) + 1; // relaxed: changes only under the lock

    wf_debug_assert(!is_registered(s));
    set_all(s, value_of(generation, 0)); // no waiters: the cells are SET since leave_source, or new
    wf_store_relaxed(&s->kind, 0u);      // relaxed: published by the generation
    clear_marks(s, WF_EDGE_LAST | WF_EDGE_OWN);
    // relaxed, both: published by the generation
    if (wf_load_relaxed(&s->edges) & WF_EDGE_FRESH && !wf_load_relaxed(&r->sources.betrayed))
        wf_fetch_or_relaxed(&s->edges, (uint32_t)WF_EDGE_OWN);
    int err = wf_epoll_add(&r->epoll, s->fd, tag_of(generation, s->fd));
    if (err == 0) {
        wf_fetch_add_relaxed(&r->sources.registered, 1u); // relaxed: a hint for pollers
        *stamp_of(r, s) = generation;
        wf_store_seq_cst(&s->generation, generation); // [G2]
    }
    return err;
}

// ask_epoll asks epoll whether the registration is for the number's present file; if
// not, it ends the registration. Returns: 0: it is; -ENOENT: the number has another
// file; -EBADF and the like.
static int ask_epoll(struct wf_reactor *r, struct wf_source *s, bool writable)
{
    int err = wf_epoll_check(&r->epoll, s->fd, tag_of(*stamp_of(r, s), s->fd), writable);
    if (err < 0)
        leave_source(r, s);
    return err;
}

// check_source is ask_epoll, for both directions.  Returns: also -ENOENT if nothing was
// registered.
static int check_source(struct wf_reactor *r, struct wf_source *s)
{
    return is_registered(s) ? ask_epoll(r, s, true) : -ENOENT;
}

int wf_sources_init(struct wf_sources *t)
{
    t->chunks = wf_map(CHUNKS * sizeof(*t->chunks));
    if (!t->chunks)
        return -ENOMEM;
    // A huge page would be 2 MiB for a few pointers. The kernel may refuse.
    (void)wf_sys_madvise(t->chunks, CHUNKS * sizeof(*t->chunks), MADV_NOHUGEPAGE);
    pthread_mutex_init(&t->making, NULL); // cannot fail for the default kind
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
    struct wf_source_chunk *chunk = wf_load_relaxed(&t->newest); // relaxed: no other thread is left

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
    wf_debug_check(check_source_at(chunk, fd % CHUNK));
    bool closing = wf_closing_now(fd);
    int err = check_source(r, s);
    if (err == -ENOENT)
        err = enter_source(r, s);
    *generation = wf_load_relaxed(&s->generation); // relaxed: changes only under the lock
    wf_debug_assert(is_registered(s) == (err == 0));
    pthread_mutex_unlock(lock_of(chunk, fd));
    if (err < 0)
        return err;
    *out = s;
    return closing;
}

// look_again asks epoll, under the lock and by `is_watched`, whether the number still
// means the file of the generation. It ends a generation that is over. *stamp: the
// stamp of its events from now on.
// Returns: 0; -EBADF.
static int look_again(struct wf_reactor *r, struct wf_source *s, uint32_t generation,
                      bool (*is_watched)(struct wf_reactor *, struct wf_source *), uint32_t *stamp)
{
    struct wf_source_chunk *chunk = chunk_of(&r->sources, s->fd);

    wf_debug_assert(chunk && generation % 2 == 1); // the caller's generation was a registered one
    pthread_mutex_lock(lock_of(chunk, s->fd));
    bool same = wf_load_relaxed(&s->generation) == generation; // relaxed: changes only under the lock
    bool watched = same && is_watched(r, s);
    *stamp = chunk->stamp[s->fd % CHUNK];
    pthread_mutex_unlock(lock_of(chunk, s->fd));
    return watched ? 0 : -EBADF;
}

// confirm also makes epoll report the present readiness, with a new stamp.
static bool confirm(struct wf_reactor *r, struct wf_source *s)
{
    uint32_t *stamp = stamp_of(r, s);

    *stamp = next_stamp(wf_load_relaxed(&s->generation), *stamp); // relaxed: changes only under the lock
    return ask_epoll(r, s, wf_cell_wanted(&s->ready[WF_WRITE])) == 0;
}

int wf_source_confirm(struct wf_reactor *r, struct wf_source *s, uint32_t generation, uint32_t *stamp)
{
    return look_again(r, s, generation, confirm, stamp);
}

static bool recognise(struct wf_reactor *r, struct wf_source *s)
{
    // relaxed: changes only under the lock. An event of the generation before is ignored.
    bool has = wf_epoll_has(&r->epoll, s->fd, tag_of(wf_load_relaxed(&s->generation) - 1, s->fd));

    if (!has)
        leave_source(r, s);
    return has;
}

int wf_source_recognise(struct wf_reactor *r, struct wf_source *s, uint32_t generation)
{
    uint32_t stamp;
    return look_again(r, s, generation, recognise, &stamp);
}

void wf_source_fresh(struct wf_reactor *r, int fd)
{
    struct wf_source_chunk *chunk = chunk_for(&r->sources, fd, true);
    if (!chunk)
        return; // then it is watched like a descriptor that other code has made
    struct wf_source *s = source_of(chunk, fd);

    if (wf_load_acquire(&s->generation) & 1) // acquire: the registration to forget was made before
        wf_source_forget(r, fd);
    if (!(wf_load_relaxed(&s->edges) & WF_EDGE_FRESH))           // relaxed, both: only this task knows the number; what
        wf_fetch_or_relaxed(&s->edges, (uint32_t)WF_EDGE_FRESH); // tells it to other threads orders this, too
}

struct wf_source *wf_source_claim(struct wf_reactor *r, int fd, uint32_t *generation)
{
    struct wf_source_chunk *chunk = chunk_for(&r->sources, fd, true);
    if (!chunk)
        return NULL;
    struct wf_source *s = source_of(chunk, fd);

    if (!(wf_load_relaxed(&s->edges) & WF_EDGE_CLAIMED)) { // relaxed: once set, it stays; else the lock orders it
        pthread_mutex_lock(lock_of(chunk, fd));
        wf_fetch_or_relaxed(&s->edges, (uint32_t)WF_EDGE_CLAIMED); // relaxed: read under the lock
        pthread_mutex_unlock(lock_of(chunk, fd));
    }
    *generation = wf_load_acquire(&s->generation); // [G3]
    return s;
}

static void forget_unregistered(struct wf_reactor *r, struct wf_source *s)
{
    wf_debug_assert(!is_registered(s));
    clear_marks(s, WF_EDGE_FRESH);
    if (!(wf_load_relaxed(&s->edges) & WF_EDGE_CLAIMED)) // relaxed: written under the lock
        return;
    uint32_t generation = wf_load_relaxed(&s->generation) + 2; // relaxed: changes only under the lock
    end_generation(r, s, generation);
    wf_cell_set(&s->changed, value_of(generation, 0), true);
}

// forget is wf_source_forget, under the lock.
static bool forget(struct wf_reactor *r, struct wf_source *s, uint32_t *closed)
{
    if (is_registered(s)) {
        leave_source(r, s);
        *closed = wf_load_relaxed(&s->generation); // relaxed: changes only under the lock
        return true;
    }
    if (wf_load_relaxed(&s->edges) & (WF_EDGE_FRESH | WF_EDGE_CLAIMED)) // relaxed: as in unmark, and below
        forget_unregistered(r, s);
    return false;
}

bool wf_source_forget(struct wf_reactor *r, int fd)
{
    struct wf_source_chunk *chunk = fd < 0 ? NULL : chunk_for(&r->sources, fd, false);

    if (!chunk)
        return false;
    pthread_mutex_lock(lock_of(chunk, fd));
    bool registered = forget(r, source_of(chunk, fd), &chunk->closed[(unsigned)fd % CHUNK]);
    pthread_mutex_unlock(lock_of(chunk, fd));
    return registered;
}

bool wf_source_closed(struct wf_reactor *r, int fd, uint32_t generation)
{
    struct wf_source_chunk *chunk = chunk_of(&r->sources, fd);

    wf_debug_assert(chunk != NULL);
    pthread_mutex_lock(lock_of(chunk, fd));
    uint32_t closed = chunk->closed[(unsigned)fd % CHUNK];
    pthread_mutex_unlock(lock_of(chunk, fd));
    return (int32_t)(closed - generation) > 0;
}

bool wf_source_check(struct wf_reactor *r, int fd)
{
    struct wf_source_chunk *chunk = fd < 0 ? NULL : chunk_for(&r->sources, fd, false);

    if (!chunk)
        return false;
    pthread_mutex_lock(lock_of(chunk, fd));
    int err = check_source(r, source_of(chunk, fd));
    pthread_mutex_unlock(lock_of(chunk, fd));
    return err == 0;
}

bool wf_source_event(struct wf_reactor *r, uint64_t tag, bool readable, bool writable, bool last)
{
    int fd = (int)(uint32_t)tag;
    wf_debug_assert(chunk_of(&r->sources, fd) != NULL);
    struct wf_source *s = source_of(chunk_of(&r->sources, fd), fd); // the tag was made from a source

    // [G2] a stamp of this generation, or the one that enter_source uses, which is one
    // above
    if ((int32_t)((uint32_t)(tag >> 32) - wf_load_acquire(&s->generation)) < 0)
        return false;
    if (last)
        wf_fetch_or_relaxed(&s->edges, (uint32_t)WF_EDGE_LAST); // relaxed: [G4]
    // relaxed: the value only has to differ from those of other edges
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
