// Commands on strings.
#include "command.h"

static void store(struct entry *e, struct text value)
{
    g_free(e->string);
    e->string = text_copy(value, sizeof(struct text));
}

static void get(struct call *call)
{
    struct entry *e;

    if (!find_typed(call, call->args[1], STRING, &e))
        return;
    if (e)
        reply_text(call->c, *e->string);
    else
        reply_null(call->c);
}

static void mget(struct call *call)
{
    reply_array(call->c, call->n - 1);
    for (size_t i = 1; i < call->n; i++) {
        struct entry *e = table_find(call->args[i]);
        if (e && e->type == STRING)
            reply_text(call->c, *e->string);
        else
            reply_null(call->c);
    }
}

struct set_options {
    int64_t expires; // 0: never
    bool only_new, only_old, keep_time;
};

// set_time reads the time of an option.  Returns: false after an error reply.
static bool set_time(struct call *call, size_t i, int64_t factor, struct set_options *o)
{
    int64_t span;

    if (!int_arg(call, i, &span))
        return false;
    if (span > 0 && !__builtin_mul_overflow(span, factor, &span) &&
        !__builtin_add_overflow(span, unix_ms(), &o->expires))
        return true;
    reply_error(call->c, "ERR invalid expire time in '%s' command", call->name);
    return false;
}

static bool set_options(struct call *call, struct set_options *o)
{
    for (size_t i = 3; i < call->n; i++) {
        bool timed = i + 1 < call->n && o->expires == 0 && !o->keep_time;
        if (text_is(call->args[i], "nx") && !o->only_old) {
            o->only_new = true;
        } else if (text_is(call->args[i], "xx") && !o->only_new) {
            o->only_old = true;
        } else if (text_is(call->args[i], "keepttl") && o->expires == 0) {
            o->keep_time = true;
        } else if (timed && (text_is(call->args[i], "ex") || text_is(call->args[i], "px"))) {
            if (!set_time(call, i + 1, text_is(call->args[i], "ex") ? 1000 : 1, o))
                return false;
            i++;
        } else {
            reply_error(call->c, "ERR syntax error");
            return false;
        }
    }
    return true;
}

static void set(struct call *call)
{
    struct set_options o = { 0 };

    if (!set_options(call, &o))
        return;
    struct entry *e = table_find(call->args[1]);
    if (e ? o.only_new : o.only_old) {
        reply_null(call->c);
        return;
    }
    int64_t expires = e && o.keep_time ? e->expires : o.expires;
    if (!e || e->type != STRING)
        e = table_make(call->args[1], STRING);
    store(e, call->args[2]);
    if (e->expires != expires)
        table_expire(e, expires);
    reply_status(call->c, "OK");
}

static void mset(struct call *call)
{
    for (size_t i = 1; i + 1 < call->n; i += 2)
        store(table_make(call->args[i], STRING), call->args[i + 1]);
    reply_status(call->c, "OK");
}

static void add(struct call *call, int64_t by)
{
    struct entry *e;
    int64_t value = 0;
    char text[24];

    if (!find_typed(call, call->args[1], STRING, &e))
        return;
    if (e && !text_int(*e->string, &value)) {
        reply_error(call->c, "ERR value is not an integer or out of range");
        return;
    }
    if (__builtin_add_overflow(value, by, &value)) {
        reply_error(call->c, "ERR increment or decrement would overflow");
        return;
    }
    int n = g_snprintf(text, sizeof(text), "%" G_GINT64_FORMAT, (gint64)value);
    store(e ? e : table_make(call->args[1], STRING), (struct text){ text, (size_t)n });
    reply_int(call->c, value);
}

static void incr(struct call *call)
{
    add(call, 1);
}

static void decr(struct call *call)
{
    add(call, -1);
}

static void incrby(struct call *call)
{
    int64_t by;
    if (int_arg(call, 2, &by))
        add(call, by);
}

static void decrby(struct call *call)
{
    int64_t by;
    if (!int_arg(call, 2, &by))
        return;
    if (by == INT64_MIN)
        reply_error(call->c, "ERR decrement would overflow");
    else
        add(call, -by);
}

static void length(struct call *call)
{
    struct entry *e;
    if (find_typed(call, call->args[1], STRING, &e))
        reply_int(call->c, e ? (int64_t)e->string->n : 0);
}

const struct command string_commands[] = {
    { "get", 2, 1, 1, 1, get },       { "set", -3, 1, 1, 1, set },
    { "mget", -2, 1, -1, 1, mget },   { "mset", -3, 1, -2, 2, mset },
    { "incr", 2, 1, 1, 1, incr },     { "decr", 2, 1, 1, 1, decr },
    { "incrby", 3, 1, 1, 1, incrby }, { "decrby", 3, 1, 1, 1, decrby },
    { "strlen", 2, 1, 1, 1, length }, { .name = NULL },
};
