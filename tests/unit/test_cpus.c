// The CPUs that a process may use: masks of any size, and quotas of control groups of
// either version.
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/cpus.h"
#include "tests/support/harness.h"
#include "tests/support/wrap.h"

// --- quotas --------------------------------------------------------------------------

static char root[] = "/tmp/weft-cpus-XXXXXX";

// write_file writes a file below `root`, and makes its folders.
static void write_file(const char *path, const char *text)
{
    char file[512];

    snprintf(file, sizeof(file), "%s%s", root, path);
    for (char *at = strchr(file + strlen(root) + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = 0;
        assert_true(mkdir(file, 0700) == 0 || errno == EEXIST);
        *at = '/';
    }
    FILE *f = fopen(file, "we");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void remove_root(void)
{
    char command[64];

    snprintf(command, sizeof(command), "rm -rf %s", root);
    assert_int_equal(system(command), 0);
}

struct groups {
    const char *self; // /proc/self/cgroup
    const char *files[5][2];
    unsigned cpus;
};

#define V2 "/sys/fs/cgroup/"
#define V1 "/sys/fs/cgroup/cpu,cpuacct/"
#define ALONE "/sys/fs/cgroup/cpu/"

static const struct groups machines[] = {
    { .self = "0::/\n", .files = { { V2 "cpu.stat", "" } }, .cpus = 0 },
    { .self = "0::/a/b\n", .files = { { V2 "a/b/cpu.max", "max 100000\n" } }, .cpus = 0 },
    { .self = "0::/a/b\n", .files = { { V2 "a/b/cpu.max", "250000 100000\n" } }, .cpus = 3 },
    { .self = "0::/a/b\n",
      .files = { { V2 "a/b/cpu.max", "400000 100000\n" }, { V2 "a/cpu.max", "20000 10000\n" } },
      .cpus = 2 },
    { .self = "0::/elsewhere/c\n", .files = { { V2 "cpu.max", "100000 100000\n" } }, .cpus = 1 },
    { .self = "0::/a\n", .files = { { V2 "a/cpu.max", "9223372036854775807 1\n" } }, .cpus = 4294967295u },
    { .self = "0::/a\n", .files = { { V2 "a/cpu.max", "nonsense" } }, .cpus = 0 },
    { .self = "5:cpuset:/x\n4:cpu,cpuacct:/a/b\n1:name=systemd:/\n",
      .files = { { V1 "a/b/cpu.cfs_quota_us", "150000\n" }, { V1 "a/b/cpu.cfs_period_us", "100000\n" } },
      .cpus = 2 },
    { .self = "4:cpu,cpuacct:/a/b\n",
      .files = { { V1 "a/b/cpu.cfs_quota_us", "-1\n" },
                 { V1 "a/b/cpu.cfs_period_us", "100000\n" },
                 { V1 "a/cpu.cfs_quota_us", "300000\n" },
                 { V1 "a/cpu.cfs_period_us", "100000\n" } },
      .cpus = 3 },
    { .self = "4:cpu,cpuacct:/docker/0123\n", // in a container, which sees its own group as the mount
      .files = { { V1 "cpu.cfs_quota_us", "50000\n" }, { V1 "cpu.cfs_period_us", "100000\n" } },
      .cpus = 1 },
    { .self = "2:cpuacct:/a\n1:cpu:/a\n0::/\n",
      .files = { { ALONE "a/cpu.cfs_quota_us", "350000\n" }, { ALONE "a/cpu.cfs_period_us", "100000\n" } },
      .cpus = 4 },
    { .self = "4:cpuacct,cpu:/a\n", // mounted in another order, by way of a link
      .files = { { ALONE "a/cpu.cfs_quota_us", "700000\n" }, { ALONE "a/cpu.cfs_period_us", "100000\n" } },
      .cpus = 7 },
    { .self = "1:cpu:/a\n0::/b\n", // both
      .files = { { ALONE "a/cpu.cfs_quota_us", "350000\n" },
                 { ALONE "a/cpu.cfs_period_us", "100000\n" },
                 { V2 "b/cpu.max", "500000 100000\n" } },
      .cpus = 4 },
    { .self = "1:cpu:/a\n", .files = { { ALONE "a/cpu.cfs_quota_us", "350000\n" } }, .cpus = 0 },
    { .self = "1:cpu:/a\n",
      .files = { { ALONE "a/cpu.cfs_quota_us", "350000\n" }, { ALONE "a/cpu.cfs_period_us", "0\n" } },
      .cpus = 0 },
    { .self = "3:cpuset:/a\n2:cpuacct:/a\n", .files = { { ALONE "a/cpu.cfs_quota_us", "100000\n" } }, .cpus = 0 },
    { .self = "nonsense\n:\n::\n", .cpus = 0 },
    { .self = "", .cpus = 0 },
};

static void quotas_of_either_version_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < wf_countof(machines); i++) {
        strcpy(root + strlen(root) - 6, "XXXXXX");
        assert_non_null(mkdtemp(root));
        write_file("/proc/self/cgroup", machines[i].self);
        for (int f = 0; f < 5 && machines[i].files[f][0]; f++)
            write_file(machines[i].files[f][0], machines[i].files[f][1]);
        unsigned cpus = wf_cpus_quota(root);
        remove_root();
        if (cpus != machines[i].cpus)
            fail_msg("%u CPUs, not %u, by %s", cpus, machines[i].cpus, machines[i].self);
    }
    assert_int_equal(wf_cpus_quota("/nowhere"), 0);
}

// --- the mask ------------------------------------------------------------------------

enum { FIRST = 5000, CPUS = 3 };
static int refused; // the error of sched_getaffinity, or 0
static int pinned;  // the one CPU that the calling thread was bound to

// A machine of 8192 CPUs, of which the process may use three.
WRAP(int, sched_getaffinity, size_t size, void *set)
{
    if (refused || size < 8192 / 8)
        return refused ? -refused : -EINVAL;
    memset(set, 0, size);
    for (int cpu = FIRST; cpu < FIRST + CPUS; cpu++)
        CPU_SET_S(cpu, size, (cpu_set_t *)set);
    return 0;
}

WRAP(int, sched_setaffinity, size_t size, const void *mask)
{
    const cpu_set_t *set = mask;

    pinned = -1;
    for (size_t cpu = 0; CPU_COUNT_S(size, set) == 1 && cpu < 8 * size; cpu++)
        if (CPU_ISSET_S(cpu, size, set))
            pinned = (int)cpu;
    return 0;
}

static void a_mask_may_be_larger_than_a_cpu_set(void **state)
{
    unsigned quota = wf_cpus_quota("");
    (void)state;

    assert_int_equal(wf_cpus_usable(), quota && quota < CPUS ? quota : CPUS);
    for (unsigned i = 0; i < 2 * CPUS; i++) {
        wf_cpus_pin(i);
        assert_int_equal(pinned, FIRST + i % CPUS);
    }
    pinned = 0;
    refused = EPERM;
    assert_int_equal(wf_cpus_usable(), 1);
    wf_cpus_pin(0);
    assert_int_equal(pinned, 0);
    refused = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quotas_of_either_version_are_read),
        cmocka_unit_test(a_mask_may_be_larger_than_a_cpu_set),
    };
    return wf_test_run(tests);
}
