/*
 * The deque of Chase and Lev, with its memory orders (weak.h): no task is taken twice,
 * none is lost, and the party that takes a task finds its header filled.
 *
 * Models: sched/queues/deque.c: wf_deque_push, wf_deque_pop, wf_deque_steal
 * Edges: D1 D2 D3 D4
 *
 * The owner pushes and pops in any order, thieves steal; every step is one atomic
 * operation. A header is plain data, written before its task is pushed.
 *
 * Planted bugs, each of which must be found (-DBUG_...):
 *   PUSH_RELAXED   push's store of tail is relaxed [D1] [D4]
 *   POP_RELEASE    pop's store of tail is no more than a release [D2]
 *   POP_ACQUIRE    pop's load of head is no more than an acquire [D2]
 *   POP_LOADS      pop loads head before it stores tail [D2]
 *   STEAL_TAIL     steal's load of tail is no more than an acquire [D2]
 *   STEAL_ORDER    steal loads tail before head [D2]
 *   STEAL_CAS      steal's compare-and-swap is no more than acq_rel [D2]
 *   STEAL_LATE     steal reads the slot after the compare-and-swap, as one that does not
 *                  release might [D3]
 *   POP_LAST       pop takes the last task without a compare-and-swap
 *   KEEP_TAIL      pop leaves tail lowered after it has lost the last task
 *   OVERFULL       push takes one task more than there are slots
 */
#ifndef THIEVES
#define THIEVES 2
#endif
#ifndef STEALS
#define STEALS 1 /* for each thief */
#endif
#ifndef TASKS
#define TASKS 3
#endif
#ifndef POPS
#define POPS 2
#endif
#define CAP 2

#define HEAD 0
#define TAIL 1
#define SLOT(i) (2 + (i) % CAP)
#define HEADER(t) (2 + CAP + (t) - 1) /* tasks are numbered from 1 */
#define LOCS (2 + CAP + TASKS)
#define VALUES (1 + TASKS + 2 * POPS)
#define THREADS (1 + THIEVES)
#include "weak.h"

#ifdef BUG_PUSH_RELAXED
#define PUSH_TAIL RELAXED
#else
#define PUSH_TAIL RELEASE
#endif
#ifdef BUG_POP_RELEASE
#define POP_TAIL RELEASE
#else
#define POP_TAIL SEQ_CST
#endif
#ifdef BUG_POP_ACQUIRE
#define POP_HEAD ACQUIRE
#else
#define POP_HEAD SEQ_CST
#endif
#ifdef BUG_STEAL_TAIL
#define STEAL_TAIL ACQUIRE
#else
#define STEAL_TAIL SEQ_CST
#endif
#ifdef BUG_STEAL_CAS
#define STEAL_CAS ACQ_REL
#else
#define STEAL_CAS SEQ_CST
#endif
#ifdef BUG_OVERFULL
#define FULL(n) ((n) > CAP)
#else
#define FULL(n) ((n) >= CAP)
#endif

bool taken[TASKS + 1];
byte pushed, count; /* tasks pushed, tasks taken */
byte ended;         /* thieves */

inline take(me, t)
{
    d_step {
        assert(t > 0 && !taken[t]);
        PLAIN(me, HEADER(t));
        taken[t] = true;
        count++;
        t = 0
    }
}

/* `tail` is the owner's own; it always knows the newest */
inline push()
{
    tail = NEWEST(TAIL);
    load(0, HEAD, head, ACQUIRE);
    if
    :: !FULL(tail - head) ->
        store(0, HEADER(pushed + 1), 1, RELAXED);
        store(0, SLOT(tail), pushed + 1, RELAXED);
        d_step { append(0, TAIL, tail + 1, PUSH_TAIL); pushed++ }
    :: else -> skip
    fi
}

inline pop()
{
    tail = NEWEST(TAIL);
    load(0, HEAD, head, RELAXED);
    if
    :: head == tail -> skip
    :: else ->
        tail--;
#ifdef BUG_POP_LOADS
        load(0, HEAD, head, POP_HEAD);
        store(0, TAIL, tail, POP_TAIL);
#else
        store(0, TAIL, tail, POP_TAIL);
        load(0, HEAD, head, POP_HEAD);
#endif
        if
        :: tail > head -> load(0, SLOT(tail), task, RELAXED); take(0, task)
        :: else ->
            if
            :: tail == head ->
                load(0, SLOT(tail), task, RELAXED);
#ifdef BUG_POP_LAST
                won = true
#else
                cas(0, HEAD, head, head + 1, won, SEQ_CST, SEQ_CST)
#endif
            :: else -> skip
            fi;
#ifdef BUG_KEEP_TAIL
            if :: won -> store(0, TAIL, tail + 1, RELEASE) :: else -> skip fi;
#else
            store(0, TAIL, tail + 1, RELEASE);
#endif
            if :: won -> take(0, task) :: else -> task = 0 fi;
            won = false
        fi
    fi
}

inline steal(me)
{
#ifdef BUG_STEAL_ORDER
    load(me, TAIL, tail, STEAL_TAIL);
    load(me, HEAD, head, SEQ_CST);
#else
    load(me, HEAD, head, SEQ_CST);
    load(me, TAIL, tail, STEAL_TAIL);
#endif
    if
    :: tail > head ->
#ifndef BUG_STEAL_LATE
        load(me, SLOT(head), task, RELAXED);
#endif
        tail = head; /* kept: a compare-and-swap that fails overwrites head */
        cas(me, HEAD, head, head + 1, won, STEAL_CAS, SEQ_CST);
        if
        :: won ->
#ifdef BUG_STEAL_LATE
            load(me, SLOT(tail), task, RELAXED);
#endif
            take(me, task)
        :: else -> task = 0
        fi
    :: else -> skip
    fi;
    d_step { won = false; head = 0; tail = 0 }
}

active proctype owner()
{
    byte tail, head, task, pops;
    bool won;

    do
    :: pushed < TASKS -> push()
    :: pops < POPS -> pop(); pops++
    :: break
    od;
    ended == THIEVES;
    assert(NEWEST(TAIL) - NEWEST(HEAD) == pushed - count)
}

active [THIEVES] proctype thief()
{
    byte tail, head, task, n;
    bool won;

    do
    :: n < STEALS -> steal(_pid); n++
    :: else -> break
    od;
    ended++
}
