/*
 * The mutex (runtime/sync/mutex.c): tasks that lock it, some of which are cancelled
 * while they wait; the last one that has held it frees it, right after its unlock.
 *
 * A step is one operation on the word, or on the queue under its lock. At the end no
 * task waits: no wake was lost. One task at a time holds the mutex; no task accesses it
 * after it is freed; and a waiter that was called LOSSES_MAX times and lost is handed
 * the mutex the next time.
 *
 * Models: runtime/sync/mutex.c: take_mutex, take_or_mark, settle_word, lock_mutex_slowly, weft_mutex_lock,
 *                 pass_mutex_on, weft_mutex_unlock
 * Edges: M1
 *
 * Planted bugs, each of which must be found (-DBUG_...):
 *   LATE_MARK       a task that must wait marks the word and joins, without checking
 *                   again whether the mutex is still held
 *   PLAIN_UNLOCK    unlock without waiters is a store: it wipes out marks
 *   KEEP_CALLED     the called one that loses does not take its mark back
 *   LEAVE_CALLED    the called one leaves when it is cancelled, without competing
 *   TAKE_CALLED     the called one takes the mutex without looking whether another was
 *                   faster
 *   LEAVE_BLIND     a cancelled waiter leaves without looking whether it was taken out
 *                   of the queue
 *   FREE_UNDER_LOCK unlock that finds the queue empty frees the mutex before it
 *                   releases the queue's lock
 *   GRANT_FIRST     the next one is granted before the queue's lock is released
 *   NEVER_HAND      a waiter that has lost LOSSES_MAX times is called once more
 */
#ifndef TASKS
#define TASKS 3
#endif
#ifndef LOSSES_MAX
#define LOSSES_MAX 1
#endif
#define NOBODY 255

mtype = { NOTHING, HANDED, COMPETE };

byte holder = NOBODY;             /* the word, */
bool is_queued, is_called;        /* and its marks */
bool lock;                        /* of the queue */
byte queue[TASKS], length;
bool in_queue[TASKS];
byte losses[TASKS];
mtype granted[TASKS] = NOTHING;

byte inside;                      /* how many hold it */
byte users = TASKS;               /* under the mutex */
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
    atomic { lock = false; touch() }
}

inline push(front)
{
    d_step {
        if
        :: front ->
            at = length;
            do
            :: at > 0 -> queue[at] = queue[at - 1]; at--
            :: else -> break
            od;
            queue[0] = self
        :: else -> queue[length] = self
        fi;
        length++;
        at = 0;
        in_queue[self] = true
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

/* the compare-and-swap of a free word */
inline take(clear)
{
    atomic {
        touch();
        if
        :: holder == NOBODY ->
            holder = self;
            if :: clear -> is_called = false :: else -> skip fi;
            has = true
        :: else -> has = false
        fi
    }
}

/* take_or_mark */
inline take_or_mark(clear)
{
#ifdef BUG_LATE_MARK
    atomic { is_queued = true; if :: clear -> is_called = false :: else -> skip fi; has = false }
#else
    atomic {
        touch();
        if
        :: holder == NOBODY -> holder = self; has = true
        :: else -> is_queued = true; has = false
        fi;
#ifndef BUG_KEEP_CALLED
        if :: clear -> is_called = false :: else -> skip fi
#endif
    }
#endif
}

/* weft_mutex_lock, and lock_slowly */
inline acquire(may_leave)
{
    cancelled = false;
    losses[self] = 0;
    called = false;
    take(false);
    do
    :: has -> break
    :: else ->
        granted[self] = NOTHING;
        acquire_lock();
        take_or_mark(called);
        if :: !has -> push(called) :: else -> skip fi;
        release_lock();
        if
        :: has -> break
        :: else -> skip
        fi;
        /* wf_queue_wait */
        if
        :: atomic { granted[self] != NOTHING -> skip }
        :: may_leave ->
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
                if :: length == 0 -> is_queued = false :: else -> skip fi;
                release_lock();
                cancelled = true;
                break
            :: else -> release_lock(); granted[self] != NOTHING
            fi
        fi;
        if
        :: granted[self] == HANDED -> has = true
        :: else ->
#ifdef BUG_LEAVE_CALLED
            if :: may_leave -> cancelled = true; break :: true -> skip fi;
#endif
            assert(losses[self] < LOSSES_MAX + 1);
            losses[self]++;
            called = true;
#ifdef BUG_TAKE_CALLED
            atomic { holder = self; is_called = false; has = true }
#else
            take(true)
#endif
        fi
    od
}

/* weft_mutex_unlock, and pass_on */
inline give_back()
{
    done = false;
    do
    :: done -> break
    :: else ->
#ifdef BUG_PLAIN_UNLOCK
        if
        :: !is_queued && !is_called -> holder = NOBODY; is_queued = false; is_called = false; done = true
        :: atomic { (is_queued || is_called) && !(is_queued && !is_called) -> touch(); holder = NOBODY; done = true }
#else
        if
        :: atomic { !(is_queued && !is_called) -> touch(); assert(holder == self); holder = NOBODY; done = true }
#endif
        :: is_queued && !is_called ->
            acquire_lock();
            if
            :: length == 0 ->
#ifdef BUG_FREE_UNDER_LOCK
                atomic { holder = NOBODY; is_queued = false; done = true };
#endif
                release_lock()
            :: else ->
                at = 0;
                drop(next);
#ifdef BUG_NEVER_HAND
                hand = false;
#else
                hand = (losses[next] >= LOSSES_MAX);
#endif
                /* a store: it wipes out whatever was written since the load */
                atomic {
                    touch();
                    is_called = !hand;
                    is_queued = (length > 0);
                    holder = (hand -> next : NOBODY)
                };
#ifdef BUG_GRANT_FIRST
                granted[next] = (hand -> HANDED : COMPETE);
                release_lock();
#else
                release_lock();
                granted[next] = (hand -> HANDED : COMPETE);
#endif
                next = 0;
                hand = false;
                done = true
            fi
        fi
    od
}

inline hold()
{
    inside++;
    assert(inside == 1);
    inside--
}

active [TASKS] proctype task()
{
    byte self = _pid, at, next;
    bool has, called, cancelled, hand, done, last;

    /* once, and it may be cancelled: all except the first */
    acquire(self > 0);
    if
    :: !cancelled -> hold(); give_back()
    :: else -> skip
    fi;
    /* and once, uncancellable, to say that it is done with it */
    acquire(false);
    hold();
    users--;
    last = (users == 0);
    give_back();
    if
    :: last -> atomic { touch(); freed = true; assert(length == 0 && !lock) }
    :: else -> skip
    fi
}
