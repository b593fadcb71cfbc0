/*
 * The word of a task, with its memory orders (weak.h): the task is at one place at a
 * time, parks for good only while nothing that it waits for has happened, finds its
 * registers when it resumes, and finds the reason of a cancel that it sees.
 *
 * Models: sched/task.h: wf_task_begin, wf_task_end, wf_task_consume_wake,
 *         wf_task_retire, wf_task_note_wake, wf_task_set_cancel_pending, wf_task_clear_cancel_pending
 *         sched/run.c: wf_park
 * Edges: T1 T2 T3
 *
 * Two workers run one task. A waker makes a condition true by a relaxed store, then
 * wakes the task: so only the word, and the queue after it, tell the task what the
 * waker wrote. The task waits for both wakers. The queue passes on what the thread that
 * fills it has seen.
 *
 * -DCANCELS: a canceller writes a reason, marks the task and wakes it.
 * -DTURNS: the task may have had a long turn; and a dumper looks at the header if the
 * task lives.
 * -DLIVES=2: the header is used again, by a task that waits for the second waker; the
 * first waker may come too late, and wake that one.
 *
 * Planted bugs, each of which must be found (-DBUG_...):
 *   WAKE_RELAXED    the wake's compare-and-swap is relaxed [T1] [T2]
 *   RETIRE_RELAXED  retire's is [T1] [T2]
 *   CONSUME_RELAXED consume_wake's and [T1]
 *   WAKE_SKIPS      a waker that finds WOKEN writes nothing [T1]
 *   RETIRE_BLIND    retire parks the task whether it was woken or not
 *   RETIRE_STORE    retire looks, and then stores
 *   RETIRE_EARLY    the task retires before its registers are saved [T2]
 *   CONSUME_STORE   consume_wake takes WOKEN out by a store
 *   WAKE_QUEUES     a waker queues a task that is not parked
 * with -DCANCELS:
 *   MARK_RELAXED    the mark is relaxed [T3]
 *   LOOK_RELAXED    the look for the mark is, and the exchange that takes it back [T3]
 * with -DTURNS:
 *   BEGIN_RELAXED   the new task's word is stored relaxed
 *   LONG_STORE      the long turn is noted by a store
 * with -DLIVES=2:
 *   END_PARKED      the word of an ended task is 0
 */
#ifndef LIVES
#define LIVES 1
#endif
#ifndef WAKERS
#define WAKERS 2
#endif

#define ACTIVE 1
#define WOKEN 2
#define CANCEL 4
#define LIVE 8
#define LONG 32

#define WORD 0
#define CONDITION(i) (i) /* 1 and 2 */
#define REASON 3
#define REGISTERS 4
#define HEADER 5
#define LOCS 6
#define VALUES 16
#define THREADS 5
#define WAKER 1 /* 2 and 3 */
#include "weak.h"

#ifdef BUG_WAKE_RELAXED
#define WAKE RELAXED
#else
#define WAKE ACQ_REL
#endif
#ifdef BUG_RETIRE_RELAXED
#define RETIRE RELAXED
#else
#define RETIRE ACQ_REL
#endif
#ifdef BUG_CONSUME_RELAXED
#define CONSUME RELAXED
#else
#define CONSUME ACQ_REL
#endif
#ifdef BUG_MARK_RELAXED
#define MARK RELAXED
#else
#define MARK ACQ_REL
#endif
#ifdef BUG_LOOK_RELAXED
#define LOOK RELAXED
#define UNMARK RELAXED
#else
#define LOOK ACQUIRE
#define UNMARK ACQ_REL
#endif
#ifdef BUG_BEGIN_RELAXED
#define BEGIN RELAXED
#else
#define BEGIN RELEASE
#endif
#ifdef BUG_END_PARKED
#define ENDED 0
#else
#define ENDED ACTIVE
#endif

mtype = { NOWHERE, PARKED, CARRIED, QUEUED, RUNNING };
mtype where = NOWHERE;
byte life = 1;            /* which task uses the header */
view queue;              /* what the thread that filled the queue has seen */
bool began;              /* the running task has */

/* the queue: one task fits */
inline enqueue(me)
{
    d_step {
        assert(where == CARRIED);
        where = QUEUED;
        _i = 0;
        do
        :: _i < LOCS -> queue.at[_i] = seen[me].at[_i]; _i++
        :: else -> break
        od
    }
}

inline dequeue(me)
{
    where = RUNNING;
    _i = 0;
    do
    :: _i < LOCS ->
        if :: queue.at[_i] > seen[me].at[_i] -> seen[me].at[_i] = queue.at[_i] :: else -> skip fi;
        _i++
    :: else -> break
    od
}

/* wf_task_wake */
inline wake(me)
{
    load(me, WORD, word, RELAXED);
    do
#ifdef BUG_WAKE_SKIPS
    :: word & WOKEN -> break
    :: !(word & WOKEN) ->
#else
    :: true ->
#endif
        want = word | (word & ACTIVE -> WOKEN : ACTIVE);
        atomic {
            cas(me, WORD, word, want, ok, WAKE, ACQUIRE);
            if
            :: ok ->
                ok = false;
#ifdef BUG_WAKE_QUEUES
                where = CARRIED;
                goto queue_it
#else
                if
                :: !(word & ACTIVE) -> assert(where == PARKED); where = CARRIED; goto queue_it
                :: else -> break
                fi
#endif
            :: else -> skip
            fi
        }
    od;
    goto woken;
queue_it:
    skip;
    enqueue(me);
woken:
    skip;
    d_step { word = 0; want = 0 }
}

