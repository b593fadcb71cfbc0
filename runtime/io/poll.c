// weft_poll: waiting for readiness itself. poll(2) says what is ready, the cells say
// when to ask again.
//
// The cells belong to all calls on the descriptor: one that is cleared must really be
// drained, or a reader would wait for bytes that are there. So weft_poll asks poll(2)
// for everything that makes a direction ready, and
//   - if nothing of it holds, clears the cell (if it still is as before poll(2)), and
//     waits for it;
//   - if something holds, but not what the caller wants (it waits for POLLRDHUP, say,
//     while bytes lie unread), the cell stays, and there is no edge to wait for. Then
//     it makes an epoll set of its own with just the events wanted, and waits for that.
//     Rare, but libraries do it: POLLPRI alone is how files in /sys and /proc report
//     changes.
//
// A task that waits for POLLIN alone, reads what is there and waits again, asks poll(2)
// only the first time, if weft has made the descriptor: that the direction is drained
// the cell knows, and what ends the wait the edge says. On others' descriptors each
// park is confirmed by an EPOLL_CTL_MOD (wf_ready_confirm), which may report the same
// bytes a second time, perhaps after they have been read. There an edge is a reason to
// ask poll(2), and no answer.
//
// A select waits in the same way, but with nodes of its own that wake it: it joins, and
// looks again when it is woken.
#include "runtime/io/poll.h"

#include <poll.h>
#include <unistd.h>
#include <weft/io.h>

#include "runtime/io/ready.h"

enum {
    IN = POLLIN | POLLRDNORM | POLLRDBAND | POLLPRI | POLLRDHUP, // what makes a source ready to read
    OUT = POLLOUT | POLLWRNORM | POLLWRBAND,                     // and to write
    ALWAYS = POLLERR | POLLHUP | POLLNVAL,                       // what poll(2) reports unasked, of both
};

// ask_now is wf_poll_now, where no descriptor is an error.
static int ask_now(int fd, short events)
{
    int ready = wf_poll_now(fd, events);
    return ready > 0 && ready & POLLNVAL ? -EBADF : ready;
}

// The directions that one weft_poll waits for.
struct ask {
    struct wf_ready r; // whatever its direction
    short events;
    short all; // the events, and everything else that makes the same directions ready
    int n;
    struct wf_cell *cells[2];
    uintptr_t seen[2];
};

// look asks poll(2), having noted what the cells say. Returns: what is ready of `all`.
static int look(struct ask *a)
{
    for (int i = 0; i < a->n; i++)
        a->seen[i] = wf_cell_value(a->cells[i]);
    return ask_now(a->r.fd, a->all);
}

// clear empties the cells that were set when they were looked at. Returns: false if one
// has changed since, or the descriptor was closed: what poll(2) said may be of another
// one then.
static bool clear(const struct wf_ready *r, struct wf_cell *const *cells, const uintptr_t *seen, int n)
{
    if (wf_ready_same(r) < 0)
        return false;
    for (int i = 0; i < n; i++)
        if (seen[i] && !wf_cell_clear(cells[i], seen[i]))
            return false;
    return true;
}

// directions is everything that makes the same directions ready as the events do. For
// events of none: an error or a hang-up makes either direction ready, so one is enough.
static short directions(short events)
{
    return (short)((events & IN || !(events & OUT) ? IN : 0) | (events & OUT ? OUT : 0));
}

// --- nodes ---------------------------------------------------------------------------

// pull takes the first `n` nodes out of their cells.  Returns: whether any of them was
// chosen.
static bool pull(struct wf_poll *p, const struct wf_ready *r, struct wf_cell *const *cells, int n)
{
    bool set = false;

    for (int i = 0; i < n; i++)
        set |= wf_wait_leave(r->self, cells[i], &p->nodes[i], r->call, r->fd);
    return set;
}

// push enters the cells, all of them.
// Returns: false if one of them is set, or the descriptor was closed (reactor/source.c,
// G3): then none.
static bool push(struct wf_poll *p, struct wf_ready *r, struct wf_cell *const *cells, int n)
{
    int i = 0;

    for (; i < n; i++) {
        p->nodes[i].waker = wf_wait_waker(r->self);
        if (!wf_cell_push(cells[i], &p->nodes[i]))
            break;
    }
    if (i == n && wf_ready_confirm(r) == 0)
        return true;
    pull(p, r, cells, i);
    return false;
}

static bool chosen(const struct wf_poll *p, int n)
{
    return wf_cell_chosen(&p->nodes[0]) || (n > 1 && wf_cell_chosen(&p->nodes[1]));
}

