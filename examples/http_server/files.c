// Static files: below one folder, with ranges and conditional requests, by sendfile.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "http.h"

static int root = -1;

int file_root(const char *path)
{
    root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return root < 0 ? -weft_errno() : 0;
}

bool file_has_root(void)
{
    return root >= 0;
}

// --- opening -------------------------------------------------------------------------

struct opening {
    const char *path;
    uint64_t resolve;
};

// open_below opens a file below the root, and no other, even if its path has "..", is
// absolute or leads through a symbolic link.
static int open_below(void *arg)
{
    const struct opening *o = arg;
    struct open_how how = { .flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC, .resolve = RESOLVE_BENEATH | o->resolve };
    long fd = syscall(SYS_openat2, root, o->path, &how, sizeof(how));

    return fd < 0 ? -weft_errno() : (int)fd;
}

// open_file tries the kernel's cache of names first; if that needs the disk, it opens
// on the pool.
static int open_file(const char *path)
{
    struct opening o = { path, RESOLVE_CACHED };
    int fd = open_below(&o);

    if (fd != -EAGAIN && fd != -EINVAL) // a kernel before 5.12 does not know the flag
        return fd;
    o.resolve = 0;
    return weft_blocking(open_below, &o);
}

static int hex(char digit)
{
    return digit >= '0' && digit <= '9'                 ? digit - '0'
           : (digit | 32) >= 'a' && (digit | 32) <= 'f' ? (digit | 32) - 'a' + 10
                                                        : -1;
}

// decode_path turns a request's path into a relative one, without the query. Returns:
// false: it is not valid.
static bool decode_path(const char *from, char *to)
{
    if (strncasecmp(from, "http://", 7) == 0) // the absolute form, as to a proxy
        from = strchr(from + 7, '/');
    if (!from || *from != '/')
        return false;
    while (*from == '/')
        from++;
    for (; *from && *from != '?'; to++) {
        *to = *from++;
        if (*to != '%')
            continue;
        if (hex(from[0]) < 0 || hex(from[1]) < 0 || (*to = (char)(hex(from[0]) * 16 + hex(from[1]))) == 0)
            return false;
        from += 2;
    }
    *to = 0;
    return true;
}

static int open_path(const char *path, struct stat *st)
{
    char name[TARGET_MAX + sizeof("index.html")];

    if (!decode_path(path, name))
        return -ENOENT;
    if (name[0] == 0 || name[strlen(name) - 1] == '/')
        strcat(name, "index.html");
    int fd = open_file(name);
    if (fd >= 0 && (fstat(fd, st) < 0 || !S_ISREG(st->st_mode))) {
        close(fd);
        return -ENOENT;
    }
    return fd;
}

// --- ranges and conditions -----------------------------------------------------------

struct part {
    int status;
    off_t from, size;
    char etag[48], more[256]; // headers
};

// is_fresh tells whether the client has this version of the file.
static bool is_fresh(const struct request *r, const struct stat *st, const char *etag)
{
    struct tm tm = { 0 };

    if (r->if_none_match[0])
        return strstr(r->if_none_match, etag) || strcmp(r->if_none_match, "*") == 0;
    return r->if_modified[0] && strptime(r->if_modified, "%a, %d %b %Y %H:%M:%S GMT", &tm) &&
           st->st_mtime <= timegm(&tm);
}

// take_range reads one range, "bytes=first-last", and ignores all other forms, as HTTP
// allows.
static void take_range(const char *text, off_t size, struct part *p)
{
    intmax_t first = -1, last = -1;
    char extra;

    if (sscanf(text, "bytes=-%jd%c", &last, &extra) == 1 && last >= 0) {
        first = last < size ? size - last : 0;
        last = last > 0 ? size - 1 : -1;
    } else if (sscanf(text, "bytes=%jd-%jd%c", &first, &last, &extra) == 1 && first >= 0) {
        last = size - 1;
    } else if (sscanf(text, "bytes=%jd-%jd%c", &first, &last, &extra) != 2 || first < 0 || first > last) {
        return;
    }
    if (last >= size)
        last = size - 1;
    p->status = first >= size || first > last ? 416 : 206;
    p->from = p->status == 206 ? first : 0;
    p->size = p->status == 206 ? last - first + 1 : 0;
}

