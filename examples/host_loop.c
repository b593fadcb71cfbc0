// A program with its own event loop: one thread that waits in poll(2), as in a GUI or a
// game. weft's tasks do the slow work, and report to a channel that the loop watches.
// This program reads addresses, one a line, and tells whether a TCP server answers
// there within two seconds:
//
//   printf '127.0.0.1:22\n127.0.0.1:1\n' | host_loop
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <weft.h>

struct probe {
    int result; // 0: the server answers
    weft_time took;
    char at[];
};

static weft_rt *rt;
static weft_scope probes;  // of the main thread, which closes the scope at the end
static weft_chan *answers; // of struct probe *

static int dial(void *at)
{
    return weft_tcp_dial(at);
}

// probe is a task. It may wait; the loop goes on.
static int probe(void *arg)
{
    struct probe *p = arg;
    weft_time from = weft_now();
    int fd = weft_timeout(WEFT_S(2), dial, p->at);

    p->took = weft_now() - from;
    p->result = fd < 0 ? fd : weft_close(fd);
    int err = weft_chan_try_send(answers, &p); // unbounded: never full
    if (err < 0)
        free(p);
    return err;
}

// begin is called by the loop.  Returns: 0; -ENOMEM.
static int begin(const char *at)
{
    weft_spawn_opts opts = WEFT_SPAWN_OPTS_INIT;
    size_t len = strlen(at) + 1;
    struct probe *p = calloc(1, sizeof(*p) + len);

    if (!p)
        return -ENOMEM;
    memcpy(p->at, at, len);
    opts.name = "probe";
    opts.scope = &probes;
    int err = weft_rt_spawn_with(rt, NULL, &opts, probe, p);
    if (err < 0)
        free(p);
    return err;
}

// hear takes all messages from the channel. Returns: how many.
static int hear(void)
{
    struct probe *p;
    int n = 0;

    for (; weft_chan_try_recv(answers, &p) == 0; n++) {
        if (p->result == 0)
            printf("%s answers after %lld us\n", p->at, (long long)(p->took / WEFT_US(1)));
        else
            printf("%s: %s\n", p->at, weft_strerror(p->result));
        free(p);
    }
    fflush(stdout);
    return n;
}

// take reads the available bytes of stdin, and begins a probe for each line. Returns:
// how many; -1 at the end.
static int take(void)
{
    static char text[4096];
    static size_t kept; // bytes of an incomplete line
    ssize_t n = read(STDIN_FILENO, text + kept, sizeof(text) - 1 - kept);
    char *line = text, *end;
    int begun = 0;

    if (n <= 0)
        return -1;
    text[kept + (size_t)n] = 0;
    for (; (end = strchr(line, '\n')); line = end + 1) {
        *end = 0;
        if (begin(line) == 0)
            begun++;
        else
            fprintf(stderr, "host_loop: no memory for %s\n", line);
    }
    kept = strlen(line) < sizeof(text) - 1 ? strlen(line) : 0; // a line that is too long is dropped
    memmove(text, line, kept);
    return begun;
}

// loop is the program's event loop. Returns: 0; a negative error.
static int loop(int fd)
{
    struct pollfd fds[] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = fd, .events = POLLIN } };

    for (int left = 0; fds[0].fd >= 0 || left > 0;) {
        if (poll(fds, 2, -1) < 0)
            return -errno;
        if (fds[1].revents)
            left -= hear();
        if (!fds[0].revents)
            continue;
        int begun = take();
        if (begun < 0)
            fds[0].fd = -1; // poll(2) ignores it
        else
            left += begun;
    }
    return 0;
}

int main(void)
{
    int err = weft_rt_new(&rt, NULL), closed = 0;

    if (err == 0)
        err = weft_chan_new(&answers, sizeof(struct probe *), WEFT_UNBOUNDED);
    int fd = err < 0 ? err : weft_chan_fd(answers);
    if (fd >= 0) {
        weft_rt_scope_open(rt, &probes, WEFT_SCOPE_COLLECT);
        err = loop(fd);
        closed = weft_scope_close(&probes); // no task uses the channel any more
    }
    weft_rt_free(rt);
    weft_chan_unref(answers);
    err = fd < 0 ? fd : err < 0 ? err : closed;
    return err < 0 ? fprintf(stderr, "host_loop: %s\n", weft_strerror(err)) > 0 : 0;
}
