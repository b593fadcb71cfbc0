// Settings: the program's, else the environment's, else the machine's; a value out of
// range is reported on stderr.
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include "base/cpus.h"
#include "tests/support/child.h"
#include "tests/support/left.h"
#include "tests/support/tasks.h"
#include "tests/support/wrap.h"

// workers_named counts the threads of this process whose name begins with PREFIX-w.
static unsigned workers_named(const char *prefix)
{
    char path[64], name[32], want[32];
    struct dirent *entry;
    unsigned n = 0;
    DIR *dir = opendir("/proc/self/task");

    assert_non_null(dir);
    snprintf(want, sizeof(want), "%s-w", prefix);
    while ((entry = readdir(dir))) {
        snprintf(path, sizeof(path), "/proc/self/task/%.16s/comm", entry->d_name);
        FILE *f = fopen(path, "re");
        n += f && fgets(name, sizeof(name), f) && strncmp(name, want, strlen(want)) == 0;
        if (f)
            fclose(f);
    }
    closedir(dir);
    return n;
}

// A runtime's workers name themselves when they begin, so the count is right once each
// has.
static void expect_workers(const weft_config *cfg, const char *prefix, unsigned want)
{
    weft_rt *rt;

    assert_int_equal(weft_rt_new(&rt, cfg), 0);
    for (int i = 0; i < 2000 && workers_named(prefix) < want; i++)
        usleep(1000);
    assert_int_equal(workers_named(prefix), want);
    weft_rt_free(rt);
}

// --- good values ---------------------------------------------------------------------

static void set_workers(void *arg)
{
    weft_config cfg = WEFT_CONFIG_INIT;
    (void)arg;

    assert_int_equal(setenv("WEFT_WORKERS", "3", 1), 0);
    expect_workers(NULL, "weft", 3);
    cfg.name = "mine";
    expect_workers(&cfg, "mine", 3);
    cfg.name = "a prefix that is too long";
    expect_workers(&cfg, "a prefix t", 3); // room is kept for the number
    cfg.workers = 2;                       // the program's word goes first,
    cfg.name = "mine";
    expect_workers(&cfg, "mine", 2);
    assert_int_equal(setenv("WEFT_WORKERS", "nonsense", 1), 0);
    expect_workers(&cfg, "mine", 2); // and then the environment is not read
}

static void the_number_of_workers_is_the_programs_or_the_environments(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, set_workers, NULL);
    child_expect_exit(&c, 0);
}

static WF_NOINLINE int use_stack(size_t n)
{
    volatile char frame[1024];
    frame[0] = frame[1023] = 1;
    return n > sizeof(frame) ? use_stack(n - sizeof(frame)) + frame[1023] : frame[0];
}

static int use_much_stack(void *arg)
{
    return use_stack(*(size_t *)arg);
}

static void set_stack_size(void *arg)
{
    size_t much = (size_t)4 << 20;
    weft_config cfg = WEFT_CONFIG_INIT;
    (void)arg;

    assert_int_equal(setenv("WEFT_STACK_SIZE", "16777216", 1), 0);
    assert_int_equal(weft_run(NULL, use_much_stack, &much), 4096);
    assert_int_equal(setenv("WEFT_STACK_SIZE", "16384", 1), 0);
    cfg.stack_size = ((size_t)8 << 20) + 1; // becomes 16 MiB
    assert_int_equal(weft_run(&cfg, use_much_stack, &much), 4096);
}

static void the_stack_size_is_the_programs_or_the_environments(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, set_stack_size, NULL);
    child_expect_exit(&c, 0);
}

static void use_one_cpu(void *arg)
{
    cpu_set_t may, one;
    int cpu = 0;
    (void)arg;

    unsetenv("WEFT_WORKERS");
    assert_int_equal(sched_getaffinity(0, sizeof(may), &may), 0);
    while (!CPU_ISSET(cpu, &may))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    expect_workers(NULL, "weft", 1);
}

static void the_default_is_a_worker_for_each_cpu_that_may_be_used(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, use_one_cpu, NULL);
    child_expect_exit(&c, 0);
}

// A machine of 8192 CPUs, of which the process may use three; else the one at hand.
static bool many_cpus;

enum { MANY_BYTES = 8192 / 8, FIRST = 5000 };

