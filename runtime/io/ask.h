// The part that weft_poll and a select share: ask poll(2) what is ready, and wait for
// the next edge. The head of poll.c explains it.
#ifndef WF_RUNTIME_ASK_H
#define WF_RUNTIME_ASK_H

#include <poll.h>

#include "runtime/io/ready.h"

enum {
    WF_ASK_IN = POLLIN | POLLRDNORM | POLLRDBAND | POLLPRI | POLLRDHUP, // events that make a source ready to read
    WF_ASK_OUT = POLLOUT | POLLWRNORM | POLLWRBAND,                     // and to write
    WF_ASK_ALWAYS = POLLERR | POLLHUP | POLLNVAL,                       // what poll(2) always reports, for both
};

// The directions that one weft_poll waits for.
struct wf_ask {
    struct wf_ready r; // its `direction` is not used
    short events;
    short all; // the events, and everything else that makes the same directions ready
    int n;
    struct wf_cell *cells[2];
    uintptr_t seen[2];
};

// wf_ask_now is wf_poll_now, but a closed number is an error.
static inline int wf_ask_now(int fd, short events)
{
    int ready = wf_poll_now(fd, events);
    return ready > 0 && ready & POLLNVAL ? -EBADF : ready;
}

// wf_ask_look notes the words of the cells, and then asks poll(2). Returns: the ready
// events of `all`.
static inline int wf_ask_look(struct wf_ask *a)
{
    for (int i = 0; i < a->n; i++)
        a->seen[i] = wf_cell_value(a->cells[i]);
    return wf_ask_now(a->r.fd, a->all);
}

// wf_ask_clear empties the cells that were set at wf_ask_look. Returns: false if one
// has changed since, or the descriptor was closed: then poll(2) may have answered for
// another one.
static inline bool wf_ask_clear(const struct wf_ready *r, struct wf_cell *const *cells, const uintptr_t *seen, int n)
{
    if (wf_ready_same(r) < 0)
        return false;
    for (int i = 0; i < n; i++)
        if (seen[i] && !wf_cell_clear(cells[i], seen[i]))
            return false;
    return true;
}

// wf_ask_directions is everything that makes the same directions ready as the events
// do. If the events belong to no direction, one direction is enough, because an error
// or a hang-up makes both ready.
static inline short wf_ask_directions(short events)
{
    return (short)((events & WF_ASK_IN || !(events & WF_ASK_OUT) ? WF_ASK_IN : 0) |
                   (events & WF_ASK_OUT ? WF_ASK_OUT : 0));
}

// wf_ask_set is the set of these cells, for a call on `r`.
static inline struct wf_wait_set wf_ask_set(const struct wf_ready *r, struct wf_cell *const *cells,
                                            struct wf_cell_node *nodes, int n)
{
    return (struct wf_wait_set){ r->self, cells, nodes, n, 0, r->call, r->fd };
}

// wf_ask_push enters the cells, all of them.
// Returns: false if one of them is set, or the descriptor was closed (reactor/source.c,
// G3); then no node is in a cell.
static inline bool wf_ask_push(struct wf_wait_set *s, struct wf_ready *r)
{
    if (wf_wait_set_push(s) && wf_ready_confirm(r) == 0)
        return true;
    wf_wait_set_pull(s);
    return false;
}

// wf_ask_look_alone notes the words of two cells (that of `set`, and that of the
// descriptor's end), and then asks poll(2) for just the events.
// Returns: what is ready; -EBADF.
int wf_ask_look_alone(const struct wf_ask *a, const struct wf_ready *set, struct wf_cell *cells[2], uintptr_t seen[2]);

// wf_ask_open_set makes an epoll set with just the events wanted.
// Returns: its descriptor; -EMFILE and the like.
int wf_ask_open_set(const struct wf_ask *a);

// wf_ask_attach registers the descriptor, in the mode in which it is.
// Returns: 1 if it cannot be waited for.
int wf_ask_attach(struct wf_ask *a);

// wf_ask_file is for a file that cannot be waited for: its readiness never changes from
// what poll(2) says.
int wf_ask_file(const struct wf_ask *a);

#endif
