// A stack overflow is reported with the task's name, then the signal has its usual
// effect; no other fault is mistaken for an overflow.
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>

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

// --- ways to overflow ----------------------------------------------------------------

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

// --- beside handlers of the program's ------------------------------------------------

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

#ifdef __x86_64__
static int *volatile no_address = (int *)0x8000000000000000;

static int fault_without_an_address(void *arg)
{
    (void)arg;
    *no_address = 1; // the kernel cannot say where it was
    return 0;
}

static void run_fault_without_an_address(void *arg)
{
    weft_config cfg = WEFT_CONFIG_INIT;

    cfg.stack_size = 16 << 10; // of which a signal's frame may need the most
    handle_segv();
    _exit(weft_run(&cfg, fault_without_an_address, arg) ? 3 : 2);
}

static void a_fault_without_an_address_is_not_called_an_overflow(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, run_fault_without_an_address, NULL);
    child_expect_exit(&c, 42);
    assert_string_equal(c.said, "handled by the program\n");
}
#else
static void a_fault_without_an_address_is_not_called_an_overflow(void **state)
{
    (void)state;
    wf_test_skip("on this processor every fault has an address");
}
#endif

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

// --- signals that are sent -----------------------------------------------------------

static int send_by_kill(void)
{
    return kill(getpid(), SIGSEGV);
}

static int send_by_raise(void)
{
    return raise(SIGSEGV);
}

static int send_to_thread(void)
{
    return pthread_kill(pthread_self(), SIGSEGV);
}

static int send_with_value(void)
{
    return sigqueue(getpid(), SIGSEGV, (union sigval){ .sival_int = 77 });
}

typedef int sender(void);
static sender *const senders[] = { send_by_kill, send_by_raise, send_to_thread, send_with_value };

// outlive sends, and waits: another thread may be the one that gets it.
static int outlive(void *arg)
{
    sender *send = *(sender *const *)arg;

    assert_int_equal(send(), 0);
    return weft_sleep(WEFT_S(20));
}

static void send_in_a_task(void *arg)
{
    _exit(weft_run(NULL, outlive, arg) ? 3 : 2);
}

static void send_beside_a_runtime(void *arg)
{
    sender *send = *(sender *const *)arg;
    weft_rt *rt;

    assert_int_equal(weft_rt_new(&rt, NULL), 0);
    assert_int_equal(send(), 0);
    sleep(20);
    _exit(4);
}

static void a_signal_that_is_sent_ends_the_program_as_it_does_without_weft(void **state)
{
    struct child c;
    (void)state;

    for (size_t i = 0; i < wf_countof(senders); i++) {
        child_run(&c, send_in_a_task, (void *)&senders[i]);
        child_expect_signal(&c, SIGSEGV);
        assert_string_equal(c.said, "");
        child_run(&c, send_beside_a_runtime, (void *)&senders[i]);
        child_expect_signal(&c, SIGSEGV);
        assert_string_equal(c.said, "");
    }
}

// What a handler of the program's was told last.
static struct {
    volatile sig_atomic_t calls;
    siginfo_t info;
    bool has_context;
    sigset_t blocked;
    void *page; // which it makes accessible, if any
} told;

static void take_note(int sig, siginfo_t *info, void *context)
{
    assert_int_equal(sig, SIGSEGV);
    told.info = *info;
    told.has_context = context != NULL;
    pthread_sigmask(SIG_BLOCK, NULL, &told.blocked);
    if (told.page)
        assert_int_equal(mprotect(told.page, 1, PROT_READ | PROT_WRITE), 0);
    told.calls++;
}

static void handle_by_notes(int flags)
{
    struct sigaction action = { .sa_sigaction = take_note, .sa_flags = SA_SIGINFO | flags };

    sigaddset(&action.sa_mask, SIGUSR1);
    assert_int_equal(sigaction(SIGSEGV, &action, NULL), 0);
}

// overflow_now ends the process, with the report that shows that weft's handler is
// there still.
static int overflow_now(void)
{
    return small_frames(1000000);
}

static void expect_overflow(const struct child *c)
{
    child_expect_signal(c, SIGSEGV);
    child_expect_said(c, "weft: task 1 overflowed its 64 KiB stack\n");
}

static int send_each_and_overflow(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < wf_countof(senders); i++) {
        assert_int_equal(senders[i](), 0);
        while (told.calls < (int)i + 1)
            assert_int_equal(weft_yield(), 0);
        assert_true(told.info.si_code <= 0 && told.info.si_pid == getpid());
        assert_true(sigismember(&told.blocked, SIGUSR1) && sigismember(&told.blocked, SIGSEGV));
    }
    assert_int_equal(told.info.si_code, SI_QUEUE);
    assert_int_equal(told.info.si_value.sival_int, 77);
    return overflow_now();
}

static void send_beside_notes(void *arg)
{
    handle_by_notes(0);
    _exit(weft_run(NULL, send_each_and_overflow, arg) ? 3 : 2);
}

