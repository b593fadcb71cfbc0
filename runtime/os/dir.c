// Folders: getdents64 on a thread reads as many entries as fit into one page, or eight;
// weft_dir_next returns them from memory.
#include <weft/file.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/sys.h"
#include "runtime/os/job.h"
#include "runtime/wait/wait.h"

enum { BATCH = 32 << 10 };

struct weft_dir {
    int fd;
    int err;        // the error at the end of the last batch; the next call returns it
    size_t at, end; // in `batch`
    _Alignas(struct dirent64) char batch[BATCH];
};

struct dir_call {
    struct wf_os_job job;
    weft_dir *dir;
    const char *path;
};

static struct dirent64 *entry_at(weft_dir *d, size_t at)
{
    return (struct dirent64 *)(d->batch + at);
}

// sys_find_types finds the types of the entries, on a file system whose folders do not
// have them.
WF_NOINLINE static void sys_find_types(weft_dir *d)
{
    struct stat st;

    for (size_t at = 0; at < d->end; at += entry_at(d, at)->d_reclen) {
        struct dirent64 *e = entry_at(d, at);
        if (e->d_type == DT_UNKNOWN && wf_sys_fstatat(d->fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            e->d_type = (unsigned char)IFTODT(st.st_mode);
    }
}

// sys_getdents reads the next batch.
static ssize_t sys_getdents(weft_dir *d)
{
    ssize_t got = wf_sys_getdents64(d->fd, d->batch, BATCH);

    d->at = 0;
    d->end = got > 0 ? (size_t)got : 0;
    sys_find_types(d);
    return got == -ENOENT ? 0 : got; // the folder was removed: then it is empty
}

static ssize_t run_fill(struct wf_os_job *job)
{
    return sys_getdents(wf_container_of(job, struct dir_call, job)->dir);
}

// run_open_dir also reads the first batch, so that the first weft_dir_next needs no
// thread.
static ssize_t run_open_dir(struct wf_os_job *job)
{
    struct dir_call *c = wf_container_of(job, struct dir_call, job);

    int fd = wf_os_open(job, c->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0)
        return fd;
    c->dir->fd = fd;
    ssize_t got = sys_getdents(c->dir);
    c->dir->err = got < 0 ? (int)got : 0;
    return 0;
}

int weft_dir_open(weft_dir **out, const char *path)
{
    struct dir_call c = { .job = { .fn = run_open_dir, .call = "weft_dir_open" }, .path = path };

    *out = NULL;
    int err = wf_wait_begin("weft_dir_open");
    if (err < 0)
        return err;
    c.dir = wf_alloc(sizeof(*c.dir));
    if (!c.dir)
        return -ENOMEM;
    err = (int)wf_os_run(&c.job);
    if (err < 0)
        wf_free(c.dir);
    else
        *out = c.dir;
    return err;
}

// is_self_or_parent recognises the two entries that every folder has.
static bool is_self_or_parent(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

// take_entry takes the next entry out of the batch. Returns: 1; 0: the batch is empty;
// -ENAMETOOLONG.
static int take_entry(weft_dir *d, weft_dirent *e)
{
    while (d->at < d->end) {
        const struct dirent64 *next = entry_at(d, d->at);
        size_t length = strlen(next->d_name);
        wf_debug_assert(next->d_reclen > 0 && next->d_reclen <= d->end - d->at);
        d->at += next->d_reclen;
        if (is_self_or_parent(next->d_name))
            continue;
        if (length >= sizeof(e->name))
            return -ENAMETOOLONG;
        memcpy(e->name, next->d_name, length + 1);
        e->type = next->d_type;
        return 1;
    }
    return 0;
}

// fill_batch reads the next batch.  Returns: 1; 0 at the end; an error.
static int fill_batch(weft_dir *d)
{
    struct dir_call c = { .job = { .fn = run_fill, .call = "weft_dir_next" }, .dir = d };
    int err = d->err;

    wf_assert(d->at == d->end && err <= 0); // otherwise entries would be skipped
    d->err = 0;
    if (err < 0)
        return err;
    ssize_t got = wf_os_run(&c.job);
    return got > 0 ? 1 : (int)got;
}

int weft_dir_next(weft_dir *d, weft_dirent *e)
{
    struct wf_task *self = wf_require_task("weft_dir_next");
    int got = wf_check_cancel(self);

    if (got < 0)
        return got;
    while ((got = take_entry(d, e)) == 0)
        if ((got = fill_batch(d)) <= 0)
            return got;
    wf_budget_consume(self);
    return got;
}

void weft_dir_close(weft_dir *d)
{
    if (!d)
        return;
    (void)wf_sys_close(d->fd);
    wf_free(d);
}
