#include "handover.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weft.h>

#include "notify.h"

// Of the new program: where it finds the listener, and the pipe to the old one. The
// pipe's end tells the old program that the new one has ended.
enum { LISTENER = 3, READY_PIPE = 4, PATIENCE_SECONDS = 10 };

void handover_ready(void)
{
    if (!getenv("HANDOVER")) {
        notify_ready();
        return;
    }
    unsetenv("HANDOVER");
    (void)!write(READY_PIPE, "1", 1);
    close(READY_PIPE);
}

// make_environment copies the program's environment, except what concerns listeners. It
// omits LISTEN_PID, because the new program's number is not known before it runs.
static char **make_environment(void)
{
    size_t n = 0, kept = 0;

    while (environ[n])
        n++;
    char **env = calloc(n + 3, sizeof(*env));
    for (size_t i = 0; env && i < n; i++)
        if (strncmp(environ[i], "LISTEN_", 7) != 0)
            env[kept++] = environ[i];
    if (env) {
        env[kept++] = "LISTEN_FDS=1";
        env[kept] = "HANDOVER=1";
    }
    return env;
}

// add_descriptors: a descriptor that has the right number already stays open, too.
static int add_descriptors(posix_spawn_file_actions_t *actions, int listener, int ready)
{
    int err = posix_spawn_file_actions_adddup2(actions, listener, LISTENER);
    return err ? err : posix_spawn_file_actions_adddup2(actions, ready, READY_PIPE);
}

static int start_program(pid_t *pid, int listener, int ready, char **argv)
{
    posix_spawn_file_actions_t actions;
    char **env = make_environment();

    if (!env || posix_spawn_file_actions_init(&actions) != 0) {
        free(env);
        return -ENOMEM;
    }
    int err = add_descriptors(&actions, listener, ready);
    if (err == 0)
        err = posix_spawnp(pid, argv[0], &actions, NULL, argv, env); // the file that is there now
    posix_spawn_file_actions_destroy(&actions);
    free(env);
    return -err;
}

// await_ready waits until the new program reports that it accepts, or ends.
static int await_ready(int pipe)
{
    weft_scope limit;
    char byte;

    weft_scope_open(&limit, WEFT_SCOPE_COLLECT);
    weft_scope_deadline(&limit, weft_after(WEFT_S(PATIENCE_SECONDS)));
    ssize_t n = weft_read(pipe, &byte, 1);
    weft_scope_close(&limit);
    return n < 0 ? (int)n : n == 0 ? -ECHILD : 0;
}

// open_pipe makes a pipe whose end for the new program is none of the numbers that
// start_program uses.
static int open_pipe(int *ready, int *report)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return -weft_errno();
    *ready = ends[0];
    *report = fcntl(ends[1], F_DUPFD_CLOEXEC, READY_PIPE + 1);
    int err = *report < 0 ? -weft_errno() : 0;
    close(ends[1]);
    if (err < 0)
        close(*ready);
    return err;
}

int handover_start(int listener, char **argv)
{
    int ready = -1, report = -1;
    pid_t pid;
    int err = open_pipe(&ready, &report);

    if (err < 0)
        return err;
    notify_reloading();
    err = start_program(&pid, listener, report, argv);
    close(report); // the new program's is the only one: its end is this pipe's
    if (err == 0 && (err = await_ready(ready)) < 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    weft_close(ready);
    if (err == 0)
        notify_moved(pid);
    else
        notify_ready(); // as before
    return err;
}
