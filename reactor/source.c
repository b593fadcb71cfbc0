// Sources: what the reactor knows of each descriptor number.
//
// The table has a place for every number that an int can be: two million pointers to
// chunks of 1024 sources, 16 MiB of address space of which only the pages that are used
// become memory. So there is no growing, no limit to check, and a source found once
// stays where it is. A chunk takes 112 KiB, when the first of its numbers is
// registered.
//
// A number is used again and again, for one descriptor after another; the generation
// tells them apart. It travels through epoll, whole, beside the number, and an event
// that comes back with another generation than the source's was meant for a
// predecessor.
//
//      generation    even: not registered                          odd: registered
//
//                    enter_source: cells SET, EPOLL_CTL_ADD, then generation + 1
//                 ---------------------------------------------------------------->
//                    leave_source: the last stamp + 1, EPOLL_CTL_DEL, then cells SET
//                 <----------------------------------------------------------------
//
// Both happen under the number's mutex, wakers and all, so what a generation sets its
// cells to comes before whatever the next one sets them to. (A waker that is fired
// takes no such mutex.)
//
// What a cell is set to is unique: the generation in the upper half, the number of the
// edge in the lower. So a reader that got EAGAIN and clears what it saw clears nothing
// that came after: not the next edge, and not the SET that ends or begins a generation.
// (A 27-bit count of edges could come round only while one reader stands between its
// two instructions.) That is why every edge must change a cell that is SET already, a
// compare-and-swap each: what looks like a needless one may be the edge that a writer,
// about to clear, is going to miss.
//
// Three threads may dispatch events of one source at a time, in another order than they
// happened in: a worker, one that is busy beside it, and the reactor thread (turn.c).
// Each edge sets the cell, to a value of its own, whatever the order. That an end lies
// behind the bytes is not part of the value, which a later set could overwrite, but a
// mark of the source [G4].
//
// The generation changes when epoll has taken the number, and not before: a call that
// has claimed it would take an attempt that fails for the number's end. So an event may
// come before its generation. It is known by its tag, one above an even generation, and
// counts: enter_source has set the cells, and taken the old marks away, before EPOLL_CTL_ADD.
//
// An event that passes the check and is then overtaken by leave_source sets a cell of a later
// generation: a spurious readiness, which costs the reader an EAGAIN. If it overwrites
// an edge of that generation the cell stays SET, and its value changes: the edge is not
// lost. Nor is an event lost: the cells of a generation begin SET, and epoll reports at
// ADD what is ready by then.
//
// Parking. A waiter pushes its node and then looks at the generation again [G3]: a
// leave_source that it does not see yet is going to find the node. Without that look it might
// push into the cell of a successor, and wait for that one's edges.
//
// Closing. weft_close of number n, by any thread, holds no lock across close(2), which
// may block for long (a socket that lingers, a file on a network):
//
//      wf_closing_begin: n is marked, in a table for the whole process
//      wf_source_forget in each runtime: leave_source
//      close(2): n means nothing from now on, or means a successor
//      wf_closing_end: if n was registered meanwhile, in whatever runtime: wf_source_check in each; the mark goes
//
// A call may register n between the two in the middle, and if that was before close(2),
// the kernel drops the watch without a word. The call is not lost, as the following
// cases are all there are. Registering is one section under the number's mutex: it
// looks at the mark, and then adds the number to epoll.
//   - The section comes before forget's: forget ends the registration, and wakes the
//     tasks that have parked by it.
//   - It comes after, and finds the mark. It notes that it was there, which
//     wf_closing_end sees, unless the note comes after wf_closing_end's look: but that
//     is after close(2), so that what was added is a successor. Seeing the note, the
//     closer checks: EPOLL_CTL_MOD tells whether what is registered is what the number
//     means now; if not, leave_source.
//   - It comes after, and finds no mark, because the closer is done: what was added is
//     a successor.
// The middle case leaves a registration that may be of a file that is gone until the
// closer checks, and a call on the successor must not wait by it. Therefore registering
// what is registered checks as well, and wf_source_register says that it found the
// mark: then the caller lets no later call skip wf_source_register
// (runtime/io/ready.c). tests/model/source.pml has all of this.
//
// A number that is not registered has no waiters in cells; but a call may have claimed
// it (wf_source_claim), to see later whether it was closed meanwhile. Of such a number,
// too, wf_source_forget ends the generation, by two.
//
// Foreign closes. What others close by close(2), dup2 or fclose, epoll drops without a
// word, and the cells tell nothing: an EMPTY one may be of a file that is gone. So
// before a task parks on a descriptor that weft has not made, and when its node is in
// the cell, wf_source_confirm asks epoll, by EPOLL_CTL_MOD. ENOENT: the number means
// another file; leave_source. The call that asked registers the number anew and goes on; other
// tasks that are parked were confirmed when they parked, so the number has changed
// since, and they get -EBADF. EPOLL_CTL_ADD would ask as well, by EEXIST; but it also
// finds what an earlier generation has left in the set (a number closed while a
// duplicate lives, and then given its file back, as a program does that redirects
// stdout for a while), with an old tag, whose events would be dropped.
//
// EPOLL_CTL_MOD also reports anew what is ready, so no other call needs to ask for that:
// a call may clear a cell of such a source although the direction is not drained, push
// its node, and confirm. If it is ready, the event comes. And each confirm gives the
// number a new tag: an event's upper half is a stamp, the generation for what
// EPOLL_CTL_ADD reports, and two more for each confirm. The kernel polls the file when
// it hands an event out, and takes the tag with it (ep_send_events in fs/eventpoll.c).
// So an edge that bears the stamp of a confirm, or a later one, says that the direction
// was ready at a moment after that confirm; an edge with an older stamp, of an event
// that one thread took before and dispatches late, is an edge, and no proof.
//
// Those of a generation span twice WF_STAMPS at most: then they start again in the
// middle. For a late event to pass for a new one, its thread would have to stand between
// epoll_wait and the dispatch while other tasks wait 2^25 times on the same number. The
// next generation begins above all stamps of the last one, so late events of that are
// known by being less.
//
// A socket that is waited on for bytes
// is mostly ready for writing, and to hear of it would cost a turn of the poll for each
// wait. So confirm asks for EPOLLOUT only while a task waits for room: its node is in
// the cell when it takes the mutex, so each later confirm sees it there; and each later
// waiter confirms again. A write cell of such a source may thus be EMPTY though there
// is room; no call trusts it without confirming (wf_source_is_own).
//
// What weft has made itself (accept, dial, listen) and closes by weft_close is trusted
// without a call: wf_source_fresh marks the number; enter_source, under the mutex, makes that
// the mark of the registration; leave_source and forget take it away. If others close such a
// descriptor the mark is false, and a call on the number's next descriptor may wait in
// vain, unless weft has made that one, too: wf_source_fresh finds the remains and
// forgets them. Once that, or any check, has found such a close, the mark is not given
// any more in this reactor.
//
// Edges.
//   G1  new_chunk publishes a chunk (release) -> wf_source_get (acquire): its contents
//   G2  enter_source stores the odd generation (seq_cst, which closing.c needs) ->
//       wf_source_get, and the callers that compare (acquire): the cells are set for it
//   G3  leave_source stores the even generation (seq_cst, as G2), then sets the cells [C1] ->
//       a waiter that is woken, finds the cell set, or pushes its node after that, sees
//       that its generation is over
//   G4  wf_source_event marks the source, then sets the cells [C1] -> a reader that
//       finds such a cell set sees the mark; also if an event that was harvested
//       before, by the other party, sets the cell again after that: each set is a
//       read-modify-write, and carries the earlier release on
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
    pthread_mutex_t locks[CHUNK];  // of each number: registering, and what ends that
    uint32_t stamp[CHUNK];         // under its lock: what the number's events bear, while it is registered
    uint32_t closed[CHUNK];        // under its lock: the generation that followed when it was last forgotten
    struct wf_source_chunk *older; // I: the one made before
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

