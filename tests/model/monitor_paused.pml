/*
 * The reactor thread that does not look at the workers, and a worker that wakes up, with
 * their memory orders (weak.h): the thread never sleeps without bound while something
 * waits behind what the worker runs. standby.pml has the same with more workers, timers
 * and events, without the orders.
 *
 * Models: reactor/thread.c: plan, wait_once
 *         reactor/reactor.c: notify_awake
 *         reactor/interrupt.c: wf_interrupt_thread
 *         sched/idle.c: wf_idle_sleep, wf_idle_unsleep, wf_idle_all_asleep
 * Edges: L2 P1
 *
 * Planted bugs, each of which must be found (-DBUG_...):
 *   STORE_RELEASE   plan's store of `monitor_paused` is no more than a release [L2]
 *   WATCH_ACQUIRE   plan's look at the workers is no more than an acquire [L2]
 *   AWAKE_WEAK      the worker clears its bit with acq_rel [L2]
 *   ATTEND_ACQUIRE  the worker's look at `monitor_paused` is no more than an acquire [L2]
 *   CALLED_RELAXED  the thread that wakes up looks at `monitor_paused` relaxed, and the end of
 *                   its sleep does not acquire [L2] [P1]
 *   LOOK_FIRST      plan looks at the workers before it says that it will not look again
 */
#ifndef ROUNDS
#define ROUNDS 2 /* of the worker */
#endif
#ifndef PLANS
#define PLANS 2
#endif
#ifndef ENDS
#define ENDS 2   /* of the thread's sleeps, by an event */
#endif

#define UNWATCHED 0
#define UP 1 /* the worker is awake: the bit of [I1], turned round */
#define PARKER 2
#define LOCS 3
#define VALUES 16
#define THREADS 2
#include "weak.h"

#define RUNNING 0
#define NOTIFIED 1
#define ELSEWHERE 3

#ifdef BUG_STORE_RELEASE
#define SET RELEASE
#else
#define SET SEQ_CST
#endif
#ifdef BUG_WATCH_ACQUIRE
#define WATCH ACQUIRE
#else
#define WATCH SEQ_CST
#endif
#ifdef BUG_AWAKE_WEAK
#define AWAKE ACQ_REL
#else
#define AWAKE SEQ_CST
#endif
#ifdef BUG_ATTEND_ACQUIRE
#define ATTEND ACQUIRE
#else
#define ATTEND SEQ_CST
#endif
#ifdef BUG_CALLED_RELAXED
#define CALLED RELAXED
#define FINISH RELAXED
#else
#define CALLED SEQ_CST
#define FINISH SEQ_CST
#endif

bool waits; /* something waits behind what the worker runs, and it has told */

active proctype worker()
{
    byte n, x;

    do
    :: n < ROUNDS ->
        n++;
        rmw(_pid, UP, x, true, AWAKE);
        /* notify_awake */
        load(_pid, UNWATCHED, x, ATTEND);
        if
        :: x -> rmw(_pid, UNWATCHED, x, false, SEQ_CST)
        :: else -> skip
        fi;
        if
        :: x -> rmw(_pid, PARKER, x, NOTIFIED, SEQ_CST)
        :: else -> skip
        fi;
        d_step { waits = true; x = 0 };
        if :: true -> skip :: true -> break fi; /* it runs the task for good */
        waits = false;
        rmw(_pid, UP, x, false, SEQ_CST)
    :: else -> break
    od
}

active proctype thread()
{
    byte n, ends = ENDS, x;
    bool attended, up, ok;

    do
    :: n < PLANS ->
        n++;
        /* plan; `attended` is a hint */
        if :: attended = true :: attended = false fi;
#ifdef BUG_LOOK_FIRST
        load(_pid, UP, up, WATCH);
        if :: !attended -> store(_pid, UNWATCHED, true, SET) :: else -> skip fi;
#else
        if :: !attended -> store(_pid, UNWATCHED, true, SET) :: else -> skip fi;
        load(_pid, UP, up, WATCH);
#endif
        if
        :: attended || up -> store(_pid, UNWATCHED, false, RELAXED); goto tick
        :: else -> skip
        fi;
        do
        :: true ->
            x = RUNNING;
            cas(_pid, PARKER, x, ELSEWHERE, ok, SEQ_CST, SEQ_CST);
            if
            :: ok ->
                if
                :: NEWEST(PARKER) == NOTIFIED
                :: atomic { ends > 0 -> ends-- }
                :: timeout -> /* nothing can move any more */
                    assert(!waits);
                    goto over
                fi
            :: else -> skip
            fi;
            rmw(_pid, PARKER, x, RUNNING, FINISH);
            load(_pid, UNWATCHED, x, CALLED);
            if :: !x -> break :: else -> skip fi
        od;
tick:   skip;
        d_step { x = 0; ok = false; attended = false; up = false }
    :: else -> break
    od;
over:
    skip
}
