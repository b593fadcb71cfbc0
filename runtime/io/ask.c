#include "runtime/io/ask.h"

int wf_ask_look_alone(const struct wf_ask *a, const struct wf_ready *set, struct wf_cell *cells[2], uintptr_t seen[2])
{
    cells[0] = &set->source->ready[WF_READ];
    cells[1] = &a->r.source->changed;
    seen[0] = wf_cell_value(cells[0]);
    seen[1] = wf_cell_value(cells[1]);
    int err = wf_ready_same(&a->r);
    return err < 0 ? err : wf_ask_now(a->r.fd, a->events);
}

int wf_ask_open_set(const struct wf_ask *a)
{
    int fd = wf_source_alone(a->r.fd, a->events);

    if (fd >= 0)
        wf_ready_fresh(fd);
    return fd;
}

int wf_ask_attach(struct wf_ask *a)
{
    if (!a->r.source || a->r.kind == WF_KIND_UNKNOWN) {
        int err = wf_ready_attach(&a->r);
        if (err == -ENOTSOCK)
            err = wf_ready_remember(&a->r, WF_KIND_OTHER);
        if (err < 0)
            return err == -EPERM ? 1 : err;
    }
    wf_debug_assert(a->n == 0 && a->r.source);
    if (a->all & WF_ASK_IN)
        a->cells[a->n++] = &a->r.source->ready[WF_READ];
    if (a->all & WF_ASK_OUT)
        a->cells[a->n++] = &a->r.source->ready[WF_WRITE];
    return 0;
}

int wf_ask_file(const struct wf_ask *a)
{
    int ready = wf_ask_now(a->r.fd, a->events);
    return ready != 0 ? ready : -EPERM;
}
