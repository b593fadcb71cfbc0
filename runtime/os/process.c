// A process until its end.
//
// The kernel frees the number of a process when a wait has returned its status (or at
// its end, if SIGCHLD is ignored). So every use of the number, and the wait that frees
// it, happens under the process's lock; `gone` says that the number is free. If other
// code has waited for the process, waitid(2) returns ECHILD. The pidfd needs no such
// care: it always means this process, and becomes readable when the process has ended,
// even if other code has waited for it.
#include "runtime/os/process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weft/io.h>
#include <weft/scope.h>
#include <weft/time.h>

#include "base/assert.h"
#include "base/descriptor.h"
#include "base/mem.h"
#include "base/sys.h"
#include "runtime/io/ready.h"
#include "runtime/wait/wait.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

#define PAUSE_MIN WEFT_MS(1) // between two checks of a process without a pidfd
#define PAUSE_MAX WEFT_MS(32)

// --- System calls --------------------------------------------------------------------

static int sys_pidfd_open(pid_t pid)
{
    if (wf_fault())
        return -ENOSYS;
    return wf_above_standard(wf_sys_pidfd_open(pid));
}

// sys_wait returns 1, and the status in `info`, if the process has ended; 0 if not;
// -errno.
static int sys_wait(const weft_process *p, siginfo_t *info, int options)
{
    bool by_fd = p->pidfd >= 0;
    id_t id = (id_t)(by_fd ? p->pidfd : p->pid);

    info->si_pid = 0;
    int err = (int)WF_RETRY(wf_sys_waitid(by_fd ? P_PIDFD : P_PID, id, info, WEXITED | options));
    return err < 0 ? err : info->si_pid != 0;
}

static int sys_kill(pid_t pid, int signo)
{
    wf_assert(pid != 0 && pid != -1); // 0 means the program's own group, -1 all processes
    return wf_sys_kill(pid, signo);
}

// sys_signal sends by the pidfd. It uses the number only if a filter forbids that call,
// which may return EPERM, too.
static int sys_signal(const weft_process *p, int signo)
{
    if (p->pidfd < 0 || wf_fault())
        return sys_kill(p->pid, signo);
    int err = wf_sys_pidfd_send_signal(p->pidfd, signo);
    return err == -ENOSYS || err == -EPERM ? sys_kill(p->pid, signo) : err;
}

WF_NOINLINE static ino_t sys_file(int fd)
{
    struct stat now;
    return wf_sys_fstat(fd, &now) == 0 && S_ISFIFO(now.st_mode) ? now.st_ino : 0;
}

// --- What has become of it -----------------------------------------------------------

static int status_of(const siginfo_t *info)
{
    if (info->si_code == CLD_EXITED)
        return (info->si_status & 0xff) << 8;
    return (info->si_status & 0x7f) | (info->si_code == CLD_DUMPED ? 0x80 : 0);
}

// check_process asserts that the fields agree. Context: under the lock.
static void check_process(const weft_process *p)
{
    wf_assert(p->pid > 0);
    wf_assert(p->gone || (p->err == 0 && p->status == 0));
    wf_assert(p->err == 0 || (p->err < 0 && p->status == 0));
}

// reap_locked takes the status if the process has ended. Returns: true if it has ended.
// Context: under the lock.
static bool reap_locked(weft_process *p, int options)
{
    siginfo_t info;

    wf_debug_check(check_process(p));
    if (p->gone)
        return true;
    int result = sys_wait(p, &info, options);
    if (result == 0)
        return false;
    p->gone = true;
    p->err = result < 0 ? result : 0;
    p->status = result < 0 ? 0 : status_of(&info);
    return true;
}

static bool reap_now(weft_process *p)
{
    pthread_mutex_lock(&p->lock);
    bool ended = reap_locked(p, WNOHANG);
    pthread_mutex_unlock(&p->lock);
    return ended;
}

// has_ended tells whether the process has ended, but does not free its number, nor its
// group's.
static bool has_ended(weft_process *p)
{
    siginfo_t info;

    pthread_mutex_lock(&p->lock);
    bool ended = p->gone || sys_wait(p, &info, WNOHANG | WNOWAIT) != 0;
    pthread_mutex_unlock(&p->lock);
    return ended;
}

// If the pidfd is not of a child, other code has already waited for the process, and
// another one had its number when the pidfd was made.
void wf_process_attach(weft_process *p)
{
    siginfo_t info;

    p->pidfd = sys_pidfd_open(p->pid);
    int result = p->pidfd < 0 ? 0 : sys_wait(p, &info, WNOHANG | WNOWAIT);
    if (result >= 0)
        return;
    (void)wf_sys_close(p->pidfd);
    p->pidfd = -1;
    p->gone = result == -ECHILD; // otherwise the kernel has no P_PIDFD: wait by the number
    p->err = p->gone ? -ECHILD : 0;
}

