// Futures: a cell (base/cell.h), a value, and a claim that decides which of several
// completers is the first.
#include <weft/future.h>

#include "base/assert.h"
#include "runtime/state.h"
#include "runtime/task/foreign.h"
#include "runtime/wait/wait.h"

_Static_assert(sizeof(struct wf_cell) == sizeof(((weft_future *)0)->weft_word), "the cell must fit in the future");
_Static_assert(sizeof(_Atomic uintptr_t) == sizeof(uintptr_t), "an atomic word is a word");

void weft_future_init(weft_future *f)
{
    *f = (weft_future)WEFT_FUTURE_INIT;
}

static bool complete(weft_future *f, intptr_t value, int err)
{
    // acquire: the value is written after the claim is won. A loser reads nothing else.
    if (wf_exchange_acquire((_Atomic unsigned *)&f->weft_claim, 1))
        return false;
    wf_debug_assert(err <= 0 && !wf_cell_value(wf_future_cell(f))); // the claim is won once
    f->weft_value = value;
    f->weft_error = err;
    return wf_cell_set(wf_future_cell(f), 0, false); // [C1]
}

bool weft_future_complete(weft_future *f, intptr_t value)
{
    return complete(f, value, 0);
}

bool weft_future_fail(weft_future *f, int err)
{
    if (err >= 0)
        wf_misuse("weft_future_fail: %d is no error", err);
    return complete(f, 0, err);
}

bool weft_future_done(const weft_future *f)
{
    return wf_cell_value((const struct wf_cell *)(const void *)f->weft_word) != 0; // [C1]
}

// outcome reads a completed future's value or error.
static int outcome(const weft_future *f, intptr_t *value)
{
    wf_debug_assert(weft_future_done(f));
    if (f->weft_error)
        return f->weft_error;
    if (value)
        *value = f->weft_value;
    return 0;
}

int weft_await_until(weft_future *f, intptr_t *value, weft_time deadline)
{
    int err = wf_wait_begin("weft_await");
    if (!err)
        err = wf_wait_cell(wf_future_cell(f), deadline, "future", (intptr_t)f);
    return err ? err : outcome(f, value);
}

int weft_await(weft_future *f, intptr_t *value)
{
    return weft_await_until(f, value, WEFT_NEVER);
}

int weft_future_wait_thread(weft_future *f, intptr_t *value, weft_time deadline)
{
    int err = wf_wait_thread(wf_future_cell(f), deadline);
    return err ? err : outcome(f, value);
}

weft_future *weft_task_future(weft_task *t)
{
    return &t->done;
}
