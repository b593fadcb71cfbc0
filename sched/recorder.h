// The flight recorder: what tasks and workers did last, for a trace. Each worker has a
// ring of events, which it alone writes, and overwrites; all other threads share one, by
// a lock. A reader copies a ring while it is written.
//
//   An event is four words. The writer's event number i takes the place i % capacity, so
//   it overwrites event i - capacity.
//
//        writer, event i                          reader
//        head == i                                end = head
//        four words, one after the other          copies the events before `end`, as many as there are places
//        head = i + 1                             end again: drops those that a write may have begun to overwrite
//
//   A reader that finds a word of event i has seen head == i, as the writer stored that
//   before: so its second look finds i or more, and it drops all events up to
//   i - capacity, the one whose place that is among them. What it keeps was not
//   overwritten when it was copied, and was complete as `end` was past it.
//
// Edges.
//   R3  each word of an event (release) -> the reader's copy (acquire): `head` as it was
//       when the write began
//   R4  the writer's store of `head` (release) -> the reader's first look (acquire): the
//       words of all events before it
//   R5  wf_sched_record_begin's store of `recorder` (release) -> the worker's look for it,
//       and that of other threads (acquire): the rings are made
//
// What it costs while it is off: nothing at a switch. A worker whose recorder is on has
// look_at at WF_LOOK_RECORDING, so that each switch finds that it is time to look
// around, and comes by wf_record_switch; the tick of the real look is in pace.due then.
// What queues a task finds a bit beside the one that says that the worker polls. A worker
// notes when it looks around that the recorder was switched on, and off when it is about
// to write.
#ifndef WF_SCHED_RECORDER_H
#define WF_SCHED_RECORDER_H

#include "base/lock.h"
#include "base/stamp.h"
#include "sched/sched.h"

struct wf_thread;
struct wf_worker;

// The words: 0: the stamp; 1: what (wf_record_what); 2, 3: by kind (struct wf_record).
// WF_RECORD_NAME has the number of the task in word 2, and a name where there is room.
enum { WF_RECORD_WORDS = 4 };
enum { WF_RECORD_LEAST = 64, WF_RECORD_MOST = 1 << 24 }; // events a ring

struct wf_record_ring {
    _Alignas(WF_NO_SHARING) _Atomic uint64_t head; // A: written by the ring's writer
    _Atomic uint64_t *words;                       // fixed; of each A: as `head`
    uint64_t mask;                                 // fixed: of its places, less one
};

// L: under `lock`; A: atomic
struct wf_recorder {
    bool counts;           // fixed: stamps are the processor's counter
    unsigned rings;        // fixed: one a worker, and one
    uint64_t capacity;     // fixed: events a ring; a power of two
    size_t size;           // fixed: of all of it
    struct wf_moment made; // fixed
    struct wf_lock lock;   // of the writers of the last ring
    struct wf_record_ring ring[];
};

// wf_recorder_new makes rings of at least `events`.  Returns: NULL: there is no memory.
struct wf_recorder *wf_recorder_new(unsigned workers, size_t events);
void wf_recorder_free(struct wf_recorder *r);

// wf_recorder_put writes an event.  Context: the ring's writer.
static inline void wf_recorder_put(struct wf_record_ring *ring, uint64_t stamp, uint64_t what, uint64_t id,
                                   uint64_t more)
{
    uint64_t at = wf_load_relaxed(&ring->head); // relaxed: the writer's own
    _Atomic uint64_t *word = &ring->words[(at & ring->mask) * WF_RECORD_WORDS];

    wf_store_release(&word[0], stamp);     // [R3]
    wf_store_release(&word[1], what);      // [R3]
    wf_store_release(&word[2], id);        // [R3]
    wf_store_release(&word[3], more);      // [R3]
    wf_store_release(&ring->head, at + 1); // [R4]
}

// wf_recorder_copy copies a ring's events, oldest first, to `out`, which has room for
// `capacity` of them.  Returns: how many.
// Context: any thread.
size_t wf_recorder_copy(const struct wf_recorder *r, unsigned ring, struct wf_record_raw *out);

// What the worker `w`, whose recorder is on, does: the task that runs leaves it in the
// way `how` (enum wf_switch_reason), and `next` begins (NULL: none does yet);
// it has polled, or slept, since `from`; it has taken tasks of another worker.
void wf_record_switch(struct wf_worker *w, unsigned how, const struct wf_task *next);
void wf_record_poll(struct wf_worker *w, uint64_t from, unsigned fired);
void wf_record_sleep(struct wf_worker *w, uint64_t from);
void wf_record_steal(struct wf_worker *w, const struct wf_worker *victim, const struct wf_task *task);

// wf_record_queue: `task` is about to be queued by the calling thread; wf_record_queue_here,
// by the worker `w`, whose recorder is on.
void wf_record_queue(const struct wf_thread *thread, const struct wf_task *task);
void wf_record_queue_here(struct wf_worker *w, const struct wf_task *task);

// wf_record_adopt switches the worker's own on, when it has just set look_at.
void wf_record_adopt(struct wf_worker *w);

#endif
