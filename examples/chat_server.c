// A chat server: every client gets the lines of all clients. A client is two tasks in a
// scope: one reads its lines, the other writes the lines of all; when one ends, so does
// the other. A broadcast connects the clients. It does not wait for its receivers; a
// client that is too slow is told how many lines it has missed. SIGTERM ends the
// server.
//
//   chat_server 127.0.0.1:7000           and then, in several windows: nc 127.0.0.1 7000
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <weft.h>

enum { LINE = 256, KEPT = 64 /* lines, for slow clients */ };

static weft_broadcast *room;
static int listener;

static int hear(void *arg)
{
    int fd = (int)(intptr_t)arg;
    weft_receiver *inbox = NULL;
    char line[LINE];
    uint64_t lost;

    int err = weft_broadcast_subscribe(room, &inbox);
    snprintf(line, LINE, "(you are guest %d)\n", fd);
    while (err == 0 && (err = weft_write_all(fd, line, strlen(line), NULL)) == 0) {
        err = weft_broadcast_recv(inbox, line, &lost);
        if (err == -EOVERFLOW && snprintf(line, LINE, "(you have missed %ju lines)\n", (uintmax_t)lost) > 0)
            err = 0;
    }
    weft_broadcast_unsubscribe(inbox);
    return err;
}

static void speak(int fd)
{
    char line[LINE], buf[1024];
    int begin = snprintf(line, LINE, "guest %d: ", fd), end = begin;
    ssize_t n;

    while ((n = weft_read(fd, buf, sizeof(buf))) > 0)
        for (ssize_t i = 0; i < n; i++) {
            line[end++] = buf[i];
            if (buf[i] == '\n' || end == LINE - 1) { // a longer line becomes several
                strcpy(line + end - 1, "\n");
                weft_broadcast_send(room, line);
                end = begin;
            }
        }
}

static int serve(void *arg)
{
    int fd = (int)(intptr_t)arg;
    weft_scope scope;

    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){ 16384 }, sizeof(int)); // unread lines shall wait in the broadcast
    weft_scope_open(&scope, WEFT_SCOPE_FAIL_FAST);                       // if hear fails, speak is cancelled
    if (weft_scope_spawn(&scope, hear, arg) == 0)
        speak(fd); // until the client hangs up
    weft_scope_cancel(&scope);
    weft_scope_close(&scope);
    return weft_close(fd);
}

static int accept_all(void *arg)
{
    (void)arg;
    while (!weft_cancelled()) {
        int fd = weft_accept(listener, NULL, NULL);
        if (fd < 0)
            weft_sleep(WEFT_MS(10)); // no descriptors or no memory left, for the moment
        else if (weft_spawn(NULL, serve, (void *)(intptr_t)fd) < 0)
            weft_close(fd);
    }
    return 0;
}

int main(int argc, char **argv)
{
    weft_rt *rt = NULL;
    sigset_t set;
    char at[64];
    int signal;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL); // in this thread, which waits for it; weft's threads inherit the mask
    listener = weft_tcp_listen(argc > 1 ? argv[1] : "127.0.0.1:7000");
    int err = listener < 0 ? listener : weft_local_addr(listener, at, sizeof(at));
    if (err < 0 || (err = weft_broadcast_new(&room, LINE, KEPT)) < 0 || (err = weft_rt_new(&rt, NULL)) < 0 ||
        (err = weft_rt_spawn(rt, NULL, accept_all, NULL)) < 0)
        return fprintf(stderr, "chat_server: %s\n", weft_strerror(err)) > 0;
    dprintf(1, "listening on %s\n", at);
    sigwait(&set, &signal);
    weft_rt_free(rt); // cancels all tasks, and waits for them
    weft_broadcast_unref(room);
    return 0;
}
