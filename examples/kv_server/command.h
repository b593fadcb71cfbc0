// Commands: their names, and what they do.
#ifndef KV_COMMAND_H
#define KV_COMMAND_H

#include "resp.h"
#include "table.h"

// A call of a command: args[0] is its name. It runs with the locks of its keys' shards,
// must not park, and adds one reply.
struct call {
    struct conn *c;
    const char *name; // in lower case
    struct text *args;
    size_t n;
};
typedef void command_fn(struct call *call);

struct command {
    const char *name;
    int arity;       // the number of words, name included; -n: at least n
    int first, last; // which words are keys; last -1: to the end, -2: to the last but one
    int step;
    command_fn *fn; // a command without keys takes the locks that it needs
};

extern const struct command key_commands[], string_commands[], list_commands[], set_commands[], hash_commands[],
    zset_commands[], server_commands[]; // each ends with a name of NULL

void commands_init(void);
void commands_fini(void);

// command_run runs the request in c->args.
void command_run(struct conn *c);

// --- for the commands ----------------------------------------------------------------

// find_typed finds the value of a key.  Returns: false after an error reply, for one of
// another type. *e: NULL if there is none.
bool find_typed(struct call *call, struct text key, enum type type, struct entry **e);

// find_or_make makes an empty value if the key has none. Returns: NULL after an error
// reply.
struct entry *find_or_make(struct call *call, struct text key, enum type type);

// remove_empty removes an entry without members.
void remove_empty(struct entry *e);

// int_arg reads args[i].  Returns: false after an error reply.
bool int_arg(struct call *call, size_t i, int64_t *value);

// Places from `first` to `last`; those below 0 count from the end.
struct range {
    int64_t first, last;
};

// range_args reads args[2] and args[3].  Returns: false after an error reply.
bool range_args(struct call *call, struct range *r);

// range_clip limits a range to `size` members. Returns: how many are left, from
// r->first on.
int64_t range_clip(struct range *r, int64_t size);

// count_arg reads how many to pop: 1 if the call does not say.  Returns: false after an
// error reply.
bool count_arg(struct call *call, int64_t *count);

#endif
