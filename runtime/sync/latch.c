// The latch: a count, and a cell, which the call that brings the count to 0 sets.
//
// Waiters and weft_latch_done read only the cell: setting it is the last counter's last
// access, so a woken waiter may free the latch. Changing the count is the other
// counters' last access.
//
// Edges.
//   A1  each compare-and-swap of the count (release) -> the one that reaches zero
//       (acquire), then the cell by C1: what each caller did before it counted down
#include "base/assert.h"
#include "runtime/sync/queue.h"

struct wf_latch {
    struct wf_cell cell;
    _Atomic size_t left; // A: [A1]
};

_Static_assert(sizeof(struct wf_latch) == sizeof(weft_latch), "the latch is what the program reserves for it");

static struct wf_latch *latch_of(weft_latch *l)
{
    return (struct wf_latch *)(void *)l;
}

void weft_latch_init(weft_latch *l, size_t n)
{
    struct wf_latch *latch = latch_of(l);

    wf_cell_init(&latch->cell);
    wf_store_relaxed(&latch->left, n); // relaxed: not shared yet
    if (n == 0)
        wf_cell_set(&latch->cell, 0, false);
}

void weft_latch_destroy(weft_latch *l)
{
    wf_queue_destroy_cell(&latch_of(l)->cell, "weft_latch_destroy");
}

void weft_latch_count_down(weft_latch *l, size_t n)
{
    struct wf_latch *latch = latch_of(l);
    size_t left = wf_load_relaxed(&latch->left); // relaxed: the compare-and-swap confirms it

    if (n == 0)
        return;
    do {
        if (n > left)
            wf_misuse("weft_latch_count_down: by %zu, where %zu are left", n, left);
    } while (!wf_cas_acq_rel(&latch->left, &left, left - n)); // [A1]
    wf_debug_assert(left > n || !wf_cell_value(&latch->cell)); // this is the call that brings it to 0
    if (left == n)
        wf_cell_set(&latch->cell, 0, false); // [C1]
}

int weft_latch_wait(weft_latch *l)
{
    int err = wf_wait_begin("weft_latch_wait");
    return err ? err : wf_wait_cell(&latch_of(l)->cell, WEFT_NEVER, "latch", (intptr_t)l);
}

bool weft_latch_done(const weft_latch *l)
{
    return wf_cell_value(&((const struct wf_latch *)(const void *)l)->cell) != 0; // [C1]
}
