// Reading and writing what is shared, in a mode of one's own.
//
// O_NONBLOCK is of the open file description, which other processes and other parts of
// the program may share. A FIFO, a pipe and a terminal can be opened once more, through
// /proc: the description that comes of it is not shared, has the flag, and lives for
// one call.
//   - It is close-on-exec, and does not become the controlling terminal. No number is
//     kept, so weft need not know of closes.
//   - It is what the number means: file and device are compared. A terminal that hangs
//     up meanwhile takes both with it, as the original is asked for that after the
//     other has been opened.
//   - It is not another end: a device like /dev/ptmx, or one that gives each opener
//     events of its own, is left alone.
// It cannot be had if the file's permissions have been taken away since, nor without
// /proc. Closing it drops the record locks (fcntl) that the process has on the FIFO or
// the terminal, if it has any there.
#ifndef WF_RUNTIME_IO_OWN_H
#define WF_RUNTIME_IO_OWN_H

#include <sys/types.h>
#include <sys/uio.h>

#include "base/compiler.h"

// wf_own_move is readv (`events` is POLLIN) or writev (POLLOUT) of what `fd` is. It
// does not block.
// Returns: as those; WF_TRY_POOL (runtime/io/ready.h): there is no such description to
// be had.
ssize_t wf_own_move(int fd, short events, const struct iovec *v, int n);

#endif
