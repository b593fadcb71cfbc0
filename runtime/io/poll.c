// weft_poll: waiting for readiness itself. poll(2) says what is ready, the cells say when to ask again.
//
// The cells belong to all calls on the descriptor: one that is cleared must really be drained, or a reader would wait
// for bytes that are there. So weft_poll asks poll(2) for everything that makes a direction ready, and
//   - if nothing of it holds, clears the cell (if it still is as before poll(2)), and waits for it;
//   - if something holds, but not what the caller wants (it waits for POLLRDHUP, say, while bytes lie unread), the cell
//     stays, and there is no edge to wait for. Then it makes an epoll set of its own with just the events wanted, and
//     waits for that. Rare, but libraries do it: POLLPRI alone is how files in /sys and /proc report changes.
#include <poll.h>
#include <unistd.h>
#include <weft/io.h>

#include "runtime/io/ready.h"

enum {
    IN = POLLIN | POLLRDNORM | POLLRDBAND | POLLPRI | POLLRDHUP, // what makes a source ready to read
    OUT = POLLOUT | POLLWRNORM | POLLWRBAND,                     // and to write
    ALWAYS = POLLERR | POLLHUP | POLLNVAL,                       // what poll(2) reports unasked, of both
};

WF_NOINLINE static int sys_poll(int fd, short events)
{
    struct pollfd p = { .fd = fd, .events = events };

    if (TEMP_FAILURE_RETRY(poll(&p, 1, 0)) < 0)
        return -errno;
    return p.revents & POLLNVAL ? -EBADF : p.revents;
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

// same tells whether the descriptor is still the one that the call was made for.
static int same(struct ask *a)
{
    // acquire: as in wf_ready_wait
    return wf_load_acquire(&a->r.source->generation) == a->r.generation ? 0 : -EBADF;
}

// look asks poll(2), having noted what the cells say. Returns: what is ready of `all`.
static int look(struct ask *a)
{
    for (int i = 0; i < a->n; i++)
        a->seen[i] = wf_cell_value(a->cells[i]);
    return sys_poll(a->r.fd, a->all);
}

// clear empties the cells that were set when they were looked at. Returns: false if one has changed since.
static bool clear(struct wf_cell *const *cells, const uintptr_t *seen, int n)
{
    for (int i = 0; i < n; i++)
        if (seen[i] && !wf_cell_clear(cells[i], seen[i]))
            return false;
    return true;
}

// wait_cells waits for the next edge of a descriptor of which nothing is ready. Returns: 0: look again.
static int wait_cells(struct ask *a)
{
    if (!clear(a->cells, a->seen, a->n))
        return 0;
    int err = wf_wait_cells(a->cells, a->n, WEFT_NEVER, a->r.call, a->r.fd);
    a->r.parked = true;
    return err < 0 ? err : same(a);
}

// wait_set waits for the events alone, by an epoll set that nobody else uses, or for the end of the descriptor.
static int wait_set(struct ask *a, struct wf_ready *set)
{
    int err = wf_ready_attach_as(set, WF_KIND_OTHER);

    while (err == 0) {
        struct wf_cell *cells[2] = { &set->source->ready[WF_READ], &a->r.source->changed };
        uintptr_t seen[2] = { wf_cell_value(cells[0]), wf_cell_value(cells[1]) };
        if ((err = same(a)) < 0 || (err = sys_poll(a->r.fd, a->events)) != 0)
            return err;
        if (clear(cells, seen, 2))
            err = wf_wait_cells(cells, 2, WEFT_NEVER, a->r.call, a->r.fd);
        a->r.parked = true;
    }
    return err;
}

static int wait_apart(struct ask *a)
{
    struct wf_ready set = { .direction = WF_READ, .call = a->r.call };

    set.fd = wf_source_alone(a->r.fd, a->events);
    if (set.fd < 0)
        return set.fd;
    wf_ready_fresh(set.fd);
    int result = wait_set(a, &set);
    weft_close(set.fd);
    return result;
}

// attach registers the descriptor, in the mode in which it is. Returns: 1 if it cannot be waited for.
static int attach(struct ask *a)
{
    if (!a->r.source) {
        int err = wf_ready_attach_as(&a->r, WF_KIND_UNKNOWN);
        if (err < 0)
            return err == -EPERM ? 1 : err;
    }
    if (a->all & IN)
        a->cells[a->n++] = &a->r.source->ready[WF_READ];
    if (a->all & OUT)
        a->cells[a->n++] = &a->r.source->ready[WF_WRITE];
    return 0;
}

static int run(struct ask *a)
{
    int err = attach(a);

    if (err > 0) { // a file: always ready for what poll(2) says, never for more
        int ready = sys_poll(a->r.fd, a->events);
        return ready != 0 ? ready : -EPERM;
    }
    while (err == 0) {
        int ready = look(a);
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
    // For none of both: an error or a hang-up makes either direction ready, so one is enough.
    a.all = (short)((events & IN || !(events & OUT) ? IN : 0) | (events & OUT ? OUT : 0));
    int ready = run(&a);
    if (!a.r.parked)
        wf_spend();
    return ready;
}
