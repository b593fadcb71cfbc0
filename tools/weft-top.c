// weft-top shows what a program that runs on weft does. It connects to the program's
// inspect socket, which weft_config.inspect, or WEFT_INSPECT, names.
//
// weft-top finds the socket of a process in /proc: among the process's descriptors it
// tries the Unix sockets that listen, those with "weft" in their names first. weft's
// socket greets a client that connects; weft-top disconnects from a socket that sends
// no greeting.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { SOCKETS = 1024, GREETING_SECONDS = 2, REPLY_SECONDS = 60, TABLE_BYTES = 64 << 10 };

static const char usage[] = "usage: weft-top [--dump | --metrics | --trace FILE [--for SECONDS]] PID | SOCKET\n"
                            "\n"
                            "Shows what a program that runs on weft does. Without an option: a table, each\n"
                            "second anew; one table if the output is not a terminal.\n"
                            "\n"
                            "  --dump         each task: where it is, and what it waits for\n"
                            "  --metrics      counters, as Prometheus text\n"
                            "  --trace FILE   what happens in the next second, or SECONDS, as a trace for\n"
                            "                 ui.perfetto.dev; 0: what the flight recorder has, if it is on\n"
                            "\n"
                            "PID has an inspect socket if it runs with WEFT_INSPECT=@weft-%p, say. SOCKET is\n"
                            "a path, or @NAME.\n";

struct options {
    bool dump, metrics;
    const char *trace;
    double seconds;
    const char *whom;
};

static void fail(const char *what, const char *of, int err)
{
    fprintf(stderr, "weft-top: %s%s%s%s\n", what, of, err ? ": " : "", err ? strerror(err) : "");
    exit(1);
}

// --- The socket ----------------------------------------------------------------------

// read_line reads a line, a byte at a time: what follows it is for others to read.
// Returns: its length without the newline; -1: none came.
static int read_line(int fd, char *line, size_t size)
{
    for (size_t n = 0; n < size; n++) {
        if (read(fd, &line[n], 1) != 1)
            return -1;
        if (line[n] == '\n') {
            line[n] = 0;
            return (int)n;
        }
    }
    return -1;
}

static void set_patience(int fd, int seconds)
{
    struct timeval limit = { .tv_sec = seconds };
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

// connect_to connects, and awaits the greeting.  Returns: -errno; -EPROTO: it is not weft's.
static int connect_to(const char *name)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    size_t n = strlen(name);
    char line[128];

    if (n >= sizeof(sa.sun_path))
        return -ENAMETOOLONG;
    memcpy(sa.sun_path, name, n);
    if (name[0] == '@')
        sa.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    set_patience(fd, GREETING_SECONDS);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (name[0] != '@'));
    int err = connect(fd, (struct sockaddr *)&sa, len) ? errno : 0;
    if (!err && read_line(fd, line, sizeof(line)) < 0)
        err = EPROTO;
    if (!err && strcmp(line, "weft-inspect 1") != 0)
        err = strncmp(line, "error", 5) == 0 ? EPERM : EPROTO;
    if (!err)
        return fd;
    close(fd);
    return -err;
}

// --- The socket of a process ---------------------------------------------------------

struct inodes {
    unsigned long of[SOCKETS];
    int n;
};

// read_sockets reads which sockets a process has.
static void read_sockets(const char *pid, struct inodes *own)
{
    char path[64], link[64];
    struct dirent *entry;

    snprintf(path, sizeof(path), "/proc/%.16s/fd", pid);
    DIR *dir = opendir(path);
    if (!dir)
        fail(errno == ENOENT ? "there is no process " : "cannot look at process ", pid, errno == ENOENT ? 0 : errno);
    while (own->n < SOCKETS && (entry = readdir(dir))) {
        ssize_t n = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);
        link[n > 0 ? n : 0] = 0;
        if (sscanf(link, "socket:[%lu]", &own->of[own->n]) == 1)
            own->n++;
    }
    closedir(dir);
}

static bool has(const struct inodes *own, unsigned long inode)
{
    for (int i = 0; i < own->n; i++)
        if (own->of[i] == inode)
            return true;
    return false;
}

// try_sockets goes through the process's sockets that listen.  `likely`: those with "weft"
// in their name; else the others.  Returns: a connection; -errno of the last one.
static int try_sockets(const char *pid, const struct inodes *own, bool likely)
{
    char path[64], line[512], name[256];
    unsigned long inode, flags;
    int fd = -ENOENT;

    snprintf(path, sizeof(path), "/proc/%.16s/net/unix", pid);
    FILE *all = fopen(path, "re");
    while (all && fd < 0 && fgets(line, sizeof(line), all)) {
        int fields = sscanf(line, "%*s %*s %*s %lx %*s %*s %lu %255[^\n]", &flags, &inode, name);
        bool listens = fields == 3 && flags & 0x10000 && has(own, inode);
        if (listens && (strstr(name, "weft") != NULL) == likely)
            fd = connect_to(name);
    }
    if (all)
        fclose(all);
    return fd;
}

