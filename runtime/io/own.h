// Reading and writing shared files without blocking, through a private description.
//
// O_NONBLOCK belongs to the open file description, which other processes and other
// parts of the program may share. A FIFO, a pipe and a terminal can be opened once
// more, through /proc: the new description is not shared, has the flag, and exists for
// one call.
//   - The description is close-on-exec, and does not become the controlling terminal.
//     No number is kept, so weft need not notice closes.
//   - It is the same file: file and device are compared. A terminal may hang up in
//     between; so after the second open the original is asked whether it has hung up.
//   - It must not be a new end: a device like /dev/ptmx, or one that gives each opener
//     its own events, is not opened.
// The second open fails without /proc, or if the process has lost the permissions for
// the file. To close the description drops the record locks (fcntl) that the process
// has on the FIFO or the terminal.
#ifndef WF_RUNTIME_IO_OWN_H
#define WF_RUNTIME_IO_OWN_H

#include <sys/types.h>
#include <sys/uio.h>

#include "base/compiler.h"

// wf_own_move is readv (`events` is POLLIN) or writev (POLLOUT) on the file of `fd`. It
// does not block. Returns: as those calls; WF_TRY_POOL (runtime/io/ready.h): no such
// description is possible.
ssize_t wf_own_move(int fd, short events, const struct iovec *v, int n);

#endif
