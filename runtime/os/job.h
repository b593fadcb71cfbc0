// How a call on files by path gets a thread: one job for the whole call, with all of
// its system calls.
//
//      wf_os_run ----> a thread of the file lane ----> its result
//                          |  it may block without end (a FIFO, a device)
//                          v
//                      a thread of the user lane, where a cancel interrupts it ----> its result
//
// The second lane is the one for the program's own jobs, because such a wait is the
// program's choice. So any number of such calls does not delay calls on other files.
#ifndef WF_RUNTIME_OS_JOB_H
#define WF_RUNTIME_OS_JOB_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "runtime/io/bounded.h"

// A further result of a job.
enum { WF_OS_BLOCKS = INT_MIN }; // it could block without end: run it again in the user lane

// One call. It is embedded in a struct with its arguments.
struct wf_os_job {
    ssize_t (*fn)(struct wf_os_job *job); // returns a result, -errno or WF_OS_BLOCKS
    const char *call;                     // names the wait in dumps
    bool may_block;                       // for fn: true if it may block without end here
    struct wf_interrupt interrupt;        // a job of many steps checks this for a cancel
    ssize_t result;
};

// wf_os_run makes the call: fn, on a thread. If the system refuses a thread, the call
// runs on the worker: it delays other tasks, but does not fail.
// Returns: the result of fn; -ECANCELED, -ETIMEDOUT: cancelled before it began, or fn
//          returned -EINTR; -EAGAIN: the call may block, and there is no thread for it.
// Context: task.
ssize_t wf_os_run(struct wf_os_job *job);

// wf_os_cut tells a job of many steps whether it was cancelled: then it must undo its
// steps and end.
// Returns: 0; -EINTR.
static inline int wf_os_cut(const struct wf_os_job *job)
{
    return wf_interrupt_asked(&job->interrupt) ? -EINTR : 0;
}

// wf_os_open is open(2) for a job.
// Returns: a descriptor; -errno; -EINTR: it was cancelled; WF_OS_BLOCKS.
int wf_os_open(const struct wf_os_job *job, const char *path, int flags, mode_t mode);

#endif
