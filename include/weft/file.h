// Files and folders, without blocking a worker: the POSIX calls of the same names, and
// three tasks that are easy to get wrong (whole files, folders, replacing a file).
//
// Most of these calls run on weft's own threads (blocking.h), because no other way to
// wait for a disk works for every file and in every sandbox. weft_pread tries the page
// cache first, on the worker; data found there needs no thread.
//
// A call on a descriptor stays with the file that it began with, as io.h says of jobs
// in the pool. A descriptor of weft_open may be closed by weft_close or by close(2). If
// a task has waited on it (a FIFO, a terminal), it must be closed by weft_close.
//
// The arguments are those of the POSIX call. Memory passed to a call must stay valid
// until the call returns.
//
// Common to all calls below, unless they say otherwise:
// Returns: what the POSIX call of the same name returns, but a negative errno value for
//          failure; never -EINTR. Also -ECANCELED, or -ETIMEDOUT by a scope's deadline.
// Context: task. May park, so the caller may continue on another thread.
// Cancel:  a call that has not begun on its thread has had no effect. A call that has
//          begun finishes and returns its result, because the kernel does not interrupt
//          it: that takes as long as the disk or the file server needs. Three calls can
//          be cancelled after they have begun, and then have had no effect:
//          weft_file_read; weft_file_write, before it replaces the file; weft_open of a
//          FIFO or a device.
#ifndef WEFT_FILE_H
#define WEFT_FILE_H

#include <sys/types.h>
#include <weft/base.h>

WEFT_BEGIN_DECLS

struct stat;

// weft_open opens a file. `flags` are those of open(2); weft adds none, so a program
// that starts other programs passes O_CLOEXEC. `mode` is used if the file is created.
//
// To open a FIFO without O_NONBLOCK is to wait for its other end; a device may wait,
// too. While such a call waits it uses a thread of weft_blocking, so such calls never
// delay other calls on files. A cancel ends it.
//
// Returns: a descriptor; a negative errno value, also -EAGAIN for a FIFO or a device if
//          the system refuses a thread.
WEFT_API int weft_open(const char *path, int flags, mode_t mode);

// weft_pread reads at `offset`; the file's position stays as it is. Data in the page
// cache is read on the worker, up to 256 KiB a call.
WEFT_API ssize_t weft_pread(int fd, void *buf, size_t n, off_t offset);
WEFT_API ssize_t weft_pwrite(int fd, const void *buf, size_t n, off_t offset);

WEFT_API int weft_fsync(int fd);
WEFT_API int weft_ftruncate(int fd, off_t length);

WEFT_API int weft_stat(const char *path, struct stat *st);
WEFT_API int weft_rename(const char *from, const char *to);
WEFT_API int weft_unlink(const char *path);
WEFT_API int weft_mkdir(const char *path, mode_t mode);

// weft_mkdtemp makes a folder with an unused name: it replaces the XXXXXX at the end of
// `path`. Returns: 0; a negative errno value.
WEFT_API int weft_mkdtemp(char *path);

// A folder that is being read, by one task at a time.
typedef struct weft_dir weft_dir;

typedef struct weft_dirent {
    char name[256]; // 0-terminated, without a path
    unsigned char
        type; // DT_REG, DT_DIR, DT_LNK, ... of <dirent.h>; DT_UNKNOWN if the entry was removed before weft could ask
} weft_dirent;

// weft_dir_open opens a folder. The caller owns *out until weft_dir_close.
//
// Returns: 0; a negative errno value: -ENOTDIR, ...; -ENOMEM. *out is NULL then.
WEFT_API int weft_dir_open(weft_dir **out, const char *path);

// weft_dir_next gives the next entry, in no particular order, without "." and "..".
// Most calls find it in memory: weft reads some hundreds of entries at a time.
//
// Returns: 1; 0 at the end; a negative errno value, also -ENAMETOOLONG for an entry with
//          a name of more than 255 bytes, as a few file systems allow: the next call
//          continues after it.
// Cancel:  no entry is lost.
WEFT_API int weft_dir_next(weft_dir *d, weft_dirent *e);

// weft_dir_close ends the reading and frees `d`. NULL does nothing. Context: any
// thread. Never parks.
WEFT_API void weft_dir_close(weft_dir *d);

// weft_file_read reads a whole file of at most `max` bytes. The size need not be known
// in advance (a file in /proc, a FIFO). A 0 byte follows the *n bytes. The caller owns
// *data, and frees it by free().
//
// Returns: 0; a negative errno value: -EMSGSIZE if there is more than `max`; -ENOMEM.
//          *data is NULL then, and *n is 0.
WEFT_API int weft_file_read(const char *path, void **data, size_t *n, size_t max);

// weft_file_write replaces the content of a file by `data`, completely or not at all.
// Other programs, and this one after a crash at any moment, find either the old content
// or the new. The new content is written to a new file in the same folder, brought to
// the disk (fsync), and put in place by rename(2); then the folder is brought to the
// disk.
//
// A replaced file keeps its mode, and its owner if the caller may set it. A new file
// has mode 0666 without the umask. A symbolic link is followed. Other names of the old
// file (hard links) keep the old content, extended attributes are not kept. Only a
// regular file is replaced. The caller needs permission to write and to read the
// folder; the file itself may be read-only.
//
// If the process is killed, a file named ".weft-" and 16 digits may remain in the
// folder; on most file systems only if it happens right before rename(2).
//
// Returns: 0; a negative errno value: -EISDIR; -EINVAL if it is another kind of file; ...
//          An error of the folder's fsync (-EIO) means that the new content is in place,
//          but may not survive a crash of the system; with all other errors the file
//          still has the old content.
WEFT_API int weft_file_write(const char *path, const void *data, size_t n);

WEFT_END_DECLS

#endif