WRAP(int, sched_getaffinity, size_t size, void *set)
{
    if (!many_cpus)
        return REAL(sched_getaffinity)(size, set);
    if (size < MANY_BYTES)
        return -EINVAL;
    memset(set, 0, size);
    for (int cpu = FIRST; cpu < FIRST + 3; cpu++)
        CPU_SET_S(cpu, size, (cpu_set_t *)set);
    return 0;
}

static void use_three_of_many(void *arg)
{
    unsigned quota = wf_cpus_quota("");
    (void)arg;

    unsetenv("WEFT_WORKERS");
    many_cpus = true;
    expect_workers(NULL, "weft", quota && quota < 3 ? quota : 3);
}

static void the_cpus_of_a_large_machine_are_counted(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, use_three_of_many, NULL);
    child_expect_exit(&c, 0);
}

static int look_at_affinity(void *arg)
{
    cpu_set_t may;
    (void)arg;
    return sched_getaffinity(0, sizeof(may), &may) ? -errno : CPU_COUNT(&may);
}

static void pinned_workers_have_one_cpu_each(void **state)
{
    weft_config cfg = WEFT_CONFIG_INIT;
    cpu_set_t before, after;
    (void)state;

    assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
    cfg.pin_workers = true;
    assert_int_equal(weft_run(&cfg, look_at_affinity, NULL), 1);
    assert_int_equal(sched_getaffinity(0, sizeof(after), &after), 0);
    assert_true(CPU_EQUAL(&before, &after)); // the host's thread is left alone
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

// A program that was compiled with an earlier weft has a smaller struct, and something
// else behind it.
static void a_struct_of_an_earlier_version_is_taken(void **state)
{
    weft_config cfg = WEFT_CONFIG_INIT;
    (void)state;

    cfg.size = offsetof(weft_config, stall_after);
    cfg.stall_after = -1;
    assert_int_equal(weft_run(&cfg, nothing, NULL), 0);
}

static void limits_are_in_range(void **state)
{
    weft_config cfg = WEFT_CONFIG_INIT;
    (void)state;

    cfg.workers = 256;
    cfg.stack_size = 16 << 10;
    cfg.blocking_max = 1;
    cfg.seed = UINT64_MAX;
#ifdef WF_TSAN
    cfg.workers = 64;
#endif
    assert_int_equal(weft_run(&cfg, nothing, NULL), 0);
    cfg.workers = 1;
    cfg.stack_size = 256 << 20;
    cfg.blocking_max = 65536;
    assert_int_equal(weft_run(&cfg, nothing, NULL), 0);
}

// --- bad values ----------------------------------------------------------------------

struct bad {
    const char *name; // of the variable, or the field
    const char *value;
    weft_config cfg;
};

static void refuse(void *arg)
{
    struct bad *bad = arg;
    weft_rt *rt = (weft_rt *)arg;

    if (bad->value)
        assert_int_equal(setenv(bad->name, bad->value, 1), 0);
    assert_int_equal(weft_rt_new(&rt, &bad->cfg), WEFT_BAD_CONFIG);
    assert_ptr_equal(rt, arg);
    assert_int_equal(weft_run(&bad->cfg, nothing, NULL), WEFT_BAD_CONFIG);
}

static void expect_refusal(struct bad *bad)
{
    struct child c;

    child_run(&c, refuse, bad);
    child_expect_exit(&c, 0);
    child_expect_said(&c, bad->name);
    if (bad->value)
        child_expect_said(&c, bad->value);
    const char *first = strchr(c.said, '\n'); // two calls, one line each
    assert_true(first && strchr(first + 1, '\n') == c.said + strlen(c.said) - 1);
}

static int same_error(void *arg)
{
    (void)arg;
    return -EMFILE;
}

static void run_without_descriptors(void *arg)
{
    struct rlimit most = { 3, 3 };

    if (*(bool *)arg)
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &most), 0);
    assert_int_equal(weft_run(NULL, same_error, NULL), -EMFILE);
}

static void a_runtime_that_cannot_be_built_is_told_from_the_programs_error(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, run_without_descriptors, &(bool){ true });
    child_expect_exit(&c, 0);
    child_expect_said(&c, "weft_run: the runtime cannot be built");
    child_expect_said(&c, weft_strerror(-EMFILE));
    child_run(&c, run_without_descriptors, &(bool){ false });
    child_expect_exit(&c, 0);
    assert_string_equal(c.said, "");
}

