#include "sched/recorder.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "sched/state.h"

enum { NAME_EACH = 16 }; // a named task's name is recorded at one of so many of its switches

_Static_assert((int)WF_LEFT_PARKED == (int)WF_SWITCH_PARKED && (int)WF_LEFT_YIELDED == (int)WF_SWITCH_YIELDED &&
                   (int)WF_LEFT_ENDED == (int)WF_SWITCH_ENDED && (int)WF_LEFT_ENDED_STARVED == (int)WF_SWITCH_RESERVE,
               "one is recorded as the other");
_Static_assert(sizeof(struct wf_record_raw) == WF_RECORD_WORDS * sizeof(uint64_t), "an event");

// --- Rings ---------------------------------------------------------------------------

static uint64_t capacity_for(size_t events)
{
    uint64_t capacity = WF_RECORD_LEAST;

    while (capacity < events && capacity < WF_RECORD_MOST)
        capacity *= 2;
    return capacity;
}

struct wf_recorder *wf_recorder_new(unsigned workers, size_t events)
{
    uint64_t capacity = capacity_for(events), words = capacity * WF_RECORD_WORDS;
    unsigned rings = workers + 1;
    size_t head = sizeof(struct wf_recorder) + rings * sizeof(struct wf_record_ring);
    size_t size = head + rings * words * sizeof(uint64_t);
    struct wf_recorder *r = wf_map(size);

    if (!r)
        return NULL;
    r->counts = wf_stamp_counts();
    r->rings = rings;
    r->capacity = capacity;
    r->size = size;
    r->made = wf_moment(r->counts);
    wf_lock_init(&r->lock);
    for (unsigned i = 0; i < rings; i++) {
        r->ring[i].mask = capacity - 1;
        r->ring[i].words = (_Atomic uint64_t *)(void *)((char *)r + head) + i * words;
    }
    return r;
}

void wf_recorder_free(struct wf_recorder *r)
{
    if (r)
        wf_unmap(r, r->size);
}

size_t wf_recorder_copy(const struct wf_recorder *r, unsigned ring, struct wf_record_raw *out)
{
    const struct wf_record_ring *from = &r->ring[ring];
    uint64_t end = wf_load_acquire(&from->head); // [R4]
    uint64_t first = end > r->capacity ? end - r->capacity : 0;

    wf_assert(ring < r->rings);
    for (uint64_t i = first; i < end; i++) {
        const _Atomic uint64_t *word = &from->words[(i & (r->capacity - 1)) * WF_RECORD_WORDS];
        for (int k = 0; k < WF_RECORD_WORDS; k++)
            out[i - first].word[k] = wf_load_acquire(&word[k]); // [R3]
    }
    uint64_t now = wf_load_relaxed(&from->head); // relaxed: [R3] it is not older than what was copied
    uint64_t lost = now + 1 > first + r->capacity ? now + 1 - r->capacity - first : 0;
    if (lost >= end - first)
        return 0;
    memmove(out, out + lost, (end - first - lost) * sizeof(*out));
    return end - first - lost;
}

// --- What is written -----------------------------------------------------------------

static uint64_t pack(enum wf_record_kind kind, unsigned how, uint32_t n)
{
    return (uint64_t)kind | (uint64_t)how << 8 | (uint64_t)n << 32;
}

void wf_record_adopt(struct wf_worker *w)
{
    w->recorder = wf_load_acquire(&w->sched->recorder); // [R5]
    w->record = &w->recorder->ring[w->index];
    w->modes |= WF_MODE_RECORDING;
    w->pace.due = wf_load_relaxed(&w->look_at);        // relaxed: the worker's own; 0 by the monitor: at once
    wf_store_relaxed(&w->look_at, WF_LOOK_RECORDING); // relaxed: as in look_in
}

// leave_off makes the worker stop recording, when it has found the recorder off.
static void leave_off(struct wf_worker *w)
{
    w->recorder = NULL;
    w->modes &= (unsigned char)~WF_MODE_RECORDING;
    wf_store_relaxed(&w->look_at, w->pace.due); // relaxed: as in look_in
}

// is_on tells whether the worker must still record.
static inline bool is_on(struct wf_worker *w)
{
    wf_debug_assert(wf_worker_is_self(w));
    if (!w->recorder)
        return false;
    if (wf_likely(wf_load_relaxed(&w->sched->recorder) != NULL)) // relaxed: sooner or later
        return true;
    leave_off(w);
    return false;
}

static inline void put_now(struct wf_worker *w, uint64_t what, uint64_t id, uint64_t more)
{
    wf_recorder_put(w->record, wf_stamp(w->recorder->counts), what, id, more);
}

// put_name records up to 23 bytes of a name. They take the place of the stamp, too.
WF_NOINLINE static void put_name(struct wf_worker *w, const struct wf_task *task)
{
    uint64_t part[3] = { 0 };

    memcpy(part, task->name, strnlen(task->name, sizeof(part) - 1));
    wf_recorder_put(w->record, part[0], part[2] << 8 | WF_RECORD_NAME, task->id, part[1]);
}

void wf_record_switch(struct wf_worker *w, unsigned how, const struct wf_task *next)
{
    uint64_t queued = wf_ring_size(&w->ring) + wf_deque_size(&w->deque);
    const char *text = NULL;

    if (!is_on(w))
        return;
    if (how == WF_SWITCH_PARKED)
        text = wf_load_relaxed(&w->thread->current->what); // relaxed: the task's own
    // relaxed: the worker's own
    if (next && next->name && (!wf_task_begun(next) || wf_load_relaxed(&w->ticks) % NAME_EACH == 0))
        put_name(w, next);
    put_now(w, pack(WF_RECORD_SWITCH, how, (uint32_t)queued), next ? next->id : 0, (uintptr_t)text);
}

