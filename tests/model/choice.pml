/*
 * Selects that meet at rendezvous (runtime/wait/choice.h, meet in runtime/chan/chan.c):
 * three of them, each at both of two channels, at the two ends in some order; one may
 * be cancelled. Both of two choices are won, or none; no hold lasts indefinitely; and
 * when nothing can move any more, no two selects are left waiting that could meet.
 *
 * Every step is one atomic operation of the code. Waiting for a choice that is held, or
 * for a lock, is one step that blocks, so waiting in a circle is a deadlock here. A
 * choice's address is its number.
 *
 * Models: runtime/wait/choice.c: wf_choice_win_both, hold_choice, end_hold
 *         runtime/chan/chan.c: meet, wf_chan_join_send, wf_chan_join_recv
 * Edges: Q3
 *
 * Planted bugs, each of which must be found (-DBUG_...):
 *   NO_ORDER      a holder waits for another hold, whatever the addresses
 *   HELD_IS_LOST  a held choice is regarded as decided, and its waiter dropped
 *   NO_HOLD       the own choice is decided before the other, and given back if that is
 *                 lost
 *   KEEP_HOLD     the hold is not ended when the other choice is gone
 *   NO_LOCK       looking at the waiters, and joining, are not one step under the lock
 */
#define SELECTS 3
#define CHANNELS 2
#define OPEN 0
#define HELD 255
#define CANCELLED 254
/* case i of every select is at channel i, at the end that `ends` says: 1 + 2 * channel + end */
#define CASE(c, e) (1 + 2 * (c) + (e))

byte won[SELECTS];
byte ends[SELECTS];             /* bit c: at which end of channel c */
bool locked[CHANNELS];
bool queued[CHANNELS * SELECTS];
byte meetings[CHANNELS];
byte decided[2 * CHANNELS];     /* how many selects were decided, by channel and end */
bool done;

#define END(s, c) ((ends[s] >> (c)) & 1)

/* wf_choice_win_both(s, t) at channel c. result: 0 both, 1 lost, 2 gone */
inline win_both(s, t, c, result)
{
    result = 3;
    do
    :: result != 3 -> break
    :: else ->
#ifdef BUG_NO_HOLD
        atomic { if :: won[s] == OPEN -> won[s] = CASE(c, END(s, c)) :: else -> result = 1 fi };
#else
        atomic { if :: won[s] == OPEN -> won[s] = HELD :: else -> result = 1 fi };
#endif
        if
        :: result == 1 -> skip
        :: else ->
            do
            :: atomic { won[t] == OPEN -> won[t] = CASE(c, END(t, c)) }; won[s] = CASE(c, END(s, c)); result = 0; break
            :: atomic { won[t] == HELD ->
#ifdef BUG_HELD_IS_LOST
                won[s] = OPEN; result = 2; break
#endif
#ifdef BUG_NO_ORDER
                skip
#else
                if :: s < t -> skip :: else -> won[s] = OPEN; break fi
#endif
                };
                won[t] != HELD
            :: atomic { won[t] != OPEN && won[t] != HELD ->
                result = 2;
#ifndef BUG_KEEP_HOLD
                won[s] = OPEN
#endif
                };
                break
            od;
            if :: result == 3 -> won[t] != HELD :: else -> skip fi
        fi
    od
}

/* wf_chan_join_send, _recv */
inline join(s, c, t, result)
{
    result = 2;
#ifndef BUG_NO_LOCK
    atomic { !locked[c] -> locked[c] = true };
#endif
    t = 0;
    do
    :: t == SELECTS || result != 2 -> break
    :: else ->
        if
        :: queued[c * SELECTS + t] && END(t, c) != END(s, c) ->
            win_both(s, t, c, result);
            if
            :: result == 0 -> atomic { queued[c * SELECTS + t] = false; meetings[c]++ }
            :: result == 2 -> queued[c * SELECTS + t] = false
            :: else -> skip
            fi
        :: else -> skip
        fi;
        t++
    od;
    if :: result == 2 -> queued[c * SELECTS + s] = true :: else -> skip fi;
#ifndef BUG_NO_LOCK
    locked[c] = false
#endif
}

proctype selector(byte s; byte first; bool may_be_cancelled)
{
    byte t, result, c, i;

    do
    :: i == CHANNELS -> break
    :: else ->
        c = (first + i) % CHANNELS;
        join(s, c, t, result);
        if :: result != 2 -> break :: else -> skip fi;
        i++
    od;
    if
    :: won[s] != OPEN && won[s] != HELD -> skip
    :: may_be_cancelled -> atomic { if :: won[s] == OPEN -> won[s] = CANCELLED :: else -> skip fi }
    :: done -> goto out                     /* nothing moves: the check below looks at the rest */
    fi;
    c = 0;
    do
    :: c == CHANNELS -> break
    :: else ->
        atomic { !locked[c] -> locked[c] = true };
        queued[c * SELECTS + s] = false;
        locked[c] = false;
        c++
    od;
    atomic { if :: won[s] != CANCELLED -> decided[won[s] - 1]++ :: else -> skip fi };
out:
    skip
}

init
{
    byte s, t, c;

    atomic {
        /* select 0 is at end 0 of both, and begins with channel 0: the others' cover the rest, by symmetry */
        if :: ends[1] = 0 :: ends[1] = 1 :: ends[1] = 2 :: ends[1] = 3 fi;
        if :: ends[2] = 0 :: ends[2] = 1 :: ends[2] = 2 :: ends[2] = 3 fi;
        if :: c = 0 :: c = 1 fi;
        if :: s = 0 :: s = 1 fi;
        run selector(0, 0, false);
        run selector(1, s, false);
        if :: run selector(2, c, true) :: run selector(2, c, false) fi
    };
    timeout ->                                  /* nothing moves, or all have ended */
    d_step {
        s = 0;
        do
        :: s == SELECTS -> break
        :: else ->
            assert(won[s] != HELD);
            t = 0;
            do
            :: t == SELECTS -> break
            :: else ->
                c = 0;
                do
                :: c == CHANNELS -> break
                :: else ->
                    assert(!locked[c]);
                    assert(!(won[s] == OPEN && won[t] == OPEN && s != t && END(s, c) != END(t, c)));
                    c++
                od;
                t++
            od;
            s++
        od;
        c = 0;
        do
        :: c == CHANNELS -> break
        :: else ->
            assert(decided[2 * c] == meetings[c] && decided[2 * c + 1] == meetings[c]);
            c++
        od;
        done = true
    }
}