// --- Waiting -------------------------------------------------------------------------

// park_until_end parks until the process may have ended. Returns: 0; -ECANCELED and the
// like.
static int park_until_end(const weft_process *p, weft_time *pause)
{
    int ready = p->pidfd >= 0 ? weft_poll(p->pidfd, POLLIN) : -ENOSYS;

    if (ready >= 0 || ready == -ECANCELED || ready == -ETIMEDOUT)
        return ready < 0 ? ready : 0;
    *pause = *pause ? *pause * 2 : PAUSE_MIN;
    if (*pause > PAUSE_MAX)
        *pause = PAUSE_MAX;
    return weft_sleep(*pause);
}

int weft_process_wait(weft_process *p, int *status)
{
    weft_time pause = 0;
    int err = wf_wait_begin("weft_process_wait");

    while (err == 0 && !reap_now(p))
        err = park_until_end(p, &pause);
    if (err < 0)
        return err;
    if (pause == 0)
        wf_budget_consume_self();
    if (status && p->err == 0)
        *status = p->status;
    return p->err;
}

// --- Signals -------------------------------------------------------------------------

static int send_to(weft_process *p, int signo, bool group)
{
    siginfo_t info;
    int err = -ESRCH;

    pthread_mutex_lock(&p->lock);
    wf_debug_check(check_process(p));
    if (!p->gone && sys_wait(p, &info, WNOHANG | WNOWAIT) >= 0)
        err = group ? sys_kill(-p->pid, signo) : sys_signal(p, signo);
    pthread_mutex_unlock(&p->lock);
    return err;
}

int weft_process_signal(weft_process *p, int signo)
{
    return send_to(p, signo, false);
}

pid_t weft_process_pid(const weft_process *p)
{
    return p->pid;
}

// --- Pipes ---------------------------------------------------------------------------

int weft_process_pipe(const weft_process *p, int which)
{
    return which < 0 || which > 2 || p->pipe[which].fd < 0 ? -EBADF : p->pipe[which].fd;
}

static void close_pipes(const weft_process *p)
{
    for (int i = 0; i < 3; i++)
        if (p->pipe[i].fd >= 0 && sys_file(p->pipe[i].fd) == p->pipe[i].ino)
            weft_close(p->pipe[i].fd);
}

// --- The end -------------------------------------------------------------------------

// await_exit waits until the deadline, or until the process has ended, without regard
// to the task's cancel and deadlines. Returns: true if the process has ended.
static bool await_exit(weft_process *p, weft_time deadline)
{
    weft_time pause = 0;
    weft_scope s;
    bool ended;

    weft_shield_begin(WEFT_NEVER);
    weft_scope_open(&s, WEFT_SCOPE_COLLECT);
    if (deadline != WEFT_NEVER)
        weft_scope_deadline(&s, deadline);
    while (!(ended = has_ended(p)) && park_until_end(p, &pause) == 0)
        ;
    weft_scope_close(&s);
    weft_shield_end();
    return ended;
}

// end_process ends the process. Returns: 0: it has ended, or will soon; -EPERM.
static int end_process(weft_process *p)
{
    int err = send_to(p, p->kill_signal, p->new_group);

    if (err != -EPERM && await_exit(p, weft_after(p->kill_grace)) && !p->new_group)
        return 0;
    err = send_to(p, SIGKILL, p->new_group); // with a group, to its remaining processes
    if (err == -EPERM && !has_ended(p))
        return err;
    await_exit(p, WEFT_NEVER);
    return 0;
}

// reap_finally takes the status of a process that has ended; or that got SIGKILL and
// whose end the task could not await, because it cannot park.
static int reap_finally(weft_process *p)
{
    pthread_mutex_lock(&p->lock);
    reap_locked(p, 0);
    wf_assert(p->gone); // otherwise its number would stay taken as long as the program runs
    int err = p->err;
    pthread_mutex_unlock(&p->lock);
    return err;
}

void wf_process_drop(weft_process *p)
{
    close_pipes(p);
    if (p->pidfd >= 0)
        weft_close(p->pidfd);
    pthread_mutex_destroy(&p->lock);
    wf_free(p);
}

int weft_process_close(weft_process *p)
{
    int err = 0;

    if (!p)
        return 0;
    wf_require_task("weft_process_close");
    if (!has_ended(p) || p->new_group) // with a group, end the processes that its leader has left
        err = end_process(p);
    if (err == 0)
        err = reap_finally(p);
    wf_process_drop(p);
    return err;
}
