// Filters of system calls (seccomp) refuse unknown calls, with any error. weft does
// without the calls that it can replace; without the others it returns an error, and
// neither aborts nor hangs.
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "base/atomic.h"
#include "tests/support/child.h"
#include "tests/support/filter.h"
#include "tests/support/left.h"
#include "tests/support/tasks.h"

enum { ERROR = 78 }; // what a child ends with whose program has failed, as it may

// The address sanitizer has a handler of its own, which ends the process otherwise.
#ifdef WF_ASAN
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "handle_segv=0";
}
#endif

static const int errors[] = { EPERM, EACCES, EINVAL, ENOSYS, ENOMEM, EAGAIN };

#define PRETENDED 0 // no error: the call says that it is done, and nothing is

struct refused {
    const char *name;
    long number;
    int error;
    weft_fn *fn; // the program
};

// --- a program that uses a little of everything --------------------------------------

static int echo(void *arg)
{
    int fd = *(int *)arg;
    char byte;
    ssize_t n;

    while ((n = weft_read(fd, &byte, 1)) == 1)
        assert_int_equal(weft_write(fd, &byte, 1), 1);
    assert_int_equal(n, 0);
    return weft_close(fd);
}

static void talk(int fd)
{
    for (int i = 0; i < 20; i++) {
        char said = (char)i, heard = 0;
        assert_int_equal(weft_write(fd, &said, 1), 1);
        assert_int_equal(weft_read(fd, &heard, 1), 1);
        assert_int_equal(heard, said);
    }
    assert_int_equal(weft_close(fd), 0);
}

static int sleep_a_little(void *arg)
{
    (void)arg;
    return weft_sleep(WEFT_US(200));
}

static int answer(void *arg)
{
    (void)arg;
    return 42;
}

static int use_everything(void *arg)
{
    weft_task *sleepers[40];
    int pair[2];
    (void)arg;

    for (size_t i = 0; i < wf_countof(sleepers); i++)
        sleepers[i] = spawn(sleep_a_little, NULL);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    weft_task *other = spawn(echo, &pair[0]);
    talk(pair[1]);
    assert_int_equal(join(other), 0);
    assert_int_equal(weft_blocking(answer, NULL), 42);
    for (size_t i = 0; i < wf_countof(sleepers); i++)
        assert_int_equal(join(sleepers[i]), 0);
    return 0;
}

static int use_much_stack(unsigned depth)
{
    volatile char frame[64];
    frame[depth % 64] = (char)depth;
    return depth > 0 ? use_much_stack(depth - 1) + frame[depth % 64] : 0;
}

static int overflow(void *arg)
{
    (void)arg;
    return use_much_stack(1000000);
}

// filter_advice has the kernel return `error` for what advice it may not know.
static bool filter_advice(int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])), // its lower half: little endian
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 100, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = { .len = wf_countof(code), .filter = code };

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

static void run_without_new_advice(void *arg)
{
    const struct refused *r = arg;

    if (!filter_advice(r->error))
        _exit(MAY_NOT_FILTER);
    int err = weft_run(NULL, r->fn, NULL);
    _exit(err == 0 ? 0 : err < 0 ? ERROR : 1);
}

static void run_refused(void *arg)
{
    const struct refused *r = arg;
    weft_config cfg = WEFT_CONFIG_INIT;

    cfg.pin_workers = true;
    refuse_call(r->number, r->error);
    int err = weft_run(&cfg, r->fn, NULL);
    if (err)
        fprintf(stderr, "%s refused with %s: %s", r->name, strerror(r->error), weft_strerror(err));
    _exit(err == 0 ? 0 : err < 0 ? ERROR : 1);
}

// try_each runs the program without each of the calls, for each error.
static void try_each(const struct refused *calls, size_t n, int code)
{
    struct child c;

    skip_without_filters();
    for (size_t i = 0; i < n; i++) {
        for (size_t e = 0; e < wf_countof(errors); e++) {
            struct refused r = { calls[i].name, calls[i].number, errors[e], use_everything };
            child_run(&c, run_refused, &r);
            if (!WIFEXITED(c.status) || WEXITSTATUS(c.status) != code)
                fail_msg("%s refused with %s: status %#x: %s", r.name, strerror(r.error), (unsigned)c.status, c.said);
        }
    }
}

// --- what it can do without ----------------------------------------------------------

#define CALL(name) { #name, SYS_##name, 0, NULL }

