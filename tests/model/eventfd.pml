/*
 * The eventfd that two sleepers share (reactor/turn.c, [E1]): the worker that has the
 * poll, and the reactor thread, wait in one epoll set. No interrupt of the worker, and
 * no call of the thread, is slept through, whichever of the two the eventfd wakes, and
 * whichever takes it.
 *
 * epoll is as in Linux (ep_poll): the set has a list of ready descriptors; a poll takes
 * all of it, and an edge is there once. A waiter that finds nothing queues, as the
 * newest; a descriptor that becomes ready wakes the newest, which leaves the queue, but
 * looks only later; if it then finds nothing it queues anew. Another poll in between
 * may take the event that it was woken for.
 *
 * A third process, `beside`, is a busy worker that looks for events while the holder
 * waits (wf_turn_beside), up to BESIDE times.
 *
 * The workers that hold the lease one after the other are one process here, `holder`:
 * nothing that they do without it affects the model. It waits, or polls without
 * waiting, or runs a task that never returns. A hint of the code is a nondeterministic
 * choice here: whether the thread finds a worker waiting before it waits, or when it
 * has fired wakers; whether `awake` sees that it was interrupted.
 *
 * -DBOUND: the number of rewrites of the eventfd is bounded, too: the two do not pass
 * it on endlessly. That needs two assumptions about time: ASIDE is long enough for a
 * worker that was woken to look; and a worker that comes back to epoll does not get in
 * before a thread that was woken has looked, again and again.
 *
 * Models: reactor/turn.c: announce, awake, wf_turn, wf_turn_beside, let_pass, wait_behind, wf_turn_of_thread
 *         reactor/interrupt.c: wf_interrupt_worker, wf_interrupt_thread
 *         reactor/thread.c: wait_once
 * Edges: E1 P1
 *
 * Planted bugs, each of which must be found (-DBUG_...):
 *   WORKER_KEEPS      the worker does not pass a call on
 *   THREAD_KEEPS      the thread does not pass an interrupt on
 *   PASS_CALLED       let_pass does not look whether the thread was called
 *   PASS_INTERRUPTED  let_pass does not look whether the worker was interrupted
 *   CHECK_FIRST       the worker looks at `interrupted` before it says that it sleeps
 *   FORGET            the worker takes an interrupt back before it says that it sleeps,
 *                     and does not look after
 *   LATE_SAY          the thread goes to epoll, and says so after
 * with -DBESIDE=2:
 *   BESIDE_KEEPS      a look beside does not pass a call on
 *   BESIDE_THREAD     nor one of the thread
 * and with -DBOUND:
 *   NO_ASIDE          the thread goes back to epoll at once when it has passed an
 *                     interrupt on
 */
#ifndef INTERRUPTS
#define INTERRUPTS 2
#endif
#ifndef CALLS
#define CALLS 1
#endif
#ifndef EVENTS
#define EVENTS 1 /* of descriptors */
#endif
#ifndef ENDS
#define ENDS 1   /* of waits, by themselves */
#endif

#ifndef BESIDE
#define BESIDE 0 /* looks */
#endif

#define RUNNING 0
#define NOTIFIED 1
#define IN_FUTEX 2
#define ELSEWHERE 3

#define HOLDER 0
#define THREAD 1

#define OUT 0
#define QUEUED 1
#define WOKEN 2

bool edge, event;        /* what is ready: the eventfd, a descriptor */
byte at[2];              /* where the two are */
byte newest;             /* in the queue */
byte ends = ENDS;

bool until, interrupted; /* of the worker; how long it sleeps does not matter here */
byte parker;             /* of the thread */
bool work, job;          /* why the worker is interrupted, the thread called */
byte begun;              /* interrupters: they are all the same, so they begin in order */
byte again;              /* how often the eventfd was written by the two */

/* part of an atomic step */
inline wake_newest()
{
    if
    :: at[newest] == QUEUED -> at[newest] = WOKEN
    :: else -> if :: at[1 - newest] == QUEUED -> at[1 - newest] = WOKEN :: else -> skip fi
    fi
}

inline write_eventfd()
{
    d_step { edge = true; wake_newest() }
}

inline write_again()
{
    d_step {
        edge = true;
        wake_newest();
#ifdef BOUND
        again++;
        assert(again <= BOUND);
#endif
    }
}

/* part of an atomic step: all that is ready */
inline take()
{
    got_edge = edge;
    got_event = event;
    edge = false;
    event = false
}

inline look(self)
{
    d_step { take() }
}

inline wait(self)
{
    do
    :: atomic { edge || event -> take(); at[self] = OUT; break }
    :: atomic { !edge && !event -> at[self] = QUEUED; newest = self };
        if
        :: at[self] == WOKEN
        :: atomic { at[self] == QUEUED && ends > 0 -> ends--; at[self] = OUT; break }
        :: timeout -> /* nothing can move any more */
            if
            :: self == HOLDER -> assert(!interrupted && !work)
            :: self == THREAD -> assert(parker == ELSEWHERE && !job)
            fi;
            goto done
        fi
    od
}

