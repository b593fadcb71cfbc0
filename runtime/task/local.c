// Task-local values: each task that has any has a small array, which its first set
// makes.
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "runtime/state.h"

enum { KEYS_MAX = 128, ROUNDS_MAX = 4, STEP = 8 };

static _Atomic unsigned keys; // number of keys made
static _Atomic(void (*)(void *)) destructors[KEYS_MAX];

int weft_local_key(weft_local *key, void (*destroy)(void *))
{
    unsigned k = wf_load_relaxed(&keys); // relaxed: the compare-and-swap confirms it

    do {
        if (k == KEYS_MAX)
            return -EAGAIN;
    } while (!wf_cas_relaxed(&keys, &k, k + 1)); // relaxed: only has to differ
    wf_store_release(&destructors[k], destroy); // release: with wf_locals_destroy
    *key = k;
    return 0;
}

static size_t room_for_locals(const struct weft_task *task)
{
    return task->life.locals ? (size_t)(uintptr_t)task->life.locals[0] : 0;
}

static struct weft_task *self(weft_local key, const char *call)
{
    struct wf_task *core = wf_self();
    if (!core)
        wf_misuse("%s may only be called by a task", call);
    if (key >= wf_load_relaxed(&keys)) // relaxed: the caller got the key from weft_local_key
        wf_misuse("%s: %u is no key", call, key);
    return wf_weft_task(core);
}

void *weft_local_get(weft_local key)
{
    struct weft_task *task = self(key, "weft_local_get");
    return key < room_for_locals(task) ? task->life.locals[1 + key] : NULL;
}

int weft_local_set(weft_local key, void *value)
{
    struct weft_task *task = self(key, "weft_local_set");
    size_t has = room_for_locals(task), wants = (key / STEP + 1) * STEP;

    wf_debug_assert(wants > key && has <= KEYS_MAX);
    if (key >= has) {
        void **bigger = wf_alloc((1 + wants) * sizeof(*bigger));
        if (!bigger)
            return -ENOMEM;
        if (has)
            memcpy(bigger + 1, task->life.locals + 1, has * sizeof(*bigger));
        bigger[0] = (void *)(uintptr_t)wants;
        wf_free(task->life.locals);
        task->life.locals = bigger;
    }
    task->life.locals[1 + key] = value;
    return 0;
}

// destroy_round destroys the current values. Returns: whether there were any.
static bool destroy_round(struct weft_task *task)
{
    bool any = false;

    wf_debug_assert(&task->core == wf_self());
    for (size_t k = 0; k < room_for_locals(task); k++) { // a destructor may make the array grow
        void *value = task->life.locals[1 + k];
        void (*destroy)(void *) = wf_load_acquire(&destructors[k]); // acquire: with weft_local_key
        task->life.locals[1 + k] = NULL;
        if (value && destroy) {
            destroy(value);
            any = true;
        }
    }
    return any;
}

void wf_locals_destroy(struct weft_task *task)
{
    for (int round = 0; round < ROUNDS_MAX && destroy_round(task); round++)
        ;
    wf_free(task->life.locals);
    task->life.locals = NULL;
}
