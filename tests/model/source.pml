/*
 * A number is closed while calls begin to wait on it, and used again at once
 * (reactor/source.c, runtime/io/ready.c).
 *
 * File 1 has the number; a closer closes it, as weft_close does; then file 2 gets the
 * number. One call reads from the number, beginning at any time, and ends with bytes or
 * -EBADF; another reads file 2 to its end. The peer of file 1 may send bytes; that of
 * file 2 sends some, and closes, at once or when they have been read; it may begin only
 * when the first call no longer waits on file 1. A poller passes events on. Every step
 * is one sequentially consistent operation of the code, or one system call. When
 * nothing can move any more:
 *   - the first call has ended, and with -EBADF if it was parked when its registration
 *     ended;
 *   - the second has seen the end, and was never told -EBADF.
 *
 * A value of the cell is the generation, the number of the edge, and whether it
 * announces an end; 0: empty.
 *
 * Models: reactor/source.c: leave_source, enter_source, wf_source_register, wf_source_confirm, wf_source_recognise, wf_source_forget,
 *                 wf_source_closed, wf_source_event
 *         runtime/io/ready.c: await_edge, wf_ready_wait, wf_ready_short
 * Edges: G2 G3 G4
 *
 * Planted bugs, each of which must be found (-DBUG_...):
 *   NO_MARK      the closer does not mark the number: it never looks again
 *   LOOK_EARLY   it looks for concurrent registrations before close(2), and not after
 *   MARK_LATE    a registration checks the mark after it has added the number to epoll
 *   TRUST        a registration that finds the number registered does not check it
 *   KEEP_KIND    the kind found while the number is closed is kept as if it were
 *                certain
 *   WAKE_LATE    leave sets the cell past the lock, by the generation that it finds
 *                then
 *   NO_LOOK      a call that has pushed its node does not check the generation
 *   CLEAR_BLIND  a call with a short read clears without checking the generation
 *   KIND_FIRST   a registration finds out the kind before it, and not after
 *
 * File 2 is one of which a short read has read all, as file 1 is; with -DUNIX it is
 * not. The last two bugs need that.
 */
#ifdef UNIX
#define AT_ONCE 2    /* a read of file 2 takes less than there is */
#define TCP (file == 1)
#else
#define AT_ONCE 1
#define TCP true
#endif
#define VALUE(gen, edge, end) ((gen) * 16 + (edge) * 2 + (end))
#define REGISTERED (generation % 2 == 1)

byte file = 1;            /* what the number means; 0: nothing */
byte bytes[3];            /* how often something can be read from each file */
bool fin[3];              /* and whether its end comes then */
byte watch[3];            /* its tag in epoll, the generation; 0: not in the set */
bool pending[3];          /* an event of it waits */

bool locked;              /* the number's mutex */
byte generation;
byte kind;                /* the generation whose kind is known: */
bool kind_tcp;            /* that a short read of it has read all */
short cell;
bool pushed[3], chosen[3];  /* the calls' nodes; call 1 and call 2 */
byte edges;

byte closers;
bool doubted;

bool opened;              /* file 2 has the number */
bool told;                /* call 1 was parked when a registration ended */
bool of_1, ended_1;       /* call 1 has waited on file 1; it has ended */

inline lock() { atomic { !locked -> locked = true } }
inline unlock() { locked = false }

/* wf_cell_set.  Context: atomic */
inline set_cell(v)
{
    cell = v;
    if :: pushed[1] -> pushed[1] = false; chosen[1] = true :: else -> skip fi;
    if :: pushed[2] -> pushed[2] = false; chosen[2] = true :: else -> skip fi
}

/* an edge: what makes a file ready, if it is in the set */
inline edge(f) { if :: watch[f] -> pending[f] = true :: else -> skip fi }

inline leave()
{
    generation++;
    atomic {
        if :: file -> watch[file] = 0; pending[file] = false :: else -> skip fi;
        told = told || pushed[1];
#ifdef BUG_WAKE_LATE
        skip
#else
        set_cell(VALUE(generation, 0, 0))    /* no one sees whether it is still in the set */
#endif
    }
}

inline left()
{
#ifdef BUG_WAKE_LATE
    late = generation;
    atomic { set_cell(VALUE(late, 0, 0)); late = 0 }
#else
    skip
#endif
}

/* EPOLL_CTL_MOD */
inline check(ok)
{
    if
    :: file && watch[file] ->
        watch[file] = generation;
        pending[file] = pending[file] || bytes[file] || fin[file];
        ok = true
    :: else -> ok = false
    fi
}

inline look_at_mark(sure)
{
    sure = (closers == 0);
    if :: !sure -> doubted = true :: else -> skip fi
}

/* wf_source_register; `ok` false: -EBADF. Only epoll and the mutex's holder see what is not a step. */
inline attach(me, ok, sure, mine, tcp)
{
#ifdef BUG_KIND_FIRST
    tcp = TCP;
#endif
    atomic {
        !locked -> locked = true;
#ifndef BUG_MARK_LATE
        look_at_mark(sure)
#endif
    };
    atomic {
        ok = false;
#ifdef BUG_TRUST
        if :: REGISTERED -> ok = true :: else -> skip fi
#else
        if :: REGISTERED -> check(ok) :: else -> skip fi
#endif
    };
    if
    :: !ok && REGISTERED -> leave()
    :: else -> skip
    fi;
    if
    :: !ok && file ->
        atomic { set_cell(VALUE(generation + 1, 0, 0)); kind = 0 };
        atomic {    /* EPOLL_CTL_ADD; the file may have gone since */
            if
            :: file -> watch[file] = generation + 1; pending[file] = bytes[file] || fin[file]; ok = true
            :: else -> skip
            fi
        };
        if :: ok -> generation++ :: else -> skip fi
    :: else -> skip
    fi;
    atomic {
        mine = generation;
        of_1 = of_1 || (me == 1 && ok && watch[1]);
#ifdef BUG_MARK_LATE
        look_at_mark(sure);
#endif
#ifdef BUG_KEEP_KIND
        sure = true;
#endif
        locked = false;
        sure = sure && ok
    };
#ifndef BUG_KIND_FIRST
    tcp = TCP;
    ok = ok && generation == mine;
#endif
    atomic { if :: ok && sure -> kind = mine; kind_tcp = tcp :: else -> skip fi; sure = false }
}

