// Files and folders, without blocking a worker: what POSIX calls by the same name, and
// three things that are often got wrong (whole files, folders, replacing a file).
//
// Most of these calls run on threads of weft's own (blocking.h), because Linux cannot
// wait for a disk in any other way that every file and sandbox allows. weft_pread looks
// into the page cache first, on the worker: what is there costs no thread.
//
// A call on a descriptor keeps to the file that it began with, as io.h says of jobs in
// the pool. A descriptor of weft_open may be closed by weft_close or by close(2), unless
// a task has waited on it (a FIFO, a terminal): then by weft_close.
//
// The arguments mean what they do to the POSIX call; memory that a call gets must stay
// until it returns.
//
// Common to all calls below, unless they say otherwise:
// Returns: what the POSIX call of the same name returns, but a negative errno value for
//          failure; never -EINTR. Also -ECANCELED, or -ETIMEDOUT by a scope's deadline.
// Context: task. May park, so the caller may continue on another thread.
// Cancel:  a call that has not begun on its thread has had no effect. One that has begun
//          is waited for, as the kernel does not interrupt it, and its result is
//          returned: it takes as long as the disk does, or a network's file server.
//          What takes many system calls, or may wait for other parties, is cut short all
//          the same, and then has had no effect: weft_file_read, weft_file_write before
//          it replaces the file, weft_open of a FIFO or a device.
#ifndef WEFT_FILE_H
#define WEFT_FILE_H

#include <sys/types.h>
#include <weft/base.h>

WEFT_BEGIN_DECLS

struct stat;

// weft_open opens a file. `flags` are those of open(2); nothing is added, so a program
// that starts others gives O_CLOEXEC. `mode` counts if the file is made.
//
// A FIFO, unless opened with O_NONBLOCK, waits for its other end; so may a device. Such
// a call takes one of the threads of weft_blocking meanwhile, so that no number of them
// keeps other calls from files, and a cancel ends it.
//
// Returns: a descriptor; a negative errno value, also -EAGAIN for a FIFO or a device if
//          the system refuses a thread.
WEFT_API int weft_open(const char *path, int flags, mode_t mode);

// weft_pread reads at `offset`; the file's position stays as it is. What the page cache
// has is read on the worker, up to 256 KiB a call.
WEFT_API ssize_t weft_pread(int fd, void *buf, size_t n, off_t offset);
WEFT_API ssize_t weft_pwrite(int fd, const void *buf, size_t n, off_t offset);

WEFT_API int weft_fsync(int fd);
WEFT_API int weft_ftruncate(int fd, off_t length);

WEFT_API int weft_stat(const char *path, struct stat *st);
WEFT_API int weft_rename(const char *from, const char *to);
WEFT_API int weft_unlink(const char *path);
WEFT_API int weft_mkdir(const char *path, mode_t mode);

// weft_mkdtemp makes a folder of a name that is not taken: the XXXXXX that `path` must
// end in are replaced. Returns: 0; a negative errno value.
WEFT_API int weft_mkdtemp(char *path);

// A folder that is being read, by one task at a time.
typedef struct weft_dir weft_dir;

typedef struct weft_dirent {
    char name[256]; // 0-terminated, without a path
    unsigned char
        type; // DT_REG, DT_DIR, DT_LNK, ... of <dirent.h>; DT_UNKNOWN if it was gone before that was found out
} weft_dirent;

// weft_dir_open opens a folder. The caller owns *out until weft_dir_close.
//
// Returns: 0; a negative errno value: -ENOTDIR, ...; -ENOMEM. *out is NULL then.
WEFT_API int weft_dir_open(weft_dir **out, const char *path);

// weft_dir_next gives the next entry, in no order; not "." and "..". Most calls find it
// in memory: the entries come some hundreds at a time.
//
// Returns: 1; 0 at the end; a negative errno value, also -ENAMETOOLONG for an entry with
//          a name of more than 255 bytes, as a few file systems allow: the next call
//          goes on behind it.
// Cancel:  no entry is lost.
WEFT_API int weft_dir_next(weft_dir *d, weft_dirent *e);

// weft_dir_close ends it. NULL does nothing. Context: any thread. Never parks.
WEFT_API void weft_dir_close(weft_dir *d);

// weft_file_read reads a whole file, of at most `max` bytes, also one whose size is not
// known in advance (/proc, a pipe's name). One more byte follows the *n bytes, and is 0.
// The caller owns *data, and gives it back by free().
//
// Returns: 0; a negative errno value: -EMSGSIZE if there is more than `max`; -ENOMEM.
//          *data is NULL then, and *n is 0.
WEFT_API int weft_file_read(const char *path, void **data, size_t *n, size_t max);

// weft_file_write makes `data` the content of a file, whole or not at all: other
// programs, and this one after a crash at any moment, find the old content or the new
// one. The new content is written to a new file in the same folder, brought to the disk
// (fsync), and put in place by rename(2); then the folder is brought to the disk.
//
// What was there keeps its mode and, as far as the caller may give that, its owner; a
// new file has mode 0666 without the umask. A symbolic link is followed. Other names of
// the old file (hard links) keep the old content, extended attributes are not kept. Only
// a regular file is replaced. The caller needs the right to write into the folder, and
// to read it; that the file is read-only does not matter.
//
// If the process is killed, a file named ".weft-" and 16 digits may remain in the
// folder; on most file systems only if it happens right before rename(2).
//
// Returns: 0; a negative errno value: -EISDIR; -EINVAL if it is another kind of file; ...
//          An error of the folder's fsync (-EIO) means that the new content is in place,
//          but may not survive a crash of the system; with all others the old content is
//          there still.
WEFT_API int weft_file_write(const char *path, const void *data, size_t n);

WEFT_END_DECLS

#endif
