/*
 * The semaphore (runtime/sync/sem.c): tasks that ask for different numbers of permits,
 * some of which are cancelled while they wait, and give them back.
 *
 * A step is one operation on the word, or on the queue under its lock. At the end no
 * task waits: no wake was lost; and all permits are there: none was lost or doubled. No
 * request is overtaken by a later one. Whenever the queue's lock is free, there are not
 * enough permits for the head of the queue.
 *
 * -DSTACK: the semaphore lies on a task's stack, and begins with no permits. The task
 * takes the permits that the others release, and then the semaphore is gone: no task
 * may access it any more.
 *
 * Models: runtime/sync/sem.c: try_acquire, queue_request, serve, acquire_slowly, release_to_waiters, weft_sem_release
 * Edges: V1
 *
 * Planted bugs, each of which must be found (-DBUG_...):
 *   LATE_MARK       a task that must wait marks the word and joins, without checking
 *                   again whether there are enough by now
 *   BARGE           permits are taken from the word although a task waits
 *   NO_SERVE        a cancelled head of the queue does not serve the waiters behind it
 *   LEAVE_BLIND     a cancelled waiter leaves without looking whether it was taken out
 *                   of the queue
 *   SKIP            permits that are too few for the head are given to the next one
 *   KEEP_MARK       serve leaves the mark, when it has emptied the queue
 * and with -DSTACK:
 *   ADD_UNDER_LOCK  release that finds the queue empty adds the permits before it
 *                   releases the queue's lock
 *   GRANT_FIRST     a waiter is granted before the queue's lock is released
 */
#ifdef STACK
#define TASKS 3
#define PERMITS 0
#else
#define TASKS 4
#define PERMITS 3
#endif

byte permits = PERMITS;           /* the word, */
bool marked;                      /* and its mark */
bool lock;                        /* of the queue */
byte queue[TASKS], length;
bool in_queue[TASKS], granted[TASKS];
byte asked[TASKS];                /* for how many */

byte out;                         /* permits that tasks have */
bool overtaken;                   /* a waiter was, by a later request */
bool freed;

inline touch()
{
    assert(!freed)
}

inline acquire_lock()
{
    atomic { !lock -> lock = true; touch() }
}

inline release_lock()
{
    atomic {
        lock = false;
        touch();
        assert(marked == (length > 0) && (length == 0 || permits < asked[queue[0]]))
    }
}

/* takes the one at `at` out of the queue */
inline drop(who)
{
    d_step {
        who = queue[at];
        length--;
        do
        :: at < length -> queue[at] = queue[at + 1]; at++
        :: else -> break
        od;
        queue[length] = 0;
        at = 0;
        in_queue[who] = false
    }
}

/* serve, with `n` new permits, and the grants after the lock has been released */
inline serve_and_unlock(n)
{
    d_step { have = permits + n; at = 0; taken = 0 };
    do
#ifdef BUG_SKIP
    :: length > 1 && asked[queue[0]] > have && asked[queue[1]] <= have ->
        at = 1;
        overtaken = true;
        drop(next);
        have = have - asked[next];
        taken = taken | (1 << next)
#endif
    :: length > 0 && asked[queue[0]] <= have ->
        at = 0;
        drop(next);
        have = have - asked[next];
        taken = taken | (1 << next)
    :: else -> break
    od;
    /* a store: it wipes out whatever was written since the load */
    atomic {
        touch();
        permits = have;
#ifdef BUG_KEEP_MARK
        marked = true
#else
        marked = (length > 0)
#endif
    };
#ifndef BUG_GRANT_FIRST
    release_lock();
#endif
    next = 0;
    do
    :: next < TASKS ->
        if :: taken & (1 << next) -> granted[next] = true :: else -> skip fi;
        next++
    :: else -> break
    od;
#ifdef BUG_GRANT_FIRST
    release_lock();
#endif
    skip;
    d_step { next = 0; have = 0; taken = 0; at = 0 }
}

/* the compare-and-swap of a word that is not marked */
inline try_acquire(n, has)
{
    atomic {
        touch();
        if
#ifdef BUG_BARGE
        :: permits >= n ->
#else
        :: !marked && permits >= n ->
#endif
            permits = permits - n;
            has = true;
            overtaken = overtaken || length > 0
        :: else -> has = false
        fi
    }
}

/* weft_sem_acquire, join, and acquire_slowly */
inline acquire(n, may_leave)
{
    asked[self] = n;
    cancelled = false;
    try_acquire(n, has);
    if
    :: has
    :: else ->
        granted[self] = false;
        acquire_lock();
#ifdef BUG_LATE_MARK
        marked = true;
#else
        atomic {
            touch();
            if
            :: !marked && permits >= n -> permits = permits - n; has = true
            :: else -> marked = true
            fi
        };
#endif
        if :: !has -> d_step { queue[length] = self; length++; in_queue[self] = true } :: else -> skip fi;
        release_lock();
        if
        :: has
        :: !has && granted[self]
        :: !has && may_leave ->
            acquire_lock();
#ifdef BUG_LEAVE_BLIND
            if :: true ->
#else
            if :: in_queue[self] ->
#endif
                d_step {
                    at = 0;
                    do
                    :: at < length && queue[at] != self -> at++
                    :: else -> break
                    od
                };
                if :: in_queue[self] -> drop(next) :: else -> at = 0 fi;
                next = 0;
                cancelled = true;
#ifdef BUG_NO_SERVE
                if :: length == 0 -> marked = false :: else -> skip fi;
                release_lock()
#else
                serve_and_unlock(0)
#endif
            :: else -> release_lock(); granted[self]
            fi
        fi
    fi
}

/* weft_sem_release, and release_to_waiters */
inline release(n)
{
    done = false;
    do
    :: done -> break
    :: else ->
        if
        :: atomic { !marked -> touch(); permits = permits + n; done = true }
        :: marked ->
            acquire_lock();
            if
            :: !marked ->
#ifdef BUG_ADD_UNDER_LOCK
                atomic { permits = permits + n; done = true };
#endif
                release_lock()
            :: else -> serve_and_unlock(n); done = true
            fi
        fi
    od
}

#ifdef STACK
/* task 0 takes one permit and may be cancelled, then takes the rest; the others release one each */
active [TASKS] proctype task()
{
    byte self = _pid, at, next, have, taken;
    bool has, cancelled, done;

    if
    :: self == 0 ->
        acquire(1, true);
        if
        :: cancelled -> acquire(2, false)
        :: else -> acquire(1, false)
        fi;
        atomic { touch(); freed = true; assert(permits == 0 && length == 0 && !lock) }
    :: else -> release(1)
    fi
}
#else
active [TASKS] proctype task()
{
    byte self = _pid, at, next, have, taken, n;
    bool has, cancelled, done;

    /* 3, 1, 2 and 1 permits; all but one may be cancelled */
    n = (self == 0 -> 3 : (self == 2 -> 2 : 1));
    acquire(n, self < 3);
    if
    :: !cancelled ->
        atomic { out = out + n; assert(out <= PERMITS) };
        out = out - n;
        release(n)
    :: else -> skip
    fi
}

/* when nothing can move any more */
active proctype end()
{
    atomic {
        timeout;
        assert(permits == PERMITS && out == 0 && length == 0 && !marked && !lock && !overtaken)
    }
}
#endif
