// Commands on sets.
#include "command.h"

static void add(struct call *call)
{
    struct entry *e = find_or_make(call, call->args[1], SET);
    int64_t added = 0;

    if (!e)
        return;
    for (size_t i = 2; i < call->n; i++)
        added += set_add(e->set, call->args[i]);
    reply_int(call->c, added);
}

static void remove_members(struct call *call)
{
    struct entry *e;
    int64_t removed = 0;

    if (!find_typed(call, call->args[1], SET, &e))
        return;
    for (size_t i = 2; e && i < call->n; i++)
        removed += set_remove(e->set, call->args[i]);
    if (e)
        remove_empty(e);
    reply_int(call->c, removed);
}

static void pop(struct call *call)
{
    struct entry *e;
    int64_t count;

    if (!count_arg(call, &count) || !find_typed(call, call->args[1], SET, &e))
        return;
    if (!e && call->n == 2) {
        reply_null(call->c);
        return;
    }
    count = e ? MIN(count, e->set->members->len) : 0;
    if (call->n == 3)
        reply_set(call->c, (size_t)count);
    for (; count > 0; count--) {
        struct text name = set_draw(e->set, table_random());
        reply_text(call->c, name);
        set_remove(e->set, name);
    }
    if (e)
        remove_empty(e);
}

static void cardinality(struct call *call)
{
    struct entry *e;
    if (find_typed(call, call->args[1], SET, &e))
        reply_int(call->c, e ? e->set->members->len : 0);
}

static void is_member(struct call *call)
{
    struct entry *e;
    if (find_typed(call, call->args[1], SET, &e))
        reply_int(call->c, e && g_hash_table_contains(e->set->by_name, &call->args[2]));
}

static void members(struct call *call)
{
    struct entry *e;

    if (!find_typed(call, call->args[1], SET, &e))
        return;
    guint n = e ? e->set->members->len : 0;
    reply_set(call->c, n);
    for (guint i = 0; i < n; i++)
        reply_text(call->c, ((struct member *)g_ptr_array_index(e->set->members, i))->name);
}

const struct command set_commands[] = {
    { "sadd", -3, 1, 1, 1, add },
    { "srem", -3, 1, 1, 1, remove_members },
    { "spop", -2, 1, 1, 1, pop },
    { "scard", 2, 1, 1, 1, cardinality },
    { "sismember", 3, 1, 1, 1, is_member },
    { "smembers", 2, 1, 1, 1, members },
    { .name = NULL },
};
