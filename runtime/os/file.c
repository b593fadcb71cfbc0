// Calls on files: by descriptor, and by path.
//
// A call on a descriptor is a job of runtime/io/ready.c, which stays with the file that
// the number meant when the call began. Only weft_pread may avoid the job: RWF_NOWAIT
// reads from the page cache, and never waits for the disk.
//   - Before Linux 5.11 it may report the end of the file too early.
//   - It stops at the end of the cached part as at the end of the file. So after fewer
//     bytes than asked for the call reads again, and only a result of 0 is the end.
//   - Files in memory (tmpfs) do not support the flag, but they need no disk.
//   - Copying takes time, too: a read of more than CACHED_MAX goes to a thread, so that
//     other tasks do not wait for it.
// weft_read does not use the flag: the kernel takes a lock for the file's position,
// which another thread may hold while it waits for the disk.
#include <weft/file.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/sys.h"
#include "runtime/io/ready.h"
#include "runtime/os/job.h"

enum { CACHED_MAX = 256 << 10 };

// --- by descriptor -------------------------------------------------------------------

struct piece {
    char *base;
    size_t n;
    off_t offset;
};

static ssize_t sys_pread(int fd, void *args)
{
    struct piece *p = args;
    return WF_RETRY(wf_sys_pread(fd, p->base, p->n, p->offset));
}

static ssize_t sys_pwrite(int fd, void *args)
{
    struct piece *p = args;
    return WF_RETRY(wf_sys_pwrite(fd, p->base, p->n, p->offset));
}

static ssize_t sys_fsync(int fd, void *args)
{
    (void)args;
    return WF_RETRY(wf_sys_fsync(fd));
}

static ssize_t sys_ftruncate(int fd, void *args)
{
    return WF_RETRY(wf_sys_ftruncate(fd, *(off_t *)args));
}

static ssize_t sys_pread_now(int fd, const struct piece *p)
{
    struct iovec v = { p->base, p->n };
    return WF_RETRY(wf_sys_preadv2(fd, &v, 1, p->offset, RWF_NOWAIT));
}

// sys_tells_the_end checks that RWF_NOWAIT distinguishes the end of the cache from the
// end of the file.
WF_NOINLINE static bool sys_tells_the_end(void)
{
    struct utsname u;
    unsigned major = 0, minor = 0;
    return wf_sys_uname(&u) == 0 && sscanf(u.release, "%u.%u", &major, &minor) == 2 &&
           (major > 5 || (major == 5 && minor >= 11));
}

// cache_is_usable asks the system once.
static bool cache_is_usable(void)
{
    enum { UNKNOWN, NO, YES };
    static _Atomic int known;

    int is = wf_load_relaxed(&known); // relaxed, both: all callers find the same answer
    if (wf_unlikely(is == UNKNOWN)) {
        is = sys_tells_the_end() ? YES : NO;
        wf_store_relaxed(&known, is);
    }
    return is == YES;
}

// sys_is_memory tells whether the file is on a file system without a disk.
WF_NOINLINE static bool sys_is_memory(int fd)
{
    struct statfs fs;
    return wf_sys_fstatfs(fd, &fs) == 0 &&
           (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC || fs.f_type == HUGETLBFS_MAGIC);
}

// is_for_a_thread tells whether a thread must read: the cache does not have the bytes,
// or the file does not support the flag. An error that may have another cause comes
// again from the thread's call.
static bool is_for_a_thread(ssize_t got)
{
    return got == -EAGAIN || got == -EOPNOTSUPP || got == -ENOSYS || got == -EINVAL || got == -EPERM;
}

// read_cached reads until the piece is full, the file ends, or the cache ends; `p` is
// the rest. Returns: false if the cache ends; else true, and in *result an error, if
// any.
static bool read_cached(int fd, struct piece *p, ssize_t *result)
{
    while (p->n > 0) {
        ssize_t got = sys_pread_now(fd, p);
        if (got == -EOPNOTSUPP && sys_is_memory(fd))
            got = sys_pread(fd, p);
        if (is_for_a_thread(got))
            return false;
        if (got <= 0) {
            *result = got;
            return true;
        }
        p->base += got;
        p->offset += got;
        p->n -= (size_t)got;
    }
    return true;
}

