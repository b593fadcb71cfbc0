/*
 * Timers, and the threads that sleep until the next one is due (reactor/timer.c,
 * turn.c, thread.c, [W2]): no thread sleeps past a deadline without being woken.
 *
 * Time is a small number, and may pass or stop at any point. Armers set deadlines on
 * one wheel, and perhaps disarm; what is done under the wheel's lock is one step.
 * `until` is the worker's, which sleeps exactly as long; `resting` the thread's, which
 * sleeps LATE longer. Both fire what is due. The worker may also run a task that never
 * returns. How an interrupt or a call gets to a sleeper is eventfd.pml's: here a flag
 * ends the sleep.
 *
 * When nothing can move any more, and time has stopped: a worker that sleeps does so no
 * longer than to the first deadline, and the thread no longer than LATE after it.
 *
 * Models: reactor/timer.c: tell_sleepers, wf_timer_arm, wf_timer_disarm, wf_timers_expire
 *         reactor/turn.c: announce
 *         reactor/thread.c: announce_rest, sleep_in_futex
 * Edges: W2
 *
 * Planted bugs, each of which must be found (-DBUG_...):
 *   NO_RECHECK        announce_rest does not look at the timers again
 *   LOOK_FIRST        announce does not look at the timers after it has said how long
 *                     it sleeps
 *   TELL_FIRST        an armer looks at the sleepers before it has lowered `next`
 *   TELL_WORKER       an armer tells the worker only
 *   TELL_THREAD       an armer tells the thread only
 *   RAISE             `next` is raised after the wheel's lock was released
 *   NO_TOKEN          the thread forgets a call that came before it sleeps
 */
#ifndef ARMERS
#define ARMERS 2
#endif
#define DEADLINES 2 /* 1, 2 */
#define LATE 1
#define END 2       /* of time */
#define NEVER 5

byte now;
byte armed[DEADLINES + 1]; /* timers in the wheel, by deadline */
byte next = NEVER;
byte until, resting;       /* 0: awake */
bool interrupted, called;
byte begun;                /* armers: they are all the same, so they begin in order */

/* part of a step: when the first timer is due */
inline find_first(result)
{
    result = 1;
    do
    :: result <= DEADLINES && armed[result] == 0 -> result++
    :: else -> break
    od;
    if :: result > DEADLINES -> result = NEVER :: else -> skip fi
}

/* wf_timers_expire */
inline fire()
{
    if
    :: next <= now ->
        d_step {
            at = 1;
            do
            :: at <= DEADLINES && at <= now -> armed[at] = 0; at++
            :: else -> break
            od;
            find_first(at);
#ifndef BUG_RAISE
            next = at;
            at = 0
#endif
        };
#ifdef BUG_RAISE
        d_step { next = at; at = 0 }
#endif
    :: else -> skip
    fi
}

active [ARMERS] proctype armer()
{
    byte tick;
    bool is_next;
#ifdef BUG_TELL_FIRST
    byte seen_until, seen_resting;
#else
#define seen_until until
#define seen_resting resting
#endif

    atomic {
        begun == _pid -> begun++;
        if :: tick = 1 :: tick = 2 fi
    };
#ifdef BUG_TELL_FIRST
    seen_until = until;
    seen_resting = resting;
#endif
    d_step { is_next = (tick < next); if :: is_next -> next = tick :: else -> skip fi; armed[tick]++ };
    if
    :: is_next ->
#ifndef BUG_TELL_THREAD
        if :: tick < seen_until -> interrupted = true :: else -> skip fi;
#endif
#ifndef BUG_TELL_WORKER
        if :: tick < seen_resting -> called = true :: else -> skip fi;
#endif
        skip
    :: else -> skip
    fi;
    /* disarm, perhaps: that leaves `next` as it is */
    if
    :: d_step { armed[tick] > 0 -> armed[tick]-- }
    :: true -> skip
    fi
}

active proctype clock()
{
    do
    :: now < END -> now++
    :: true -> break
    od
}

active proctype worker()
{
    byte at, mine;

    do
    :: true ->
        /* announce */
        mine = next;
        if
        :: mine > now ->
            until = mine;
            if
#ifdef BUG_LOOK_FIRST
            :: !interrupted ->
#else
            :: !interrupted && next >= mine -> /* an interrupt between the two looks ends the sleep */
#endif
                if
                :: interrupted
                :: now >= mine
                :: timeout -> /* nothing can move any more */
                    d_step { find_first(at); assert(at >= mine); at = 0 };
                    goto done
                fi
            :: else -> skip
            fi
        :: else -> skip
        fi;
        d_step { until = 0; mine = 0 };
        if :: interrupted -> interrupted = false :: true -> skip fi;
        fire()
    :: true -> break
    od;
done:
    skip
}

active proctype thread()
{
    byte at, first;

    do
    :: true ->
        /* announce_rest: until then no look at the workers is due */
        do
        :: true ->
            first = next;
            if :: first > NEVER - LATE -> first = NEVER - LATE :: else -> skip fi;
            resting = first;
#ifdef BUG_NO_RECHECK
            break
#else
            if :: next >= first -> break :: else -> skip fi
#endif
        od;
#ifdef BUG_NO_TOKEN
        called = false;
#endif
        if
        :: called
        :: now >= first + LATE
        :: timeout ->
            d_step { find_first(at); assert(at + LATE >= first + LATE); at = 0 };
            goto done
        fi;
        called = false;
        d_step { resting = 0; first = 0 };
        fire()
    od;
done:
    skip
}
