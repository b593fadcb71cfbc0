/*
 * A channel (runtime/chan/chan.c on runtime/wait/waiter.h): two senders, a receiver, and a
 * select that receives from the channel or sees a future complete. Senders and the
 * receiver may be cancelled; the channel is closed at some moment.
 *
 * The code under the channel's lock is one step here; granting, waking, cancelling and
 * the choice of the select come in between. At the end every message that was sent has
 * been received, or is in the buffer, once; and no task is left waiting.
 *
 * -DCAPACITY=0: a rendezvous.
 *
 * Models: runtime/chan/chan.c: waiter_place, take_waiter, put, get, weft_chan_close, wait_in, weft_chan_send, weft_chan_recv
 *         runtime/wait/waiter.h: wf_waiter_claim, wf_waiter_take
 *         runtime/wait/waiter.c: wf_waiter_grant, wf_waiter_wait
 * Edges: Q1 Q3
 *
 * Planted bugs, each of which must be found (-DBUG_...):
 *   LEAVE_BLIND    a cancelled waiter leaves without looking whether it was taken out
 *                  of the queue
 *   NO_CLAIM       a message is given to a select without winning its choice
 *   GRANT_FIRST    a receiver is granted before the message is copied
 *   CLOSE_KEEPS    close forgets the waiters
 *   BARGE          a receiver that makes room does not move the message of the waiting
 *                  sender (which is only granted)
 */
#ifndef CAPACITY
#define CAPACITY 1
#endif
#define S1 0
#define S2 1
#define R 2
#define SELECT 3
#define NOBODY 4

mtype = { NOTHING, DONE, EPIPE, ECANCELED, OTHER };

bool closed;
byte count;                       /* messages in the buffer */
chan senders = [2] of { byte };
chan receivers = [2] of { byte };
bool queued[4], cancelled[4], copied[4];
mtype granted[4] = NOTHING;
bool won;                         /* the select's choice */
bool future;
byte sent, received, ended;

/* wf_waiter_claim */
inline claim(who, ok)
{
#ifdef BUG_NO_CLAIM
    ok = true
#else
    if
    :: who == SELECT && won -> ok = false
    :: else -> ok = true; if :: who == SELECT -> won = true :: else -> skip fi
    fi
#endif
}

/* wf_waiter_take */
inline take(queue, peer, ok)
{
    peer = NOBODY;
    do
    :: peer == NOBODY && len(queue) > 0 ->
        queue?peer;
        queued[peer] = false;
        claim(peer, ok);
        if :: !ok -> peer = NOBODY :: else -> break fi
    :: else -> break
    od
}

/* put, under the lock */
inline put(self, result, peer, ok)
{
    peer = NOBODY;
    if
    :: closed -> result = EPIPE
    :: else ->
        take(receivers, peer, ok);
        if
        :: peer != NOBODY -> result = DONE
        :: peer == NOBODY && count < CAPACITY -> count++; result = DONE
        :: else -> senders!self; queued[self] = true; result = NOTHING
        fi
    fi
}

/* get, under the lock */
inline get(self, result, peer, ok)
{
    peer = NOBODY;
    if
    :: count > 0 ->
        count--;
        take(senders, peer, ok);
#ifndef BUG_BARGE
        if :: peer != NOBODY -> count++ :: else -> skip fi;
#endif
        result = DONE
    :: else ->
        take(senders, peer, ok);
        if
        :: peer != NOBODY -> result = DONE
        :: peer == NOBODY && closed -> result = EPIPE
        :: else -> receivers!self; queued[self] = true; result = NOTHING
        fi
    fi
}

/* wf_waiter_wait */
inline wait(self, queue, result)
{
    if
    :: granted[self] != NOTHING -> result = granted[self]
    :: cancelled[self] ->
        atomic {
            if
            :: queued[self] -> queue??eval(self); queued[self] = false; result = ECANCELED
            :: else ->
#ifdef BUG_LEAVE_BLIND
                result = ECANCELED
#else
                skip
#endif
            fi
        }
        if
        :: result == NOTHING -> granted[self] != NOTHING; result = granted[self]
        :: else -> skip
        fi
    fi
}

proctype sender(byte self)
{
    byte peer;
    bool ok;
    mtype result = NOTHING;

    atomic { put(self, result, peer, ok) };
    if
    :: result == NOTHING -> wait(self, senders, result)
    :: result == DONE && peer != NOBODY ->
#ifdef BUG_GRANT_FIRST
        granted[peer] = DONE;
        copied[peer] = true
#else
        copied[peer] = true;
        granted[peer] = DONE
#endif
    :: else -> skip
    fi;
    atomic { if :: result == DONE -> sent++ :: else -> skip fi; ended++ }
}

proctype receiver()
{
    byte peer;
    bool ok;
    mtype result = NOTHING;

    atomic { get(R, result, peer, ok) };
    if
    :: result == NOTHING -> wait(R, receivers, result); assert(result != DONE || copied[R])
    :: result == DONE && peer != NOBODY -> granted[peer] = DONE
    :: else -> skip
    fi;
    atomic { if :: result == DONE -> received++ :: else -> skip fi; ended++ }
}

/* weft_select: the channel, or the future */
proctype selector()
{
    byte peer = NOBODY;
    bool ok;
    mtype result = NOTHING;

    /* wf_chan_join_recv: the choice is not shared yet, so a case that is ready wins */
    atomic {
        get(SELECT, result, peer, ok);
        if :: result != NOTHING -> won = true :: else -> skip fi
    };
    if
    :: result == DONE && peer != NOBODY -> granted[peer] = DONE
    :: result == NOTHING ->
        if
        :: granted[SELECT] != NOTHING -> result = granted[SELECT]
        :: future ->
            atomic { if :: !won -> won = true; result = OTHER :: else -> skip fi };
            if
            :: result == NOTHING -> granted[SELECT] != NOTHING; result = granted[SELECT]
            :: else -> skip
            fi
        fi;
        assert(result != DONE || copied[SELECT]);
        atomic { if :: queued[SELECT] -> receivers??eval(SELECT); queued[SELECT] = false :: else -> skip fi }
    :: else -> skip
    fi;
    atomic { if :: result == DONE -> received++ :: else -> skip fi; ended++ }
}

proctype outside()
{
    byte peer;
    bool ok;
    chan taken = [4] of { byte };

    do
    :: !cancelled[S1] -> cancelled[S1] = true
    :: !cancelled[R] -> cancelled[R] = true
    :: !future -> future = true
    :: break
    od;
    atomic {
        closed = true;
#ifndef BUG_CLOSE_KEEPS
        do
        :: len(receivers) > 0 -> take(receivers, peer, ok); if :: peer != NOBODY -> taken!peer :: else -> skip fi
        :: len(senders) > 0 -> take(senders, peer, ok); if :: peer != NOBODY -> taken!peer :: else -> skip fi
        :: else -> break
        od
#endif
    };
    do
    :: taken?peer -> granted[peer] = EPIPE
    :: empty(taken) -> break
    od
}

init
{
    atomic {
        run sender(S1);
        run sender(S2);
        run receiver();
        run selector();
        run outside()
    };
    ended == 4;
    assert(sent == received + count)
}