#define EAGAIN 0
#define BYTES 1
#define END 2
#define EBADF 3

/* One call of call `me`. Its two loads at the beginning are one step: kind is of the generation that it found, or not. */
inline call(me)
{
    atomic {
        mine = generation;
        source = (mine % 2 == 1);
        known = source && kind == mine;
        tcp = kind_tcp;
        result = EAGAIN
    };
    do
    :: result != EAGAIN -> break
    :: else ->
        if :: source -> seen = cell :: else -> skip fi;    /* wf_ready_look */
        atomic {    /* the system call */
            if
            :: !source || seen ->
                from = file;
                if
                :: file == 0 -> result = EBADF
                :: file && bytes[file] -> bytes[file]--; result = BYTES
                :: file && bytes[file] == 0 && fin[file] -> result = END
                :: else -> skip
                fi
            :: else -> skip
            fi
        };
        /* wf_ready_wait */
        if
        :: result == EAGAIN && !known ->
            attach(me, ok, sure, mine, tcp);
            atomic {
                source = true;
                known = true;
                if :: !ok -> result = EBADF :: else -> skip fi;
                ok = false
            }
        :: result == EAGAIN && known ->
            atomic { if :: generation != mine -> result = EBADF :: else -> skip fi };
            atomic {
                ok = (result == EAGAIN);
                if
                :: ok && seen -> ok = (cell == seen); if :: ok -> cell = 0 :: else -> skip fi
                :: else -> skip
                fi
            };
            atomic {
                if
                :: ok && cell == 0 -> pushed[me] = true; chosen[me] = false
                :: else -> ok = false
                fi
            };
            if
            :: ok ->
                atomic {
#ifndef BUG_NO_LOOK
                    if
                    :: generation != mine -> pushed[me] = false; chosen[me] = true    /* wf_wait_pull */
                    :: else -> skip
                    fi;
#endif
                    ok = false
                };
                chosen[me]
            :: else -> skip
            fi;
            atomic { chosen[me] = false; if :: generation != mine -> result = EBADF :: else -> skip fi }
        :: else -> skip
        fi;
        if :: result == EAGAIN -> seen = 0 :: else -> skip fi
    od;
    /* wf_ready_short */
    atomic {
        ok = (result == BYTES && tcp && known && seen && seen % 2 == 0);
#ifndef BUG_CLEAR_BLIND
        ok = ok && generation == mine
#endif
    };
    atomic { if :: ok && cell == seen -> cell = 0 :: else -> skip fi; ok = false; seen = 0; known = false; tcp = false }
}

proctype first_call()
{
    byte mine, result, from;
    short seen;
    bool source, known, ok, sure, tcp;

    call(1);
    assert(result == EBADF || !told);
    ended_1 = true
}

proctype second_call()
{
    byte mine, result, from;
    short seen;
    bool source, known, ok, sure, tcp;

    opened;
    do
    :: call(2); if :: result != BYTES -> break :: else -> skip fi
    od;
    assert(result == END)
}

proctype closer()
{
    byte late;
    bool ok;

#ifndef BUG_NO_MARK
    closers++;
#endif
    lock();
    if :: REGISTERED -> leave(); unlock(); left() :: else -> unlock() fi;
#ifdef BUG_LOOK_EARLY
    ok = doubted;
#endif
    d_step { watch[1] = 0; pending[1] = false; bytes[1] = 0; file = 0 };
#ifndef BUG_LOOK_EARLY
    ok = doubted;
#endif
    if
    :: ok ->
        lock();
        if
        :: REGISTERED ->
            atomic { check(ok) };
            if :: !ok -> leave(); unlock(); left() :: else -> unlock() fi
        :: else -> unlock()
        fi
    :: else -> skip
    fi;
#ifndef BUG_NO_MARK
    d_step { closers--; doubted = false }
#endif
}

proctype opener()
{
    file == 0;
    d_step { file = 2; opened = true }
}

proctype peers()
{
    if
    :: d_step { file == 1 -> bytes[1] = 1; edge(1) }
    :: skip
    fi;
    opened;
    if
    :: skip -> (!of_1 || ended_1)
    :: skip
    fi;
    if
    :: d_step { bytes[2] = AT_ONCE; edge(2) };
       d_step { bytes[2] == 0 -> fin[2] = true; edge(2) }
    :: d_step { bytes[2] = AT_ONCE; fin[2] = true; edge(2) }
    fi
}

/* wf_source_event: the look at the generation, and then the edge */
inline pass_on(f)
{
    d_step {    /* an event may come before enter has stored the generation */
        pending[f] -> pending[f] = false;
        tag = (generation == watch[f] || generation + 1 == watch[f] -> watch[f] : 0);
        last = fin[f]
    };
    atomic {
        if :: tag -> edges++; set_cell(VALUE(tag, edges, last)) :: else -> skip fi;
        tag = 0;
        last = false
    }
}

proctype poller()
{
    byte tag;
    bool last;

end:
    do
    :: pass_on(1)
    :: pass_on(2)
    od
}

init
{
    atomic {
        run first_call();
        run second_call();
        run closer();
        run opener();
        run peers();
        run poller()
    }
}