void wf_record_poll(struct wf_worker *w, uint64_t from, unsigned fired)
{
    if (is_on(w))
        put_now(w, pack(WF_RECORD_POLL, 0, fired), 0, from);
}

void wf_record_sleep(struct wf_worker *w, uint64_t from)
{
    if (is_on(w))
        put_now(w, pack(WF_RECORD_SLEEP, 0, 0), 0, from);
}

void wf_record_steal(struct wf_worker *w, const struct wf_worker *victim, const struct wf_task *task)
{
    if (is_on(w))
        put_now(w, pack(WF_RECORD_STEAL, 0, victim->index), task->id, 0);
}

static enum wf_record_kind kind_of(const struct wf_task *task)
{
    return wf_task_begun(task) ? WF_RECORD_WAKE : WF_RECORD_SPAWN;
}

// put_polled records a wake by a poll. All wakes of one poll have the stamp of the
// first: to read the counter takes 20 ns in a virtual machine, and on a server half of
// all events are such wakes.
static void put_polled(struct wf_worker *w, const struct wf_task *task)
{
    if (!w->woken_at)
        w->woken_at = wf_stamp(w->recorder->counts);
    wf_recorder_put(w->record, w->woken_at, pack(kind_of(task), WF_BY_POLL, 0), task->id, 0);
}

void wf_record_queue_here(struct wf_worker *w, const struct wf_task *task)
{
    const struct wf_task *by = w->thread->current;

    if (!is_on(w))
        return;
    if (w->modes & WF_MODE_POLLING)
        put_polled(w, task);
    else if (w->prev == task && w->prev_reason == WF_SWITCH_PARKED)
        put_now(w, pack(kind_of(task), WF_BY_EARLY, 0), task->id, 0);
    else
        put_now(w, pack(kind_of(task), by ? WF_BY_TASK : WF_BY_POLL, 0), task->id, by ? by->id : 0);
}

// queue_elsewhere records what all other threads queue.
static void queue_elsewhere(struct wf_sched *s, const struct wf_task *task)
{
    struct wf_recorder *r = wf_load_acquire(&s->recorder); // [R5]

    if (!r)
        return;
    wf_lock_acquire(&r->lock);
    wf_recorder_put(&r->ring[s->cfg.workers], wf_stamp(r->counts), pack(kind_of(task), WF_BY_OTHER, 0), task->id, 0);
    wf_lock_release(&r->lock);
}

void wf_record_queue(const struct wf_thread *thread, const struct wf_task *task)
{
    struct wf_worker *w = thread->worker;

    if (!w || w->sched != task->sched)
        queue_elsewhere(task->sched, task);
    else if (w->recorder)
        wf_record_queue_here(w, task);
}

// --- Reading -------------------------------------------------------------------------

void wf_record_decode(const struct wf_record_raw *raw, struct wf_record *out)
{
    uint64_t what = raw->word[1];
    uint64_t part[3] = { raw->word[0], raw->word[3], what >> 8 };

    *out = (struct wf_record){ .kind = (enum wf_record_kind)(what & 255), .id = raw->word[2] };
    if (out->kind == WF_RECORD_NAME) {
        memcpy(out->name, part, sizeof(part));
        return;
    }
    out->stamp = raw->word[0];
    out->how = what >> 8 & 255;
    out->n = (uint32_t)(what >> 32);
    out->more = raw->word[3];
    if (out->kind == WF_RECORD_SWITCH)
        out->text = (const char *)(uintptr_t)raw->word[3]; // a literal
}

static const struct wf_recorder *rings_of(const struct wf_sched *s)
{
    return wf_load_acquire(&s->rings); // [R5]
}

int wf_sched_record_begin(struct wf_sched *s, size_t events)
{
    struct wf_recorder *r = wf_load_relaxed(&s->rings); // relaxed: the calling thread's, or its predecessor's

    if (!r)
        r = wf_recorder_new(s->cfg.workers, events);
    if (!r)
        return -ENOMEM;
    wf_store_release(&s->rings, r); // [R5]
    s->recorder_users++;
    wf_store_release(&s->recorder, r); // [R5]
    for (unsigned i = 0; i < s->started; i++)
        wf_store_relaxed(&s->workers[i].look_at, (uint64_t)0); // relaxed: a hint, as the monitor's
    return 0;
}

void wf_sched_record_end(struct wf_sched *s)
{
    wf_assert(s->recorder_users > 0);
    if (--s->recorder_users == 0)
        wf_store_relaxed(&s->recorder, NULL); // relaxed: the rings stay
}

size_t wf_sched_record_capacity(const struct wf_sched *s)
{
    return rings_of(s) ? rings_of(s)->capacity : 0;
}

size_t wf_sched_record_copy(const struct wf_sched *s, unsigned ring, struct wf_record_raw *out)
{
    return wf_recorder_copy(rings_of(s), ring, out);
}

void wf_sched_record_scale(const struct wf_sched *s, struct wf_moment *made, struct wf_moment *now)
{
    *made = rings_of(s)->made;
    *now = wf_moment(rings_of(s)->counts);
}
