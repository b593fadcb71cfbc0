// System calls that cannot be told not to block: for those few that have no flag of
// their own, on a description that is in blocking mode and stays so.
//
// poll(2) has said that there is something, so that such a call blocks only if another
// process or thread takes it in the same moment. Then a timer of the thread's own
// interrupts it, after 10 ms: with EINTR, having done nothing. The signal is SIGURG,
// which by default does nothing. For the time of the call weft has a handler for it,
// which passes on to the program's what is not the timer's.
#ifndef WF_RUNTIME_IO_BOUNDED_H
#define WF_RUNTIME_IO_BOUNDED_H

#include "runtime/io/ready.h"

// wf_bounded makes one system call, once poll(2) has said that one of `events` holds.
// `call` must not retry on EINTR.
// Returns: what it does; -EAGAIN: there is nothing, or not any more; WF_TRY_LATER: the
// system refuses a timer.
// Context: a thread of the blocking pool.
ssize_t wf_bounded(int fd, short events, wf_ready_try *call, void *args);

#endif
