// Commands about the server and the connection, and the list of its clients.
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "command.h"
#include "server.h"

static struct {
    const char *address, *snapshot;
    int workers;
    weft_time began;
} server;

static weft_mutex lock = WEFT_MUTEX_INIT; // guards the variables below, and the clients' names
static GHashTable *clients;               // of struct conn
static int64_t ids;
static uint64_t past_commands; // of clients that have left

void server_settings(const char *address, int workers, const char *snapshot)
{
    server.address = address;
    server.workers = workers;
    server.snapshot = snapshot;
    server.began = weft_now();
    clients = g_hash_table_new(NULL, NULL);
}

void clients_add(struct conn *c)
{
    weft_mutex_lock_shielded(&lock);
    c->id = ++ids;
    g_hash_table_add(clients, c);
    weft_mutex_unlock(&lock);
}

void clients_remove(struct conn *c)
{
    weft_mutex_lock_shielded(&lock);
    past_commands += atomic_load_explicit(&c->commands, memory_order_relaxed); // relaxed: a sum, and this task's own
    g_hash_table_remove(clients, c);
    weft_mutex_unlock(&lock);
}

// --- the connection ------------------------------------------------------------------

static void ping(struct call *call)
{
    if (call->n > 2)
        reply_error(call->c, "ERR wrong number of arguments for '%s' command", call->name);
    else if (call->n == 2)
        reply_text(call->c, call->args[1]);
    else
        reply_status(call->c, "PONG");
}

static void echo(struct call *call)
{
    reply_text(call->c, call->args[1]);
}

static void quit(struct call *call)
{
    call->c->closing = true;
    reply_status(call->c, "OK");
}

static void select_database(struct call *call)
{
    int64_t number;

    if (!int_arg(call, 1, &number))
        return;
    if (number == 0)
        reply_status(call->c, "OK");
    else
        reply_error(call->c, "ERR DB index is out of range");
}

static void reply_pair(struct conn *c, const char *name, const char *value)
{
    reply_text(c, (struct text){ name, strlen(name) });
    reply_text(c, (struct text){ value, strlen(value) });
}

static void hello(struct call *call)
{
    int64_t version = call->c->protocol;

    if (call->n > 1 && (!text_int(call->args[1], &version) || version < 2 || version > 3)) {
        reply_error(call->c, "NOPROTO unsupported protocol version");
        return;
    }
    if (call->n > 2) {
        reply_error(call->c, "ERR syntax error in HELLO: this server knows no AUTH and no SETNAME");
        return;
    }
    call->c->protocol = (int)version;
    reply_map(call->c, 5);
    reply_pair(call->c, "server", "weft-kv");
    reply_pair(call->c, "version", "7.0.0");
    reply_text(call->c, TEXT("proto"));
    reply_int(call->c, version);
    reply_text(call->c, TEXT("id"));
    reply_int(call->c, call->c->id);
    reply_pair(call->c, "mode", "standalone");
}

static void set_name(struct call *call)
{
    struct text name = call->args[2];

    if (name.n >= sizeof(call->c->name) || memchr(name.s, ' ', name.n) || memchr(name.s, '\n', name.n)) {
        reply_error(call->c,
                    "ERR Client names cannot contain spaces, newlines or special characters, and have %zu"
                    " bytes at most",
                    sizeof(call->c->name) - 1);
        return;
    }
    weft_mutex_lock_shielded(&lock);
    memcpy(call->c->name, name.s, name.n);
    call->c->name[name.n] = 0;
    weft_mutex_unlock(&lock);
    reply_status(call->c, "OK");
}

static void list_clients(struct call *call)
{
    GString *list = g_string_new(NULL);
    GHashTableIter iter;
    gpointer at;
    char peer[64];

    weft_mutex_lock_shielded(&lock);
    for (g_hash_table_iter_init(&iter, clients); g_hash_table_iter_next(&iter, &at, NULL);) {
        struct conn *c = at;
        if (weft_peer_addr(c->fd, peer, sizeof(peer)) < 0)
            strcpy(peer, "?");
        g_string_append_printf(list, "id=%" G_GINT64_FORMAT " addr=%s fd=%d name=%s tot-cmds=%" G_GUINT64_FORMAT "\n",
                               (gint64)c->id, peer, c->fd, c->name,
                               (guint64)atomic_load_explicit(&c->commands, memory_order_relaxed)); // relaxed: a figure
    }
    weft_mutex_unlock(&lock);
    reply_text(call->c, (struct text){ list->str, list->len });
    g_string_free(list, TRUE);
}