static void choose_part(const struct request *r, const struct stat *st, struct part *p)
{
    char modified[40], range[80] = "";
    struct tm tm;

    *p = (struct part){ .status = 200, .size = st->st_size };
    snprintf(p->etag, sizeof(p->etag), "\"%jx-%jx%09lx\"", (intmax_t)st->st_size, (intmax_t)st->st_mtim.tv_sec,
             st->st_mtim.tv_nsec);
    if (is_fresh(r, st, p->etag))
        p->status = 304;
    else if (r->range[0] && (!r->if_range[0] || strcmp(r->if_range, p->etag) == 0))
        take_range(r->range, st->st_size, p);
    if (p->status == 206)
        snprintf(range, sizeof(range), "Content-Range: bytes %jd-%jd/%jd\r\n", (intmax_t)p->from,
                 (intmax_t)(p->from + p->size - 1), (intmax_t)st->st_size);
    else if (p->status == 416)
        snprintf(range, sizeof(range), "Content-Range: bytes */%jd\r\n", (intmax_t)st->st_size);
    strftime(modified, sizeof(modified), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&st->st_mtime, &tm));
    snprintf(p->more, sizeof(p->more), "Accept-Ranges: bytes\r\nETag: %s\r\nLast-Modified: %s\r\n%s", p->etag, modified,
             range);
}

static const char *type_of(const char *path)
{
    static const char *const types[][2] = {
        { ".html", "text/html; charset=utf-8" },
        { ".css", "text/css" },
        { ".js", "text/javascript" },
        { ".json", "application/json" },
        { ".txt", "text/plain; charset=utf-8" },
        { ".svg", "image/svg+xml" },
        { ".png", "image/png" },
        { ".jpg", "image/jpeg" },
        { ".webp", "image/webp" },
        { ".woff2", "font/woff2" },
    };
    size_t n = strcspn(path, "?");

    if (n == 0 || path[n - 1] == '/')
        return types[0][1];
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
        size_t len = strlen(types[i][0]);
        if (n >= len && strncasecmp(path + n - len, types[i][0], len) == 0)
            return types[i][1];
    }
    return "application/octet-stream";
}

// --- sending -------------------------------------------------------------------------

// send_part sends the bytes. If the file has become shorter, the connection ends,
// because the reply's length is wrong.
static int send_part(struct conn *c, int file, off_t from, off_t size)
{
    char buf[16 << 10];

    int err = c->fd >= 0 ? weft_writer_flush(&c->out) : 0;
    while (err == 0 && size > 0) {
        ssize_t n = c->fd >= 0 ? weft_sendfile(c->fd, file, &from, (size_t)(size < 1 << 20 ? size : 1 << 20))
                               : weft_pread(file, buf, size < (off_t)sizeof(buf) ? (size_t)size : sizeof(buf), from);
        if (n <= 0)
            return n < 0 ? (int)n : -EIO;
        if (c->fd < 0) {
            err = weft_writer_write(&c->out, buf, (size_t)n);
            from += n;
        }
        size -= n;
        conn_allow(c);
    }
    return err;
}

int file_reply(struct conn *c)
{
    struct stat st;
    struct part p;
    int fd = open_path(c->req.path, &st);

    if (fd < 0)
        return fd == -ECANCELED || fd == -ETIMEDOUT ? fd : reply_error(c, fd == -EMFILE || fd == -ENFILE ? 503 : 404);
    choose_part(&c->req, &st, &p);
    int err = reply_head(c, p.status, type_of(c->req.path), (uint64_t)p.size, p.more);
    if (err == 0 && c->req.method == HTTP_GET && (p.status == 200 || p.status == 206))
        err = send_part(c, fd, p.from, p.size);
    close(fd);
    return err;
}
