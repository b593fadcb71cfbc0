// A key-value server with requests in lines: GET key, SET key value, DEL key, QUIT. An
// idle client costs no buffer; a client that sends many requests at once gets the
// answers at once. After SIGTERM the server answers the requests that it has begun, and
// ends.
//
//   line_server 127.0.0.1:7000           and then: nc 127.0.0.1 7000
#include <errno.h>
#include <search.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft.h>

enum { LINE = 1024 };

static void *store; // a tree of pairs, under the lock; a pair is the key, a 0, the value, a 0
static weft_mutex lock = WEFT_MUTEX_INIT;
static weft_drain requests = WEFT_DRAIN_INIT;
static int listener;

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

static bool get(const char *key, char answer[LINE])
{
    char **found = tfind(key, &store, compare);
    if (found)
        snprintf(answer, LINE, "= %s", *found + strlen(*found) + 1);
    return found != NULL;
}

static bool del(const char *key)
{
    char **found = tfind(key, &store, compare), *pair = found ? *found : NULL;
    if (found)
        tdelete(key, &store, compare);
    free(pair);
    return found != NULL;
}

// set stores a pair; the value follows the key. Returns: false: no memory.
static bool set(const char *key, const char *value)
{
    size_t n = strlen(key) + strlen(value) + 2;
    char *pair = malloc(n), **found = pair ? tsearch(memcpy(pair, key, n), &store, compare) : NULL;
    if (found && *found != pair) {
        free(*found);
        *found = pair;
    } else if (!found) {
        free(pair);
    }
    return found != NULL;
}

static int answer(weft_writer *w, char *line)
{
    char *rest, *verb = strtok_r(line, " ", &rest), *key = strtok_r(NULL, " ", &rest),
                *value = strtok_r(NULL, "", &rest), text[LINE] = "ok";
    bool done = true;

    if (!verb)
        return 0;
    if (strcmp(verb, "QUIT") == 0 && !key)
        return -ECONNABORTED;
    weft_mutex_lock_shielded(&lock); // never held while a client is slow: the answer is written afterwards
    if (strcmp(verb, "GET") == 0 && key && !value)
        done = get(key, text);
    else if (strcmp(verb, "SET") == 0 && value)
        done = set(key, value);
    else if (strcmp(verb, "DEL") == 0 && key && !value)
        done = del(key);
    else
        strcpy(text, "what?");
    weft_mutex_unlock(&lock);
    return weft_writer_printf(w, "%s\n", done ? text : "none");
}

// more tells whether the reader's buffer has another complete request.
static bool more(weft_reader *r)
{
    const void *rest;
    ssize_t n = weft_reader_peek(r, &rest, 0);
    return n > 0 && memchr(rest, '\n', (size_t)n);
}

// batch answers all requests in the buffer.
static int batch(weft_reader *r, weft_writer *w)
{
    const char *line;
    int err;

    do {
        ssize_t n = weft_reader_line(r, &line);
        if (n == -EMSGSIZE)
            weft_writer_printf(w, "a line has %d bytes at most\n", LINE);
        err = n < 0 ? (int)n : answer(w, (char *)line);
    } while (err == 0 && more(r) && !weft_draining(&requests));
    int flushed = weft_writer_flush(w);
    return err < 0 ? err : flushed;
}

static int serve(void *arg)
{
    int fd = (int)(intptr_t)arg, err = 0;
    const void *first;
    weft_reader r;
    weft_writer w;

    weft_reader_init(&r, weft_fd_stream(fd), LINE);
    weft_writer_init(&w, weft_fd_stream(fd), 0);
    while (err == 0 && weft_reader_peek(&r, &first, 1) > 0 && weft_drain_enter(&requests) == 0) {
        err = batch(&r, &w);
        weft_drain_leave(&requests);
    }
    weft_writer_fini(&w);
    weft_reader_fini(&r);
    return weft_close(fd);
}

static int run(void *signals)
{
    int signo;
    weft_case next[] = { weft_on_recv(signals, &signo), weft_on_fd(listener, POLLIN) };

    while (weft_select(next, 2) == 1) {
        int fd = weft_accept(listener, NULL, NULL);
        if (fd < 0)
            weft_sleep(WEFT_MS(10)); // no descriptors or no memory left, for the moment
        else if (weft_spawn(NULL, serve, (void *)(intptr_t)fd) < 0)
            weft_close(fd);
    }
    weft_close(listener);
    return weft_drain_begin(&requests, weft_after(WEFT_S(5))) < 0; // weft_run cancels the clients
}

int main(int argc, char **argv)
{
    weft_chan *signals;
    char at[64];

    int err = weft_chan_new(&signals, sizeof(int), 1);
    if (err < 0 || (err = weft_signal_notify(signals, SIGTERM)) < 0 ||
        (err = listener = weft_tcp_listen(argc > 1 ? argv[1] : "127.0.0.1:7000")) < 0 ||
        (err = weft_local_addr(listener, at, sizeof(at))) < 0)
        return fprintf(stderr, "line_server: %s\n", weft_strerror(err)) > 0;
    dprintf(1, "listening on %s\n", at);
    err = weft_run(NULL, run, signals);
    weft_chan_unref(signals);
    tdestroy(store, free);
    return err != 0;
}
