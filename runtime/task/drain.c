// The drain: several counts of the entries, each for a few workers, and a cell that is
// set when all have left.
//
// A server enters and leaves with each request, on every worker. A single count would
// be a cache line that moves from core to core with each of them. So each worker counts
// in a gate, a word in a separate cache line. A task may leave at another gate than it
// entered: only the sum of all gates means anything.
//
//   A gate has the number of entries at it minus the number of leaves at it, and a
//   mark:
//
//                 enter, leave                  close_gate             enter (-ESHUTDOWN), leave
//        OPEN n <-------------> OPEN n±1 ------------------> CLOSED n <------------------------> CLOSED n±1
//
//   The n of a CLOSED gate means nothing. All operations on a gate are
//   read-modify-writes of its one word. So each enter or leave comes either before the
//   close of its gate, and counts in n; or after it, and sees the mark.
//
//   `inside` gets n - BIAS of each gate from the caller that has closed it, and -1 from
//   each leave that found its gate closed:
//
//        -GATES * BIAS      empty: all gates are closed, the n of each is added, and all have left
//
//   While the n of a gate is still missing, so is a -BIAS, which is more than all counts
//   together: `inside` cannot have that value. Once `inside` has that value, no later
//   operation changes it: no enter succeeds, and a leave without an enter is misuse. So
//   exactly one operation brings `inside` to it; its caller sets the cell, for which
//   weft_drain_begin waits.
//
// A caller of weft_drain_begin closes all gates before it checks or waits. An enter
// that fails also closes all gates before it returns: they are closed one after the
// other, and otherwise one gate could refuse a task, and another gate admit a later
// one.
//
// Life. A leave that finds its gate open does not access the drain afterwards, and the
// gate's close comes later. A leave that finds its gate closed accesses the drain last
// in its operation on `inside`, or, if that was the last one, when it sets the cell
// ([C1]). The waiters return after that.
//
// Rejected: one word for all, and a bit of it for the draining. It saves the calls that
// find the worker: a pair of enter and leave takes 12 ns, against 17 here, on one
// worker and on two whose CPUs share a cache. But each locked instruction on a line
// that other cores write costs a transfer of the line, and the transfers happen one
// after the other. So all cores together do some ten million pairs a second, whatever
// their number.
//
// tests/model/drain.pml checks this under every interleaving.
//
// Edges.
//   X1  enter, leave (release) -> close_gate (acquire), then `inside`: what the tasks
//       that left while the gate was open did before. All writes of a gate are
//       read-modify-writes
//   X2  each operation on `inside` (release) -> the one that brings it to EMPTY
//       (acquire), then the cell by C1: what the tasks that left later did before
//   X3  close_gate, and the store of `all_closed` (release) -> enter that fails,
//       weft_draining (acquire): what the caller of weft_drain_begin did before
#include <errno.h>
#include <weft/drain.h>

#include "base/assert.h"
#include "runtime/state.h"
#include "runtime/task/foreign.h"
#include "runtime/wait/wait.h"

enum { GATES = 16 };
enum { CLOSED = 1, ONE = 2 }; // of a gate: the mark, and one entry

#define BIAS (INT64_C(1) << 48)
#define EMPTY (-GATES * BIAS)

// A: atomic
struct gate {
    _Atomic int64_t word; // A: [X1] the diagram above
    char apart[WF_CACHE_LINE - sizeof(int64_t)];
};

struct wf_drain {
    struct wf_cell gone;     // A: all have left
    _Atomic int64_t inside;  // A: [X2]
    _Atomic bool all_closed; // A: [X3]
    char apart[WF_CACHE_LINE - sizeof(struct wf_cell) - 2 * sizeof(int64_t)];
    struct gate gates[GATES];
};

_Static_assert(sizeof(struct wf_drain) == sizeof(weft_drain), "the drain is what the program reserves for it");

static struct wf_drain *drain_of(weft_drain *d)
{
    return (struct wf_drain *)(void *)d;
}

void weft_drain_init(weft_drain *d)
{
    *d = (weft_drain)WEFT_DRAIN_INIT;
}

// find_gate finds the calling worker's gate; foreign threads use the first one.
static struct gate *find_gate(struct wf_drain *d)
{
    const struct wf_task *self = wf_self();
    return &d->gates[self ? wf_sched_worker_index(self->sched) % GATES : 0];
}

// check_drain asserts what holds at any time, even while other threads use the drain.
// Context: any thread.
static void check_drain(const struct wf_drain *d)
{
    bool all = wf_load_acquire(&d->all_closed);      // [X3] no gate is opened again
    wf_assert(wf_load_relaxed(&d->inside) >= EMPTY); // relaxed, both: only the check uses the values
    for (int i = 0; i < GATES; i++)
        wf_assert(!all || wf_load_relaxed(&d->gates[i].word) & CLOSED);
}

// count_inside changes `inside`. Context: the caller's last access to the drain, except
// for the cell.
static void count_inside(struct wf_drain *d, int64_t n)
{
    int64_t now = wf_fetch_add_acq_rel(&d->inside, n) + n; // [X2]

    if (now == EMPTY)
        wf_cell_set(&d->gone, 0, false); // [C1]
    else if (wf_unlikely(now < EMPTY))
        wf_misuse("weft_drain_leave: called more often than weft_drain_enter has succeeded");
}

static void close_gate(struct wf_drain *d, struct gate *g)
{
    int64_t word = wf_fetch_or_acq_rel(&g->word, (int64_t)CLOSED); // [X1] [X3]

    wf_assert(word > -BIAS && word < BIAS); // so no sum of gates equals EMPTY too early
    if (!(word & CLOSED))
        count_inside(d, word / ONE - BIAS);
}

static void close_gates(struct wf_drain *d)
{
    if (wf_load_acquire(&d->all_closed)) // [X3]
        return;
    for (int i = 0; i < GATES; i++)
        close_gate(d, &d->gates[i]);
    wf_store_release(&d->all_closed, true); // [X3]
}

static WF_NOINLINE int refuse_entry(struct wf_drain *d)
{
    close_gates(d);
    return -ESHUTDOWN;
}

int weft_drain_enter(weft_drain *drain)
{
    struct wf_drain *d = drain_of(drain);
    int64_t word = wf_fetch_add_acq_rel(&find_gate(d)->word, (int64_t)ONE); // [X1] [X3]

    return wf_unlikely(word & CLOSED) ? refuse_entry(d) : 0;
}

void weft_drain_leave(weft_drain *drain)
{
    struct wf_drain *d = drain_of(drain);
    int64_t word = wf_fetch_sub_acq_rel(&find_gate(d)->word, (int64_t)ONE); // [X1]

    if (wf_unlikely(word & CLOSED))
        count_inside(d, -1);
}

bool weft_draining(const weft_drain *drain)
{
    const struct wf_drain *d = (const struct wf_drain *)(const void *)drain;
    return wf_load_acquire(&d->all_closed); // [X3]
}

int weft_drain_begin(weft_drain *drain, weft_time deadline)
{
    struct wf_drain *d = drain_of(drain);
    struct wf_task *self = wf_self();
    int err = self ? wf_check_cancel(self) : 0;

    if (err)
        return err;
    wf_debug_check(check_drain(d));
    close_gates(d);
    return self ? wf_wait_cell(&d->gone, deadline, "drain", (intptr_t)d) : wf_wait_thread(&d->gone, deadline);
}