// next_stamp follows a stamp of the generation.
static uint32_t next_stamp(uint32_t generation, uint32_t stamp)
{
    uint32_t step = stamp + 2 - generation;
    return generation + (step < 2 * WF_STAMPS ? step : WF_STAMPS);
}

// above_stamps is the generation that follows one whose last stamp was `stamp`.
static uint32_t above_stamps(uint32_t generation, uint32_t stamp)
{
    uint32_t span = stamp - generation;
    return generation + 1 + (span < WF_STAMPS ? span : 2 * WF_STAMPS); // above that they may have started again
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
// waits for a thread that is at it.
// Returns: NULL for want of memory; or, without `make`: a thread that registers the
// number does so later, and sees what the caller did before.
static inline struct wf_source_chunk *chunk_for(struct wf_sources *t, int fd, bool make)
{
    struct wf_source_chunk *chunk = chunk_of(t, fd);
    return wf_likely(chunk != NULL) ? chunk : await_chunk(t, fd, make);
}

static pthread_mutex_t *lock_of(struct wf_source_chunk *chunk, int fd)
{
    return &chunk->locks[(unsigned)fd % CHUNK];
}

// check_source_at asserts what goes together of one number.  Context: under its lock.
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

// end_generation begins the next one, an even one, under which the number is not
// registered.  Context: under the lock of `s`, like all that follows.
static void end_generation(struct wf_reactor *r, struct wf_source *s, uint32_t generation)
{
    enum { FAR = 1 << 30 }; // what was closed so long ago is no longer compared with
    uint32_t *closed = &chunk_of(&r->sources, s->fd)->closed[s->fd % CHUNK];

    wf_debug_assert(generation % 2 == 0);
    if (generation - *closed > FAR)
        *closed = generation - FAR;
    wf_store_seq_cst(&s->generation, generation); // [G3] before waiters are woken; [G5]
}

// clear_marks takes marks away.
static void clear_marks(struct wf_source *s, uint32_t marks)
{
    if (wf_load_relaxed(&s->edges) & marks)      // relaxed, both: a party that must see them has the lock, or made the
        wf_fetch_and_relaxed(&s->edges, ~marks); // descriptor after the closer's close(2)
}

// leave_source ends the registration, and wakes the waiters. It notices if other code
// has closed what weft had made: then epoll knows nothing of the number any more.
static void leave_source(struct wf_reactor *r, struct wf_source *s)
{
    wf_debug_assert(is_registered(s));
    // relaxed: changes only under the lock
    uint32_t generation = above_stamps(wf_load_relaxed(&s->generation), *stamp_of(r, s));

    end_generation(r, s, generation);
    if (!wf_epoll_remove(&r->epoll, s->fd) && wf_source_is_own(s))
        wf_store_relaxed(&r->sources.betrayed, true); // relaxed: from soon on
    wf_fetch_sub_relaxed(&r->sources.registered, 1u); // relaxed: a hint for pollers
    clear_marks(s, WF_EDGE_OWN | WF_EDGE_FRESH);
    set_all(s, value_of(generation, 0));
}

// enter_source makes a source that is not registered one that is.
static int enter_source(struct wf_reactor *r, struct wf_source *s)
{
    uint32_t generation = wf_load_relaxed(&s->generation) + 1; // relaxed: changes only under the lock

    wf_debug_assert(!is_registered(s));
    set_all(s, value_of(generation, 0)); // there are no waiters: they are SET since it was left, or new
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

// ask_epoll asks epoll whether what is registered is what the number means now; if not,
// it leaves.
// Returns: 0: it is; -ENOENT: the number means something else; -EBADF and the like.
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
    // 2 MiB for a few pointers; it may refuse.
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

// look_again asks epoll, under the lock, by `is_watched`, whether the number means what
// the generation does. It ends a generation that is over. *stamp: what its events bear
// from now on.
// Returns: 0; -EBADF.
static int look_again(struct wf_reactor *r, struct wf_source *s, uint32_t generation,
                      bool (*is_watched)(struct wf_reactor *, struct wf_source *), uint32_t *stamp)
{
    struct wf_source_chunk *chunk = chunk_of(&r->sources, s->fd);

    wf_debug_assert(chunk && generation % 2 == 1); // of what was registered
    pthread_mutex_lock(lock_of(chunk, s->fd));
    bool same = wf_load_relaxed(&s->generation) == generation; // relaxed: changes only under the lock
    bool watched = same && is_watched(r, s);
    *stamp = chunk->stamp[s->fd % CHUNK];
    pthread_mutex_unlock(lock_of(chunk, s->fd));
    return watched ? 0 : -EBADF;
}

// confirm also makes epoll report anew what is ready, by a new stamp.
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
        return; // then it is watched like one that others have made
    struct wf_source *s = source_of(chunk, fd);

    if (wf_load_acquire(&s->generation) & 1) // acquire: what is forgotten now was registered before
        wf_source_forget(r, fd);
    if (!(wf_load_relaxed(&s->edges) & WF_EDGE_FRESH))           // relaxed, both: only this task knows the number, and
        wf_fetch_or_relaxed(&s->edges, (uint32_t)WF_EDGE_FRESH); // it is told to others by an edge of its own
}

struct wf_source *wf_source_claim(struct wf_reactor *r, int fd, uint32_t *generation)
{
    struct wf_source_chunk *chunk = chunk_for(&r->sources, fd, true);
    if (!chunk)
        return NULL;
    struct wf_source *s = source_of(chunk, fd);

    if (!(wf_load_relaxed(&s->edges) & WF_EDGE_CLAIMED)) { // relaxed: once there, it stays; else the lock orders it
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
    wf_debug_assert(chunk_of(&r->sources, fd) != NULL);
    struct wf_source *s = source_of(chunk_of(&r->sources, fd), fd); // the tag was made from a source

    // [G2] a stamp of this generation, or that of enter_source, which is one above
    if ((int32_t)((uint32_t)(tag >> 32) - wf_load_acquire(&s->generation)) < 0)
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
