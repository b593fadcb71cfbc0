// What other threads can read about a worker: the task that it runs, and the kernel's
// data about its thread.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/sys.h"
#include "sched/state.h"

// ThreadSanitizer is disabled here: the function loads a pointer, which is one word,
// and does not dereference it.
__attribute__((no_sanitize("thread"))) struct wf_task *wf_worker_current(const struct wf_worker *w)
{
    const struct wf_thread *thread = w->thread;
    return thread ? *(struct wf_task *const volatile *)&thread->current : NULL;
}

int64_t wf_worker_cpu_time(const struct wf_worker *w)
{
    struct timespec ts;

    if (clock_gettime(w->clock, &ts))
        return 0;
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

char wf_worker_thread_state(const struct wf_worker *w)
{
    char text[512];
    ssize_t n = wf_sys_pread(w->stat, text, sizeof(text) - 1, 0); // it fails if the descriptor is -1

    text[n > 0 ? n : 0] = 0;
    const char *name_end = strrchr(text, ')'); // "17 (name) S ..."
    return name_end && strlen(name_end) > 2 ? name_end[2] : 0;
}

// read_file reads a file of /proc about the worker's thread. Returns: false if it
// cannot be read.
static bool read_file(const struct wf_worker *w, const char *name, char *text, size_t room)
{
    char path[64];

    wf_debug_assert(room > 0 && w->tid > 0);
    snprintf(path, sizeof(path), "/proc/self/task/%d/%s", (int)w->tid, name);
    int fd = wf_sys_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return false;
    ssize_t n = wf_sys_read(fd, text, room - 1);
    (void)wf_sys_close(fd);
    text[n > 0 ? n : 0] = 0;
    return n > 0;
}

int64_t wf_worker_delay(const struct wf_worker *w)
{
    char text[128];
    unsigned long long ran, waited;

    if (!read_file(w, "schedstat", text, sizeof(text)) || sscanf(text, "%llu %llu", &ran, &waited) != 2)
        return -1;
    return (int64_t)waited;
}

// The file says "0 0x7 ...", or "running".
long wf_worker_call(const struct wf_worker *w, uint64_t *arg)
{
    char text[256], *end;

    if (!read_file(w, "syscall", text, sizeof(text)) || text[0] < '0' || text[0] > '9')
        return -1;
    long call = strtol(text, &end, 10);
    *arg = strtoull(end, NULL, 16);
    return call;
}
