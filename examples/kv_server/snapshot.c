// A snapshot is a file of requests, as `redis-cli --pipe` takes them.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "command.h"
#include "server.h"

static void add_text(GString *to, struct text t)
{
    g_string_append_printf(to, "$%zu\r\n", t.n);
    g_string_append_len(to, t.s, (gssize)t.n);
    g_string_append_len(to, "\r\n", 2);
}

static void add_number(GString *to, const char *fmt, double value)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];
    g_ascii_formatd(text, sizeof(text), fmt, value);
    add_text(to, (struct text){ text, strlen(text) });
}

static void add_head(GString *to, size_t args, const char *name, struct text key)
{
    g_string_append_printf(to, "*%zu\r\n", args + 2);
    add_text(to, (struct text){ name, strlen(name) });
    add_text(to, key);
}

// It adds a member or two at a time, because the arguments of a request are limited.
static void add_members(GString *to, struct entry *e)
{
    GHashTableIter iter;
    gpointer at;

    for (GList *l = e->type == LIST ? e->list->head : NULL; l; l = l->next)
        add_head(to, 1, "RPUSH", e->key), add_text(to, *(struct text *)l->data);
    if (e->type == LIST)
        return;
    g_hash_table_iter_init(&iter, e->type == HASH ? e->hash : e->type == SET ? e->set->by_name : e->zset->by_name);
    while (g_hash_table_iter_next(&iter, &at, NULL)) {
        const char *names[] = { [SET] = "SADD", [HASH] = "HSET", [ZSET] = "ZADD" };
        add_head(to, e->type == SET ? 1 : 2, names[e->type], e->key);
        if (e->type == ZSET)
            add_number(to, "%.17g", ((struct scored *)at)->score);
        add_text(to, *(struct text *)at); // each begins with its name
        if (e->type == HASH)
            add_text(to, *((struct field *)at)->value);
    }
}

static void add_entry(struct entry *e, void *arg)
{
    GString *to = arg;

    if (e->type == STRING) {
        add_head(to, 1, "SET", e->key);
        add_text(to, *e->string);
    } else {
        add_members(to, e);
    }
    if (e->expires != 0) {
        add_head(to, 1, "PEXPIREAT", e->key);
        add_number(to, "%.0f", (double)e->expires);
    }
}

int snapshot_save(const char *path)
{
    GString *all = g_string_new(NULL);

    table_lock(ALL_SHARDS);
    table_each(add_entry, all);
    table_unlock(ALL_SHARDS);
    int err = weft_file_write(path, all->str, all->len);
    g_string_free(all, TRUE);
    return err;
}

int snapshot_load(const char *path)
{
    int fd = weft_open(path, O_RDONLY | O_CLOEXEC, 0);
    ssize_t size;
    struct conn c;

    if (fd < 0)
        return fd == -ENOENT ? 0 : fd;
    conn_init(&c, weft_fd_stream(fd), -1);
    while ((size = request_read(&c)) > 0) {
        command_run(&c);
        request_done(&c, size);
        conn_flush(&c);
    }
    conn_fini(&c);
    weft_close(fd);
    return size == -ENODATA ? 0 : (int)size;
}
