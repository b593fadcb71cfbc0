// A stack overflow is reported by name, then the signal does what it does; no other fault is taken for one.
#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "tests/support/child.h"
#include "tests/support/left.h"
#include "tests/support/tasks.h"

// The address sanitizer has a handler of its own, which ends the process otherwise.
#ifdef WF_ASAN
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "handle_segv=0";
}
#endif

// --- ways to overflow ------------------------------------------------------------------------------------------------

static WF_NOINLINE int small_frames(unsigned depth)
{
    volatile char frame[64];
    frame[depth % 64] = (char)depth;
    int below = depth > 0 ? small_frames(depth - 1) : 0;
    return below + frame[depth % 64];
}

static WF_NOINLINE int large_frames(unsigned depth)
{
    volatile char frame[9000]; // more than the guard is large
    frame[0] = (char)depth;
    int below = depth > 0 ? large_frames(depth - 1) : 0;
    return below + frame[0];
}

static WF_NOINLINE int huge_frame(unsigned depth)
{
    volatile char frame[600 << 10]; // leaps over the guard at once, if the compiler does not touch each page
    frame[depth] = 1;
    return frame[depth];
}

struct way {
    int (*overflow)(unsigned depth);
    unsigned depth;
    const char *name; // of the task
    size_t stack_size;
    const char *said;
};

static int overflow(void *arg)
{
    const struct way *way = arg;
    return way->overflow(way->depth);
}

static int bystander(void *arg)
{
    (void)arg;
    for (int err = 0; !err; err = weft_yield())
        ;
    return 0;
}

static int spawn_overflow(void *arg)
{
    const struct way *way = arg;
    weft_spawn_opts opts = WEFT_SPAWN_OPTS_INIT;
    weft_task *t;

    for (int i = 0; i < 10; i++)
        assert_int_equal(weft_spawn(NULL, bystander, NULL), 0);
    opts.name = way->name;
    opts.stack_size = way->stack_size;
    assert_int_equal(weft_spawn_with(&t, &opts, overflow, arg), 0);
    return weft_join(t, NULL);
}

static void run_overflow(void *arg)
{
    _exit(weft_run(NULL, spawn_overflow, arg) ? 3 : 2);
}

static const struct way ways[] = {
    { small_frames, 1000000, "greedy", 0, "' overflowed its 64 KiB stack\n" },
    { small_frames, 1000000, NULL, 0, " overflowed its 64 KiB stack\n" },
    { small_frames, 1000000, "greedy", 16 << 10, "'greedy' overflowed its 16 KiB stack\n" },
    { large_frames, 1000000, "greedy", 0, "'greedy' overflowed its 64 KiB stack\n" },
    { large_frames, 1000000, "greedy", 200 << 10, "'greedy' overflowed its 256 KiB stack\n" },
    { huge_frame, 5, "greedy", 0, "'greedy' overflowed its 64 KiB stack\n" },
    { huge_frame, 5, "greedy", 512 << 10, "'greedy' overflowed its 512 KiB stack\n" },
};

static void expect_report(const struct child *c, const struct way *way)
{
    child_expect_signal(c, SIGSEGV);
    child_expect_said(c, "weft: task ");
    child_expect_said(c, way->said);
    if (strncmp(c->said, "weft: ", 6) != 0 || strchr(c->said, '\n') != c->said + strlen(c->said) - 1)
        fail_msg("not one line: %s", c->said);
}

static void an_overflow_names_the_task_and_its_stack(void **state)
{
    struct child c;
    (void)state;

    for (size_t i = 0; i < wf_countof(ways); i++) {
        child_run(&c, run_overflow, (void *)&ways[i]);
        expect_report(&c, &ways[i]);
    }
}

// --- beside handlers of the program's --------------------------------------------------------------------------------

static void say_and_exit(int sig)
{
    static const char words[] = "handled by the program\n";
    (void)sig;
    _exit(write(STDERR_FILENO, words, sizeof(words) - 1) < 0 ? 41 : 42);
}

static void handle_segv(void)
{
    struct sigaction action = { .sa_handler = say_and_exit };
    assert_int_equal(sigaction(SIGSEGV, &action, NULL), 0);
}

static void run_overflow_beside_handler(void *arg)
{
    handle_segv();
    run_overflow(arg);
}

static void an_overflow_is_reported_although_the_program_has_a_handler(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, run_overflow_beside_handler, (void *)&ways[0]);
    expect_report(&c, &ways[0]); // its handler has no stack to run on
}

static int *volatile nowhere = (int *)16; // not NULL, which the sanitizers would see in advance

static int fault(void *arg)
{
    (void)arg;
    assert_int_equal(weft_yield(), 0);
    *nowhere = 1;
    return 0;
}

static void run_fault(void *arg)
{
    _exit(weft_run(NULL, fault, arg) ? 3 : 2);
}

static void run_fault_beside_handler(void *arg)
{
    handle_segv();
    run_fault(arg);
}

static void another_fault_in_a_task_is_not_called_an_overflow(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, run_fault, NULL);
    child_expect_signal(&c, SIGSEGV);
    assert_string_equal(c.said, "");
    child_run(&c, run_fault_beside_handler, NULL);
    child_expect_exit(&c, 42);
    assert_string_equal(c.said, "handled by the program\n");
}

static void fault_in_the_host(void *arg)
{
    weft_rt *rt;
    (void)arg;

    handle_segv();
    assert_int_equal(weft_rt_new(&rt, NULL), 0);
    *nowhere = 1;
}

static void a_fault_in_the_hosts_thread_is_the_hosts(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, fault_in_the_host, NULL);
    child_expect_exit(&c, 42);
    assert_string_equal(c.said, "handled by the program\n");
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static bool is_ours(void)
{
    struct sigaction now;
    assert_int_equal(sigaction(SIGSEGV, NULL, &now), 0);
    return !(now.sa_flags & SA_SIGINFO) && now.sa_handler == say_and_exit;
}

static void come_and_go(void *arg)
{
    weft_rt *one, *two;
    (void)arg;

    handle_segv();
    assert_int_equal(weft_run(NULL, nothing, NULL), 0);
    assert_true(is_ours());
    assert_int_equal(weft_rt_new(&one, NULL), 0);
    assert_int_equal(weft_rt_new(&two, NULL), 0);
    assert_false(is_ours());
    weft_rt_free(one);
    assert_false(is_ours());
    weft_rt_free(two);
    assert_true(is_ours());
}

static void the_programs_handler_is_back_when_the_last_runtime_is_gone(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, come_and_go, NULL);
    child_expect_exit(&c, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(an_overflow_names_the_task_and_its_stack),
        left_test(an_overflow_is_reported_although_the_program_has_a_handler),
        left_test(another_fault_in_a_task_is_not_called_an_overflow),
        left_test(a_fault_in_the_hosts_thread_is_the_hosts),
        left_test(the_programs_handler_is_back_when_the_last_runtime_is_gone),
    };
    return wf_test_run(tests);
}
