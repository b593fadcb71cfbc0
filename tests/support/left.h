// Checks what a test leaves behind. A test that its table lists as left_test(f) must
// leave no thread, no descriptor and no mapping of the size of a slab of stacks;
// LeakSanitizer checks the rest.
#ifndef WF_TESTS_LEFT_H
#define WF_TESTS_LEFT_H

#include <dirent.h>
#include <malloc.h>
#include <time.h>

#include "base/compiler.h"
#include "tests/support/harness.h"
#include "tests/support/status.h"

#define left_test(f) cmocka_unit_test_setup_teardown(f, left_before, left_after)

// glibc keeps up to 40 MiB of threads' stacks for the next ones; a slab of stacks is 64
// MiB.
#define LEFT_MAPPED_MAX ((size_t)48 << 20)

struct left {
    unsigned threads;
    unsigned fds;
    size_t mapped; // bytes of address space, without malloc's heap
};

static struct left left_baseline;

static inline unsigned left_count(const char *folder)
{
    unsigned n = 0;
    struct dirent *entry;
    DIR *dir = opendir(folder);

    assert_non_null(dir);
    while ((entry = readdir(dir)))
        n += entry->d_name[0] != '.';
    closedir(dir);
    return n;
}

// left_mapped is 0 where the address space is a tool's more than the program's.
static inline size_t left_mapped(void)
{
#if defined(WF_ASAN) || defined(WF_TSAN) || defined(WF_VALGRIND) || defined(WF_EMULATED)
    return 0;
#else
    malloc_trim(0);
    return ((size_t)status_number("VmSize") << 10) - mallinfo2().arena;
#endif
}

static inline void left_take(struct left *l)
{
    l->threads = left_count("/proc/self/task");
    l->fds = left_count("/proc/self/fd");
    l->mapped = left_mapped();
}

static inline int left_before(void **state)
{
    (void)state;
    mallopt(M_ARENA_MAX, 1);
    left_take(&left_baseline);
    return 0;
}

// left_after waits for threads: one that was joined stays in /proc for a moment.
static inline int left_after(void **state)
{
    struct left now;
    (void)state;

    left_take(&now);
    for (int i = 0; i < 5000 && now.threads > left_baseline.threads; i++) {
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
        left_take(&now);
    }
    assert_int_equal(now.threads, left_baseline.threads);
    assert_int_equal(now.fds, left_baseline.fds);
    if (now.mapped > left_baseline.mapped + LEFT_MAPPED_MAX)
        fail_msg("%zu MiB more are mapped than before the test", (now.mapped - left_baseline.mapped) >> 20);
    return 0;
}

#endif
