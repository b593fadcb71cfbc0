// The semaphore: a word with the permits, and a queue.
//
//   The word is twice the number of permits, plus QUEUED if the queue is not empty.
//   While QUEUED is clear, a compare-and-swap takes or adds permits. While it is set,
//   only the holder of the queue's lock writes the word: permits go to the head of the
//   queue, if they suffice for it, and stay in the word until they do.
//
//                    acquire (not enough)                  release, or the head leaves:
//        n permits ----------------------> QUEUED, n ----------------------------------+
//          ^    ^                            |   ^      the head gets its, and the next |
//          |    +-- the last one was served -+   +-------------------------------------+
//          +--> acquire, release: compare-and-swap
//
//   No permit is lost or doubled: permits leave the word by a compare-and-swap, or are
//   subtracted under the lock on behalf of a waiter that is taken out of the queue at
//   the same time. Such a waiter is granted, cancelled or not. A waiter that leaves is
//   still in the queue, so nothing has been subtracted for it.
//
//   No wake is lost: whenever the lock is released and the queue is not empty, there
//   are fewer permits than the head requests (`serve` ensures that, on release and when
//   the head leaves), and QUEUED is set, so the next release takes the slow path.
//
// Edges.
//   V1  release's compare-and-swap, and serve's store (release) -> the compare-and-swap
//       of acquire, and the slow path's load (acquire): what was done before permits
//       were released. Grants go by Q1
#include "runtime/sync/sem.h"

#include "base/assert.h"
#include "runtime/sync/queue.h"

enum { QUEUED = 1, PERMIT = 2 };

struct wf_sem {
    _Atomic size_t word; // A: [V1]
    struct wf_queue queue;
};

_Static_assert(sizeof(struct wf_sem) == sizeof(weft_sem), "the semaphore is what the program reserves for it");

// A waiter, and the number of permits that it requests.
struct request {
    struct wf_waiter waiter;
    size_t n; // I
};

static struct wf_sem *sem_of(weft_sem *s)
{
    return (struct wf_sem *)(void *)s;
}

// check_locked is wf_sem_check, under the queue's lock. Permits that suffice for the
// head were given to it before the lock was released.
static void check_locked(const struct wf_sem *sem)
{
    size_t word = wf_load_relaxed(&sem->word); // relaxed: QUEUED changes only under the lock

    wf_assert(word / PERMIT <= WEFT_SEM_MAX);
    wf_queue_check(&sem->queue, word & QUEUED);
    if (word & QUEUED)
        wf_assert(word / PERMIT < wf_container_of(wf_queue_head(&sem->queue), struct request, waiter)->n);
}

void wf_sem_check(weft_sem *s)
{
    wf_queue_lock(&sem_of(s)->queue);
    check_locked(sem_of(s));
    wf_queue_unlock(&sem_of(s)->queue);
}

static size_t check_count(size_t n, const char *call)
{
    if (wf_unlikely(n > WEFT_SEM_MAX))
        wf_misuse("%s: %zu permits are more than WEFT_SEM_MAX", call, n);
    return n;
}

void weft_sem_init(weft_sem *s, size_t n)
{
    struct wf_sem *sem = sem_of(s);

    check_count(n, "weft_sem_init");
    wf_store_relaxed(&sem->word, n * PERMIT); // relaxed: not shared yet
    wf_queue_init(&sem->queue);
}

void weft_sem_destroy(weft_sem *s)
{
    wf_queue_destroy(&sem_of(s)->queue, "weft_sem_destroy");
}

static bool try_acquire(struct wf_sem *sem, size_t n)
{
    size_t word = wf_load_relaxed(&sem->word); // relaxed: the compare-and-swap confirms it

    while (!(word & QUEUED) && word / PERMIT >= n)
        if (wf_likely(wf_cas_acquire(&sem->word, &word, word - n * PERMIT))) // [V1]
            return true;
    return n == 0;
}

// queue_request takes the permits if there are enough by now, or queues `r`. Returns:
// true if it has the permits.
static bool queue_request(struct wf_sem *sem, struct request *r)
{
    size_t word = wf_load_relaxed(&sem->word), want; // relaxed: the compare-and-swap confirms it
    bool enough;

    wf_debug_assert(wf_lock_held(&sem->queue.lock) && r->n > 0);
    wf_debug_check(check_locked(sem));
    do {
        enough = !(word & QUEUED) && word / PERMIT >= r->n;
        want = enough ? word - r->n * PERMIT : word | QUEUED;
    } while (!wf_cas_acquire(&sem->word, &word, want)); // [V1]
    if (!enough)
        wf_queue_join(&sem->queue, &r->waiter);
    return enough;
}

