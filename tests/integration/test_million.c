// A million sleeping tasks, then all of them cancelled at once: what a large server
// does when it ends.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/compiler.h"
#include "tests/support/left.h"
#include "tests/support/tasks.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

enum { MILLION = 1000000, NEEDS_MIB = 10000 };

static size_t available_mib(void)
{
    char line[256];
    size_t kib = 0;
    FILE *f = fopen("/proc/meminfo", "re");

    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "MemAvailable: %zu kB", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib >> 10;
}

// guards_are_light: without MADV_GUARD_INSTALL (Linux 6.13) each stack is two mappings,
// and 65530 are allowed.
static bool guards_are_light(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_true(p != MAP_FAILED);
    bool light = madvise(p, page, MADV_GUARD_INSTALL) == 0;
    munmap(p, page);
    return light;
}

static const char *reason_to_skip(void)
{
#if defined(WF_ASAN) || defined(WF_TSAN) || defined(WF_VALGRIND)
    return "a tool's memory for a million stacks is not to be had";
#endif
    if (!guards_are_light())
        return "this kernel allows no million stacks";
    return available_mib() < NEEDS_MIB ? "not enough memory" : NULL;
}

static _Atomic unsigned asleep; // or about to be

static int sleep_for_hours(void *arg)
{
    wf_fetch_add_relaxed(&asleep, 1); // relaxed: a counter
    return weft_sleep_until(*(weft_time *)arg);
}

static int cancel_a_million(void *arg)
{
    weft_time until = weft_after(WEFT_S(3600));
    weft_task **tasks = calloc(MILLION, sizeof(*tasks));
    weft_spawn_opts opts = WEFT_SPAWN_OPTS_INIT;
    (void)arg;

    assert_non_null(tasks);
    opts.stack_size = 16 << 10;
    for (int i = 0; i < MILLION; i++)
        assert_int_equal(weft_spawn_with(&tasks[i], &opts, sleep_for_hours, &until), 0);
    while (wf_load_relaxed(&asleep) < MILLION) // relaxed: a counter
        assert_int_equal(weft_sleep(WEFT_MS(1)), 0);
    for (int i = 0; i < MILLION; i++)
        weft_task_cancel(tasks[i]);
    for (int i = 0; i < MILLION; i++)
        assert_int_equal(join(tasks[i]), -ECANCELED);
    free(tasks);
    return 0;
}

static void a_million_sleepers_are_cancelled_at_once(void **state)
{
    const char *reason = reason_to_skip();
    (void)state;

    if (reason) {
        wf_test_skip(reason);
    }
    assert_int_equal(run_tasks(cancel_a_million, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { left_test(a_million_sleepers_are_cancelled_at_once) };
    return wf_test_run(tests);
}
