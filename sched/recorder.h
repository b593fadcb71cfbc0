// The flight recorder: what tasks and workers did last, for a trace. Each worker has a
// ring of events, which only that worker writes, and whose oldest events it overwrites.
// All other threads share one ring, under a lock. A reader may copy a ring while it is
// being written.
//
//   An event is four words. The writer's event number i takes the place i % capacity, so
//   it overwrites event i - capacity.
//
//        writer, event i                          reader
//        head == i                                end = head
//        four words, one after the other          copies the events before `end`, as many as there are places
//        head = i + 1                             end again: drops those that a write may have begun to overwrite
//
//   A reader that finds a word of event i has synchronised with the writer, which had
//   stored head == i before. So the reader's second look finds head >= i, and the
//   reader drops all events up to i - capacity, including the event whose place was
//   overwritten. The events that it keeps were not overwritten during the copy, and
//   were complete, because `end` was past them.
//
// Edges.
//   R3  each word of an event (release) -> the reader's copy (acquire): `head` as it was
//       when the write began
//   R4  the writer's store of `head` (release) -> the reader's first look (acquire): the
//       words of all events before it
//   R5  wf_sched_record_begin's store of `recorder` (release) -> the worker's look for it,
//       and that of other threads (acquire): the rings are made
//
// While the recorder is off, it costs a switch nothing. While it is on, the worker's
// look_at is WF_LOOK_RECORDING, so each switch finds that a look around is due, and
// calls wf_record_switch. pace.due then has the tick of the real look around. The code
// that queues a task checks the bit WF_MODE_RECORDING, together with the bit that says
// that the worker polls. A worker notices that the recorder was switched on when it
// looks around, and that it was switched off when it is about to write.
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
enum { WF_RECORD_LEAST = 64, WF_RECORD_MOST = 1 << 24 }; // events in a ring

struct wf_record_ring {
    _Alignas(WF_NO_SHARING) _Atomic uint64_t head; // A: written by the ring's writer
    _Atomic uint64_t *words;                       // the pointer is fixed; each word is A, written as `head`
    uint64_t mask;                                 // fixed: the number of places, less one
};

// L: under `lock`; A: atomic
struct wf_recorder {
    bool counts;           // fixed: stamps are the processor's counter
    unsigned rings;        // fixed: one for each worker, and one for other threads
    uint64_t capacity;     // fixed: events in a ring; a power of two
    size_t size;           // fixed: bytes of the whole structure
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

// These record what the worker `w`, whose recorder is on, does. wf_record_switch: the
// running task leaves the worker in the way `how` (enum wf_switch_reason), and `next`
// begins (NULL: no task begins yet). wf_record_poll and _sleep: the worker has polled,
// or slept, since the stamp `from`. wf_record_steal: it has taken tasks of another
// worker.
void wf_record_switch(struct wf_worker *w, unsigned how, const struct wf_task *next);
void wf_record_poll(struct wf_worker *w, uint64_t from, unsigned fired);
void wf_record_sleep(struct wf_worker *w, uint64_t from);
void wf_record_steal(struct wf_worker *w, const struct wf_worker *victim, const struct wf_task *task);

// wf_record_queue: `task` is about to be queued by the calling thread; wf_record_queue_here,
// by the worker `w`, whose recorder is on.
void wf_record_queue(const struct wf_thread *thread, const struct wf_task *task);
void wf_record_queue_here(struct wf_worker *w, const struct wf_task *task);

// wf_record_adopt makes the calling worker begin to record. The worker has just set
// look_at.
void wf_record_adopt(struct wf_worker *w);

#endif
