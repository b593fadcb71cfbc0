#include "bench/echo/counters.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int map_file(struct counters *c, int fd, int protection)
{
    int flags = fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED;
    void *p = mmap(NULL, c->count * sizeof(*c->all), protection, flags, fd, 0);
    if (p == MAP_FAILED)
        return -errno;
    c->all = p;
    return 0;
}

int counters_make(struct counters *c, const char *path, size_t count)
{
    *c = (struct counters){ .count = count };
    if (!path)
        return map_file(c, -1, PROT_READ | PROT_WRITE);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int err = ftruncate(fd, (off_t)(count * sizeof(*c->all))) < 0 ? -errno : map_file(c, fd, PROT_READ | PROT_WRITE);
    close(fd);
    return err;
}

int counters_open(struct counters *c, const char *path)
{
    struct stat about;
    *c = (struct counters){ 0 };
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int err = fstat(fd, &about) < 0 ? -errno : 0;
    c->count = err ? 0 : (size_t)about.st_size / sizeof(*c->all);
    if (c->count > 0)
        err = map_file(c, fd, PROT_READ);
    close(fd);
    return err;
}

void counters_close(struct counters *c)
{
    if (c->all)
        munmap(c->all, c->count * sizeof(*c->all));
    c->all = NULL;
}

uint64_t counters_sum(const struct counters *c)
{
    uint64_t sum = 0;
    for (size_t i = 0; c->all && i < c->count; i++)
        sum += c->all[i].done;
    return sum;
}
