// The inspect socket: a Unix socket, and a thread that answers on it and needs no worker.
//
// A client that connects is greeted by "weft-inspect 1\n", sends one line, and gets one
// line, "ok" or "error ...", and after "ok" the answer, up to the end of the stream:
//
//      dump                      weft_rt_dump
//      metrics                   weft_rt_metrics_write
//      trace MILLISECONDS        weft_rt_trace_write, after the recorder was on for that time
//      top MILLISECONDS          a table of the workers and tasks that were busy in that time
//
// The thread serves one client at a time, and only clients of the same user, or of
// root. It writes an answer into a file in memory first. So a client that does not read
// delays only the next client, by PATIENCE_NS at most. Each wait ends when the client
// closes its end, and when the runtime stops: wf_inspect_stop shuts both sockets down.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/futex.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/sys.h"
#include "base/thread.h"
#include "runtime/see/see.h"
#include "runtime/see/top.h"

#define PATIENCE_NS INT64_C(10000000000) // the limit for the client to send its line, and to read its answer
#define PAUSE_NS INT64_C(100000000)      // the pause after a failed accept(2)

enum { LINE_BYTES = 64, WAIT_MAX_MS = 600000, EVENTS = 1 << 16, BACKLOG = 16 };

// I: fixed; L: under `lock`; T: the thread's
struct wf_inspect {
    struct weft_rt *rt;      // I
    int listener;            // I
    struct sockaddr_un name; // I
    socklen_t name_len;      // I
    struct stat file;        // I: the socket's file; unused for an abstract name
    pthread_t thread;        // I
    struct wf_lock lock;
    int client;     // L: -1: none
    bool stopping;  // L
    char line[LINE_BYTES]; // T: what the client has sent
};

// --- The address ---------------------------------------------------------------------

static bool is_file(const struct wf_inspect *i)
{
    return i->name.sun_path[0] != 0;
}

// set_name reads an address: "@name" is abstract, "%p" becomes the process's number
// (PID).
// Returns: 0; -ENAMETOOLONG.
static int set_name(struct wf_inspect *i, const char *address)
{
    char *path = i->name.sun_path, *number = strstr(address, "%p");
    int before = number ? (int)(number - address) : (int)strlen(address);
    char pid[16] = "";

    if (number)
        snprintf(pid, sizeof(pid), "%d", wf_sys_getpid());
    int n = snprintf(path, sizeof(i->name.sun_path), "%.*s%s%s", before, address, pid, number ? number + 2 : "");
    if (n <= 0 || (size_t)n >= sizeof(i->name.sun_path))
        return -ENAMETOOLONG;
    i->name.sun_family = AF_UNIX;
    i->name_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n + (path[0] != '@'));
    if (path[0] == '@')
        path[0] = 0;
    return 0;
}

static int bind_name(struct wf_inspect *i)
{
    return wf_sys_bind(i->listener, (struct sockaddr *)&i->name, i->name_len);
}

// is_deserted tells whether no process listens at the address any more.
static bool is_deserted(const struct wf_inspect *i)
{
    int fd = wf_sys_socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return false;
    int err = wf_sys_connect(fd, (const struct sockaddr *)&i->name, i->name_len);
    (void)wf_sys_close(fd);
    return err == -ECONNREFUSED;
}

// take_name binds the socket. It replaces the file of a socket that an ended process
// has left behind.
static int take_name(struct wf_inspect *i)
{
    struct stat st;
    int err = bind_name(i);

    if (err != -EADDRINUSE || !is_file(i))
        return err;
    if (wf_sys_fstatat(AT_FDCWD, i->name.sun_path, &st, AT_SYMLINK_NOFOLLOW) || !S_ISSOCK(st.st_mode))
        return err;
    if (!is_deserted(i) || wf_sys_unlinkat(AT_FDCWD, i->name.sun_path, 0))
        return err;
    return bind_name(i);
}

