// Processes: programs that tasks start, wait for, and end.
//
//     weft_process_opts o = WEFT_PROCESS_OPTS_INIT;
//     weft_output out = { .max = 1 << 20 };
//     o.argv = (char *[]){ "git", "log", "-1", NULL };
//     int err = weft_process_run(&o, NULL, 0, &out);        // its output is in out.out and out.err
//     if (!err && WIFEXITED(out.status) && WEXITSTATUS(out.status) == 0)
//         ...
//     free(out.out);
//     free(out.err);
//
// A program begins as a shell would start it: no signal is blocked, and each has its
// default action (SIGHUP, SIGINT and SIGQUIT stay ignored if they are, as nohup and a
// shell's & want). Standard input, output and error are what the options say; no other
// descriptor is open, close-on-exec or not. The new program may use all CPUs that this
// program may use.
//
// weft waits for the process by a descriptor for just this process (pidfd_open(2)). It
// does not use SIGCHLD, and does not wait for the program's other children. But the
// kernel reports a process's exit status only once, to the first that asks. If another
// part of the program calls wait(2) or waitpid(-1), or SIGCHLD is ignored, weft's calls
// still return when the process has ended, but with -ECHILD, because its status is
// lost. Without a pidfd (before Linux 5.4; filtered; no descriptor left) weft checks
// for the end repeatedly, at most 32 ms apart.
//
// In a test run (weft/test.h) processes are real, and the virtual time jumps while they
// work, unless weft_test_config.outside says how long to wait for them.
#ifndef WEFT_PROCESS_H
#define WEFT_PROCESS_H

#include <sys/types.h>
#include <sys/wait.h> // WIFEXITED and the others
#include <weft/base.h>

WEFT_BEGIN_DECLS

typedef struct weft_process weft_process;

// What a standard descriptor of the process may be, besides a descriptor of the
// program.
enum {
    WEFT_NULL = -1, // /dev/null
    WEFT_PIPE = -2, // a pipe, whose other end is weft_process_pipe
};

// weft_process_opts: start from WEFT_PROCESS_OPTS_INIT. Everything that it points to
// must stay valid until weft_process_spawn returns.
typedef struct weft_process_opts {
    size_t size;          // sizeof(weft_process_opts): lets the struct grow
    const char *path;     // the program: without a '/' it is looked for in PATH; NULL: argv[0]
    char *const *argv;    // its arguments, from the name on, up to a NULL; NULL: only the name, `path`
    char *const *envp;    // its environment; NULL: the program's own
    const char *cwd;      // its working directory, where a relative `path` begins, too; NULL: the program's own
    int in, out, err;     // its descriptors 0, 1, 2. 0: the program's own descriptor of that number; WEFT_NULL;
                          // WEFT_PIPE; else a descriptor, which stays the caller's. To join two, pass your own pipe for
                          // both
    bool new_group;       // it leads a new process group, and weft_process_close ends the whole group
    int kill_signal;      // the first signal that weft_process_close sends; 0: SIGTERM
    weft_time kill_grace; // how long after that it sends SIGKILL; 0: 5 s; WEFT_NEVER
} weft_process_opts;

#ifdef __cplusplus
#define WEFT_PROCESS_OPTS_INIT { sizeof(weft_process_opts), nullptr, nullptr, nullptr, nullptr, 0, 0, 0, false, 0, 0 }
#else
#define WEFT_PROCESS_OPTS_INIT { .size = sizeof(weft_process_opts) }
#endif

// weft_process_spawn starts a program, by posix_spawn(3) on the blocking pool. That
// takes about a millisecond, more if the program is on a slow file system.
//
// Returns: 0, and the process in *out; -ENOENT: the program, or the directory, does not exist;
//          -EACCES, -ENOEXEC, -E2BIG and what else execve(2) returns; -EBADF: a
//          descriptor in `o` is closed; -EINVAL: an option out of range, or neither path
//          nor argv; -EMFILE, -ENFILE, -EAGAIN: no descriptors for pipes, no process, no
//          thread; -ENOMEM; -ECANCELED, -ETIMEDOUT.
// Context: task. May park, so the caller may continue on another thread.
// Cancel:  on an error no program runs. If the program has started before the cancel
//          took effect, the call returns 0.
// Owns:    *out belongs to the caller until weft_process_close.
WEFT_API WEFT_MUST_CHECK int weft_process_spawn(weft_process **out, const weft_process_opts *o);

