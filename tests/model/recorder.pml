/*
 * A ring of the flight recorder, with its memory orders (weak.h): a reader that copies
 * the ring while it is overwritten keeps whole events only, each the one that it takes it
 * for.
 *
 * Models: sched/recorder.h: wf_recorder_put
 *         sched/recorder.c: wf_recorder_copy
 * Edges: R3 R4
 *
 * Two places, events of two words; event i has i + 1 in both. The writer writes EVENTS of
 * them, the reader copies once, at any moment.
 *
 * Planted bugs, each of which must be found (-DBUG_...):
 *   WORD_RELAXED  the words are stored relaxed [R3]
 *   COPY_RELAXED  they are loaded relaxed [R3]
 *   HEAD_RELAXED  head is stored relaxed [R4]
 *   LOOK_RELAXED  the first look at head is relaxed [R4]
 *   NO_LOOK       the reader does not look once more
 *   KEEP_ONE      it keeps the event whose place is being filled
 *   HEAD_FIRST    the writer says that the event is there, then writes it
 */
#define EVENTS 4
#define CAPACITY 2
#define HEAD 0
#define WORD(event, k) (1 + ((event) % CAPACITY) * 2 + (k))
#define LOCS 5
#define VALUES 6
#define THREADS 2
#include "weak.h"

#ifdef BUG_WORD_RELAXED
#define PUT RELAXED
#else
#define PUT RELEASE
#endif
#ifdef BUG_COPY_RELAXED
#define COPY RELAXED
#else
#define COPY ACQUIRE
#endif
#ifdef BUG_HEAD_RELAXED
#define SAY RELAXED
#else
#define SAY RELEASE
#endif
#ifdef BUG_LOOK_RELAXED
#define LOOK RELAXED
#else
#define LOOK ACQUIRE
#endif
#ifdef BUG_KEEP_ONE
#define FILLED 0
#else
#define FILLED 1
#endif

active proctype writer()
{
    byte i;

    do
    :: i < EVENTS ->
#ifdef BUG_HEAD_FIRST
        store(0, HEAD, i + 1, SAY);
#endif
        store(0, WORD(i, 0), i + 1, PUT);
        store(0, WORD(i, 1), i + 1, PUT);
#ifndef BUG_HEAD_FIRST
        store(0, HEAD, i + 1, SAY);
#endif
        i++
    :: else -> break
    od
}

active proctype reader()
{
    byte end, first, i, now, copy[2 * CAPACITY];

    load(1, HEAD, end, LOOK);
    first = (end > CAPACITY -> end - CAPACITY : 0);
    i = first;
    do
    :: i < end ->
        load(1, WORD(i, 0), copy[2 * (i - first)], COPY);
        load(1, WORD(i, 1), copy[2 * (i - first) + 1], COPY);
        i++
    :: else -> break
    od;
#ifdef BUG_NO_LOOK
    now = end;
#else
    load(1, HEAD, now, RELAXED);
#endif
    i = (now + FILLED > first + CAPACITY -> now + FILLED - CAPACITY : first);
    do
    :: i < end ->
        assert(copy[2 * (i - first)] == i + 1);
        assert(copy[2 * (i - first) + 1] == i + 1);
        i++
    :: else -> break
    od
}
