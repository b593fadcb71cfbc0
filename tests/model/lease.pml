/*
 * The lease and the workers that sleep, one of them in the poll, with their memory
 * orders (weak.h): a worker that holds the lease finds what the last holder left, no
 * wake and no interrupt is slept through, and a worker that was woken finds the work.
 *
 * Models: reactor/lease.h: wf_lease_borrow, wf_lease_return
 *         reactor/turn.c: announce, awake, wf_turn
 *         reactor/interrupt.c: wf_interrupt_worker
 *         base/parker.h: wf_parker_prepare, wf_parker_sleep, wf_parker_finish, wf_parker_wake
 *         sched/idle.c: wf_idle_sleep, wf_idle_unsleep, wf_idle_wake
 *         sched/worker.c: wf_worker_idle, rest_until_woken
 * Edges: L1 E1 E2 P1 I1 I2
 *
 * Wakers give a worker work, and wake it if it sleeps. The worker sleeps in its futex,
 * or in the poll if it gets the lease, which another worker may have. An armer
 * interrupts the worker in the poll. An event may end a poll at any time. How many
 * workers search is idle.pml's; the reactor thread, which may take the eventfd's edge,
 * is eventfd.pml's.
 *
 * -DDIRECT: the waker wakes the worker without a look at its bit, as wf_sched_stop does,
 * and the reactor thread's callers: only the parker tells the worker.
 * -DHANDOVER: two workers without work pass the lease on, between polls.
 *
 * Planted bugs, each of which must be found (-DBUG_...):
 *   UNTIL_RELEASE    the store of `until` is no more than a release [E1]
 *   LOOK_ACQUIRE     the sleeper's look at `interrupted` is no more than an acquire [E1]
 *   ASK_ACQUIRE      the interrupter's look at `until` is no more than an acquire [E1]
 *   INTERRUPT_WEAK   the interrupter's exchange is no more than acq_rel [E1]
 *   TAKE_RELAXED     the exchange that takes an interrupt back is relaxed [E2]
 *   INTERRUPT_SILENT the interrupter's exchange does not release [E2]
 *   TAKE_EARLY       the worker takes an interrupt back when it has announced its sleep,
 *                    and does not look [E1]
 *   SLEEP_WEAK       the bit of a sleeper is set with acq_rel [I1]
 *   DRY_ACQUIRE      the last look for work is no more than an acquire [I1]
 *   PUSH_RELEASE     work is pushed with no more than a release [I1]
 *   WAKE_ACQUIRE     the waker's look at the bit is no more than an acquire [I1]
 *   WAKE_PARKER      the waker of a worker in the poll wakes its parker only [E1]
 * with -DDIRECT:
 *   WAKE_SILENT      the parker's wake does not release [P1]
 *   FINISH_RELAXED   the end of the parker's sleep does not acquire [P1]
 *   PREPARE_BLIND    the parker's sleep overwrites a wake [P1]
 * with -DHANDOVER:
 *   BORROW_RELAXED   the borrower's compare-and-swap is relaxed [L1]
 *   RETURN_RELAXED   the return's store is [L1]
 *   BORROW_BLIND     the borrower looks, and then stores
 */
#ifdef HANDOVER
#define WORKERS 2
#define WAKERS 0
#define ARMERS 2
#else
#define WORKERS 1
#define WAKERS 1
#define ARMERS 1
#endif
#ifndef ROUNDS
#define ROUNDS 2 /* of a worker, with HANDOVER */
#endif
#ifndef ENDS
#define ENDS 1   /* of polls, by an event */
#endif

#define UNTIL 0
#define INTERRUPTED 1
#define ALARM(armer) (2 + (armer)) /* what the armer did before */
#ifdef HANDOVER
#define LEASE 4
#define TALLY 5 /* of the holder: plain data */
#define LOCS 6
#else
#define ASLEEP 3
#define PARKER 4
#define WORK 5
#define LOCS 6
#endif
#ifndef VALUES
#define VALUES 20
#endif
#define THREADS (WORKERS + WAKERS + ARMERS)
#include "weak.h"

#define RUNNING 0
#define NOTIFIED 1
#define IN_FUTEX 2
#define ELSEWHERE 3

#ifdef BUG_BORROW_RELAXED
#define BORROW RELAXED
#else
#define BORROW ACQUIRE
#endif
#ifdef BUG_RETURN_RELAXED
#define RETURN RELAXED
#else
#define RETURN RELEASE
#endif
#ifdef BUG_UNTIL_RELEASE
#define SET_UNTIL RELEASE
#else
#define SET_UNTIL SEQ_CST
#endif
#ifdef BUG_LOOK_ACQUIRE
#define LOOK ACQUIRE
#else
#define LOOK SEQ_CST
#endif
#ifdef BUG_ASK_ACQUIRE
#define ASK ACQUIRE
#else
#define ASK SEQ_CST
#endif
#ifdef BUG_INTERRUPT_WEAK
#define INTERRUPT ACQ_REL
#else
#ifdef BUG_INTERRUPT_SILENT
#define INTERRUPT (SEQ_CST - RELEASE)
#else
#define INTERRUPT SEQ_CST
#endif
#endif
#ifdef BUG_TAKE_RELAXED
#define TAKE RELAXED
#else
#define TAKE ACQ_REL
#endif
#ifdef BUG_WAKE_SILENT
#define WAKE (SEQ_CST - RELEASE)
#else
#define WAKE SEQ_CST
#endif
#ifdef BUG_FINISH_RELAXED
#define FINISH RELAXED
#else
#define FINISH SEQ_CST
#endif
#ifdef BUG_SLEEP_WEAK
#define SLEEP ACQ_REL
#else
#define SLEEP SEQ_CST
#endif
#ifdef BUG_DRY_ACQUIRE
#define DRY ACQUIRE
#else
#define DRY SEQ_CST
#endif
#ifdef BUG_PUSH_RELEASE
#define PUSH RELEASE
#else
#define PUSH SEQ_CST
#endif
#ifdef BUG_WAKE_ACQUIRE
#define SEE ACQUIRE
#else
#define SEE SEQ_CST
#endif

