// Watches a folder: lists its entries, and then reports changes.
//
// inotify is a descriptor like any other, so a task reads it with weft_read. Three
// things are easy to miss: the kernel drops events when too many wait (IN_Q_OVERFLOW),
// and then the program must list the folder again; the folder may be removed
// (IN_IGNORED); and folders inside it are not watched.
#include <errno.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <weft.h>

enum { EVENTS = IN_CREATE | IN_DELETE | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR };

static const char *what_happened(uint32_t mask)
{
    if (mask & (IN_CREATE | IN_MOVED_TO))
        return "appears";
    return mask & IN_CLOSE_WRITE ? "is written" : "disappears";
}

static int list(const char *path)
{
    weft_dirent e;
    weft_dir *d;

    int got = weft_dir_open(&d, path);
    if (got < 0)
        return got;
    while ((got = weft_dir_next(d, &e)) == 1)
        printf("%s is there\n", e.name);
    weft_dir_close(d);
    return got;
}

// tell prints what one event means. Returns: 1 once the folder is gone.
static int tell(const char *path, const struct inotify_event *e)
{
    if (e->mask & IN_IGNORED)
        return 1;
    if (e->mask & IN_Q_OVERFLOW)
        return list(path);
    printf("%s %s\n", e->len ? e->name : path, what_happened(e->mask));
    return 0;
}

static int watch(const char *path, int fd)
{
    _Alignas(struct inotify_event) char buf[4096];
    int over = inotify_add_watch(fd, path, EVENTS) < 0 ? -weft_errno() : list(path); // this order misses none

    while (over == 0) {
        fflush(stdout);
        ssize_t n = weft_read(fd, buf, sizeof(buf));
        if (n < 0)
            return (int)n;
        for (const char *at = buf; at < buf + n && over == 0;) {
            const struct inotify_event *e = (const struct inotify_event *)at;
            over = tell(path, e);
            at += sizeof(*e) + e->len;
        }
    }
    return over < 0 ? over : 0;
}

static int run(void *arg)
{
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

    if (fd < 0)
        return -weft_errno();
    int err = watch(arg, fd);
    weft_close(fd);
    return err;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: watch_folder FOLDER\n");
        return 2;
    }
    int err = weft_run(NULL, run, argv[1]);
    if (err < 0)
        fprintf(stderr, "watch_folder: %s: %s\n", argv[1], weft_strerror(err));
    return err < 0;
}
