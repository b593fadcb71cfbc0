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
// action, the child has the default action again; an exclusive one gives back whatever
// there was.
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
    bool exclusive;                                      // I: installed in place of whatever there is, a handler too
    unsigned users;                                      // L
    bool known;                                          // L: in the list of all
    _Atomic bool covered;                                // L: the program's handler lies over it; or did, at some
                                                         // time, over an exclusive one
    struct sigaction previous;                           // P: what was there before
    struct wf_handler *next;                             // L
};

// wf_handler_use installs `h` for its first user, wf_handler_drop removes it after the
// last one.
// Context: any thread.
void wf_handler_use(struct wf_handler *h);
//
// wf_handler_try_use is wf_handler_use for a caller that may itself be a signal handler.
// Returns: false if the lock is taken.
bool wf_handler_try_use(struct wf_handler *h);
void wf_handler_drop(struct wf_handler *h);

// wf_handler_pass_on does what the signal would do without `h`, or sees to it that it
// comes once more and does so then.
// Context: `h->fn`, which should return after it.
void wf_handler_pass_on(struct wf_handler *h, siginfo_t *info, void *context);

// For a call of the `fn` of an exclusive one that finds that it has no users any more.
// wf_handler_installed: the kernel would call `fn` again. If not, then it was called
// before its last user left, but runs late: wf_handler_again has the signal come once
// more, to do what it did before (unless a handler of the program's has covered `h`, for
// that may have called `fn`). If so, then the program has put it back:
// wf_handler_stand_aside gives the default action back, and the signal to it.
bool wf_handler_installed(const struct wf_handler *h);
void wf_handler_again(const struct wf_handler *h, siginfo_t *info);
void wf_handler_stand_aside(struct wf_handler *h, siginfo_t *info, void *context);

#endif