static void client(struct call *call)
{
    struct text what = call->args[1];

    if (text_is(what, "id") && call->n == 2)
        reply_int(call->c, call->c->id);
    else if (text_is(what, "getname") && call->n == 2 && call->c->name[0])
        reply_text(call->c, (struct text){ call->c->name, strlen(call->c->name) });
    else if (text_is(what, "getname") && call->n == 2)
        reply_null(call->c);
    else if (text_is(what, "setname") && call->n == 3)
        set_name(call);
    else if (text_is(what, "setinfo") && call->n == 4)
        reply_status(call->c, "OK");
    else if (text_is(what, "list") && call->n == 2)
        list_clients(call);
    else
        reply_error(call->c, "ERR unknown subcommand or wrong number of arguments for '%.*s'", (int)MIN(what.n, 128),
                    what.s);
}

// --- the server ----------------------------------------------------------------------

static long resident_bytes(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    if (f && fscanf(f, "%*d %ld", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return pages * sysconf(_SC_PAGESIZE);
}

static uint64_t all_commands(void)
{
    uint64_t sum = past_commands;
    GHashTableIter iter;
    gpointer at;

    for (g_hash_table_iter_init(&iter, clients); g_hash_table_iter_next(&iter, &at, NULL);)
        sum += atomic_load_explicit(&((struct conn *)at)->commands, memory_order_relaxed); // relaxed: a figure
    return sum;
}

static void info(struct call *call)
{
    table_lock(ALL_SHARDS);
    struct table_size size = table_size();
    table_unlock(ALL_SHARDS);
    weft_mutex_lock_shielded(&lock);
    uint64_t commands = all_commands();
    guint now = g_hash_table_size(clients);
    int64_t ever = ids;
    weft_mutex_unlock(&lock);
    char *text = g_strdup_printf(
        "# Server\r\nredis_version:7.0.0\r\nserver_name:weft-kv\r\nprocess_id:%d\r\naddress:%s\r\nworkers:%d\r\n"
        "uptime_in_seconds:%" G_GINT64_FORMAT "\r\n\r\n# Clients\r\nconnected_clients:%u\r\n\r\n"
        "# Memory\r\nused_memory_rss:%ld\r\n\r\n"
        "# Stats\r\ntotal_connections_received:%" G_GINT64_FORMAT "\r\ntotal_commands_processed:%" G_GUINT64_FORMAT
        "\r\n\r\n# Keyspace\r\ndb0:keys=%zu,expires=%zu,avg_ttl=0\r\n",
        getpid(), server.address, server.workers, (gint64)((weft_now() - server.began) / WEFT_S(1)), now,
        resident_bytes(), (gint64)ever, (guint64)commands, size.keys, size.expiring);
    reply_text(call->c, (struct text){ text, strlen(text) });
    g_free(text);
}

// config answers the questions of redis-benchmark.
static void config(struct call *call)
{
    if (!text_is(call->args[1], "get")) {
        reply_error(call->c, "ERR this server has no settings that can be changed");
        return;
    }
    bool save = text_is(call->args[2], "save"), append = text_is(call->args[2], "appendonly");
    reply_map(call->c, save || append);
    if (save)
        reply_pair(call->c, "save", "");
    else if (append)
        reply_pair(call->c, "appendonly", "no");
}

static void command(struct call *call)
{
    reply_array(call->c, 0);
}

static void save(struct call *call)
{
    int err = server.snapshot ? snapshot_save(server.snapshot) : -ENOENT;

    if (!server.snapshot)
        reply_error(call->c, "ERR the server was started without --snapshot");
    else if (err < 0)
        reply_error(call->c, "ERR %s: %s", server.snapshot, weft_strerror(err));
    else
        reply_status(call->c, "OK");
}

const struct command server_commands[] = {
    { "ping", -1, 0, 0, 0, ping },
    { "echo", 2, 0, 0, 0, echo },
    { "quit", -1, 0, 0, 0, quit },
    { "select", 2, 0, 0, 0, select_database },
    { "hello", -1, 0, 0, 0, hello },
    { "client", -2, 0, 0, 0, client },
    { "info", -1, 0, 0, 0, info },
    { "config", -3, 0, 0, 0, config },
    { "command", -1, 0, 0, 0, command },
    { "save", 1, 0, 0, 0, save },
    { .name = NULL },
};
