// Readiness as a case of weft_select: look, join, and look again when woken.
//
//      wf_poll_begin --> wf_poll_join --> (0: joined) --> wf_poll_chosen --> wf_poll_leave --> wf_poll_end
//                            ^   |                                                |  ^
//                            |   +------- (what is ready, or an error) -----------|--+
//                            +----------------------------------------------------+  (look again)
//
// What makes a direction ready may not be what the case waits for; so a node that is
// chosen only says when to look.
#ifndef WF_RUNTIME_IO_POLL_H
#define WF_RUNTIME_IO_POLL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cell.h"

// T: the task that waits. `fd` and `events` of the calls below are the same ones
// throughout.
struct wf_poll {
    struct wf_cell_node nodes[2]; // in cells while joined
    uint32_t generation;          // T: the source's at the first join, 0 before
    int set;                      // T: an epoll set of its own (poll.c), or -1
};

// wf_poll_look asks poll(2). Returns: what is ready of `events`, and errors; 0; -EBADF.
int wf_poll_look(int fd, short events);

// wf_poll_may tells whether that is worth asking: false if the descriptor is known not
// to be ready, though not by now, perhaps, for the reactor's news may be a little late.
bool wf_poll_may(int fd, short events);

static inline void wf_poll_begin(struct wf_poll *p)
{
    p->generation = 0;
    p->set = -1;
}

// wf_poll_join waits for the next edge, if nothing is ready: the task will be woken.
// Returns: 0: it is joined; what is ready, above 0; -EBADF, if the descriptor was
//          closed since the first join, too; -EPERM: a file that is not ready, and
//          never will be; -ENOMEM; -EMFILE and the like.
int wf_poll_join(struct wf_poll *p, int fd, short events);

// wf_poll_chosen tells whether to look again: then leave, and join.  Only while joined.
bool wf_poll_chosen(const struct wf_poll *p, int fd, short events);

// wf_poll_leave ends what wf_poll_join has begun.  Only while joined. wf_poll_end gives
// back what is left.
void wf_poll_leave(struct wf_poll *p, int fd, short events);
void wf_poll_end(struct wf_poll *p);

#endif