bool edge;        /* the eventfd was written */
byte ends = ENDS;
bool alarmed[2];  /* the armer has interrupted */

/* wf_interrupt_worker */
inline interrupt(me, x)
{
    atomic {
        rmw(me, INTERRUPTED, x, true, INTERRUPT);
        if :: me >= WORKERS + WAKERS -> alarmed[me - WORKERS - WAKERS] = true :: else -> skip fi
    };
    if
    :: x -> skip
    :: else ->
        load(me, UNTIL, x, ASK);
        if :: x -> edge = true :: else -> skip fi
    fi;
    x = 0
}

/* poll_borrowed: wf_turn, the wait of the holder.  `more`: there is work */
inline poll(me, x, more)
{
    store(me, UNTIL, true, SET_UNTIL);
#ifdef BUG_TAKE_EARLY
    rmw(me, INTERRUPTED, x, false, SEQ_CST);
    x = false;
#else
    load(me, INTERRUPTED, x, LOOK);
#endif
    if
    :: x -> edge = false /* a look that does not wait */
    :: else ->
        if
        :: atomic { edge -> edge = false }
        :: atomic { ends > 0 -> ends-- }
        :: timeout -> /* nothing can move any more */
            assert(!NEWEST(INTERRUPTED) && !(more));
            goto over
        fi
    fi;
    store(me, UNTIL, false, RELAXED);
    load(me, INTERRUPTED, x, RELAXED);
    if
    :: x ->
        atomic {
            rmw(me, INTERRUPTED, x, false, TAKE);
            assert(x);
            if :: alarmed[0] -> PLAIN(me, ALARM(0)) :: else -> skip fi;
#ifdef HANDOVER
            if :: alarmed[1] -> PLAIN(me, ALARM(1)) :: else -> skip fi;
#endif
            x = 0
        }
    :: else -> skip
    fi
}

#ifdef HANDOVER
active [WORKERS] proctype worker()
{
    byte x, n;
    bool got;

    do
    :: n < ROUNDS ->
        n++;
        load(_pid, LEASE, x, RELAXED);
        if
        :: !x ->
#ifdef BUG_BORROW_BLIND
            store(_pid, LEASE, true, RELEASE);
            got = true;
#else
            cas(_pid, LEASE, x, true, got, BORROW, BORROW);
#endif
        :: else -> skip
        fi;
        x = 0;
        if
        :: got ->
            got = false;
            poll(_pid, x, false);
            d_step { PLAIN(_pid, TALLY); append(_pid, TALLY, 1, RELAXED) };
            store(_pid, LEASE, false, RETURN)
        :: else -> skip
        fi
    :: else -> break
    od;
over:
    skip
}
#else
active proctype worker()
{
    byte x;
    bool polling, ok;

    do
    :: true ->
        load(_pid, WORK, x, RELAXED);
        if :: x -> break :: else -> skip fi;
        if :: polling = true :: polling = false fi;
        /* wf_parker_prepare */
#ifdef BUG_PREPARE_BLIND
        rmw(_pid, PARKER, x, (polling -> ELSEWHERE : IN_FUTEX), SEQ_CST);
        ok = true;
#else
        x = RUNNING;
        cas(_pid, PARKER, x, (polling -> ELSEWHERE : IN_FUTEX), ok, SEQ_CST, SEQ_CST);
#endif
        if
        :: !ok -> goto finish
        :: else -> ok = false
        fi;
        /* rest */
#ifdef DIRECT
        x = 0;
#else
        rmw(_pid, ASLEEP, x, true, SLEEP);
        load(_pid, WORK, x, DRY);
#endif
        if
        :: x -> skip
        :: !x && polling -> poll(_pid, x, NEWEST(WORK))
        :: !x && !polling ->
            if
            :: NEWEST(PARKER) != IN_FUTEX
            :: timeout -> /* nothing can move any more */
                assert(!NEWEST(WORK));
                goto over
            fi
        fi;
#ifndef DIRECT
        rmw(_pid, ASLEEP, x, false, SEQ_CST);
#endif
finish:
        skip;
        atomic {
            rmw(_pid, PARKER, x, RUNNING, FINISH);
            if
            :: x == NOTIFIED -> PLAIN(_pid, WORK)
            :: else -> skip
            fi;
            x = 0;
            ok = false;
            polling = false
        }
    od;
over:
    skip
}

/* wf_sched_wake_worker */
inline wake_worker(me, x)
{
    rmw(me, PARKER, x, NOTIFIED, WAKE);
#ifndef BUG_WAKE_PARKER
    if :: x == ELSEWHERE -> interrupt(me, x) :: else -> skip fi
#endif
}

active [WAKERS] proctype waker()
{
    byte x;

#ifdef DIRECT
    store(_pid, WORK, 1, RELAXED);
    wake_worker(_pid, x)
#else
    store(_pid, WORK, 1, PUSH);
    /* wf_idle_wake */
    load(_pid, ASLEEP, x, SEE);
    if :: x -> rmw(_pid, ASLEEP, x, false, SEQ_CST) :: else -> skip fi;
    if :: x -> wake_worker(_pid, x) :: else -> skip fi
#endif
}
#endif

active [ARMERS] proctype armer()
{
    byte x;

    store(_pid, ALARM(_pid - WORKERS - WAKERS), 1, RELAXED);
    interrupt(_pid, x)
}
