#include "table.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

struct shard {
    weft_mutex lock;
    GHashTable *entries;
    GSequence *dues; // the entries that expire, the next one first
};

static struct shard shards[SHARDS];
static weft_chan *sooner; // a message: the next expiry has become earlier
static guint seed;        // of the hash, random in each run

guint text_hash(gconstpointer t)
{
    const struct text *text = t;
    guint h = seed;

    for (size_t i = 0; i < text->n; i++)
        h = (h ^ (guchar)text->s[i]) * 16777619; // FNV-1a
    return h;
}

gboolean text_equal(gconstpointer a, gconstpointer b)
{
    const struct text *one = a, *other = b;
    return one->n == other->n && memcmp(one->s, other->s, one->n) == 0;
}

int64_t unix_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

uint64_t table_random(void)
{
    uint64_t random = 0;
    while (getrandom(&random, sizeof(random), 0) < 0)
        ;
    return random;
}

// --- values --------------------------------------------------------------------------

static void free_field(gpointer f)
{
    g_free(((struct field *)f)->value);
    g_free(f);
}

static gint compare_scores(gconstpointer a, gconstpointer b, gpointer unused)
{
    const struct scored *one = a, *other = b;
    (void)unused;

    if (one->score != other->score)
        return one->score < other->score ? -1 : 1;
    int order = memcmp(one->name.s, other->name.s, MIN(one->name.n, other->name.n));
    return order ? order : (one->name.n > other->name.n) - (one->name.n < other->name.n);
}

static GHashTable *new_names(GDestroyNotify free_one)
{
    return g_hash_table_new_full(text_hash, text_equal, free_one, NULL);
}

static void make_value(struct entry *e)
{
    if (e->type == LIST) {
        e->list = g_queue_new();
    } else if (e->type == HASH) {
        e->hash = new_names(free_field);
    } else if (e->type == SET) {
        e->set = g_new(struct set, 1);
        *e->set = (struct set){ new_names(g_free), g_ptr_array_new() };
    } else if (e->type == ZSET) {
        e->zset = g_new(struct zset, 1);
        *e->zset = (struct zset){ new_names(g_free), g_sequence_new(NULL) };
    }
}

static void free_value(struct entry *e)
{
    if (e->type == STRING) {
        g_free(e->string);
    } else if (e->type == LIST) {
        g_queue_free_full(e->list, g_free);
    } else if (e->type == HASH) {
        g_hash_table_destroy(e->hash);
    } else if (e->type == SET) {
        g_ptr_array_free(e->set->members, TRUE);
        g_hash_table_destroy(e->set->by_name);
        g_free(e->set);
    } else {
        g_sequence_free(e->zset->by_score);
        g_hash_table_destroy(e->zset->by_name);
        g_free(e->zset);
    }
}

bool table_is_empty(const struct entry *e)
{
    switch (e->type) {
    case LIST:
        return g_queue_is_empty(e->list);
    case HASH:
        return g_hash_table_size(e->hash) == 0;
    case SET:
        return e->set->members->len == 0;
    case ZSET:
        return g_hash_table_size(e->zset->by_name) == 0;
    default:
        return false;
    }
}

bool set_add(struct set *s, struct text name)
{
    if (g_hash_table_lookup(s->by_name, &name))
        return false;
    struct member *m = text_copy(name, sizeof(*m));
    m->at = s->members->len;
    g_ptr_array_add(s->members, m);
    return g_hash_table_add(s->by_name, m);
}

bool set_remove(struct set *s, struct text name)
{
    struct member *m = g_hash_table_lookup(s->by_name, &name);
    if (!m)
        return false;
    struct member *last = g_ptr_array_index(s->members, s->members->len - 1);
    last->at = m->at;
    g_ptr_array_remove_index_fast(s->members, m->at); // the last member takes its place
    return g_hash_table_remove(s->by_name, m);
}

struct text set_draw(struct set *s, uint64_t random)
{
    struct member *m = g_ptr_array_index(s->members, random % s->members->len);
    return m->name;
}

bool zset_add(struct zset *z, struct text name, double score)
{
    struct scored *m = g_hash_table_lookup(z->by_name, &name);
    bool is_new = !m;

    if (is_new) {
        m = text_copy(name, sizeof(*m));
        g_hash_table_add(z->by_name, m);
    } else if (m->score == score) {
        return false;
    } else {
        g_sequence_remove(m->place);
    }
    m->score = score;
    m->place = g_sequence_insert_sorted(z->by_score, m, compare_scores, NULL);
    return is_new;
}

bool zset_remove(struct zset *z, struct text name)
{
    struct scored *m = g_hash_table_lookup(z->by_name, &name);
    if (!m)
        return false;
    g_sequence_remove(m->place);
    return g_hash_table_remove(z->by_name, m);
}

// --- the table -----------------------------------------------------------------------

static unsigned shard_number(struct text key)
{
    return (text_hash(&key) * 2654435769u) >> 26; // the upper 6 bits: GHashTable uses the others
}