// await parks until one of the cells is set.  Returns: 0: look again; -ECANCELED;
// -EBADF.
static int await(struct wf_ready *r, struct wf_cell *const *cells, int n)
{
    struct wf_poll p; // its nodes
    int err = 0;

    if (push(&p, r, cells, n)) {
        r->parked = true;
        while (!chosen(&p, n) && !(err = wf_wait_cut(r->self)))
            wf_wait_park(r->self, r->call, r->fd);
        if (pull(&p, r, cells, n))
            err = 0; // completion wins
    }
    return err < 0 ? err : wf_ready_same(r);
}

// --- weft_poll -----------------------------------------------------------------------

// wait_cells waits for the next edge of a descriptor of which nothing is ready.
// Returns: 0: look again.
static int wait_cells(struct ask *a)
{
    return clear(&a->r, a->cells, a->seen, a->n) ? await(&a->r, a->cells, a->n) : wf_ready_same(&a->r);
}

// look_alone asks poll(2) for the events alone, having noted what the cells say: that
// of `set`, and that of the end of the descriptor.  Returns: what is ready; -EBADF.
static int look_alone(const struct ask *a, const struct wf_ready *set, struct wf_cell *cells[2], uintptr_t seen[2])
{
    cells[0] = &set->source->ready[WF_READ];
    cells[1] = &a->r.source->changed;
    seen[0] = wf_cell_value(cells[0]);
    seen[1] = wf_cell_value(cells[1]);
    int err = wf_ready_same(&a->r);
    return err < 0 ? err : ask_now(a->r.fd, a->events);
}

// wait_set waits for the events alone, by an epoll set that no other task uses, or for
// the end of the descriptor.
static int wait_set(struct ask *a, struct wf_ready *set)
{
    struct wf_cell *cells[2];
    uintptr_t seen[2];
    int err = wf_ready_attach_as(set, WF_KIND_OTHER);

    while (err == 0) {
        if ((err = look_alone(a, set, cells, seen)) != 0)
            return err;
        if (clear(&a->r, cells, seen, 2))
            err = await(&a->r, cells, 2);
    }
    return err;
}

static int open_set(const struct ask *a)
{
    int fd = wf_source_alone(a->r.fd, a->events);

    if (fd >= 0)
        wf_ready_fresh(fd);
    return fd;
}

static int wait_apart(struct ask *a)
{
    struct wf_ready set = { .self = a->r.self, .direction = WF_READ, .call = a->r.call, .fd = open_set(a) };

    if (set.fd < 0)
        return set.fd;
    int result = wait_set(a, &set);
    weft_close(set.fd);
    return result;
}

// attach registers the descriptor, in the mode in which it is. Returns: 1 if it cannot
// be waited for.
static int attach(struct ask *a)
{
    if (!a->r.source || a->r.kind == WF_KIND_UNKNOWN) {
        int err = wf_ready_attach(&a->r);
        if (err == -ENOTSOCK)
            err = wf_ready_remember(&a->r, WF_KIND_OTHER);
        if (err < 0)
            return err == -EPERM ? 1 : err;
    }
    if (a->all & IN)
        a->cells[a->n++] = &a->r.source->ready[WF_READ];
    if (a->all & OUT)
        a->cells[a->n++] = &a->r.source->ready[WF_WRITE];
    return 0;
}

// poll_file is for what cannot be waited for: it is always ready for what poll(2) says,
// never for more.
static int poll_file(const struct ask *a)
{
    int ready = ask_now(a->r.fd, a->events);
    return ready != 0 ? ready : -EPERM;
}

// drained tells whether the cells say that nothing is ready, so that poll(2) need not
// be asked.
static bool drained(struct ask *a)
{
    for (int i = 0; i < a->n; i++)
        if ((a->seen[i] = wf_cell_value(a->cells[i])))
            return false;
    return true;
}

// told is what the edge that ended a wait for POLLIN alone says by itself: bytes, if it
// is not about an end, an error or urgent data, nor late news of the number's last
// descriptor, nor perhaps a repeated one.
static int told(const struct ask *a)
{
    bool exact = a->r.parked && a->events == POLLIN && wf_source_is_own(a->r.source);
    uintptr_t edge = exact ? wf_cell_value(a->cells[0]) : 0;
    return wf_edge_is_of(edge, a->r.generation) && !wf_source_has_last(a->r.source) ? POLLIN : 0;
}

static int run(struct ask *a)
{
    int err = attach(a);

    if (err > 0)
        return poll_file(a);
    if (err == 0 && drained(a))
        err = wait_cells(a);
    while (err == 0) {
        int ready = told(a);
        if (!ready)
            ready = look(a);
        if (ready < 0 || ready & (a->events | ALWAYS))
            return ready < 0 ? ready : ready & (a->events | ALWAYS);
        err = ready != 0 ? wait_apart(a) : wait_cells(a);
    }
    return err;
}