ssize_t weft_pread(int fd, void *buf, size_t n, off_t offset)
{
    struct piece rest = { buf, n, offset };
    struct wf_ready r;
    ssize_t result = 0;

    int err = wf_ready_open(&r, fd, WF_READ, "weft_pread");
    if (err < 0)
        return err;
    if (offset < 0) // -1 means the file's position to preadv2
        return -EINVAL;
    if (n == 0)
        return wf_ready_once(fd, sys_pread, &rest);
    if (n <= CACHED_MAX && cache_is_usable() && read_cached(fd, &rest, &result))
        wf_budget_consume(r.self);
    else
        result = wf_ready_stored(&r, sys_pread, &rest);
    ssize_t cached = rest.base - (char *)buf;
    wf_debug_assert(cached >= 0 && (size_t)cached + rest.n == n && rest.offset == offset + cached);
    return cached == 0 || result > 0 ? cached + result : cached;
}

// call_stored makes a call on a descriptor, on a thread.
static ssize_t call_stored(int fd, wf_ready_try *fn, void *args, const char *call)
{
    struct wf_ready r;
    int err = wf_ready_open(&r, fd, WF_WRITE, call);
    return err < 0 ? err : wf_ready_stored(&r, fn, args);
}

ssize_t weft_pwrite(int fd, const void *buf, size_t n, off_t offset)
{
    return call_stored(fd, sys_pwrite, &(struct piece){ (char *)buf, n, offset }, "weft_pwrite");
}

int weft_fsync(int fd)
{
    return (int)call_stored(fd, sys_fsync, NULL, "weft_fsync");
}

int weft_ftruncate(int fd, off_t length)
{
    return (int)call_stored(fd, sys_ftruncate, &length, "weft_ftruncate");
}

// --- by path -------------------------------------------------------------------------

// The arguments of all calls by path.
struct path_call {
    struct wf_os_job job;
    const char *path, *to;
    char *pattern;
    struct stat *st;
    int flags;
    mode_t mode;
};

static const struct path_call *of(const struct wf_os_job *job)
{
    return wf_container_of(job, struct path_call, job);
}

static ssize_t run_open(struct wf_os_job *job)
{
    const struct path_call *c = of(job);
    return wf_os_open(job, c->path, c->flags, c->mode);
}

static ssize_t run_stat(struct wf_os_job *job)
{
    return wf_sys_fstatat(AT_FDCWD, of(job)->path, of(job)->st, 0);
}

static ssize_t run_rename(struct wf_os_job *job)
{
    return wf_sys_renameat(AT_FDCWD, of(job)->path, AT_FDCWD, of(job)->to);
}

static ssize_t run_unlink(struct wf_os_job *job)
{
    return wf_sys_unlinkat(AT_FDCWD, of(job)->path, 0);
}

static ssize_t run_mkdir(struct wf_os_job *job)
{
    return wf_sys_mkdirat(AT_FDCWD, of(job)->path, of(job)->mode);
}

WF_NOINLINE static ssize_t run_mkdtemp(struct wf_os_job *job)
{
    return mkdtemp(of(job)->pattern) ? 0 : -errno;
}

int weft_open(const char *path, int flags, mode_t mode)
{
    struct path_call c = { .job = { .fn = run_open, .call = "weft_open" }, .path = path, .flags = flags, .mode = mode };
    return (int)wf_os_run(&c.job);
}

int weft_stat(const char *path, struct stat *st)
{
    struct path_call c = { .job = { .fn = run_stat, .call = "weft_stat" }, .path = path, .st = st };
    return (int)wf_os_run(&c.job);
}

int weft_rename(const char *from, const char *to)
{
    struct path_call c = { .job = { .fn = run_rename, .call = "weft_rename" }, .path = from, .to = to };
    return (int)wf_os_run(&c.job);
}

int weft_unlink(const char *path)
{
    struct path_call c = { .job = { .fn = run_unlink, .call = "weft_unlink" }, .path = path };
    return (int)wf_os_run(&c.job);
}

int weft_mkdir(const char *path, mode_t mode)
{
    struct path_call c = { .job = { .fn = run_mkdir, .call = "weft_mkdir" }, .path = path, .mode = mode };
    return (int)wf_os_run(&c.job);
}

int weft_mkdtemp(char *path)
{
    struct path_call c = { .job = { .fn = run_mkdtemp, .call = "weft_mkdtemp" }, .pattern = path };
    return (int)wf_os_run(&c.job);
}
