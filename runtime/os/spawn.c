// The start of a process: pipes on the worker, posix_spawn(3) on the blocking pool.
//
// It runs on the pool, because posix_spawn blocks its caller until the child's
// execve(2) has read the program: half a millisecond from a warm page cache, without
// bound from a file server. (/bin/true, 32 tasks, two workers: 3000 a second with the
// pool, 1300 on the workers.) Also, the child inherits the thread's CPUs and timer
// slack: a thread of the pool has those of the program, a worker may not.
//
// The child's descriptors are set in three steps. Before them, each descriptor that
// will become 0, 1 or 2 has a number above 2, or the right number already: so no step
// overwrites a descriptor that a later step needs. Then all descriptors above 2 are
// closed.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <unistd.h>
#include <weft/io.h>
#include <weft/time.h>

#include "base/assert.h"
#include "base/descriptor.h"
#include "base/mem.h"
#include "base/sys.h"
#include "runtime/task/blocking.h"
#include "runtime/io/ready.h"
#include "runtime/os/process.h"
#include "runtime/state.h"
#include "runtime/wait/wait.h"

#define GRACE_DEFAULT WEFT_S(5)

extern char **environ;

// One call of weft_process_spawn, on the stack of its task, which waits for the job.
struct start {
    weft_process_opts o;
    weft_process *p;
    int given[3];   // the sources of the child's descriptors: WEFT_NULL, or a number; KEEP
    int made[3];    // those of them to close afterwards, or -1
    char *alone[2]; // argv, if the caller gives none
};

enum { KEEP = -3 };

// --- Options -------------------------------------------------------------------------

int wf_process_read_opts(weft_process_opts *o, const weft_process_opts *given)
{
    if (given->size > sizeof(*o) || given->size < sizeof(given->size))
        return -EINVAL;
    memcpy(o, given, given->size);
    o->size = sizeof(*o);
    return 0;
}

// read_opts fills in the defaults.
static int read_opts(struct start *s, const weft_process_opts *given)
{
    weft_process_opts *o = &s->o;
    int err = wf_process_read_opts(o, given);

    if (err < 0)
        return err;
    if (!o->path && o->argv)
        o->path = o->argv[0];
    if (!o->path || o->kill_signal < 0 || o->kill_signal > SIGRTMAX || o->kill_grace < 0)
        return -EINVAL;
    s->alone[0] = (char *)(uintptr_t)o->path; // execve(2) does not write to it
    if (!o->argv)
        o->argv = s->alone;
    if (!o->envp)
        o->envp = environ;
    if (!o->kill_signal)
        o->kill_signal = SIGTERM;
    if (!o->kill_grace)
        o->kill_grace = GRACE_DEFAULT;
    return 0;
}

// --- Descriptors ---------------------------------------------------------------------

// sys_pipe makes a pipe whose ends are above 2. Returns: 0; -errno.
static int sys_pipe(int fd[2])
{
    return wf_fault() ? -EMFILE : wf_pipe_above_standard(fd, O_CLOEXEC);
}

// sys_ours gives the program's end O_NONBLOCK, as weft's own descriptors have.
WF_NOINLINE static ino_t sys_ours(int fd)
{
    struct stat now = { .st_ino = 0 };

    (void)wf_sys_fcntl(fd, F_SETFL, wf_sys_fcntl(fd, F_GETFL, 0) | O_NONBLOCK);
    (void)wf_sys_fstat(fd, &now);
    return now.st_ino;
}

