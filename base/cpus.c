#include "base/cpus.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/sys.h"

// --- The mask ------------------------------------------------------------------------

// Room for 65536 CPUs: the kernel returns EINVAL if the mask is smaller than its
// maximum, 8192 so far.
struct wf_cpus_mask {
    cpu_set_t sets[65536 / CPU_SETSIZE];
};

static bool read_mask(struct wf_cpus_mask *m)
{
    return wf_sys_sched_getaffinity(sizeof(*m), m->sets) == 0 && CPU_COUNT_S(sizeof(*m), m->sets) > 0;
}

static unsigned count_mask(void)
{
    struct wf_cpus_mask m;
    return read_mask(&m) ? (unsigned)CPU_COUNT_S(sizeof(m), m.sets) : 1;
}

void wf_cpus_pin(unsigned index)
{
    struct wf_cpus_mask m;
    unsigned seen = 0;

    if (!read_mask(&m))
        return;
    unsigned want = index % (unsigned)CPU_COUNT_S(sizeof(m), m.sets);
    for (size_t cpu = 0; cpu < sizeof(m) * CHAR_BIT; cpu++)
        if (CPU_ISSET_S(cpu, sizeof(m), m.sets) && seen++ != want)
            CPU_CLR_S(cpu, sizeof(m), m.sets);
    (void)wf_sys_sched_setaffinity(sizeof(m), m.sets); // best effort: only speed depends on it
}

int wf_cpus_save(struct wf_cpus_mask **out)
{
    struct wf_cpus_mask *m = wf_alloc(sizeof(*m));

    *out = NULL;
    if (!m)
        return -ENOMEM;
    if (read_mask(m))
        *out = m;
    else
        wf_free(m);
    return 0;
}

void wf_cpus_take(const struct wf_cpus_mask *m)
{
    (void)wf_sys_sched_setaffinity(sizeof(*m), m->sets); // a CPU that the system has removed since does not matter
}

void wf_cpus_forget(struct wf_cpus_mask *m)
{
    wf_free(m);
}

// --- Quotas --------------------------------------------------------------------------

enum { PATH_ROOM = 4096, FILE_ROOM = PATH_ROOM + 256 };

// A function that reads the files of the CPU controller in one folder. Returns: how
// many CPUs; 0: no bound.
typedef unsigned read_folder(const char *folder);

static unsigned divide(long long quota, long long period)
{
    if (quota <= 0 || period <= 0)
        return 0;
    long long n = quota / period + (quota % period > 0);
    return n > UINT_MAX ? UINT_MAX : (unsigned)n;
}

// read_numbers reads up to two numbers. Returns: how many.
static int read_numbers(const char *folder, const char *name, long long *a, long long *b)
{
    char file[FILE_ROOM];

    if (snprintf(file, sizeof(file), "%s/%s", folder, name) >= (int)sizeof(file))
        return 0;
    FILE *f = fopen(file, "re");
    int n = f ? fscanf(f, "%lld %lld", a, b) : 0;
    if (f)
        fclose(f);
    return n;
}

static unsigned read_v2(const char *folder)
{
    long long quota, period;
    return read_numbers(folder, "cpu.max", &quota, &period) == 2 ? divide(quota, period) : 0; // "max 100000" has none
}

static unsigned read_v1(const char *folder)
{
    long long quota, period, none;
    bool both = read_numbers(folder, "cpu.cfs_quota_us", &quota, &none) == 1 &&
                read_numbers(folder, "cpu.cfs_period_us", &period, &none) == 1;
    return both ? divide(quota, period) : 0; // a quota of -1: no bound
}

static unsigned least(unsigned a, unsigned b)
{
    return !a || (b && b < a) ? b : a;
}

// walk is the smallest bound of the group `path` below `mount`, and of its parents. In
// a container the mount may be the container's own group, while the path is the host's:
// then only the last folder of the path exists.
static unsigned walk(const char *root, const char *mount, const char *path, read_folder *read)
{
    char folder[FILE_ROOM];
    unsigned found = 0;

    int len = snprintf(folder, sizeof(folder), "%s/sys/fs/cgroup%s", root, mount);
    if (len >= (int)sizeof(folder) || snprintf(folder + len, sizeof(folder) - len, "%s", path) >= PATH_ROOM)
        return 0;
    for (;;) {
        found = least(found, read(folder));
        char *slash = strrchr(folder + len, '/');
        if (!slash)
            return found;
        *slash = 0;
    }
}

// has_cpu tells whether a comma-separated list of controllers has the CPU controller.
static bool has_cpu(const char *list)
{
    for (size_t n; *list; list += n + (list[n] == ',')) {
        n = strcspn(list, ",");
        if (n == 3 && strncmp(list, "cpu", 3) == 0)
            return true;
    }
    return false;
}

// quota_of is the bound from a line of /proc/self/cgroup: "0::/path" for version 2,
// "4:cpu,cpuacct:/path" for version 1.
static unsigned quota_of(const char *root, char *line)
{
    char mount[PATH_ROOM];

    line[strcspn(line, "\n")] = 0;
    char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
    if (!path)
        return 0;
    *path++ = 0;
    list++;
    if (!*list)
        return walk(root, "", path, read_v2);
    if (!has_cpu(list))
        return 0;
    snprintf(mount, sizeof(mount), "/%s", list);
    unsigned found = walk(root, mount, path, read_v1);
    return found ? found : walk(root, "/cpu", path, read_v1);
}

unsigned wf_cpus_quota(const char *root)
{
    char file[FILE_ROOM], line[PATH_ROOM];
    unsigned found = 0;

    snprintf(file, sizeof(file), "%s/proc/self/cgroup", root);
    FILE *f = fopen(file, "re");
    while (f && fgets(line, sizeof(line), f))
        found = least(found, quota_of(root, line));
    if (f)
        fclose(f);
    return found;
}

unsigned wf_cpus_usable(void)
{
    return least(count_mask(), wf_cpus_quota(""));
}
