// Whole files: read into memory, and replaced atomically.
//
// Replacing. At every moment the path leads to the old file or to the new one, and the
// new file's content reaches the disk before its name does:
//
//      write a file without a name (O_TMPFILE) ----> fsync ----> give it a name ----> rename(2) ----> fsync of
//                |  the file system has none                     beside the path      over the path   the folder
//                v
//      write a file of such a name ----> fsync ------------------------^
//
// A kill leaves behind only a file that has a name by then: none, or one. The names are
// random, so calls that replace the same file at the same time do not collide; the last
// rename wins. Each call uses one descriptor of the folder, so a rename of the folder
// does not matter.
//
// Rejected: one fixed name for each path, which the next call could reuse. That needs a
// lock to know which call may use it, and whether its last user still runs; and in a
// folder that other users may write to (/tmp) the file may be theirs.
#include <weft/file.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/sys.h"
#include "runtime/os/job.h"

enum {
    FIRST = 4096,           // the first room if the size is not known
    STEP = 1 << 20,         // bytes to write between two checks for a cancel
    NAMES = 16,             // how many names to try
    NAMELESS = INT_MIN + 1, // a step's result: the file needs a name from the beginning
};

// --- reading -------------------------------------------------------------------------

struct reading {
    struct wf_os_job job;
    const char *path;
    size_t max;
    char *data;     // becomes the caller's: malloc's memory
    size_t n, room; // bytes in it, and its size
};

// grow_data makes room for one more byte than the content may have. Returns: 0;
// -ENOMEM.
static int grow_data(struct reading *c, size_t room)
{
    wf_assert(room > c->n);
    char *more = wf_fault() ? NULL : realloc(c->data, room);

    if (!more)
        return -ENOMEM;
    c->data = more;
    c->room = room;
    return 0;
}