static struct shard *shard_of(const struct entry *e)
{
    return &shards[shard_number(e->key)];
}

static void free_entry(gpointer entry)
{
    struct entry *e = entry;

    if (e->due)
        g_sequence_remove(e->due);
    free_value(e);
    g_free(e);
}

static gint compare_dues(gconstpointer a, gconstpointer b, gpointer unused)
{
    const struct entry *one = a, *other = b;
    (void)unused;
    return (one->expires > other->expires) - (one->expires < other->expires);
}

void table_init(void)
{
    seed = (guint)table_random();
    for (int i = 0; i < SHARDS; i++) {
        weft_mutex_init(&shards[i].lock);
        shards[i].entries = new_names(free_entry);
        shards[i].dues = g_sequence_new(NULL);
    }
    if (weft_chan_new(&sooner, 1, 1) < 0)
        g_error("no memory");
}

void table_fini(void)
{
    for (int i = 0; i < SHARDS; i++) {
        g_hash_table_destroy(shards[i].entries);
        g_sequence_free(shards[i].dues);
        weft_mutex_destroy(&shards[i].lock);
    }
    weft_chan_unref(sooner);
}

// It locks in the order of the numbers, so that two tasks never wait for each other.
void table_lock(shard_set set)
{
    for (; set; set &= set - 1)
        weft_mutex_lock_shielded(&shards[__builtin_ctzll(set)].lock);
}

void table_unlock(shard_set set)
{
    for (; set; set &= set - 1)
        weft_mutex_unlock(&shards[__builtin_ctzll(set)].lock);
}

shard_set table_shard_of(struct text key)
{
    return (shard_set)1 << shard_number(key);
}

struct entry *table_find(struct text key)
{
    struct entry *e = g_hash_table_lookup(shards[shard_number(key)].entries, &key);

    if (!e || e->expires == 0 || e->expires > unix_ms())
        return e;
    table_remove(e);
    return NULL;
}

struct entry *table_make(struct text key, enum type type)
{
    struct entry *e = text_copy(key, sizeof(*e));

    e->type = type;
    make_value(e);
    g_hash_table_add(shard_of(e)->entries, e);
    return e;
}

void table_remove(struct entry *e)
{
    g_hash_table_remove(shard_of(e)->entries, e);
}

void table_expire(struct entry *e, int64_t when)
{
    GSequence *dues = shard_of(e)->dues;
    char token = 0;

    if (e->due)
        g_sequence_remove(e->due);
    e->due = NULL;
    e->expires = when;
    if (when == 0)
        return;
    e->due = g_sequence_insert_sorted(dues, e, compare_dues, NULL);
    if (g_sequence_iter_is_begin(e->due))
        (void)!weft_chan_try_send(sooner, &token); // full: the sweeper has not read the last message yet
}

struct table_size table_size(void)
{
    struct table_size size = { 0 };

    for (int i = 0; i < SHARDS; i++) {
        size.keys += g_hash_table_size(shards[i].entries);
        size.expiring += (size_t)g_sequence_get_length(shards[i].dues);
    }
    return size;
}

void table_each(void (*fn)(struct entry *e, void *arg), void *arg)
{
    GHashTableIter iter;
    gpointer e;

    for (int i = 0; i < SHARDS; i++)
        for (g_hash_table_iter_init(&iter, shards[i].entries); g_hash_table_iter_next(&iter, &e, NULL);)
            fn(e, arg);
}

void table_clear(void)
{
    for (int i = 0; i < SHARDS; i++)
        g_hash_table_remove_all(shards[i].entries);
}

// sweep_shard removes the expired entries. Returns: when the next one expires;
// INT64_MAX: none.
static int64_t sweep_shard(struct shard *s, int64_t now)
{
    for (GSequenceIter *first; !g_sequence_iter_is_end(first = g_sequence_get_begin_iter(s->dues));) {
        struct entry *e = g_sequence_get(first);
        if (e->expires > now)
            return e->expires;
        table_remove(e);
    }
    return INT64_MAX;
}

static int64_t sweep_all(int64_t now)
{
    int64_t next = INT64_MAX;

    for (int i = 0; i < SHARDS; i++) {
        weft_mutex_lock_shielded(&shards[i].lock);
        int64_t due = sweep_shard(&shards[i], now);
        weft_mutex_unlock(&shards[i].lock);
        next = MIN(next, due);
    }
    return next;
}

int table_sweep(void *arg)
{
    int err;
    (void)arg;

    do {
        char token;
        int64_t now = unix_ms(), next = sweep_all(now);
        weft_time when =
            next - now < WEFT_S(3600) / WEFT_MS(1) ? weft_after(WEFT_MS(next - now)) : weft_after(WEFT_S(3600));
        weft_case cases[] = { weft_on_recv(sooner, &token), weft_on_time(when) };
        err = weft_select(cases, 2);
    } while (err >= 0);
    return 0; // cancelled: the server ends
}
