// Commands on hashes.
#include "command.h"

static bool set_field(GHashTable *hash, struct text name, struct text value)
{
    struct field *f = g_hash_table_lookup(hash, &name);
    bool is_new = !f;

    if (is_new) {
        f = text_copy(name, sizeof(*f));
        g_hash_table_add(hash, f);
    }
    g_free(f->value);
    f->value = text_copy(value, sizeof(struct text));
    return is_new;
}

static void set(struct call *call)
{
    int64_t added = 0;

    if (call->n % 2 != 0) {
        reply_error(call->c, "ERR wrong number of arguments for '%s' command", call->name);
        return;
    }
    struct entry *e = find_or_make(call, call->args[1], HASH);
    if (!e)
        return;
    for (size_t i = 2; i < call->n; i += 2)
        added += set_field(e->hash, call->args[i], call->args[i + 1]);
    reply_int(call->c, added);
}

static void get(struct call *call)
{
    struct entry *e;

    if (!find_typed(call, call->args[1], HASH, &e))
        return;
    struct field *f = e ? g_hash_table_lookup(e->hash, &call->args[2]) : NULL;
    if (f)
        reply_text(call->c, *f->value);
    else
        reply_null(call->c);
}

static void del(struct call *call)
{
    struct entry *e;
    int64_t removed = 0;

    if (!find_typed(call, call->args[1], HASH, &e))
        return;
    for (size_t i = 2; e && i < call->n; i++)
        removed += g_hash_table_remove(e->hash, &call->args[i]);
    if (e)
        remove_empty(e);
    reply_int(call->c, removed);
}

static void length(struct call *call)
{
    struct entry *e;
    if (find_typed(call, call->args[1], HASH, &e))
        reply_int(call->c, e ? g_hash_table_size(e->hash) : 0);
}

static void get_all(struct call *call)
{
    struct entry *e;
    GHashTableIter iter;
    gpointer at;

    if (!find_typed(call, call->args[1], HASH, &e))
        return;
    reply_map(call->c, e ? g_hash_table_size(e->hash) : 0);
    if (!e)
        return;
    for (g_hash_table_iter_init(&iter, e->hash); g_hash_table_iter_next(&iter, &at, NULL);) {
        struct field *f = at;
        reply_text(call->c, f->name);
        reply_text(call->c, *f->value);
    }
}

const struct command hash_commands[] = {
    { "hset", -4, 1, 1, 1, set },   { "hget", 3, 1, 1, 1, get },        { "hdel", -3, 1, 1, 1, del },
    { "hlen", 2, 1, 1, 1, length }, { "hgetall", 2, 1, 1, 1, get_all }, { .name = NULL },
};
