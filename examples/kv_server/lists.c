// Commands on lists.
#include "command.h"

static void push(struct call *call, void (*add)(GQueue *q, gpointer text))
{
    struct entry *e = find_or_make(call, call->args[1], LIST);

    if (!e)
        return;
    for (size_t i = 2; i < call->n; i++)
        add(e->list, text_copy(call->args[i], sizeof(struct text)));
    reply_int(call->c, e->list->length);
}

static void lpush(struct call *call)
{
    push(call, g_queue_push_head);
}

static void rpush(struct call *call)
{
    push(call, g_queue_push_tail);
}

static void pop(struct call *call, gpointer (*take)(GQueue *q))
{
    struct entry *e;
    int64_t count;

    if (!count_arg(call, &count) || !find_typed(call, call->args[1], LIST, &e))
        return;
    if (!e) {
        if (call->n == 3)
            reply_null_array(call->c);
        else
            reply_null(call->c);
        return;
    }
    count = MIN(count, e->list->length);
    if (call->n == 3)
        reply_array(call->c, (size_t)count);
    for (; count > 0; count--) {
        struct text *t = take(e->list);
        reply_text(call->c, *t);
        g_free(t);
    }
    remove_empty(e);
}

static void lpop(struct call *call)
{
    pop(call, g_queue_pop_head);
}

static void rpop(struct call *call)
{
    pop(call, g_queue_pop_tail);
}

static void length(struct call *call)
{
    struct entry *e;
    if (find_typed(call, call->args[1], LIST, &e))
        reply_int(call->c, e ? e->list->length : 0);
}

static void range(struct call *call)
{
    struct entry *e;
    struct range r;

    if (!range_args(call, &r) || !find_typed(call, call->args[1], LIST, &e))
        return;
    int64_t n = range_clip(&r, e ? e->list->length : 0);
    reply_array(call->c, (size_t)n);
    GList *at = n > 0 ? g_queue_peek_nth_link(e->list, (guint)r.first) : NULL;
    for (; n > 0; n--, at = at->next)
        reply_text(call->c, *(struct text *)at->data);
}

const struct command list_commands[] = {
    { "lpush", -3, 1, 1, 1, lpush },
    { "rpush", -3, 1, 1, 1, rpush },
    { "lpop", -2, 1, 1, 1, lpop },
    { "rpop", -2, 1, 1, 1, rpop },
    { "llen", 2, 1, 1, 1, length },
    { "lrange", 4, 1, 1, 1, range },
    { .name = NULL },
};
