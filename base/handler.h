// Signal handlers of weft's own: installed while they have users, among those of the
// program.
//
// What a handler does not want goes where it would have gone without it: to the
// program's handler, installed before, or to the default action. A handler that the
// program has installed meanwhile, over weft's, stays; it may pass signals on to
// weft's, which is there for that to the end of the process.
//
// In a child of fork no handler has users, whatever users it had in the parent process;
// the child inherits the disposition. If weft's handler stood in place of the default
// action, the child has the default action again.
#ifndef WF_BASE_HANDLER_H
#define WF_BASE_HANDLER_H

#include <signal.h>
#include <stdbool.h>

// I: fixed; L: under the lock of all handlers; P: written under the lock while this
// handler is not installed
struct wf_handler {
    int signal;                                          // I
    void (*fn)(int sig, siginfo_t *info, void *context); // I
    int flags;                                           // I: of sigaction, besides SA_SIGINFO and SA_ONSTACK
    bool only_default;                                   // I: installed only in place of the default action
    unsigned users;                                      // L
    bool known;                                          // L: in the list of all
    bool covered;                                        // L: the program's handler lies over it
    struct sigaction previous;                           // P: what was there before
    struct wf_handler *next;                             // L
};

// wf_handler_use installs `h` for its first user, wf_handler_drop removes it after the
// last one.
// Context: any thread.
void wf_handler_use(struct wf_handler *h);
void wf_handler_drop(struct wf_handler *h);

// wf_handler_pass_on does what the signal would do without `h`, or sees to it that it
// comes once more and does so then.
// Context: `h->fn`, which should return after it.
void wf_handler_pass_on(struct wf_handler *h, siginfo_t *info, void *context);

#endif
