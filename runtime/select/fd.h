// Readiness as a case of weft_select: look, join, and look again when woken.
//
//        begin --> join --> (0: joined) --> chosen --> leave --> end        (each is wf_select_fd_...)
//                 ^   |                                  |  ^
//                 |   +-- (what is ready, or an error) --|--+
//                 +--------------------------------------+  (look again)
//
// What makes a direction ready may not be what the case waits for; so a node that is
// chosen only says when to look.
#ifndef WF_RUNTIME_SELECT_FD_H
#define WF_RUNTIME_SELECT_FD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cell.h"

// T: the task that waits. `fd` and `events` of the calls below are the same ones
// throughout.
struct wf_select_fd {
    struct wf_cell_node nodes[2]; // in cells while joined
    uint32_t generation;          // T: the source's at the first join, 0 before
    int set;                      // T: an epoll set of its own (runtime/io/poll.c), or -1
};

// wf_select_fd_look asks poll(2). Returns: what is ready of `events`, and errors; 0; -EBADF.
int wf_select_fd_look(int fd, short events);

// wf_select_fd_may tells whether that is worth asking: false if the descriptor is known not
// to be ready, though not by now, perhaps, for the reactor's news may be a little late.
bool wf_select_fd_may(int fd, short events);

static inline void wf_select_fd_begin(struct wf_select_fd *p)
{
    p->generation = 0;
    p->set = -1;
}

// wf_select_fd_join waits for the next edge, if nothing is ready: the task will be woken.
// Returns: 0: it is joined; what is ready, above 0; -EBADF, if the descriptor was
//          closed since the first join, too; -EPERM: a file that is not ready, and
//          never will be; -ENOMEM; -EMFILE and the like.
int wf_select_fd_join(struct wf_select_fd *p, int fd, short events);

// wf_select_fd_chosen tells whether to look again: then leave, and join.  Only while joined.
bool wf_select_fd_chosen(struct wf_select_fd *p, int fd, short events);

// wf_select_fd_leave ends what wf_select_fd_join has begun.  Only while joined. wf_select_fd_end gives
// back what is left.
void wf_select_fd_leave(struct wf_select_fd *p, int fd, short events);
void wf_select_fd_end(struct wf_select_fd *p);

#endif
