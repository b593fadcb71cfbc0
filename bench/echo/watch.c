#include "bench/echo/watch.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// The process's own CPU clock counts in nanoseconds and keeps what ended threads have used. /proc/PID/stat counts in
// ticks of 10 ms, /proc/PID/schedstat only the main thread.
static int read_cpu_clock(pid_t pid, int64_t *ns)
{
    clockid_t clock;
    struct timespec ts;
    int err = clock_getcpuclockid(pid, &clock);
    if (err)
        return -err;
    if (clock_gettime(clock, &ts) < 0)
        return errno == EINVAL ? -ESRCH : -errno;
    *ns = ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
    return 0;
}

static int read_ticks(pid_t pid, struct usage *u)
{
    char path[64];
    char line[1024];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return errno == ENOENT ? -ESRCH : -errno;
    size_t len = fread(line, 1, sizeof(line) - 1, f);
    fclose(f);
    line[len] = 0;

    char *rest = strrchr(line, ')'); // the name before it may hold anything
    unsigned long user;
    unsigned long system;
    if (!rest || sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        return -EIO;
    long tick = sysconf(_SC_CLK_TCK);
    u->user_ns = (int64_t)user * (1000000000 / tick);
    u->system_ns = (int64_t)system * (1000000000 / tick);
    return 0;
}

static void add_switches(const char *path, struct usage *u)
{
    char line[256];
    long long n;
    FILE *f = fopen(path, "re");
    if (!f)
        return; // the thread has ended meanwhile
    u->threads++;
    while (fgets(line, sizeof(line), f)) {
        if (sscanf(line, "voluntary_ctxt_switches: %lld", &n) == 1)
            u->voluntary += n;
        else if (sscanf(line, "nonvoluntary_ctxt_switches: %lld", &n) == 1)
            u->involuntary += n;
    }
    fclose(f);
}

static int read_switches(pid_t pid, struct usage *u)
{
    char path[512];
    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *dir = opendir(path);
    if (!dir)
        return errno == ENOENT ? -ESRCH : -errno;
    for (struct dirent *e; (e = readdir(dir));) {
        if (!isdigit((unsigned char)e->d_name[0]))
            continue;
        snprintf(path, sizeof(path), "/proc/%d/task/%s/status", (int)pid, e->d_name);
        add_switches(path, u);
    }
    closedir(dir);
    return 0;
}

int watch_usage(pid_t pid, struct usage *u)
{
    memset(u, 0, sizeof(*u));
    int err = read_switches(pid, u);
    if (!err)
        err = read_ticks(pid, u);
    if (!err)
        err = read_cpu_clock(pid, &u->cpu_ns);
    return err;
}

int watch_memory(pid_t pid, struct memory *m)
{
    char path[64];
    char line[256];
    long long kib;
    memset(m, 0, sizeof(*m));
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return errno == ENOENT ? -ESRCH : -errno;
    while (fgets(line, sizeof(line), f)) {
        if (sscanf(line, "VmRSS: %lld", &kib) == 1)
            m->rss_kib = kib;
        else if (sscanf(line, "VmHWM: %lld", &kib) == 1)
            m->peak_kib = kib;
        else if (sscanf(line, "VmPTE: %lld", &kib) == 1)
            m->page_tables_kib = kib;
    }
    fclose(f);
    return 0;
}
