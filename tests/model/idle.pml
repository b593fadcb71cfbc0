/*
 * The idle set (sched/idle.h, [I1]), with the injector and the parkers: no work stays
 * in the injector while all workers sleep.
 *
 * Every step is one sequentially consistent operation of the code. Pushers push and
 * notify; workers look, search, announce their sleep, look again and sleep; a task that
 * they take may run indefinitely. When nothing can move any more, no worker sleeps
 * while there is work.
 *
 * Models: sched/idle.c: wf_idle_search_begin, wf_idle_search_end, wf_idle_sleep, wf_idle_unsleep, wf_idle_wake,
 *                 claim_sleeper, wf_idle_wake_one
 *         sched/worker.c: found, rest_until_woken, wf_worker_idle
 *         sched/wake.c: wf_worker_wake_pinned
 * Edges: I1 I2 J2
 *
 * Planted bugs, each of which must be found (-DBUG_...):
 *   LOOK_FIRST    a worker looks at the injector for the last time before it announces
 *                 its sleep
 *   NO_LAST_LOOK  the last searcher that finds work does not look at the injector
 *   DROP_DUTY     a searcher that looks again after it has announced its sleep, and
 *                 finds work, does not search on
 *   NO_RETRY      a waker that found no sleeper does not look whether one has fallen
 *                 asleep since
 *   NO_TOKEN      a wake that comes before the sleep is not kept
 *   LATE_COUNT    the waker of a certain worker counts it as a searcher after clearing
 *                 its bit
 *
 * -DPOLLER: one of the sleepers waits in the poll, and is woken there
 * (wf_sched_wake_worker, wf_interrupt_worker). The pushers want to wake that one first,
 * the workers last (wf_sched_notify_poller, wf_sched_notify). With these bugs:
 *   NO_INTERRUPT  the waker of the worker in the poll does not interrupt the poll
 *   LATE_SAY      the worker says that it sleeps in the poll after it has said that it
 *                 sleeps
 */
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef PUSHERS
#define PUSHERS 2
#endif
#ifndef PUSHES
#define PUSHES 1
#endif

byte queued;              /* tasks in the injector */
short searching;
bool asleep[WORKERS];
bool notified[WORKERS];   /* the parker's token */
byte named;               /* tasks in worker 0's inbox */
bool in_futex[WORKERS];
#ifdef POLLER
bool lease;               /* a worker has the poll */
bool elsewhere[WORKERS];  /* the parker's state: the worker sleeps in the poll */
byte poller = WORKERS;    /* the hint which one: none */
bool until, interrupted;  /* of the poll */
bool poked;               /* its eventfd was written */
#endif

/* one load of a word with a bit for each worker */
inline any_asleep(w, result)
{
    d_step {
        result = false;
        w = 0;
        do
        :: w < WORKERS -> result = result || asleep[w]; w++
        :: else -> break
        od;
        w = 0
    }
}

inline wake_parker(w)
{
#ifdef BUG_NO_TOKEN
    if :: in_futex[w] -> notified[w] = true :: else -> skip fi
#else
    notified[w] = true
#endif
}

#ifdef POLLER
/* claim, two rounds of it: the preferred ones first, then all */
inline claim(w, some)
{
    hint = poller;
    do
    :: w < 2 * WORKERS ->
        d_step {
            some = asleep[w % WORKERS] && (w >= WORKERS || (w == hint) == poller_first);
            if :: some -> asleep[w % WORKERS] = false :: else -> skip fi
        };
        if :: some -> w = w % WORKERS; break :: else -> w++ fi
    :: else -> w = WORKERS; break
    od;
    hint = 0
}

/* wf_sched_wake_worker */
inline wake_worker(w, some)
{
    atomic { notified[w] = true; some = elsewhere[w] };
#ifndef BUG_NO_INTERRUPT
    if
    :: some ->
        atomic { some = interrupted; interrupted = true };
        if :: !some && until -> poked = true :: else -> skip fi
    :: else -> skip
    fi;
#endif
    some = false
}
#else
inline wake_worker(w, some)
{
    atomic { wake_parker(w) }
}
#endif

/* wf_idle_wake_one, and the wake of the parker */
inline wake_one(w, some)
{
    do
    :: atomic { searching == 0 -> searching = 1 };
        w = 0;
#ifdef POLLER
        claim(w, some);
#else
        do
        :: w < WORKERS ->
            d_step { if :: asleep[w] -> asleep[w] = false; some = true :: else -> some = false fi };
            if :: some -> break :: else -> w++ fi
        :: else -> break
        od;
#endif
        if
        :: w < WORKERS -> wake_worker(w, some); break
        :: else ->
            searching--;
#ifdef BUG_NO_RETRY
            break
#else
            any_asleep(w, some);
            if :: some -> skip :: else -> break fi
#endif
        fi
    :: searching != 0 -> break
    od;
    w = 0
}

