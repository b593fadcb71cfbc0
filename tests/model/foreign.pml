/*
 * Other code closes a number by close(2) or dup2, without a word to weft, and the number
 * means the next file at once; the first one may live on by a duplicate
 * (reactor/source.c, "Foreign closes"; runtime/io/poll.c).
 *
 * The number is registered, and was confirmed twice. A reader is in weft_read, from any
 * time on. A poller, from when the number means file 2 on, is in weft_poll, and then
 * reads what is there by a call of its own. The peer of file 2 sends a byte when there
 * is none, twice; -DDUP: that of file 1 sends one. A thread takes events, and dispatches
 * each as late as it likes. Every step is one sequentially consistent operation of the
 * code, one system call, or what the mutex makes one step. When nothing can move any
 * more:
 *   - the poller has ended, with what was ready at a moment during the call, and was
 *     never told -EBADF;
 *   - the reader has ended, unless it waits for file 1, and that before the number was
 *     closed (-DDUP: and no call has found out); it has not taken a byte of file 2 if
 *     the number meant that when it was woken from its wait for file 1.
 *
 * A value of the cell is the stamp, and the number of the edge, which here starts again
 * after three; 0: empty.
 *
 * Models: reactor/source.c: look_again, confirm, recognise, next_stamp, above_stamps, wf_source_event
 *         reactor/reactor.h: wf_edge_is_since
 *         runtime/io/poll.c: may_wait, told, poll_until_ready
 *         runtime/io/ready.c: park
 *         runtime/io/ask.c: wf_ask_attach
 *
 * Planted bugs, each of which must be found (-DBUG_...):
 *   NO_CONFIRM    the poller parks without asking epoll
 *   ANY_EDGE      any edge that ends a wait is an answer
 *   SAME_STAMP    a confirm gives out no new stamp
 *   EXACT         an event that bears another stamp than the generation is dropped
 *   NEXT_GEN      the next generation is one above the last, not above its stamps
 *   NO_RECOGNISE  a reader that is woken does not ask whether the number is the same
 */
#define VALUE(stamp, edge) ((stamp) * 32 + (edge))
#define IS_EVENT(v) ((v) % 32 > 0)
#define STAMP(v) ((v) / 32)
#define REGISTERED (generation % 2 == 1)
#define READER 0
#define POLLER 1

byte file = 1;              /* what the number means */
byte bytes[3];
byte watch[3];              /* its tag in epoll, the stamp; 0: not in the set */
bool pending[3];            /* an event of it waits */

bool locked;                /* the number's mutex */
byte generation = 1;
byte stamp = 5;
short cell = VALUE(1, 0);
byte edges;
bool pushed[2], chosen[2];

bool was_ready;             /* file 2, at a moment of the poller's call */
bool read_done, poll_done;

inline lock() { atomic { !locked -> locked = true } }
inline unlock() { locked = false }

/* wf_cell_set.  Context: atomic */
inline set_cell(v)
{
    cell = v;
    if :: pushed[0] -> pushed[0] = false; chosen[0] = true :: else -> skip fi;
    if :: pushed[1] -> pushed[1] = false; chosen[1] = true :: else -> skip fi
}

/* a byte comes */
inline put(f)
{
    bytes[f]++;
    if :: watch[f] -> pending[f] = true :: else -> skip fi;
    was_ready = was_ready || f == 2
}

inline leave()
{
    atomic {
#ifdef BUG_NEXT_GEN
        generation++
#else
        generation = stamp + 1
#endif
    };
    atomic { watch[file] = 0; pending[file] = false; set_cell(VALUE(generation, 0)) }
}

/* EPOLL_CTL_MOD */
inline modify(ok)
{
    if
    :: watch[file] -> watch[file] = stamp; pending[file] = pending[file] || bytes[file]; ok = true
    :: else -> ok = false
    fi
}

/* wf_source_register */
inline attach(ok, mine)
{
    lock();
    atomic {
        ok = false;
        if :: REGISTERED -> modify(ok) :: else -> skip fi
    };
    if :: !ok && REGISTERED -> leave() :: else -> skip fi;
    if
    :: !ok ->
        atomic { set_cell(VALUE(generation + 1, 0)) };
        atomic { stamp = generation + 1; watch[file] = stamp; pending[file] = bytes[file] };
        generation++
    :: else -> skip
    fi;
    atomic { mine = generation; ok = false; unlock() }
}

/* wf_source_confirm: one step if all is well, for only the mutex's holders see more of it */
inline confirm(ok, mine, since)
{
    atomic {
        !locked -> ok = (generation == mine);
        if
        :: ok ->
#ifndef BUG_SAME_STAMP
            stamp = stamp + 2;
#endif
            modify(ok);
            locked = !ok
        :: else -> skip
        fi;
        since = stamp;
        over = locked
    };
    if :: over -> leave(); atomic { over = false; unlock() } :: else -> skip fi
}

/* wf_source_recognise */
inline recognise(ok, mine)
{
    atomic {
        !locked -> ok = (generation == mine && watch[file]);
        locked = (generation == mine && !ok);
        over = locked
    };
    if :: over -> leave(); atomic { over = false; unlock() } :: else -> skip fi
}

