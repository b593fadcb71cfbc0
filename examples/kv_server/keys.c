// Commands on keys of any type.
#include <fnmatch.h>

#include "command.h"

static void del(struct call *call)
{
    int64_t removed = 0;

    for (size_t i = 1; i < call->n; i++) {
        struct entry *e = table_find(call->args[i]);
        if (e)
            table_remove(e);
        removed += e != NULL;
    }
    reply_int(call->c, removed);
}

static void exists(struct call *call)
{
    int64_t found = 0;

    for (size_t i = 1; i < call->n; i++)
        found += table_find(call->args[i]) != NULL;
    reply_int(call->c, found);
}

static void type(struct call *call)
{
    static const char *const names[] = { "string", "list", "set", "hash", "zset" };
    struct entry *e = table_find(call->args[1]);
    reply_status(call->c, e ? names[e->type] : "none");
}

// expire_at sets the time of a key, which is over at once if it has passed.
static void expire_at(struct call *call, int64_t factor, int64_t from)
{
    struct entry *e = table_find(call->args[1]);
    int64_t when;

    if (!int_arg(call, 2, &when))
        return;
    if (__builtin_mul_overflow(when, factor, &when) || __builtin_add_overflow(when, from, &when)) {
        reply_error(call->c, "ERR invalid expire time in '%s' command", call->name);
        return;
    }
    if (e && when <= unix_ms())
        table_remove(e);
    else if (e)
        table_expire(e, when);
    reply_int(call->c, e != NULL);
}

static void expire(struct call *call)
{
    expire_at(call, 1000, unix_ms());
}

static void pexpire(struct call *call)
{
    expire_at(call, 1, unix_ms());
}

static void expireat(struct call *call)
{
    expire_at(call, 1000, 0);
}

static void pexpireat(struct call *call)
{
    expire_at(call, 1, 0);
}

static void pttl(struct call *call)
{
    struct entry *e = table_find(call->args[1]);
    reply_int(call->c, !e ? -2 : e->expires == 0 ? -1 : MAX(e->expires - unix_ms(), 0));
}

static void ttl(struct call *call)
{
    struct entry *e = table_find(call->args[1]);
    reply_int(call->c, !e ? -2 : e->expires == 0 ? -1 : (MAX(e->expires - unix_ms(), 0) + 500) / 1000);
}

static void persist(struct call *call)
{
    struct entry *e = table_find(call->args[1]);
    bool expires = e && e->expires != 0;

    if (expires)
        table_expire(e, 0);
    reply_int(call->c, expires);
}

static void dbsize(struct call *call)
{
    table_lock(ALL_SHARDS);
    size_t keys = table_size().keys;
    table_unlock(ALL_SHARDS);
    reply_int(call->c, (int64_t)keys);
}

static void flush(struct call *call)
{
    table_lock(ALL_SHARDS);
    table_clear();
    table_unlock(ALL_SHARDS);
    reply_status(call->c, "OK");
}

struct matches {
    char *pattern;
    GPtrArray *keys;
};

static void match(struct entry *e, void *arg)
{
    struct matches *m = arg;
    char *key = g_strndup(e->key.s, e->key.n);

    if (fnmatch(m->pattern, key, 0) == 0 && (e->expires == 0 || e->expires > unix_ms()))
        g_ptr_array_add(m->keys, text_copy(e->key, sizeof(struct text)));
    g_free(key);
}

static void keys(struct call *call)
{
    struct matches m = { g_strndup(call->args[1].s, call->args[1].n), g_ptr_array_new_with_free_func(g_free) };

    table_lock(ALL_SHARDS);
    table_each(match, &m);
    table_unlock(ALL_SHARDS);
    reply_array(call->c, m.keys->len);
    for (guint i = 0; i < m.keys->len; i++)
        reply_text(call->c, *(struct text *)g_ptr_array_index(m.keys, i));
    g_ptr_array_free(m.keys, TRUE);
    g_free(m.pattern);
}

const struct command key_commands[] = {
    { "del", -2, 1, -1, 1, del },         { "unlink", -2, 1, -1, 1, del },
    { "exists", -2, 1, -1, 1, exists },   { "type", 2, 1, 1, 1, type },
    { "expire", 3, 1, 1, 1, expire },     { "pexpire", 3, 1, 1, 1, pexpire },
    { "expireat", 3, 1, 1, 1, expireat }, { "pexpireat", 3, 1, 1, 1, pexpireat },
    { "ttl", 2, 1, 1, 1, ttl },           { "pttl", 2, 1, 1, 1, pttl },
    { "persist", 2, 1, 1, 1, persist },   { "dbsize", 1, 0, 0, 0, dbsize },
    { "flushall", -1, 0, 0, 0, flush },   { "flushdb", -1, 0, 0, 0, flush },
    { "keys", 2, 0, 0, 0, keys },         { .name = NULL },
};
