#include "base/stamp.h"

#include <fcntl.h>
#include <string.h>

#include "base/sys.h"

#if defined(__x86_64__)
#include <cpuid.h>

// has_constant_rate asks the processor whether its counter always counts at the same
// rate, also while the processor sleeps, and at any clock frequency ("invariant TSC").
static bool has_constant_rate(void)
{
    const unsigned power = 0x80000007, invariant_tsc = 1 << 8;
    unsigned a, b, c, d;

    return __get_cpuid(power, &a, &b, &c, &d) && d & invariant_tsc;
}

// is_trusted asks the kernel, which compares the counters of all processors.
static bool is_trusted(void)
{
    static const char path[] = "/sys/devices/system/clocksource/clocksource0/available_clocksource";
    char text[256];
    int fd = wf_sys_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);

    if (fd < 0)
        return false;
    ssize_t n = wf_sys_read(fd, text, sizeof(text) - 1);
    (void)wf_sys_close(fd);
    text[n > 0 ? n : 0] = 0;
    return strstr(text, "tsc") != NULL;
}

bool wf_stamp_counts(void)
{
    return has_constant_rate() && is_trusted();
}
#else
bool wf_stamp_counts(void)
{
#if defined(__aarch64__)
    return true;
#else
    return false;
#endif
}
#endif