/* What the call saw is cleared, and its node pushed; ok: both. */
inline clear_and_push(me, ok, mine, seen)
{
    atomic {
        ok = (generation == mine);
        if :: ok && seen -> ok = (cell == seen); if :: ok -> cell = 0 :: else -> skip fi :: else -> skip fi
    };
    atomic { if :: ok && cell == 0 -> pushed[me] = true; chosen[me] = false :: else -> ok = false fi }
}

inline pull(me) { atomic { pushed[me] = false; chosen[me] = false } }

#define AGAIN 0
#define READY 1
#define EBADF 2

/* weft_poll of POLLIN */
inline poll_call()
{
    atomic { was_ready = bytes[2]; parked = false; mine = generation; result = AGAIN };
    if :: mine % 2 == 0 -> attach(ok, mine) :: else -> skip fi;
    atomic { seen = cell; waits = (seen == 0 || IS_EVENT(seen)) };
    do
    :: result != AGAIN -> break
    :: else ->
        if
        :: !waits ->
            atomic {    /* told */
                seen = cell;
#ifdef BUG_ANY_EDGE
                if :: parked && IS_EVENT(seen) -> assert(was_ready); result = READY
#else
                if :: parked && IS_EVENT(seen) && STAMP(seen) >= since -> assert(was_ready); result = READY
#endif
                :: else -> skip
                fi
            };
            atomic { if :: result == AGAIN && bytes[file] -> result = READY :: else -> skip fi }    /* poll(2) */
        :: else -> skip
        fi;
        if
        :: result == AGAIN ->
            waits = false;
            clear_and_push(POLLER, ok, mine, seen);
            if
            :: ok ->
#ifndef BUG_NO_CONFIRM
                confirm(ok, mine, since);
#endif
                if
                :: ok -> parked = true; chosen[POLLER]
                :: else -> skip
                fi;
                pull(POLLER)
            :: else -> skip
            fi;
            atomic { if :: generation != mine -> result = EBADF :: else -> skip fi };
            if
            :: result == EBADF && !parked -> attach(ok, mine); result = AGAIN    /* wf_ready_anew */
            :: else -> skip
            fi
        :: else -> skip
        fi
    od;
    atomic { assert(result == READY); seen = 0; waits = false; ok = false; parked = false; since = 0; mine = 0 }
}

proctype poller()
{
    byte mine, since, result;
    short seen;
    bool ok, parked, waits, over;

    file == 2;
    poll_call();
    atomic { if :: bytes[2] -> bytes[2]-- :: else -> skip fi; poll_done = true }
}

proctype reader()
{
    byte mine, since, result;
    short seen;
    bool ok, parked, over, late;

    mine = generation;
    do
    :: result != AGAIN -> break
    :: else ->
        seen = (mine % 2 == 1 -> cell : 0);
        atomic {    /* the system call */
            if
            :: (mine % 2 == 0 || seen) && bytes[file] ->
                assert(!(late && file == 2));
                bytes[file]--;
                result = READY
            :: else -> skip
            fi
        };
        if
        :: result == AGAIN && mine % 2 == 0 -> attach(ok, mine)
        :: result == AGAIN && mine % 2 == 1 ->
            clear_and_push(READER, ok, mine, seen);
            if
            :: ok ->
                confirm(ok, mine, since);
                if
                :: ok ->
                    parked = (file == 1);
end:                chosen[READER];
                    atomic { late = late || (parked && file == 2); parked = true };
#ifndef BUG_NO_RECOGNISE
                    recognise(ok, mine)
#endif
                :: else -> skip
                fi;
                pull(READER)
            :: else -> skip
            fi;
            atomic { if :: generation != mine -> result = EBADF :: else -> skip fi };
            if
            :: result == EBADF && !parked -> attach(ok, mine); result = AGAIN
            :: else -> skip
            fi
        :: else -> skip
        fi
    od;
    read_done = true
}

proctype closer()
{
    d_step {
#ifndef DUP
        watch[1] = 0;
        pending[1] = false;
#endif
        file = 2
    }
}

proctype peers()
{
    byte n;

#ifdef DUP
    d_step { put(1) };
#endif
    file == 2;
end:
    do
    :: d_step { n < 2 && bytes[2] == 0 -> put(2); n++ }
    od
}

/* wf_source_event: the look at the generation */
inline look(tag)
{
#ifdef BUG_EXACT
    if :: tag != generation && tag != generation + 1 -> tag = 0 :: else -> skip fi
#else
    if :: tag < generation -> tag = 0 :: else -> skip fi
#endif
}

/* epoll_wait: the kernel polls the file */
inline take(tag)
{
    if
    :: pending[1] -> f = 1
    :: pending[2] -> f = 2
    fi;
    pending[f] = false;
    tag = (bytes[f] -> watch[f] : 0);
    f = 0
}

inline fire(tag) { if :: tag -> edges = edges % 3 + 1; set_cell(VALUE(tag, edges)) :: else -> skip fi; tag = 0 }

proctype dispatcher()
{
    byte tag, f;

end:
    do
    :: atomic { take(tag) }; atomic { look(tag) }; atomic { fire(tag) }
    od
}

/* The reader may wait for file 1 alone. */
proctype judge()
{
    timeout -> assert(poll_done && (read_done || pushed[READER]));
    assert(read_done || bytes[2] == 0 || watch[2] == 0)
}

init
{
    atomic {
        watch[1] = stamp;
        run reader();
        run poller();
        run closer();
        run peers();
        run dispatcher();
        run judge()
    }
}
