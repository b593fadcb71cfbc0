// Texts: bytes and their number. Keys and values may hold any bytes.
#ifndef KV_TEXT_H
#define KV_TEXT_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct text {
    const char *s;
    size_t n;
};

#define TEXT(literal) ((struct text){ (literal), sizeof(literal) - 1 })

// text_copy allocates `size` bytes, which begin with a struct text: a copy of `t`,
// whose bytes follow them. The rest is 0. g_free frees it.
static inline void *text_copy(struct text t, size_t size)
{
    struct text *copy = g_malloc0(size + t.n);
    copy->s = memcpy((char *)copy + size, t.s, t.n);
    copy->n = t.n;
    return copy;
}

// text_is compares and ignores case, as command names need.
static inline bool text_is(struct text t, const char *word)
{
    return t.n == strlen(word) && g_ascii_strncasecmp(t.s, word, t.n) == 0;
}

// text_int reads a decimal integer that fills the text.  Returns: false if it does not.
static inline bool text_int(struct text t, int64_t *value)
{
    bool negative = t.n > 0 && t.s[0] == '-';
    int64_t v = 0;

    for (size_t i = negative; i < t.n; i++) {
        int digit = t.s[i] - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, negative ? -digit : digit, &v))
            return false;
    }
    *value = v;
    return t.n > negative;
}

// For GHashTable: keys are struct text *.
guint text_hash(gconstpointer t);
gboolean text_equal(gconstpointer a, gconstpointer b);

#endif