static void a_bad_variable_is_named_and_refused(void **state)
{
    static const char *values[] = { "",   " ",    "0",     "-1",  "+1",  " 1",          "1 ",
                                    "1x", "0x10", "eight", "1.5", "1e3", "65537000000", "99999999999999999999999" };
    static const char *names[] = { "WEFT_WORKERS",      "WEFT_STACK_SIZE", "WEFT_BLOCKING_MAX",
                                   "WEFT_TRACE_EVENTS", "WEFT_STALL_MS",   "WEFT_DUMP_SIGNAL" };
    (void)state;

    for (size_t n = 0; n < wf_countof(names); n++) {
        for (size_t v = 0; v < wf_countof(values); v++) {
            struct bad bad = { names[n], values[v], WEFT_CONFIG_INIT };
            expect_refusal(&bad);
        }
    }
    expect_refusal(&(struct bad){ "WEFT_WORKERS", "257", WEFT_CONFIG_INIT });
    expect_refusal(&(struct bad){ "WEFT_STACK_SIZE", "16383", WEFT_CONFIG_INIT });
    expect_refusal(&(struct bad){ "WEFT_STACK_SIZE", "268435457", WEFT_CONFIG_INIT });
    expect_refusal(&(struct bad){ "WEFT_BLOCKING_MAX", "65537", WEFT_CONFIG_INIT });
    expect_refusal(&(struct bad){ "WEFT_TRACE_EVENTS", "63", WEFT_CONFIG_INIT });
    expect_refusal(&(struct bad){ "WEFT_TRACE_EVENTS", "16777217", WEFT_CONFIG_INIT });
    expect_refusal(&(struct bad){ "WEFT_STALL_MS", "3600001", WEFT_CONFIG_INIT });
    expect_refusal(&(struct bad){ "WEFT_DUMP_SIGNAL", "9", WEFT_CONFIG_INIT });
    expect_refusal(&(struct bad){ "WEFT_DUMP_SIGNAL", "SIGSEGV", WEFT_CONFIG_INIT });
    expect_refusal(&(struct bad){ "WEFT_DUMP_SIGNAL", "quit", WEFT_CONFIG_INIT });
}

static void a_bad_field_is_named_and_refused(void **state)
{
    struct bad bad = { "weft_config.workers", NULL, WEFT_CONFIG_INIT };
    (void)state;

    bad.cfg.workers = 257;
    expect_refusal(&bad);
    bad = (struct bad){ "weft_config.stack_size", NULL, WEFT_CONFIG_INIT };
    bad.cfg.stack_size = (16 << 10) - 1;
    expect_refusal(&bad);
    bad.cfg.stack_size = (256 << 20) + 1;
    expect_refusal(&bad);
    bad = (struct bad){ "weft_config.blocking_max", NULL, WEFT_CONFIG_INIT };
    bad.cfg.blocking_max = 65537;
    expect_refusal(&bad);
    bad = (struct bad){ "weft_config.trace_events", NULL, WEFT_CONFIG_INIT };
    bad.cfg.trace_events = 63;
    expect_refusal(&bad);
    bad = (struct bad){ "weft_config.size", NULL, WEFT_CONFIG_INIT };
    bad.cfg.size = 0;
    expect_refusal(&bad);
    bad.cfg.size = offsetof(weft_config, stall_after) - 1;
    expect_refusal(&bad);
    bad.cfg.size = sizeof(weft_config) + 8;
    expect_refusal(&bad);
    bad = (struct bad){ "weft_config.stop_after", NULL, WEFT_CONFIG_INIT };
    bad.cfg.stop_after = -1;
    expect_refusal(&bad);
    bad = (struct bad){ "weft_config.stall_after", NULL, WEFT_CONFIG_INIT };
    bad.cfg.stall_after = WEFT_MS(1) - 1;
    expect_refusal(&bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(the_number_of_workers_is_the_programs_or_the_environments),
        left_test(the_stack_size_is_the_programs_or_the_environments),
        left_test(the_default_is_a_worker_for_each_cpu_that_may_be_used),
        left_test(the_cpus_of_a_large_machine_are_counted),
        left_test(pinned_workers_have_one_cpu_each),
        left_test(a_struct_of_an_earlier_version_is_taken),
        left_test(a_bad_variable_is_named_and_refused),
        left_test(a_bad_field_is_named_and_refused),
        left_test(a_runtime_that_cannot_be_built_is_told_from_the_programs_error),
        left_test(limits_are_in_range), // last: to fork after it is slow under ThreadSanitizer
    };
    return wf_test_run(tests);
}
