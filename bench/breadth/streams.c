// Memory of idle connections: of tasks that have a reader and a writer, and of tasks that
// wait until something comes, and take a buffer then. Each in a process of its own, so
// that none gets what the other has left behind.
#include "bench/breadth/streams.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weft.h>

#include "bench/breadth/counts.h"
#include "bench/micro/bodies.h"

enum { MESSAGES = 3 };

static struct {
    weft_fn *serve;
    const char *line;
    int n;
    int (*fds)[2]; // [0] is a task's, [1] is the peer's
} idle;

// echo_lines: until the peer closes.
static int echo_lines(void *arg)
{
    const int fd = (int)(intptr_t)arg;
    const weft_stream s = weft_fd_stream(fd);
    weft_reader r;
    weft_writer w;
    const char *line;
    ssize_t n;

    micro_ok(weft_reader_init(&r, s, 0), "make a reader");
    micro_ok(weft_writer_init(&w, s, 0), "make a writer");
    while ((n = weft_reader_line(&r, &line)) >= 0) {
        micro_ok(weft_writer_write(&w, line, (size_t)n), "write a line");
        micro_ok(weft_writer_write(&w, "\n", 1), "write its end");
        micro_ok(weft_writer_flush(&w), "flush");
    }
    micro_expect(n, -ENODATA, "the end");
    weft_writer_fini(&w);
    weft_reader_fini(&r);
    weft_close(fd);
    return 0;
}

static int echo_bytes(void *arg)
{
    const int fd = (int)(intptr_t)arg;
    ssize_t n = 1;

    while (n > 0) {
        micro_ok(weft_poll(fd, POLLIN), "wait");
        char *bytes = malloc(BLOCK_BYTES);
        micro_ok(bytes ? 0 : -ENOMEM, "a buffer");
        n = weft_read(fd, bytes, BLOCK_BYTES);
        micro_ok(n, "read");
        micro_ok(weft_write_all(fd, bytes, (size_t)n, NULL), "write");
        free(bytes);
    }
    weft_close(fd);
    return 0;
}

static void talk(int fd)
{
    char bytes[LINE_BYTES];

    memset(bytes, 'x', sizeof(bytes));
    bytes[LINE_BYTES - 1] = '\n';
    micro_ok(weft_write_all(fd, bytes, sizeof(bytes), NULL), "send a line");
    micro_ok(weft_read_full(fd, bytes, sizeof(bytes), NULL), "have it back");
}

static double resident_kib(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    micro_ok(f && fscanf(f, "%*s %ld", &pages) == 1 ? 0 : -EIO, "/proc/self/statm");
    fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1024;
}

static int measure_idle(void *arg)
{
    weft_scope all;
    (void)arg;

    for (int i = 0; i < idle.n; i++)
        micro_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, idle.fds[i]) < 0 ? -errno : 0, "a pair of sockets");
    weft_scope_open(&all, WEFT_SCOPE_FAIL_FAST);
    const double before = resident_kib();
    for (int i = 0; i < idle.n; i++)
        micro_ok(weft_scope_spawn(&all, idle.serve, (void *)(intptr_t)idle.fds[i][0]), "spawn");
    for (int round = 0; round < MESSAGES; round++)
        for (int i = 0; i < idle.n; i++)
            talk(idle.fds[i][1]);
    micro_ok(weft_sleep(WEFT_MS(50)), "sleep"); // until all have come to rest
    printf("%s\t%.3f\tKiB\n", idle.line, (resident_kib() - before) / idle.n);
    for (int i = 0; i < idle.n; i++)
        weft_close(idle.fds[i][1]);
    micro_ok(weft_scope_close(&all), "the tasks");
    return 0;
}

// count_connections is how many there are descriptors for.
static int count_connections(void)
{
    struct rlimit files;

    micro_ok(getrlimit(RLIMIT_NOFILE, &files) < 0 ? -errno : 0, "getrlimit");
    files.rlim_cur = files.rlim_max;
    micro_ok(setrlimit(RLIMIT_NOFILE, &files) < 0 ? -errno : 0, "setrlimit");
    return files.rlim_max < 2 * IDLE + 64 ? ((int)files.rlim_max - 64) / 2 : IDLE;
}

static int measure_in_child(unsigned workers, weft_fn *serve, const char *line)
{
    weft_config cfg = WEFT_CONFIG_INIT;
    int status;
    const pid_t child = fork();

    micro_ok(child < 0 ? -errno : 0, "fork");
    if (child > 0) {
        micro_ok(waitpid(child, &status, 0) < 0 ? -errno : 0, "waitpid");
        return status;
    }
    idle.serve = serve;
    idle.line = line;
    idle.n = count_connections();
    idle.fds = calloc((size_t)idle.n, sizeof(*idle.fds));
    micro_ok(idle.fds ? 0 : -ENOMEM, "calloc");
    cfg.workers = workers;
    micro_ok(weft_run(&cfg, measure_idle, NULL), "run");
    free(idle.fds);
    exit(0);
}

int streams_measure(unsigned workers)
{
    const int with = measure_in_child(workers, echo_lines, "streams");
    const int without = measure_in_child(workers, echo_bytes, "streams.without");
    return with != 0 || without != 0;
}
