// Commands on sorted sets.
#include <math.h>

#include "command.h"

static bool is_score(struct text t, double *score)
{
    char *copy = g_strndup(t.s, t.n), *end;

    *score = g_ascii_strtod(copy, &end);
    bool whole = t.n > 0 && end == copy + t.n && !g_ascii_isspace(copy[0]) && !isnan(*score);
    g_free(copy);
    return whole;
}

// It reads all scores before it sets the first, so the command does all or nothing.
static void add(struct call *call)
{
    int64_t added = 0;
    double score;

    if (call->n % 2 != 0) {
        reply_error(call->c, "ERR syntax error");
        return;
    }
    for (size_t i = 2; i < call->n; i += 2)
        if (!is_score(call->args[i], &score)) {
            reply_error(call->c, "ERR value is not a valid float");
            return;
        }
    struct entry *e = find_or_make(call, call->args[1], ZSET);
    if (!e)
        return;
    for (size_t i = 2; i < call->n; i += 2)
        added += is_score(call->args[i], &score) && zset_add(e->zset, call->args[i + 1], score);
    reply_int(call->c, added);
}

static void remove_members(struct call *call)
{
    struct entry *e;
    int64_t removed = 0;

    if (!find_typed(call, call->args[1], ZSET, &e))
        return;
    for (size_t i = 2; e && i < call->n; i++)
        removed += zset_remove(e->zset, call->args[i]);
    if (e)
        remove_empty(e);
    reply_int(call->c, removed);
}

static void score(struct call *call)
{
    struct entry *e;

    if (!find_typed(call, call->args[1], ZSET, &e))
        return;
    struct scored *m = e ? g_hash_table_lookup(e->zset->by_name, &call->args[2]) : NULL;
    if (m)
        reply_double(call->c, m->score);
    else
        reply_null(call->c);
}

static void cardinality(struct call *call)
{
    struct entry *e;
    if (find_typed(call, call->args[1], ZSET, &e))
        reply_int(call->c, e ? g_hash_table_size(e->zset->by_name) : 0);
}

// reply_pairs begins `n` members with their scores: RESP3 has an array for each pair if
// `nested`.
static void reply_pairs(struct conn *c, int64_t n, bool nested)
{
    reply_array(c, (size_t)(nested && c->protocol == 3 ? n : 2 * n));
}

static void reply_pair(struct conn *c, const struct scored *m, bool nested)
{
    if (nested && c->protocol == 3)
        reply_array(c, 2);
    reply_text(c, m->name);
    reply_double(c, m->score);
}

static void range(struct call *call)
{
    bool scores = call->n == 5 && text_is(call->args[4], "withscores");
    struct entry *e;
    struct range r;

    if (call->n > 5 || (call->n == 5 && !scores)) {
        reply_error(call->c, "ERR syntax error");
        return;
    }
    if (!range_args(call, &r) || !find_typed(call, call->args[1], ZSET, &e))
        return;
    int64_t n = range_clip(&r, e ? g_hash_table_size(e->zset->by_name) : 0);
    if (scores)
        reply_pairs(call->c, n, true);
    else
        reply_array(call->c, (size_t)n);
    GSequenceIter *at = n > 0 ? g_sequence_get_iter_at_pos(e->zset->by_score, (gint)r.first) : NULL;
    for (; n > 0; n--, at = g_sequence_iter_next(at)) {
        if (scores)
            reply_pair(call->c, g_sequence_get(at), true);
        else
            reply_text(call->c, ((struct scored *)g_sequence_get(at))->name);
    }
}

static void pop_min(struct call *call)
{
    struct entry *e;
    int64_t count;

    if (!count_arg(call, &count) || !find_typed(call, call->args[1], ZSET, &e))
        return;
    count = e ? MIN(count, (int64_t)g_hash_table_size(e->zset->by_name)) : 0;
    reply_pairs(call->c, count, call->n == 3);
    for (; count > 0; count--) {
        struct scored *m = g_sequence_get(g_sequence_get_begin_iter(e->zset->by_score));
        reply_pair(call->c, m, call->n == 3);
        zset_remove(e->zset, m->name);
    }
    if (e)
        remove_empty(e);
}

const struct command zset_commands[] = {
    { "zadd", -4, 1, 1, 1, add },
    { "zrem", -3, 1, 1, 1, remove_members },
    { "zscore", 3, 1, 1, 1, score },
    { "zcard", 2, 1, 1, 1, cardinality },
    { "zrange", -4, 1, 1, 1, range },
    { "zpopmin", -2, 1, 1, 1, pop_min },
    { .name = NULL },
};
