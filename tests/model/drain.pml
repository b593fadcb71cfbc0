/*
 * The drain: gates, and the count of those inside (runtime/task/drain.c).
 *
 * Two gates. Two tasks enter at one gate and leave at any, as a task may have moved in
 * between; each enters twice. Two tasks begin the draining; each closes the gates one
 * by one, waits for all to leave, and looks whether they have; the second may free the
 * drain when both have returned. Every step is one read-modify-write of the code.
 *
 * No beginner must be left asleep (an invalid end state); none must return while a task
 * is inside, and the cell is set once; no enter must succeed once another one has
 * failed, or a beginner has looked at all gates; no task that has left must access the
 * drain after the cell is set, but for those that are refused.
 *
 * Models: runtime/task/drain.c: weft_drain_enter, weft_drain_leave, close_gate, weft_drain_begin
 * Edges: X1 X2 X3
 *
 * Planted bugs, each of which must be found (-DBUG_...):
 *   NO_BIAS       the count may be 0 while a gate's is missing
 *   LOOK_APART    an enter looks at the mark, and counts after that
 *   LEAVE_BLIND   a leave at a closed gate counts there only
 *   LATE_COUNT    a gate's count is read, and then the gate is closed
 *   NO_HELP       an enter that fails does not close the other gates
 *   COUNT_TWICE   a gate's count is taken by both beginners
 */
#define GATES 2
#define BIAS 20
#define EMPTY (-GATES * BIAS)

short gate[GATES];        /* the count of those that entered less those that left */
bool closed[GATES];
short inside;             /* of the code: the sums, less the biases */
byte in;                  /* how many are inside */
bool gone;                /* the cell */
bool refused;             /* an enter has failed, or a beginner has closed all gates */
byte returned;            /* beginners that have */

inline set_if_empty()
{
    if
    :: inside == EMPTY -> assert(!gone); gone = true
    :: else -> skip
    fi
}

inline close_gate(g)
{
#ifdef BUG_LATE_COUNT
    n = gate[g];
    atomic {
        if
        :: !closed[g] -> closed[g] = true; mine = true
        :: else -> mine = false
        fi
    };
#else
    atomic {
        n = gate[g];
#ifdef BUG_COUNT_TWICE
        mine = true;
#else
        mine = !closed[g];
#endif
        closed[g] = true
    };
#endif
    if
    :: mine ->
#ifdef BUG_NO_BIAS
        atomic { inside = inside + n; if :: inside == 0 -> assert(!gone); gone = true :: else -> skip fi }
#else
        atomic { inside = inside + n - BIAS; set_if_empty() }
#endif
    :: else -> skip
    fi
}

inline leave_at(g)
{
    atomic {
        in--;
        assert(returned == 0);
        mine = closed[g];
        gate[g] = gate[g] - 1
    };
    if
    :: mine ->
#ifndef BUG_LEAVE_BLIND
        atomic {
            assert(returned == 0);
            inside = inside - 1;
#ifdef BUG_NO_BIAS
            if :: inside == 0 -> assert(!gone); gone = true :: else -> skip fi
#else
            set_if_empty()
#endif
        }
#else
        skip
#endif
    :: else -> skip
    fi
}

proctype server(byte g)
{
    byte turn;
    short n;
    bool mine, ok, late;

    do
    :: turn == 2 -> break
    :: turn < 2 ->
        turn++;
        late = refused;
#ifdef BUG_LOOK_APART
        ok = !closed[g];
        atomic { gate[g] = gate[g] + 1; if :: ok -> in++; assert(!gone) :: else -> skip fi };
#else
        atomic {
            ok = !closed[g];
            gate[g] = gate[g] + 1;
            if :: ok -> in++; assert(!gone) :: else -> skip fi
        };
#endif
        if
        :: ok ->
            assert(!late);
            if
            :: leave_at(0)
            :: leave_at(1)
            fi
        :: else ->
#ifndef BUG_NO_HELP
            close_gate(0);
            close_gate(1);
#endif
            refused = true;
            break
        fi
    od
}

proctype beginner()
{
    short n;
    bool mine;

    close_gate(0);
    close_gate(1);
    refused = true;
    gone;
    atomic { assert(in == 0); returned++ }
}

init
{
    atomic {
        run server(0);
        run server(1);
        run beginner();
        run beginner()
    }
}