// serve gives the available permits, and `more`, to the first waiters of the queue.
// Context: under the lock, QUEUED.
static void serve(struct wf_sem *sem, size_t more, struct wf_list *taken)
{
    size_t permits = wf_load_acquire(&sem->word) / PERMIT + more; // [V1] passes on what earlier releases published

    wf_debug_assert(wf_lock_held(&sem->queue.lock) && permits <= WEFT_SEM_MAX);
    wf_list_init(taken);
    while (!wf_queue_empty(&sem->queue)) {
        struct request *r = wf_container_of(wf_queue_head(&sem->queue), struct request, waiter);
        if (permits < r->n)
            break;
        wf_debug_assert(r->n > 0 && r->n <= WEFT_SEM_MAX);
        permits -= r->n;
        wf_queue_take(&sem->queue, taken);
    }
    wf_store_release(&sem->word, permits * PERMIT + !wf_queue_empty(&sem->queue)); // [V1]
}

static WF_NOINLINE int acquire_slowly(struct wf_sem *sem, size_t n, struct wf_task *self)
{
    struct request r = { .n = n };
    struct wf_list taken;

    wf_waiter_init(&r.waiter, self);
    wf_queue_lock(&sem->queue);
    bool enough = queue_request(sem, &r);
    wf_queue_unlock(&sem->queue);
    if (enough)
        return 0;
    int err = wf_queue_wait(&sem->queue, &r.waiter, "semaphore", sem);
    if (err < 0) {
        serve(sem, 0, &taken); // the waiters behind a large request
        wf_queue_unlock(&sem->queue);
        wf_queue_grant(&taken, 0);
    }
    return err;
}

int weft_sem_acquire(weft_sem *s, size_t n)
{
    struct wf_task *self = wf_require_task("weft_sem_acquire");
    struct wf_sem *sem = sem_of(s);
    int err = wf_check_cancel(self);

    if (wf_unlikely(err))
        return err;
    wf_budget_consume(self);
    return wf_likely(try_acquire(sem, check_count(n, "weft_sem_acquire"))) ? 0 : acquire_slowly(sem, n, self);
}

int weft_sem_try_acquire(weft_sem *s, size_t n)
{
    return try_acquire(sem_of(s), check_count(n, "weft_sem_try_acquire")) ? 0 : -EAGAIN;
}

static void check_room(size_t word, size_t n)
{
    if (wf_unlikely(n > WEFT_SEM_MAX - word / PERMIT))
        wf_misuse("weft_sem_release: %zu permits and %zu more are beyond WEFT_SEM_MAX", word / PERMIT, n);
}

// release_to_waiters is release while the queue is not empty. Returns: false if the
// queue is empty by now; then nothing has changed.
static WF_NOINLINE bool release_to_waiters(struct wf_sem *sem, size_t n)
{
    struct wf_list taken;

    wf_queue_lock(&sem->queue);
    size_t word = wf_load_relaxed(&sem->word); // relaxed: only the lock's holder writes it while QUEUED
    if (!(word & QUEUED)) {
        // Do not add the permits here: a task that takes them may free the semaphore
        // before its lock is released.
        wf_queue_unlock(&sem->queue);
        return false;
    }
    check_room(word, n);
    serve(sem, n, &taken);
    wf_queue_unlock(&sem->queue);
    wf_queue_grant(&taken, 0);
    return true;
}

void weft_sem_release(weft_sem *s, size_t n)
{
    struct wf_sem *sem = sem_of(s);
    size_t word = wf_load_relaxed(&sem->word); // relaxed: the compare-and-swap confirms it

    if (wf_unlikely(n == 0))
        return;
    for (;;) {
        check_room(word, n);
        if (wf_unlikely(word & QUEUED)) {
            if (release_to_waiters(sem, n))
                return;
            word = wf_load_relaxed(&sem->word);                                       // relaxed: as above
        } else if (wf_likely(wf_cas_release(&sem->word, &word, word + n * PERMIT))) { // [V1]
            return;
        }
    }
}

size_t weft_sem_available(const weft_sem *s)
{
    // acquire: a caller that finds permits may rely on what their releaser did before
    return wf_load_acquire(&((const struct wf_sem *)(const void *)s)->word) / PERMIT;
}