inline interrupt()
{
    atomic { begun == _pid -> begun++; work = true; was = interrupted; interrupted = true };
    if
    :: !was && until ->
        write_eventfd()
    :: else -> skip
    fi
}

active [INTERRUPTS] proctype interrupter()
{
    bool was;

    interrupt()
}

active proctype caller()
{
    byte n, old;

    do
    :: n < CALLS ->
        atomic { job = true; old = parker; parker = NOTIFIED };
        if
        :: old == ELSEWHERE ->
            write_eventfd()
        :: else -> skip
        fi;
        atomic { n++; old = 0 }
    :: else -> break
    od
}

active proctype outside()
{
    byte n;

    do
    :: n < EVENTS -> d_step { event = true; wake_newest(); n++ }
    :: else -> break
    od
}

active proctype holder()
{
    bool got_edge, got_event, may;

    do
    :: true ->
        /* announce, wf_epoll_wait, awake */
#ifdef BUG_FORGET
        atomic { interrupted = false; may = true };
#endif
#ifdef BUG_CHECK_FIRST
        may = !interrupted;
        until = true;
#else
        until = true;
#ifndef BUG_FORGET
        may = !interrupted;
#endif
#endif
#ifdef BOUND
        parker != NOTIFIED || at[THREAD] == QUEUED;
#endif
        if :: may -> may = false; wait(HOLDER) :: else -> look(HOLDER) fi;
        until = false;
#ifdef BOUND
        atomic { interrupted = false; work = false };
#else
        atomic { if :: interrupted -> interrupted = false :: true -> skip fi; work = false };
#endif
pass:   atomic {
            may = got_edge && parker == NOTIFIED;
            got_edge = false;
            got_event = false
        };
        if
#ifndef BUG_WORKER_KEEPS
        :: atomic { may -> may = false; write_again() }
#endif
        :: else -> may = false
        fi
    :: true ->
        /* a poll between turns */
#ifdef BOUND
        parker != NOTIFIED || at[THREAD] == QUEUED;
#endif
        look(HOLDER);
        goto pass
    :: true -> break
    od;
done:
    skip
}

active proctype beside()
{
    bool got_edge, got_event;
    byte n;

    do
    :: n < BESIDE ->
#ifdef BOUND
        (until && !interrupted && parker != NOTIFIED);
#endif
        d_step { take(); n++ };
        if
#ifndef BUG_BESIDE_KEEPS
        :: got_edge && interrupted -> write_again()
#ifndef BUG_BESIDE_THREAD
        :: got_edge && parker == NOTIFIED -> write_again()
#endif
#endif
        :: else -> skip
        fi;
        d_step { got_edge = false; got_event = false }
    :: else -> break
    od
}

inline finish()
{
    atomic { parker = RUNNING; job = false; may = false }
}

inline prepare(how)
{
    atomic { may = (parker == RUNNING); if :: may -> parker = how :: else -> skip fi };
    if :: !may -> finish() :: else -> skip fi
}

active proctype thread()
{
    bool got_edge, got_event, may, passed;

    do
    :: true ->
#ifdef BUG_LATE_SAY
        may = (parker == RUNNING);
        if :: !may -> finish() :: else -> skip fi;
#else
        prepare(ELSEWHERE);
#endif
        if
        :: may ->
            if
#ifdef BOUND
            :: until ->
#else
            :: true ->
#endif
                /* let_pass */
                write_again();
                look(THREAD);
                passed = got_event;
#ifndef BUG_PASS_INTERRUPTED
                if :: !passed -> passed = interrupted :: else -> skip fi;
#endif
#ifndef BUG_PASS_CALLED
                if :: !passed -> passed = (parker == NOTIFIED) :: else -> skip fi;
#endif
#ifdef BOUND
            :: !until -> skip
#else
            :: true -> skip
#endif
            fi;
#ifdef BUG_LATE_SAY
            parker = ELSEWHERE;
#endif
            if :: !passed -> wait(THREAD) :: else -> skip fi;
            finish()
        :: else -> skip
        fi;
        /* the rest of wf_turn_of_thread, and of wait_once */
        d_step { passed = got_edge && interrupted; got_edge = false; got_event = false };
        if :: passed -> passed = until :: else -> skip fi;
#ifndef BUG_THREAD_KEEPS
        if :: passed -> write_again() :: else -> skip fi;
#endif
        if
#ifndef BUG_NO_ASIDE
        :: true ->
            prepare(IN_FUTEX);
            if
            :: may ->
                if
                :: parker == NOTIFIED
#ifdef BOUND
                :: !until || at[HOLDER] == QUEUED
#else
                :: true
#endif
                fi;
                finish()
            :: else -> skip
            fi
        :: !passed -> skip
#else
        :: true -> skip
#endif
        fi;
        passed = false
    od;
done:
    skip
}
