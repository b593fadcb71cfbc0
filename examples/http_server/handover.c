#include "handover.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weft.h>

enum { PATIENCE_SECONDS = 10 };

static socklen_t set_address(struct sockaddr_un *at, const char *name)
{
    size_t n = strnlen(name, sizeof(at->sun_path) - 1);

    *at = (struct sockaddr_un){ .sun_family = AF_UNIX };
    memcpy(at->sun_path, name, n);
    if (name[0] == '@') // in the abstract name space
        at->sun_path[0] = 0;
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
}

void handover_ready(void)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un at;
    int sock = name ? socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;

    if (sock < 0)
        return;
    sendto(sock, "READY=1", 7, MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&at, set_address(&at, name));
    close(sock);
}

// make_environment copies the program's environment, except what concerns sockets. It
// omits LISTEN_PID, because the new program's number is not known before it runs.
static char **make_environment(char *notify)
{
    static const char *const ours[] = { "LISTEN_", "NOTIFY_SOCKET=" };
    size_t n = 0, kept = 0;

    while (environ[n])
        n++;
    char **env = calloc(n + 3, sizeof(*env));
    for (size_t i = 0; env && i < n; i++)
        if (strncmp(environ[i], ours[0], strlen(ours[0])) != 0 && strncmp(environ[i], ours[1], strlen(ours[1])) != 0)
            env[kept++] = environ[i];
    if (env) {
        env[kept++] = "LISTEN_FDS=1";
        env[kept] = notify;
    }
    return env;
}

static int start_program(pid_t *pid, int listener, char **argv, char *notify)
{
    posix_spawn_file_actions_t actions;
    char **env = make_environment(notify);

    if (!env || posix_spawn_file_actions_init(&actions) != 0) {
        free(env);
        return -ENOMEM;
    }
    int err = posix_spawn_file_actions_adddup2(&actions, listener, 3); // even if it is 3 already: so it stays open
    if (err == 0)
        err = posix_spawnp(pid, argv[0], &actions, NULL, argv, env); // the file that is there now
    posix_spawn_file_actions_destroy(&actions);
    free(env);
    return -err;
}

// await_ready waits until the new program reports that it accepts, or ends.
static int await_ready(int sock, pid_t pid)
{
    char word[64] = "";
    int ended = pidfd_open(pid, 0), chosen = 0;
    weft_case cases[] = {
        weft_on_fd(sock, POLLIN),
        weft_on_fd(ended, POLLIN),
        weft_on_time(weft_after(WEFT_S(PATIENCE_SECONDS))),
    };

    if (ended < 0)
        return -weft_errno();
    while (strcmp(word, "READY=1") != 0 && (chosen = weft_select(cases, 3)) == 0) {
        ssize_t n = weft_recv(sock, word, sizeof(word) - 1, 0);
        word[n > 0 ? n : 0] = 0;
    }
    weft_close(ended);
    return chosen == 0 ? 0 : chosen == 1 ? -ECHILD : chosen == 2 ? -ETIMEDOUT : chosen;
}

int handover_start(int listener, char **argv)
{
    char notify[64];
    struct sockaddr_un at;
    pid_t pid;

    snprintf(notify, sizeof(notify), "NOTIFY_SOCKET=@http_server-%d", getpid());
    int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (sock < 0)
        return -weft_errno();
    int err = bind(sock, (struct sockaddr *)&at, set_address(&at, strchr(notify, '@'))) < 0 ? -weft_errno() : 0;
    if (err == 0)
        err = start_program(&pid, listener, argv, notify);
    if (err == 0 && (err = await_ready(sock, pid)) < 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    weft_close(sock);
    return err;
}