// sys_copy duplicates a descriptor with a standard number to a higher one. Returns: the
// copy; -errno.
static int sys_copy(int fd)
{
    if (wf_fault())
        return -EMFILE;
    return wf_sys_fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

static int make_child_pipe(struct start *s, int i)
{
    int fd[2], theirs = i == 0 ? 0 : 1;
    int err = sys_pipe(fd);

    if (err < 0)
        return err;
    s->given[i] = s->made[i] = fd[theirs];
    s->p->pipe[i].fd = fd[!theirs];
    s->p->pipe[i].ino = sys_ours(fd[!theirs]);
    wf_ready_fresh(fd[!theirs]);
    return 0;
}

static int prepare_descriptor(struct start *s, int i, int asked)
{
    if (asked == WEFT_PIPE)
        return make_child_pipe(s, i);
    if (asked < WEFT_PIPE)
        return -EINVAL;
    s->given[i] = asked == 0 ? KEEP : asked;
    if (asked <= 0 || asked > STDERR_FILENO || asked == i)
        return 0;
    s->given[i] = s->made[i] = sys_copy(asked);
    return s->made[i] < 0 ? s->made[i] : 0;
}

static int prepare_all(struct start *s)
{
    const int asked[3] = { s->o.in, s->o.out, s->o.err };
    int err = 0;

    for (int i = 0; i < 3 && err == 0; i++)
        err = prepare_descriptor(s, i, asked[i]);
    return err;
}

// --- posix_spawn ---------------------------------------------------------------------

static int add_descriptor(posix_spawn_file_actions_t *a, int i, int given)
{
    if (given == KEEP)
        return 0;
    if (given == WEFT_NULL)
        return posix_spawn_file_actions_addopen(a, i, "/dev/null", i == 0 ? O_RDONLY : O_WRONLY, 0);
    wf_assert(given == i || given > STDERR_FILENO); // otherwise an earlier step has overwritten it
    return posix_spawn_file_actions_adddup2(a, given, i);
}

static int add_actions(posix_spawn_file_actions_t *a, const struct start *s)
{
    int err = s->o.cwd ? posix_spawn_file_actions_addchdir_np(a, s->o.cwd) : 0;

    for (int i = 0; i < 3 && !err; i++)
        err = add_descriptor(a, i, s->given[i]);
    return err ? err : posix_spawn_file_actions_addclosefrom_np(a, STDERR_FILENO + 1);
}

// stays_ignored tells whether children inherit that this signal is ignored.
static bool stays_ignored(int signo)
{
    struct sigaction now;
    return sigaction(signo, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

static void set_attributes(posix_spawnattr_t *a, const struct start *s)
{
    static const int of_sessions[] = { SIGHUP, SIGINT, SIGQUIT };
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | (s->o.new_group ? POSIX_SPAWN_SETPGROUP : 0);
    sigset_t none, all;

    sigemptyset(&none);
    memset(&all, 0xff, sizeof(all)); // including the C library's own two, which sigfillset leaves out
    for (size_t i = 0; i < wf_countof(of_sessions); i++)
        if (stays_ignored(of_sessions[i]))
            sigdelset(&all, of_sessions[i]);
    posix_spawnattr_setsigmask(a, &none); // cannot fail: these only write to the caller's memory
    posix_spawnattr_setsigdefault(a, &all);
    posix_spawnattr_setpgroup(a, 0);
    posix_spawnattr_setflags(a, flags);
}

static int call_posix_spawn(struct start *s, const posix_spawn_file_actions_t *actions)
{
    posix_spawnattr_t attributes;

    if (wf_fault())
        return EAGAIN;
    posix_spawnattr_init(&attributes);
    set_attributes(&attributes, s);
    int err = posix_spawnp(&s->p->pid, s->o.path, actions, &attributes, s->o.argv, s->o.envp);
    posix_spawnattr_destroy(&attributes);
    return err;
}

// start_process is the job's function.
static int start_process(void *arg)
{
    struct start *s = arg;
    posix_spawn_file_actions_t actions;

    posix_spawn_file_actions_init(&actions);
    int err = wf_fault() ? ENOMEM : add_actions(&actions, s);
    if (!err)
        err = call_posix_spawn(s, &actions);
    posix_spawn_file_actions_destroy(&actions);
    if (!err)
        wf_process_attach(s->p);
    return -err;
}

// --- The call ------------------------------------------------------------------------

static weft_process *new_process(const weft_process_opts *o)
{
    weft_process *p = wf_alloc(sizeof(*p));

    if (!p)
        return NULL;
    pthread_mutex_init(&p->lock, NULL);
    p->pidfd = -1;
    for (int i = 0; i < 3; i++)
        p->pipe[i].fd = -1;
    p->new_group = o->new_group;
    p->kill_signal = o->kill_signal;
    p->kill_grace = o->kill_grace;
    return p;
}

static void close_made(const struct start *s)
{
    for (int i = 0; i < 3; i++)
        if (s->made[i] >= 0)
            (void)wf_sys_close(s->made[i]);
}

int weft_process_spawn(weft_process **out, const weft_process_opts *o)
{
    struct start s = { .made = { -1, -1, -1 } };
    int err = wf_wait_begin("weft_process_spawn");

    if (err == 0)
        err = read_opts(&s, o);
    if (err < 0)
        return err;
    s.p = new_process(&s.o);
    if (!s.p)
        return -ENOMEM;
    err = prepare_all(&s);
    if (err == 0)
        err = wf_pool_run(wf_rt_current()->blocking, WF_LANE_USER, start_process, &s, "weft_process_spawn");
    close_made(&s);
    if (err < 0) {
        wf_assert(s.p->pid == 0); // otherwise a process runs that no task can reach
        wf_process_drop(s.p);
        return err;
    }
    if (s.p->pidfd >= 0)
        wf_ready_fresh(s.p->pidfd);
    *out = s.p;
    return 0;
}