// first_room is the file's size plus 1, if the size is known. Returns: 0: the size is
// too large. The extra byte stays unused.
static size_t first_room(int fd, size_t max)
{
    struct stat st;
    size_t most = max < SIZE_MAX ? max + 1 : max;

    if (wf_sys_fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
        return most < FIRST ? most : FIRST;
    return (uintmax_t)st.st_size > max ? 0 : (size_t)st.st_size + 1;
}

// next_room doubles the room, up to one byte more than the content may have.
static size_t next_room(const struct reading *c)
{
    size_t most = c->max < SIZE_MAX ? c->max + 1 : c->max;
    return c->room > most / 2 ? most : 2 * c->room;
}

// read_to_end reads until the file ends, or until it has read one byte more than `max`.
static int read_to_end(struct reading *c, int fd)
{
    for (;;) {
        wf_assert(c->n < c->room); // otherwise a read of no bytes would look like the end
        ssize_t got = wf_sys_read(fd, c->data + c->n, c->room - c->n < STEP ? c->room - c->n : STEP);
        int err = got > 0 || got == -EINTR ? wf_os_cut(&c->job) : (int)got;
        if (err < 0 || got == 0)
            return err;
        c->n += got > 0 ? (size_t)got : 0;
        if (c->n > c->max)
            return -EMSGSIZE;
        if (c->n == c->room && (err = grow_data(c, next_room(c))) < 0)
            return err;
    }
}

static int read_all(struct reading *c, int fd)
{
    size_t room = first_room(fd, c->max);

    if (room == 0)
        return -EMSGSIZE;
    int err = grow_data(c, room);
    if (err == 0)
        err = read_to_end(c, fd);
    if (err == 0)
        c->data[c->n] = 0; // there is room: the last read had some, and got nothing
    return err;
}

WF_NOINLINE static ssize_t run_read(struct wf_os_job *job)
{
    struct reading *c = wf_container_of(job, struct reading, job);
    int fd = wf_os_open(job, c->path, O_RDONLY | O_CLOEXEC, 0);

    if (fd < 0)
        return fd;
    int err = read_all(c, fd);
    (void)wf_sys_close(fd);
    if (err < 0) {
        free(c->data);
        c->data = NULL;
        c->n = 0;
    }
    return err;
}

int weft_file_read(const char *path, void **data, size_t *n, size_t max)
{
    struct reading c = { .job = { .fn = run_read, .call = "weft_file_read" }, .path = path, .max = max };

    int err = (int)wf_os_run(&c.job);
    *data = c.data;
    *n = c.n;
    return err;
}

// --- replacing -----------------------------------------------------------------------

struct writing {
    struct wf_os_job job;
    const char *path, *data;
    size_t n;
    const char *name;   // of the file, in its folder
    char *target;       // the path without symbolic links, PATH_MAX bytes
    int folder;         // its descriptor
    struct stat old;    // the old file's
    bool replaces;      // the path has an old file
    char temporary[24]; // the new file's first name; "": none
};

// A signal of the program may interrupt a call on a network file system.
static int sys_openat(int at, const char *path, int flags, mode_t mode)
{
    return (int)WF_RETRY(wf_sys_openat(at, path, flags | O_CLOEXEC, mode));
}

// follow_link follows symbolic links from c->target on, to a path that does not exist
// yet.
// Returns: 0; -ELOOP; -ENAMETOOLONG.
static int follow_link(struct writing *c)
{
    enum { LINKS_MAX = 40 }; // as in the kernel

    for (int i = 0; i < LINKS_MAX; i++) {
        char link[PATH_MAX];
        ssize_t n = wf_sys_readlinkat(AT_FDCWD, c->target, link, sizeof(link));
        if (n < 0)
            return 0;
        char *slash = link[0] == '/' ? NULL : strrchr(c->target, '/');
        size_t at = slash ? (size_t)(slash + 1 - c->target) : 0;
        if (at + (size_t)n >= PATH_MAX)
            return -ENAMETOOLONG;
        memcpy(c->target + at, link, (size_t)n);
        c->target[at + (size_t)n] = 0;
    }
    return -ELOOP;
}

// find_target follows symbolic links.  Returns: 0; -errno.
static int find_target(struct writing *c)
{
    size_t length = strlen(c->path);

    if (realpath(c->path, c->target))
        return 0;
    if (errno != ENOENT)
        return -errno;
    if (length == 0 || length >= PATH_MAX)
        return length == 0 ? -ENOENT : -ENAMETOOLONG;
    memcpy(c->target, c->path, length + 1);
    return follow_link(c);
}

// open_folder splits the target. Returns: 0; -errno.
static int open_folder(struct writing *c)
{
    char *slash = strrchr(c->target, '/');
    const char *folder = slash == c->target ? "/" : slash ? c->target : ".";

    c->name = slash ? slash + 1 : c->target;
    if (slash)
        *slash = 0;
    if (!*c->name)
        return -EISDIR;
    c->folder = sys_openat(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY, 0);
    return c->folder < 0 ? c->folder : 0;
}

// look_at_old reads the attributes of the old file. Returns: 0; -errno; -EISDIR,
// -EINVAL: it is not a regular file.
static int look_at_old(struct writing *c)
{
    int err = wf_sys_fstatat(c->folder, c->name, &c->old, AT_SYMLINK_NOFOLLOW);

    c->replaces = err == 0;
    if (!c->replaces)
        return err == -ENOENT ? 0 : err;
    if (S_ISDIR(c->old.st_mode))
        return -EISDIR;
    return S_ISREG(c->old.st_mode) ? 0 : -EINVAL;
}

// draw_name makes up a name for the new file.
static void draw_name(struct writing *c)
{
    uint64_t lot;

    if (wf_sys_getrandom(&lot, sizeof(lot), 0) != sizeof(lot)) // fails only on kernels without it
        lot = (uint64_t)(uintptr_t)c ^ (uint64_t)wf_sys_getpid() << 32;
    snprintf(c->temporary, sizeof(c->temporary), ".weft-%016" PRIx64, lot);
}

// mode_of_new is the mode until keep_mode: until then only the owner may access a file
// that replaces another.
static mode_t mode_of_new(const struct writing *c)
{
    return c->replaces ? 0600 : 0666;
}

// open_nameless opens a new file without a name. Returns: a descriptor; NAMELESS.
static int open_nameless(struct writing *c)
{
    int fd = sys_openat(c->folder, ".", O_WRONLY | O_TMPFILE, mode_of_new(c));
    return fd < 0 ? NAMELESS : fd;
}

// open_named opens a new file with a name. Returns: a descriptor; -errno.
static int open_named(struct writing *c)
{
    int fd = -EEXIST;

    wf_assert(!*c->temporary); // otherwise the file of this name would be left behind
    for (int i = 0; i < NAMES && fd == -EEXIST; i++) {
        draw_name(c);
        fd = sys_openat(c->folder, c->temporary, O_WRONLY | O_CREAT | O_EXCL, mode_of_new(c));
    }
    if (fd < 0)
        c->temporary[0] = 0;
    return fd;
}

// keep_mode gives the new file the old one's owner, if the caller may, and its mode;
// without the set-user-ID and set-group-ID bits if the owner differs.
static int keep_mode(const struct writing *c, int fd)
{
    mode_t mode = c->old.st_mode & 07777;

    if (!c->replaces)
        return 0;
    if (wf_sys_fchown(fd, c->old.st_uid, c->old.st_gid) < 0)
        mode &= (mode_t) ~(S_ISUID | S_ISGID);
    return wf_sys_fchmod(fd, mode);
}

static int write_data(const struct writing *c, int fd)
{
    for (size_t at = 0; at < c->n;) {
        int err = wf_os_cut(&c->job);
        if (err < 0)
            return err;
        ssize_t put = wf_sys_write(fd, c->data + at, c->n - at < STEP ? c->n - at : STEP);
        if (put < 0 && put != -EINTR)
            return (int)put;
        if (put == 0)
            return -EIO; // as weft_write_all
        at += put > 0 ? (size_t)put : 0;
    }
    return (int)WF_RETRY(wf_sys_fsync(fd));
}

// give_name names a file that has none.  Returns: 0; -errno; NAMELESS: impossible,
// because there is no /proc.
static int give_name(struct writing *c, int fd)
{
    char self[32];
    int err = -EEXIST;

    snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
    for (int i = 0; i < NAMES && err == -EEXIST; i++) {
        draw_name(c);
        err = wf_sys_linkat(AT_FDCWD, self, c->folder, c->temporary, AT_SYMLINK_FOLLOW);
    }
    if (err < 0)
        c->temporary[0] = 0;
    return err == -ENOENT ? NAMELESS : err;
}

static int fill_file(struct writing *c, int fd)
{
    int err = keep_mode(c, fd);
    if (err == 0)
        err = write_data(c, fd);
    if (err == 0 && !*c->temporary)
        err = give_name(c, fd);
    return err;
}

// sync_folder brings the folder to the disk. Some file systems return an error because
// they have nothing to write.
static int sync_folder(const struct writing *c)
{
    int err = (int)WF_RETRY(wf_sys_fsync(c->folder));
    return err == -EINVAL ? 0 : err;
}

// put_in_place gives the new file the name of the old one. From then on the call has
// succeeded, and cannot be cancelled.
static int put_in_place(struct writing *c)
{
    int err = wf_os_cut(&c->job);

    wf_assert(*c->temporary && !strchr(c->temporary, '/')); // it is in the folder, under its temporary name
    if (err == 0)
        err = wf_sys_renameat(c->folder, c->temporary, c->folder, c->name);
    if (err == 0)
        return sync_folder(c);
    (void)wf_sys_unlinkat(c->folder, c->temporary, 0);
    return err;
}

// replace writes the new file, which is open, and puts it in place.
static int replace(struct writing *c, int fd)
{
    if (fd < 0)
        return fd;
    int err = fill_file(c, fd);
    (void)wf_sys_close(fd);
    if (err == 0)
        return put_in_place(c);
    if (*c->temporary)
        (void)wf_sys_unlinkat(c->folder, c->temporary, 0);
    return err;
}

WF_NOINLINE static ssize_t run_write(struct wf_os_job *job)
{
    struct writing *c = wf_container_of(job, struct writing, job);
    char target[PATH_MAX];

    c->target = target;
    c->temporary[0] = 0;
    int err = find_target(c);
    if (err == 0)
        err = open_folder(c);
    if (err < 0)
        return err;
    err = look_at_old(c);
    if (err == 0)
        err = replace(c, open_nameless(c));
    if (err == NAMELESS)
        err = replace(c, open_named(c));
    (void)wf_sys_close(c->folder);
    return err;
}

int weft_file_write(const char *path, const void *data, size_t n)
{
    struct writing c = { .job = { .fn = run_write, .call = "weft_file_write" }, .path = path, .data = data, .n = n };
    return (int)wf_os_run(&c.job);
}
