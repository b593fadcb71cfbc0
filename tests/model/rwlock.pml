/*
 * The readers-writer lock (runtime/sync/rwlock.c): tasks that read or write, some of
 * which are cancelled while they wait; the last one that has held it frees it, right
 * after its unlock.
 *
 * A step is one operation on the word, or on the queue under its lock. At the end no
 * task waits: no wake was lost. A writer is alone. No waiter is overtaken by a later
 * one of the other kind. No task accesses the lock after it is freed.
 *
 * Models: runtime/sync/rwlock.c: try_lock, enter_rwlock, take_readers, admit, lock_rwlock_slowly, hand_over, unlock_as
 * Edges: U1
 *
 * Planted bugs, each of which must be found (-DBUG_...):
 *   LATE_MARK    a task that must wait marks the word and joins, without checking again
 *                whether the lock is still held
 *   PASS         a reader takes the lock although a task waits
 *   NO_RECHECK   the last one to hold it hands it over without looking, under the lock,
 *                whether it still is the last
 *   NO_ADMIT     a writer that leaves the queue does not let those readers in that
 *                stood behind it
 *   LEAVE_BLIND  a cancelled waiter leaves without looking whether it was taken out of
 *                the queue
 *   PAST_WRITERS readers behind a writer in the queue go with those in front of it
 *   GRANT_FIRST  waiters are granted before the queue's lock is released
 */
#define TASKS 3
#define NOBODY 255

byte readers;                     /* the word: the number of readers, */
byte writer = NOBODY;             /* or the writer, */
bool marked;                      /* and the mark */
bool lock;                        /* of the queue */
byte queue[TASKS], length;
bool in_queue[TASKS], granted[TASKS];
bool writes[TASKS];               /* what it waits for */

byte reading, writing;            /* how many are in */
bool overtaken;
byte users = TASKS;
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
        assert(marked == (length > 0));
        assert(length == 0 || writer != NOBODY || (readers > 0 && writes[queue[0]]))
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

/* the compare-and-swap of a word that allows it */
inline try_lock()
{
    atomic {
        touch();
        if
        :: writes[self] && writer == NOBODY && readers == 0 && !marked -> writer = self; has = true
#ifdef BUG_PASS
        :: !writes[self] && writer == NOBODY ->
#else
        :: !writes[self] && writer == NOBODY && !marked ->
#endif
            readers++;
            has = true;
            overtaken = overtaken || length > 0
        :: else -> has = false
        fi
    }
}

/* take_readers */
inline take_readers()
{
    more = 0;
    at = 0;
    do
    :: at < length && !writes[queue[at]] ->
        overtaken = overtaken || at > 0;
        drop(next);
        more++;
        taken = taken | (1 << next)
    :: at < length && writes[queue[at]] ->
#ifdef BUG_PAST_WRITERS
        at++
#else
        break
#endif
    :: at >= length -> break
    od;
    at = 0
}

inline grant_all()
{
    next = 0;
    do
    :: next < TASKS ->
        if :: taken & (1 << next) -> granted[next] = true :: else -> skip fi;
        next++
    :: else -> break
    od;
    skip;
    d_step { next = 0; taken = 0; more = 0 }
}

inline unlock_and_grant()
{
#ifdef BUG_GRANT_FIRST
    grant_all();
    release_lock()
#else
    release_lock();
    grant_all()
#endif
}

inline leave()
{
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
    /* admit */
#ifndef BUG_NO_ADMIT
    if
    :: writer == NOBODY -> take_readers()
    :: else -> skip
    fi;
#endif
    atomic {
        touch();
        readers = readers + more;
        if :: length == 0 -> marked = false :: else -> skip fi
    };
    unlock_and_grant()
}

/* weft_rwlock_read_lock, _write_lock, enter and lock_slowly */
inline acquire(may_leave)
{
    cancelled = false;
    try_lock();
    if
    :: has
    :: else ->
        granted[self] = false;
        acquire_lock();
#ifdef BUG_LATE_MARK
        marked = true;
#else
        atomic { try_lock(); if :: !has -> marked = true :: else -> skip fi };
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
                leave()
            :: else -> release_lock(); granted[self]
            fi
        fi
    fi
}

#define last_one (marked && ((writer == self && readers == 0) || (writer == NOBODY && readers == 1)))

/* unlock, and hand_over */
inline give_back()
{
    done = false;
    do
    :: done -> break
    :: else ->
        if
        :: atomic { !last_one ->
                touch();
                assert(writes[self] -> writer == self : writer == NOBODY && readers > 0);
                if :: writes[self] -> writer = NOBODY :: else -> readers-- fi;
                done = true
            }
        :: last_one ->
            acquire_lock();
#ifdef BUG_NO_RECHECK
            if
            :: length == 0 -> release_lock()
#else
            if
            :: !last_one -> release_lock()
#endif
            :: else ->
                take_readers();
                if :: more == 0 -> drop(next); taken = 1 << next :: else -> next = NOBODY fi;
                /* an exchange: it wipes out whatever was written since the load */
                atomic {
                    touch();
                    writer = next;
                    readers = more;
                    marked = (length > 0)
                };
                unlock_and_grant();
                done = true
            fi
        fi
    od
}

inline be_in()
{
    if
    :: writes[self] -> atomic { writing++; assert(writing == 1 && reading == 0) }; writing--
    :: else -> atomic { reading++; assert(writing == 0) }; reading--
    fi
}

active [TASKS] proctype task()
{
    byte self = _pid, at, next, more, taken;
    bool has, cancelled, done, last;

    /* once to read or to write, and it may be cancelled */
    if
    :: writes[self] = true
    :: writes[self] = false
    fi;
    acquire(true);
    if
    :: !cancelled -> be_in(); give_back()
    :: else -> skip
    fi;
    /* and once to write, uncancellable, to say that it is done with it */
    writes[self] = true;
    acquire(false);
    be_in();
    users--;
    last = (users == 0);
    give_back();
    if
    :: last -> atomic { touch(); freed = true; assert(length == 0 && !lock && !overtaken) }
    :: else -> skip
    fi
}