static void what_makes_things_better_may_be_refused(void **state)
{
    static const struct refused calls[] = {
        CALL(madvise),     CALL(sched_getattr),     CALL(sched_setattr),     CALL(prctl),
        CALL(openat),      CALL(getrandom),         CALL(sched_setaffinity), CALL(pread64),
        CALL(membarrier),  CALL(sched_yield),       CALL(timerfd_create),
#if !defined(WF_ASAN) && !defined(WF_TSAN) // which need them themselves
        CALL(sigaltstack), CALL(sched_getaffinity),
#endif
    };
    (void)state;
    try_each(calls, wf_countof(calls), 0);
}

static void without_the_rest_there_is_an_error(void **state)
{
    static const struct refused calls[] = { CALL(eventfd2), CALL(epoll_create1), CALL(epoll_ctl) };
    (void)state;
    try_each(calls, wf_countof(calls), ERROR);
}

// A guard that the kernel refuses to install in one way is installed in the other.
static void stacks_have_guards_whatever_is_refused(void **state)
{
    struct child c;
    (void)state;

    skip_without_filters();
    for (size_t e = 0; e < wf_countof(errors); e++) {
        struct refused r = { "madvise", SYS_madvise, errors[e], overflow };
        child_run(&c, run_refused, &r);
        child_expect_signal(&c, SIGSEGV);
        child_expect_said(&c, "weft: task 1 overflowed its 64 KiB stack\n");
    }
}

// So it is where only advice that the filter does not know is refused, or said to be
// followed and is not.
static void stacks_have_guards_whatever_is_said_of_advice(void **state)
{
    static const int said[] = { EPERM, ENOSYS, EINVAL, ENOMEM, PRETENDED };
    struct child c;
    (void)state;

    skip_without_filters();
    for (size_t i = 0; i < wf_countof(said); i++) {
        struct refused r = { "advice", SYS_madvise, said[i], use_everything };
        child_run(&c, run_without_new_advice, &r);
        child_expect_exit(&c, 0);
        r.fn = overflow;
        child_run(&c, run_without_new_advice, &r);
        child_expect_signal(&c, SIGSEGV);
        child_expect_said(&c, "weft: task 1 overflowed its 64 KiB stack\n");
    }
}

// --- trapped -------------------------------------------------------------------------

// A sandbox may have calls trapped, and make up their results in a handler of SIGSYS:
// on each of the threads.
#ifdef __x86_64__
static _Atomic unsigned trapped;

static void make_up(int sig, siginfo_t *info, void *context)
{
    ucontext_t *u = context;

    (void)sig;
    (void)info;
    u->uc_mcontext.gregs[REG_RAX] = -EPERM;
    wf_fetch_add_relaxed(&trapped, 1u); // relaxed: a counter
}

static int use_everything_and_signals(void *arg)
{
    weft_chan *c;
    int signo;

    assert_int_equal(weft_chan_new(&c, sizeof(int), 1), 0);
    assert_int_equal(weft_signal_notify(c, SIGUSR1), 0);
    assert_int_equal(kill(getpid(), SIGUSR1), 0);
    assert_int_equal(weft_chan_recv(c, &signo), 0);
    assert_int_equal(weft_signal_stop(c), 0);
    weft_chan_unref(c);
    return use_everything(arg);
}

static void run_trapped(void *arg)
{
    struct sigaction action = { .sa_sigaction = make_up, .sa_flags = SA_SIGINFO };
    (void)arg;

    assert_int_equal(sigaction(SIGSYS, &action, NULL), 0);
    filter_or_exit(SYS_sched_setattr, SECCOMP_RET_TRAP); // which weft's threads all try
    assert_int_equal(weft_run(NULL, use_everything_and_signals, NULL), 0);
    assert_true(wf_load_relaxed(&trapped) >= 4); // relaxed: the threads have ended
}

static void calls_may_be_trapped_on_each_thread(void **state)
{
    struct child c;
    (void)state;

    skip_without_filters();
    child_run(&c, run_trapped, NULL);
    child_expect_exit(&c, 0);
}
#else
static void calls_may_be_trapped_on_each_thread(void **state)
{
    (void)state;
    wf_test_skip("on this processor the result goes to another register");
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(what_makes_things_better_may_be_refused), left_test(without_the_rest_there_is_an_error),
        left_test(stacks_have_guards_whatever_is_refused),  left_test(stacks_have_guards_whatever_is_said_of_advice),
        left_test(calls_may_be_trapped_on_each_thread),
    };
    return wf_test_run(tests);
}
