// A process, from its start (spawn.c) to its end (process.c).
#ifndef WF_RUNTIME_OS_PROCESS_H
#define WF_RUNTIME_OS_PROCESS_H

#include <pthread.h>
#include <sys/stat.h>
#include <weft/process.h>

#include "base/compiler.h"

// The program's end of a pipe. The program may have closed it, and its number may mean
// another file: so it is identified by its inode.
struct wf_process_pipe {
    int fd; // -1: there is none
    ino_t ino;
};

// I: fixed at the start; L: under the lock
struct weft_process {
    pid_t pid;                      // I
    int pidfd;                      // I: -1: the system has none
    struct wf_process_pipe pipe[3]; // I
    bool new_group;                 // I
    int kill_signal;                // I
    weft_time kill_grace;           // I
    pthread_mutex_t lock;
    bool gone;  // L: a wait has returned its status, so its number may be another's
    int err;    // L: -ECHILD if its status is not known
    int status; // L
};

// wf_process_read_opts copies the caller's options. It refuses the larger struct of a
// newer program. Returns: 0; -EINVAL.
WF_MUST_CHECK int wf_process_read_opts(weft_process_opts *o, const weft_process_opts *given);

// wf_process_attach opens the pidfd of a process that has just been started.
// Context: any thread.
void wf_process_attach(weft_process *p);

// wf_process_drop frees a process that has ended, or has not begun, and closes its pipes.
void wf_process_drop(weft_process *p);

#endif
