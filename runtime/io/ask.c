#include "runtime/io/ask.h"

bool wf_ask_pull(struct wf_cell_node *nodes, const struct wf_ready *r, struct wf_cell *const *cells, int n)
{
    bool set = false;

    wf_debug_assert(n >= 0 && n <= 2);
    for (int i = 0; i < n; i++)
        set |= wf_wait_leave(r->self, cells[i], &nodes[i], r->call, r->fd);
    return set;
}

bool wf_ask_push(struct wf_cell_node *nodes, struct wf_ready *r, struct wf_cell *const *cells, int n)
{
    int i = 0;

    for (; i < n; i++) {
        nodes[i].waker = wf_wait_waker(r->self);
        if (!wf_cell_push(cells[i], &nodes[i]))
            break;
    }
    if (i == n && wf_ready_confirm(r) == 0)
        return true;
    wf_ask_pull(nodes, r, cells, i);
    return false;
}

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
