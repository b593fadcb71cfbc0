// The event: a cell, which may be cleared.
#include "runtime/sync/queue.h"

_Static_assert(sizeof(struct wf_cell) == sizeof(weft_event), "the event is what the program reserves for it");

static struct wf_cell *event_cell(weft_event *e)
{
    return (struct wf_cell *)(void *)e;
}

void weft_event_init(weft_event *e)
{
    wf_cell_init(event_cell(e));
}

void weft_event_destroy(weft_event *e)
{
    wf_queue_destroy_cell(event_cell(e), "weft_event_destroy");
}

void weft_event_set(weft_event *e)
{
    // If the event is set, set it again: a later reader must see what this setter did,
    // too ([C1]).
    wf_cell_set(event_cell(e), 0, true);
}

void weft_event_reset(weft_event *e)
{
    uintptr_t seen = wf_cell_value(event_cell(e));

    if (seen)
        wf_cell_clear(event_cell(e), seen);
}

bool weft_event_is_set(const weft_event *e)
{
    return wf_cell_value((const struct wf_cell *)(const void *)e) != 0; // [C1]
}

int weft_event_wait(weft_event *e)
{
    int err = wf_wait_begin("weft_event_wait");
    return err ? err : wf_wait_cell(event_cell(e), WEFT_NEVER, "event", (intptr_t)e);
}
