#include "bench/echo/watch.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// The process's own CPU clock counts in nanoseconds and keeps what ended threads have
// used. /proc/PID/stat counts in ticks of 10 ms, /proc/PID/schedstat only the main
// thread.
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

// Where the number after a name at the beginning of a line goes.
struct field {
    const char *name;
    int64_t *sum;
};

// add_fields adds up what stands in a file of /proc; the last field has no name.
static int add_fields(const char *path, const struct field *fields)
{
    char line[256];
    FILE *f = fopen(path, "re");
    if (!f)
        return errno == ENOENT ? -ESRCH : -errno;
    while (fgets(line, sizeof(line), f))
        for (const struct field *wanted = fields; wanted->name; wanted++)
            if (strncmp(line, wanted->name, strlen(wanted->name)) == 0)
                *wanted->sum += strtoll(line + strlen(wanted->name), NULL, 10);
    fclose(f);
    return 0;
}

int watch_threads(pid_t pid, pid_t tids[WATCH_THREADS_MAX])
{
    char path[64];
    int count = 0;
    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *dir = opendir(path);
    if (!dir)
        return errno == ENOENT ? -ESRCH : -errno;
    for (struct dirent *e; (e = readdir(dir)) && count < WATCH_THREADS_MAX;) {
        if (isdigit((unsigned char)e->d_name[0]))
            tids[count++] = (pid_t)atoi(e->d_name);
    }
    closedir(dir);
    return count;
}

static int read_switches(pid_t pid, struct usage *u)
{
    char path[64];
    pid_t tids[WATCH_THREADS_MAX];
    const struct field fields[] = { { "voluntary_ctxt_switches:", &u->voluntary },
                                    { "nonvoluntary_ctxt_switches:", &u->involuntary },
                                    { NULL, NULL } };
    int count = watch_threads(pid, tids);
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof(path), "/proc/%d/task/%d/status", (int)pid, (int)tids[i]);
        u->threads += add_fields(path, fields) == 0; // else the thread has ended meanwhile
    }
    return count < 0 ? count : 0;
}

int watch_usage(pid_t pid, struct usage *u)
{
    memset(u, 0, sizeof(*u));
    int err = read_switches(pid, u);
    return err ? err : read_cpu_clock(pid, &u->cpu_ns);
}

int watch_memory(pid_t pid, struct memory *m)
{
    char path[64];
    const struct field fields[] = {
        { "VmRSS:", &m->rss_kib }, { "VmHWM:", &m->peak_kib }, { "VmPTE:", &m->page_tables_kib }, { NULL, NULL }
    };
    memset(m, 0, sizeof(*m));
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    return add_fields(path, fields);
}
