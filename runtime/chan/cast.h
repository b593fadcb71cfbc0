// What a broadcast and a watch are made of: a ring of the last messages, which one writer at a time fills, and which
// any number of readers copy out of without a lock; and a cell to wait for the next one.
//
// Messages have numbers, from 0 on. A slot of the ring is a stamp and the words of a message:
//
//        stamp:   0 (never used)    FILLING(n) --> FULL(n) --> FILLING(n + capacity) --> FULL(n + capacity) ...
//
// A reader who wants number n looks at the stamp, copies, and looks again. If both looks find FULL(n), what it copied
// is the message. A lower stamp means that the message has not been sent yet; a higher one that it has been
// overwritten. Stamps only go up and have 64 bits, so equal looks mean that nothing happened in between. Readers write
// nothing that others read: a thousand of them disturb neither each other nor the writer, and a writer that is
// preempted in the middle keeps nobody waiting.
//
// Rejected: to copy under the lock. It is simpler, but with many receivers all of them contend for it, at each message.
//
// Waiting. A writer sets `news` when a message is in the ring: to a value that no other message's set has. Who
// finds nothing to read takes that back, but only if the value is still the one that was there before it looked; then
// it waits for the cell.
//
//        reader                                 writer
//        seen = news                            slot = FULL(n)
//        look at the slot: not yet              news = SET(n), wakes who waits
//        news: seen -> EMPTY, else look again
//        wait
//
// All of that is one word, so one of the two comes first. The set first: the exchange finds another value, or the wait
// finds the cell set, and the reader looks again. The exchange first: the set finds EMPTY or the reader's node, and
// wakes it. (Were `seen` that set's own value, the look after it had found the message.) A set that comes late, for a
// message that was read already, costs one look more.
//
// Edges.
//   B1  FULL (release) -> the first look (acquire): the message's words, and what the sender wrote before
//   B2  a word of a newer message (release) -> the reader that copies it (acquire): its second look finds that the slot
//       is being filled
//   B3  `count` (release), also by way of FILLING (release) -> who reads it, or finds FILLING (acquire): all messages
//       but the last one are in the ring; and a reader that was overtaken finds a count that says so
//   B4  `closed` (release) -> the look at it (acquire): the last message. Who finds it closed, and after that no
//       message, has drained it
#ifndef WF_RUNTIME_CHAN_CAST_H
#define WF_RUNTIME_CHAN_CAST_H

#include "base/cell.h"
#include "base/lock.h"
#include "runtime/wait.h"

// I: fixed by wf_cast_new; L: under the lock; A: atomic
struct wf_cast {
    _Atomic uint64_t *ring; // I; A
    uint64_t capacity;      // I: slots
    size_t stride;          // I: words of a slot, stamp included
    size_t elem_size;       // I
    _Atomic bool closed;    // A: [B4], written under the lock

    _Alignas(WF_CACHE_LINE) struct wf_lock lock; // of writers, and of the object that this is a part of
    _Atomic uint64_t count;                      // A: [B3], written under the lock: messages so far
    struct wf_cell news;                         // A: see above
};

enum wf_cast_got { WF_CAST_GOT, WF_CAST_NOT_YET, WF_CAST_LOST };

// wf_cast_new makes an object of `size` bytes that begins with a struct wf_cast, the rest zero.
// Returns: NULL for want of memory. To free: wf_free.
WF_MUST_CHECK void *wf_cast_new(size_t size, size_t elem_size, uint64_t capacity);

// wf_cast_put puts the next message into the ring. `elem` NULL: zeros.
// Returns: how many there are now, for wf_cast_tell.  Context: under the lock.
uint64_t wf_cast_put(struct wf_cast *c, const void *elem);

// wf_cast_tell wakes who waits for the message that was put as number `count` - 1.  Context: without the lock.
void wf_cast_tell(struct wf_cast *c, uint64_t count);

// wf_cast_close closes it, and wakes who waits.  Context: any thread, without the lock.
void wf_cast_close(struct wf_cast *c);

// wf_cast_closed: look at it before you look for messages.
static inline bool wf_cast_closed(const struct wf_cast *c)
{
    return wf_load_acquire(&c->closed); // [B4]
}

// wf_cast_get copies message `n` to `elem`, which may have been written also if it was lost.
enum wf_cast_got wf_cast_get(const struct wf_cast *c, uint64_t n, void *elem);

// wf_cast_oldest is the oldest message that is still there: after WF_CAST_LOST, a later one than that.
uint64_t wf_cast_oldest(const struct wf_cast *c);

// wf_cast_full is how many messages are there to be read, counted from the first one, of which there is at least one.
uint64_t wf_cast_full(const struct wf_cast *c);

// wf_cast_seen is the beginning of a look for something new: what wf_cast_wait needs, if there was nothing.
static inline uintptr_t wf_cast_seen(const struct wf_cast *c)
{
    return wf_cell_value(&c->news);
}

// wf_cast_wait parks the calling task, which is `self`, until there may be something new.
// Returns: 0: look again; -ECANCELED, -ETIMEDOUT.
int wf_cast_wait(struct wf_cast *c, struct wf_task *self, uintptr_t seen, const char *what);

#endif
