// A child process that may crash: how it ended, and what it wrote to stderr.
#ifndef WF_TESTS_CHILD_H
#define WF_TESTS_CHILD_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/compiler.h"
#include "tests/support/harness.h"

#ifdef WF_TSAN
// The harness has a thread, so ThreadSanitizer would refuse the child its own.
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "die_after_fork=0";
}
#endif

// In scripts/coverage's build: writes down which lines this process has run, as only
// exit() does by itself.
void __gcov_dump(void) __attribute__((weak));

static inline void child_dump_lines(int sig)
{
    if (__gcov_dump)
        __gcov_dump();
    if (sig)
        signal(sig, SIG_DFL); // abort() raises it once more
}

struct child {
    int status; // of waitpid
    char said[8192];
};

static inline unsigned child_seconds(void)
{
    const char *text = getenv("WEFT_TEST_TIMEOUT");
    unsigned n = text ? (unsigned)atoi(text) : 0;
    return n > 10 ? n - 8 : 60;
}

static inline _Noreturn void child_main(int out, void (*body)(void *), void *arg)
{
    static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL };
    struct rlimit none = { 0, 0 };

    for (size_t i = 0; i < wf_countof(faults); i++)
        signal(faults[i], SIG_DFL); // cmocka has handlers of its own
    if (__gcov_dump)
        signal(SIGABRT, child_dump_lines);
    if (dup2(out, STDERR_FILENO) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
        _exit(126);
    close(out);
    alarm(child_seconds());           // one that hangs must not hang the test,
    prctl(PR_SET_PDEATHSIG, SIGKILL); // nor outlive it, should it block the signal
    body(arg);
    child_dump_lines(0);
    _exit(0);
}

// child_may_run is false where a child that has threads and aborts takes the emulator
// with it: such a test is passed over.
static inline bool child_may_run(void)
{
#ifdef WF_EMULATED
    return false;
#else
    return true;
#endif
}

// child_run runs body(arg) in a child process, and waits for its end.
static inline void child_run(struct child *c, void (*body)(void *), void *arg)
{
    int ends[2];
    size_t n = 0;
    ssize_t got;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        child_main(ends[1], body, arg);
    close(ends[1]);
    while (n < sizeof(c->said) - 1 && (got = read(ends[0], c->said + n, sizeof(c->said) - 1 - n)) != 0)
        if (got > 0)
            n += (size_t)got;
        else
            assert_int_equal(errno, EINTR);
    c->said[n] = 0;
    close(ends[0]);
    assert_int_equal(waitpid(pid, &c->status, 0), pid);
}

static inline void child_expect_exit(const struct child *c, int code)
{
    if (!WIFEXITED(c->status) || WEXITSTATUS(c->status) != code)
        fail_msg("the child ended with status %#x and said: %s", (unsigned)c->status, c->said);
}

static inline void child_expect_signal(const struct child *c, int sig)
{
    if (!WIFSIGNALED(c->status) || WTERMSIG(c->status) != sig)
        fail_msg("the child ended with status %#x and said: %s", (unsigned)c->status, c->said);
}

static inline void child_expect_said(const struct child *c, const char *words)
{
    if (!strstr(c->said, words))
        fail_msg("the child did not say '%s' but: %s", words, c->said);
}

#endif
