#include "runtime/os/job.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "base/sys.h"
#include "runtime/state.h"
#include "runtime/task/blocking.h"
#include "runtime/wait/wait.h"

// call_fn calls again after EINTR: a signal of the program interrupts calls on some
// file systems.
static ssize_t call_fn(void *arg)
{
    struct wf_os_job *job = arg;
    ssize_t result;

    do
        result = job->fn(job);
    while (result == -EINTR && !wf_os_cut(job));
    return result;
}

static int run_os_job(void *arg)
{
    struct wf_os_job *job = arg;
    job->result = job->may_block ? wf_interruptible(&job->interrupt, call_fn, job) : call_fn(job);
    return 0;
}

// await_os_job waits for the job. A cancel interrupts a job that has begun, if the job
// allows it.
static int await_os_job(struct wf_cell *done, void *arg)
{
    struct wf_os_job *job = arg;
    int err = wf_wait_cell(done, WEFT_NEVER, job->call, 0);

    if (err < 0)
        wf_interrupt(&job->interrupt);
    return err;
}

// run_in makes the call in a lane. *refused: the system has no thread (the call itself
// may return -EAGAIN, too).
static ssize_t run_in(struct wf_os_job *job, enum wf_lane lane, bool *refused)
{
    wf_debug_assert(job->may_block == (lane == WF_LANE_USER)); // so that it does not delay calls on other files
    int err = wf_pool_run_while(wf_rt_current()->blocking, lane, run_os_job, job, job->call, await_os_job);

    *refused = err == -EAGAIN;
    return err < 0 ? err : job->result;
}

ssize_t wf_os_run(struct wf_os_job *job)
{
    bool refused;
    int err = wf_wait_begin(job->call);

    if (err < 0)
        return err;
    wf_interrupt_init(&job->interrupt);
    job->may_block = false;
    ssize_t result = run_in(job, WF_LANE_FILE, &refused);
    if (refused)
        result = call_fn(job);
    if (result == WF_OS_BLOCKS) {
        job->may_block = true;
        result = run_in(job, WF_LANE_USER, &refused);
    }
    wf_debug_assert(result != WF_OS_BLOCKS);
    if (result == -EINTR && (err = wf_check_cancel(wf_self())) < 0)
        return err;
    return result;
}

// may_block tells whether the open may wait for another party.
static bool may_block(const char *path)
{
    struct stat st;
    return wf_sys_fstatat(AT_FDCWD, path, &st, 0) == 0 && (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode));
}

int wf_os_open(const struct wf_os_job *job, const char *path, int flags, mode_t mode)
{
    int fd;

    if (!job->may_block && !(flags & (O_NONBLOCK | O_PATH | O_DIRECTORY)) && may_block(path))
        return WF_OS_BLOCKS;
    do
        fd = wf_sys_openat(AT_FDCWD, path, flags, mode);
    while (fd == -EINTR && !wf_os_cut(job));
    return fd;
}
