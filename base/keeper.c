#include "base/keeper.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/assert.h"

static pthread_key_t key; // its value: the keeper
static bool made;         // fixed after make

static void tell_keeper(void *value)
{
    struct wf_keeper *k = value;
    wf_debug_assert(k && k->lost);
    k->lost(k);
}

static void make_key(void)
{
    made = pthread_key_create(&key, tell_keeper) == 0;
}

// unmake deletes the key when the library is unloaded.
__attribute__((destructor)) static void unmake(void)
{
    if (made)
        pthread_key_delete(key);
}

struct wf_keeper *wf_keeper_set(struct wf_keeper *k)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, make_key);
    if (!made)
        return NULL;
    struct wf_keeper *before = pthread_getspecific(key);
    pthread_setspecific(key, k); // may fail without memory: then the keeper is not called
    return before;
}
