// Tasks for which there is no stack, because the process may have no more address
// space: each body runs, and frees what it was given. (In builds with fault injection
// test_faults.c has the details, and the cancellation tables each call.)
#include <errno.h>
#include <malloc.h>
#include <sys/resource.h>

#include "base/atomic.h"
#include "tests/support/child.h"
#include "tests/support/left.h"
#include "tests/support/status.h"
#include "tests/support/tasks.h"

enum { TASKS = 20000, ROOM_MIB = 3 * 64 + 40, MAY_NOT = 77 }; // room for three slabs of stacks, and for headers

static weft_future leave = WEFT_FUTURE_INIT;
static _Atomic unsigned ran, starved, freed;

struct grant {
    char bytes[100];
};

static int use(void *arg)
{
    struct grant *g = arg;

    wf_fetch_add_relaxed(&ran, 1u); // relaxed, all: counters
    int err = weft_await(&leave, NULL);
    if (err == -ENOMEM) {
        assert_true(weft_cancelled());
        wf_fetch_add_relaxed(&starved, 1u);
    }
    free(g);
    wf_fetch_add_relaxed(&freed, 1u);
    return err;
}

static void limit_address_space(void)
{
    struct rlimit room = { ((rlim_t)status_number("VmSize") << 10) + ((size_t)ROOM_MIB << 20), RLIM_INFINITY };
    if (setrlimit(RLIMIT_AS, &room) < 0)
        _exit(MAY_NOT);
}

static int spawn_all(void *arg)
{
    static struct grant *grants[TASKS];
    unsigned spawned = 0;
    (void)arg;

    for (int i = 0; i < TASKS; i++)
        assert_non_null(grants[i] = malloc(sizeof(**grants)));
    limit_address_space();
    for (int i = 0; i < TASKS; i++) {
        int err = weft_spawn(NULL, use, grants[i]);
        spawned += err == 0;
        if (err < 0)
            free(grants[i]);
    }
    while (wf_load_relaxed(&ran) < spawned) // relaxed: a counter
        assert_int_equal(weft_sleep(WEFT_MS(1)), 0);
    weft_future_complete(&leave, 0);
    while (wf_load_relaxed(&freed) < spawned) // relaxed: a counter
        assert_int_equal(weft_sleep(WEFT_MS(1)), 0);
    assert_int_equal(join(spawn(use, malloc(1))), 0); // there are stacks again
    return (int)spawned;
}

static void run_short_of_space(void *arg)
{
    (void)arg;
    mallopt(M_ARENA_MAX, 1); // an arena for each thread would take its 64 MiB from the stacks
    int spawned = run_tasks(spawn_all, NULL);
    dprintf(STDERR_FILENO, "%d spawned, %u ran, %u of them without a stack\n", spawned, wf_load_relaxed(&ran),
            wf_load_relaxed(&starved)); // relaxed, all: the runtime has ended
    assert_true(spawned > TASKS / 2);
    assert_int_equal(wf_load_relaxed(&ran), spawned + 1);
    assert_int_equal(wf_load_relaxed(&freed), spawned + 1);
    assert_true(wf_load_relaxed(&starved) > 1000 && wf_load_relaxed(&starved) < (unsigned)spawned);
}

static void who_gets_no_stack_frees_what_it_was_given(void **state)
{
    struct child c;
    (void)state;

#if defined(WF_ASAN) || defined(WF_TSAN) || defined(WF_VALGRIND)
    wf_test_skip("the tool's own address space has no bounds");
#endif
    child_run(&c, run_short_of_space, NULL);
    if (WIFEXITED(c.status) && WEXITSTATUS(c.status) == MAY_NOT)
        wf_test_skip("the process may not limit its address space");
    child_expect_exit(&c, 0);
    print_message("%s", c.said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(who_gets_no_stack_frees_what_it_was_given),
    };
    return wf_test_run(tests);
}
