#include "command.h"

static GHashTable *commands; // of struct name

struct name {
    struct text name; // first; in lower case
    const struct command *command;
};

static void add_commands(const struct command *list)
{
    for (; list->name; list++) {
        struct name *name = text_copy((struct text){ list->name, strlen(list->name) }, sizeof(*name));
        name->command = list;
        g_hash_table_add(commands, name);
    }
}

void commands_init(void)
{
    commands = g_hash_table_new_full(text_hash, text_equal, g_free, NULL);
    add_commands(key_commands);
    add_commands(string_commands);
    add_commands(list_commands);
    add_commands(set_commands);
    add_commands(hash_commands);
    add_commands(zset_commands);
    add_commands(server_commands);
}

void commands_fini(void)
{
    g_hash_table_destroy(commands);
}

static const struct command *find_command(struct text name)
{
    char lower[32];
    struct text key = { lower, name.n };

    if (name.n > sizeof(lower))
        return NULL;
    for (size_t i = 0; i < name.n; i++)
        lower[i] = g_ascii_tolower(name.s[i]);
    struct name *found = g_hash_table_lookup(commands, &key);
    return found ? found->command : NULL;
}

static void refuse_unknown(struct call *call)
{
    GString *words = g_string_new(NULL);

    for (size_t i = 1; i < call->n && words->len < 128; i++)
        g_string_append_printf(words, "'%.*s' ", (int)MIN(call->args[i].n, 128), call->args[i].s);
    reply_error(call->c, "ERR unknown command '%.*s', with args beginning with: %s", (int)MIN(call->args[0].n, 128),
                call->args[0].s, words->str);
    g_string_free(words, TRUE);
}

static bool fits(const struct command *cmd, size_t n)
{
    if (cmd->arity >= 0)
        return n == (size_t)cmd->arity;
    return n >= (size_t)-cmd->arity && (cmd->step < 2 || (n - 1) % (size_t)cmd->step == 0);
}

static shard_set shards_of(const struct command *cmd, const struct call *call)
{
    size_t last = cmd->last < 0 ? call->n - (size_t)-cmd->last : (size_t)cmd->last;
    shard_set set = 0;

    for (size_t i = (size_t)cmd->first; cmd->first > 0 && i <= last; i += (size_t)cmd->step)
        set |= table_shard_of(call->args[i]);
    return set;
}

void command_run(struct conn *c)
{
    struct call call = { .c = c, .args = &g_array_index(c->args, struct text, 0), .n = c->args->len };

    if (call.n == 0) // an empty line
        return;
    const struct command *cmd = find_command(call.args[0]);
    if (!cmd) {
        refuse_unknown(&call);
    } else if (!fits(cmd, call.n)) {
        reply_error(c, "ERR wrong number of arguments for '%s' command", cmd->name);
    } else {
        shard_set shards = shards_of(cmd, &call);
        call.name = cmd->name;
        table_lock(shards);
        cmd->fn(&call);
        table_unlock(shards);
    }
}

bool find_typed(struct call *call, struct text key, enum type type, struct entry **e)
{
    *e = table_find(key);
    if (*e && (*e)->type != type)
        reply_error(call->c, "WRONGTYPE Operation against a key holding the wrong kind of value");
    return !*e || (*e)->type == type;
}

struct entry *find_or_make(struct call *call, struct text key, enum type type)
{
    struct entry *e;

    if (!find_typed(call, key, type, &e))
        return NULL;
    return e ? e : table_make(key, type);
}

void remove_empty(struct entry *e)
{
    if (table_is_empty(e))
        table_remove(e);
}

bool int_arg(struct call *call, size_t i, int64_t *value)
{
    bool is_int = text_int(call->args[i], value);
    if (!is_int)
        reply_error(call->c, "ERR value is not an integer or out of range");
    return is_int;
}

bool count_arg(struct call *call, int64_t *count)
{
    *count = 1;
    if (call->n > 3) {
        reply_error(call->c, "ERR syntax error");
        return false;
    }
    if (call->n == 2)
        return true;
    bool is_count = text_int(call->args[2], count) && *count >= 0;
    if (!is_count)
        reply_error(call->c, "ERR value is out of range, must be positive");
    return is_count;
}

bool range_args(struct call *call, struct range *r)
{
    return int_arg(call, 2, &r->first) && int_arg(call, 3, &r->last);
}

int64_t range_clip(struct range *r, int64_t size)
{
    if (r->first < 0)
        r->first = MAX(r->first + size, 0);
    r->last = MIN(r->last < 0 ? r->last + size : r->last, size - 1);
    return r->first > r->last ? 0 : r->last - r->first + 1;
}
