/*
 * Weak memory for models: C11's atomics as a machine whose every run is one execution
 * that RC11 allows (Lahav and others, 2017: C11 as repaired in C++20).
 *
 * Each location keeps all its values, oldest first. Each thread knows of every location
 * the oldest value that it may still read (`seen`). A load reads that value or any
 * newer one. A release attaches to the value what its thread has seen; an acquire that
 * reads the value has seen that, too. A read-modify-write reads the newest value, and
 * hands on what is attached to it (a release sequence). A seq_cst load reads no value
 * older than the newest seq_cst store (`floor`): the steps' order is the total order.
 *
 * The machine does not show all that RC11 allows. A bug that needs one of these is
 * planted as the reordering itself:
 *   - a load that sees a store which waits for it (load buffering): RC11 has none, the
 *     processors have;
 *   - a seq_cst load that is done before a relaxed load in front of it;
 *   - a store that takes its place among older ones of its location. Where all stores to
 *     a location are one thread's, or read-modify-writes, there is no such thing.
 *
 * The model defines LOCS (how many locations), VALUES (how many values each keeps) and
 * THREADS before it includes this file. Locations begin with 0, seen by all threads.
 */
#define RELAXED 0
#define ACQUIRE 1
#define RELEASE 2
#define ACQ_REL 3
#define SEQ_CST 7

#define ACQUIRES(order) ((order) & 1)
#define RELEASES(order) ((order) & 2)
#define IS_SC(order) ((order) & 4)

typedef view { byte at[LOCS] };
typedef location {
    byte value[VALUES];
    view attached[VALUES];
    byte newest;
    byte floor
};
location mem[LOCS];
view seen[THREADS];

hidden byte _at, _i, _old;

#define NEWEST(l) mem[l].value[mem[l].newest]
#define OLDEST(me, l, order) \
    (IS_SC(order) && mem[l].floor > seen[me].at[l] -> mem[l].floor : seen[me].at[l])

/* the parts of a step: part of an atomic step each */
inline read_at(me, l, order)
{
    seen[me].at[l] = _at;
    if
    :: ACQUIRES(order) ->
        _i = 0;
        do
        :: _i < LOCS ->
            if
            :: mem[l].attached[_at].at[_i] > seen[me].at[_i] -> seen[me].at[_i] = mem[l].attached[_at].at[_i]
            :: else -> skip
            fi;
            _i++
        :: else -> break
        od
    :: else -> skip
    fi
}

inline append(me, l, v, order)
{
    assert(mem[l].newest + 1 < VALUES);
    mem[l].newest++;
    mem[l].value[mem[l].newest] = v;
    seen[me].at[l] = mem[l].newest;
    if
    :: RELEASES(order) ->
        _i = 0;
        do
        :: _i < LOCS ->
            if
            :: seen[me].at[_i] > mem[l].attached[mem[l].newest].at[_i] ->
                mem[l].attached[mem[l].newest].at[_i] = seen[me].at[_i]
            :: else -> skip
            fi;
            _i++
        :: else -> break
        od
    :: else -> skip
    fi;
    if :: IS_SC(order) -> mem[l].floor = mem[l].newest :: else -> skip fi
}

/* a read-modify-write hands on what is attached to the value that it has read */
inline hand_on(l)
{
    _i = 0;
    do
    :: _i < LOCS ->
        mem[l].attached[mem[l].newest + 1].at[_i] = mem[l].attached[mem[l].newest].at[_i];
        _i++
    :: else -> break
    od
}

/* the operations: one step each */
inline load(me, l, x, order)
{
    atomic {
        _at = OLDEST(me, l, order);
        do
        :: _at < mem[l].newest -> _at++
        :: break
        od;
        read_at(me, l, order);
        x = mem[l].value[_at]
    }
}

inline store(me, l, v, order)
{
    d_step { append(me, l, v, order) }
}

/* x = the old value; v, the new one, may be made of it */
inline rmw(me, l, x, v, order)
{
    d_step {
        _at = mem[l].newest;
        read_at(me, l, order);
        x = NEWEST(l);
        assert(mem[l].newest + 1 < VALUES);
        hand_on(l);
        append(me, l, v, order)
    }
}

/* if it fails, x is what was found, perhaps not the newest value */
inline cas(me, l, x, v, ok, order, failed)
{
    atomic {
        _at = OLDEST(me, l, failed);
        do
        :: _at < mem[l].newest -> _at++
        :: _at == mem[l].newest || mem[l].value[_at] != x -> break
        od;
        ok = (mem[l].value[_at] == x);
        if
        :: ok ->
            read_at(me, l, order);
            assert(mem[l].newest + 1 < VALUES);
            hand_on(l);
            append(me, l, v, order)
        :: else ->
            read_at(me, l, failed);
            x = mem[l].value[_at]
        fi
    }
}

/* plain data: the newest value is the only one that may be there */
#define PLAIN(me, l) assert(seen[me].at[l] == mem[l].newest)