static int send_each_and_be_ignored(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < wf_countof(senders); i++)
        assert_int_equal(senders[i](), 0);
    assert_int_equal(weft_sleep(WEFT_MS(1)), 0);
    return overflow_now();
}

static void send_beside_nobody_who_minds(void *arg)
{
    assert_int_not_equal(signal(SIGSEGV, SIG_IGN), SIG_ERR);
    _exit(weft_run(NULL, send_each_and_be_ignored, arg) ? 3 : 2);
}

static int send_twice(void *arg)
{
    (void)arg;
    assert_int_equal(raise(SIGSEGV), 0);
    assert_int_equal(told.calls, 1);
    assert_int_equal(told.info.si_code, SI_TKILL);
    assert_int_equal(write(STDERR_FILENO, "once", 4), 4);
    return raise(SIGSEGV);
}

static void send_beside_one_note(void *arg)
{
    handle_by_notes(SA_RESETHAND);
    _exit(weft_run(NULL, send_twice, arg) ? 3 : 2);
}

static void a_signal_that_is_sent_reaches_the_programs_handler(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, send_beside_notes, NULL);
    expect_overflow(&c);
    child_run(&c, send_beside_nobody_who_minds, NULL);
    expect_overflow(&c);
    child_run(&c, send_beside_one_note, NULL);
    child_expect_signal(&c, SIGSEGV);
    assert_string_equal(c.said, "once");
}

// --- faults that the program mends ---------------------------------------------------

static int fault_often_and_overflow(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_ptr_not_equal(page, MAP_FAILED);
        told.page = page;
        *(volatile char *)(page + 40 + i) = 1;
        assert_int_equal(told.calls, i + 1);
        assert_ptr_equal(told.info.si_addr, page + 40 + i);
        assert_int_equal(told.info.si_code, SEGV_ACCERR);
        assert_true(told.has_context && sigismember(&told.blocked, SIGUSR1) && !sigismember(&told.blocked, SIGSEGV));
        assert_int_equal(weft_yield(), 0);
    }
    told.page = NULL;
    return overflow_now();
}

static void fault_beside_notes(void *arg)
{
    handle_by_notes(SA_NODEFER);
    _exit(weft_run(NULL, fault_often_and_overflow, arg) ? 3 : 2);
}

static void a_fault_that_the_programs_handler_mends_is_told_as_it_was(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, fault_beside_notes, NULL);
    expect_overflow(&c);
}

// --- handlers that come later --------------------------------------------------------

static struct sigaction below;

static void pass_on(int sig, siginfo_t *info, void *context)
{
    if (told.calls++ < 3)
        below.sa_sigaction(sig, info, context);
    else
        _exit(5); // it goes round in a circle
}

static void cover(void)
{
    struct sigaction action = { .sa_sigaction = pass_on, .sa_flags = SA_SIGINFO };
    assert_int_equal(sigaction(SIGSEGV, &action, &below), 0);
}

static void expect_covered(void)
{
    struct sigaction now;
    assert_int_equal(sigaction(SIGSEGV, NULL, &now), 0);
    assert_ptr_equal(now.sa_sigaction, pass_on);
}

static void cover_and_fault(void *arg)
{
    weft_rt *rt;

    handle_segv();
    assert_int_equal(weft_rt_new(&rt, NULL), 0);
    cover();
    weft_rt_free(rt);
    expect_covered();
    assert_int_equal(weft_run(NULL, nothing, NULL), 0);
    expect_covered();
    run_fault(arg); // by way of weft's to the one that was there before
}

static void uncover_and_overflow(void *arg)
{
    weft_rt *rt;

    handle_segv();
    assert_int_equal(weft_rt_new(&rt, NULL), 0);
    cover();
    weft_rt_free(rt);
    handle_segv(); // in place of all that
    run_overflow(arg);
}

static void a_handler_that_the_program_installs_meanwhile_is_left_alone(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, cover_and_fault, NULL);
    child_expect_exit(&c, 42);
    assert_string_equal(c.said, "handled by the program\n");
    child_run(&c, uncover_and_overflow, (void *)&ways[0]);
    expect_report(&c, &ways[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(an_overflow_names_the_task_and_its_stack),
        left_test(an_overflow_is_reported_although_the_program_has_a_handler),
        left_test(another_fault_in_a_task_is_not_called_an_overflow),
        left_test(a_fault_without_an_address_is_not_called_an_overflow),
        left_test(a_fault_in_the_hosts_thread_is_the_hosts),
        left_test(the_programs_handler_is_back_when_the_last_runtime_is_gone),
        left_test(a_signal_that_is_sent_ends_the_program_as_it_does_without_weft),
        left_test(a_signal_that_is_sent_reaches_the_programs_handler),
        left_test(a_fault_that_the_programs_handler_mends_is_told_as_it_was),
        left_test(a_handler_that_the_program_installs_meanwhile_is_left_alone),
    };
    return wf_test_run(tests);
}
