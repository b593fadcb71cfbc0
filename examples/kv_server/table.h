// The table: keys and their values, in shards. Each shard has its own lock, so all
// workers use the table at once.
#ifndef KV_TABLE_H
#define KV_TABLE_H

#include <weft.h>

#include "text.h"

enum { SHARDS = 64 };

typedef uint64_t shard_set; // a bit for each

enum type { STRING, LIST, SET, HASH, ZSET };

struct entry {
    struct text key; // first: an entry is found by its key
    enum type type;
    int64_t expires;    // Unix time in ms; 0: never
    GSequenceIter *due; // its place among the entries of its shard that expire
    union {
        struct text *string;
        GQueue *list; // of struct text
        struct set *set;
        GHashTable *hash; // of struct field
        struct zset *zset;
    };
};

// A set finds a member by its name, and draws one by its number.
struct set {
    GHashTable *by_name; // of struct member
    GPtrArray *members;
};

struct member {
    struct text name; // first
    guint at;
};

struct field {
    struct text name; // first
    struct text *value;
};

// A sorted set finds a member by its name, and by its place.
struct zset {
    GHashTable *by_name; // of struct scored
    GSequence *by_score;
};

struct scored {
    struct text name; // first
    double score;
    GSequenceIter *place;
};

void table_init(void);
void table_fini(void);

// table_lock locks shards, so that the caller may use the entries in them. It waits
// even in a cancelled task; no task holds such a lock while it waits for a client.
void table_lock(shard_set shards);
void table_unlock(shard_set shards);
shard_set table_shard_of(struct text key);
#define ALL_SHARDS (~(shard_set)0)

// With the lock of the key's shard:

// table_find returns NULL if there is no such key, or the key has expired.
struct entry *table_find(struct text key);

// table_make makes the entry, with an empty value, and replaces an old one.
struct entry *table_make(struct text key, enum type type);
void table_remove(struct entry *e);
bool table_is_empty(const struct entry *e);       // a list, set, hash or sorted set without members
void table_expire(struct entry *e, int64_t when); // 0: never

// With all locks:

struct table_size {
    size_t keys, expiring;
};
struct table_size table_size(void);
void table_each(void (*fn)(struct entry *e, void *arg), void *arg);
void table_clear(void);

// table_sweep is a task that removes each entry when it expires.
int table_sweep(void *arg);

int64_t unix_ms(void);

bool set_add(struct set *s, struct text name);
bool set_remove(struct set *s, struct text name);
struct text set_draw(struct set *s, uint64_t random); // of one that has members
bool zset_add(struct zset *z, struct text name, double score);
bool zset_remove(struct zset *z, struct text name);

// table_random is a number that clients cannot predict. With any lock.
uint64_t table_random(void);

#endif