// weft_process_wait waits until the process has ended, and stores its status, as that of
// waitpid(2) (WIFEXITED and so on), in *status (may be NULL). Any number of tasks may
// wait, and again. A process that writes to a pipe that is not read does not end.
//
// Returns: 0; -ECHILD: it has ended, but its status is lost, as described above;
//          -ECANCELED, -ETIMEDOUT.
// Context: task. May park, so the caller may continue on another thread.
// Cancel:  the process goes on; wait again, or close it.
WEFT_API int weft_process_wait(weft_process *p, int *status);

// weft_process_signal sends a signal to the process (not to its group), if it has not
// been waited for yet. It never reaches another process that has reused the number.
//
// Returns: 0, also if it has ended and not been waited for; -ESRCH: it has ended;
//          -EINVAL: no such signal; -EPERM.
// Context: any thread, until weft_process_close. Never parks.
WEFT_API int weft_process_signal(weft_process *p, int signo);

// weft_process_pid is the number of the process. The number is not reused until the
// process has been waited for.
// Context: any thread, until weft_process_close. Never parks; weft_process_pipe the same.
WEFT_API pid_t weft_process_pid(const weft_process *p);

// weft_process_pipe is the program's end of the pipe that is the process's descriptor
// `which` (0, 1, 2): for weft_write or weft_read. Once weft_close has closed it, the
// process reads the end of its input, or can write no more. weft_process_close closes
// the pipes that are still open.
//
// Returns: the descriptor; -EBADF: there is none, because the options did not ask for it.
WEFT_API int weft_process_pipe(const weft_process *p, int which);

// weft_process_close ends the process if it still runs, waits for its end, closes the
// pipes that are still open, and frees `p`. To end it, the call sends kill_signal, and
// after kill_grace SIGKILL. With new_group it sends them to the whole group. It then
// also sends SIGKILL to the processes that remain in the group, even if `p` has ended
// by itself; but not after weft_process_wait has returned the status, because the
// group's number may have been reused. Without new_group, the call only waits for a
// process that has ended by itself, so it may be called after weft_process_wait, or
// instead. NULL does nothing.
//
// A cancelled scope ends its processes if each of its tasks closes the processes that
// it has started, as it closes its descriptors.
//
// Returns: 0; -ECHILD as weft_process_wait; -EPERM: the process now has other
//          credentials, and cannot be ended: it goes on, and the call does not wait for
//          it.
// Context: task. Not a cancellation point: a cancelled task waits as well. The caller
//          may continue on another thread. A task on the reserve stack (weft/task.h)
//          cannot park: it sends SIGKILL right after kill_signal, and its worker blocks
//          until the process ends.
WEFT_API int weft_process_close(weft_process *p);

// weft_output: the limit that the caller sets for weft_process_run, and its results.
typedef struct weft_output {
    size_t max;     // the most bytes to capture of each output: set by the caller
    int status;     // as of weft_process_wait
    void *out;      // what it wrote to descriptor 1, and a 0 behind it: free(3) it. NULL if that was not captured
    size_t out_len; // without that 0
    void *err;      // and to descriptor 2
    size_t err_len;
} weft_output;

// weft_process_run starts a program, writes the `n` bytes at `in` to its standard input
// and closes that, reads what it writes to descriptors 1 and 2, both at the same time,
// and waits until the program and both outputs have ended. (If it leaves another
// process behind that has its outputs open, the call waits for that one, too.) The
// program may end its input early, which is not an error.
//
// `in` NULL: o->in says what its input is; o->in must be 0 otherwise. o->out and o->err:
// 0 or WEFT_PIPE are captured; with any other value the output goes there, and is not
// captured.
//
// Returns: 0, whatever the status; -EMSGSIZE: the program has written more than
//          out->max bytes to one output, and was ended as by weft_process_close;
//          -EINVAL: o->in; else what weft_process_spawn and _wait return; -ENOMEM, and
//          the process was ended.
// Context: task. May park, so the caller may continue on another thread.
// Cancel:  the process is ended, as by weft_process_close, before the call returns.
// Owns:    on 0 out->out and out->err are the caller's, on an error they are NULL.
WEFT_API int weft_process_run(const weft_process_opts *o, const void *in, size_t n, weft_output *out);

WEFT_END_DECLS

#endif
