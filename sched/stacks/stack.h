// Stacks: carved from large reservations, a guard below each, pooled.
//
//   worker's pool  <->  depot  <-  slabs
//
// A pool has no lock, and gives out the most recently used first. The depot is one for
// the scheduler, under a mutex.
//
// A slab is one mapping, without reserved memory and without huge pages (a huge page
// would make each stack cost 60 KiB). The memory of free stacks goes back to the system
// when their slab has not been used for two seconds: one madvise for each row of
// neighbours. Not at once: what comes in waves would pay for each page in each wave (a
// million tasks that sleep, again and again: 4.2 s of CPU time a round instead of 1.4).
//
// The guard is 64 KiB of address space right below the stack: a frame of code without
// stack probes (-fstack-clash-protection: an access to each page on the way down) that
// is not larger cannot reach past it. It costs one entry of the page table a page, and
// no memory beside that.
//
// It is made by MADV_GUARD_INSTALL (Linux 6.13: a million stacks stay one mapping)
// where that has been seen to work, else by mprotect (two mappings a stack:
// vm.max_map_count of 65530 allows about 32 000 stacks; beyond, making one fails,
// clearly). A slab that is made when this is known is not accessible but for its
// stacks, so that mlockall locks the memory of those only.
#ifndef WF_SCHED_STACK_H
#define WF_SCHED_STACK_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/list.h"
#include "sched/task.h"

enum {
    WF_STACK_GUARD = 64 << 10,     // bytes below each stack; a multiple of the page of all processors
    WF_STACK_POOL_MAX = 64,        // stacks that a worker keeps; half of them go to the depot when it has more
    WF_STACK_CLASS_CACHE_MAX = 18, // of those larger than 256 KiB it keeps one
};

struct wf_slab;

// O: the party that has the stack (a task, a pool, the depot under its lock)
struct wf_stack {
    struct wf_stack *next; // O: in a pool or the depot
    struct wf_slab *slab;  // fixed
    char *base;            // fixed: the lowest byte; the guard ends right below it
    void *top;             // fixed: where the first frame goes
    uint8_t size_class;    // fixed
    bool in_depot;         // under the depot's lock
#ifdef WF_TSAN
    void *fiber;   // O: fibers are slow to make, so each stack keeps its own for many tasks
    unsigned uses; // O
#endif
#ifdef WF_VALGRIND
    unsigned valgrind_id; // fixed
#endif
};

// One list of free stacks for each size.
struct wf_stack_pool {
    struct wf_stack *free;
    unsigned count;
};

struct wf_depot {
    pthread_mutex_t lock;
    struct wf_stack_pool pools[WF_STACK_CLASSES]; // under lock
    struct wf_list slabs;                         // under lock
    bool mprotect_guards;                         // under lock: MADV_GUARD_INSTALL makes no guards here
    int64_t looked;                               // of wf_depot_trim: when it last looked at the slabs
    _Atomic bool warm;                            // A: written under lock: there may be memory to give back, some time
    _Atomic bool news;                            // A: that has become so, and wf_depot_trim does not know yet
};

// wf_depot_init makes an empty depot of zeroed memory.
void wf_depot_init(struct wf_depot *d);
void wf_depot_fini(struct wf_depot *d); // unmaps everything

// wf_depot_check asserts that each pool has the stacks that its slabs say are in it.
// Context: any thread; takes the lock.
void wf_depot_check(struct wf_depot *d);

// wf_depot_count counts the stacks that were made, those of them that are in the depot,
// and their bytes of address space.
// Context: any thread; takes the lock.
void wf_depot_count(struct wf_depot *d, uint64_t *made, uint64_t *stored, uint64_t *bytes);

// wf_depot_trim gives the memory of stacks back that have not been used for long, some
// at a time.
// Returns: true if it should be called again.
// Context: one thread, which calls it now and then; `now` is its clock.
bool wf_depot_trim(struct wf_depot *d, int64_t now);

// wf_depot_needs_trim tells whether wf_depot_trim, having said that it need not be
// called again, should be after all.
// Context: any thread.
static inline bool wf_depot_needs_trim(const struct wf_depot *d)
{
    return wf_load_relaxed(&d->news); // relaxed: the giver asks afterwards itself
}

// wf_stack_refill moves stacks from the depot to `pool`, a worker's own, which is
// empty; it stays so when the system has no memory, or no more mappings. wf_stack_spill
// moves half of them back.
void wf_stack_refill(struct wf_stack_pool *pool, struct wf_depot *d, uint8_t size_class);
void wf_stack_spill(struct wf_stack_pool *pool, struct wf_depot *d, uint8_t size_class);

// wf_stack_take_one takes a stack from the depot that is in no party's use for now:
// wf_stack_show it before it is used.
// Returns: NULL if there is none, nor one to be made.
WF_MUST_CHECK struct wf_stack *wf_stack_take_one(struct wf_depot *d, uint8_t size_class);

// wf_stack_hide and _show: a stack in a pool is not in use, tell the leak checker and
// the address checker.
#ifdef WF_ASAN
void wf_stack_show(struct wf_stack *stack);
void wf_stack_hide(struct wf_stack *stack);
#else
static inline void wf_stack_show(struct wf_stack *stack)
{
    (void)stack;
}
static inline void wf_stack_hide(struct wf_stack *stack)
{
    (void)stack;
}
#endif

// wf_stack_take takes a stack from `pool`. Returns: NULL if there is none, nor one to
// be made.
WF_MUST_CHECK static inline struct wf_stack *wf_stack_take(struct wf_stack_pool *pool, struct wf_depot *d,
                                                           uint8_t size_class)
{
    if (wf_unlikely(!pool->free))
        wf_stack_refill(pool, d, size_class);
    struct wf_stack *stack = pool->free;
    if (wf_unlikely(!stack))
        return NULL;
    wf_debug_assert(pool->count > 0 && stack->size_class == size_class && !stack->in_depot);
    pool->free = stack->next;
    pool->count--;
    wf_stack_show(stack);
    return stack;
}

// wf_stack_give gives one back on which no task runs. Large ones are costly to hoard.
static inline void wf_stack_give(struct wf_stack_pool *pool, struct wf_depot *d, struct wf_stack *stack)
{
    wf_debug_assert(!stack->in_depot && stack != pool->free); // given back twice
    wf_debug_assert(!pool->free || pool->free->size_class == stack->size_class);
    wf_stack_hide(stack);
    stack->next = pool->free;
    pool->free = stack;
    if (wf_unlikely(++pool->count > (stack->size_class > WF_STACK_CLASS_CACHE_MAX ? 1 : WF_STACK_POOL_MAX)))
        wf_stack_spill(pool, d, stack->size_class);
}

// wf_stack_context makes `c` a fresh context on `stack` that begins in `entry`.
void wf_stack_context(struct wf_stack *stack, struct wf_context *c, void (*entry)(void *));

// wf_stack_belongs makes `c` a context that runs on `stack` already: only the
// sanitizers need to be told.
#ifdef WF_CONTEXT_HOOKED
void wf_stack_belongs(const struct wf_stack *stack, struct wf_context *c);
#else
static inline void wf_stack_belongs(const struct wf_stack *stack, struct wf_context *c)
{
    (void)stack;
    (void)c;
}
#endif

static inline size_t wf_stack_size(const struct wf_stack *stack)
{
    return (size_t)1 << stack->size_class;
}

// wf_stack_guards tells whether `address` lies in the guard of `stack`.
bool wf_stack_guards(const struct wf_stack *stack, const void *address);

#endif
