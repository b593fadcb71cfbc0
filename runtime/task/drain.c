// The drain: counts of those inside, one to a few workers, and a cell that is set when
// all have left.
//
// A server enters and leaves with each request, on every worker. One count for all would
// be a cache line that moves from core to core with each of them. So each worker counts
// in a gate, a word of a cache line of its own, and leaving may be counted in another
// gate than entering: only the sum means anything.
//
//   A gate is the number of those that have entered there less those that have left
//   there, and a mark:
//
//                 enter, leave                  close_gate             enter (-ESHUTDOWN), leave
//        OPEN n <-------------> OPEN n±1 ------------------> CLOSED n <------------------------> CLOSED n±1
//
//   n of a gate that is CLOSED means nothing. All operations on a gate are
//   read-modify-writes of its one word. So each enter or leave comes either before its
//   gate is closed, and counts in n, or after, and knows that.
//
//   `inside` gets n - BIAS of each gate from the caller that has closed it, and -1 from
//   each leave that found its gate closed:
//
//        -GATES * BIAS      nobody is inside: all gates are closed, n of each is in it, and all have left
//
//   While the n of a gate is still missing, so is a -BIAS, which is more than all counts
//   together: `inside` cannot have that value. Once it has it, no later operation
//   changes it: no enter succeeds, and a leave without an enter is misuse. So exactly
//   one operation brings `inside` there, and its caller sets the cell, which is what
//   weft_drain_begin waits for.
//
// A caller of weft_drain_begin closes all gates, before it looks or waits. So does an
// enter that fails, before it returns: the gates are closed one after the other, and
// else a task could be refused at one gate and a later one be admitted at another.
//
// Life. A leave that finds its gate open accesses the drain no more, and the close of
// that gate comes after it. One that finds it closed accesses it last in its operation
// on `inside`, or if that was the last one, in setting the cell ([C1]). Those that wait
// for the cell return after that.
//
// Rejected: one word for all, and a bit of it for the draining. It saves the calls that
// find the worker: 12 ns for a pair of enter and leave, against 17 here, on one worker
// and on two whose CPUs share a cache. But two locked instructions on a line that other
// cores write cost a transfer of the line each, which they also wait for in turn, so all
// cores together do some ten million pairs a second, however many they are.
//
// tests/model/drain.pml checks this under every interleaving.
//
// Edges.
//   X1  enter, leave (release) -> close_gate (acquire), then `inside`: what was done by
//       those that left while the gate was open. All writes of a gate are
//       read-modify-writes
//   X2  each operation on `inside` (release) -> the one that brings it to EMPTY
//       (acquire), then the cell by C1: what was done by those that left later
//   X3  close_gate, and the store of `all_closed` (release) -> enter that fails,
//       weft_draining (acquire): what the caller of weft_drain_begin did before
#include <errno.h>
#include <weft/drain.h>

#include "base/assert.h"
#include "runtime/state.h"
#include "runtime/task/foreign.h"
#include "runtime/wait/wait.h"

enum { GATES = 16 };
enum { CLOSED = 1, ONE = 2 }; // of a gate: the mark, and a task that is inside

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

// find_gate finds the calling worker's gate; threads of the program have the first one.
static struct gate *find_gate(struct wf_drain *d)
{
    const struct wf_task *self = wf_self();
    return &d->gates[self ? wf_sched_worker_index(self->sched) % GATES : 0];
}

// check_drain asserts what holds whatever others do meanwhile.  Context: any thread.
static void check_drain(const struct wf_drain *d)
{
    bool all = wf_load_acquire(&d->all_closed);      // [X3] no gate is opened again
    wf_assert(wf_load_relaxed(&d->inside) >= EMPTY); // relaxed, both: nothing hangs on the values but the check
    for (int i = 0; i < GATES; i++)
        wf_assert(!all || wf_load_relaxed(&d->gates[i].word) & CLOSED);
}

// count_inside changes `inside`.  Context: the caller's last access to the drain, but
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

    wf_assert(word > -BIAS && word < BIAS); // so the sum of all gates keeps apart from EMPTY
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