/* wf_sched_notify */
inline notify(w, some)
{
    if
    :: searching == 0 ->
        any_asleep(w, some);
        if :: some -> wake_one(w, some) :: else -> skip fi
    :: else -> skip
    fi;
    some = false
}

active [PUSHERS] proctype pusher()
{
    byte n = 0, w, hint;
    bool some, poller_first = true;

    do
    :: n < PUSHES -> queued++; notify(w, some); n++
    :: else -> break
    od
}

#ifdef NAMED
/* wake_home in run.c: for a task that only worker 0 may run */
active proctype namer()
{
    byte w;
    bool some;

    named++;
    if
    :: asleep[0] ->
#ifdef BUG_LATE_COUNT
        if
        :: atomic { asleep[0] -> asleep[0] = false };
            searching++;
            atomic { wake_parker(0) }
        :: else -> skip
        fi
#else
        searching++;
        if
        :: atomic { asleep[0] -> asleep[0] = false }; atomic { wake_parker(0) }
        :: else ->
            searching--;
            if :: queued > 0 -> notify(w, some) :: else -> skip fi
        fi
#endif
    :: else -> skip
    fi
}
#endif

active [WORKERS] proctype worker()
{
    byte self = _pid - PUSHERS, w, got;
#ifdef NAMED
    self = self - 1;
#endif
    bool some, searcher = false, dry;
#ifdef POLLER
    byte hint;
    bool polling, poller_first = false;
#endif

    do
    :: true ->
        /* find: the inbox, the injector, then a search */
        got = 0;
        if
        :: atomic { self == 0 && named > 0 -> named--; got = 1 }
        :: atomic { (self != 0 || named == 0) && queued > 0 -> queued--; got = 1 }
        :: else -> skip
        fi;
        if
        :: got > 0 ->
            if
            :: searcher ->
                searcher = false;
                atomic { searching--; some = (searching == 0) };
#ifndef BUG_NO_LAST_LOOK
                if :: some && queued > 0 -> notify(w, some) :: else -> some = false fi
#endif
            :: else -> skip
            fi;
            got = 0
            ;
            if :: true -> break :: true -> skip fi /* what it took may never return */
        :: else ->
            if
            :: !searcher && (searching == 0 || 2 * searching < WORKERS) -> searching++; searcher = true
            :: true -> skip
            fi;
#ifdef BUG_LOOK_FIRST
            dry = (queued == 0 && (self != 0 || named == 0));
#endif
#ifdef POLLER
            atomic { if :: !lease -> lease = true; polling = true :: else -> skip fi };
            /* wf_parker_prepare */
            atomic {
                if
                :: notified[self] -> notified[self] = false; goto up
#ifdef BUG_LATE_SAY
                :: else -> skip
#else
                :: else -> elsewhere[self] = polling
#endif
                fi
            };
            if :: polling -> poller = self :: else -> skip fi;
#endif
            asleep[self] = true;
#ifdef BUG_LATE_SAY
            elsewhere[self] = polling;
#endif
            if :: searcher -> searching--; searcher = false :: else -> skip fi;
#ifndef BUG_LOOK_FIRST
            dry = (queued == 0);
            if :: dry && self == 0 -> dry = (named == 0) :: else -> skip fi;
#endif
            if
#ifdef POLLER
            :: dry && polling ->
                until = true;
                if
                :: interrupted -> skip
                :: else ->
                    if
                    :: poked -> poked = false
                    :: timeout ->
                        assert(queued == 0);
                        break
                    fi
                fi;
                until = false;
                interrupted = false
            :: dry && !polling ->
#else
            :: dry ->
#endif
                in_futex[self] = true;
                if
                :: notified[self]
                :: timeout -> /* nothing can move any more */
                    assert(queued == 0 && (self != 0 || named == 0));
                    break
                fi;
                in_futex[self] = false
            :: else -> skip
            fi;
#ifdef POLLER
            if :: polling -> poller = WORKERS :: else -> skip fi;
#endif
            atomic { some = asleep[self]; asleep[self] = false };
            if
            :: !some -> searcher = true
#ifndef BUG_DROP_DUTY
            :: some && !dry ->
                if
                :: searching == 0 || 2 * searching < WORKERS -> searching++; searcher = true
                :: else -> skip
                fi
            :: some && dry -> skip
#else
            :: some -> skip
#endif
            fi;
#ifdef POLLER
            atomic { notified[self] = false; elsewhere[self] = false; some = false; dry = false };
up:         if :: polling -> atomic { lease = false; polling = false } :: else -> skip fi
#else
            d_step { notified[self] = false; some = false; dry = false }
#endif
        fi
    od
}
