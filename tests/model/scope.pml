/*
 * A scope, its opener, a child that begins, a cancel from farther out, and the scope's
 * own deadline (runtime/wait/cancel.c and scope.c, [K1] [K2] [K3]).
 *
 * The opener opens a scope S inside a scope A, with a deadline, spawns a child that
 * sleeps until it is cancelled, closes S, and then sleeps in A until it is cancelled.
 * The child may move the deadline once; under the lock of the movers that is one step.
 *
 * Either A is cut at some moment, and the deadline of S may come too; or the deadline
 * comes, and A is cut when S is closed. Every step is one sequentially consistent
 * operation of the code.
 *
 * No task must be left asleep (an invalid end state), and no task must access S after
 * its end, or the mark of a freed header.
 *
 * Models: runtime/wait/cancel.c: resolve_from, mark_some, tell_children, wf_cancel_scope, propagate, wf_cancel_refresh
 *         runtime/wait/scope.c: expire_scope, disarm, wf_scope_enter, child_done, wf_scope_leave, weft_scope_close
 * Edges: K1 K2 K3
 *
 * Planted bugs, each of which must be found (-DBUG_...):
 *   LOOK_THEN_UNMARK  the opener looks whether A is cut, and then takes back its mark
 *   LOOK_THEN_ENTER   the child looks whether it is cancelled, and then enters the
 *                     scope
 *   TELL_THEN_CUT     the deadline tells the children, and then cuts the scope
 *   MARK_LATE         the children are marked after the lock is released
 *   NO_PASSING_ON     an opener that waits in close does not tell its children of
 *                     the cancel from farther out
 *   NO_HANDSHAKE      close does not wait for a deadline that is about to fire
 *   COUNT_THEN_LEAVE  the child counts itself out before it has left the children's
 *                     list
 *   REARM             a child that moves the deadline arms a timer that has fired
 */
bool cut_a, cut_s;        /* the scopes are cut */
bool mark_o, mark_x;      /* the mark of the opener, and of the child */
bool token_o, token_x;    /* a wake that is kept */
bool locked, listed;      /* the shard */
byte alive = 2;           /* the opener, and the child */
bool armed = true, fired, expired;
bool gone;                /* S */
bool freed;               /* the child's header */
bool late;                /* A is cut when S is closed */

inline tell(here)
{
    assert(!gone);
    atomic { !locked -> locked = true };
    here = listed;
#ifndef BUG_MARK_LATE
    if :: here -> assert(!freed); mark_x = true :: else -> skip fi;
#endif
    locked = false;
#ifdef BUG_MARK_LATE
    if :: here -> atomic { assert(!freed); mark_x = true } :: else -> skip fi;
#endif
    if :: here -> token_x = true :: else -> skip fi
}

proctype outside()
{
    if :: late -> gone :: else -> skip fi;
    cut_a = true;
    mark_o = true;
    token_o = true
}

proctype deadline()
{
    bool here;

    if
    :: atomic { armed -> armed = false; fired = true };
#ifdef BUG_TELL_THEN_CUT
        tell(here);
        atomic { assert(!gone); cut_s = true };
        mark_o = true;
#else
        atomic { assert(!gone); cut_s = true };
        mark_o = true;
        tell(here);
#endif
        atomic { assert(!gone); expired = true };
        token_o = true
    :: !late -> skip
    fi
}

proctype child()
{
    bool cut, here;

#ifdef BUG_LOOK_THEN_ENTER
    cut = cut_s || cut_a;
#endif
    atomic { !locked -> locked = true };
    listed = true;
    locked = false;
#ifndef BUG_LOOK_THEN_ENTER
    cut = cut_s || cut_a;
#endif
    if :: cut -> mark_x = true :: else -> skip fi;

    if
    :: armed -> skip    /* disarmed, and armed for a later time */
    :: fired ->
#ifdef BUG_REARM
        atomic { fired = false; armed = true }
#else
        atomic { assert(!gone); cut_s = true };
        mark_o = true;
        tell(here)
#endif
    :: skip
    fi;

    do
    :: mark_x && (cut_s || cut_a) -> break
    :: else -> atomic { token_x -> token_x = false }
    od;

#ifdef BUG_COUNT_THEN_LEAVE
    alive--;
    if :: alive == 0 -> token_o = true :: else -> skip fi;
#endif
    atomic { assert(!gone); !locked -> locked = true };
    listed = false;
    atomic { assert(!gone); locked = false };
#ifndef BUG_COUNT_THEN_LEAVE
    atomic { assert(!gone); alive--; cut = (alive == 0) };
    if :: cut -> token_o = true :: else -> skip fi;
#endif
    freed = true
}

proctype opener()
{
    bool here, propagated, cut;

    alive--;
    do
    :: alive == 0 -> break
    :: else ->
#ifndef BUG_NO_PASSING_ON
        if
        :: mark_o && cut_a && !propagated -> propagated = true; tell(here)
        :: else -> skip
        fi;
#endif
        if
        :: alive == 0 -> break
        :: atomic { token_o -> token_o = false }
        fi
    od;

    if
    :: atomic { armed -> armed = false }
    :: fired ->
#ifndef BUG_NO_HANDSHAKE
        do
        :: expired -> break
        :: else -> atomic { token_o -> token_o = false }
        od
#else
        skip
#endif
    fi;
    gone = true;

#ifdef BUG_LOOK_THEN_UNMARK
    cut = cut_a;
    mark_o = false;
#else
    mark_o = false;
    cut = cut_a;
#endif
    if :: cut -> mark_o = true :: else -> skip fi;

    do
    :: mark_o && cut_a -> break
    :: else -> atomic { token_o -> token_o = false }
    od
}

init
{
    atomic {
        if :: late = true :: late = false fi;
        run outside();
        run deadline();
        run child();
        run opener()
    }
}