int weft_poll(int fd, short events)
{
    struct ask a = { .events = events };

    int err = wf_ready_open(&a.r, fd, WF_READ, "weft_poll");
    if (err < 0)
        return err;
    a.all = directions(events);
    int ready;
    do {
        a.n = 0;
        ready = run(&a);
    } while (wf_unlikely(ready == -EBADF) && wf_ready_anew(&a.r));
    if (!a.r.parked)
        wf_spend();
    return ready;
}

// --- For a select --------------------------------------------------------------------

int wf_poll_look(int fd, short events)
{
    return ask_now(fd, events);
}

bool wf_poll_may(int fd, short events)
{
    struct wf_ready r = { .self = wf_self(), .fd = fd };
    short all = directions(events);

    wf_ready_find(&r);
    if (!r.source || r.kind == WF_KIND_UNKNOWN || !wf_source_is_own(r.source))
        return true; // others may have closed it: the cells are not to be trusted
    return (all & IN && wf_cell_value(&r.source->ready[WF_READ])) ||
           (all & OUT && wf_cell_value(&r.source->ready[WF_WRITE]));
}

// cells_of says what cells the nodes are for.  Returns: how many.
static int cells_of(const struct wf_poll *p, int fd, short events, struct wf_cell *cells[2])
{
    struct wf_reactor *r = wf_rt_current()->reactor;
    struct wf_source *s = wf_source_get(r, fd);
    short all = directions(events);
    int n = 0;

    if (p->set >= 0) {
        cells[0] = &wf_source_get(r, p->set)->ready[WF_READ];
        cells[1] = &s->changed;
        return 2;
    }
    if (all & IN)
        cells[n++] = &s->ready[WF_READ];
    if (all & OUT)
        cells[n++] = &s->ready[WF_WRITE];
    return n;
}

static int join_cells(struct wf_poll *p, struct ask *a)
{
    int ready;

    while ((ready = look(a)) == 0) {
        if (clear(&a->r, a->cells, a->seen, a->n) && push(p, &a->r, a->cells, a->n))
            return 0;
        int err = wf_ready_same(&a->r);
        if (err < 0)
            return err;
    }
    return ready;
}

// join_set is wait_set for a select.
static int join_set(struct wf_poll *p, struct ask *a)
{
    struct wf_ready set = { .self = a->r.self, .direction = WF_READ, .call = a->r.call, .fd = p->set };
    struct wf_cell *cells[2];
    uintptr_t seen[2];
    int err = wf_ready_attach_as(&set, WF_KIND_OTHER);

    while (err == 0) {
        if ((err = look_alone(a, &set, cells, seen)) != 0)
            return err;
        if (clear(&a->r, cells, seen, 2) && push(p, &a->r, cells, 2))
            return 0;
    }
    return err;
}

// join is one attempt of wf_poll_join.
static int join(struct wf_poll *p, struct ask *a)
{
    int ready = attach(a);

    if (ready != 0)
        return ready > 0 ? poll_file(a) : ready;
    if (p->generation && a->r.generation != p->generation)
        return -EBADF;
    p->generation = a->r.generation;
    if (p->set < 0) {
        ready = join_cells(p, a);
        if (ready <= 0 || ready & (a->events | ALWAYS))
            return ready < 0 ? ready : ready & (a->events | ALWAYS);
        p->set = open_set(a);
        if (p->set < 0)
            return p->set;
    }
    return join_set(p, a);
}

int wf_poll_join(struct wf_poll *p, int fd, short events)
{
    struct ask a = { .events = events, .all = directions(events) };
    int ready;

    a.r = (struct wf_ready){ .self = wf_self(), .fd = fd, .call = "weft_select", .fixed = p->generation != 0 };
    wf_ready_find(&a.r);
    if (p->generation && (!a.r.source || a.r.generation != p->generation))
        return -EBADF;
    while ((ready = join(p, &a)) == -EBADF && wf_ready_anew(&a.r)) {
        wf_poll_end(p);
        wf_poll_begin(p);
        a.n = 0;
    }
    return ready;
}

bool wf_poll_chosen(const struct wf_poll *p, int fd, short events)
{
    struct wf_cell *cells[2];
    return chosen(p, cells_of(p, fd, events, cells));
}

void wf_poll_leave(struct wf_poll *p, int fd, short events)
{
    const struct wf_ready r = { .self = wf_self(), .fd = fd, .call = "weft_select" };
    struct wf_cell *cells[2];

    pull(p, &r, cells, cells_of(p, fd, events, cells));
}

void wf_poll_end(struct wf_poll *p)
{
    if (p->set >= 0)
        weft_close(p->set);
}
