// The common part of broadcast and watch: a ring of the last messages, which one writer
// at a time fills, and from which any number of readers copy without a lock; and a cell
// to wait for the next message.
//
// Messages have numbers, from 0 on. A slot of the ring is a stamp and the words of a
// message:
//
//        stamp:   0 (never used)    FILLING(n) --> FULL(n) --> FILLING(n + capacity) --> FULL(n + capacity) ...
//
// A reader of message n reads the stamp, copies, and reads the stamp again (as with a
// seqlock). If both are FULL(n), the copy is the message. A lower stamp means that the
// message has not been sent yet; a higher one that it has been overwritten. Stamps only
// grow and have 64 bits, so equal stamps mean that nothing happened in between. Readers
// write nothing that other threads read: a thousand readers slow down neither each
// other nor the writer, and no reader waits for a preempted writer.
//
// Rejected: copying under the lock. It is simpler, but all receivers contend for the
// lock at each message. CPU time for each received message, with 8 and with 64
// receivers on two CPUs (medians of five interleaved runs): 8 bytes: 15 and 14 ns,
// under the lock 24 and 24; 64 bytes: 22 and 19, under the lock 29 and 21. Large
// messages are cheaper under the lock, where a copy moves more than a word at a time:
// 512 bytes: 75 and 76, under the lock 46 and 37.
//
// Waiting. After a writer has put a message into the ring it sets `news` to a value
// that is unique for the message. A reader that finds no message clears `news`, but
// only if the value is still the one from before its check of the slot; then it waits
// for the cell.
//
//        reader                                 writer
//        seen = news                            slot = FULL(n)
//        look at the slot: not yet              news = SET(n), wakes the waiters
//        news: seen -> EMPTY, else look again
//        wait
//
// Both operate on one word, so one of the two comes first. If the set comes first, the
// exchange finds another value, or the wait finds the cell set, and the reader checks
// again. If the exchange comes first, the set finds EMPTY or the reader's node, and
// wakes the reader. (If `seen` were the value of that set, the check after it would
// have found the message.) A late set, for a message that was read already, costs one
// additional check.
//
// Edges.
//   B1  FULL (release) -> the first load of the stamp (acquire): the message's words,
//       and what the sender wrote before
//   B2  a word of a newer message (release) -> the reader that copies it (acquire): its
//       second load of the stamp finds that the slot is being filled
//   B3  `count` (release), also through FILLING (release) -> a reader that reads it, or
//       finds FILLING (acquire): all messages except the last are in the ring; and an
//       overtaken reader finds a count that says so
//   B4  `closed` (release) -> a load of it (acquire): the last message. A reader that
//       finds it closed, and then no message, has drained it
#ifndef WF_RUNTIME_CHAN_BCAST_H
#define WF_RUNTIME_CHAN_BCAST_H

#include "base/cell.h"
#include "base/lock.h"
#include "runtime/wait/set.h"

// I: fixed by wf_bcast_new; L: under the lock; A: atomic
struct wf_bcast {
    _Atomic uint64_t *ring; // I; A
    uint64_t capacity;      // I: slots
    size_t stride;          // I: words of a slot, stamp included
    size_t elem_size;       // I
    _Atomic bool closed;    // A: [B4], written under the lock

    _Alignas(WF_CACHE_LINE) struct wf_lock lock; // of writers, and of the containing object
    _Atomic uint64_t count;                      // A: [B3], written under the lock: messages so far
    struct wf_cell news;                         // A: see above
};

enum wf_bcast_got { WF_BCAST_GOT, WF_BCAST_NOT_YET, WF_BCAST_LOST };

// wf_bcast_new makes an object of `size` bytes that begins with a struct wf_bcast, the
// rest zero.
// Returns: NULL if there is no memory. To free: wf_free.
WF_MUST_CHECK void *wf_bcast_new(size_t size, size_t elem_size, uint64_t capacity);

// wf_bcast_check asserts that the ring has the messages that `count` says.
// Context: under the lock; other threads may read at the same time.
void wf_bcast_check(const struct wf_bcast *c);

// wf_bcast_put puts the next message into the ring. `elem` NULL: zeros.
// Returns: the number of messages so far, for wf_bcast_tell. Context: under the lock.
uint64_t wf_bcast_put(struct wf_bcast *c, const void *elem);

// wf_bcast_tell wakes the waiters for message number `count` - 1.
// Context: without the lock.
void wf_bcast_tell(struct wf_bcast *c, uint64_t count);

// wf_bcast_close closes it, and wakes the waiters.  Context: any thread, without the
// lock.
void wf_bcast_close(struct wf_bcast *c);

// wf_bcast_closed tells whether it is closed: call it before the check for messages.
static inline bool wf_bcast_closed(const struct wf_bcast *c)
{
    return wf_load_acquire(&c->closed); // [B4]
}

// wf_bcast_get copies message `n` to `elem`. It may write to `elem` even if the message
// was lost.
enum wf_bcast_got wf_bcast_get(const struct wf_bcast *c, uint64_t n, void *elem);

// wf_bcast_oldest is the oldest message in the ring: after WF_BCAST_LOST, one later
// than the lost message.
uint64_t wf_bcast_oldest(const struct wf_bcast *c);

// wf_bcast_full is the number of messages so far that can be read; at least one exists.
uint64_t wf_bcast_full(const struct wf_bcast *c);

// wf_bcast_seen begins a check for a new message: wf_bcast_wait needs its result if
// there is none.
static inline uintptr_t wf_bcast_seen(const struct wf_bcast *c)
{
    return wf_cell_value(&c->news);
}

// wf_bcast_wait parks the calling task, `self`, until there may be a new message.
// Returns: 0: check again; -ECANCELED, -ETIMEDOUT.
int wf_bcast_wait(struct wf_bcast *c, struct wf_task *self, uintptr_t seen, const char *what);

#endif
