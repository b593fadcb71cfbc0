// The common part of tests in C++: a runtime under the watchdog, and a child process
// that crashes. (tasks.h and child.h in this folder are C.)
#ifndef WF_TESTS_CXX_H
#define WF_TESTS_CXX_H

#include <csignal>
#include <cstring>
#include <string>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weft.h>

#include <csetjmp>
#include <cstdarg>
#include <cstddef>
#include <cstdint>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow" // a function of a struct's name
extern "C" {
#include "tests/support/harness.h"
}
#pragma GCC diagnostic pop

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
// The harness has a thread, so ThreadSanitizer would refuse the child its own.
extern "C" const char *__tsan_default_options();
extern "C" const char *__tsan_default_options()
{
    return "die_after_fork=0";
}
#endif
#endif

template <class F> int watched(F &body)
{
    wf_test_watch(weft_rt_current());
    body();
    wf_test_unwatch(weft_rt_current());
    return 0;
}

// in_runtime runs body() as a task, in a runtime of its own.
template <class F> void in_runtime(F body)
{
    assert_int_equal(weft_run(nullptr, [](void *arg) { return watched(*static_cast<F *>(arg)); }, &body), 0);
}

// under_seeds runs body() under some seeds, by virtual time.
template <class F> void under_seeds(unsigned seeds, F body)
{
    weft_fn *fn = [](void *arg) { return watched(*static_cast<F *>(arg)); };
    assert_int_equal(weft_test_seeds(nullptr, wf_test_seed(), wf_test_rounds(seeds), fn, &body), 0);
}

// what_it_said runs body(), which must abort, in a child process.  Returns: what it
// said on stderr.
template <class F> std::string what_it_said(F body)
{
    int ends[2], status;
    char piece[512];
    std::string said;

    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const struct rlimit none = { 0, 0 };
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGABRT, SIG_DFL);
        alarm(30);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        body();
        _exit(0);
    }
    close(ends[1]);
    for (ssize_t n; (n = read(ends[0], piece, sizeof(piece))) > 0;)
        said.append(piece, static_cast<size_t>(n));
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
        fail_msg("the child ended with status %#x and said: %s", static_cast<unsigned>(status), said.c_str());
    return said;
}

inline void expect_said(const std::string &said, const char *words)
{
    if (said.find(words) == std::string::npos)
        fail_msg("it did not say '%s' but: %s", words, said.c_str());
}

#endif
