// weft_poll: a wait for readiness itself. poll(2) says what is ready, the cells say
// when to ask again.
//
// All calls on the descriptor share the cells: a cell may be cleared only if its
// direction is drained, or a reader would wait for bytes that are there. So weft_poll
// asks poll(2) for every event that makes a direction ready, and
//   - if none of them holds, clears the cell (if it is still as before poll(2)), and
//     waits for it;
//   - if one holds, but not one that the caller wants (it waits for POLLRDHUP, say,
//     while there are unread bytes), it does not clear the cell, and there is no edge
//     to wait for. Then it makes a separate epoll set with just the wanted events, and
//     waits for that. This is rare, but libraries do it: files in /sys and /proc report
//     changes by POLLPRI alone.
//
// A task that waits for POLLIN alone, reads the bytes and waits again asks poll(2) only
// the first time, if weft has made the descriptor: afterwards the cell says that the
// direction is drained, and the edge says why the wait ends.
//
// On other descriptors each park is confirmed by an EPOLL_CTL_MOD (wf_ready_confirm),
// which makes epoll report the present readiness, as poll(2) would. So a task that
// waits there for POLLIN alone, or POLLOUT alone, makes no other system call. It clears
// the cell in any case, because no call trusts such a cell without a confirm. The edge
// that ends the wait is the answer, if epoll has reported its event since the confirm
// (wf_edge_is_since). A SET cell proves little there, because the library may have read
// in the meantime by its own calls.
//
// A select waits in the same way, but with its own nodes: it joins, and checks again
// when it is woken (runtime/select/fd.c).
#include <weft/io.h>

#include "runtime/io/ask.h"

// await parks until one of the cells is set. Returns: 0: check again; -ECANCELED;
// -EBADF.
static int await(struct wf_ready *r, struct wf_cell *const *cells, int n)
{
    struct wf_cell_node nodes[2];
    struct wf_wait_set set = wf_ask_set(r, cells, nodes, n);
    int err = 0;

    if (wf_ask_push(&set, r)) {
        r->parked = true;
        err = wf_wait_set_park(&set, NULL);
        if (wf_wait_set_pull(&set))
            err = 0; // completion wins
    }
    return err < 0 ? err : wf_ready_same(r);
}

// wait_cells waits for the next edge of a descriptor of which nothing is ready.
// Returns: 0: check again.
static int wait_cells(struct wf_ask *a)
{
    return wf_ask_clear(&a->r, a->cells, a->seen, a->n) ? await(&a->r, a->cells, a->n) : wf_ready_same(&a->r);
}

// wait_set waits for just the events, by an epoll set that no other task uses, or for
// the end of the descriptor.
static int wait_set(struct wf_ask *a, struct wf_ready *set)
{
    struct wf_cell *cells[2];
    uintptr_t seen[2];
    int err = wf_ready_attach_as(set, WF_KIND_OTHER);

    while (err == 0) {
        if ((err = wf_ask_look_alone(a, set, cells, seen)) != 0)
            return err;
        if (wf_ask_clear(&a->r, cells, seen, 2))
            err = await(&a->r, cells, 2);
    }
    return err;
}

static int wait_apart(struct wf_ask *a)
{
    struct wf_ready set = { .self = a->r.self, .direction = WF_READ, .call = a->r.call, .fd = wf_ask_open_set(a) };

    if (set.fd < 0)
        return set.fd;
    int result = wait_set(a, &set);
    weft_close(set.fd);
    return result;
}

// is_plain tells whether an edge alone answers the call: it waits for bytes, or for
// room, and the source has had no end, error or urgent data.
static bool is_plain(const struct wf_ask *a)
{
    bool own = wf_source_is_own(a->r.source);
    return (a->events == POLLIN || (a->events == POLLOUT && !own)) && !wf_source_has_last(a->r.source);
}

// may_wait tells whether the task may wait without poll(2): the cells say that nothing
// is ready, or the confirm asks epoll.
static bool may_wait(struct wf_ask *a)
{
    bool asks = is_plain(a) && !wf_source_is_own(a->r.source);

    for (int i = 0; i < a->n; i++)
        if ((a->seen[i] = wf_cell_value(a->cells[i])) && !(asks && wf_edge_is_event(a->seen[i])))
            return false;
    return true;
}

// told is the answer of the edge that ended a wait, if that is enough and the edge is
// not an old one.
static int told(const struct wf_ask *a)
{
    if (!a->r.parked || !is_plain(a))
        return 0;
    uintptr_t edge = wf_cell_value(a->cells[0]);
    bool own = wf_source_is_own(a->r.source);
    return (own ? wf_edge_is_of(edge, a->r.generation) : wf_edge_is_since(edge, a->r.stamp)) ? a->events : 0;
}

static int poll_until_ready(struct wf_ask *a)
{
    int err = wf_ask_attach(a);

    if (err > 0)
        return wf_ask_file(a);
    if (err == 0 && may_wait(a))
        err = wait_cells(a);
    while (err == 0) {
        int ready = told(a);
        if (!ready)
            ready = wf_ask_look(a);
        if (ready < 0 || ready & (a->events | WF_ASK_ALWAYS))
            return ready < 0 ? ready : ready & (a->events | WF_ASK_ALWAYS);
        err = ready != 0 ? wait_apart(a) : wait_cells(a);
    }
    return err;
}

int weft_poll(int fd, short events)
{
    struct wf_ask a = { .events = events };

    int err = wf_ready_open(&a.r, fd, WF_READ, "weft_poll");
    if (err < 0)
        return err;
    a.all = wf_ask_directions(events);
    int ready;
    do {
        a.n = 0;
        ready = poll_until_ready(&a);
    } while (wf_unlikely(ready == -EBADF) && wf_ready_anew(&a.r));
    if (!a.r.parked)
        wf_budget_consume_self();
    return ready;
}
