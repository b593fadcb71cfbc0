// Sockets that this program inherits, by systemd's protocol: LISTEN_FDS descriptors,
// from 3 on, for the process LISTEN_PID, with the names of LISTEN_FDNAMES. See
// sd_listen_fds(3).
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <weft/net.h>

#include "base/sys.h"

enum { FIRST = 3, MOST = 1024 };

// Under the lock, which no caller holds across a call that parks.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int count = -1; // -1: the environment was not read yet
static char *names;    // "web\0admin\0"; sockets without an entry are unnamed; NULL: all are
static size_t names_size;
static bool taken[MOST];

// read_number reads a whole text.  Returns: -1 if the text is not a number.
static int read_number(const char *text)
{
    char *end;
    long n = text && *text >= '0' && *text <= '9' ? strtol(text, &end, 10) : -1;

    return n < 0 || *end || n > INT_MAX ? -1 : (int)n;
}

// is_for_us tells whether LISTEN_PID names this process. It may be absent, because a
// program that passes its sockets on by exec cannot always know the process's number.
static bool is_for_us(void)
{
    const char *pid = getenv("LISTEN_PID");
    return !pid || read_number(pid) == wf_sys_getpid();
}

static int keep_names(void)
{
    const char *all = getenv("LISTEN_FDNAMES");

    if (!all)
        return 0;
    names = strdup(all);
    if (!names)
        return -ENOMEM;
    names_size = strlen(names) + 1;
    for (char *at = names; (at = strchr(at, ':')); at++)
        *at = 0;
    return 0;
}

// learn reads the variables, and removes them from the environment, so that programs
// that this one starts do not use the descriptors.
static int learn(void)
{
    int n = getenv("LISTEN_FDS") && is_for_us() ? read_number(getenv("LISTEN_FDS")) : 0;

    if (n < 0 || n > MOST)
        return -EINVAL;
    for (int i = 0; i < n; i++)
        if (wf_sys_fcntl(FIRST + i, F_GETFD, 0) < 0)
            return -EBADF;
    int err = n > 0 ? keep_names() : 0;
    if (err < 0)
        return err;
    for (int i = 0; i < n; i++)
        wf_sys_fcntl(FIRST + i, F_SETFD, FD_CLOEXEC);
    if (n > 0) {
        unsetenv("LISTEN_FDS");
        unsetenv("LISTEN_PID");
        unsetenv("LISTEN_FDNAMES");
    }
    count = n;
    return 0;
}

static int take_socket(const char *name)
{
    const char *its = names, *end = names + names_size;

    for (int i = 0; i < count; i++) {
        if (!taken[i] && (!name || strcmp(its && its < end ? its : "unknown", name) == 0)) {
            taken[i] = true;
            return FIRST + i;
        }
        if (its && its < end)
            its += strlen(its) + 1;
    }
    return -ENOENT;
}

int weft_listen_inherited(const char *name)
{
    pthread_mutex_lock(&lock);
    int fd = count < 0 ? learn() : 0;
    if (fd == 0)
        fd = take_socket(name);
    pthread_mutex_unlock(&lock);
    return fd;
}
