// weft's own signal handlers: installed while they have users, beside those of the
// program.
//
// A signal that is not for weft goes where it would go without weft: to the program's
// earlier handler, or to the default action. A handler that the program installs later,
// over weft's, stays. It may pass signals on to weft's handler, which exists until the
// end of the process for that.
//
// In a child of fork no handler has users, whatever users it had in the parent process;
// the child inherits the disposition. If weft's handler replaced the default action,
// the child has the default action again; an exclusive handler restores the previous
// disposition.
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
    bool only_default;                                   // I: installed only if the disposition is the default action
    bool exclusive;                                      // I: installed in place of any disposition, also a handler
    unsigned users;                                      // L
    bool known;                                          // L: in the list of all
    _Atomic bool covered;                                // L: the program's handler covers it; or has covered, at some
                                                         // time, over an exclusive one
    struct sigaction previous;                           // P: the disposition before
    struct wf_handler *next;                             // L
};

// wf_handler_use installs `h` for its first user, wf_handler_drop removes it after the
// last one.
// Context: any thread.
void wf_handler_use(struct wf_handler *h);
//
// wf_handler_try_use is wf_handler_use for a caller that may itself be a signal handler.
// Returns: false if another thread has the lock.
bool wf_handler_try_use(struct wf_handler *h);
void wf_handler_drop(struct wf_handler *h);

// wf_handler_pass_on gives the signal its effect without `h`, at once or by raising it
// again.
// Context: `h->fn`, which should return after it.
void wf_handler_pass_on(struct wf_handler *h, siginfo_t *info, void *context);

// For the `fn` of an exclusive handler that runs when the handler has no users any
// more. wf_handler_installed tells whether the kernel would call `fn` again. If not,
// the kernel called `fn` before the last user left: wf_handler_again raises the signal
// again, which then has its old effect (unless a handler of the program covers `h`,
// because that may have called `fn`). If so, the program has reinstalled `h`:
// wf_handler_stand_aside restores the default action, and gives the signal to it.
bool wf_handler_installed(const struct wf_handler *h);
void wf_handler_again(const struct wf_handler *h, siginfo_t *info);
void wf_handler_stand_aside(struct wf_handler *h, siginfo_t *info, void *context);

#endif
