// Readiness as a case of weft_select: check, join, and check again when woken.
//
//        begin --> join --> (0: joined) --> chosen --> leave --> end        (each is wf_select_fd_...)
//                 ^   |                                  |  ^
//                 |   +-- (what is ready, or an error) --|--+
//                 +--------------------------------------+  (look again)
//
// A direction may become ready by an event that the case does not wait for. So a chosen
// node only says when to check again.
#ifndef WF_RUNTIME_SELECT_FD_H
#define WF_RUNTIME_SELECT_FD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cell.h"

// T: the waiting task. All calls below get the same `fd` and `events`.
struct wf_select_fd {
    struct wf_cell_node nodes[2]; // in cells while joined
    uint32_t generation;          // T: the source's at the first join, 0 before
    int set;                      // T: an epoll set of its own (runtime/io/poll.c), or -1
};

// wf_select_fd_look asks poll(2). Returns: what is ready of `events`, and errors; 0; -EBADF.
int wf_select_fd_look(int fd, short events);

// wf_select_fd_may tells whether to call poll(2): false if the cells say that the
// descriptor is not ready. That may be slightly out of date, because the reactor sets
// the cells a little later.
bool wf_select_fd_may(int fd, short events);

static inline void wf_select_fd_begin(struct wf_select_fd *p)
{
    p->generation = 0;
    p->set = -1;
}

// wf_select_fd_join pushes the nodes if nothing is ready, so that the next edge wakes
// the task. Returns: 0: it has joined; what is ready, above 0; -EBADF, also if the
// descriptor was closed since the first join; -EPERM: a file that is not ready, and
// never will be; -ENOMEM; -EMFILE and the like.
int wf_select_fd_join(struct wf_select_fd *p, int fd, short events);

// wf_select_fd_chosen tells whether to check again: then leave, and join. Only while
// joined.
bool wf_select_fd_chosen(struct wf_select_fd *p, int fd, short events);

// wf_select_fd_leave undoes wf_select_fd_join. Only while joined. wf_select_fd_end
// releases the rest.
void wf_select_fd_leave(struct wf_select_fd *p, int fd, short events);
void wf_select_fd_end(struct wf_select_fd *p);

#endif
