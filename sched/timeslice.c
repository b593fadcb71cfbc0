// Long turns: a worker whose task computed for long in its last turn lets others go
// first, and has another worker wait in the poll meanwhile.
#include "base/timeslice.h"

#include "base/assert.h"
#include "base/clock.h"
#include "sched/state.h"

void wf_worker_set_slice(struct wf_worker *w, uint64_t slice)
{
    wf_debug_assert(wf_worker_is_self(w)); // the kernel is asked for the calling thread
    if (slice == w->slice)
        return;
    // relaxed: a hint
    wf_fetch_add_relaxed(&w->sched->long_turns, (slice == WF_SLICE_LONG) - (w->slice == WF_SLICE_LONG));
    w->slice = slice;
    wf_slice_ask(slice);
}

void wf_worker_expect_long_turn(struct wf_worker *w)
{
    wf_worker_set_slice(w, WF_SLICE_LONG);
    wf_worker_hint(w);
}

// was_long tells whether the turn that ends now was long: the monitor says so, or the
// clock, if it was the only one since the worker looked around, or woke up.
static bool was_long(const struct wf_worker *w)
{
    if (wf_load_relaxed(&w->overdue)) // relaxed: a hint
        return true;
    // relaxed: the worker's own
    return wf_load_relaxed(&w->ticks) == w->pace.ticks + 1 && wf_now() - w->pace.looked >= WF_LONG_NS;
}

void wf_worker_note_turn(struct wf_worker *w)
{
    struct wf_task *task = w->thread->current;

    wf_worker_set_slice(w, WF_SLICE_USUAL);
    if (task && was_long(w)) {
        wf_store_relaxed(&w->overdue, false); // relaxed: a hint
        wf_task_note_long(task);
    }
}
