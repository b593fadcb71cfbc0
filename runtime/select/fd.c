#include "runtime/select/fd.h"

#include <errno.h>
#include <weft/io.h>

#include "base/assert.h"
#include "runtime/io/ask.h"

static const char CALL[] = "weft_select";

int wf_select_fd_look(int fd, short events)
{
    return wf_ask_now(fd, events);
}

bool wf_select_fd_may(int fd, short events)
{
    struct wf_ready r = { .self = wf_self(), .fd = fd };
    short all = wf_ask_directions(events);

    wf_ready_find(&r);
    if (!r.source || r.kind == WF_KIND_UNKNOWN || !wf_source_is_own(r.source))
        return true; // other code may have closed it: the cells may be wrong
    return (all & WF_ASK_IN && wf_cell_value(&r.source->ready[WF_READ])) ||
           (all & WF_ASK_OUT && wf_cell_value(&r.source->ready[WF_WRITE]));
}

// joined_set is the set that was pushed, with these cells.
static struct wf_wait_set joined_set(struct wf_select_fd *p, int fd, short events, struct wf_cell *cells[2])
{
    struct wf_reactor *r = wf_rt_current()->reactor;
    struct wf_source *s = wf_source_get(r, fd);
    short all = wf_ask_directions(events);
    int n = 0;

    wf_debug_assert(s && p->generation % 2 == 1); // it is joined
    if (p->set >= 0) {
        cells[n++] = &wf_source_get(r, p->set)->ready[WF_READ];
        cells[n++] = &s->changed;
    } else {
        if (all & WF_ASK_IN)
            cells[n++] = &s->ready[WF_READ];
        if (all & WF_ASK_OUT)
            cells[n++] = &s->ready[WF_WRITE];
    }
    return (struct wf_wait_set){ wf_self(), cells, p->nodes, n, n, CALL, fd };
}

// push_cells enters `n` cells.  Returns: as wf_ask_push.
static bool push_cells(struct wf_select_fd *p, struct wf_ask *a, struct wf_cell *const *cells, int n)
{
    struct wf_wait_set set = wf_ask_set(&a->r, cells, p->nodes, n);
    return wf_ask_push(&set, &a->r);
}

static int join_cells(struct wf_select_fd *p, struct wf_ask *a)
{
    int ready;

    while ((ready = wf_ask_look(a)) == 0) {
        if (wf_ask_clear(&a->r, a->cells, a->seen, a->n) && push_cells(p, a, a->cells, a->n))
            return 0;
        int err = wf_ready_same(&a->r);
        if (err < 0)
            return err;
    }
    return ready;
}

// join_set is wait_set for a select.
static int join_set(struct wf_select_fd *p, struct wf_ask *a)
{
    wf_debug_assert(p->set >= 0 && p->set != a->r.fd);
    struct wf_ready set = { .self = a->r.self, .direction = WF_READ, .call = a->r.call, .fd = p->set };
    struct wf_cell *cells[2];
    uintptr_t seen[2];
    int err = wf_ready_attach_as(&set, WF_KIND_OTHER);

    while (err == 0) {
        if ((err = wf_ask_look_alone(a, &set, cells, seen)) != 0)
            return err;
        if (wf_ask_clear(&a->r, cells, seen, 2) && push_cells(p, a, cells, 2))
            return 0;
    }
    return err;
}

// try_join is one attempt of wf_select_fd_join.
static int try_join(struct wf_select_fd *p, struct wf_ask *a)
{
    int ready = wf_ask_attach(a);

    if (ready != 0)
        return ready > 0 ? wf_ask_file(a) : ready;
    if (p->generation && a->r.generation != p->generation)
        return -EBADF;
    wf_debug_assert(a->r.generation % 2 == 1);
    p->generation = a->r.generation;
    if (p->set < 0) {
        ready = join_cells(p, a);
        if (ready <= 0 || ready & (a->events | WF_ASK_ALWAYS))
            return ready < 0 ? ready : ready & (a->events | WF_ASK_ALWAYS);
        p->set = wf_ask_open_set(a);
        if (p->set < 0)
            return p->set;
    }
    return join_set(p, a);
}

int wf_select_fd_join(struct wf_select_fd *p, int fd, short events)
{
    struct wf_ask a = { .events = events, .all = wf_ask_directions(events) };
    int ready;

    a.r = (struct wf_ready){ .self = wf_self(), .fd = fd, .call = CALL, .fixed = p->generation != 0 };
    wf_ready_find(&a.r);
    if (p->generation && (!a.r.source || a.r.generation != p->generation))
        return -EBADF;
    while ((ready = try_join(p, &a)) == -EBADF && wf_ready_anew(&a.r)) {
        wf_select_fd_end(p);
        wf_select_fd_begin(p);
        a.n = 0;
    }
    return ready;
}

bool wf_select_fd_chosen(struct wf_select_fd *p, int fd, short events)
{
    struct wf_cell *cells[2];
    struct wf_wait_set set = joined_set(p, fd, events, cells);

    return wf_wait_set_chosen(&set);
}

void wf_select_fd_leave(struct wf_select_fd *p, int fd, short events)
{
    struct wf_cell *cells[2];
    struct wf_wait_set set = joined_set(p, fd, events, cells);

    wf_wait_set_pull(&set);
}

void wf_select_fd_end(struct wf_select_fd *p)
{
    if (p->set >= 0)
        weft_close(p->set);
}
