// SIGPIPE. A thread of weft's that writes to a closed pipe gets EPIPE, and no signal
// besides: while runtimes live, a handler that does nothing stands in place of the
// default action. Not SIG_IGN, nor a mask, which programs that are started meanwhile
// would inherit; exec turns a handler into the default action again.
//
// On other threads, and for one that was sent, the signal does what it does without
// weft. If the program ignores SIGPIPE, or has a handler, that stays as it is.
#ifndef WF_BASE_SIGPIPE_H
#define WF_BASE_SIGPIPE_H

#include <stdbool.h>

// wf_sigpipe_use installs the handler for its first user, wf_sigpipe_drop removes it
// after the last one.
// Context: any thread.
void wf_sigpipe_use(void);
void wf_sigpipe_drop(void);

// wf_sigpipe_spare says whether the calling thread is one of weft's. Returns: what it
// was before.
bool wf_sigpipe_spare(bool spare);

#endif
