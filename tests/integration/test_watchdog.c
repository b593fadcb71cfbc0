// A test that hangs must end with a dump of its tasks, which shows what is stuck.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weft.h>

#include "tests/support/harness.h"

extern char **environ;

static int sleep_for_ever(void *arg)
{
    (void)arg;
    wf_test_watch(weft_rt_current());
    return weft_sleep_until(WEFT_NEVER);
}

// hang is what this program does when it calls itself: its first task never ends, and
// the watchdog is nearly due.
static int hang(void)
{
    wf_test_begin();
    return weft_run(NULL, sleep_for_ever, NULL);
}

static pid_t start_hanging(int out)
{
    char *argv[] = { "test_watchdog", "hang", NULL };
    posix_spawn_file_actions_t actions;
    pid_t pid;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO);
    setenv("WEFT_TEST_TIMEOUT", "1", 1);
    assert_int_equal(posix_spawn(&pid, "/proc/self/exe", &actions, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

static void a_hanging_test_dumps_its_tasks_and_aborts(void **state)
{
    char said[4096] = "";
    size_t n = 0;
    ssize_t got;
    int ends[2], status;
    (void)state;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = start_hanging(ends[1]);
    close(ends[1]);
    while (n < sizeof(said) - 1 && (got = read(ends[0], said + n, sizeof(said) - 1 - n)) > 0)
        n += (size_t)got;
    close(ends[0]);

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_non_null(strstr(said, "out of time; seed 0x"));
    assert_non_null(strstr(said, "sleep"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_hanging_test_dumps_its_tasks_and_aborts) };

    if (argc > 1 && strcmp(argv[1], "hang") == 0)
        return hang();
    return wf_test_run(tests);
}
