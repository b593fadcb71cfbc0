// Fan-out: counts the lines of many files at the same time, within a time limit. The
// first file that cannot be read ends the program, and so does the deadline. In a shell
// where <(...) is a pipe from a command:
//
//   fan_out 1000 /etc/passwd <(seq 20000)       both are counted
//   fan_out 1000 <(sleep 9) /no/such/file       fails at once: the first error wins, without waiting nine seconds
//   fan_out 1000 <(sleep 9) /etc/passwd         fails after 1000 ms, wherever a task is waiting then
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

// A unit of work, and its result.
struct unit {
    const char *path;
    long lines;
    int err;
};

static int count_lines(int fd, long *lines)
{
    char buf[4096];
    ssize_t n;

    while ((n = weft_read(fd, buf, sizeof(buf))) > 0)
        for (ssize_t i = 0; i < n; i++)
            *lines += buf[i] == '\n';
    return (int)n;
}

// A child of the scope. It may use its parent's stack, because it cannot outlive the
// scope. Its result decides the scope. When the scope is cancelled, the child ends
// early, because it returns the errors of its calls.
static int count(void *arg)
{
    struct unit *unit = arg;

    int fd = open(unit->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); // non-blocking: a named pipe may have no writer
    if (fd < 0)
        return unit->err = -errno;
    unit->err = count_lines(fd, &unit->lines);
    weft_close(fd);
    return unit->err;
}

// fan_out starts everything and waits for everything.  Returns: 0; the first error;
// -ETIMEDOUT.
static int fan_out(struct unit *units, int n, weft_time limit)
{
    weft_scope scope;
    int err = 0;

    weft_scope_open(&scope, WEFT_SCOPE_FAIL_FAST);
    weft_scope_deadline(&scope, weft_after(limit));
    for (int i = 0; i < n && err == 0; i++)
        err = weft_scope_spawn(&scope, count, &units[i]);
    if (err < 0)
        weft_scope_cancel(&scope); // no memory for the next child: the others are useless
    int first = weft_scope_close(&scope);
    return err < 0 ? err : first;
}

// run takes the limit from argument 1, and makes units of the others.
static int run(void *arg)
{
    char **argument = arg;
    long lines = 0;
    int n = 0;

    while (argument[n + 2])
        n++;
    struct unit *units = calloc((size_t)n + 1, sizeof(*units));
    if (!units)
        return -ENOMEM;
    for (int i = 0; i < n; i++)
        units[i] = (struct unit){ .path = argument[i + 2], .err = -ECANCELED };
    int err = fan_out(units, n, WEFT_MS(strtol(argument[1], NULL, 10)));
    for (int i = 0; i < n; i++) {
        printf("%8ld  %s%s%s\n", units[i].lines, units[i].path, units[i].err ? ": " : "",
               units[i].err ? weft_strerror(units[i].err) : "");
        lines += units[i].lines;
    }
    printf("%8ld  in all%s\n", lines, err < 0 ? ", but not all there are" : "");
    free(units);
    return err;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: fan_out MILLISECONDS FILE...\n");
        return 2;
    }
    int err = weft_run(NULL, run, argv);
    if (err < 0)
        fprintf(stderr, "fan_out: %s\n", weft_strerror(err));
    return err < 0;
}
