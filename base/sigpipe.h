// SIGPIPE. A thread of weft that writes to a closed pipe gets only EPIPE: while
// runtimes exist, a handler that does nothing replaces the default action. weft does
// not use SIG_IGN or a mask, which programs started then would inherit; exec turns a
// handler into the default action again.
//
// On other threads, or when a process sends it, the signal acts as without weft. If the
// program ignores SIGPIPE or handles it, weft changes nothing.
#ifndef WF_BASE_SIGPIPE_H
#define WF_BASE_SIGPIPE_H

#include <stdbool.h>

// wf_sigpipe_use installs the handler for its first user, wf_sigpipe_drop removes it
// after the last one.
// Context: any thread.
void wf_sigpipe_use(void);
void wf_sigpipe_drop(void);

// wf_sigpipe_spare sets whether the handler does nothing on the calling thread.
// Returns: the previous setting.
bool wf_sigpipe_spare(bool spare);

#endif
