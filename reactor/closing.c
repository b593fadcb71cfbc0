// Numbers that a thread is closing, and holds on numbers that must stay open. Both
// tables are for the whole process.
//
// Closing: reactor/source.c has the protocol, and the purpose of the mark.
//
// Holding. A call of several steps must not reach the number's successor in a later
// step. It can check that the generation is still the same; but between that check and
// the system call another thread may close the number and open it again. So the call
// makes the check and the system call under a hold:
//
//      wf_hold_begin: the hold is counted, and in the list; then the look at the generation [G5]
//      the system call
//      wf_hold_end: the hold leaves the list; if a closer came meanwhile and this was the last hold, it frees the
//      number
//
//      closer: the generation ends (wf_source_forget in each runtime) [G5]; then wf_hold_defer: if there is a hold, the
//      closer takes one as well, which `closes`; it closes the file, with the number still taken (runtime/io/close.c);
//      wf_hold_end
//
// By [G5] wf_hold_begin sees that the generation is over, or the closer sees the hold.
// In the second case wf_hold_defer takes the lock, under which the hold is in the list
// until it ends. While a hold with `closes` exists, no new hold of the number begins;
// when it ends before other holds of the number, it passes `closes` to one of them. So
// until a hold ends its number means the same file, or none, unless other code closes
// it by close(2), which weft cannot see. The closer never waits.
//
// Holds protect calls that began before weft_close. A call that begins between the end
// of the generation and close(2) registers the number at once (runtime/io/ready.c,
// wf_ready_claim): the closer checks the registration, and ends its generation.
//
// Edges.
//   G5  both seq_cst: wf_hold_begin counts the hold, then loads the generation; step
//       and forget_unregistered (reactor/source.c) store the generation, then
//       wf_hold_defer loads the count: at least one of the two sees the other's store
#include <errno.h>

#include "base/assert.h"
#include "base/lock.h"
#include "reactor/reactor.h"

enum { PLACES = 256 };

// Numbers that are equal modulo PLACES share a place. While one of them is being
// closed, calls on the others make a needless check.
static struct place {
    _Alignas(WF_CACHE_LINE) struct wf_lock lock;
    unsigned closers;      // under lock
    bool doubted;          // under lock: a task registered one of these numbers while closers > 0
    struct wf_hold *holds; // under lock
    _Atomic unsigned held; // A: the number of holds; [G5]
} places[PLACES];

static struct place *place_of(int fd)
{
    return &places[(unsigned)fd % PLACES];
}

// check_place asserts that the holds belong to this place, and that `held` is their
// number.
// Context: under the lock, under which both change.
static void check_place(const struct place *p)
{
    unsigned n = 0;

    wf_assert(wf_lock_held(&p->lock));
    for (const struct wf_hold *h = p->holds; h; h = h->next, n++)
        wf_assert(place_of(h->fd) == p);
    wf_assert(n == wf_load_relaxed(&p->held)); // relaxed: changes only under the lock
    wf_assert(!p->doubted || p->closers > 0);
}

static struct place *lock_place(int fd)
{
    struct place *p = place_of(fd);

    wf_debug_assert(fd >= 0);
    wf_lock_acquire(&p->lock);
    wf_debug_check(check_place(p));
    return p;
}

// --- closing -------------------------------------------------------------------------

void wf_closing_begin(int fd)
{
    struct place *p = lock_place(fd);

    p->closers++;
    wf_lock_release(&p->lock);
}

bool wf_closing_end(int fd, bool checked)
{
    struct place *p = lock_place(fd);
    bool over = checked || !p->doubted;

    wf_debug_assert(p->closers > 0);
    if (over && --p->closers == 0)
        p->doubted = false;
    wf_lock_release(&p->lock);
    return over;
}

void wf_closing_reset(void)
{
    for (int i = 0; i < PLACES; i++)
        places[i] = (struct place){ 0 };
}

bool wf_closing_now(int fd)
{
    struct place *p = lock_place(fd);
    bool yes = p->closers > 0;

    if (yes)
        p->doubted = true;
    wf_lock_release(&p->lock);
    return yes;
}

// --- holding -------------------------------------------------------------------------

// newest_hold finds the newest hold of the number: if any hold has `closes`, the newest
// one has it.
// Context: under the lock.
static struct wf_hold *newest_hold(const struct place *p, int fd)
{
    struct wf_hold *h = p->holds;

    while (h && h->fd != fd)
        h = h->next;
    return h;
}

static void enlist(struct place *p, struct wf_hold *h)
{
    wf_debug_assert(wf_lock_held(&p->lock) && place_of(h->fd) == p && p->holds != h);
    h->next = p->holds;
    p->holds = h;
    wf_fetch_add_seq_cst(&p->held, 1u); // [G5]
}

static void delist(struct place *p, const struct wf_hold *h)
{
    struct wf_hold **at = &p->holds;

    wf_debug_assert(wf_lock_held(&p->lock));
    while (*at != h) {
        wf_debug_assert(*at != NULL); // a hold that ends is in the list
        at = &(*at)->next;
    }
    *at = h->next;
    wf_fetch_sub_relaxed(&p->held, 1u); // relaxed: a closer that sees the old count checks under the lock
}

bool wf_hold_begin(struct wf_hold *h, int fd, const struct wf_source *s, uint32_t began)
{
    struct place *p = lock_place(fd);
    const struct wf_hold *other = newest_hold(p, fd);
    bool may = !(other && other->closes);

    *h = (struct wf_hold){ .fd = fd };
    if (may) {
        enlist(p, h);
        may = wf_generation_since(wf_load_seq_cst(&s->generation), began); // [G5]
        if (!may)
            delist(p, h);
    }
    wf_lock_release(&p->lock);
    return may;
}

bool wf_hold_end(struct wf_hold *h)
{
    struct place *p = lock_place(h->fd);

    delist(p, h);
    struct wf_hold *other = h->closes ? newest_hold(p, h->fd) : NULL;
    if (other) {
        other->closes = true;
        other->covered = h->covered;
    }
    wf_lock_release(&p->lock);
    return h->closes && !other;
}

__attribute__((cold, noinline)) static int defer(struct wf_hold *h, int fd)
{
    struct place *p = lock_place(fd);
    const struct wf_hold *other = newest_hold(p, fd);
    int result = !other ? 0 : other->closes ? -EBADF : 1;

    if (result > 0) {
        *h = (struct wf_hold){ .fd = fd, .closes = true };
        enlist(p, h);
    }
    wf_lock_release(&p->lock);
    return result;
}

int wf_hold_defer(struct wf_hold *h, int fd)
{
    return wf_likely(wf_load_seq_cst(&place_of(fd)->held) == 0) ? 0 : defer(h, fd); // [G5]
}