static int connect_to_process(const char *pid)
{
    struct inodes own = { .n = 0 };

    read_sockets(pid, &own);
    int fd = try_sockets(pid, &own, true);
    if (fd < 0 && fd != -EPERM)
        fd = try_sockets(pid, &own, false);
    if (fd == -EPERM || fd == -EACCES)
        fail("not permitted: be the user of process ", pid, 0);
    if (fd < 0)
        fail("no inspect socket: run it with WEFT_INSPECT=@weft-%p, process ", pid, 0);
    return fd;
}

static int open_whom(const char *whom)
{
    if (strspn(whom, "0123456789") == strlen(whom))
        return connect_to_process(whom);
    int fd = connect_to(whom);
    if (fd < 0)
        fail(fd == -EPROTO ? "that is another program's socket: " : "cannot connect to ", whom,
             fd == -EPROTO ? 0 : -fd);
    return fd;
}

// --- Asking --------------------------------------------------------------------------

// ask sends a command.  Returns: a descriptor, from which the answer comes.
static int ask(const char *whom, const char *command, double seconds)
{
    char line[128];
    int fd = open_whom(whom);

    set_patience(fd, REPLY_SECONDS + (int)seconds);
    snprintf(line, sizeof(line), "%s\n", command);
    if (send(fd, line, strlen(line), MSG_NOSIGNAL) < 0 || read_line(fd, line, sizeof(line)) < 0)
        fail("the program has gone away", "", 0);
    if (strcmp(line, "ok") != 0)
        fail("the program says: ", line, 0);
    return fd;
}

// copy copies an answer to its end.
static void copy(int from, int to)
{
    char buf[1 << 16];
    ssize_t n;

    while ((n = read(from, buf, sizeof(buf))) > 0)
        for (ssize_t done = 0, wrote; done < n; done += wrote)
            if ((wrote = write(to, buf + done, (size_t)(n - done))) < 0)
                fail("cannot write", "", errno);
    if (n < 0)
        fail("the answer was cut off", "", errno);
    close(from);
}

static void write_trace(const struct options *o)
{
    char command[64];

    snprintf(command, sizeof(command), "trace %.0f", o->seconds * 1000);
    int answer = ask(o->whom, command, o->seconds); // first: what is in the file stays if there is no answer
    int fd = open(o->trace, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        fail("cannot write ", o->trace, errno);
    copy(answer, fd);
    if (close(fd))
        fail("cannot write ", o->trace, errno);
}

// --- The table -----------------------------------------------------------------------

// show prints as much of the table as the terminal has room for.
static void show(char *table)
{
    struct winsize size = { .ws_row = 24, .ws_col = 80 };
    char *rest, *line = strtok_r(table, "\n", &rest);

    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    printf("\033[H\033[J");
    for (int row = 1; line && row < size.ws_row; row++, line = strtok_r(NULL, "\n", &rest))
        printf("%.*s\n", (int)size.ws_col, line);
    fflush(stdout);
}

// watch shows the table each second, until the program is gone.
static void watch(const char *whom)
{
    static char table[TABLE_BYTES];

    for (;;) {
        int fd = ask(whom, "top 1000", 1);
        size_t n = 0;
        ssize_t more;
        while (n < sizeof(table) - 1 && (more = read(fd, table + n, sizeof(table) - 1 - n)) > 0)
            n += (size_t)more;
        close(fd);
        table[n] = 0;
        show(table);
    }
}

// --- Options -------------------------------------------------------------------------

static void reject(const char *why, const char *what)
{
    fprintf(stderr, "weft-top: %s%s\n%s", why, what, usage);
    exit(2);
}

static const char *value_of(char **argv, int *i)
{
    if (!argv[*i + 1])
        reject("a value is missing after ", argv[*i]);
    return argv[++*i];
}

static double seconds_of(const char *text)
{
    char *end;
    double seconds = strtod(text, &end);

    if (*end || end == text || !(seconds >= 0 && seconds <= 600))
        reject("seconds are a number from 0 to 600, not ", text);
    return seconds;
}

static struct options read_options(char **argv)
{
    struct options o = { .seconds = 1 };

    for (int i = 1; argv[i]; i++) {
        if (strcmp(argv[i], "--dump") == 0)
            o.dump = true;
        else if (strcmp(argv[i], "--metrics") == 0)
            o.metrics = true;
        else if (strcmp(argv[i], "--trace") == 0)
            o.trace = value_of(argv, &i);
        else if (strcmp(argv[i], "--for") == 0)
            o.seconds = seconds_of(value_of(argv, &i));
        else if (argv[i][0] == '-' || o.whom)
            reject("unknown: ", argv[i]);
        else
            o.whom = argv[i];
    }
    if (!o.whom || !*o.whom)
        reject("say which process", "");
    if (o.dump + o.metrics + (o.trace != NULL) > 1)
        reject("one of --dump, --metrics and --trace", "");
    return o;
}

int main(int argc, char **argv)
{
    (void)argc;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        printf("%s", usage);
        return 0;
    }
    struct options o = read_options(argv);

    if (o.trace)
        write_trace(&o);
    else if (o.dump || o.metrics)
        copy(ask(o.whom, o.dump ? "dump" : "metrics", 0), STDOUT_FILENO);
    else if (isatty(STDOUT_FILENO))
        watch(o.whom);
    else
        copy(ask(o.whom, "top 1000", 1), STDOUT_FILENO);
    return 0;
}
