#include "bench/echo/syscalls.h"
#include "bench/echo/watch.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TRACEFS "/sys/kernel/tracing"

// What an echo server calls; what the kernel at hand does not know is left out, "total"
// has them all.
static const struct {
    const char *name;
    const char *event;
} kinds[] = {
    { "total", "raw_syscalls/sys_enter" },
    { "futex", "syscalls/sys_enter_futex" },
    { "epoll_wait", "syscalls/sys_enter_epoll_wait" },
    { "epoll_pwait", "syscalls/sys_enter_epoll_pwait" },
    { "epoll_pwait2", "syscalls/sys_enter_epoll_pwait2" },
    { "epoll_ctl", "syscalls/sys_enter_epoll_ctl" },
    { "read", "syscalls/sys_enter_read" },
    { "recvfrom", "syscalls/sys_enter_recvfrom" },
    { "write", "syscalls/sys_enter_write" },
    { "sendto", "syscalls/sys_enter_sendto" },
    { "sched_yield", "syscalls/sys_enter_sched_yield" },
};
_Static_assert(sizeof(kinds) / sizeof(kinds[0]) <= SYSCALL_KINDS, "room for every kind");

// Not every machine has the trace file system mounted. Mount it for this process alone:
// the machine stays as it is.
static int find_tracefs(void)
{
    if (access(TRACEFS "/events", R_OK) == 0)
        return 0;
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return -errno;
    return mount("tracefs", TRACEFS, "tracefs", 0, NULL) < 0 ? -errno : 0;
}

static int event_id(const char *event, uint64_t *id)
{
    char path[256];
    unsigned long long value;
    snprintf(path, sizeof(path), TRACEFS "/events/%s/id", event);
    FILE *f = fopen(path, "re");
    if (!f)
        return -errno;
    int found = fscanf(f, "%llu", &value);
    fclose(f);
    *id = value;
    return found == 1 ? 0 : -EIO;
}

static int open_counter(uint64_t id, pid_t tid)
{
    struct perf_event_attr attr = {
        .type = PERF_TYPE_TRACEPOINT,
        .size = sizeof(attr),
        .config = id,
        .inherit = 1,
    };
    long fd = syscall(SYS_perf_event_open, &attr, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);
    return fd < 0 ? -errno : (int)fd;
}

// open_all goes as far as it can; syscalls_close closes what is open.
static int open_all(struct syscall_counter *c, const uint64_t *ids, const pid_t *tids, unsigned threads)
{
    c->fds = malloc((size_t)threads * c->kinds * sizeof(int));
    if (!c->fds)
        return -ENOMEM;
    for (unsigned i = 0; i < threads * c->kinds; i++) {
        int fd = open_counter(ids[i % c->kinds], tids[i / c->kinds]);
        if (fd < 0)
            return fd;
        c->fds[c->count++] = fd;
    }
    return 0;
}

int syscalls_open(struct syscall_counter *c, pid_t pid)
{
    pid_t tids[WATCH_THREADS_MAX];
    uint64_t ids[SYSCALL_KINDS];
    memset(c, 0, sizeof(*c));

    int err = find_tracefs();
    if (err)
        return err;
    for (unsigned k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        if (event_id(kinds[k].event, &ids[c->kinds]) == 0)
            c->name[c->kinds++] = kinds[k].name;
    }
    if (c->kinds < 2 || strcmp(c->name[0], "total") != 0)
        return -ENOSYS;
    int threads = watch_threads(pid, tids);
    if (threads < 0)
        return threads;
    err = open_all(c, ids, tids, (unsigned)threads);
    if (err)
        syscalls_close(c);
    return err;
}

void syscalls_close(struct syscall_counter *c)
{
    for (unsigned i = 0; i < c->count; i++)
        close(c->fds[i]);
    free(c->fds);
    memset(c, 0, sizeof(*c));
}

int syscalls_read(const struct syscall_counter *c, int64_t counts[SYSCALL_KINDS])
{
    memset(counts, 0, SYSCALL_KINDS * sizeof(counts[0]));
    for (unsigned i = 0; i < c->count; i++) {
        uint64_t value;
        if (read(c->fds[i], &value, sizeof(value)) != sizeof(value))
            return -EIO;
        counts[i % c->kinds] += (int64_t)value;
    }
    return 0;
}
