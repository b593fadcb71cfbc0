/*
 * When the reactor thread looks at the workers, and when it sleeps without doing so
 * (reactor/thread.c, [L2]): it never sleeps without bound while a worker is awake and a
 * second task waits behind its current one.
 *
 * Every step is one operation of the code. Everything that may happen at any time is a
 * nondeterministic choice: workers wake up and fall asleep, by themselves or because a
 * waker has cleared their bit; events wake the thread; ticks end; the workers are too
 * busy for STANDBY, and calm again; another thread calls the reactor thread, because of
 * a timer. How a call gets to a thread in epoll is eventfd.pml's: here it is `edge`,
 * which is not lost.
 *
 * `waits` counts from the end of wf_worker_notify_monitor on; until then the worker is about to
 * tell.
 *
 * Models: reactor/thread.c: plan, wait_once, sleep_in_futex
 *         reactor/reactor.c: notify_awake
 *         reactor/interrupt.c: wf_interrupt_thread
 * Edges: L2 P1
 *
 * Planted bugs, each of which must be found (-DBUG_...):
 *   NO_EXCHANGE   notify_awake does not take `monitor_paused` back
 *   NO_CALL       notify_awake takes it back, and does not call the thread
 *   ATTEND_FIRST  a worker attends before it is counted as awake
 *   LOOK_FIRST    plan looks at the workers before it says that it will not look again
 *   CALLED_ONLY   the thread asks its turn in epoll whether it was called, and not
 *                 `monitor_paused`
 *   ASK_FIRST     a caller asks how the thread sleeps, then wakes it there: the poll
 *                 with one lease for all did so
 *   NO_TOKEN      a call that comes before the sleep is not kept
 */
#define WORKERS 2

#define RUNNING 0
#define NOTIFIED 1
#define IN_FUTEX 2
#define ELSEWHERE 3

bool monitor_paused, attended;
byte parker;             /* of the thread */
bool edge;               /* the eventfd was written for it */
bool unbound;            /* it sleeps in epoll until something happens */
bool asleep[WORKERS] = true;
bool waits[WORKERS];     /* something waits behind what the worker runs, and it has told */
byte calling;            /* callers that have begun to call the thread */

/* wf_interrupt_thread; `calling` has counted the caller */
inline call_thread()
{
#ifdef BUG_ASK_FIRST
    old = parker;
    if :: old != ELSEWHERE -> parker = NOTIFIED :: else -> skip fi;
#else
    atomic { old = parker; parker = NOTIFIED };
#endif
    atomic {
        if :: old == ELSEWHERE -> edge = true :: else -> skip fi;
        old = 0;
        calling--
    }
}

inline notify_awake()
{
    attended = true;
    if
    :: monitor_paused ->
        atomic {
            was = monitor_paused;
            if :: was -> calling++ :: else -> skip fi;
#ifndef BUG_NO_EXCHANGE
            monitor_paused = false
#endif
        }
    :: else -> skip
    fi;
    if
    :: was ->
        was = false;
#ifdef BUG_NO_CALL
        calling--
#else
        call_thread()
#endif
    :: else -> skip
    fi
}

active [WORKERS] proctype worker()
{
    byte old;
    bool was, monitor_unaware;

    do
    :: true ->
#ifdef BUG_ATTEND_FIRST
        notify_awake();
        asleep[_pid] = false;
        waits[_pid] = true;
#else
        asleep[_pid] = false; /* [X], by a waker or by itself */
#endif
        monitor_unaware = true;
        do
        :: monitor_unaware -> notify_awake(); monitor_unaware = false
        :: !monitor_unaware && !waits[_pid] -> waits[_pid] = true
        :: waits[_pid] -> waits[_pid] = false
        :: break
        od;
        atomic { waits[_pid] = false; monitor_unaware = false };
        asleep[_pid] = true
    od
}

/* tell: a timer that the thread would be too late for */
active proctype armer()
{
    byte old;

    do
    :: calling++; call_thread()
    od
}

inline prepare(how)
{
#ifdef BUG_NO_TOKEN
    atomic { may = true; parker = how }
#else
    atomic { may = (parker == RUNNING); if :: may -> parker = how :: else -> skip fi };
    if :: !may -> parker = RUNNING :: else -> skip fi
#endif
}

inline finish()
{
    atomic { called = (parker == NOTIFIED); parker = RUNNING }
}

/* sleep_in_futex, until `until` */
inline nap()
{
    prepare(IN_FUTEX);
    if
    :: may ->
        if :: parker == NOTIFIED :: true /* the time is over */ fi;
        finish()
    :: else -> skip
    fi;
    d_step { may = false; called = was_called }
}

active proctype thread()
{
    bool old_news, all, may, called, was_called, watching, endless;

    do
    :: true ->
        /* plan */
        atomic { old_news = attended; attended = false };
#ifdef BUG_LOOK_FIRST
        all = asleep[0] && asleep[1];
        if :: !old_news -> monitor_paused = true :: else -> skip fi;
#else
        if :: !old_news -> monitor_paused = true :: else -> skip fi;
        all = asleep[0] && asleep[1]; /* one word */
#endif
        watching = old_news || !all;
        if
        :: watching -> monitor_paused = false; endless = false
        :: !watching -> endless = true
        :: !watching -> endless = false /* `watch` wants to be called again */
        fi;
        d_step { old_news = false; all = false };
        do
        :: true ->
            /* wait_once */
            prepare(ELSEWHERE);
            if
            :: may ->
                unbound = endless;
                if
                :: atomic { edge -> edge = false; unbound = false }
                :: atomic { true -> unbound = false } /* an event; or the time is over */
                fi;
                finish()
            :: else -> called = true
            fi;
            d_step { may = false; was_called = called };
            if :: true -> nap() :: true -> skip fi; /* ASIDE */
#ifdef BUG_CALLED_ONLY
            if :: !watching && called -> watching = true; endless = false :: else -> skip fi;
#else
            if :: !watching && !monitor_paused -> watching = true; endless = false :: else -> skip fi;
#endif
            d_step { called = false; was_called = false };
            if
            :: !endless -> break /* the tick is over */
            :: true -> skip
            :: true -> monitor_paused = false; nap(); break /* BUSY, and back */
            fi
        od
    od
}

active proctype monitor()
{
    atomic {
        unbound && !edge && calling == 0 && (waits[0] || waits[1]);
        assert(false)
    }
}