/* wf_sched_submit */
inline submit(me)
{
    store(me, HEADER, life, RELAXED);
    atomic { append(me, WORD, ACTIVE | LIVE, BEGIN); where = CARRIED };
    enqueue(me)
}

active [2] proctype worker()
{
    byte word, want, found, other;
    bool ok;

    if :: _pid == 0 -> goto begin :: else -> goto next fi;
end:
    store(_pid, WORD, ENDED, RELAXED);
    d_step { where = NOWHERE; began = false; life++ };
    if :: life > LIVES -> goto over :: else -> skip fi;
begin:
    submit(_pid);
next:
    if
    :: atomic { where == QUEUED -> dequeue(_pid) }
    :: life > LIVES -> goto over
    fi;
    d_step {
        PLAIN(_pid, HEADER);
        if :: began -> PLAIN(_pid, REGISTERS) :: else -> began = true fi
    };
    /* wf_task_was_long */
    load(_pid, WORD, word, RELAXED);
    if :: word & LONG -> rmw(_pid, WORD, word, word & ~LONG, RELAXED) :: else -> skip fi;
again:
    skip;
    d_step { word = 0; found = 0; other = 0 };
    /* completion wins */
    load(_pid, CONDITION(life), found, RELAXED);
#if LIVES == 1 && WAKERS == 2
    load(_pid, CONDITION(2), other, RELAXED);
    found = found && other;
#endif
    if
    :: found -> goto end
    :: else -> skip
    fi;
    /* wf_task_cancel_pending, wf_cancel_refresh */
    load(_pid, WORD, word, LOOK);
    if
    :: word & CANCEL ->
        rmw(_pid, WORD, word, word & ~CANCEL, UNMARK);
        load(_pid, REASON, found, RELAXED);
        assert(found);
        goto end
    :: else -> skip
    fi;
    /* wf_park: wf_task_consume_wake */
    load(_pid, WORD, word, RELAXED);
    if
    :: word & WOKEN ->
#ifdef BUG_CONSUME_STORE
        store(_pid, WORD, word & ~WOKEN, CONSUME);
#else
        rmw(_pid, WORD, word, word & ~WOKEN, CONSUME);
#endif
        goto again
    :: else -> skip
    fi;
    /* wf_task_note_long */
#ifdef TURNS
    if
    :: true ->
#ifdef BUG_LONG_STORE
        load(_pid, WORD, word, RELAXED);
        store(_pid, WORD, word | LONG, RELAXED)
#else
        rmw(_pid, WORD, word, word | LONG, RELAXED)
#endif
    :: true -> skip
    fi;
#endif
    /* the switch, wf_task_retire */
#ifndef BUG_RETIRE_EARLY
    store(_pid, REGISTERS, 1, RELAXED);
#endif
    load(_pid, WORD, word, RELAXED);
    do
    :: true ->
#ifdef BUG_RETIRE_BLIND
        want = word & ~ACTIVE;
#else
        want = (word & WOKEN -> word & ~WOKEN : word & ~ACTIVE);
#endif
        atomic {
#ifdef BUG_RETIRE_STORE
            append(_pid, WORD, want, RETIRE);
            ok = true;
#else
            cas(_pid, WORD, word, want, ok, RETIRE, ACQUIRE);
#endif
            if
            :: ok -> ok = false; where = (want & ACTIVE -> CARRIED : PARKED); break
            :: else -> skip
            fi
        }
    od;
#ifdef BUG_RETIRE_EARLY
    store(_pid, REGISTERS, 1, RELAXED);
#endif
    if
    :: want & ACTIVE -> enqueue(_pid)
    :: else -> skip
    fi;
    d_step { word = 0; want = 0; found = 0; other = 0 };
    goto next;
over:
    skip
}

active [WAKERS] proctype waker()
{
    byte word, want;
    bool ok;

    /* a waker has found the task's node: so the task has begun */
#if LIVES == 1
    began || life > LIVES;
#else
    began && life == _pid - WAKER;
#endif
    store(_pid, CONDITION(_pid - WAKER), 1, RELAXED);
    wake(_pid)
}

#ifdef CANCELS
active proctype canceller()
{
    byte word, want;
    bool ok;

    where != NOWHERE || life > LIVES;
    store(_pid, REASON, 1, RELAXED);
    rmw(_pid, WORD, word, word | CANCEL, MARK);
    wake(_pid)
}
#endif

#ifdef TURNS
active proctype dumper()
{
    byte word, number;

    load(_pid, WORD, word, ACQUIRE);
    if
    :: word & LIVE -> load(_pid, HEADER, number, RELAXED); assert(number > 0)
    :: else -> skip
    fi
}
#endif
