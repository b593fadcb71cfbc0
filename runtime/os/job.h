// How a call on files, by path, gets a thread: one job for the whole call, however many
// system calls it makes.
//
//      wf_os_run ----> a thread of the file lane ----> its result
//                          |  it may block without end (a FIFO, a device)
//                          v
//                      a thread of the user lane, where a cancel interrupts it ----> its result
//
// The second lane is the program's own, as it is the program's own doing that a call
// waits there: so no number of such calls keeps others from their files.
#ifndef WF_RUNTIME_OS_JOB_H
#define WF_RUNTIME_OS_JOB_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "runtime/io/bounded.h"

// What a job says besides.
enum { WF_OS_BLOCKS = INT_MIN }; // it could block without end: once more, where that may be

// One call. Its arguments lie around it.
struct wf_os_job {
    ssize_t (*fn)(struct wf_os_job *job); // returns a result, -errno or WF_OS_BLOCKS
    const char *call;                     // names the wait in dumps
    bool may_block;                       // set for fn: it may block without end here
    struct wf_interrupt interrupt;        // a job of many steps looks here whether it is cut short
    ssize_t result;
};

// wf_os_run makes the call: fn, on a thread. If the system has none, it is made on the
// worker: better late for the others than never.
// Returns: what fn returns; -ECANCELED, -ETIMEDOUT: it was cut short before it began, or
//          said -EINTR; -EAGAIN: it may block, and there is no thread for it.
// Context: task.
ssize_t wf_os_run(struct wf_os_job *job);

// wf_os_cut tells a job of many steps whether to end, having undone what it has done.
// Returns: 0; -EINTR.
static inline int wf_os_cut(const struct wf_os_job *job)
{
    return wf_interrupt_asked(&job->interrupt) ? -EINTR : 0;
}

// wf_os_open is open(2) for a job.
// Returns: a descriptor; -errno; -EINTR: it was cut short; WF_OS_BLOCKS.
int wf_os_open(const struct wf_os_job *job, const char *path, int flags, mode_t mode);

#endif
