// A key-value server that speaks in lines: GET key, SET key value, DEL key, QUIT. A
// client that sends nothing costs no buffer; one that sends many requests at once gets
// the answers at once.
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

struct pair {
    char *key, *value;
};

static void *store; // a tree of pairs, under the lock
static weft_mutex lock = WEFT_MUTEX_INIT;
static int listener;

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct pair *)a)->key, ((const struct pair *)b)->key);
}

static void drop(struct pair *p)
{
    tdelete(p, &store, compare);
    free(p->key);
    free(p->value);
    free(p);
}

// The three requests, under the lock, where a task must not wait for a slow client: the
// answer is written afterwards.  Returns: false: there is no such key, or no memory.
static bool get(char *key, char answer[2 * LINE])
{
    struct pair **found = tfind(&(struct pair){ key, NULL }, &store, compare);
    if (found)
        snprintf(answer, 2 * LINE, "= %s", (*found)->value);
    return found != NULL;
}

static bool del(char *key)
{
    struct pair **found = tfind(&(struct pair){ key, NULL }, &store, compare);
    if (found)
        drop(*found);
    return found != NULL;
}

static bool set(const char *key, const char *value)
{
    struct pair *p = calloc(1, sizeof(*p)), **found = NULL;

    if (p && (p->key = strdup(key)) && (p->value = strdup(value)))
        found = tsearch(p, &store, compare);
    if (found && *found == p)
        return true;
    if (found) { // the key is there: its pair gets the new value, and p the old one
        char *old = (*found)->value;
        (*found)->value = p->value;
        p->value = old;
    }
    if (p) {
        free(p->key);
        free(p->value);
        free(p);
    }
    return found != NULL;
}

static int answer(weft_writer *w, char *line)
{
    char *rest, *verb = strtok_r(line, " ", &rest), *key = strtok_r(NULL, " ", &rest),
                *value = strtok_r(NULL, "", &rest);
    char text[2 * LINE] = "ok";
    bool done = true;

    if (!verb)
        return 0;
    if (strcmp(verb, "QUIT") == 0 && !key)
        return -ECONNABORTED;
    int err = weft_mutex_lock(&lock);
    if (err < 0)
        return err;
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

// more tells whether another request is in the reader's buffer already.
static bool more(weft_reader *r)
{
    const void *rest;
    ssize_t n = weft_reader_peek(r, &rest, 0);
    return n > 0 && memchr(rest, '\n', (size_t)n);
}

static int serve(void *arg)
{
    int fd = (int)(intptr_t)arg, err = 0;
    const char *line;
    weft_reader r;
    weft_writer w;

    weft_reader_init(&r, weft_fd_stream(fd), LINE);
    weft_writer_init(&w, weft_fd_stream(fd), 0);
    while (err == 0) {
        ssize_t n = weft_reader_line(&r, &line);
        if (n == -EMSGSIZE)
            weft_writer_printf(&w, "a line has %d bytes at most\n", LINE);
        err = n < 0 ? (int)n : answer(&w, (char *)line);
        if (err == 0 && !more(&r))
            err = weft_writer_flush(&w);
    }
    weft_writer_flush(&w);
    weft_writer_fini(&w);
    weft_reader_fini(&r);
    return weft_close(fd);
}

static int accept_all(void *arg)
{
    (void)arg;
    while (!weft_cancelled()) {
        int fd = weft_accept(listener, NULL, NULL);
        if (fd < 0)
            weft_sleep(WEFT_MS(10)); // no descriptors or no memory are left, for the moment
        else if (weft_spawn(NULL, serve, (void *)(intptr_t)fd) < 0)
            weft_close(fd);
    }
    return 0;
}

int main(int argc, char **argv)
{
    weft_rt *rt = NULL;
    sigset_t signals;
    char at[64];
    int signal;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL); // in this thread, which waits for it; weft's threads block all
    listener = weft_tcp_listen(argc > 1 ? argv[1] : "127.0.0.1:7000");
    int err = listener < 0 ? listener : weft_local_addr(listener, at, sizeof(at));
    if (err < 0 || (err = weft_rt_new(&rt, NULL)) < 0 || (err = weft_rt_spawn(rt, NULL, accept_all, NULL)) < 0)
        return fprintf(stderr, "line_server: %s\n", weft_strerror(err)) > 0;
    dprintf(1, "listening on %s\n", at);
    sigwait(&signals, &signal);
    weft_rt_free(rt); // cancels all tasks, and waits for them
    while (store)
        drop(*(struct pair **)store); // the root of the tree: its first member is the pair
    return 0;
}