// drop_name removes the socket's file, unless the file belongs to another socket by
// now.
static void drop_name(const struct wf_inspect *i)
{
    struct stat st;

    if (is_file(i) && wf_sys_fstatat(AT_FDCWD, i->name.sun_path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        st.st_dev == i->file.st_dev && st.st_ino == i->file.st_ino)
        (void)wf_sys_unlinkat(AT_FDCWD, i->name.sun_path, 0);
}

static int begin_to_listen(struct wf_inspect *i, const char *address)
{
    int err = set_name(i, address);

    if (err)
        return err;
    i->listener = wf_above_standard(wf_sys_socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (i->listener < 0)
        return i->listener;
    err = take_name(i);
    if (!err && is_file(i))
        err = wf_sys_fstatat(AT_FDCWD, i->name.sun_path, &i->file, AT_SYMLINK_NOFOLLOW);
    if (!err)
        err = wf_sys_listen(i->listener, BACKLOG);
    if (err)
        (void)wf_sys_close(i->listener);
    return err;
}

// --- One client ----------------------------------------------------------------------

static void set_limit(int fd, int option, int64_t ns)
{
    struct timeval limit = { .tv_sec = ns / 1000000000, .tv_usec = ns % 1000000000 / 1000 + 1 }; // 0 would be no limit
    (void)wf_sys_setsockopt(fd, SOL_SOCKET, option, &limit, sizeof(limit));
}

// is_allowed tells whether the client is a process of the same user, or of root.
static bool is_allowed(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (wf_sys_getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) || len != sizeof(peer))
        return false;
    return peer.uid == (uid_t)wf_sys_geteuid() || peer.uid == 0;
}

// read_line reads the client's line. Returns: false if the client sends none.
static bool read_line(struct wf_inspect *i, int fd)
{
    int64_t deadline = wf_after(wf_now(), PATIENCE_NS), now;

    for (size_t n = 0; n < sizeof(i->line) && (now = wf_now()) < deadline; n++) {
        set_limit(fd, SO_RCVTIMEO, deadline - now);
        if (WF_RETRY(wf_sys_recv(fd, &i->line[n], 1, 0)) != 1)
            return false;
        if (i->line[n] == '\n') {
            i->line[n] = 0;
            return true;
        }
    }
    return false;
}

// send_all sends some bytes.  Returns: 0; -errno: the client is gone, or does not read.
static int send_all(int fd, const char *data, size_t n, int64_t deadline)
{
    while (n > 0) {
        int64_t now = wf_now();
        if (now >= deadline)
            return -ETIMEDOUT;
        set_limit(fd, SO_SNDTIMEO, deadline - now);
        ssize_t sent = WF_RETRY(wf_sys_send(fd, data, n, MSG_NOSIGNAL));
        if (sent < 0)
            return (int)sent;
        data += sent;
        n -= (size_t)sent;
    }
    return 0;
}

// send_answer sends the file in memory.
static void send_answer(int fd, int answer)
{
    int64_t deadline = wf_after(wf_now(), PATIENCE_NS);
    char buf[4096];
    off_t at = 0;
    ssize_t n;

    if (send_all(fd, "ok\n", 3, deadline))
        return;
    while ((n = wf_sys_pread(answer, buf, sizeof(buf), at)) > 0 && send_all(fd, buf, (size_t)n, deadline) == 0)
        at += n;
}

static void send_error(int fd, const char *what, int err)
{
    char line[LINE_BYTES];
    int n = snprintf(line, sizeof(line), "error %s (%d)\n", what, err);
    (void)send_all(fd, line, (size_t)n, wf_after(wf_now(), PATIENCE_NS));
}

// wait_with waits for a time, unless the client closes its end. Returns: false if the
// client has closed it.
static bool wait_with(int fd, int64_t ns)
{
    char byte;

    set_limit(fd, SO_RCVTIMEO, ns);
    return wf_sys_recv(fd, &byte, 1, 0) == -EAGAIN;
}

// --- Commands ------------------------------------------------------------------------

static int write_dump(struct wf_inspect *i, int answer)
{
    weft_rt_dump(i->rt, answer);
    return 0;
}

static int write_metrics(struct wf_inspect *i, int answer)
{
    return weft_rt_metrics_write(i->rt, answer);
}

// record turns the recorder on for `ms`, and then writes `table` or a trace. If the
// client has gone, it writes nothing and returns 0.
static int record(struct wf_inspect *i, int client, long ms, bool table, int answer)
{
    struct wf_sched *s = i->rt->sched;
    struct wf_top top;
    int err = wf_sched_record_begin(s, EVENTS);

    if (err)
        return err;
    wf_top_begin(i->rt, &top);
    bool there = ms == 0 || wait_with(client, ms * INT64_C(1000000));
    if (there)
        err = table ? wf_top_write(i->rt, &top, answer) : weft_rt_trace_write(i->rt, answer);
    wf_sched_record_end(s);
    return there ? err : -ECONNRESET;
}

// duration reads the number behind a command. Returns: -1 if there is no number in
// range.
static long duration(const char *text)
{
    char *end;
    long ms = strtol(text, &end, 10);

    return text[0] >= '0' && text[0] <= '9' && !*end && ms <= WAIT_MAX_MS ? ms : -1;
}

// obey executes the client's command. Returns: 0; -errno; -EINVAL if there is no such
// command.
static int obey(struct wf_inspect *i, int client, int answer)
{
    bool table = strncmp(i->line, "top ", 4) == 0;
    long ms = duration(i->line + (table ? 4 : 6));

    if (strcmp(i->line, "dump") == 0)
        return write_dump(i, answer);
    if (strcmp(i->line, "metrics") == 0)
        return write_metrics(i, answer);
    if (ms >= 0 && (table || strncmp(i->line, "trace ", 6) == 0))
        return record(i, client, ms, table, answer);
    return -EINVAL;
}

static void answer_client(struct wf_inspect *i, int client)
{
    int answer = wf_fault() ? -EMFILE : wf_above_standard(wf_sys_memfd_create("weft-inspect", MFD_CLOEXEC));

    if (answer < 0) {
        send_error(client, "there is no room for an answer", answer);
        return;
    }
    int err = obey(i, client, answer);
    if (err == -EINVAL)
        send_error(client, "there is no such command", err);
    else if (err)
        send_error(client, "it cannot be done", err);
    else
        send_answer(client, answer);
    (void)wf_sys_close(answer);
}

static void serve(struct wf_inspect *i, int client)
{
    static const char greeting[] = "weft-inspect 1\n";

    if (!is_allowed(client)) {
        send_error(client, "it is another user's", -EPERM);
        return;
    }
    memset(i->line, 0, sizeof(i->line));
    if (send_all(client, greeting, sizeof(greeting) - 1, wf_after(wf_now(), PATIENCE_NS)) == 0 && read_line(i, client))
        answer_client(i, client);
}

// --- The thread ----------------------------------------------------------------------

// enter_client makes the client known to wf_inspect_stop. Returns: false if
// wf_inspect_stop was called before.
static bool enter_client(struct wf_inspect *i, int client)
{
    wf_lock_acquire(&i->lock);
    bool go_on = !i->stopping;
    i->client = client;
    wf_lock_release(&i->lock);
    return go_on;
}

// accept_next returns the next client; -errno.
static int accept_next(struct wf_inspect *i)
{
    return wf_above_standard((int)WF_RETRY(wf_sys_accept4(i->listener, NULL, NULL, SOCK_CLOEXEC)));
}

static void *run_inspect(void *arg)
{
    struct wf_inspect *i = arg;
    _Atomic uint32_t never = 0;

    for (;;) {
        int client = accept_next(i);
        bool go_on = enter_client(i, client);
        if (client >= 0 && go_on)
            serve(i, client);
        (void)enter_client(i, -1);
        if (client >= 0)
            (void)wf_sys_close(client);
        if (!go_on)
            return NULL;
        if (client < 0)
            wf_futex_wait(&never, 0, wf_after(wf_now(), PAUSE_NS));
    }
}

int wf_inspect_start(struct weft_rt *rt, const char *address)
{
    if (!address || !*address)
        return 0;
    struct wf_inspect *i = wf_alloc(sizeof(*i));
    if (!i)
        return -ENOMEM;
    i->rt = rt;
    i->client = -1;
    int err = begin_to_listen(i, address);
    if (err) {
        fprintf(stderr, "weft: nothing listens at '%s' for weft-top: %s\n", address, strerror(-err));
        wf_free(i);
        return 0;
    }
    struct wf_thread_spec spec = { .name = "weft-inspect", .fn = run_inspect, .arg = i, .origin = rt->origin };
    err = wf_thread_start(&i->thread, &spec);
    if (err) {
        drop_name(i);
        (void)wf_sys_close(i->listener);
        wf_free(i);
        return err;
    }
    rt->inspect = i;
    return 0;
}

void wf_inspect_stop(struct weft_rt *rt)
{
    struct wf_inspect *i = rt->inspect;

    if (!i)
        return;
    wf_lock_acquire(&i->lock);
    i->stopping = true;
    (void)wf_sys_shutdown(i->listener, SHUT_RDWR);
    if (i->client >= 0)
        (void)wf_sys_shutdown(i->client, SHUT_RDWR);
    wf_lock_release(&i->lock);
    pthread_join(i->thread, NULL);
    drop_name(i);
    (void)wf_sys_close(i->listener);
    wf_free(i);
    rt->inspect = NULL;
}

void wf_inspect_abandon(struct weft_rt *rt)
{
    if (!rt->inspect)
        return;
    (void)wf_sys_close(rt->inspect->listener);
    if (rt->inspect->client >= 0)
        (void)wf_sys_close(rt->inspect->client);
    wf_free(rt->inspect);
}
