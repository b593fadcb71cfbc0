// A crawler: fetches the URLs on stdin, one a line, and prints the status and the
// number of bytes of each. Two limits apply to requests at a time: in all, and for each
// host. An attempt has a time limit. One that fails (or gets a status of 5xx) is
// repeated, each time after a pause twice as long.
//
//   crawler [-n AT-A-TIME] [-h OF-A-HOST] [-t MS] [-r RETRIES] [-b FIRST-PAUSE-MS] <urls
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <weft.h>

struct host {
    struct host *next;
    weft_sem slots;
    char *address; // HOST:PORT
};

struct job {
    struct host *host;
    int status;
    long long bytes;
    const char *path; // in the URL
    char url[];
};

static long at_a_time = 16, of_a_host = 2, limit = 5000, retries = 3, first_pause = 100;
static weft_sem slots;
static struct host *hosts; // used by the task that reads the URLs

static int read_answer(struct job *job, weft_reader *r)
{
    char buf[4096];
    const char *line;
    ssize_t n = weft_reader_line(r, &line);

    if (n < 0 || sscanf(line, "HTTP/1.%*d %d", &job->status) != 1)
        return n < 0 ? (int)n : -EPROTO;
    while ((n = weft_reader_line(r, &line)) > 0)
        ; // the headers
    if (n < 0)
        return (int)n;
    for (job->bytes = 0; (n = weft_reader_read(r, buf, sizeof(buf))) > 0;)
        job->bytes += n;
    return (int)n;
}

static int get(void *arg)
{
    struct job *job = arg;
    weft_reader r;
    weft_writer w;
    int fd = weft_tcp_dial(job->host->address);

    if (fd < 0)
        return fd;
    weft_reader_init(&r, weft_fd_stream(fd), 0);
    weft_writer_init(&w, weft_fd_stream(fd), 0);
    int err = weft_writer_printf(&w, "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n", job->path, job->host->address);
    if (err == 0 && (err = weft_writer_flush(&w)) == 0)
        err = read_answer(job, &r);
    weft_writer_fini(&w);
    weft_reader_fini(&r);
    weft_close(fd);
    return err;
}

static int attempt(struct job *job)
{
    int err = weft_sem_acquire(&job->host->slots, 1); // first, so that a slow host takes no slot from another
    if (err < 0)
        return err;
    if ((err = weft_sem_acquire(&slots, 1)) == 0) {
        err = weft_timeout(WEFT_MS(limit), get, job);
        weft_sem_release(&slots, 1);
    }
    weft_sem_release(&job->host->slots, 1);
    return err;
}

static int fetch(void *arg)
{
    struct job *job = arg;
    int err = attempt(job);

    for (long i = 0; i < retries && (err < 0 || job->status >= 500); i++) {
        weft_sleep(WEFT_MS(first_pause << i)); // without a slot
        err = attempt(job);
    }
    if (err < 0)
        printf("%s: %s\n", job->url, weft_strerror(err));
    else
        printf("%s: %d, %lld bytes\n", job->url, job->status, job->bytes);
    free(job);
    return err;
}

// host_of finds the host, or makes it.  Returns: NULL: there is not enough memory.
static struct host *host_of(const char *name, int n)
{
    const char *port = name[n - 1] == ']' || !memchr(name, ':', (size_t)n) ? ":80" : "";
    struct host *host = hosts;
    char *address;

    if (asprintf(&address, "%.*s%s", n, name, port) < 0)
        return NULL;
    while (host && strcmp(host->address, address) != 0)
        host = host->next;
    if (host || !(host = malloc(sizeof(*host)))) {
        free(address);
        return host;
    }
    *host = (struct host){ .next = hosts, .address = address };
    weft_sem_init(&host->slots, (size_t)of_a_host);
    return hosts = host;
}

static int begin(weft_scope *scope, const char *url)
{
    int n = (int)strcspn(url + 7, "/");
    struct job *job = malloc(sizeof(*job) + strlen(url) + 1);
    if (!job)
        return -ENOMEM;
    strcpy(job->url, url);
    job->path = url[7 + n] ? job->url + 7 + n : "/";
    job->host = host_of(url + 7, n);
    int err = job->host ? weft_scope_spawn(scope, fetch, job) : -ENOMEM;
    if (err < 0)
        free(job);
    return err;
}

static int run(void *arg)
{
    weft_scope scope;
    weft_reader r;
    const char *url;
    ssize_t n;
    int err = 0;
    (void)arg;

    weft_reader_init(&r, weft_fd_stream(STDIN_FILENO), 0);
    weft_scope_open(&scope, WEFT_SCOPE_COLLECT);
    while (err == 0 && (n = weft_reader_line(&r, &url)) >= 0)
        if (strncmp(url, "http://", 7) == 0 && url[7] && url[7] != '/')
            err = begin(&scope, url);
        else
            printf("%s: not an http:// URL\n", url);
    weft_reader_fini(&r);
    int failed = weft_scope_close(&scope);
    return err < 0 ? err : n != -ENODATA ? (int)n : failed;
}

int main(int argc, char **argv)
{
    for (int c; (c = getopt(argc, argv, "n:h:t:r:b:")) != -1;) {
        if (c == '?')
            return 2;
        *(c == 'n'   ? &at_a_time
          : c == 'h' ? &of_a_host
          : c == 't' ? &limit
          : c == 'r' ? &retries
                     : &first_pause) = atol(optarg);
    }
    weft_sem_init(&slots, (size_t)at_a_time);
    return weft_run(NULL, run, NULL) < 0; // failures are on stdout
}
